"""The selection tool of interactive deep editing (Zhou, Chen and Wang, 2019): clicks on blocks that are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Box, Index, MaskArray
from segmend.core.prompts import Click
from segmend.users.error_region import ErrorRegion, error_region
from segmend.users.play import Marks


@dataclass(frozen=True)
class Selection:
    """Click the core of every large wrong block at once.

    A block is a 3D component, joined by faces, edges and corners, of voxels that were missed or of voxels that
    are too many. It is eroded by its faces, again and again, until the next round would leave nothing; one
    voxel of what is left, chosen by the seed, is clicked. Blocks of less than `least` of the truth's volume
    are left alone. The largest block comes first; `most` is how many clicks there may be, None for any number.

    >>> truth = np.zeros((1, 7, 9), bool); truth[0, 1:6, 1:8] = True
    >>> mask = truth.copy(); mask[0, 1:4, 2:5] = False; mask[0, 6, 8] = True
    >>> Selection(least=0.1)(truth, mask)
    (Click(index=(0, 2, 3), positive=True),)
    """

    kinds: ClassVar[tuple[str, ...]] = ("click",)
    seed: int = 0
    least: float = 0.02  # of the truth's voxels
    most: int | None = None

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        found = error_region(truth, mask)
        if found is None:
            return None
        generator = found.generator(self.seed)
        large = [block for block in error_blocks(truth, found) if block.voxels >= self.least * np.count_nonzero(truth)]
        clicks = tuple(Click(block.core(generator), block.positive) for block in large[: self.most])
        return clicks or None


@dataclass(frozen=True, eq=False)
class ErrorBlock:
    """A wrong component of one sign, cut out small; `positive` where the truth has it."""

    part: ErrorRegion
    positive: bool
    voxels: int

    def core(self, generator: np.random.Generator) -> Index:
        """Return one voxel of what repeated erosion leaves last."""
        rounds = erosion_rounds(self.part.wrong)
        last = np.argwhere(rounds == rounds.max())
        return self.part.place(last[generator.integers(len(last))])


def error_blocks(truth: MaskArray, found: ErrorRegion) -> list[ErrorBlock]:
    """Return the wrong components, the largest first."""
    wanted = truth[found.box.slices]
    return sorted(
        (
            block
            for positive in (True, False)
            for block in _of_one_sign(found, found.wrong & (wanted == positive), positive)
        ),
        key=lambda block: -block.voxels,
    )


def _of_one_sign(found: ErrorRegion, wrong: MaskArray, positive: bool) -> Iterator[ErrorBlock]:
    labels, _ = ndimage.label(wrong, np.ones((3, 3, 3), bool))
    for value, where in enumerate(ndimage.find_objects(labels), start=1):
        part = np.asarray(labels[where] == value)
        low, high = (
            [int(getattr(s, end)) + l for s, l in zip(where, found.box.low, strict=True)] for end in ("start", "stop")
        )
        box = Box.of(low, high)
        yield ErrorBlock(ErrorRegion(part, box), positive, int(np.count_nonzero(part)))


def erosion_rounds(part: MaskArray) -> NDArray[np.intp]:
    """Return the round of erosion by faces that removes each voxel, from 1; beyond the array is outside.

    A part of one slice is eroded in its plane alone.

    >>> erosion_rounds(np.ones((1, 3, 5), bool))[0].tolist()
    [[1, 1, 1, 1, 1], [1, 2, 2, 2, 1], [1, 1, 1, 1, 1]]
    """
    flat = part.shape[0] == 1
    padded = np.pad(part[0] if flat else part, 1)
    steps = np.asarray(ndimage.distance_transform_cdt(padded, metric="taxicab"), np.intp)
    return steps[None, 1:-1, 1:-1] if flat else steps[1:-1, 1:-1, 1:-1]
