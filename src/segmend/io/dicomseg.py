"""DICOM segmentations (SEG): one binary segment a label, each slice at its own place in the patient."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from segmend.core.atomic import write_atomically
from segmend.core.geometry import Affine, fit, from_columns, lay, mirrored
from segmend.core.image import Image, LabelMap
from segmend.core.layers import Layering, label_mask
from segmend.core.session import Label
from segmend.errors import FileError
from segmend.io import dicom
from segmend.io.dicomjpeg import check_frames
from segmend.io.reference import Reference, code_item, ds, identify, series_items, slice_item, snomed
from segmend.io.segmentcodes import codes_of_label
from segmend.io.sizes import check_claim

if TYPE_CHECKING:
    from pydicom import Dataset

# Our tracking identifiers of segments, which hold the value in the label map.
VALUE = re.compile(r"Label (\d+)")
# Of the series that a mask makes, apart from a scanner's own numbers.
SERIES_NUMBER = 900
# Characters of a name of DICOM's.
MOST_CHARACTERS = 64


@dataclass(frozen=True)
class Origin:
    """What made a label's mask: the methods that answered, and the marks and edits that are in effect."""

    methods: tuple[str, ...]  # by id; none: by hand, by rule or from elsewhere
    marks: int
    sha256: str  # of the marks

    @classmethod
    def of(cls, methods: Iterable[str], marks: Sequence[Mapping[str, Any]]) -> Origin:
        """Return the origin that methods and the JSON of marks are, hashed as `results.provenance` says."""
        found = hashlib.sha256()
        for mark in marks:
            found.update(json.dumps(mark, sort_keys=True, separators=(",", ":")).encode() + b"\n")
        return cls(tuple(dict.fromkeys(methods)), len(marks), found.hexdigest())


@dataclass(frozen=True)
class Told:
    """What the segment of another file says of how it was made, which is passed on."""

    kind: str  # AUTOMATIC, SEMIAUTOMATIC or MANUAL
    name: str  # of the algorithm; empty where a person drew
    description: str
    identification: Mapping[str, Any]  # by the keywords of DICOM


# The standard has no word for it: of its three, this one says neither that nobody looked nor that a person drew it all.
UNKNOWN = Told("SEMIAUTOMATIC", "unknown", "How it was made is not known.", {})
KINDS = ("AUTOMATIC", "SEMIAUTOMATIC", "MANUAL")
# What identifies an algorithm (PS3.3 10.16), and says nothing of a patient.
IDENTIFICATION = (
    "AlgorithmFamilyCodeSequence",
    "AlgorithmNameCodeSequence",
    "AlgorithmName",
    "AlgorithmVersion",
    "AlgorithmParameters",
    "AlgorithmSource",
)


def check_writable(image: Image) -> None:
    """Raise FileError unless rows and columns are at right angles, planes may lie anywhere, and highdicom is there."""
    if find_spec("highdicom") is None:  # it needs pyjpegls, which has no wheels for Python 3.14
        raise FileError(
            "Writing a DICOM segmentation needs highdicom, which is not installed: "
            "pip install --no-deps highdicom; or write .seg.nrrd or RTSTRUCT instead."
        )
    rows, columns = image.affine[:3, 1], image.affine[:3, 2]
    if abs(rows @ columns) > 1e-4 * np.linalg.norm(rows) * np.linalg.norm(columns):
        raise FileError("A DICOM segmentation needs rows and columns at right angles; this image's are sheared.")


def write_segmentation(
    path: Path,
    label_map: LabelMap,
    image: Image,
    labels: Sequence[Label],
    reference: Reference,
    origins: Mapping[int, Origin | Told],
) -> None:
    """Write a label map as DICOM-SEG; of maps [layer z y x] the segments overlap where labels share voxels.

    `origins` says by label what made its mask; of those that it lacks it is not known.
    """
    if not labels:
        raise FileError("A DICOM segmentation needs at least one label; this mask has none.")
    check_writable(image)
    data = _segmentation(label_map, image, labels, reference, origins)
    write_atomically(path, data.save_as)


