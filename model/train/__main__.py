"""`python -m model.train`."""

from model.train.run import main

if __name__ == "__main__":
    main()
