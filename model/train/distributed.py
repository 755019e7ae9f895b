"""Training in several processes under torchrun: who we are, and what all have to agree on."""

import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from model.loss import batch_loss
from model.transformer import Transformer


@dataclass(frozen=True)
class ProcessGroup:
    """Those that train together, seen from one of them.

    Attributes:
        rank: which it is, from 0.
        count: how many there are.
    """

    rank: int = 0
    count: int = 1

    @property
    def leads(self) -> bool:
        """Whether this one validates, saves and talks."""
        return self.rank == 0

    def agree(self, value: float, device: torch.device) -> float:
        """The leader's number in all processes; each must ask."""
        if self.count == 1:
            return value
        number = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(number, src=0)
        return number.item()

    def mean(self, value: float, device: torch.device) -> float:
        """The mean of all processes' numbers, in all of them."""
        if self.count == 1:
            return value
        number = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.all_reduce(number)
        return number.item() / self.count


def join() -> ProcessGroup:
    """Meet the other processes if torchrun started us, each with a GPU of its own if there are."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ProcessGroup()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group()
    return ProcessGroup(distributed.get_rank(), count)


def leave(processes: ProcessGroup) -> None:
    """Part from the others."""
    if processes.count > 1:
        distributed.destroy_process_group()


class Loss(nn.Module):
    """batch_loss as a module, which PyTorch's DistributedDataParallel wants."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Tensor) -> Tensor:
        """Mean negative log likelihood of rows[:, 1:]; rows is (B, T + 1)."""
        return batch_loss(self.model, rows)


def shared_loss(model: Transformer, processes: ProcessGroup) -> nn.Module:
    """The loss whose gradients are the mean of all processes' gradients."""
    loss = Loss(model)
    return nn.parallel.DistributedDataParallel(loss) if processes.count > 1 else loss
