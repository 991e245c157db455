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
from segmend.core.session import Session


@dataclass(frozen=True, eq=False)
class Read:
    """What somebody marked: a label map and what its values are called."""

    map: LabelMap  # [z y x]
    names: Mapping[int, str]

    @classmethod
    def of(cls, session: Session, label_map: LabelMap) -> Read:
        return cls(label_map, {value: label.name for value, label in session.labels.items()})

    def mask(self, name: str) -> MaskArray:
        """Return the mask of all labels that are called so."""
        values = [value for value, said in self.names.items() if _same(said) == _same(name)]
        return np.isin(self.map, values)

    def called(self) -> list[str]:
        """Return what the labels that have voxels are called, in the order of their numbers."""
        there = np.unique(self.map)
        return [self.names.get(int(value), f"label {value}") for value in there if value]


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

    >>> a = Read(np.array([[[1, 1, 0]]], np.uint16), {1: "Lesion"})
    >>> b = Read(np.array([[[0, 4, 4]]], np.uint16), {4: "lesion"})
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


def agreed(reads: Sequence[Read]) -> tuple[LabelMap, dict[int, str]]:
    """Return the voxels that all readers gave to a label of the same name, and what the values are called.

    >>> a = Read(np.array([[[1, 1, 2]]], np.uint16), {1: "a", 2: "b"})
    >>> b = Read(np.array([[[0, 5, 5]]], np.uint16), {5: "A"})
    >>> agreed([a, b])[0].tolist()
    [[[0, 1, 0]]]
    """
    first = reads[0]
    found = np.zeros_like(first.map)
    for value in np.unique(first.map):
        if value:
            name = first.names.get(int(value), f"label {value}")
            everywhere = np.logical_and.reduce([read.mask(name) for read in reads])
            found[everywhere & (first.map == value)] = value
    return found, dict(first.names)


def _same(name: str) -> str:
    return " ".join(name.casefold().split())
