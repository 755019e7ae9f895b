"""`python -m daemon` is `afterword`."""

import os
import sys


def keep_working_directory_out() -> None:
    """Keep the modules of the working directory out, in which `python -m` looks first.

    A config.py there would be imported instead of ours. As model/entry.py, which a model.py there
    would hide; so this imports only modules that Python itself has loaded by then.
    """
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    if not sys.flags.safe_path and sys.path[0] != own:
        del sys.path[0]


if __name__ == "__main__":
    keep_working_directory_out()
    from daemon.cli.main import main

    main()
