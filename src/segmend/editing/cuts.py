"""Parting a component by a line drawn across it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from segmend.core.image import Index, MaskArray
from segmend.core.marks import path
from segmend.editing.rules import component_at
from segmend.errors import PromptError


def cut_part(
    mask: MaskArray, points: Sequence[Index], index: Index, axis: int, *, through: bool, low: Index = (0, 0, 0)
) -> MaskArray:
    """Return the part at a voxel that a line cuts off from the rest of its component.

    The line cuts through all slices across `axis`, or its own alone; its own voxels stay with the rest. Points may
    lie beyond the crop, which begins at `low`; `index` lies in it. PromptError where the line cuts nothing off.

    >>> mask = np.ones((2, 1, 5), bool)
    >>> cut_part(mask, [(0, 0, 2), (0, 0, 2)], (0, 0, 4), 0, through=True).astype(int).tolist()
    [[[0, 0, 0, 1, 1]], [[0, 0, 0, 1, 1]]]
    """
    at = (index[0] - low[0], index[1] - low[1], index[2] - low[2])
    plane = None if through else axis
    whole = component_at(mask, at, plane)
    line = path(points) - np.asarray(low)
    blade = np.zeros(mask.shape, bool)
    if through:
        line[:, axis] = 0
    line = line[((line >= 0) & (line < mask.shape)).all(axis=1)]
    blade[tuple(line.T)] = True
    if through:
        blade |= np.take(blade, [0], axis)
    if blade[at]:
        raise PromptError("The voxel that was picked lies on the line that cuts; pick one beside it.")
    faces = np.asarray(ndimage.generate_binary_structure(3, 1))  # a line of corners parts what touches by faces alone
    if plane is not None:
        across = np.moveaxis(faces, plane, 0)
        across[0] = across[2] = False
    numbers, _ = ndimage.label(whole & ~blade, faces)
    part = np.asarray(numbers == numbers[at])
    if int(part.sum()) + int((whole & blade).sum()) >= int(whole.sum()):
        raise PromptError("The line does not cut off the part that was picked; draw it all the way across.")
    return part
