"""`python -m model.evaluate`: the command `afterword evaluate`."""

from model.entry import prepare

if __name__ == "__main__":
    prepare()
    from model.evaluate.command import evaluate

    evaluate()
