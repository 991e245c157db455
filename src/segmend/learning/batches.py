"""Batches of samples by number, drawn ahead in processes of their own."""

from __future__ import annotations

import pickle
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset

from segmend.errors import SegmendError
from segmend.learning.distributed import World

SHARED = Path("/dev/shm")  # where Linux keeps memory that processes share
ROOM = 64  # how many batches must fit there; with fewer, batches travel through a pipe
ALIGNMENT = 64  # bytes
READ_AHEAD = 4  # batches of every process


class _Numbered(Dataset[Any]):
    """A sampler as torch's loader wants it; an error of ours comes back as a value, so its words stay whole."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def __getitem__(self, number: int) -> Any:
        try:
            return self.sampler[number]
        except SegmendError as error:
            return error


@dataclass(frozen=True, eq=False)
class _Packed:
    """A batch whose arrays lie in memory that both processes see: a game of half a MB takes 1.2 ms through a pipe."""

    pickled: bytes
    ends: tuple[int, ...]  # of the arrays
    arrays: torch.Tensor  # of bytes; torch's loader shares it

    def samples(self) -> list[Any]:
        """Return the samples; their arrays are not copied."""
        whole = memoryview(self.arrays.numpy().data)
        starts = [0, *(_aligned(end) for end in self.ends[:-1])]
        parts = [whole[start:end] for start, end in zip(starts, self.ends, strict=True)]
        return list(pickle.loads(self.pickled, buffers=parts))  # noqa: S301 (what our own process made)


def _packed(samples: list[Any]) -> _Packed | list[Any]:
    """Return a batch ready to travel; as it is where too little memory can be shared."""
    arrays: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(samples, protocol=5, buffer_callback=arrays.append)
    ends, size = [], 0
    for array in arrays:
        ends.append(_aligned(size) + array.raw().nbytes)
        size = ends[-1]
    if not size or not SHARED.is_dir() or shutil.disk_usage(SHARED).free < ROOM * size:
        return samples
    joined = torch.empty(size, dtype=torch.uint8)
    whole = memoryview(joined.numpy().data)
    for array, end in zip(arrays, ends, strict=True):
        raw = array.raw()
        whole[end - raw.nbytes : end] = raw
    return _Packed(pickled, tuple(ends), joined)


def _aligned(size: int) -> int:
    return -(-size // ALIGNMENT) * ALIGNMENT


class _Parts:
    """The numbers of this process's samples, batch by batch; made as they are asked for, however long the run."""

    def __init__(self, first: int, last: int, batch: int, world: World) -> None:
        self.steps, self.batch, self.world = range(first, last), batch, world

    def __iter__(self) -> Iterator[list[int]]:
        return (self.world.part(step * self.batch, self.batch) for step in self.steps)


def batches(sampler: Any, first: int, last: int, batch: int, workers: int, world: World) -> Iterator[list[Any]]:
    """Yield this process's samples of every batch from step `first` to `last`.

    Meanwhile NumPy and SciPy keep to one thread, here and in the loader's processes: a sample's matrices are tiny,
    and on a busy machine threads that wait for each other cost ten times the sample (4 ms against 70, DEXTR's).
    """
    if first >= last:
        return
    loader = DataLoader(
        _Numbered(sampler),
        batch_sampler=_Parts(first, last, batch, world),
        num_workers=workers,
        prefetch_factor=READ_AHEAD if workers else None,
        collate_fn=_packed if workers else list,
        multiprocessing_context="fork" if workers else None,
    )
    with threadpool_limits(1, user_api="blas"):
        for sent in loader:
            samples = sent.samples() if isinstance(sent, _Packed) else sent
            for sample in samples:
                if isinstance(sample, SegmendError):
                    raise sample
            yield samples


def timed(drawn: Iterator[list[Any]]) -> Iterator[tuple[list[Any], float]]:
    """Yield each batch and for how many seconds it was waited for.

    >>> [samples for samples, seconds in timed(iter([[1], [2]]))]
    [[1], [2]]
    """
    begun = time.monotonic()
    for samples in drawn:
        yield samples, time.monotonic() - begun
        begun = time.monotonic()
