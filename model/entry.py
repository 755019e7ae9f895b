"""What `python -m model.train` and its siblings do before they import anything else.

Imports only modules that Python itself has loaded by then.
"""

import os
import sys


def prepare() -> None:
    """Keep the modules of the working directory out, and leave it if it has been removed.

    `python -m` looks for modules in the working directory first, so a `config.py` or `numpy.py`
    there would be imported instead of ours. `afterword train` does not.
    """
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    if not sys.flags.safe_path and sys.path[0] != own:
        del sys.path[0]
    from config.paths import leave_missing_folder

    leave_missing_folder()
