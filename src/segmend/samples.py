"""Sample cases that the project makes itself: phantoms with real-looking contrast, noise and bias.

Each is drawn from a random generator, so it is never stored and there are as many as one likes.
A phantom is a handful of warped ellipsoids, one inside the other, given the grey values and the
flaws of a scanner: partial volume, texture, a bias field, correlated noise. The truth is known.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from segmend import io
from segmend.core.image import Image, Index, LabelMap, MaskArray, Real
from segmend.core.session import PALETTE, Label
from segmend.errors import SettingsError


@dataclass(frozen=True, eq=False)
class Sample:
    """An image whose right segmentation is known."""

    name: str
    modality: str  # as DICOM says it: CT, MR, XC (a photograph)
    image: Image
    truth: LabelMap  # [z y x]
    labels: tuple[Label, ...]


def make(kind: str, *, seed: int = 0, shape: Index | None = None) -> Sample:
    """Return a sample of one kind; the same seed and shape give the same voxels.

    >>> sample = make("head", shape=(1, 64, 48))
    >>> sample.image.shape, [label.name for label in sample.labels]
    ((1, 64, 48), ['tumour', 'ventricles'])
    """
    if kind not in KINDS:
        raise SettingsError(f"There is no sample {kind!r}; there are {', '.join(KINDS)}.")
    draw, default = KINDS[kind]
    return draw(np.random.default_rng(seed), shape or default)


def write_folder(
    folder: Path,
    *,
    cases: int = 4,
    seed: int = 0,
    kinds: Sequence[str] | None = None,
    shapes: Mapping[str, Index] = MappingProxyType({}),
    keep: bool = False,
) -> tuple[Path, ...]:
    """Write sets of samples as folders with images, labels and split.json; return the paths of the images it wrote.

    The first half of each set is for training, the rest for validation. With `keep` cases whose image and labels are
    there are left as they are.
    """
    written: list[Path] = []
    for kind in kinds or tuple(KINDS):
        if kind not in KINDS:
            raise SettingsError(f"There is no sample {kind!r}; there are {', '.join(KINDS)}.")
        names = []
        for number in range(cases):
            shape = shapes.get(kind) or KINDS[kind][1]
            path, labels = _image_path(folder, kind, number, shape), _labels_path(folder, kind, number, shape)
            names.append(path.name.split(".")[0])
            if keep and path.exists() and labels.exists():
                continue
            sample = make(kind, seed=seed + number, shape=shape)
            for file in (path, labels):
                file.parent.mkdir(parents=True, exist_ok=True)
            io.write_image(path, sample.image)
            io.write_mask(labels, sample.truth, sample.image, sample.labels)
            written.append(path)
        half = (cases + 1) // 2
        split = {"train": names[:half], "val": names[half:], "test": []}
        (folder / kind / "split.json").write_text(json.dumps(split, indent=1) + "\n", encoding="utf-8")
    return tuple(written)


def paths_in(folder: Path, *, cases: int, kinds: Sequence[str] | None = None) -> tuple[Path, ...]:
    """Return the images that `write_folder` writes to a folder."""
    known = [kind for kind in kinds or tuple(KINDS) if kind in KINDS]
    return tuple(_image_path(folder, kind, number, KINDS[kind][1]) for kind in known for number in range(cases))


def _image_path(folder: Path, kind: str, number: int, shape: Index) -> Path:
    return folder / kind / "images" / f"{kind}_{number:03d}{'.png' if shape[0] == 1 else '.nii.gz'}"


def _labels_path(folder: Path, kind: str, number: int, shape: Index) -> Path:
    image = _image_path(folder, kind, number, shape)
    return folder / kind / "labels" / image.name


def _abdomen(rng: np.random.Generator, shape: Index) -> Sample:
    """Draw an axial stack of a contrast-enhanced abdomen, in Hounsfield units."""
    spacing = (3.0, 340 / shape[1], 340 / shape[2])
    place = _coordinates(shape)
    body = _blob(place, (0, 0, 0), (3.0, 0.74, 0.92), rng, bumps=0.06)
    inside = _blob(place, (0, 0, 0), (3.0, 0.64, 0.82), rng, bumps=0.06)
    spine = _blob(place, (0, 0.44, 0), (3.0, 0.13, 0.11), rng) & inside
    aorta = _blob(place, (0, 0.24, 0.07), (3.0, 0.055, 0.05), rng, bumps=0.1) & inside
    liver = _blob(place, (0.1, -0.05, -0.42), (0.85, 0.48, 0.36), rng, bumps=0.5) & inside & ~spine & ~aorta
    spleen = _blob(place, (0.0, 0.2, 0.58), (0.5, 0.28, 0.15), rng, bumps=0.3) & inside & ~liver & ~spine
    kidneys = [_blob(place, (-0.25, 0.34, x), (0.55, 0.13, 0.1), rng, bumps=0.2) & inside for x in (-0.33, 0.33)]
    kidney = (kidneys[0] | kidneys[1]) & ~liver & ~spleen & ~spine
    stomach = _blob(place, (0.2, -0.25, 0.3), (0.6, 0.24, 0.24), rng, bumps=0.4) & inside & ~liver & ~spleen
    lesions = np.zeros(shape, bool)
    for _ in range(3):
        centre = _somewhere(liver, rng)
        lesions |= _blob(place, centre, (0.22, 0.07, 0.07), rng, bumps=0.3)
    lesions &= liver
    vessels = (np.abs(_clouds(shape, (6, 14, 14), rng)) < 0.05) & liver & ~lesions
    values = _paint(
        shape, -1000, (body, -95), (inside, 30), (inside & _fat(shape, rng), -90), (stomach, 12), (spleen, 125),
        (kidney, 170), (liver, 110), (vessels, 160), (lesions, 62), (aorta, 190), (spine, 280),
    )  # fmt: skip
    values[body] += (9 * _clouds(shape, (1, 2, 2), rng))[body]  # texture of the tissue
    values = ndimage.gaussian_filter(values, (0.3, 0.7, 0.7))
    values += 14 * ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), (0, 0.6, 0.6))
    truth = _labels(shape, liver, lesions, spleen, kidney)
    image = Image(np.clip(values, -1024, 3000).round().astype(np.int16)[None], _patient(shape, spacing))
    return Sample("Abdomen, CT phantom", "CT", image, truth, _named("liver", "lesions", "spleen", "kidneys"))


def _head(rng: np.random.Generator, shape: Index) -> Sample:
    """Draw an axial head as T1-weighted MR with contrast: a bright rim, a dark core, a bias field."""
    spacing = (5.0 if shape[0] == 1 else 180 / shape[0], 230 / shape[1], 200 / shape[2])
    place = _coordinates(shape)
    thick = 3.0 if shape[0] == 1 else 0.9
    scalp = _blob(place, (0, 0, 0), (thick, 0.92, 0.86), rng, bumps=0.04)
    skull = _blob(place, (0, 0, 0), (thick, 0.86, 0.79), rng, bumps=0.03)
    fluid = _blob(place, (0, 0, 0), (thick, 0.8, 0.72), rng, bumps=0.03)
    brain = _blob(place, (0, 0, 0), (thick, 0.77, 0.69), rng, bumps=0.08) & (np.abs(place[2]) > 0.012)
    folds = brain & (np.abs(_clouds(shape, (4, 9, 9), rng)) < 0.12)
    gyri = _clouds(shape, (4, 16, 16), rng)
    white = _blob(place, (0, 0, 0), (thick * 0.85, 0.66, 0.58), rng, bumps=0.1) & brain & (np.abs(gyri) > 0.15)
    ventricles = _blob(place, (0, -0.05, -0.13), (0.4, 0.3, 0.08), rng, bumps=0.5)
    ventricles |= _blob(place, (0, -0.05, 0.13), (0.4, 0.3, 0.08), rng, bumps=0.5)
    side = rng.choice((-1, 1))
    centre = (0.0, rng.uniform(-0.3, 0.35), side * rng.uniform(0.28, 0.42))
    size = rng.uniform(0.16, 0.24)
    tumour = _largest(_blob(place, centre, (0.4, size, size), rng, bumps=0.5) & fluid)
    core = _blob(place, centre, (0.2, 0.5 * size, 0.5 * size), rng, bumps=0.5) & tumour
    swelling = _blob(place, centre, (0.6, 1.9 * size, 1.7 * size), rng, bumps=0.7) & white & ~tumour
    ventricles &= brain & ~tumour
    values = _paint(
        shape, 12, (scalp, 620), (skull, 70), (fluid, 150), (brain, 360), (white, 470), (folds & ~white, 240),
        (swelling, 330), (ventricles, 140), (tumour, 640), (core, 260),
    )  # fmt: skip
    values *= 1 + 0.05 * _clouds(shape, (1, 2, 2), rng)
    values = ndimage.gaussian_filter(values, (0, 0.8, 0.8)) * _bias(shape, rng, 0.25)
    real, imaginary = 16 * rng.standard_normal((2, *shape), np.float32)
    magnitude = np.hypot(values + real, imaginary)  # what a scanner shows of complex noise
    truth = _labels(shape, tumour, ventricles)
    image = Image(magnitude.round().astype(np.uint16)[None], _patient(shape, spacing))
    return Sample("Head, MR phantom", "MR", image, truth, _named("tumour", "ventricles"))


def _skin(rng: np.random.Generator, shape: Index) -> Sample:
    """Draw a dermoscopic photograph: a brown lesion, hairs, uneven light, a dark rim."""
    place = _coordinates(shape)
    _, y, x = place
    ratio = shape[1] / shape[2]
    centre = (0.0, rng.uniform(-0.2, 0.2), rng.uniform(-0.2, 0.2))
    size = rng.uniform(0.36, 0.52)
    lesion = _blob(place, centre, (3.0, size, size * ratio * rng.uniform(0.8, 1.2)), rng, bumps=0.7)
    edge = ndimage.gaussian_filter(lesion.astype(np.float32), (0, 0.012 * shape[1], 0.012 * shape[1]))
    dark = 1 + 0.25 * _clouds(shape, (1, 12, 12), rng) + 0.12 * _clouds(shape, (1, 3, 3), rng)
    pores = 1 + 0.03 * _clouds(shape, (1, 1.2, 1.2), rng)
    hairs = ndimage.gaussian_filter(_hairs(shape, rng, 7).astype(np.float32), (0, 0.7, 0.7))
    light = _bias(shape, rng, 0.12) * np.clip(1.25 - 0.45 * (y**2 + x**2), 0.1, 1)
    colours = []
    for skin, mole in ((222, 118), (176, 76), (152, 60)):
        value = skin * pores * (1 - edge) + mole * dark * edge
        value = value * (1 - 0.75 * hairs) * light + 3 * rng.standard_normal(shape)
        colours.append(np.clip(value, 0, 255).round().astype(np.uint8))
    image = Image(np.stack(colours), _patient(shape, (1.0, 0.05, 0.05)))
    return Sample("Skin, photograph phantom", "XC", image, _labels(shape, lesion), _named("lesion"))


KINDS: Mapping[str, tuple[Callable[[np.random.Generator, Index], Sample], Index]] = MappingProxyType(
    {
        "abdomen": (_abdomen, (64, 256, 256)),
        "head": (_head, (1, 320, 288)),
        "skin": (_skin, (1, 384, 512)),
    }
)

Place = tuple[Real, Real, Real]  # z, y, x of every voxel, from -1 at one end to 1 at the other; they broadcast


def _coordinates(shape: Index) -> Place:
    axes = [np.linspace(-1, 1, n, dtype=np.float32) if n > 1 else np.zeros(1, np.float32) for n in shape]
    z, y, x = np.meshgrid(*axes, indexing="ij", sparse=True)
    return z, y, x


def _blob(
    place: Place, centre: Sequence[float], radius: Sequence[float], rng: np.random.Generator, *, bumps: float = 0.15
) -> MaskArray:
    """Return a warped ellipsoid; `bumps` is how far its squared radius strays, 0 for none."""
    distance = sum(((axis - c) / r) ** 2 for axis, c, r in zip(place, centre, radius, strict=True))
    shape = (place[0].size, place[1].size, place[2].size)
    scales = [max(1.0, 0.35 * r * n) for r, n in zip(np.minimum(radius, 1), shape, strict=True)]
    return np.asarray(distance + bumps * _clouds(shape, scales, rng) < 1)


def _clouds(shape: Index, scales: Sequence[float], rng: np.random.Generator) -> Real:
    """Return smooth noise of mean 0 and deviation about 1, whose patches are `scales` voxels wide."""
    coarse = [int(np.ceil(n / s)) + 3 for n, s in zip(shape, scales, strict=True)]
    noise = rng.standard_normal(coarse, np.float32)
    start = rng.uniform(0, 1, 3)
    for axis, (n, s) in enumerate(zip(shape, scales, strict=True)):
        at = start[axis] + np.arange(n) / s
        low = at.astype(int)
        t = (at - low).astype(np.float32)
        t = (t * t * (3 - 2 * t)).reshape([-1 if i == axis else 1 for i in range(3)])
        noise = np.take(noise, low, axis) * (1 - t) + np.take(noise, low + 1, axis) * t
    return np.asarray(1.6 * noise, np.float32)


def _bias(shape: Index, rng: np.random.Generator, strength: float) -> Real:
    """Return the slow drift of brightness that coils and lamps leave, about 1."""
    return np.asarray(np.exp(strength * _clouds(shape, [max(1.0, 0.6 * n) for n in shape], rng)), np.float32)


def _fat(shape: Index, rng: np.random.Generator) -> MaskArray:
    return np.asarray(_clouds(shape, (4, 9, 9), rng) > 0.35)


def _largest(mask: MaskArray) -> MaskArray:
    """Return the mask's largest connected part."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(mask & (parts == sizes.argmax()))


