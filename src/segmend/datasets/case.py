"""Cases, data sets and splits: what every adapter finds in its folder."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from segmend import io
from segmend.core.image import Image, LabelMap, MaskArray
from segmend.errors import FileError, GeometryError, ShapeError

EVERY = "all"
LEAST_PIXELS, LEAST_VOXELS = 20, 50  # of an object, in a flat image and in a volume
SHARES = (("train", 0.6), ("val", 0.2), ("test", 0.2))  # of the cases, where nobody has split them


@dataclass(frozen=True, eq=False)
class Example:
    """A case in memory."""

    image: Image  # all images of the case, as channels
    first: Image  # the first of them alone
    labels: LabelMap  # [z y x]

    def objects(self, most: int | None = None) -> Iterator[tuple[int, MaskArray]]:
        """Yield each label value with its mask, those too small to measure left out.

        Of more than `most` those are taken that lie evenly in the order of their values.
        """
        least = LEAST_PIXELS if self.image.flat else LEAST_VOXELS
        values, sizes = np.unique(self.labels, return_counts=True)
        large = values[(values != 0) & (sizes >= least)]
        if most is not None and len(large) > most:
            large = large[np.linspace(0, len(large) - 1, most).round().astype(np.intp)]
        for value in large.tolist():
            yield value, np.asarray(self.labels == value)


@dataclass(frozen=True)
class Case(ABC):
    """One annotated case; its files are opened only by `read`."""

    folder: Path
    name: str

    @property
    def title(self) -> str:
        """What people call the case."""
        return self.name

    @property
    def instances(self) -> bool:
        """True when labels number single things, not kinds of things."""
        return False

    @property
    def label_names(self) -> Mapping[int, str]:
        """What the data set calls its labels, as far as it says."""
        return {}

    @property
    def image_files(self) -> tuple[Path, ...]:
        """The files of its images, one a channel; none where they lie elsewhere."""
        return ()

    @abstractmethod
    def read(self) -> Example:
        """Return the images, as channels of one, and the label map."""

    def label_maps(self, example: Example) -> LabelMap:
        """Return the label map that was read, or maps [layer z y x] where labels share voxels in the case's file."""
        return example.labels

    def scribbles(self, image: Image) -> Mapping[int, MaskArray] | None:
        """Return what a person drew on the case's image, by label value, 0 the background; None where nobody did."""
        return None


@dataclass(frozen=True)
class FileCase(Case):
    """A case whose files have known names, told from its folder on."""

    images: tuple[str, ...]
    truth: str
    drawn: bool = False  # the mask is a drawing of one object, in any intensity
    called: tuple[tuple[int, str], ...] = ()  # the labels' names

    @property
    def image_files(self) -> tuple[Path, ...]:
        return tuple(self.folder / name for name in self.images)

    @property
    def label_names(self) -> Mapping[int, str]:
        return dict(self.called)

    def read(self) -> Example:
        parts = [io.read(self._there(name)) for name in self.images]
        image = stacked(parts)
        truth = self._there(self.truth)
        return Example(image, parts[0], drawing(truth, image) if self.drawn else io.read_mask(truth, image))

    def _there(self, name: str) -> Path:
        path = self.folder / name
        if not path.exists():
            raise FileError(f"The case {self.name} of {self.folder.name} needs the file {name}; it is not there.")
        return path


@dataclass(frozen=True)
class DataSet:
    """The cases of one split of one folder."""

    name: str
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Found:
    """A folder that an adapter knows: its cases by split."""

    name: str
    splits: Mapping[str, tuple[Case, ...]]
    unlabelled: tuple[Case, ...] = ()  # of which it has no masks

    @property
    def everything(self) -> tuple[Case, ...]:
        """All cases, each once, in the order of their names, with those that have no masks."""
        listed = [*(case for cases in self.splits.values() for case in cases), *self.unlabelled]
        return tuple(sorted({case.name: case for case in listed}.values(), key=lambda case: case.name))

    @property
    def split_names(self) -> dict[str, str]:
        """The split that each case is in, by its name."""
        return {case.name: split for split, cases in self.splits.items() if split != EVERY for case in cases}

    def cases(self, split: str) -> tuple[Case, ...]:
        """Return the cases of a split; "all" is every case there is."""
        if split == EVERY and EVERY not in self.splits:
            return tuple(case for listed in self.splits.values() for case in listed)
        return self.splits.get(split, ())


