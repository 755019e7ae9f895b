"""`python -m model.explain`: the command `afterword explain`."""

from model.entry import prepare

if __name__ == "__main__":
    prepare()
    from model.explain.command import explain

    explain()
