"""Prompts that anybody would try and that mend answers badly: cases to develop with, on drawn samples.

    python bench/hard_cases.py

prints what each gives today beside what it gave when it was put down here, and what mend expected of itself. Each was
an example of the documentation, or is one with the same fault; none of them may be used to train.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

import segmend
from segmend.core.masks import dice
from segmend.core.prompts import Prompt
from segmend.samples import make


@dataclass(frozen=True)
class HardCase:
    """A sample, the label that is meant, the prompts in the order they are put down, and what came of the last."""

    what: str
    kind: str
    seed: int
    label: int
    prompts: tuple[Prompt, ...]
    dice: float  # when it was put down here
    expected: float  # the Dice that mend expected of that mask


Box, Click = segmend.Box, segmend.Click
HEAD = "a tumour with a bright rim and a dark core: a click takes the one or the other"
CASES = (
    HardCase(
        "a box twice as wide as the lesion: the whole box", "skin", 0, 1,
        (Box((0, 90, 120), (1, 300, 360)),), 0.049, 0.70,
    ),
    HardCase(
        "... which a click far outside does not change", "skin", 0, 1,
        (Box((0, 90, 120), (1, 300, 360)), Click((0, 20, 20), positive=False)), 0.049, 0.68,
    ),
    HardCase("a box that fits", "skin", 2, 1, (Box((0, 47, 143), (1, 277, 296)),), 0.064, 0.68),
    HardCase("a click in the middle", "skin", 3, 1, (Click((0, 159, 224)),), 0.076, 0.69),
    HardCase(
        "a second click, on what is too much, makes it worse", "skin", 0, 1,
        (Click((0, 189, 231)), Click((0, 180, 278), positive=False)), 0.941, 0.88,
    ),
    HardCase(HEAD, "head", 0, 1, (Click((0, 150, 190)),), 0.445, 0.76),
    HardCase(HEAD, "head", 1, 1, (Click((0, 121, 87)),), 0.353, 0.81),
    HardCase(HEAD, "head", 2, 1, (Click((0, 199, 191)),), 0.308, 0.74),
    HardCase("a box that fits: no core", "head", 0, 1, (Box((0, 126, 179), (1, 196, 235)),), 0.774, 0.85),
    HardCase("a click on one of two kidneys", "abdomen", 0, 4, (Click((24, 171, 156)),), 0.404, 0.63),
)  # fmt: skip


def answered(case: HardCase) -> tuple[float, float]:
    """Return the Dice of the mask after the last prompt, and what mend expected of it."""
    sample = make(case.kind, seed=case.seed)
    workspace = segmend.load("mend").open(sample.image)
    mask, quality = np.zeros(sample.image.shape, bool), 0.0
    for count in range(1, len(case.prompts) + 1):
        prediction = segmend.answer(workspace, case.prompts[:count], mask)
        mask, quality = prediction.over(mask), prediction.quality or 0.0
    return dice(sample.truth == case.label, mask), quality


def main() -> None:
    print(f"{'sample':<10} {'then':>6} {'now':>6} {'expected':>9}  case")
    for case in CASES:
        found, expected = answered(case)
        print(f"{case.kind:<8}{case.seed:>2} {case.dice:>6.3f} {found:>6.3f} {expected:>9.2f}  {case.what}")


if __name__ == "__main__":
    main()
