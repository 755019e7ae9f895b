"""`python -m daemon.bench`."""

from daemon.__main__ import keep_working_directory_out

if __name__ == "__main__":
    keep_working_directory_out()
    from config.standard_streams import prepare_standard_streams
    from daemon.bench.command import main

    prepare_standard_streams()
    main()
