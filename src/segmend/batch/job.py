"""What is done with each of many cases, and what came of one: values that processes tell each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from segmend.core.image import Index
from segmend.core.session import Finetune
from segmend.io.apart import Saved
from segmend.io.prompts import Unplaced

Status = Literal["done", "failed", "skipped"]


@dataclass(frozen=True)
class Job:
    """How all cases are answered, and where their masks go."""

    method: str
    out: Path  # a folder
    ending: str = ""  # of the masks' files; "": .png for pictures, .nii.gz for volumes
    weights: Path | None = None
    device: str = "auto"
    precision: str = "auto"
    finetune: Finetune = "auto"
    name: str = "object"  # what to call the object
    refine: bool = False  # make the masks better that are given, without prompts
    anonymous: bool = True  # leave out of DICOM masks whose they are
    flat: str | None = None  # a voxel for all of them that was written y,x, as only a picture's can be
    cores: tuple[int, ...] = ()  # of the processor, for the process that answers; (): all that there are


@dataclass(frozen=True)
class Ready:
    """A case whose files were read."""

    case: str
    images: tuple[Saved, ...]
    files: tuple[Path, ...]  # that the images were read from
    series: str | None
    steps: Sequence[Unplaced]
    start: Path | None  # a label map on the first image's grid, for `np.load`
    name: str
    seconds: float  # that reading took


@dataclass(frozen=True)
class Outcome:
    """What came of one case."""

    case: str
    status: Status
    image: tuple[str, ...] = ()
    out: str = ""
    method: str = ""
    seconds: Mapping[str, float] | None = None
    shape: Index | None = None
    labels: tuple[Mapping[str, Any], ...] = ()  # value, name, voxels, sizes and expected Dice of each
    finetuned: bool = False
    notes: tuple[str, ...] = ()
    error: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return what there is to say as plain JSON values."""
        if self.status == "skipped":
            return {"case": self.case, "status": self.status, "out": self.out}
        about = {"case": self.case, "status": self.status, "image": list(self.image), "method": self.method}
        if self.status == "failed":
            return {**about, "error": self.error}
        return {
            **about,
            "out": self.out,
            "shape": list(self.shape or ()),
            "labels": [dict(label) for label in self.labels],
            "finetuned": self.finetuned,
            "seconds": dict(self.seconds or {}),
            "notes": list(self.notes),
        }
