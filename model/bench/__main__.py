"""`python -m model.bench`."""

from model.entry import prepare

if __name__ == "__main__":
    prepare()
    from model.bench.command import main

    main()
