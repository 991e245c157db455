"""BIDS: images by subject, and masks as a derivative of them.

    dataset_description.json
    sub-01/anat/sub-01_T1w.nii.gz
    derivatives/PIPELINE/sub-01/anat/sub-01_desc-manual_dseg.nii.gz        a label map, its names in *_dseg.tsv
    derivatives/PIPELINE/sub-01/anat/sub-01_label-lesion_mask.nii.gz       or a mask a label

A mask belongs to the image with the same subject, session, acquisition and run: of several, to the first by name whose
own entities all are in the mask's name. Files that differ in nothing but the entity `echo` are channels. Labels of
masks are numbered in the order of all their names. participants.tsv may say each subject's split.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segmend import io
from segmend.core.image import Image, LabelMap
from segmend.datasets.case import Case, Example, Found, found, stacked
from segmend.datasets.generic import stem
from segmend.datasets.writing import ENDING, Entry, FolderWriter
from segmend.io.rows import read_rows

LAYOUT = "BIDS (dataset_description.json, sub-01/anat/sub-01_T1w.nii.gz, derivatives/.../sub-01_..._dseg.nii.gz)"
DESCRIPTION = "dataset_description.json"
PIPELINE = "segmend"
VERSION = "1.9.0"
MASKS = ("dseg", "mask")
ECHO = re.compile(r"_echo-\d+")


@dataclass(frozen=True)
class BidsCase(Case):
    """An image and the masks of it; paths from the data set's folder on."""

    images: tuple[str, ...]
    maps: tuple[str, ...]  # label maps
    masks: tuple[tuple[int, str], ...]  # masks of one label each
    called: tuple[tuple[int, str], ...]

    @property
    def image_files(self) -> tuple[Path, ...]:
        return tuple(self.folder / name for name in self.images)

    @property
    def label_names(self) -> Mapping[int, str]:
        return dict(self.called)

    def read(self) -> Example:
        parts = [io.read(path) for path in self.image_files]
        image = stacked(parts)
        labels = np.zeros(image.shape, np.uint16)
        for name in self.maps:
            found = io.read_mask(self.folder / name, image)
            labels[found > 0] = found[found > 0]
        for value, name in self.masks:
            labels[io.read_mask(self.folder / name, image) > 0] = value
        return Example(image, parts[0], labels)


def entities(path: Path) -> tuple[dict[str, str], str]:
    """Return what a file's name says, by entity, and its suffix.

    >>> entities(Path("sub-01_ses-2_desc-manual_dseg.nii.gz"))
    ({'sub': '01', 'ses': '2', 'desc': 'manual'}, 'dseg')
    """
    *parts, suffix = stem(path.name).split("_")
    return {name: value for name, _, value in (part.partition("-") for part in parts)}, suffix


def look(folder: Path) -> Found | None:
    """Return the images of a folder of this layout, None when it is none."""
    if not (folder / DESCRIPTION).is_file():
        return None
    raw = _files([folder])
    derived = _files(sorted(path for path in folder.glob("derivatives/*") if path.is_dir()))
    masks = [path for path in [*raw, *derived] if entities(path)[1] in MASKS]
    images: dict[str, list[Path]] = {}
    for path in raw:
        if entities(path)[1] not in (*MASKS, "probseg"):
            images.setdefault(ECHO.sub("", stem(path.name)), []).append(path)
    named = sorted({name for path in masks if (name := entities(path)[0].get("label"))})
    by_image: dict[str, list[Path]] = {name: [] for name in images}
    for path in masks:
        if (owner := _owner(path, images)) is not None:
            by_image[owner].append(path)
    called = _called(masks) or dict(enumerate(named, 1))
    values = {name: value for value, name in called.items()}
    free = max(called, default=0)
    for name in named:
        if name not in values:
            free += 1
            values[name], called[free] = free, name
    cases = [_case(folder, name, images[name], by_image[name], values, called) for name in images]
    labelled = [case for case in cases if case.maps or case.masks]
    known = found(
        folder, labelled, patient=lambda name: name.split("_")[0], unlabelled=[c for c in cases if c not in labelled]
    )
    told = {} if (folder / "split.json").is_file() else _splits(folder / "participants.tsv")
    if not told:
        return known
    of = {case: told.get(case.name.split("_")[0], "") for case in labelled}
    return replace(known, splits={split: tuple(c for c in labelled if of[c] == split) for split in set(of.values())})


def _files(roots: Sequence[Path]) -> list[Path]:
    return sorted(path for root in roots for path in root.glob("sub-*/**/*.nii*") if stem(path.name) != path.name)


