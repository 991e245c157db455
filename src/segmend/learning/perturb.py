"""Random errors for masks, in a plane or in space: masks to start from, as other methods and people draw them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Real
from segmend.learning.drawn.solids import smooth_solid
from segmend.learning.drawn.synthetic import smooth_field

Mask = NDArray[np.bool_]  # [n n] or [n n n]

# The standard deviation of the Gaussian that hides a mask's details, in cells, by the mask's dimensions.
BLUR_CELLS = {2: (1.0, 6.0), 3: (0.7, 3.0)}
# The radius of the ball in which a mask is wrong, in the side of its grid, by the mask's dimensions.
ERROR_RADII = {2: (0.05, 0.3), 3: (0.08, 0.3)}
# The standard deviation of that ball's centre about a cell of the mask, in cells, by the mask's dimensions.
ERROR_JITTER_CELLS = {2: 3.0, 3: 2.0}


def perturb_mask(rng: np.random.Generator, mask: Mask) -> Mask:
    """Return a mask with its boundary moved in and out, pieces lost and gained.

    >>> mask = np.zeros((32, 32), bool); mask[8:24, 8:24] = True
    >>> bool(0 < (perturb_mask(np.random.default_rng(0), mask) ^ mask).sum() < 200)
    True
    """
    return _perturb_in_plane(rng, mask) if mask.ndim == 2 else _perturb_in_space(rng, mask)


def _perturb_in_plane(rng: np.random.Generator, mask: Mask) -> Mask:
    if not mask.any():
        return mask
    signed_distance: Real = ndimage.distance_transform_edt(mask) - ndimage.distance_transform_edt(~mask)
    depth = 0.5 * float(signed_distance.max())
    shift = smooth_field(rng, int(rng.integers(3, 14)), len(mask)) * rng.uniform(0.1, 1.0) * min(depth, 8.0)
    return np.asarray(signed_distance + shift + rng.uniform(-0.5, 0.5) * depth > 0)


def _perturb_in_space(rng: np.random.Generator, mask: Mask) -> Mask:
    """Return the mask with its boundary moved, which costs one blur instead of two distance transforms."""
    soft = ndimage.gaussian_filter(mask.astype(np.float32), rng.uniform(1.0, 3.0))
    shift = smooth_solid(rng, int(rng.integers(2, 9)), len(mask)) * rng.uniform(0.05, 0.3)
    return np.asarray(soft + shift * (soft > 0.02) + rng.uniform(-0.2, 0.2) * (soft > 0.02) > 0.5)


def blur_mask(rng: np.random.Generator, mask: Mask) -> Mask:
    """Return a mask without its details, as at a low resolution."""
    blurred = ndimage.gaussian_filter(mask.astype(np.float32), rng.uniform(*BLUR_CELLS[mask.ndim]), mode="nearest")
    return np.asarray(blurred > rng.uniform(0.3, 0.7))


def add_local_error(rng: np.random.Generator, mask: Mask) -> Mask:
    """Return a mask that is wrong within one ball: at its boundary in a plane, anywhere in it in space."""
    cells = np.argwhere(mask & ~ndimage.binary_erosion(mask) if mask.ndim == 2 else mask)
    if not len(cells):
        return mask
    centre = cells[rng.integers(len(cells))] + rng.normal(0, ERROR_JITTER_CELLS[mask.ndim], mask.ndim)
    axes = np.ogrid[tuple(slice(0, n) for n in mask.shape)]
    squared = sum((axis - at) ** 2 for axis, at in zip(axes, centre, strict=True))
    ball = squared < (rng.uniform(*ERROR_RADII[mask.ndim]) * len(mask)) ** 2
    kind = rng.random()
    inside = np.zeros_like(mask) if kind < 0.35 else np.ones_like(mask) if kind < 0.55 else perturb_mask(rng, mask)
    return np.where(ball, inside, mask)
