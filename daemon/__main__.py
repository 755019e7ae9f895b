"""`python -m daemon` is `afterword`."""

from daemon.cli.main import main

main()