def _owner(mask: Path, images: Mapping[str, Sequence[Path]]) -> str | None:
    """Return the image that a mask is of: all that its name says, the mask's says, too."""
    said, _ = entities(mask)
    fitting = [name for name in images if dict(entities(Path(f"{name}.nii"))[0]).items() <= said.items()]
    return min(fitting, key=lambda name: (-name.count("-"), name), default=None)


def _called(masks: Sequence[Path]) -> dict[int, str]:
    """Return the names of labels that tables beside the masks, or one for all of a pipeline, say."""
    tables = {path.with_name(f"{stem(path.name)}.tsv") for path in masks if entities(path)[1] == "dseg"}
    tables |= {
        next((up for up in path.parents if (up / "dseg.tsv").is_file()), path.parent) / "dseg.tsv" for path in masks
    }
    found: dict[int, str] = {}
    for table in sorted(path for path in tables if path.is_file()):
        for row in read_rows(table, "index and name"):
            if row.text("index").isdecimal() and row.text("name") and int(row.text("index")):
                found.setdefault(int(row.text("index")), row.text("name"))
    return found


def _case(
    folder: Path, name: str, images: Sequence[Path], masks: Sequence[Path], values: Mapping[str, int],
    called: Mapping[int, str],
) -> BidsCase:  # fmt: skip
    def below(path: Path) -> str:
        return path.relative_to(folder).as_posix()

    maps = tuple(below(path) for path in masks if entities(path)[1] == "dseg")
    single = tuple(
        (values.get(entities(path)[0].get("label", ""), 1), below(path))
        for path in masks
        if entities(path)[1] == "mask"
    )
    return BidsCase(folder, name, tuple(map(below, images)), maps, single, tuple(called.items()))


def _splits(path: Path) -> dict[str, str]:
    """Return the split of each subject that participants.tsv tells."""
    if not path.is_file():
        return {}
    rows = read_rows(path, "participant_id")
    return {row.text("participant_id"): row.text("split") for row in rows if row.text("split")}


class Writer(FolderWriter):
    """Such a folder in the making, of volumes: a subject a case, channels as echoes."""

    flat = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._subjects: dict[str, tuple[str, str]] = {}  # the case's own name and its split, by subject

    def name_of(self, entry: Entry) -> str:
        return f"{self._subject(entry)}_{self._suffix(entry)}"

    def _subject(self, entry: Entry) -> str:
        """Return the subject of a case: its name without what BIDS does not take."""
        plain = re.sub(r"[^0-9a-zA-Z]", "", entry.name) or "case"
        taken = {subject for subject, (name, _) in self._subjects.items() if name != entry.name}
        number, free = 1, f"sub-{plain}"
        while free in taken:
            number += 1
            free = f"sub-{plain}x{number}"
        return free

    def _suffix(self, entry: Entry) -> str:
        return "ct" if entry.modality.upper() == "CT" else "MR"

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        subject, suffix = self._subject(entry), self._suffix(entry)
        self._subjects[subject] = entry.name, entry.split
        inside = "ct" if suffix == "ct" else "anat"
        channels = range(entry.image.channels)
        echoes = [f"_echo-{c + 1}" for c in channels] if len(channels) > 1 else [""]
        files = [self.placed(subject, inside, f"{subject}{echo}_{suffix}{ENDING}") for echo in echoes]
        for c, path in enumerate(files):
            io.write_image(path, Image(entry.image.voxels[c : c + 1], entry.image.affine))
        mask = self.placed("derivatives", PIPELINE, subject, inside, f"{subject}_dseg{ENDING}")
        io.write_mask(mask, values, entry.image, [])
        return [*files, mask]

    def about(self) -> Mapping[Path, Any]:
        pipeline = self.folder / "derivatives" / PIPELINE
        rows = sorted(f"{subject}\t{name}\t{split}\n" for subject, (name, split) in self._subjects.items())
        names = "".join(f"{value}\t{name}\n" for value, name in self.labels.by_value.items())
        return {
            self.folder / DESCRIPTION: {"Name": self.folder.name, "BIDSVersion": VERSION, "DatasetType": "raw"},
            pipeline / DESCRIPTION: {
                "Name": "Masks",
                "BIDSVersion": VERSION,
                "DatasetType": "derivative",
                "GeneratedBy": [{"Name": "Segmend"}],
            },
            pipeline / "dseg.tsv": "index\tname\n" + names,
            self.folder / "participants.tsv": "participant_id\tname\tsplit\n" + "".join(rows),
            self.folder / ".bidsignore": "split.json\n**/*_MR.nii.gz\nct/\n",
        }