def _segmentation(
    label_map: LabelMap,
    image: Image,
    labels: Sequence[Label],
    reference: Reference,
    origins: Mapping[int, Origin | Told],
) -> Dataset:
    import highdicom as hd
    from pydicom.uid import generate_uid

    affine = mirrored(image.affine)
    spacing = image.spacing
    patient = hd.CoordinateSystemNames.PATIENT
    orientation = [*affine[:3, 2] / spacing[2], *affine[:3, 1] / spacing[1]]
    apart = abs(float(affine[:3, 0] @ np.cross(orientation[:3], orientation[3:])))
    places = [affine[:3, 0] * z + affine[:3, 3] for z in range(image.shape[0])]
    data = hd.seg.Segmentation(
        source_images=[_stand_in(image, reference, orientation, places[0])],
        pixel_array=_numbered(label_map, labels),
        segmentation_type="BINARY",
        segment_descriptions=[
            _description(i + 1, label, origins.get(label.value, UNKNOWN)) for i, label in enumerate(labels)
        ],
        series_instance_uid=generate_uid(),
        series_number=SERIES_NUMBER,
        sop_instance_uid=generate_uid(),
        instance_number=1,
        manufacturer="Segmend",
        manufacturer_model_name="Segmend",
        software_versions=version("segmend"),
        device_serial_number="0",
        content_label="SEGMENTATION",
        series_description="Segmentation",
        plane_orientation=hd.PlaneOrientationSequence(patient, orientation),
        plane_positions=[hd.PlanePositionSequence(patient, list(place)) for place in places],
        pixel_measures=hd.PixelMeasuresSequence([float(spacing[1]), float(spacing[2])], apart, apart),
    )
    identify(data, reference)
    _refer(data, reference, affine)
    return data


def _numbered(label_map: LabelMap, labels: Sequence[Label]) -> NDArray[np.generic]:
    """Return the number of the segment a voxel, or, where labels may share voxels, a mask a segment [z y x segment]."""
    if label_map.ndim == 4:
        return np.stack([label_mask(label_map, label.value) for label in labels], axis=-1)
    numbers = np.zeros(65536, np.uint16)
    numbers[[label.value for label in labels]] = np.arange(1, len(labels) + 1)
    return numbers[label_map].astype(np.uint8 if len(labels) < 256 else np.uint16)


def _stand_in(image: Image, reference: Reference, orientation: ArrayLike, place: ArrayLike) -> Dataset:
    """Return a slice on the image's own grid: highdicom wants a source, and ours may be of any kind or none."""
    from pydicom import Dataset
    from pydicom.uid import CTImageStorage, generate_uid

    one = Dataset()
    for tag in ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID"):
        setattr(one, tag, "")
    one.StudyDate = one.StudyTime = ""
    one.SOPClassUID, one.SOPInstanceUID, one.Modality = CTImageStorage, generate_uid(), reference.modality
    one.StudyInstanceUID, one.SeriesInstanceUID = reference.study_uid, generate_uid()
    one.FrameOfReferenceUID = reference.frame_uid
    one.Rows, one.Columns = image.shape[1:]
    one.ImageOrientationPatient, one.ImagePositionPatient = ds(orientation), ds(place)
    one.PixelSpacing = ds([image.spacing[1], image.spacing[2]])
    one.SliceThickness = ds([image.spacing[0]])[0]
    return one


def _description(number: int, label: Label, origin: Origin | Told) -> Any:
    import highdicom as hd
    from pydicom.uid import generate_uid

    known = codes_of_label(label)
    description = hd.seg.SegmentDescription(
        segment_number=number,
        segment_label=(" ".join(label.name.replace("\\", "/").split()) or f"label {label.value}")[:MOST_CHARACTERS],
        segmented_property_category=snomed(known.category),
        segmented_property_type=snomed(known.type),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.MANUAL,  # and what it is in truth below
        tracking_uid=generate_uid(),
        tracking_id=f"Label {label.value}",
        display_color=hd.color.CIELabColor.from_rgb(*label.colour),
    )
    _tell_origin(description, origin)
    if known.side is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [code_item(snomed(known.side))]
    return description


