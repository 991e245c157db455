"""DICOM images: a series in many files, one file, or many frames in one file.

Slices are sorted by their place in the patient, never by file name. The rows and columns
stay as they are stored. A tilted gantry gives a sheared affine, nothing is resampled for
it; slices at uneven distances, or with some missing, are interpolated onto an even grid.
Whatever had to be decided is said in the image's notes. No names of patients are in an image; whose it is a series'
info says, for lists of cases.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from io import BufferedReader, FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from segmend.core.geometry import Affine, evened, from_columns, mirrored
from segmend.core.image import Image
from segmend.errors import FileError, SegmendError
from segmend.io.axes import select_channels
from segmend.io.dicomelements import check_whole
from segmend.io.dicomjpeg import EXTENDED, check_frames, register
from segmend.io.intensities import Numbers, check_finite, rescale, to_native
from segmend.io.series import SeriesInfo
from segmend.io.sizes import check_claim, check_room

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

# Transfer syntax of deflated files.
DEFLATED = b"1.2.840.10008.1.2.1.99"
# DICOM's value representations: the two letters after a tag in an explicit transfer syntax.
TYPES = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
)
# How pydicom begins its message when every decoder has failed; left out of ours.
UNDECODED = "RuntimeError Unable to decode as exceptions were raised by all available plugins: "
# Bytes that one deflated file may inflate to.
MAX_DEFLATED = 2**30
# A series is resampled when a slice lies further than this share of a step from an even grid.
UNEVEN = 0.05
# Tags by which volumes at the same place are told apart, the first that differs.
TIMES = (
    "TemporalPositionIdentifier", "TemporalPositionIndex", "DiffusionBValue", "EchoTime", "InversionTime",
    "AcquisitionNumber", "TriggerTime", "NominalPercentageOfCardiacPhase", "AcquisitionTime", "ContentTime",
)  # fmt: skip
# All that is read of a file before its pixels.
HEADER_TAGS = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID", "Modality",
    "SeriesDescription", "SeriesNumber", "InstanceNumber", "ImagePositionPatient", "ImageOrientationPatient",
    "PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "SpacingBetweenSlices", "SliceThickness",
    "Rows", "Columns", "SamplesPerPixel", "NumberOfFrames", "BitsAllocated", "BitsStored", "PixelRepresentation",
    "PhotometricInterpretation", "RescaleSlope", "RescaleIntercept", "GridFrameOffsetVector", "DoseGridScaling",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "SequenceOfUltrasoundRegions", "PatientName",
    "PatientID", "StudyDate", "StudyDescription", *TIMES,
)  # fmt: skip
# Characters kept of a name or a description.
MAX_TEXT = 200
# Modalities whose files hold no image, though some have rows and columns.
NOT_IMAGES = ("SEG", "RTSTRUCT", "RTPLAN", "SR", "PR", "KO", "REG", "DOC")


@dataclass(frozen=True, eq=False)
class Plane:
    """One slice: which frame of which file, and where it lies."""

    path: Path
    frame: int
    sop_class: str
    sop_uid: str
    number: int
    size: tuple[int, int, int]  # rows, columns, samples
    spacing: tuple[float, float] | None  # mm down a column, along a row
    position: NDArray[np.float64] | None  # [3] LPS mm of the first voxel
    orientation: NDArray[np.float64] | None  # [6] LPS direction along a row, down a column
    gap: float  # mm to the next slice where no position says so
    scale: tuple[float, float]  # slope, intercept
    inverted: bool
    times: dict[str, str]


@dataclass(frozen=True, eq=False)
class Volume:
    """The planes of one series that belong together: one size, one orientation."""

    uid: str
    name: str
    modality: str
    study_uid: str
    frame_uid: str
    planes: tuple[Plane, ...]
    patient: str = ""
    study_date: str = ""
    study: str = ""

    @property
    def series_uid(self) -> str:
        return self.uid.partition("#")[0]

    @property
    def info(self) -> SeriesInfo:
        rows, columns, samples = self.planes[0].size
        count = len(self.planes)
        text = f"{rows} x {columns}, {count} slice{'s' if count > 1 else ''}{', RGB' if samples == 3 else ''}"
        return SeriesInfo(
            self.uid, self.name, self.modality, text, patient=self.patient, study_date=self.study_date,
            study=self.study, frame=self.frame_uid,
        )  # fmt: skip


def is_dicom(head: bytes) -> bool:
    """Say whether a file that starts so is DICOM, the kind without a preamble included.

    Of the kind without, the first element is of group 0002 or 0008 and its number is below 0100; then
    come its type or, in implicit little endian, an even length below 65536.

    >>> is_dicom(b"II*\\0" + bytes(124) + b"DICM"), is_dicom(b"\\x08\\0\\x05\\0CS")
    (True, True)
    """
    if has_preamble(head):
        return True
    little = head[:2] in (b"\x08\0", b"\x02\0") and head[3:4] == b"\0"
    big = head[:2] in (b"\0\x08", b"\0\x02") and head[2:3] == b"\0"
    if head[4:6] in TYPES:
        return little or big
    return little and len(head) >= 8 and head[6:8] == b"\0\0" and head[4] % 2 == 0


def has_preamble(head: bytes) -> bool:
    """Say whether a file that starts so is DICOM with its preamble, whatever stands in that: a TIFF's header may."""
    return head[128:132] == b"DICM"