def found(
    folder: Path, cases: Sequence[Case], *, patient: Callable[[str], str] = str, unlabelled: Sequence[Case] = ()
) -> Found:
    """Return cases split as the split.json beside them says or, without one, by a hash of the patient's name.

    The hash puts a case where it is whatever other cases there are; about three fifths train, a fifth
    each are `val` and `test`. All cases of one patient share a split.
    """
    if (folder / "split.json").is_file():
        known = {case.name: case for case in cases}
        names = names_by_split(folder)
        if lost := sorted(name for listed in names.values() for name in listed if name not in known):
            raise FileError(f"The split.json of {folder.name} names the case {lost[0]}, which is not there.")
        splits = {split: tuple(known[name] for name in listed) for split, listed in names.items()}
        return Found(folder.resolve().name, splits, tuple(unlabelled))
    drawn = {case.name: split_of(patient(case.name)) for case in cases}
    splits = {split: tuple(case for case in cases if drawn[case.name] == split) for split, _ in SHARES}
    return Found(folder.resolve().name, splits, tuple(unlabelled))


def split_of(name: str) -> str:
    """Return the split of a patient that nobody has put into one.

    >>> [split_of(f"patient{number}") for number in range(1, 5)]
    ['test', 'train', 'test', 'train']
    """
    at = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
    for split, share in SHARES:
        at -= share
        if at < 0:
            return split
    return SHARES[-1][0]


def told_splits(folder: Path) -> dict[str, Any]:
    """Return what a folder's split.json says."""
    told = f"The split.json of {folder.name}"
    try:
        values = json.loads((folder / "split.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"{told} could not be read: {error.strerror}.") from None
    except ValueError:
        raise FileError(f"{told} needs to be JSON; this is not.") from None
    if not isinstance(values, dict):
        raise FileError(f"{told} needs names of splits; got {type(values).__name__}.")
    return values


def names_by_split(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the names of cases that a folder's split.json lists, by split."""
    values = told_splits(folder)
    names = {key: tuple(value) for key, value in values.items() if are_names(value) and key != "images_per_case"}
    for name in (name for listed in names.values() for name in listed):
        if Path(name).name != name:
            raise FileError(f"The split.json of {folder.name} needs plain names of cases; got {name!r}.")
    return names


def are_names(value: Any) -> bool:
    """True for a list of texts."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def stacked(images: Sequence[Image]) -> Image:
    """Return images of one grid as the channels of one image.

    >>> stacked([Image(np.zeros((1, 2, 3, 4))), Image(np.zeros((1, 2, 3, 4)))]).channels
    2
    """
    first = images[0]
    if len(images) == 1:
        return first
    for other in images[1:]:
        if other.shape != first.shape or not np.allclose(other.affine, first.affine, atol=1e-3):
            raise GeometryError(
                f"The images of one case need one grid; got shapes {first.shape} and {other.shape}"
                f" with spacings {first.spacing.round(3).tolist()} and {other.spacing.round(3).tolist()}."
            )
    notes = tuple(note for image in images for note in image.notes)
    return Image(np.concatenate([image.voxels for image in images]), first.affine, notes)


def drawing(path: Path, image: Image) -> LabelMap:
    """Return a picture of a mask as one object: the brighter half of its intensities, whatever its colour."""
    seen = io.read(path)
    if seen.shape != image.shape:
        raise ShapeError(f"{path.name} needs the image's shape {image.shape}; it has {seen.shape}.")
    intensities = seen.voxels.max(axis=0)
    return np.asarray(intensities > float(intensities.max()) / 2, np.uint16)


def scribbled(labels: LabelMap) -> Mapping[int, MaskArray]:
    """Return which voxels were drawn with each value. The value that most voxels have says that nothing was drawn.

    >>> {value: mask.tolist() for value, mask in scribbled(np.uint16([[[4, 4, 0], [2, 4, 4]]])).items()}
    {0: [[[False, False, True], [False, False, False]]], 2: [[[False, False, False], [True, False, False]]]}
    """
    values, sizes = np.unique(labels, return_counts=True)
    said = values[values != values[sizes.argmax()]]
    return {value: np.asarray(labels == value) for value in said.tolist()}


def plain_names(folder: Path) -> list[str]:
    """Return the names in a folder in order, without hidden ones; none where there is no folder."""
    return sorted(path.name for path in folder.glob("*") if not path.name.startswith("."))
