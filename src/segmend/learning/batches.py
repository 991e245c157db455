"""Batches of samples by number, drawn ahead in processes of their own."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from threadpoolctl import threadpool_limits
from torch.utils.data import DataLoader, Dataset

from segmend.errors import SegmendError
from segmend.learning.distributed import World


class _Numbered(Dataset[Any]):
    """A sampler as torch's loader wants it; an error of ours comes back as a value, so its words stay whole."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def __getitem__(self, number: int) -> Any:
        try:
            return self.sampler[number]
        except SegmendError as error:
            return error


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
        prefetch_factor=4 if workers else None,
        collate_fn=list,
        multiprocessing_context="fork" if workers else None,
    )
    with threadpool_limits(1, user_api="blas"):
        for samples in loader:
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