def _tell_origin(description: Any, origin: Origin | Told) -> None:
    """Say in a segment's description what made the segment."""
    import highdicom as hd
    from pydicom import Dataset
    from pydicom.sr.codedict import codes

    if isinstance(origin, Told):
        description.SegmentAlgorithmType = origin.kind
        if origin.name:
            description.SegmentAlgorithmName = origin.name
        if origin.description:
            description.SegmentDescription = origin.description
        if origin.identification:
            algorithm = Dataset()
            for keyword, value in origin.identification.items():
                setattr(algorithm, keyword, value)
            description.SegmentationAlgorithmIdentificationSequence = [algorithm]
        return
    name = " ".join(["Segmend", *origin.methods])[:MOST_CHARACTERS]
    description.SegmentAlgorithmType = hd.seg.SegmentAlgorithmTypeValues.SEMIAUTOMATIC.value
    description.SegmentAlgorithmName = name
    description.SegmentationAlgorithmIdentificationSequence = hd.AlgorithmIdentificationSequence(
        name,
        codes.DCM.ArtificialIntelligence,
        version("segmend"),
        parameters={"marks": str(origin.marks), "marks-sha256": origin.sha256},
    )


def _refer(data: Any, reference: Reference, affine: Affine) -> None:
    """Replace the references to the stand-in by ones to the source's slices, or by none."""
    from pydicom import Dataset
    from pydicom.sr.codedict import codes

    for tag in ("ReferencedSeriesSequence", "SourceImageSequence"):
        if tag in data:
            delattr(data, tag)
    if reference.used:
        series = Dataset()
        series.SeriesInstanceUID = reference.series_uid
        series.ReferencedInstanceSequence = series_items(reference)
        data.ReferencedSeriesSequence = [series]
    steps = np.linalg.inv(affine)
    for group in data.PerFrameFunctionalGroupsSequence:
        place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
        item = slice_item(reference, round(float(steps[0] @ (*place, 1.0))))
        if "DerivationImageSequence" in group:
            del group.DerivationImageSequence
        if item is not None:
            item.PurposeOfReferenceCodeSequence = [code_item(codes.DCM.SourceImageForImageProcessingOperation)]
            item.SpatialLocationsPreserved = "YES"
            derivation = Dataset()
            derivation.SourceImageSequence = [item]
            derivation.DerivationCodeSequence = [code_item(codes.DCM.Segmentation)]
            group.DerivationImageSequence = [derivation]


