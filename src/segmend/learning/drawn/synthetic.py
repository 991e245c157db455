"""Images and objects made on the fly, so that a network learns to find any object that is marked, not certain organs.

`scene` draws a random anatomy: smooth regions, blobs, rings, tubes and cells, each with a
intensity and a texture of its own, seen through a random modality (bias field, blur, noise,
speckle, colour). `similar_region` takes a region of similar intensity from a real image, and
`paste_object` puts a drawn object into a real image. Everything is a function of a generator.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Real

Flat = NDArray[np.bool_]  # [n n]
MIN_OBJECT_SIZE = 24  # the fewest pixels of a drawn object
LAYERED_SHARE = 0.35  # the share of drawn objects that are made of layers, as a wall and what it holds


@lru_cache(maxsize=64)
def splines(knots: int, cells: int) -> Real:  # [cells knots]
    """Return the cubic B-splines of a line of knots at a line of cells."""
    at = np.linspace(0, knots - 3, cells, endpoint=False)[:, None] - np.arange(-1, knots - 1)[None]
    t = np.abs(at)
    near, far = 2 / 3 - t**2 + t**3 / 2, (2 - t) ** 3 / 6
    return np.where(t < 1, near, np.where(t < 2, far, 0)).astype(np.float32)


def smooth_field(rng: np.random.Generator, knots: int, cells: int) -> Real:  # [n n]
    """Return a smooth random field of about unit deviation; more knots, finer hills."""
    basis = splines(knots + 3, cells)
    field = basis @ rng.standard_normal((knots + 3, knots + 3), dtype=np.float32) @ basis.T
    return np.asarray(field / max(float(field.std()), 1e-6), np.float32)


def shape(rng: np.random.Generator, cells: int) -> Flat:
    """Return one random object: a blob, a ring, a tube, a star of lobes or a thing with corners."""
    for _ in range(8):
        mask = _SHAPES[rng.integers(len(_SHAPES))](rng, cells)
        if mask.sum() >= MIN_OBJECT_SIZE:
            return mask
    return _blob(rng, cells) | _disc(cells, cells / 2, cells / 2, 6.0)


def _disc(cells: int, y: float, x: float, radius: float) -> Flat:
    rows, columns = np.ogrid[:cells, :cells]
    return np.asarray((rows - y) ** 2 + (columns - x) ** 2 <= radius**2)


def _polar(rng: np.random.Generator, cells: int) -> tuple[Real, Real, float]:
    """Return warped distance and angle from a random centre, and a random size."""
    size = float(np.exp(rng.uniform(np.log(4), np.log(cells * 0.45))))
    y0, x0 = rng.uniform(0.15 * cells, 0.85 * cells, 2)
    rows, columns = (a.astype(np.float32) for a in np.mgrid[:cells, :cells])
    deformation = rng.uniform(0, 0.35) * size
    knots = int(rng.integers(3, 10))
    rows = rows - y0 + deformation * smooth_field(rng, knots, cells)
    columns = columns - x0 + deformation * smooth_field(rng, knots, cells)
    turn, stretch = rng.uniform(0, np.pi), float(np.exp(rng.uniform(-0.7, 0.7)))
    u = (np.cos(turn) * rows + np.sin(turn) * columns) * stretch
    v = (-np.sin(turn) * rows + np.cos(turn) * columns) / stretch
    return np.hypot(u, v).astype(np.float32), np.arctan2(v, u).astype(np.float32), size


def _blob(rng: np.random.Generator, cells: int) -> Flat:
    distance, _, size = _polar(rng, cells)
    return np.asarray(distance < size)


def _ring(rng: np.random.Generator, cells: int) -> Flat:
    distance, angle, size = _polar(rng, cells)
    ring = (distance < size) & (distance > size * rng.uniform(0.4, 0.85))
    if rng.random() < 0.3:
        ring &= np.abs(angle) < rng.uniform(1.0, 3.0)
    return np.asarray(ring)


def _lobes(rng: np.random.Generator, cells: int) -> Flat:
    distance, angle, size = _polar(rng, cells)
    waves = np.sin(int(rng.integers(2, 8)) * angle + rng.uniform(0, 6.3))
    return np.asarray(distance < size * (1 + rng.uniform(0.1, 0.5) * waves))


def _tube(rng: np.random.Generator, cells: int) -> Flat:
    width = rng.uniform(1.2, 7.0)
    steps = np.cumsum(smooth_line(rng, 160) * rng.uniform(0.02, 0.12)) + rng.uniform(0, 6.3)
    pace = rng.uniform(0.4, 0.9)
    y = rng.uniform(0.2, 0.8) * cells + np.cumsum(np.sin(steps)) * pace
    x = rng.uniform(0.2, 0.8) * cells + np.cumsum(np.cos(steps)) * pace
    inside = (y > 0) & (y < cells - 1) & (x > 0) & (x < cells - 1)
    line = np.ones((cells, cells), bool)
    line[y[inside].astype(int), x[inside].astype(int)] = False
    return np.asarray(ndimage.distance_transform_edt(line) < width)


def smooth_line(rng: np.random.Generator, count: int) -> Real:  # [count]
    """Return a smooth random walk of about unit deviation."""
    basis = splines(int(rng.integers(4, 14)) + 3, count)
    return np.asarray(basis @ rng.standard_normal(basis.shape[1], dtype=np.float32) * 1.5, np.float32)


def _corners(rng: np.random.Generator, cells: int) -> Flat:
    size = np.exp(rng.uniform(np.log(5), np.log(cells * 0.4)))
    y0, x0 = rng.uniform(0.2 * cells, 0.8 * cells, 2)
    rows, columns = np.mgrid[:cells, :cells].astype(np.float32)
    mask = np.ones((cells, cells), bool)
    for turn in np.sort(rng.uniform(0, 2 * np.pi, int(rng.integers(3, 8)))):
        mask &= np.cos(turn) * (rows - y0) + np.sin(turn) * (columns - x0) < size * rng.uniform(0.5, 1)
    return mask & _disc(cells, y0, x0, float(size) * 1.6)


_SHAPES = (_blob, _blob, _ring, _lobes, _tube, _corners)


Solid = NDArray[np.bool_]  # [...]


def layers(rng: np.random.Generator, inside: Solid, ripple: Real) -> list[Solid]:
    """Return an object, flat or in space, as two or three layers, the outermost first: a wall and what it holds.

    Their walls are thick here and thin there, and may be open, as `ripple`, a smooth field of unit deviation, has it.

    >>> inside = np.zeros((9, 9), bool); inside[1:8, 1:8] = True
    >>> wall, core = layers(np.random.default_rng(1), inside, np.zeros((9, 9), np.float32))
    >>> bool((wall | core == inside).all()), bool((wall & core).any())
    (True, False)
    """
    depth = ndimage.distance_transform_edt(inside)
    depth = depth / max(float(depth.max()), 1.0) + rng.uniform(0, 0.25) * ripple
    cuts = np.sort(rng.uniform(0.15, 0.7, int(rng.integers(1, 3))))
    which = np.searchsorted(cuts, depth)
    found = [inside & (which == i) for i in range(len(cuts) + 1)]
    return [layer for layer in found if layer.any()]


def choose_target(rng: np.random.Generator, some: list[Solid]) -> Solid:
    """Return the ground truth in a layered object: mostly a wall, a layer, or a layer with all inside it."""
    kind, first = rng.random(), int(rng.integers(len(some)))
    wall = first % max(len(some) - 1, 1)
    held = some[first:] if kind < 0.3 else some[first : first + 1] if kind < 0.5 else some[wall : wall + 1]
    found = np.logical_or.reduce(held)
    return np.asarray(found if found.sum() >= MIN_OBJECT_SIZE else np.logical_or.reduce(some))


def blend_object(rng: np.random.Generator, image: Real, inside: Solid) -> Real:  # [... as `inside`]
    """Return a real image, flat or in space, in which an object has other intensities."""
    soft = ndimage.gaussian_filter(inside.astype(np.float32), rng.uniform(0.4, 1.2))
    spread = max(float(image.std()), 1e-6)
    keep = rng.uniform(0.2, 1.0)
    within = image.mean() * (1 - keep) + image * keep + spread * rng.choice([-1, 1]) * rng.uniform(0.35, 1.8)
    return np.asarray(image * (1 - soft) + within * soft, np.float32)


def add_layers(rng: np.random.Generator, image: Real, inside: Solid, ripple: Real) -> tuple[Real, Solid]:
    """Return a real image in which an object has layers, all but the outermost in other intensities, and the truth."""
    some = layers(rng, inside, ripple)
    for layer in some[1:]:
        image = blend_object(rng, image, layer)
    return image, choose_target(rng, some)


def texture(rng: np.random.Generator, cells: int) -> Real:  # [n n]
    """Return a random texture of about unit deviation: hills, grain or stripes."""
    kind = rng.random()
    if kind < 0.6:
        return smooth_field(rng, int(np.exp(rng.uniform(np.log(5), np.log(60)))), cells)
    if kind < 0.8:
        return rng.standard_normal((cells, cells), dtype=np.float32)
    rows, columns = np.mgrid[:cells, :cells].astype(np.float32)
    turn, wave = rng.uniform(0, np.pi), rng.uniform(0.2, 1.2)
    phase = 2 * smooth_field(rng, 6, cells)
    return np.asarray(np.sin((np.cos(turn) * rows + np.sin(turn) * columns) * wave + phase) * 1.4, np.float32)


def vessels(rng: np.random.Generator, cells: int) -> Flat:
    """Return a tree of thin branches that grow thinner as they part."""
    mask = np.zeros((cells, cells), bool)
    start = rng.uniform(0.1, 0.9, 2) * cells
    stems = [(start, rng.uniform(0, 2 * np.pi), rng.uniform(0.7, 2.8))]
    for _ in range(int(rng.integers(3, 14))):
        (y0, x0), heading, width = stems[int(rng.integers(len(stems)))]
        steps = int(rng.integers(cells // 4, cells))
        turning = heading + np.cumsum(smooth_line(rng, steps) * rng.uniform(0.01, 0.06))
        path = np.stack([y0 + np.cumsum(np.sin(turning)), x0 + np.cumsum(np.cos(turning))], axis=1)
        branch = np.ones((cells, cells), bool)
        at = path[((path >= 0) & (path < cells)).all(axis=1)].astype(int)
        branch[tuple(at.T)] = False
        mask |= ndimage.distance_transform_edt(branch) < width
        for at_step in rng.integers(0, steps, 2):
            side = rng.choice([-1, 1]) * rng.uniform(0.3, 1.2)
            stems.append((path[at_step], turning[at_step] + side, max(width * rng.uniform(0.6, 1.0), 0.7)))
    return mask


def angiogram(rng: np.random.Generator, cells: int) -> tuple[Real, Flat]:  # [3 n n], [n n]
    """Return vessels on soft ground, red green blue, as in the ground of an eye, and all of them as one object.

    >>> image, truth = angiogram(np.random.default_rng(0), 64)
    >>> image.shape, bool(truth.any())
    ((3, 64, 64), True)
    """
    truth = np.any([vessels(rng, cells) for _ in range(int(rng.integers(1, 6)))], axis=0)
    tint = rng.uniform(0.2, 1.0, (3, 1, 1)).astype(np.float32)
    ground = np.ones((cells, cells), np.float32)
    for knots, most in ((2, 0.3), (5, 0.12), (20, 0.08)):
        ground += rng.uniform(0, most) * smooth_field(rng, knots, cells)
    if rng.random() < 0.3:  # a bright disc, as where the vessels come in
        ground += rng.uniform(0.2, 0.8) * ndimage.gaussian_filter(shape(rng, cells).astype(np.float32), 1.0)
    soft = ndimage.gaussian_filter(truth.astype(np.float32), rng.uniform(0.4, 1.0))
    fading = np.clip(1 + rng.uniform(0, 0.5) * smooth_field(rng, 4, cells), 0.2, 2)
    contrast = rng.choice([-1, 1], p=[0.7, 0.3]) * rng.uniform(0.1, 0.5) * rng.uniform(0.3, 1.0, (3, 1, 1))
    image = tint * (ground + contrast * soft * fading)
    return np.asarray(image + rng.uniform(0, 0.06) * rng.standard_normal(image.shape), np.float32), truth


def membrane(rng: np.random.Generator, cells: int) -> Flat:
    """Return the thin walls between cells that fill the plane."""
    knots = int(rng.integers(3, 9))
    regions = np.argmax([smooth_field(rng, knots, cells) for _ in range(int(rng.integers(4, 9)))], axis=0)
    walls = np.zeros((cells, cells), bool)
    walls[1:] |= regions[1:] != regions[:-1]
    walls[:, 1:] |= regions[:, 1:] != regions[:, :-1]
    width = int(rng.integers(0, 3))
    return np.asarray(ndimage.binary_dilation(walls, iterations=width) if width else walls)


def scene(rng: np.random.Generator, cells: int, truth: Flat | None = None) -> tuple[Real, Flat]:  # [3 n n], [n n]
    """Return an image, red green blue, and one object in it: a given one, or any.

    >>> image, truth = scene(np.random.default_rng(1), 32)
    >>> image.shape, truth.shape, bool(truth.any())
    ((3, 32, 32), (32, 32), True)
    """
    count = int(rng.integers(2, 9))
    knots = int(np.exp(rng.uniform(np.log(2), np.log(14))))
    regions = np.argmax([smooth_field(rng, knots, cells) + rng.normal(0, 0.4) for _ in range(count)], axis=0)
    given = truth is not None
    for _ in range(int(rng.integers(0, 5))):
        regions[shape(rng, cells)] = count
        count += 1
    if rng.random() < 0.15:  # many small things alike
        for y, x in rng.uniform(0, cells, (int(rng.integers(5, 40)), 2)):
            regions[_disc(cells, y, x, rng.uniform(2, 9))] = count
        count += 1
    if given or rng.random() < 0.45:
        truth = truth if truth is not None else shape(rng, cells)
        if not given and rng.random() < LAYERED_SHARE:
            some = layers(rng, truth, smooth_field(rng, int(rng.integers(2, 6)), cells))
            truth = choose_target(rng, some)
        else:
            some = [truth]
        for layer in some:
            regions[layer] = count
            count += 1
    image = _paint(rng, regions, count, cells)
    if truth is None:
        truth = _one_region(rng, regions)
    if not given and rng.random() < 0.2:  # something lies on top and hides a part
        hidden = shape(rng, cells)
        if (truth & ~hidden).sum() > 0.6 * truth.sum():
            image[:, hidden] = image[:, hidden] * 0.3 + rng.uniform(-1, 1)
            truth &= ~hidden
    return simulate_device(rng, image, cells), truth


def _paint(rng: np.random.Generator, regions: NDArray[np.intp], count: int, cells: int) -> Real:
    """Return every region in an intensity and a texture of its own, in colour or in grey."""
    colour = rng.random() < 0.35
    intensities = rng.uniform(-1, 1, (3 if colour else 1, count)).astype(np.float32)
    image = intensities[:, regions]
    strength = float(rng.choice([0.0, 0.1, 0.25, 0.5]))
    if strength:
        textures = [texture(rng, cells) for _ in range(min(count, 3))]
        own = rng.integers(0, len(textures), count)
        amplitude = rng.uniform(0, strength, count).astype(np.float32)
        image = image + np.choose(own[regions], textures) * amplitude[regions]
    return np.asarray(np.broadcast_to(image, (3, cells, cells)), np.float32).copy()


def _one_region(rng: np.random.Generator, regions: NDArray[np.intp]) -> Flat:
    """Return one connected component of the regions, neither tiny nor nearly everything."""
    for _ in range(10):
        y, x = rng.integers(0, len(regions), 2)
        pieces, _ = ndimage.label(regions == regions[y, x])
        piece = np.asarray(pieces == pieces[y, x])
        if MIN_OBJECT_SIZE <= piece.sum() <= 0.6 * piece.size:
            return piece
    return shape(rng, len(regions))


def simulate_device(rng: np.random.Generator, image: Real, cells: int) -> Real:  # [3 n n]
    """Return the image as a random scanner would give it: bias field, blur, noise, speckle."""
    if rng.random() < 0.5:
        image = image * (1 + 0.35 * rng.random() * smooth_field(rng, 2, cells))
    if rng.random() < 0.6:
        image = np.stack([ndimage.gaussian_filter(c, rng.uniform(0.4, 2.0)) for c in image])
    kind = rng.random()
    level = rng.uniform(0, 0.35)
    grain = rng.standard_normal((cells, cells), dtype=np.float32)
    if rng.random() < 0.4:
        grain = ndimage.gaussian_filter(grain, rng.uniform(0.5, 1.5)) * 2
    if kind < 0.25:
        image = (image + 1.5) * (1 + 1.5 * level * grain)
    elif kind < 0.85:
        image = image + level * grain
    return np.asarray(image, np.float32)


def similar_region(rng: np.random.Generator, image: Real) -> NDArray[np.bool_] | None:  # [c ...] -> [...]
    """Return a connected component of similar intensity in a real image, flat or in space; None where none fits."""
    grey = ndimage.gaussian_filter(image.mean(axis=0), rng.uniform(0.7, 2.5))
    low, high = np.percentile(grey, (2, 98))
    at = tuple(rng.integers(4, len(grey) - 4, grey.ndim))
    width = rng.uniform(0.05, 0.2) * max(float(high - low), 1e-6)
    pieces, _ = ndimage.label(np.abs(grey - grey[at]) < width)
    if pieces[at] == 0:
        return None
    piece = ndimage.binary_fill_holes(ndimage.binary_opening(pieces == pieces[at], iterations=1))
    if not 40 <= piece.sum() <= 0.45 * piece.size:
        return None
    largest, count = ndimage.label(piece)
    if count > 1:
        piece = largest == 1 + int(np.argmax(np.bincount(largest.ravel())[1:]))
    return np.asarray(piece, bool)


def paste_object(rng: np.random.Generator, image: Real, cells: int) -> tuple[Real, Flat]:  # [3 n n]
    """Return a real image with a drawn object blended into it, and the object."""
    truth = shape(rng, cells)
    soft = ndimage.gaussian_filter(truth.astype(np.float32), rng.uniform(0.5, 1.6))
    spread = max(float(image.std()), 1e-6)
    shift = spread * rng.choice([-1, 1]) * rng.uniform(0.35, 1.8)
    keep = rng.uniform(0.2, 1.0)
    inside = image.mean(axis=(1, 2), keepdims=True) * (1 - keep) + image * keep + shift
    inside = inside + spread * rng.uniform(0, 0.5) * texture(rng, cells)
    return np.asarray(image * (1 - soft) + inside * soft, np.float32), truth
