"""The DICOM files that an image was read from, given out again as DICOMweb has them: what they say, and their frames.

Frames are given as they are stored, whatever packs them, or unpacked for a client that unpacks nothing. Only a frame
is read of a file of many, for a viewer asks for each by itself.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segmend.core.image import Image
from segmend.errors import FileError, NotFoundError
from segmend.io import dicom
from segmend.io.dicomjpeg import check_frames, register
from segmend.io.folders import explain_errors, list_files
from segmend.io.reference import on_grid

if TYPE_CHECKING:
    from pydicom import Dataset

# What lists of studies and series say of a series, as DICOM's keywords.
LISTED = (
    "StudyInstanceUID", "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientName",
    "PatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDescription", "SeriesInstanceUID", "Modality",
    "SeriesDescription", "SeriesNumber", "SeriesDate", "SeriesTime", "BodyPartExamined",
)  # fmt: skip
# Bytes up to which a value that is no text is among what a file says.
SHORT_BYTES = 1 << 16
# The transfer syntax of what is not packed.
PLAIN = "1.2.840.10008.1.2.1"
# Bytes of a file that are read at once.
PIECE_BYTES = 1 << 20
UTF_8 = "ISO_IR 192"
DicomJson = dict[str, Any]  # by tag: its type and its values


@dataclass(frozen=True)
class Instance:
    """One file of a series."""

    uid: str
    sop_class: str
    name: str  # in the folder of the files
    number: int
    frames: int


@dataclass(frozen=True, eq=False)
class Original:
    """The series that an image was read from."""

    study: str
    series: str
    about: DicomJson  # what lists say of it
    instances: tuple[Instance, ...]


def original_of(folder: Path, image: Image) -> Original | None:
    """Return the series in a folder that is on the image's grid, or the only one there; None where there is none."""
    with explain_errors(folder.name):
        files = [path for path in list_files(folder) if _is_dicom(path)]
        volumes = dicom.volumes(files)
        found = next((volume for volume in volumes if on_grid(volume, image)), None)
        if found is None and len({volume.series_uid for volume in volumes}) == 1:
            found = volumes[0]
        if found is None or not found.study_uid:
            return None
        planes: dict[str, list[dicom.Plane]] = {}
        for volume in volumes:
            if volume.series_uid == found.series_uid:
                for plane in volume.planes:
                    planes.setdefault(plane.sop_uid, []).append(plane)
        instances = [
            Instance(uid, own[0].sop_class, own[0].path.relative_to(folder).as_posix(), own[0].number, len(own))
            for uid, own in planes.items()
            if uid
        ]
        if not instances:
            return None
        instances.sort(key=lambda one: (one.number, one.name))
        header = dicom.load(found.planes[0].path, pixels=False, tags=(*LISTED, "SpecificCharacterSet"))
        return Original(found.study_uid, found.series_uid, json_of(header), tuple(instances))


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return dicom.is_dicom(file.read(132))


def json_of(data: Dataset) -> DicomJson:
    """Return a data set as DICOM's JSON, without pixels and other values that are long and no text."""
    data.decode()
    found: DicomJson = data.to_json_dict(
        bulk_data_threshold=SHORT_BYTES, bulk_data_element_handler=lambda _: "", suppress_invalid_tags=True
    )
    kept = _without_bulk(found)
    if "00080005" in kept:
        kept["00080005"] = {"vr": "CS", "Value": [UTF_8]}
    return kept


def _without_bulk(values: DicomJson) -> DicomJson:
    kept = {}
    for tag, element in values.items():
        if "BulkDataURI" in element or tag.startswith(("0002", "7FE0")):
            continue
        if "Value" in element:
            element = {**element, "Value": [_sound(value) for value in element["Value"]]}
        kept[tag] = element
    return kept