def load(path: Path, *, pixels: bool = True, tags: Sequence[str] | None = None) -> Dataset:
    """Return a DICOM file's data set; its values are not validated, and so never quoted in a warning."""
    from pydicom import config, dcmread

    config.settings.reading_validation_mode = config.IGNORE
    _check_deflated(path)
    try:
        wanted = None if tags is None else list(tags)
        with _Clamped(path) as file:
            return dcmread(file, stop_before_pixels=not pixels, force=True, specific_tags=wanted)
    except Exception as error:  # a damaged file makes the parser raise almost anything
        raise FileError(f"{path.name} could not be read as DICOM: {_one_line(error)}.") from None


def load_header(path: Path) -> tuple[Dataset, int]:
    """Return a file's data set without its pixels, and at which byte of the file their element begins."""
    from pydicom import config, dcmread

    config.settings.reading_validation_mode = config.IGNORE
    _check_deflated(path)
    try:
        with _Clamped(path) as file:
            return dcmread(file, stop_before_pixels=True, force=True), file.tell()
    except Exception as error:  # a damaged file makes the parser raise almost anything
        raise FileError(f"{path.name} could not be read as DICOM: {_one_line(error)}.") from None


def load_whole(path: Path) -> Dataset:
    """Return a DICOM file's data set; FileError when the file is cut short, wherever that is."""
    data = load(path)
    implicit, little = data.original_encoding
    syntax = data.file_meta.get("TransferSyntaxUID") if hasattr(data, "file_meta") else None
    if syntax is None or str(syntax).encode() != DEFLATED:  # of a deflated one the reader says so
        check_whole(path, explicit=implicit is False, little=little is not False)
    return data


class _Clamped(BufferedReader):
    """A file of which no more is asked for than it holds: a damaged length would be taken from memory first."""

    def __init__(self, path: Path) -> None:
        super().__init__(FileIO(path))
        self.end = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        left = max(0, self.end - self.tell())
        return super().read(left if size is None or size < 0 else min(size, left))


def _check_deflated(path: Path) -> None:
    """Raise FileError when a deflated file inflates to more than is taken: pydicom would inflate all of it."""
    with path.open("rb") as file:
        head = file.read(1024)
        if DEFLATED not in head:
            return
        file.seek(144 + int.from_bytes(head[140:144], "little"))  # behind the file meta group
        inflater, room = zlib.decompressobj(-15), MAX_DEFLATED
        while room > 0 and (piece := inflater.unconsumed_tail or file.read(2**20)):
            try:
                room -= len(inflater.decompress(piece, 2**24))
            except zlib.error:
                return  # the reader will say so
        if room <= 0:
            raise FileError(f"{path.name} inflates to more than {MAX_DEFLATED} bytes.")


