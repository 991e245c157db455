"""Random augmentation of a training picture: of its geometry, by a warped grid, and of its intensity."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Real
from segmend.learning.drawn.synthetic import smooth_field

Grid = NDArray[np.float32]  # [2 n n] where each cell looks, in cells


def random_grid(
    rng: np.random.Generator, cells: int, *, turn: float = 0.5, stretch: float = 0.25, ripple: float = 3.0
) -> Grid:
    """Return a square sampling grid under a random rotation (radians), scaling and elastic deformation (cells).

    >>> random_grid(np.random.default_rng(0), 8, turn=0, stretch=0, ripple=0)[0, :3, 0].tolist()
    [0.0, 1.0, 2.0]
    """
    angle = rng.uniform(-turn, turn)
    scales = np.exp(rng.uniform(-stretch, stretch, 2))
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scales
    centre = (cells - 1) / 2
    at = np.mgrid[:cells, :cells].astype(np.float32) - centre
    grid = np.einsum("ij,jyx->iyx", matrix, at) + centre
    if ripple:
        knots = int(rng.integers(3, 8))
        size = rng.uniform(0, ripple)
        grid = grid + size * np.stack([smooth_field(rng, knots, cells) for _ in range(2)])
    return np.asarray(grid, np.float32)


def warp(channel: NDArray[np.generic], grid: Grid) -> Real:  # [n n]
    """Return the channel sampled at the grid; outside it is 0."""
    return np.asarray(ndimage.map_coordinates(channel.astype(np.float32), grid, order=1, cval=0.0), np.float32)


def augment_intensity(rng: np.random.Generator, image: Real, *, colour: bool | None = None) -> Real:  # [c n n]
    """Return the image with a random gamma, inversion, colour cast, blur, noise and bias field.

    The channels are colours (`colour`, usual where there are three), or planes that each have noise of their own.
    """
    planes = colour is False
    low, high = np.percentile(image, (0.5, 99.5))
    out = np.clip((image - low) / max(float(high - low), 1e-6), 0, 1)
    if rng.random() < 0.5:
        out = out ** np.exp(rng.uniform(-0.7, 0.7))
    if rng.random() < 0.25:
        out = 1 - out
    if colour is not False and len(out) == 3 and rng.random() < 0.5:
        out = out * rng.uniform(0.6, 1.3, (3, 1, 1)) + rng.uniform(-0.15, 0.15, (3, 1, 1))
    if rng.random() < 0.2:
        out = np.stack([ndimage.gaussian_filter(c, rng.uniform(0.5, 1.5)) for c in out])
    if rng.random() < 0.4:
        noise = rng.standard_normal(out.shape if planes else out.shape[1:]) * rng.uniform(0, 0.12)
        out = out * (1 + noise) if rng.random() < 0.4 else out + noise
    if rng.random() < 0.25:
        out = out * (1 + 0.3 * rng.random() * smooth_field(rng, 2, out.shape[1]))
    return np.asarray(out, np.float32)
