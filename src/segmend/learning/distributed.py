"""Several processes that train together as one: each takes its part of every batch.

Sample number n of a run belongs to the process whose rank is n modulo their number. Every process weighs
its loss by its share of the batch, gradients are summed, and batch norm takes its mean over the whole
batch, so the losses are those of one process but for rounding. What a network draws at random by itself
(dropout) differs. In training mode a network must run equally often in every process. The leader, rank 0,
alone validates and writes; all must see one data set.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
import torch.distributed.nn.functional  # loaded after joining, its defaults would keep the group for ever
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from segmend.errors import SettingsError
from segmend.learning.precision import CPU

TIMEOUT = timedelta(hours=2)  # how long the other processes wait while the leader validates


@dataclass(frozen=True)
class World:
    """The processes that train together, and which of them this is.

    >>> World(rank=1, size=3).part(first=6, count=6)
    [7, 10]
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """True for the one process that validates and writes."""
        return self.rank == 0

    def part(self, first: int, count: int) -> list[int]:
        """Return the samples of a batch that this process takes, by number."""
        return [number for number in range(first, first + count) if number % self.size == self.rank]

    def check(self, batch: int) -> None:
        """Refuse a batch that leaves a process without a sample."""
        if batch < self.size:
            raise SettingsError(f"{self.size} processes need a batch of {self.size} or more samples; got {batch}.")

    def broadcast(self, value: Any) -> Any:
        """Return the leader's value, in every process."""
        if self.size == 1:
            return value
        said = [value]
        dist.broadcast_object_list(said, src=0, device=CPU)
        return said[0]

    def sum_gradients(self, network: torch.nn.Module, loss: float) -> float:
        """Sum the gradients of all processes into each, and return the sum of their losses.

        A parameter that no process used keeps no gradient, as it would in one process.
        """
        if self.size == 1:
            return loss
        learning = [p for p in network.parameters() if p.requires_grad]
        used = torch.tensor([loss, *(float(p.grad is not None) for p in learning)], dtype=torch.float64)
        dist.all_reduce(used)
        shared = [p for p, count in zip(learning, used[1:].tolist(), strict=True) if count]
        flat = torch.cat([(torch.zeros_like(p) if p.grad is None else p.grad).reshape(-1) for p in shared])
        dist.all_reduce(flat)
        for parameter, part in zip(shared, torch.split(flat, [p.numel() for p in shared]), strict=True):
            parameter.grad = part.view_as(parameter).clone()
        return float(used[0])


ALONE = World()


def backends(gpus: int, processes: int) -> str:
    """Return by what the processes of one machine talk: NCCL between GPUs, if each has one of its own, or else Gloo.

    Tensors on the processor, and the waiting for the leader's validations, are Gloo's either way.

    >>> backends(gpus=2, processes=2), backends(gpus=1, processes=2)
    ('cpu:gloo,cuda:nccl', 'gloo')
    """
    return "cpu:gloo,cuda:nccl" if gpus >= processes else "gloo"


@contextmanager
def join_processes() -> Iterator[World]:
    """Give the processes that torchrun started together, and part from them at the end."""
    gpus = torch.cuda.device_count() if torch.cuda.is_available() and dist.is_nccl_available() else 0
    dist.init_process_group(backends(gpus, int(os.environ.get("LOCAL_WORLD_SIZE", "1"))), timeout=TIMEOUT)
    try:
        yield World(dist.get_rank(), dist.get_world_size())
    finally:
        dist.destroy_process_group()


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(_context: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(_context: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


def _all_reduce(value: Tensor) -> Tensor:
    total: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]
    return total


class SharedBatchNorm(_BatchNorm):
    """Batch norm over the batches of all processes, on any device; torch's own SyncBatchNorm needs CUDA."""

    def _check_input_dim(self, _values: Tensor) -> None:
        """Take any number of axes."""

    def forward(self, given: Tensor) -> Tensor:  # [b c ...]
        if not self.training:
            return super().forward(given)
        across = [0, *range(2, given.ndim)]
        column = (1, -1, *[1] * (given.ndim - 2))
        values = given.float()
        held = values.new_full((1,), values.numel() / values.shape[1])
        sums = _all_reduce(torch.cat([values.sum(across), held]))
        count = sums[-1].detach()
        mean = sums[:-1] / count
        centred = values - mean.view(column)
        variance = _all_reduce(centred.square().sum(across)) / count
        self._remember(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        out = centred * (variance + self.eps).rsqrt().view(column)
        if self.affine:
            out = out * self.weight.view(column) + self.bias.view(column)
        return out.to(given.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        share = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(variance, share)


def share_batch_norms(network: torch.nn.Module, world: World) -> torch.nn.Module:
    """Return the network with every batch norm taken over all processes; alone, the network as it is.

    Its parameters and their names stay the same.
    """
    if world.size == 1:
        return network
    if isinstance(network, _BatchNorm) and not isinstance(network, SharedBatchNorm):
        norm = SharedBatchNorm(
            network.num_features, network.eps, network.momentum, network.affine, network.track_running_stats
        )
        norm.weight, norm.bias = network.weight, network.bias
        for name, buffer in network.named_buffers(recurse=False):
            setattr(norm, name, buffer)
        return norm.train(network.training)
    for name, child in network.named_children():
        setattr(network, name, share_batch_norms(child, world))
    return network