def _sound(value: Any) -> Any:
    """Return a value as JSON can have it: it knows no infinite numbers."""
    if isinstance(value, dict):
        return _without_bulk(value) if all(isinstance(item, dict) for item in value.values()) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def described(path: Path) -> DicomJson:
    """Return all that a file says, but for its pixels, with how they are packed."""
    header, _ = dicom.load_header(path)
    with explain_errors(path.name):
        return {**json_of(header), "00083002": {"vr": "UI", "Value": [_syntax(header)]}}


def frame_of(path: Path, number: int, *, unpacked: bool) -> tuple[bytes, str]:
    """Return a frame of a file, the first has number 0, and the transfer syntax that it is in."""
    header, start = dicom.load_header(path)
    syntax = _syntax(header)
    with explain_errors(path.name):
        count = int(header.get("NumberOfFrames") or 1)
        if not 0 <= number < count:
            raise NotFoundError(f"{path.name} has {count} frames; there is no frame {number + 1}.")
        if int(header.get("BitsAllocated") or 0) not in (8, 16, 32):
            raise FileError(f"{path.name} holds no frames of whole bytes.")
        little = header.original_encoding[1] is not False
        packed = header.file_meta.TransferSyntaxUID.is_compressed if "TransferSyntaxUID" in header.file_meta else False
        if syntax == dicom.DEFLATED.decode() or not little or (packed and unpacked):
            return _decoded(path, header, number, count), PLAIN
        if not packed:
            return _stored(path, header, start, number, count), PLAIN
        from pydicom.encaps import get_frame

        with path.open("rb") as file:
            file.seek(start + 12)  # behind the tag, the type and the length of the pixels
            return get_frame(file, number, number_of_frames=count), syntax


def _syntax(header: Dataset) -> str:
    """Return the transfer syntax of a file; what says none is not packed."""
    meta = header.get("file_meta") or getattr(header, "file_meta", None)
    return str(meta.get("TransferSyntaxUID") or PLAIN) if meta is not None else PLAIN


def _stored(path: Path, header: Dataset, start: int, number: int, count: int) -> bytes:
    """Return a frame that is not packed."""
    rows, columns, samples = int(header.Rows), int(header.Columns), int(header.get("SamplesPerPixel") or 1)
    pixels = rows * columns * (2 if header.get("PhotometricInterpretation") == "YBR_FULL_422" else samples)
    size = pixels * int(header.BitsAllocated) // 8
    behind = 12 if header.original_encoding[0] is False else 8  # the tag, perhaps the type, and the length
    with path.open("rb") as file:
        file.seek(start + behind + number * size)
        content = file.read(size)
    if len(content) < size:
        raise FileError(f"{path.name} ends before frame {number + 1} of {count} does.")
    return content


def _decoded(path: Path, header: Dataset, number: int, count: int) -> bytes:
    """Return a frame that has to be unpacked, or turned round, first."""
    from pydicom.pixels import get_decoder  # type: ignore[attr-defined]

    register()
    data = dicom.load(path)
    shape = (int(header.Rows), int(header.Columns), int(header.get("SamplesPerPixel") or 1))
    syntax = data.file_meta.TransferSyntaxUID
    if syntax.is_compressed:
        check_frames(path.name, data, shape, count)
    found, _ = get_decoder(syntax).as_array(data, index=number, raw=True, decoding_plugin=dicom.plugin_of(data))
    return np.ascontiguousarray(found, found.dtype.newbyteorder("<")).tobytes()


def pieces_of(path: Path) -> Iterator[bytes]:
    """Yield a file as DICOM's part 10 has it, piece by piece: one without a preamble gets one."""
    with path.open("rb") as file:
        if dicom.has_preamble(file.read(132)):
            file.seek(0)
            while piece := file.read(PIECE_BYTES):
                yield piece
            return
    data, out = dicom.load(path), BytesIO()
    with explain_errors(path.name):
        data.file_meta.TransferSyntaxUID = dicom.guess_syntax(data)
        data.save_as(out, enforce_file_format=True)
    yield out.getvalue()


def to_text(values: Any) -> bytes:
    """Return DICOM's JSON as bytes."""
    return json.dumps(values, separators=(",", ":"), allow_nan=False).encode()
