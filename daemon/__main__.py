"""`python -m daemon` is `afterword`."""

from daemon.cli import main

main()
