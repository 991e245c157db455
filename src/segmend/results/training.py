"""Cases as a folder to train on, or for another tool: in each layout of data sets that can be written."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from segmend.datasets.case import split_of
from segmend.datasets.folder import WRITERS
from segmend.datasets.writing import Entry, FolderWriter
from segmend.results.case_result import CaseResult

TRAINING = "training"
FOLDERS = {
    TRAINING: "Folder for segmend train",
    "nnunet": "Folder for nnU-Net (raw)",
    "msd": "Folder as the Medical Segmentation Decathlon has it",
    "bids": "Folder as BIDS has it, masks as derivatives",
    "totalsegmentator": "Folder as TotalSegmentator has it, a file a label",
    "beside": "Images with their masks beside them (x.nii.gz, x_seg.nii.gz)",
    "masks": "Pictures and masks (images/, masks/)",
    "coco": "Pictures for COCO's tools (JSON)",
    "labelme": "Pictures for Labelme (JSON)",
}


class Folder:
    """A folder in the making."""

    def __init__(self, writer: FolderWriter) -> None:
        self._writer = writer

    def add(self, name: str, result: CaseResult) -> list[Path]:
        """Write a case, and return its files; FileError where the layout cannot hold it."""
        case = result.case
        split = case.split or split_of(case.patient or case.id)
        names = {value: label.name for value, label in sorted(result.session.labels.items())}
        return self._writer.add(Entry(name, result.image, result.map, names, split, case.modality))

    def finish(self) -> list[Path]:
        """Write what the folder says of itself; nothing where no case came."""
        return self._writer.finish()


def folder_of(kind: str, folder: Path) -> Folder:
    """Return a folder of one of `FOLDERS`, in the making."""
    return Folder(WRITERS["segmend" if kind == TRAINING else kind](folder))


def free_stem(stem: str, taken: Sequence[str] | set[str]) -> str:
    """Return a stem of file names that no case has yet: with a number behind it where one has.

    >>> free_stem("CT", {"CT", "CT-2"})
    'CT-3'
    """
    number, free = 1, stem
    while free in taken:
        number += 1
        free = f"{stem}-{number}"
    return free
