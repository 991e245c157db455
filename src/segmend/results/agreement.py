"""How far the masks of several readers agree: Dice a label, and in which slices they differ.

Labels are the same where they are called the same, whichever numbers and letters of which case readers gave them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from segmend.core.image import LabelMap, MaskArray
from segmend.core.layers import label_mask, stacked
from segmend.core.session import Label


@dataclass(frozen=True, eq=False)
class Read:
    """What somebody marked: one label map, or those of several layers, and the labels in it."""

    maps: LabelMap  # [z y x] or [layer z y x]
    labels: Mapping[int, Label]

    @classmethod
    def of(cls, layers: Mapping[int, LabelMap], labels: Mapping[int, Label]) -> Read:
        return cls(stacked(layers), labels)

    def mask(self, name: str) -> MaskArray:
        """Return the mask of all labels that are called so."""
        found = np.zeros(self.maps.shape[-3:], bool)
        for value, label in self.labels.items():
            if _same(label.title) == _same(name):
                found |= label_mask(self.maps, value)
        return found

    def called(self) -> list[str]:
        """Return what the labels that have voxels are called, in the order of their numbers."""
        there = set(np.unique(self.maps).tolist())
        return [label.title for value, label in sorted(self.labels.items()) if value in there]


@dataclass(frozen=True)
class SliceDifference:
    """Voxels of one slice that one reader alone has."""

    z: int
    only_one: int
    only_other: int


@dataclass(frozen=True)
class LabelDifference:
    """How a label of two readers differs."""

    name: str
    one: int  # voxels
    other: int
    both: int
    slices: tuple[SliceDifference, ...]  # those in which they differ

    @property
    def dice(self) -> float:
        """The overlap of the two masks, 0 to 1."""
        total = self.one + self.other
        return 2 * self.both / total if total else 1.0


def differences(one: Read, other: Read) -> list[LabelDifference]:
    """Return how each label differs that either reader has.

    >>> a = Read(np.array([[[1, 1, 0]]], np.uint16), {1: Label(1, "Lesion", (255, 0, 0))})
    >>> b = Read(np.array([[[0, 4, 4]]], np.uint16), {4: Label(4, "lesion", (0, 255, 0))})
    >>> [found] = differences(a, b)
    >>> found.name, found.dice, found.slices
    ('Lesion', 0.5, (SliceDifference(z=0, only_one=1, only_other=1),))
    """
    names: dict[str, str] = {}
    for name in [*one.called(), *other.called()]:
        names.setdefault(_same(name), name)
    return [_difference(name, one.mask(name), other.mask(name)) for name in names.values()]


def _difference(name: str, a: MaskArray, b: MaskArray) -> LabelDifference:
    only_a, only_b = (part.sum(axis=(1, 2)) for part in (a & ~b, b & ~a))
    slices = np.flatnonzero(only_a + only_b)
    found = tuple(SliceDifference(int(z), int(only_a[z]), int(only_b[z])) for z in slices)
    return LabelDifference(name, int(a.sum()), int(b.sum()), int((a & b).sum()), found)


def agreement(reads: Mapping[str, Read]) -> list[dict[str, Any]]:
    """Return the Dice of every pair of readers, by label, as plain JSON values."""
    pairs = []
    for one, other in combinations(reads, 2):
        labels = [{"name": d.name, "dice": round(d.dice, 5)} for d in differences(reads[one], reads[other])]
        dice = float(np.mean([label["dice"] for label in labels])) if labels else 1.0
        pairs.append({"one": one, "other": other, "dice": round(dice, 5), "labels": labels})
    return pairs


def agreed(reads: Sequence[Read]) -> list[tuple[Label, MaskArray]]:
    """Return the labels of the first reader with the voxels that all gave to a label of that name.

    >>> a = Read(np.array([[[1, 1, 0]]], np.uint16), {1: Label(1, "Lesion", (255, 0, 0))})
    >>> b = Read(np.array([[[0, 4, 4]]], np.uint16), {4: Label(4, "lesion", (0, 255, 0))})
    >>> [(label.name, mask.tolist()) for label, mask in agreed([a, b])]
    [('Lesion', [[[False, True, False]]])]
    """
    first, *others = reads
    found = []
    for value, label in first.labels.items():
        masks = [label_mask(first.maps, value), *(read.mask(label.title) for read in others)]
        found.append((label, np.asarray(np.logical_and.reduce(masks))))
    return found


def _same(name: str) -> str:
    return " ".join(name.casefold().split())