def _one_line(error: Exception) -> str:
    """Return an error in a few words, on one line."""
    return " ".join(f"{type(error).__name__} {error}".split())[:240].rstrip(".")


def volumes(paths: Iterable[Path]) -> tuple[Volume, ...]:
    """Return what the DICOM files among these hold; files without an image are left out."""
    series: dict[str, list[tuple[Dataset, list[Plane]]]] = {}
    for path in paths:
        header = load(path, pixels=False, tags=HEADER_TAGS)
        if header.get("Rows") and header.get("Columns") and str(header.get("Modality", "")) not in NOT_IMAGES:
            planes = _planes(header, path)
            series.setdefault(str(header.get("SeriesInstanceUID", "") or path.name), []).append((header, planes))
    return tuple(volume for uid, files in series.items() for volume in _split(uid, files))


def modality_of(path: Path) -> str:
    """Return DICOM's code for what a file holds: CT, MR, SEG, RTSTRUCT, ..."""
    return str(load(path, pixels=False, tags=("Modality",)).get("Modality", ""))


def lists_files(path: Path) -> bool:
    """Say whether a file is a DICOMDIR: a list of the files of a medium."""
    return "DirectoryRecordSequence" in load(path, pixels=False, tags=("DirectoryRecordSequence",))


def _split(uid: str, files: list[tuple[Dataset, list[Plane]]]) -> list[Volume]:
    """Return the volumes of a series: planes of one size and orientation each."""
    groups: list[list[Plane]] = []
    for plane in (plane for _, planes in files for plane in planes):
        group = next((group for group in groups if _match(group[0], plane)), None)
        if group is None:
            groups.append([plane])
        else:
            group.append(plane)
    first = files[0][0]
    tags = ("SeriesDescription", "Modality", "StudyInstanceUID", "FrameOfReferenceUID")
    title, modality, study, place = (str(first.get(tag, "") or "") for tag in tags)
    names = [uid] if len(groups) == 1 else [f"{uid}#{i + 1}" for i in range(len(groups))]
    return [
        Volume(
            name, title, modality, study, place, tuple(group),
            patient=patient_of(first), study_date=day_of(first), study=_plain(first.get("StudyDescription")),
        )
        for name, group in zip(names, groups, strict=True)
    ]  # fmt: skip


def patient_of(header: Dataset) -> str:
    """Return whose file it is: the name and, in brackets, the id; empty where the file does not say.

    >>> from pydicom import Dataset
    >>> header = Dataset()
    >>> header.PatientName, header.PatientID = "Doe^Jane^^Dr", "4711"
    >>> patient_of(header)
    'Doe, Jane (4711)'
    """
    letters = _plain(header.get("PatientName")).partition("=")[0]  # behind it the same in other letters
    name = ", ".join(part for part in letters.split("^")[:2] if part.strip())
    number = _plain(header.get("PatientID"))
    return " ".join(part for part in (name, f"({number})" if number and number != name else "") if part)[:MAX_TEXT]


def day_of(header: Dataset) -> str:
    """Return the study's date as YYYY-MM-DD; empty where it is none."""
    try:
        return datetime.strptime(_plain(header.get("StudyDate"))[:8], "%Y%m%d").date().isoformat()  # noqa: DTZ007
    except ValueError:
        return ""


def _plain(value: Any) -> str:
    """Return a text without what cannot be shown."""
    return "".join(c for c in str("" if value is None else value) if c.isprintable()).strip()[:MAX_TEXT]


def _match(one: Plane, other: Plane) -> bool:
    if one.size != other.size or (one.orientation is None) != (other.orientation is None):
        return False
    here, there = one.orientation, other.orientation
    if here is not None and there is not None and np.abs(here - there).max() > 0.005:
        return False
    return bool(np.allclose(one.spacing or (0, 0), other.spacing or (0, 0), rtol=0.001, atol=1e-6))


