"""A person with the three editing tools: one edit an interaction, or the paper's simulated edits all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.image import MaskArray
from segmend.play import Marks, together
from segmend.users.adjustment import Adjustment
from segmend.users.brush import Brush
from segmend.users.mistake import mistake
from segmend.users.selection import Selection, blocks, worn


@dataclass(frozen=True)
class Edits:
    """Put down what the three tools suggest together, as the editing network is trained with.

    Every large wrong block is clicked, one stroke is drawn, and K is set; each only where it is called for.

    >>> truth = np.zeros((1, 7, 9), bool); truth[0, 1:6, 1:8] = True
    >>> Edits()(truth, np.zeros_like(truth))[1:]
    (Stroke(points=((0, 1, 1), (0, 1, 3), (0, 5, 7)), positive=True, radius=1.0), Adjust(k=-1.0))
    """

    kinds: ClassVar[tuple[str, ...]] = ("click", "stroke", "adjust")
    seed: int = 0
    clip: float | None = None  # of K

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        tools = (Selection(self.seed), Brush(self.seed), Adjustment(self.seed, clip=self.clip))
        return (
            tuple(edit for tool in tools if (marks := tool(truth, mask)) is not None for edit in together(marks))
            or None
        )


@dataclass(frozen=True)
class Editor:
    """Use the tool that the mistake asks for, one edit at a time, until nothing is worth an edit.

    The paper says what each tool is for. A large block (at least `block` of the truth's volume, and so thick
    that `thick` rounds of erosion leave something) is selected. Else, where so much of one slice is wrong as is
    `region` of the truth's largest slice, the brush is used, if its stroke is not too short. Else the boundary
    is adjusted, if K is at least `slight`. A Dice of `content` is good enough.

    >>> truth = np.zeros((3, 7, 9), bool); truth[:, 1:6, 1:8] = True
    >>> Editor()(truth, np.zeros_like(truth))
    Click(index=(1, 4, 6), positive=True)
    >>> mask = truth.copy(); mask[1, 5, 1:8] = False
    >>> Editor()(truth, mask)
    Stroke(points=((1, 5, 1), (1, 5, 7)), positive=True, radius=1.0)
    """

    kinds: ClassVar[tuple[str, ...]] = ("click", "stroke", "adjust")
    seed: int = 0
    block: float = 0.05
    thick: int = 1
    region: float = 0.1
    slight: float = 0.02
    content: float = 1.0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        found = mistake(truth, mask)
        if found is None or _overlap(truth, mask) >= self.content:
            return None
        volume, largest_area = np.count_nonzero(truth), int(truth.sum(axis=(1, 2)).max())
        largest = blocks(truth, found)[0]
        if largest.voxels >= self.block * volume and worn(largest.part.wrong).max() > self.thick:
            marks = Selection(self.seed, least=self.block, most=1)(truth, mask)
            if marks is not None:
                return together(marks)[0]
        if int(found.wrong.sum(axis=(1, 2)).max()) >= self.region * largest_area:
            stroke = Brush(self.seed)(truth, mask)
            if stroke is not None:
                return stroke
        return Adjustment(self.seed, least=self.slight)(truth, mask)


def _overlap(truth: MaskArray, mask: MaskArray) -> float:
    total = np.count_nonzero(truth) + np.count_nonzero(mask)
    return 1.0 if total == 0 else 2 * np.count_nonzero(truth & mask) / total
