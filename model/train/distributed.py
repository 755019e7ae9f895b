"""Data-parallel training in several processes under torchrun."""

import contextlib
import gc
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed, nn

from config.errors import LostProcessError
from model.loss import batch_loss
from model.transformer import Transformer

_PATIENCE = timedelta(minutes=10)
"""How long a process waits for another one, which may validate meanwhile, or read the texts."""
_LOST = ("gloo", "Connection", "connection", "Broken pipe", "imed out")


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
    distributed.init_process_group(timeout=_PATIENCE)
    return ProcessGroup(distributed.get_rank(), count)


def destroy(processes: ProcessGroup) -> None:
    """Leave the process group; the model that was trained must no longer be in use."""
    if processes.count > 1:
        # DistributedDataParallel, in reference cycles, holds the group, whose threads must end
        # before the interpreter does: else a process now and then aborts at its very end.
        gc.collect()
        distributed.destroy_process_group()


@contextlib.contextmanager
def lost_processes(processes: ProcessGroup) -> Iterator[None]:
    """Report the loss of another process in one sentence.

    Its host, the network or the process itself may have failed. torch raises RuntimeError, with
    the messages of gloo on CPUs, or a subclass.

    Raises:
        LostProcessError: another process does not answer.
    """
    try:
        yield
    except RuntimeError as error:
        known = isinstance(error, distributed.DistError) or any(x in str(error) for x in _LOST)
        if processes.count == 1 or not known:
            raise
        raise LostProcessError(
            f"Another of the {processes.count} processes of this training does not answer any "
            "more; start all of them again with --resume."
        ) from error


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