def _planes(header: Dataset, path: Path) -> list[Plane]:
    """Return the planes of one file; FileError when its header is damaged."""
    try:
        count = int(header.get("NumberOfFrames") or 1)
        size = (int(header.Rows), int(header.Columns), int(header.get("SamplesPerPixel") or 1))
        bits = int(header.get("BitsAllocated") or 8)
        check_claim(path.name, (count, *size), max(1, bits // 8), path.stat().st_size, packed=True)
        frames = header.get("PerFrameFunctionalGroupsSequence") or []
        if frames and len(frames) != count:
            raise FileError(f"{path.name} says it has {count} frames but describes {len(frames)}.")
        shared = (header.get("SharedFunctionalGroupsSequence") or [None])[0]
        return [_plane(header, path, i, size, shared, frames[i] if frames else None) for i in range(count)]
    except SegmendError:
        raise
    except Exception as error:  # values are not validated when read, so anything may be in them
        raise FileError(f"{path.name} has a damaged DICOM header: {_one_line(error)}.") from None


def _plane(
    header: Dataset, path: Path, frame: int, size: tuple[int, int, int], shared: Dataset | None, own: Dataset | None
) -> Plane:
    def group(sequence: str, tag: str) -> Any:
        for part in (own, shared):
            items = part.get(sequence) if part is not None else None
            if items and items[0].get(tag) is not None:
                return items[0].get(tag)
        return header.get(tag)

    position = _numbers(group("PlanePositionSequence", "ImagePositionPatient"), 3)
    orientation = _numbers(group("PlaneOrientationSequence", "ImageOrientationPatient"), 6)
    gap = _gap(group("PixelMeasuresSequence", "SpacingBetweenSlices"), group("PixelMeasuresSequence", "SliceThickness"))
    if orientation is None or np.linalg.norm(np.cross(orientation[:3], orientation[3:])) < 0.9:
        orientation = position = None
    elif own is None and frame and position is not None:
        position = position + np.cross(orientation[:3], orientation[3:]) * _offset(header, frame, gap)
    scaled = "PixelValueTransformationSequence"
    slope = float(group(scaled, "RescaleSlope") or header.get("DoseGridScaling") or 1)
    intercept = float(group(scaled, "RescaleIntercept") or 0)
    times = {tag: str(value) for tag in TIMES if (value := _time(own, tag) or header.get(tag)) is not None}
    return Plane(
        path, frame, str(header.get("SOPClassUID", "")), str(header.get("SOPInstanceUID", "")),
        int(header.get("InstanceNumber") or 0), size, _spacing(header, group("PixelMeasuresSequence", "PixelSpacing")),
        position, orientation, gap, (slope, intercept),
        str(header.get("PhotometricInterpretation", "")) == "MONOCHROME1", times,
    )  # fmt: skip


def _time(own: Dataset | None, tag: str) -> Any:
    """Return what a frame of an enhanced file says of its time or weighting."""
    if own is None:
        return None
    places = ("FrameContentSequence", "MRDiffusionSequence", "MREchoSequence", "CardiacSynchronizationSequence")
    other = {"EchoTime": "EffectiveEchoTime"}.get(tag, tag)
    for place in places:
        items = own.get(place)
        if items and items[0].get(other) is not None:
            return items[0].get(other)
    return None


def _numbers(values: Any, count: int) -> NDArray[np.float64] | None:
    if values is None or isinstance(values, str | bytes) or len(values) != count:
        return None
    numbers = np.array([float(v) for v in values])
    return numbers if np.isfinite(numbers).all() else None


def _gap(*values: Any) -> float:
    gaps = (abs(float(v)) for v in values if v not in (None, ""))
    return next((gap for gap in gaps if np.isfinite(gap) and gap > 0), 1.0)


def _offset(header: Dataset, frame: int, gap: float) -> float:
    offsets = header.get("GridFrameOffsetVector")
    return float(offsets[frame]) - float(offsets[0]) if offsets and len(offsets) > frame else frame * gap


def _spacing(header: Dataset, own: Any) -> tuple[float, float] | None:
    for values in (own, header.get("ImagerPixelSpacing"), header.get("NominalScannedPixelSpacing")):
        found = _numbers(values, 2)
        if found is not None and (found > 0).all():
            return float(found[0]), float(found[1])
    regions = header.get("SequenceOfUltrasoundRegions") or []
    for region in regions:
        down, across = (abs(float(region.get(f"PhysicalDelta{a}") or 0)) * 10 for a in "YX")  # cm
        if region.get("PhysicalUnitsXDirection") == 3 and down > 0 and across > 0:
            return down, across
    return None


def read_volume(volume: Volume, *, fourth: str = "channels", frame: int = 0) -> Image:
    """Return the image of one volume, its slices in order of place."""
    frames, notes = sort_planes(volume)
    affine, at = place_planes(frames[0])
    if fourth == "time" and not 0 <= frame < len(frames):
        raise FileError(f"{volume.uid} has frames 0 to {len(frames) - 1}; got frame {frame}.")
    wanted = frames if fourth != "time" else frames[frame : frame + 1]
    count = len(frames[0]) if at is None else max(len(at), _even_step(at)[1])
    rows, columns, samples = frames[0][0].size
    needed = 2 * rows * columns * samples * count * len(wanted)
    check_room(f"The {count * len(wanted)} slices of {rows} x {columns} in {volume.uid} need", needed)
    stacks = [_stack(planes) for planes in wanted]  # each [c z y x]
    if at is not None:
        step, count = _even_step(at)
        stacks = [np.stack([evened(channel, at, count) for channel in stack]) for stack in stacks]
        notes.append(
            f"{len(at)} slices at uneven distances were interpolated onto {count} slices, {step:.4g} mm apart."
        )
    if any(plane.inverted for plane in frames[0]):
        notes.append("The image was stored with white as 0 (MONOCHROME1) and is inverted.")
    stored = np.stack(stacks, axis=1) if len(stacks) > 1 else stacks[0][:, None]
    name = volume.planes[0].path.name
    voxels = select_channels(stored, fourth="channels", frame=0, name=name)
    return Image(check_finite(voxels, name), affine, tuple(notes), axes="zyx")


def sort_planes(volume: Volume) -> tuple[list[list[Plane]], list[str]]:
    """Return the planes by time and then by place, each place once, and what was decided."""
    notes: list[str] = []
    seen: dict[tuple[str, int], Plane] = {}
    for plane in volume.planes:
        seen.setdefault((plane.sop_uid or str(plane.path), plane.frame), plane)
    planes = sorted(seen.values(), key=lambda p: (p.number, p.frame))
    dropped = len(volume.planes) - len(planes)
    if any(plane.position is None for plane in planes):
        if len(planes) > 1:
            notes.append(
                f"The {len(planes)} slices say no place; they are stacked in order, {planes[0].gap:g} mm apart."
            )
        frames = [planes]
    else:
        frames, repeated, tag = _group_by_place(planes)
        dropped += repeated
        if tag:
            notes.append(f"Every place was scanned {len(frames)} times; the volumes are told apart by {tag}.")
    if dropped:
        notes.append(f"{dropped} slice{'s' if dropped > 1 else ''} at a place that another slice has were dropped.")
    if frames[0][0].spacing is None:
        notes.append("The file says no size of a pixel; 1 mm is taken.")
    return frames, notes


def _heights(planes: Sequence[Plane]) -> NDArray[np.float64]:
    """Return how far along the normal each plane lies, in mm."""
    orientation = planes[0].orientation
    assert orientation is not None
    normal = np.cross(orientation[:3], orientation[3:])
    return np.array([np.zeros(3) if p.position is None else p.position for p in planes]) @ (
        normal / np.linalg.norm(normal)
    )


def _group_by_place(planes: list[Plane]) -> tuple[list[list[Plane]], int, str]:
    """Return volumes of planes in order of place, how many planes were left out, and what tells volumes apart."""
    heights = _heights(planes)
    order = np.argsort(heights, kind="stable")
    gaps = np.diff(heights[order])
    real = gaps[gaps > 1e-3]
    near = 0.01 * float(np.median(real)) if len(real) else 1e-3
    places: list[list[Plane]] = []
    for i, k in enumerate(order.tolist()):
        if i and gaps[i - 1] <= near:
            places[-1].append(planes[k])
        else:
            places.append([planes[k]])
    count = len(places[0])
    if count > 1 and all(len(place) == count for place in places):
        for tag in TIMES:
            values = {frozenset(plane.times.get(tag, "") for plane in place) for place in places}
            if len(values) == 1 and len(next(iter(values))) == count:
                sorted_places = [sorted(place, key=lambda p: _sort_key(p.times.get(tag, ""))) for place in places]
                return [list(frame) for frame in zip(*sorted_places, strict=True)], 0, tag
    return [[place[0] for place in places]], len(planes) - len(places), ""


def _sort_key(text: str) -> tuple[float, str]:
    try:
        return float(text), text
    except ValueError:
        return 0.0, text


def place_planes(planes: Sequence[Plane]) -> tuple[Affine, NDArray[np.float64] | None]:
    """Return the affine of planes in order, and their heights in mm when they are uneven and must be resampled."""
    first = planes[0]
    down, across = first.spacing or (1.0, 1.0)
    if first.position is None or first.orientation is None:
        return mirrored(from_columns((0, 0, first.gap), (0, down, 0), (across, 0, 0), (0, 0, 0))), None
    along, below = (v / np.linalg.norm(v) for v in (first.orientation[:3], first.orientation[3:]))
    if len(planes) == 1:
        step = np.cross(along, below) * first.gap
        return mirrored(from_columns(step, below * down, along * across, first.position)), None
    heights = _heights(planes) - _heights(planes)[0]
    positions = np.array([p.position for p in planes])
    line = (positions[-1] - positions[0]) / heights[-1]  # mm of movement a mm of height
    if np.abs(positions - positions[0] - heights[:, None] * line).max() > 0.1 + 0.1 * min(down, across):
        raise FileError(f"The slices of {first.path.parent.name or 'the series'} do not lie on one straight line.")
    step_mm, count = _even_step(heights)
    even = len(planes) == count and np.abs(heights - np.arange(count) * step_mm).max() <= UNEVEN * step_mm
    affine = mirrored(from_columns(line * step_mm, below * down, along * across, positions[0]))
    return affine, None if even else heights


def _even_step(heights: NDArray[np.float64]) -> tuple[float, int]:
    """Return the step of the even grid that suits these heights, and how many slices it has.

    Where every gap is a multiple of the smallest, slices are missing and the others stay
    where they are; else the usual gap is taken.
    """
    gaps = np.sort(np.diff(heights))
    total = float(heights[-1] - heights[0])
    multiples = gaps / gaps[0]
    missing = np.abs(multiples - np.rint(multiples)).max() <= UNEVEN and multiples.sum() < 4 * len(heights)
    usual = gaps[0] if missing else gaps[(len(gaps) - 1) // 2]
    count = min(max(round(total / float(usual)) + 1, 2), 4 * len(heights))
    return total / (count - 1), count


def _stack(planes: Sequence[Plane]) -> Numbers:
    """Return [c z y x] of planes of one size, rescaled."""
    scales = {plane.scale for plane in planes}
    stacked: Numbers | None = None
    for k, (plane, values) in enumerate(zip(planes, _slices(planes), strict=True)):
        if len(scales) > 1:
            values = (values * plane.scale[0] + plane.scale[1]).astype(np.float32)
        if stacked is None:
            stacked = np.empty((len(planes), *values.shape), values.dtype)
        elif not np.can_cast(values.dtype, stacked.dtype):
            stacked = stacked.astype(np.result_type(stacked, values))
        stacked[k] = values
    assert stacked is not None
    if len(scales) == 1:
        stacked = rescale(stacked, *scales.pop(), spare=True)
    return np.ascontiguousarray(np.moveaxis(stacked, -1, 0))


def _slices(planes: Sequence[Plane]) -> Iterator[Numbers]:
    """Yield the stored numbers of planes, [y x sample]; a file of several is decoded once where they follow."""
    path, values = None, np.empty(0)
    for plane in planes:
        if plane.path != path:
            path, values = plane.path, _decode(plane)
        yield values[plane.frame]


def _decode(plane: Plane) -> Numbers:
    """Return the stored numbers of a file, [frame y x sample], MONOCHROME1 inverted."""
    from pydicom.pixels import apply_color_lut, pixel_array  # type: ignore[attr-defined]

    register()
    data = load(plane.path)
    name = plane.path.name
    try:
        rows, columns, samples = int(data.Rows), int(data.Columns), int(data.get("SamplesPerPixel") or 1)
        syntax = data.file_meta.TransferSyntaxUID if "TransferSyntaxUID" in data.file_meta else None
        packed = syntax is not None and (syntax.is_compressed or syntax.is_deflated)
        count = int(data.get("NumberOfFrames") or 1)
        shape = (count, rows, columns, samples)
        bits = int(data.BitsAllocated)
        if bits != 1:
            halved = data.get("PhotometricInterpretation") == "YBR_FULL_422" and samples == 3 and not packed
            stored = (*shape[:3], 2) if halved else shape  # two pixels share their colour
            check_claim(name, stored, bits // 8, plane.path.stat().st_size, packed=packed)
        if syntax is None:
            data.file_meta.TransferSyntaxUID = guess_syntax(data)
        if packed:
            check_frames(name, data, (rows, columns, samples), count)
        values = to_native(pixel_array(data, decoding_plugin=plugin_of(data)))
        if data.PhotometricInterpretation == "PALETTE COLOR":
            values = apply_color_lut(values, data)
            shape = (*shape[:3], values.shape[-1])
            values = (values >> 8).astype(np.uint8) if values.dtype == np.uint16 else values
        values = values.reshape(shape)
    except SegmendError:
        raise
    except Exception as error:  # decoders raise almost anything on damaged pixels
        words = _one_line(error).removeprefix(UNDECODED).removeprefix("segmend: ")
        raise FileError(f"{name} holds pixels that could not be decoded: {words}.") from None
    if plane.inverted and values.dtype.kind in "ui":
        return _invert(values, int(data.get("BitsStored") or bits))
    return values


def plugin_of(data: Dataset) -> str:
    """Return which of pydicom's decoders unpacks these pixels, empty for whichever is there.

    The choice is ours because a decoder that a user has installed for something else may be one that ends the
    whole process on damaged pixels, as GDCM's did (version 3.2.6) in one of some 6,000 damaged frames.
    """
    from pydicom.pixels import get_decoder  # type: ignore[attr-defined]

    syntax = data.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return ""
    narrow = syntax == EXTENDED and int(data.get("BitsStored") or 8) == 8
    there = get_decoder(syntax).available_plugins
    order = ("pillow",) if narrow else ("segmend", "pylibjpeg", "pyjpegls", "pillow", "pydicom")
    return next((plugin for plugin in order if plugin in there), "")


def guess_syntax(data: Dataset) -> UID:
    """Return the transfer syntax of a file that does not say it: as its header turned out to be written."""
    explicit, little = data.original_encoding[0] is False, data.original_encoding[1] is not False
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if not little:
        return ExplicitVRBigEndian
    return ExplicitVRLittleEndian if explicit else ImplicitVRLittleEndian


def _invert(values: Numbers, bits: int) -> Numbers:
    return ~values if values.dtype.kind == "i" else np.asarray(values.dtype.type((1 << bits) - 1) - values)
