"""Pictures of thin things, drawn: what a network that finds lines learns from.

Dark strands, which part and grow thinner and fainter, run through soft ground with spots, discs and the rim of what a
lens sees, or through any drawn scene; none of that is a strand. Whoever marked them drew them all a little thinner or
wider than they are.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Real
from segmend.learning.drawn.synthetic import scene, shape, smooth_field, smooth_line

Flat = NDArray[np.bool_]  # [n n]
RADII_PIXELS = (0.5, 0.75, 1.0, 1.4, 2.0, 2.8, 4.0)  # the radii of strands, in pixels
RIM_PIXELS = (-0.4, 1.0)  # how far outside a strand's edge the ground truth's edge may lie, in pixels


def strands(rng: np.random.Generator, cells: int) -> tuple[Real, Flat]:  # [n n], [n n]
    """Return light with dark strands in it, and where they were marked.

    >>> light, truth = strands(np.random.default_rng(2), 64)
    >>> light.shape, bool(truth.any()), bool(light[truth].mean() < light[~truth].mean())
    ((64, 64), True, True)
    """
    ground, seen = _ground(rng, cells)
    drawn = rng.uniform(*RIM_PIXELS)
    depth, truth = np.zeros((cells, cells), np.float32), np.zeros((cells, cells), bool)
    strength, share, soft = np.exp(rng.uniform(np.log(0.15), np.log(1.0))), rng.uniform(0.2, 0.9), rng.uniform(0.3, 0.9)
    for _ in range(int(rng.integers(1, 5))):
        mine = strength * rng.uniform(0.6, 1.4)
        for radius, away in _tree(rng, cells):
            inside = away <= radius
            truth |= away <= max(radius + drawn, 0)
            dark = (
                mine * (radius / RADII_PIXELS[-2]) ** share * ndimage.gaussian_filter(inside.astype(np.float32), soft)
            )
            if radius > 1.5 and rng.random() < 0.4:  # light is thrown back from the middle of a wide one
                core = ndimage.gaussian_filter(ndimage.binary_erosion(inside).astype(np.float32), 0.6)
                dark = dark - rng.uniform(0, 0.5) * mine * core
            depth = np.maximum(depth, dark)
    fading = np.clip(1 + rng.uniform(0, 0.4) * smooth_field(rng, 4, cells), 0.3, 1.6)
    light = ground * np.exp(-depth * fading)
    light = np.where(seen, light, rng.uniform(0, 0.04) * ground.mean())
    light = ndimage.gaussian_filter(light, rng.uniform(0, 0.7)) if rng.random() < 0.7 else light
    grain = rng.standard_normal(light.shape, dtype=np.float32)
    if rng.random() < 0.5:
        grain = ndimage.gaussian_filter(grain, rng.uniform(0.4, 1.2))
        grain /= grain.std()
    light = light + np.exp(rng.uniform(np.log(0.004), np.log(0.06))) * grain * (0.3 + 0.7 * seen)
    return np.asarray(np.clip(light, 0, None), np.float32), truth & seen


def _ground(rng: np.random.Generator, cells: int) -> tuple[Real, Flat]:
    """Return what lies under the strands, and what of it is seen."""
    ground = np.zeros((cells, cells), np.float32)
    if rng.random() < 0.2:
        image, _ = scene(rng, cells)
        ground += rng.uniform(0.1, 0.5) * image[0] / max(float(image[0].std()), 1e-6)
    for knots, most in ((2, 0.4), (5, 0.2), (14, 0.1), (40, 0.06)):
        ground += rng.uniform(0, most) * smooth_field(rng, knots, cells)
    for _ in range(int(rng.integers(0, 3))):  # discs and spots, light and dark
        strength, thing = rng.normal(0, 0.5), shape(rng, cells).astype(np.float32)
        ground += strength * ndimage.gaussian_filter(thing, rng.uniform(0.7, 3))
    if rng.random() < 0.3:
        spots = np.zeros_like(ground)
        for y, x in rng.integers(0, cells, (int(rng.integers(1, 25)), 2)):
            spots[y, x] = rng.normal(0, 1)
        size = rng.uniform(0.8, 3)
        ground += rng.uniform(0, 0.6) * ndimage.gaussian_filter(spots, size) * 2 * np.pi * size**2
    ground = np.exp(ground - ground.mean())
    if rng.random() < 0.2:
        ground *= _side(rng, cells, rng.uniform(0.3, 2.0), rng.uniform(0.15, 0.8))
    seen = _side(rng, cells, 0.0, 0.0) > 0.5 if rng.random() < 0.2 else np.ones((cells, cells), bool)
    return ground, seen


def _side(rng: np.random.Generator, cells: int, soft: float, dim: float) -> Real:
    """Return 1 on one side of a rim, a large circle's, and `dim` on the other."""
    rows, columns = np.ogrid[:cells, :cells]
    radius = np.exp(rng.uniform(np.log(0.5), np.log(4.0))) * cells
    way, away = rng.uniform(0, 2 * np.pi), radius + rng.uniform(-0.6, 0.3) * cells
    y, x = cells / 2 + np.sin(way) * away, cells / 2 + np.cos(way) * away
    near = np.hypot(rows - y, columns - x) < radius
    inside = ndimage.gaussian_filter(near.astype(np.float32), soft) if soft else near.astype(np.float32)
    return np.asarray(dim + (1 - dim) * inside, np.float32)


def _tree(rng: np.random.Generator, cells: int) -> list[tuple[float, Real]]:
    """Return how far from a tree's branches each pixel lies, by how wide these are."""
    start = rng.uniform(-0.2, 1.2, 2) * cells
    towards = np.arctan2(*(cells * rng.uniform(0.2, 0.8, 2) - start))
    todo = [(start, towards, np.exp(rng.uniform(np.log(0.6), np.log(4.0))))]
    middles = {radius: np.ones((cells, cells), bool) for radius in RADII_PIXELS}
    for _ in range(int(rng.integers(3, 16))):
        place, heading, radius = todo.pop(int(rng.integers(len(todo)))) if len(todo) > 1 else todo[0]
        steps = int(rng.integers(cells // 4, int(1.5 * cells)))
        turning = heading + np.cumsum(smooth_line(rng, steps) * rng.uniform(0.002, 0.045))
        way = place + np.cumsum(np.stack([np.sin(turning), np.cos(turning)], axis=1), axis=0)
        width = radius * np.linspace(1, rng.uniform(0.5, 1), steps)
        nearest = np.abs(np.log(width[:, None] / RADII_PIXELS)).argmin(axis=1)
        here = np.rint(way).astype(int)
        inside = ((here >= 0) & (here < cells)).all(axis=1)
        for at in np.unique(nearest[inside]):
            middles[RADII_PIXELS[at]][tuple(here[inside & (nearest == at)].T)] = False
        for at_step in rng.integers(0, steps, int(rng.integers(1, 4))):
            side = rng.choice([-1, 1]) * rng.uniform(0.3, 1.3)
            todo.append((way[at_step], turning[at_step] + side, max(width[at_step] * rng.uniform(0.4, 0.95), 0.45)))
    return [(radius, ndimage.distance_transform_edt(away)) for radius, away in middles.items() if not away.all()]
