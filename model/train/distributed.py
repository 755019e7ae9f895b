"""Data-parallel training in several processes under torchrun."""

import gc
import os
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from model.loss import batch_loss
from model.transformer import Transformer


@dataclass(frozen=True)
class ProcessGroup:
    """The processes that train together, seen from one of them.

    Attributes:
        rank: of this process, from 0.
        count: of all processes.
    """

    rank: int = 0
    count: int = 1

    @property
    def is_main(self) -> bool:
        """True in the process that validates, saves and prints."""
        return self.rank == 0

    def broadcast(self, value: float, device: torch.device) -> float:
        """The main process's number, in all processes; each must call this."""
        if self.count == 1:
            return value
        number = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.broadcast(number, src=0)
        return number.item()

    def mean(self, value: float, device: torch.device) -> float:
        """The mean of all processes' numbers, in all processes; each must call this."""
        if self.count == 1:
            return value
        number = torch.tensor(value, dtype=torch.float64, device=device)
        distributed.all_reduce(number)
        return number.item() / self.count


def init() -> ProcessGroup:
    """Join the process group if torchrun started this process, each with a GPU if there is one."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return ProcessGroup()
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group()
    return ProcessGroup(distributed.get_rank(), count)


def destroy(processes: ProcessGroup) -> None:
    """Leave the process group; the model that was trained must no longer be in use."""
    if processes.count > 1:
        # DistributedDataParallel, in reference cycles, holds the group, whose threads must end
        # before the interpreter does: else a process now and then aborts at its very end.
        gc.collect()
        distributed.destroy_process_group()


class Loss(nn.Module):
    """batch_loss as a module, for PyTorch's DistributedDataParallel."""

    def __init__(self, model: Transformer) -> None:
        super().__init__()
        self.model = model

    def forward(self, rows: Tensor) -> Tensor:
        """Mean negative log likelihood of rows[:, 1:]; rows is (B, T + 1)."""
        return batch_loss(self.model, rows)


def shared_loss(model: Transformer, processes: ProcessGroup) -> nn.Module:
    """The loss, whose gradients are averaged over all processes."""
    loss = Loss(model)
    return nn.parallel.DistributedDataParallel(loss) if processes.count > 1 else loss
