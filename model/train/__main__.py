"""`python -m model.train`: the command `afterword train`; also `torchrun … -m model.train`."""

from model.entry import prepare

if __name__ == "__main__":
    prepare()
    from model.train.command import train

    train()
