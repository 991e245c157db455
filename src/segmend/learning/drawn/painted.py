"""Images drawn from label maps: every structure in random intensities, seen through a random device.

A network that learns from such images learns to find what is marked, whatever it looks like, for no intensity belongs
to any organ (the idea of SynthSeg, Billot et al. 2023, here for single planes with the planes beside them).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend.core.image import Real
from segmend.learning.drawn.synthetic import shape, smooth_field, texture

Flat = NDArray[np.bool_]  # [n n]
Labels = NDArray[np.integer]  # [k n n] the same structures in neighbouring planes


def paint(rng: np.random.Generator, labels: Labels) -> Real:  # [k n n] -> [k n n]
    """Return images of label maps: intensity, texture and contrast at random for each label, and what lies between.

    >>> labels = np.zeros((3, 32, 32), int); labels[:, 8:20, 8:20] = 5
    >>> paint(np.random.default_rng(0), labels).shape
    (3, 32, 32)
    """
    values, inverse = np.unique(labels, return_inverse=True)
    cells = labels.shape[-1]
    index = _divide_background(
        rng, inverse.reshape(labels.shape), int(np.flatnonzero(values == 0)[0]) if (values == 0).any() else -1, cells
    )
    count = int(index.max()) + 1
    tones = rng.uniform(0, 1, count)
    if rng.random() < 0.3:  # some structures look alike: the edge between them is not to be seen
        tones = np.round(tones * rng.integers(3, 7)) / 6
    image = tones[index].astype(np.float32)
    strength = float(rng.choice([0.0, 0.08, 0.2, 0.4]))
    if strength:
        rows = np.arange(cells)
        textures = np.stack([texture(rng, cells) for _ in range(min(count, 3))])
        own, amplitude = rng.integers(0, len(textures), count), rng.uniform(0, strength, count).astype(np.float32)
        image += textures[own[index], rows[:, None], rows[None]] * amplitude[index]
    if rng.random() < 0.25:  # bright or dark lesions, vessels or air that no label names
        for _ in range(int(rng.integers(1, 5))):
            image[:, shape(rng, cells)] += rng.uniform(-0.5, 0.5)
    return _through_device(rng, image, cells)


def _divide_background(rng: np.random.Generator, index: Labels, background: int, cells: int) -> Labels:
    """Return labels with the background divided into some regions, as a body has more than what is labelled."""
    if background < 0 or rng.random() < 0.2:
        return index
    count, knots = int(rng.integers(2, 7)), int(rng.integers(1, 9))
    fields = [smooth_field(rng, knots, cells) + rng.normal(0, 0.5) for _ in range(count)]
    regions = np.argmax(fields, axis=0) + int(index.max()) + 1
    return np.where(index == background, regions[None], index)


def _through_device(rng: np.random.Generator, image: Real, cells: int) -> Real:
    """Return the planes as a scanner would give them: blurred, uneven, noisy, now and then coarse."""
    if rng.random() < 0.8:
        sigma = float(rng.uniform(0.3, 1.8))
        image = ndimage.gaussian_filter(image, (0, sigma, sigma))
    if rng.random() < 0.15:
        step = int(rng.integers(2, 5))
        coarse = image[:, ::step, ::step].repeat(step, axis=1).repeat(step, axis=2)[:, :cells, :cells]
        image = ndimage.gaussian_filter(coarse, (0, step / 3, step / 3))
    if rng.random() < 0.5:
        image = image * (1 + 0.4 * rng.random() * smooth_field(rng, 2, cells))
    level = rng.uniform(0, 0.2)
    grain = rng.standard_normal(image.shape, dtype=np.float32)
    if rng.random() < 0.35:
        sigma = float(rng.uniform(0.5, 1.5))
        grain = ndimage.gaussian_filter(grain, (0, sigma, sigma)) * 2
    image = image * (1 + 2 * level * grain) if rng.random() < 0.25 else image + level * grain
    return np.asarray(image, np.float32)
