"""Move a mask's whole boundary a little by one number: the adjustment K, nested by construction.

All voxels outside the mask have one fixed order, that in which a front from the mask reaches them, and so have all
inside, from the background. A step of the front costs its millimetres, less where the logits of the network agree with
what the front would make of the voxel. K says how many voxels to take in that order. So K = 0 changes nothing, a larger
K never takes away a voxel that a smaller one leaves, and the volume becomes what K means: K = (V missing - V too much)
/ V truth, so V truth = V / (1 - K). It is the K of Zhou, Chen and Wang (2019) with the other sign.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, MaskArray, Real, bounds, whole
from segmend.core.seeds import BACKGROUND, FOREGROUND
from segmend.errors import ShapeError
from segmend.solvers.nudge_loops import reached

MOST = 4.0  # times the volume at most
LOGIT_LIMIT = 3.0  # the logits that change the speed of the front are clipped to this
GROWTH = 0.5  # of the mask's longest side: how far it may grow


def nudge_box(mask: MaskArray, spacing: Sequence[float] = (1.0, 1.0, 1.0)) -> Box | None:
    """Return the box in which an adjustment may change a mask, None for an empty mask.

    >>> mask = np.zeros((1, 20, 30), bool); mask[0, 8:12, 10:20] = True
    >>> nudge_box(mask)
    Box(low=(0, 1, 3), high=(1, 19, 27))
    """
    box = bounds(mask)
    if box is None:
        return None
    longest = max(side * step for side, step in zip(box.shape, spacing, strict=True))
    z, y, x = (2 + int(np.ceil(GROWTH * longest / step)) for step in spacing)
    return box.grown((z, y, x)).clipped(mask.shape)


def nudge(
    mask: MaskArray,  # [z y x]
    k: float,
    *,
    logits: Real | None = None,  # [z y x] logits that the network gives the object
    pinned: NDArray[np.uint8] | None = None,  # [z y x] UNKNOWN, FOREGROUND or BACKGROUND
    spacing: Sequence[float] = (1.0, 1.0, 1.0),
) -> MaskArray:
    """Return the mask grown (K above 0) or shrunk (K below 0) to 1 / (1 - K) of its volume.

    At most `MOST` times the volume; one voxel stays. What is pinned keeps its side.

    >>> mask = np.array([[[False, False, True, True, True, True, False, False]]])
    >>> nudge(mask, -1.0).astype(int)
    array([[[0, 0, 0, 1, 1, 0, 0, 0]]])
    >>> int(nudge(mask, 1 / 3).sum()), (nudge(mask, 0.0) == mask).all()
    (6, np.True_)
    """
    for name, array in (("logits", logits), ("pinned", pinned)):
        if array is not None and array.shape != mask.shape:
            raise ShapeError(f"Nudging needs {name} of the mask's shape {mask.shape}; got {array.shape}.")
    volume = int(mask.sum())
    wanted = max(1, round(volume * min(MOST, 1 / max(1 - k, 1 / MOST))))
    if volume == 0 or wanted == volume:
        return mask.copy()

    grow = wanted > volume
    inner = bounds(mask)
    assert inner is not None
    part = (whole(mask.shape) if grow else inner.grown(1).clipped(mask.shape)).slices
    start = np.ascontiguousarray(mask[part] if grow else ~mask[part])
    price = np.ones(start.shape, np.float32)
    if logits is not None:
        np.exp((-0.5 if grow else 0.5) * np.clip(logits[part], -LOGIT_LIMIT, LOGIT_LIMIT), out=price)
    barred = np.zeros(start.shape, bool)
    if pinned is not None:
        np.equal(pinned[part], BACKGROUND if grow else FOREGROUND, out=barred)
    order = reached(start, price, barred, np.asarray(spacing, np.float32), abs(wanted - volume))
    inside = mask[part].copy()
    inside.reshape(-1)[order] = grow
    out = mask.copy()
    out[part] = inside
    return out
