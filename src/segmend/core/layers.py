"""Label maps by layer as one array: a mask of each label, or one label a voxel where a file can hold no more."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from segmend.core.image import LabelMap, MaskArray
from segmend.core.session import Label

# What a map with one label a voxel says where labels share voxels, for whoever takes such a file away.
FLAT = "Where labels overlap, the one further down the list has the voxel."


def label_mask(maps: LabelMap, value: int) -> MaskArray:
    """Return the mask of a label in a map [z y x], or in maps of several layers [layer z y x].

    >>> label_mask(np.array([[[[1, 2]]], [[[0, 3]]]], np.uint16), 3).tolist()
    [[[False, True]]]
    """
    found = np.asarray(maps == value)
    return found if found.ndim == 3 else np.asarray(found.any(axis=0))


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
