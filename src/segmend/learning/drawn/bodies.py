"""Bodies: a picture and its object rounded off into a volume, so that 3D networks can be trained on pictures, too."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import MaskArray, Real
from segmend.learning.drawn.solids import smooth_solid
from segmend.learning.drawn.synthetic import smooth_line


def body(
    rng: np.random.Generator, picture: Real, truth: NDArray[np.bool_], beyond: Real
) -> tuple[Real, MaskArray]:  # 3 [n n] -> 2 [n n n]
    """Return a volume round the picture's object, which shrinks towards a point at both ends of the first axis.

    Its surroundings shrink with it and pass into those of another picture (`beyond`), in the first one's intensities.
    Planes shift and rotate from one to the next, and all is deformed a little.

    >>> truth = np.zeros((24, 24), bool); truth[8:16, 9:15] = True
    >>> image, inside = body(np.random.default_rng(0), truth.astype(np.float32), truth, np.zeros((24, 24), np.float32))
    >>> image.shape, bool(inside.any()), bool(inside[0].any()), bool(inside[:, 0].any())
    ((24, 24, 24), True, False, False)
    """
    cells = len(picture)
    middle = np.argwhere(truth).mean(axis=0)
    reach = float(np.linalg.norm(np.argwhere(truth) - middle, axis=1).max()) + 1
    at = np.indices((cells,) * 3, np.float32)
    at += rng.uniform(0, 0.06) * cells * np.stack([smooth_solid(rng, int(rng.integers(2, 6)), cells) for _ in range(3)])
    z = np.clip(at[0], 0, cells - 1).astype(np.intp)
    share = _shares(rng, cells, reach)[z]
    y, x = _followed(rng, at, z, middle, 0.15 * reach)
    away = np.hypot(y, x) / reach / np.maximum(share, 1e-3)  # in reaches of the object in this plane
    own = np.stack([y, x]) / np.maximum(share, 1e-3)
    intensities = _intensities_at(picture, own, middle)
    inside = ndimage.map_coordinates(truth.astype(np.float32), own + middle[:, None, None, None], order=1) > 0.5
    centre = np.full(2, (cells - 1) / 2)
    ground = _intensities_at(beyond, np.stack(_followed(rng, at, z, centre, 0.2 * cells)), centre)
    ground = (ground - ground.mean()) / max(float(ground.std()), 1e-6) * picture.std() + picture.mean()
    kept = np.clip((rng.uniform(1.5, 3.0) - away) / 0.5, 0, 1) * (share > 0)
    return np.asarray(kept * intensities + (1 - kept) * ground, np.float32), np.asarray(inside & (share > 0))


def _shares(rng: np.random.Generator, cells: int, reach: float) -> Real:  # [n]
    """Return how large the object is in each plane beside the picture's: 1 about its middle, 0 beyond its ends."""
    half = float(np.clip(reach * np.exp(rng.uniform(-0.5, 0.9)), 3, 0.48 * cells))
    middle = (cells - 1) / 2 + rng.uniform(-1, 1) * max(cells / 2 - half, 0)
    roundness = float(np.exp(rng.uniform(np.log(1.4), np.log(4.0))))
    away = np.minimum(np.abs(np.arange(cells) - middle) / half, 1)
    share = (1 - away**roundness) ** (1 / roundness)
    return np.asarray(share * (1 - 0.15 * rng.random() * (1 + np.tanh(_drift(rng, cells)))), np.float32)


def _followed(
    rng: np.random.Generator, at: Real, z: NDArray[np.intp], middle: NDArray[np.float64], far: float
) -> tuple[Real, Real]:
    """Return rows and columns from the middle, in planes that drift so far and turn as they follow each other."""
    turn, down, right = (rng.uniform(0, most) * _drift(rng, len(z))[z] for most in (0.8, far, far))
    y, x = at[1] - middle[0] - down, at[2] - middle[1] - right
    return np.cos(turn) * y - np.sin(turn) * x, np.sin(turn) * y + np.cos(turn) * x


def _drift(rng: np.random.Generator, cells: int) -> Real:  # [n]
    """Return a smooth line that is 0 in the middle."""
    line = smooth_line(rng, cells)
    return np.asarray(line - line[cells // 2], np.float32)


def _intensities_at(picture: Real, from_middle: Real, middle: NDArray[np.float64]) -> Real:
    where = from_middle + middle[:, None, None, None]
    return np.asarray(ndimage.map_coordinates(picture, where, order=1, mode="mirror"), np.float32)
