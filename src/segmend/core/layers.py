"""Label maps by layer as one array: a mask of each label, or one label a voxel where a file can hold no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from segmend.core.image import LabelMap, MaskArray, bounds
from segmend.core.session import MAX_LAYERS, Label
from segmend.errors import LimitError

# What a map with one label a voxel says where labels share voxels, for whoever takes such a file away.
FLAT = "Where labels overlap, the one further down the list has the voxel."


def label_mask(maps: LabelMap, value: int) -> MaskArray:
    """Return the mask of a label in a map [z y x], or in maps of several layers [layer z y x].

    >>> label_mask(np.array([[[[1, 2]]], [[[0, 3]]]], np.uint16), 3).tolist()
    [[[False, True]]]
    """
    found = np.asarray(maps == value)
    return found if found.ndim == 3 else np.asarray(found.any(axis=0))


class Layering:
    """Masks put one after the other into few label maps: each into the first in which it meets no other.

    >>> layering = Layering((1, 1, 3))
    >>> layering.add(1, np.array([[[True, True, False]]]))
    >>> layering.add(2, np.array([[[False, False, True]]]))
    >>> layering.add(3, np.array([[[False, True, True]]]))
    >>> layering.maps.tolist()
    [[[[1, 1, 2]]], [[[0, 3, 3]]]]
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self._layers = [np.zeros(tuple(shape), np.uint16)]

    def add(self, value: int, mask: MaskArray) -> None:
        """Put a mask in, beside those before it; LimitError when it takes one map too many."""
        box = bounds(mask)
        if box is None:
            return
        inside = mask[box.slices]
        for layer in self._layers:
            there = layer[box.slices]
            if not there[inside].any():
                there[inside] = value
                return
        if len(self._layers) == MAX_LAYERS:
            raise LimitError(f"At most {MAX_LAYERS} masks may overlap in one place; this file has more.")
        self._layers.append(np.zeros_like(self._layers[0]))
        self._layers[-1][box.slices][inside] = value

    @property
    def maps(self) -> LabelMap:
        """The map [z y x], or, where masks share voxels, the maps [layer z y x]."""
        return self._layers[0] if len(self._layers) == 1 else np.stack(self._layers)


def map_with(maps: LabelMap, value: int) -> int:
    """Return which of the maps [layer z y x] has a label; 0 where there is one map [z y x], or none has it.

    >>> map_with(np.array([[[[1, 2]]], [[[0, 3]]]], np.uint16), 3)
    1
    """
    return next((i for i, one in enumerate(maps) if (one == value).any()), 0) if maps.ndim == 4 else 0


def stacked(layers: Mapping[int, LabelMap]) -> LabelMap:
    """Return the maps of layers, the lowest first, as one array [layer z y x]; a single one as it is, [z y x].

    Layers without a voxel are left out.
    """
    used = [layers[number] for number in sorted(layers) if layers[number].any()]
    if len(used) > 1:
        return np.stack(used)
    return used[0] if used else layers[min(layers)]


def flattened(layers: Mapping[int, LabelMap], labels: Mapping[int, Label]) -> LabelMap:
    """Return one map of all layers: where labels share a voxel, the one further down the list has it (`FLAT`).

    >>> from segmend.core.session import PALETTE
    >>> layers = {0: np.array([[[1, 1, 0]]], np.uint16), 5: np.array([[[0, 2, 2]]], np.uint16)}
    >>> organ, tumour = Label(1, "organ", PALETTE[0]), Label(2, "tumour", PALETTE[1], layer=5)
    >>> flattened(layers, {1: organ, 2: tumour}).tolist(), flattened(layers, {2: tumour, 1: organ}).tolist()
    ([[[1, 2, 2]]], [[[1, 1, 2]]])
    """
    first, *others = layers
    if not others:
        return layers[first]
    flat = layers[0].copy() if 0 in layers else np.zeros_like(layers[first])
    over = False  # labels of the first layer are there already, but for those below one that overlaps them
    for value, label in labels.items():
        over = over or label.layer != 0
        if over and label.layer in layers:
            flat[layers[label.layer] == value] = value
    return flat
