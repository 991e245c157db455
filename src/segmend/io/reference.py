"""What a DICOM mask refers to: the study, the series and the slices its image came from.

Without a source the identifiers are fresh and nothing is referred to. Patient and study
attributes are carried over only on request.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from segmend.core.codes import Code
from segmend.core.geometry import same_grid
from segmend.core.image import Image
from segmend.errors import FileError, GeometryError
from segmend.io import dicom
from segmend.io.folders import explain_errors, open_files

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code as DicomCode

# Attributes that the standard asks for: an anonymous mask has them empty.
BLANK = (
    "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
# Attributes copied from the source when the mask keeps its patient. A source that was made anonymous says so in
# the last three, and so does its mask.
IDENTITY = (
    *BLANK, "IssuerOfPatientID", "OtherPatientIDs", "OtherPatientIDsSequence", "IssuerOfAccessionNumberSequence",
    "StudyDescription", "InstitutionName", "PatientAge", "PatientSize", "PatientWeight", "PatientIdentityRemoved",
    "DeidentificationMethod", "DeidentificationMethodCodeSequence",
)  # fmt: skip
# DICOM's name of the character set UTF-8.
UTF_8 = "ISO_IR 192"
# Steps between slices that a source's slice may lie from a slice of the image to be the same one.
MAX_DISTANCE = 0.1


@dataclass(frozen=True, eq=False)
class Reference:
    """The identifiers a mask shares with its source, and for every slice of the image its plane, if there is one."""

    study_uid: str
    series_uid: str
    frame_uid: str
    modality: str
    identity: Dataset  # empty when anonymous
    planes: tuple[dicom.Plane | None, ...]

    @property
    def used(self) -> list[dicom.Plane]:
        return [plane for plane in self.planes if plane is not None]


def find_reference(image: Image, source: str | Path | None, *, anonymous: bool, series: str | None = None) -> Reference:
    """Return what a mask of this image refers to in `source`; GeometryError when no series there is on its grid.

    Of several on its grid, `series` chooses by uid or name; without it the first counts.
    """
    from pydicom import Dataset
    from pydicom.uid import generate_uid

    if source is None:
        if not anonymous:
            raise FileError("A mask with its patient needs the DICOM series that its image came from; there is none.")
        none: tuple[None, ...] = (None,) * image.shape[0]
        return Reference(generate_uid(), "", generate_uid(), "OT", Dataset(), none)
    path = Path(source)
    with explain_errors(path.name), open_files(path) as files:
        found = dicom.volumes([file for file in files if dicom.is_dicom(_head(file))])
        if not found:
            raise FileError(f"{path.name} holds no DICOM series to refer to.")
        named = [v for v in found if series == v.uid] or [v for v in found if series == v.name] or found
        volume = next((volume for volume in named if on_grid(volume, image)), None)
        if volume is None:
            raise GeometryError(f"{path.name} holds no series on the grid of this image.")
        identity = Dataset() if anonymous else _identity(volume.planes[0].path)
        frames, _ = dicom.sort_planes(volume)
        planes = _match_planes(frames[0], image)
    frame_uid = volume.frame_uid or generate_uid()
    return Reference(
        volume.study_uid or generate_uid(), volume.series_uid, frame_uid, volume.modality, identity, planes
    )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(132)


def on_grid(volume: dicom.Volume, image: Image) -> bool:
    frames, _ = dicom.sort_planes(volume)
    rows, columns, _ = frames[0][0].size
    try:
        affine, _ = dicom.place_planes(frames[0])
    except FileError:  # slices off the line: no image was read from this one
        return False
    return (rows, columns) == image.shape[1:] and same_grid(affine, image.affine, image.shape)


def _identity(path: Path) -> Dataset:
    from pydicom import Dataset

    header, kept = dicom.load(path, pixels=False), Dataset()
    header.decode()
    for tag in IDENTITY:
        if tag in header:
            kept[tag] = header[tag]
    return kept


def _match_planes(planes: Sequence[dicom.Plane], image: Image) -> tuple[dicom.Plane | None, ...]:
    """Return for every slice of the image the plane at its place."""
    if planes[0].position is None:
        return tuple(planes)
    matched: list[dicom.Plane | None] = [None] * image.shape[0]
    for plane in planes:
        assert plane.position is not None  # arranged keeps places all or none
        z = float(image.to_index((plane.position * (-1, -1, 1)).tolist())[0])
        if 0 <= round(z) < len(matched) and abs(z - round(z)) <= MAX_DISTANCE:
            matched[round(z)] = plane
    return tuple(matched)


def identify(mask: Dataset, reference: Reference) -> None:
    """Write who and what study a mask belongs to; for an anonymous one only that it is."""
    mask.SpecificCharacterSet = UTF_8  # names of labels and of the patient may come in different ones
    for tag in BLANK:
        setattr(mask, tag, "")
    mask.update(reference.identity)
    mask.StudyInstanceUID = reference.study_uid
    mask.FrameOfReferenceUID = reference.frame_uid
    if not reference.identity:
        mask.PatientIdentityRemoved = "YES"
        mask.DeidentificationMethod = "Patient and study attributes left out"


def image_item(plane: dicom.Plane, frames: Sequence[int] = ()) -> Dataset:
    """Return a reference to the file of a plane, and to frames in it where it has many."""
    from pydicom import Dataset

    item = Dataset()
    item.ReferencedSOPClassUID = plane.sop_class
    item.ReferencedSOPInstanceUID = plane.sop_uid
    if frames:
        item.ReferencedFrameNumber = list(frames) if len(frames) > 1 else frames[0]
    return item


def slice_item(reference: Reference, z: int) -> Dataset | None:
    """Return the reference to the slice that the image's slice `z` was, None where it was interpolated."""
    plane = reference.planes[z]
    if plane is None:
        return None
    many = any(p.frame for p in reference.used)
    return image_item(plane, (plane.frame + 1,) if many else ())


def series_items(reference: Reference) -> list[Dataset]:
    """Return references to every file of the series, each once."""
    return [image_item(plane) for plane in {plane.sop_uid: plane for plane in reference.used}.values()]


def code_item(code: DicomCode) -> Dataset:
    """Return a code as the item of a code sequence."""
    from pydicom import Dataset

    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code.value, code.scheme_designator, code.meaning
    return item


def snomed(code: Code) -> DicomCode:
    """Return a concept of SNOMED CT as pydicom and highdicom want it."""
    from pydicom.sr.coding import Code as DicomCode

    return DicomCode(code.value, "SCT", code.meaning)


def ds(values: ArrayLike) -> list[str]:
    """Return numbers as DICOM's decimal strings, at most 16 characters each.

    >>> ds([0.1, -1 / 3])
    ['0.1', '-0.333333333']
    """
    return [f"{float(v):.9g}" for v in np.asarray(values, np.float64).tolist()]
