"""A person with the three editing tools: one edit an interaction, or the paper's simulated edits all at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from segmend.core.image import MaskArray
from segmend.core.masks import dice
from segmend.core.prompts import Click
from segmend.users.adjustment import Adjustment
from segmend.users.brush import Brush
from segmend.users.error_region import ErrorRegion, error_region
from segmend.users.play import Marks, as_prompts
from segmend.users.selection import Selection, erosion_rounds, error_blocks


@dataclass(frozen=True)
class Edits:
    """Put down what the three tools suggest together, as the editing network is trained with.

    Every large wrong block is clicked, one stroke is drawn, and K is set; each only where it is called for.

    >>> truth = np.zeros((1, 7, 9), bool); truth[0, 1:6, 1:8] = True
    >>> Edits()(truth, np.zeros_like(truth))[1:]
    (Stroke(points=((0, 1, 1), (0, 1, 3), (0, 5, 7)), positive=True, radius=1.0), Adjust(k=1.0, of='truth'))
    """

    kinds: ClassVar[tuple[str, ...]] = ("click", "stroke", "adjust")
    seed: int = 0
    clip: float | None = None  # of K

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        tools = (Selection(self.seed), Brush(self.seed), Adjustment(self.seed, clip=self.clip))
        return (
            tuple(edit for tool in tools if (marks := tool(truth, mask)) is not None for edit in as_prompts(marks))
            or None
        )


@dataclass(frozen=True)
class Editor:
    """Use the tool that the error asks for, one edit at a time, until nothing is worth an edit.

    The paper says what each tool is for. A large block (at least `block` of the truth's volume, and so thick
    that `thick` rounds of erosion leave something) is selected. Thin errors all round the object, of one kind
    (K is at least `slight` and `lean` of the wrong voxels, no slice has more than `share` of them), are
    adjusted. Others are brushed over in the slice with the largest, where its stroke is not too short; what is
    left is adjusted, if K is at least `slight`. A Dice of `content` is good enough.

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
    slight: float = 0.02
    lean: float = 0.6
    share: float = 0.25
    content: float = 1.0

    def __call__(self, truth: MaskArray, mask: MaskArray) -> Marks | None:
        found = error_region(truth, mask)
        if found is None or dice(truth, mask) >= self.content:
            return None
        largest = error_blocks(truth, found)[0]
        if (
            largest.voxels >= self.block * np.count_nonzero(truth)
            and erosion_rounds(largest.part.wrong).max() > self.thick
        ):
            return Click(largest.core(found.generator(self.seed)), largest.positive)
        adjustment = Adjustment(self.seed, least=self.slight)(truth, mask)
        if adjustment is not None and self._all_round(truth, found, adjustment.k):
            return adjustment
        return Brush(self.seed)(truth, mask) or adjustment

    def _all_round(self, truth: MaskArray, found: ErrorRegion, k: float) -> bool:
        """Say whether most that is wrong is of one kind, and in no slice in particular."""
        wrong = found.wrong.sum(axis=(1, 2))
        of_one_kind = abs(k) * np.count_nonzero(truth) >= self.lean * wrong.sum()
        return bool(of_one_kind and wrong.max() <= self.share * wrong.sum())
