"""Drawn volumes: random anatomy in space, as `synthetic` draws it in the plane; cells are cubes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import MaskArray, Real
from segmend.learning.drawn.synthetic import LAYERED_SHARE, choose_target, layers, smooth_line, splines

MIN_OBJECT_SIZE = 40  # the fewest cells of a drawn object


def smooth_solid(rng: np.random.Generator, knots: int, cells: int) -> Real:  # [n n n]
    """Return a smooth random field of about unit deviation; more knots, finer hills.

    >>> smooth_solid(np.random.default_rng(0), 3, 8).shape
    (8, 8, 8)
    """
    basis = splines(knots + 3, cells)
    field = rng.standard_normal((knots + 3,) * 3, dtype=np.float32)
    for _ in range(3):  # along the first axis, which goes to the end
        field = np.tensordot(field, basis, axes=([0], [1]))
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)


def solid(rng: np.random.Generator, cells: int) -> MaskArray:  # [n n n]
    """Return one random object: a blob, a shell, a thing with lobes or branches, or a tube."""
    for _ in range(4):
        mask = _tube(rng, cells) if rng.random() < 0.15 else _lump(rng, cells)
        if rng.random() < 0.2:
            mask = _join(mask, _tube(rng, cells) if rng.random() < 0.5 else _lump(rng, cells))
        if mask.sum() >= MIN_OBJECT_SIZE:
            return mask
    return _distance(rng, cells, cells / 4) < 1


def _distance(rng: np.random.Generator, cells: int, size: float) -> Real:
    """Return the distance from a random middle in sizes, of a turned and stretched ball."""
    turn, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    stretch = np.exp(rng.uniform(-0.5, 0.5, 3)) * size
    middle = rng.uniform(0.2, 0.8, 3) * cells
    matrix = np.asarray(turn / stretch, np.float32)  # [axis of the grid, axis of the ball]
    lines = [(np.arange(cells, dtype=np.float32) - m)[:, None] * row for m, row in zip(middle, matrix, strict=True)]
    at = lines[0][:, None, None] + lines[1][None, :, None] + lines[2][None, None]
    return np.asarray(np.sqrt(np.einsum("zyxi,zyxi->zyx", at, at)), np.float32)


def _join(mask: MaskArray, other: MaskArray) -> MaskArray:
    """Return both as one object, the other moved to where it meets the first."""
    if not mask.any() or not other.any():
        return mask
    first, second = np.argwhere(mask), np.argwhere(other)
    moved = second + first[len(first) // 3] - second[len(second) // 2]
    out = mask.copy()
    out[tuple(moved[((moved >= 0) & (moved < mask.shape)).all(axis=1)].T)] = True
    return out


def _lump(rng: np.random.Generator, cells: int) -> MaskArray:
    if rng.random() < 0.5:
        size = float(np.exp(rng.uniform(np.log(3), np.log(cells * 0.42))))
    else:  # as large as an object is in a frame round it
        size = float(rng.uniform(0.18, 0.42) * cells)
    distance = _distance(rng, cells, size)
    distance = distance + rng.uniform(0, 0.35) * smooth_solid(rng, int(rng.integers(2, 8)), cells)
    if rng.random() < 0.2:
        return np.asarray((distance < 1) & (distance > rng.uniform(0.5, 0.85)))
    return np.asarray(distance < 1)


def _tube(rng: np.random.Generator, cells: int) -> MaskArray:
    steps = 4 * cells
    heading = np.stack([smooth_line(rng, steps) for _ in range(3)])
    heading /= np.maximum(np.linalg.norm(heading, axis=0), 1e-6)
    path = rng.uniform(0.2, 0.8, (3, 1)) * cells + np.cumsum(heading * 0.5, axis=1)
    at = path[:, ((path >= 0) & (path < cells)).all(axis=0)].astype(int)
    line = np.ones((cells,) * 3, bool)
    line[tuple(at)] = False
    return np.asarray(ndimage.distance_transform_edt(line) < rng.uniform(1.2, 4.5)) & bool(at.size)


def volume(rng: np.random.Generator, cells: int) -> tuple[Real, MaskArray]:  # [n n n] both
    """Return a drawn volume of one channel, and one object in it.

    >>> image, truth = volume(np.random.default_rng(0), 24)
    >>> image.shape, bool(truth.any())
    ((24, 24, 24), True)
    """
    knots = int(np.exp(rng.uniform(np.log(2), np.log(9))))
    count = int(rng.integers(2, 6))
    fields = [smooth_solid(rng, knots, cells) + rng.normal(0, 0.4) for _ in range(count)]
    regions = np.argmax(fields, axis=0)
    for _ in range(int(rng.integers(0, 4))):
        regions[solid(rng, cells)] = count
        count += 1
    if rng.random() < 0.6:
        truth = solid(rng, cells)
        some = [truth]
        if rng.random() < LAYERED_SHARE:
            some = layers(rng, truth, smooth_solid(rng, int(rng.integers(2, 6)), cells))
            truth = choose_target(rng, some)
        for layer in some:
            regions[layer] = count
            count += 1
    else:
        truth = _one_region(rng, regions)
    return _simulate_device(rng, _paint(rng, regions, count, cells)), truth


def _one_region(rng: np.random.Generator, regions: NDArray[np.intp]) -> MaskArray:
    """Return one connected piece of the regions, neither a speck nor everything."""
    for _ in range(6):
        place = tuple(rng.integers(0, len(regions), 3))
        pieces, _ = ndimage.label(regions == regions[place])
        piece = np.asarray(pieces == pieces[place])
        if MIN_OBJECT_SIZE <= piece.sum() <= 0.5 * piece.size:
            return piece
    return solid(rng, len(regions))


def _paint(rng: np.random.Generator, regions: NDArray[np.intp], count: int, cells: int) -> Real:
    intensities = rng.uniform(-1, 1, count).astype(np.float32)
    image = intensities[regions]
    strength = float(rng.choice([0.0, 0.1, 0.25, 0.5]))
    if strength:
        grain = rng.random() < 0.3
        texture = (
            rng.standard_normal(regions.shape, dtype=np.float32)
            if grain
            else smooth_solid(rng, int(np.exp(rng.uniform(np.log(5), np.log(24)))), cells)
        )
        image = image + texture * rng.uniform(0, strength, count).astype(np.float32)[regions]
    return np.asarray(image, np.float32)


def _simulate_device(rng: np.random.Generator, image: Real) -> Real:
    """Return the volume as a random scanner would show it: bias, thick slices, blur, noise."""
    if rng.random() < 0.5:
        image = image * (1 + 0.35 * rng.random() * smooth_solid(rng, 2, len(image)))
    if rng.random() < 0.5:
        image = ndimage.gaussian_filter(image, rng.uniform(0.4, 1.3))
    level = rng.uniform(0, 0.35)
    image = image + level * rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.25:
        image = thicken_slices(rng, image)
    return np.asarray(image, np.float32)


def thicken_slices(rng: np.random.Generator, image: Real) -> Real:  # [n n n]
    """Return a volume as thicker slices along one axis show it."""
    axis, step = int(rng.integers(3)), int(rng.integers(2, 6))
    moved = np.moveaxis(image, axis, 0)
    starts = np.arange(0, len(moved), step)
    means = np.add.reduceat(moved, starts, axis=0)
    sizes = np.diff([*starts, len(moved)])
    means = means / sizes[:, None, None]
    return np.moveaxis(np.repeat(means, sizes, axis=0), 0, axis)
