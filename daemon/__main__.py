"""`python -m daemon` is `afterword`."""

import os
import sys

if __name__ == "__main__":
    # Python looks for modules in the working directory first: a config.py there would be imported
    # instead of ours. As model/entry.py, which a model.py there would hide.
    own = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100, PTH120
    if not sys.flags.safe_path and sys.path[0] != own:
        del sys.path[0]
    from daemon.cli.main import main

    main()