def read_segmentation(path: Path, image: Image, *, layered: bool = False) -> LabelMap:
    """Return the label map of a DICOM-SEG on the image's grid; where segments overlap, the later one holds.

    With `layered` those that share voxels stay whole, in maps [layer z y x].
    """
    from pydicom.pixels import pixel_array  # type: ignore[attr-defined]

    data = dicom.load_whole(path)
    count, rows, columns = int(data.get("NumberOfFrames") or 1), int(data.Rows), int(data.Columns)
    packed = data.file_meta.TransferSyntaxUID.is_compressed
    bits = int(data.BitsAllocated)
    check_claim(path.name, (count, rows, (columns + 7) // 8 if bits == 1 else columns), max(1, bits // 8),
                path.stat().st_size, packed=packed)  # fmt: skip
    if packed:
        check_frames(path.name, data, (rows, columns, 1), count)
    frames = pixel_array(data).reshape(count, rows, columns)
    groups = data.PerFrameFunctionalGroupsSequence
    if len(groups) != count:
        raise FileError(f"{path.name} says it has {count} frames but describes {len(groups)}.")
    values = {int(s.SegmentNumber): _value(s) for s in _segments(data)}
    background = data.get("PixelPaddingValue")
    labelmap = str(data.get("SegmentationType", "")) == "LABELMAP"
    half = int(data.get("MaximumFractionalValue") or 1) / 2 if data.get("SegmentationType") == "FRACTIONAL" else 0
    shared = data.SharedFunctionalGroupsSequence[0]
    laid = np.zeros(image.shape, np.uint16)
    layering = Layering(image.shape) if layered and not labelmap else None
    drawn = None  # the segment that is being laid
    for frame, group in _by_segment(frames, groups, shared) if layering else zip(frames, groups, strict=True):
        if labelmap:
            plane = np.where(frame == background, 0, frame).astype(np.uint16) if background else frame.astype(np.uint16)
        else:
            number = int(_from(group, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber)
            plane = (frame > half) * np.uint16(values[number])
            if layering is not None and drawn not in (None, number):
                layering.add(values[drawn], laid != 0)
                laid[...] = 0
            drawn = number
        affine = _plane_affine(group, shared, image)
        found = fit(affine, (1, rows, columns), image.affine)
        lay(laid, found.turn(plane[None]), found.low)
    if layering is None:
        return laid
    if drawn is not None:
        layering.add(values[drawn], laid != 0)
    return layering.maps


def _by_segment(
    frames: NDArray[Any], groups: Sequence[Dataset], shared: Dataset
) -> Iterator[tuple[NDArray[Any], Dataset]]:
    """Yield the frames of a segmentation with their descriptions, those of a segment one after the other."""
    numbers = [int(_from(g, shared, "SegmentIdentificationSequence").ReferencedSegmentNumber) for g in groups]
    for i in sorted(range(len(numbers)), key=lambda i: numbers[i]):
        yield frames[i], groups[i]


def segment_names(path: Path) -> dict[int, str]:
    """Return the names of a DICOM-SEG's segments by their values in the label map."""
    segments = _segments(dicom.load(path, pixels=False))
    return {_value(segment): str(segment.get("SegmentLabel", "")) for segment in segments}


def segment_origins(path: Path) -> dict[int, Told]:
    """Return what a DICOM-SEG says of how its segments were made, by their values in the label map."""
    return {_value(segment): _told(segment) for segment in _segments(dicom.load(path, pixels=False))}


def _told(segment: Dataset) -> Told:
    kind = str(segment.get("SegmentAlgorithmType", ""))
    if kind not in KINDS:
        return UNKNOWN
    algorithm = (segment.get("SegmentationAlgorithmIdentificationSequence") or [{}])[0]
    identification = {name: algorithm[name].value for name in IDENTIFICATION if name in algorithm}
    name = str(segment.get("SegmentAlgorithmName") or identification.get("AlgorithmName") or "")
    if not name and kind != "MANUAL":  # which needs one
        name = UNKNOWN.name
    return Told(kind, name, str(segment.get("SegmentDescription") or ""), identification)


def _segments(data: Dataset) -> list[Dataset]:
    """Return the segments of a DICOM-SEG; a label map describes its background too, as number 0 or as padding."""
    if str(data.get("SegmentationType", "")) != "LABELMAP":
        return list(data.SegmentSequence)
    background = (0, data.get("PixelPaddingValue"))
    return [segment for segment in data.SegmentSequence if int(segment.SegmentNumber) not in background]


def _value(segment: Dataset) -> int:
    """Return a segment's value in the label map: the one we wrote, else its number."""
    tracked = VALUE.fullmatch(str(segment.get("TrackingID", "")))
    value = int(tracked[1]) if tracked else int(segment.SegmentNumber)
    if not 0 < value < 65536:
        raise FileError(f"A segment needs a label of 1 to 65535; got {value}.")
    return value


def _from(group: Dataset, shared: Dataset, sequence: str) -> Dataset:
    found: Dataset = (group.get(sequence) or shared[sequence].value)[0]
    return found


def _plane_affine(group: Dataset, shared: Dataset, image: Image) -> Affine:
    """Return the affine of one frame, its missing axis taken from the image it is to lie on."""
    place = np.array(_from(group, shared, "PlanePositionSequence").ImagePositionPatient, float)
    turns = np.array(_from(group, shared, "PlaneOrientationSequence").ImageOrientationPatient, float)
    down, across = (float(v) for v in _from(group, shared, "PixelMeasuresSequence").PixelSpacing)
    flat = mirrored(from_columns((0, 0, 0), turns[3:] * down, turns[:3] * across, place))
    steps = np.abs(np.linalg.solve(image.affine[:3, :3], flat[:3, 1:3])).sum(axis=1)
    flat[:3, 0] = image.affine[:3, int(steps.argmin())]
    return flat