def _somewhere(mask: MaskArray, rng: np.random.Generator) -> tuple[float, ...]:
    """Return the place of a random voxel of the mask's inner part."""
    inner = ndimage.binary_erosion(mask, iterations=3)
    voxels = np.argwhere(inner if inner.any() else mask)
    voxel = voxels[rng.integers(len(voxels))]
    return tuple(2 * i / max(1, n - 1) - 1 for i, n in zip(voxel, mask.shape, strict=True))


def _hairs(shape: Index, rng: np.random.Generator, count: int) -> MaskArray:
    mask = np.zeros(shape, bool)
    _, height, width = shape
    t = np.linspace(0, 1, 4 * max(shape))[:, None]
    for _ in range(count):
        start, bend, end = rng.uniform(0, (height - 1, width - 1), (3, 2))
        line = (1 - t) ** 2 * start + 2 * t * (1 - t) * bend + t**2 * end
        y, x = line.round().astype(int).T
        mask[0, y, x] = True
    return mask


def _paint(shape: Index, air: float, *layers: tuple[MaskArray, float]) -> Real:
    values = np.full(shape, air, np.float32)
    for mask, value in layers:
        values[mask] = value
    return values


def _labels(shape: Index, *masks: MaskArray) -> LabelMap:
    truth = np.zeros(shape, np.uint16)
    for value, mask in enumerate(masks, start=1):
        truth[mask] = value
    return truth


def _named(*names: str) -> tuple[Label, ...]:
    return tuple(Label(i + 1, name, PALETTE[i]) for i, name in enumerate(names))


def _patient(shape: Index, spacing: Sequence[float]) -> NDArray[np.float64]:
    """Return the affine of a patient on the back: x to the left, y to the back, z to the head, centred."""
    affine = np.zeros((4, 4))
    affine[2, 0], affine[1, 1], affine[0, 2] = spacing[0], -spacing[1], -spacing[2]
    affine[:3, 3] = -affine[:3, :3] @ ((np.asarray(shape) - 1) / 2)
    affine[3, 3] = 1.0
    return affine
