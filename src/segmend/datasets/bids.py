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

import importlib.metadata
import json
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
# Names of single images that BIDS itself knows; and what else is written, in the words of its validator.
KNOWN = re.compile(r"(sub-[0-9a-zA-Z]+(?:_ses-[0-9a-zA-Z]+)?)_(T1w|T2w|PDw|T2starw|FLAIR|inplaneT1|inplaneT2|angio)")
IGNORED = "split.json\n**/*_MR.nii.gz\n**/ct\n"


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
    """Such a folder in the making, of volumes: channels are echoes.

    A case whose name is one of BIDS (sub-01_ses-1_T1w) keeps it; of another, its name without what BIDS does not take
    becomes the subject. BIDS knows no CT, and no MR of an unknown sequence: `.bidsignore` names these, not their masks.
    """

    flat = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._cases: dict[str, tuple[str, str]] = {}  # the case's own name and its split, by its name in BIDS

    def name_of(self, entry: Entry) -> str:
        """Return the entities and the suffix of a case, which no other case has."""
        known = KNOWN.fullmatch(entry.name)
        if known and entry.image.channels == 1 and self._is_free(known[1], entry):
            return entry.name
        plain = re.sub(r"[^0-9a-zA-Z]", "", entry.name) or "case"
        number, free = 1, f"sub-{plain}"
        while not self._is_free(free, entry):
            number += 1
            free = f"sub-{plain}x{number}"
        return f"{free}_{'ct' if entry.modality.upper() == 'CT' else 'MR'}"

    def _is_free(self, said: str, entry: Entry) -> bool:
        """Tell whether no other case has these entities, by which its mask is found."""
        return all(own == entry.name or _said(name) != said for name, (own, _) in self._cases.items())

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        name = self.name_of(entry)
        self._cases[name] = entry.name, entry.split
        said, suffix = _said(name), entities(Path(name))[1]
        places = [part for part in said.split("_") if part.startswith(("sub-", "ses-"))]
        inside = "ct" if suffix == "ct" else "anat"
        channels = range(entry.image.channels)
        echoes = [f"_echo-{c + 1}" for c in channels] if len(channels) > 1 else [""]
        files = [self.placed(*places, inside, f"{said}{echo}_{suffix}{ENDING}") for echo in echoes]
        for c, path in enumerate(files):
            io.write_image(path, Image(entry.image.voxels[c : c + 1], entry.image.affine))
        mask = self.placed("derivatives", PIPELINE, *places, "anat", f"{said}_dseg{ENDING}")
        io.write_mask(mask, values, entry.image, [])
        sources = [f"bids:raw:{path.relative_to(self.folder).as_posix()}" for path in files]
        beside = mask.with_name(f"{said}_dseg.json")
        beside.write_text(json.dumps({"Sources": sources, "SpatialReference": sources[0]}, indent=1) + "\n", "utf-8")
        return [*files, mask, beside]

    def about(self) -> Mapping[Path, Any]:
        pipeline = self.folder / "derivatives" / PIPELINE
        rows: dict[str, tuple[list[str], list[str]]] = {}
        for name, (own, split) in sorted(self._cases.items()):
            owns, splits = rows.setdefault(name.split("_")[0], ([], []))
            owns.append(own)
            splits.append(split)
        people = "".join(
            f"{subject}\t{', '.join(owns)}\t{splits[0] if len(set(splits)) == 1 else 'n/a'}\n"
            for subject, (owns, splits) in rows.items()
        )
        names = "".join(f"{value}\t{name}\n" for value, name in self.labels.by_value.items())
        made = {"Name": "Segmend", "Version": importlib.metadata.version("segmend")}
        return {
            self.folder / DESCRIPTION: {"Name": self.folder.name, "BIDSVersion": VERSION, "DatasetType": "raw"},
            self.folder / "README": f"Images, and under derivatives/{PIPELINE} their masks, as Segmend wrote them.\n",
            pipeline / DESCRIPTION: {
                "Name": "Masks",
                "BIDSVersion": VERSION,
                "DatasetType": "derivative",
                "GeneratedBy": [made],
                "DatasetLinks": {"raw": "../.."},
            },
            pipeline / "README": "Masks of the images two folders up; dseg.tsv names their labels.\n",
            pipeline / "dseg.tsv": "index\tname\n" + names,
            self.folder / "participants.tsv": "participant_id\tname\tsplit\n" + people,
            self.folder / "participants.json": {
                "name": {"Description": "What the cases were called."},
                "split": {"Description": "Whether they are to learn from, to check on or to test on."},
            },
            self.folder / ".bidsignore": IGNORED,
        }


def _said(name: str) -> str:
    """Return the entities of a name, without its suffix."""
    return name.rpartition("_")[0]
