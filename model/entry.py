"""The start of `python -m model.train` and its siblings, before they import anything else.

Imports only modules that Python itself has loaded by then.
"""

import os
import sys


def prepare() -> None:
    """Keep the modules of the working directory out, leave it if it is gone, prepare the streams.

    `python -m` looks for modules in the working directory first, so a `config.py` or `numpy.py`
    there would be imported instead of ours. `afterword train` does not.
    """
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    if not sys.flags.safe_path and sys.path[0] != own:
        del sys.path[0]
    from config.paths import leave_missing_folder
    from config.standard_streams import prepare_standard_streams

    prepare_standard_streams()
    leave_missing_folder()
