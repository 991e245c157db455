"""Small scenes with a known object: bright on dark, in noise, with unequal sides and spacing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from segmend.core.image import Image, MaskArray, scale_affine
from segmend.core.segmenter import Segmenter, answer
from segmend.users import LargestError
from segmend.users.play import rounds


@dataclass(frozen=True, eq=False)
class Scene:
    image: Image
    truth: MaskArray


def disc(*, shape=(90, 120), centre=(40, 70), radius=18, contrast=60, noise=12, channels=1, seed=0) -> Scene:
    """A bright disc with a similar disc far away that is not the object."""
    y, x = np.ogrid[: shape[0], : shape[1]]
    truth = (y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2
    other = (y - 75) ** 2 + (x - 15) ** 2 < 10**2
    clean = 80.0 + contrast * (truth | other)
    voxels = clean + np.random.default_rng(seed).normal(0, noise, (channels, 1, *shape))
    if channels == 3:
        voxels[2, 0] -= 2 * contrast * truth  # the object is yellow, the other white
    return Scene(Image(voxels.clip(0, 255).astype(np.uint8)), truth[None])


def ball(*, noise=15, seed=0) -> Scene:
    """A bright ball in millimetres on thick slices, so flat in voxels, beside a bright wall."""
    shape, spacing = (20, 60, 70), (3.0, 1.0, 1.5)
    z, y, x = np.ogrid[: shape[0], : shape[1], : shape[2]]
    truth = ((z - 9) * 3.0) ** 2 + (y - 28) ** 2 + ((x - 30) * 1.5) ** 2 < 16**2
    wall = (x > 62) & (z >= 0) & (y >= 0)
    voxels = 100.0 * (truth | wall) + np.random.default_rng(seed).normal(0, noise, shape)
    return Scene(Image(voxels[None].astype(np.int16), scale_affine(spacing)), truth)


def two_toned(*, seed=0) -> Scene:
    """A disc whose halves look different: one click cannot know of the other half."""
    scene = disc(seed=seed, noise=8)
    voxels = scene.image.voxels.astype(np.int16).copy()
    left = scene.truth & (np.arange(120) < 66)
    voxels[0][left] += 50
    return Scene(Image(voxels), scene.truth)


def dices(segmenter: Segmenter, scene: Scene, *, interactions: int) -> list[float]:
    """Return Dice after each click of the robot that clicks the largest mistake."""
    turns = rounds(LargestError(), segmenter.open(scene.image), scene.truth, interactions=interactions)
    return [dice(scene, turn.mask) for turn in turns]


def ask(segmenter: Segmenter, scene: Scene, prompts, previous: MaskArray | None = None) -> MaskArray:
    """Return the mask that answers these prompts on a scene."""
    previous = np.zeros(scene.truth.shape, bool) if previous is None else previous
    return answer(segmenter.open(scene.image), prompts, previous).over(previous)


def dice(scene: Scene, mask: MaskArray) -> float:
    return 2 * (mask & scene.truth).sum() / (mask.sum() + scene.truth.sum())
