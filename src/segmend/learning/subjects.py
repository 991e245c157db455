"""What networks learn from: annotated cases, in memory or mapped from the folder of `segmend.learning.cache`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from segmend.core.image import Image, LabelMap
from segmend.datasets import sets
from segmend.datasets.case import Case, names_by_split
from segmend.datasets.generic import file_of
from segmend.errors import SettingsError
from segmend.io import read
from segmend.learning import cache
from segmend.runtime.cluster import LostError


@dataclass(frozen=True, eq=False)
class Subject:
    """A case to learn from; `group` is its data set, which shares a turn among its cases."""

    image: Image
    labels: LabelMap  # [z y x]
    instances: bool  # every value is one thing of its own
    group: str
    name: str = ""
    names: Mapping[int, str] = field(default_factory=dict)  # of labels, as far as the data set says
    has_image: bool = True  # False for a label map alone, of which images are drawn
    kept: str = ""  # the name under which its arrays are kept in files, if they are


def subjects(
    data: Path, split: str, *, names: Sequence[str] = (), flat: bool | None = None, channels: bool = False
) -> list[Subject]:
    """Return the cases of a split that hold an object; SettingsError when none does.

    `names` are the sets to take, none for all; of those that are all in `train`, other splits have nothing.
    `flat` keeps only pictures or only volumes; `channels` takes all images of a case as channels instead of the first
    alone.
    """
    found = {one.name: one for one in sets(data, split)}
    if (missing := sorted(set(names) - found.keys())) and split != "train":
        names = [name for name in names if name in found]
        missing = sorted(set(missing) - {one.name for one in sets(data, "train")}) if names else missing
    if missing:
        raise SettingsError(f"There is no set {missing[0]!r} with a {split} split; there are {', '.join(found)}.")
    chosen, seen = [], 0
    _prepare([(case, name, channels) for name in (names or found) for case in found[name].cases])
    for name in names or found:
        for case in found[name].cases:
            seen += 1
            subject = _kept_subject(case, name, channels) if cache.keeping() else _read_subject(case, name, channels)
            if subject.labels.any() and flat in (None, subject.image.flat):
                chosen.append(subject)
    if not chosen:
        kind = {None: "an object", True: "an object in a picture", False: "an object in a volume"}[flat]
        raise SettingsError(f"The {split} split of {data} needs a case with {kind}; none of its {seen} cases has one.")
    return chosen


Wanted = tuple[Case, str, bool]  # a case, its set, and whether all its images are channels


def _prepare(wanted: Sequence[Wanted]) -> None:
    """Have a cluster, where there is one, read the cases that are in no files yet."""
    cluster, folder = cache.cluster(), cache.folder()
    if cluster is None or folder is None:
        return
    lacking = [one for one in wanted if not cache.are_kept(*_names(_key(one[0], one[2])))]
    for (case, _, _), done in cluster.spread(lacking, partial(Path, folder.resolve()), _keep):
        if isinstance(done, LostError):
            raise SettingsError(f"The case {case.name} could not be prepared, for {done}.")


def _keep(folder: Path, wanted: Wanted) -> None:
    """Write a case's arrays into a folder, in a process of a cluster."""
    with cache.kept_in(folder):
        _kept_subject(*wanted)


def _key(case: Case, channels: bool) -> str:
    return cache.name_of(_files(case), case.name, "channels" if channels else "first")


def _names(key: str) -> tuple[str, str, str]:
    return f"{key}-voxels", f"{key}-affine", f"{key}-labels"


def _read_subject(case: Case, group: str, channels: bool) -> Subject:
    example = case.read()
    image = example.image if channels else example.first
    return Subject(image, example.labels, case.instances, group, case.name, case.label_names)


def _kept_subject(case: Case, group: str, channels: bool) -> Subject:
    """Return a case whose voxels and labels are mapped from files; it is read only where these are not there."""
    key = _key(case, channels)
    read: list[Subject] = []  # once, and not at all where its arrays are there

    def subject() -> Subject:
        if not read:
            read.append(_read_subject(case, group, channels))
        return read[0]

    of_voxels, of_affine, of_labels = _names(key)
    voxels = cache.kept(of_voxels, lambda: subject().image.voxels)
    affine = cache.kept(of_affine, lambda: subject().image.affine)
    labels = cache.kept(of_labels, lambda: subject().labels)
    image = Image(voxels, np.array(affine), axes="zyx")
    return Subject(image, np.asarray(labels), case.instances, group, case.name, case.label_names, kept=key)


def _files(case: Case) -> list[Path]:
    """Return the files that a case is read from, as far as they are known."""
    truth = getattr(case, "truth", "")
    labels = [case.folder / truth] if truth else []
    if (case.folder / "labels").is_dir():
        labels += [file_of(case.folder / "labels", case.name)]
    return [path for path in (*case.image_files, *labels) if path.exists()]


def label_maps(data: Path, split: str, *, names: Collection[str] | None = None) -> list[Subject]:
    """Return the cases of the folders that have label maps and no images, from which images can be drawn.

    `names` are the sets to take, None for all.
    """
    found = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        if (folder / "images").exists() or not (folder / "labels").is_dir() or not (folder / "split.json").is_file():
            continue
        if names is not None and folder.name not in names:
            continue
        for name in names_by_split(folder).get(split, ()):
            drawn = read(file_of(folder / "labels", name))
            labels = drawn.voxels[0].astype(np.uint16)
            blank = np.broadcast_to(np.zeros((), np.uint8), (1, *labels.shape))
            image = Image(blank, drawn.affine)
            found.append(Subject(image, labels, False, folder.name, name, has_image=False))
    return found


def unseen(training: Sequence[Any], validation: Sequence[Any]) -> list[str]:
    """Return a sentence for each class that cases to check on hold and no case of their set to learn from does."""
    known: dict[str, set[int]] = {}
    for subject in training:
        if isinstance(subject, Subject) and not subject.instances:
            known.setdefault(subject.group, set()).update(_values(subject.labels))
    met: dict[str, set[int]] = {}
    for subject in validation:
        if isinstance(subject, Subject) and subject.group in known:
            met.setdefault(subject.group, set()).update(_values(subject.labels))
    return [
        f"Label {value} of {group} is in cases to check on but in none to learn from, so its scores are of a class "
        f"that was never seen."
        for group, values in sorted(met.items())
        for value in sorted(values - known[group])
    ]


def _values(labels: LabelMap) -> set[int]:
    """Return the labels of a map without the background, counted plane by plane to spare memory."""
    present = np.zeros(2**16, bool)
    for plane in labels:
        present |= np.bincount(plane.ravel(), minlength=2**16) > 0
    return {int(value) for value in np.flatnonzero(present) if value}
