"""DICOM structure sets (RTSTRUCT): the outlines of every label, slice by slice.

An outline runs along the edges of its pixels, so that whoever fills it by the pixels'
centres gets the mask back voxel for voxel, and its area is the mask's. A hole is joined
to its outline by a channel of no width (the keyhole of the standard), which both ways of
filling a polygon understand.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from segmend.core.atomic import write_atomically
from segmend.core.image import Image, LabelMap, MaskArray, bounds
from segmend.core.layers import Layering, label_mask
from segmend.core.marks import fill_polygon
from segmend.core.session import Label
from segmend.errors import FileError, GeometryError
from segmend.io import dicom
from segmend.io.reference import Reference, code_item, ds, identify, series_items, slice_item, snomed
from segmend.io.segmentcodes import UNKNOWN, codes_of_label

if TYPE_CHECKING:
    from pydicom import Dataset

Ring = NDArray[np.float64]  # [n 2] (row, column), in pixels
MAX_OFFSET = 0.25  # voxels that a contour may lie off a slice


def outlines(mask: MaskArray) -> list[Ring]:
    """Return closed lines along the pixel edges of a plane, one a piece, holes joined by keyholes.

    >>> outlines(np.array([[True, True]]))[0].tolist()
    [[-0.5, -0.5], [-0.5, 1.5], [0.5, 1.5], [0.5, -0.5]]
    """
    rings = _rings(mask)
    outer = [ring for ring in rings if _area(ring) > 0]
    holes = sorted((ring for ring in rings if _area(ring) < 0), key=lambda ring: int(ring[:, 1].min()))
    for hole in holes:
        _join(outer, hole)
    return [_straighten(ring) - 0.5 for ring in outer]


def _rings(mask: MaskArray) -> list[NDArray[np.intp]]:
    """Return the lattice lines round the pixels, each pixel to the right of the walk.

    Where two pixels touch only at a corner the walk stays with its own pixel.
    """
    padded = np.pad(mask, 1)
    following: dict[tuple[int, int], list[tuple[int, int]]] = {}
    inside = padded[1:-1, 1:-1]
    sides = (
        (padded[:-2, 1:-1], (0, 0), (0, 1)),  # above: walk to the right
        (padded[1:-1, 2:], (0, 1), (1, 1)),  # right: walk down
        (padded[2:, 1:-1], (1, 1), (1, 0)),  # below: walk to the left
        (padded[1:-1, :-2], (1, 0), (0, 0)),  # left: walk up
    )
    for neighbour, start, end in sides:
        for y, x in np.argwhere(inside & ~neighbour).tolist():
            following.setdefault((y + start[0], x + start[1]), []).append((y + end[0], x + end[1]))
    rings = []
    while following:
        first = next(iter(following))
        ring, here = [first], _step(following, first, None)
        while here != first:
            ring.append(here)
            here = _step(following, here, ring[-2])
        rings.append(np.array(ring, np.intp))
    return rings


def _step(
    following: dict[tuple[int, int], list[tuple[int, int]]], here: tuple[int, int], before: tuple[int, int] | None
) -> tuple[int, int]:
    """Return the next corner and forget the edge to it; at a crossing turn right, round the same pixel."""
    ways = following[here]
    at = 0
    if len(ways) > 1 and before is not None:
        dy, dx = here[0] - before[0], here[1] - before[1]
        at = ways.index((here[0] + dx, here[1] - dy))
    there = ways.pop(at)
    if not ways:
        del following[here]
    return there


def _area(ring: NDArray[np.intp]) -> float:
    """Return the signed area: positive round a piece, negative round a hole."""
    y, x = ring.T
    return float((x * np.roll(y, -1) - np.roll(x, -1) * y).sum() / 2)


def _join(outer: list[NDArray[np.intp]], hole: NDArray[np.intp]) -> None:
    """Join a hole to the line just left of its leftmost corner, in place in the list."""
    corner = int(hole[:, 1].argmin())
    y, x = hole[corner]
    best: tuple[int, int, int] | None = None
    for k, ring in enumerate(outer):
        level = np.flatnonzero((ring[:, 0] == y) & (ring[:, 1] < x))
        if len(level):
            at = int(level[ring[level, 1].argmax()])
            if best is None or ring[at, 1] > best[0]:
                best = int(ring[at, 1]), k, at
    assert best is not None  # a hole has its piece on every side
    _, k, at = best
    around = np.concatenate([hole[corner:], hole[: corner + 1]])
    outer[k] = np.concatenate([outer[k][: at + 1], around, outer[k][at:]])


def _straighten(ring: NDArray[np.intp]) -> Ring:
    """Return the ring without the corners on a straight run."""
    ahead, behind = np.roll(ring, -1, 0) - ring, ring - np.roll(ring, 1, 0)
    ahead, behind = np.sign(ahead), np.sign(behind)
    return np.asarray(ring[(ahead != behind).any(axis=1)], np.float64)


def write_structures(
    path: Path, label_map: LabelMap, image: Image, labels: Sequence[Label], reference: Reference
) -> None:
    """Write a label map as RTSTRUCT: one region a label, with its name and colour.

    Of maps [layer z y x] each region has all voxels of its label, shared ones among them.
    """
    if not labels:
        raise FileError("A DICOM structure set needs at least one label; this mask has none.")
    data = _structures(label_map, image, labels, reference)
    write_atomically(path, lambda part: data.save_as(part, enforce_file_format=True))


def _structures(label_map: LabelMap, image: Image, labels: Sequence[Label], reference: Reference) -> Dataset:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ImplicitVRLittleEndian, RTStructureSetStorage, generate_uid

    data = Dataset()
    data.SOPClassUID, data.SOPInstanceUID = RTStructureSetStorage, generate_uid()
    data.file_meta = FileMetaDataset()
    data.file_meta.MediaStorageSOPClassUID, data.file_meta.MediaStorageSOPInstanceUID = (
        data.SOPClassUID,
        data.SOPInstanceUID,
    )
    data.file_meta.TransferSyntaxUID = ImplicitVRLittleEndian  # long contours do not fit the explicit one
    identify(data, reference)
    data.PositionReferenceIndicator = ""  # the frame has no landmark that anybody told
    data.SeriesInstanceUID, data.SeriesNumber, data.Modality = generate_uid(), 901, "RTSTRUCT"
    data.Manufacturer = data.ManufacturerModelName = "Segmend"
    data.SoftwareVersions = version("segmend")
    data.OperatorsName = data.StructureSetDate = data.StructureSetTime = ""
    data.StructureSetLabel, data.SeriesDescription = "Segmentation", "Segmentation"
    data.ReferencedFrameOfReferenceSequence = [_frame_item(reference)]
    data.StructureSetROISequence, data.ROIContourSequence, data.RTROIObservationsSequence = [], [], []
    for label in labels:
        _add_region(data, label, _contours(label_mask(label_map, label.value), image, reference), reference.frame_uid)
    return data


def _frame_item(reference: Reference) -> Dataset:
    from pydicom import Dataset

    frame = Dataset()
    frame.FrameOfReferenceUID = reference.frame_uid
    if reference.used:
        study, series = Dataset(), Dataset()
        series.SeriesInstanceUID = reference.series_uid
        series.ContourImageSequence = series_items(reference)
        study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"  # study management, as the standard still asks
        study.ReferencedSOPInstanceUID = reference.study_uid
        study.RTReferencedSeriesSequence = [series]
        frame.RTReferencedStudySequence = [study]
    return frame


def _add_region(data: Dataset, label: Label, contours: list[Dataset], frame_uid: str) -> None:
    from pydicom import Dataset

    region, drawn, observed = Dataset(), Dataset(), Dataset()
    region.ROINumber, region.ReferencedFrameOfReferenceUID = label.value, frame_uid
    region.ROIName = (" ".join(label.name.replace("\\", "/").split()) or f"label {label.value}")[:64]
    region.ROIGenerationAlgorithm = "SEMIAUTOMATIC"
    drawn.ReferencedROINumber, drawn.ROIDisplayColor = label.value, list(label.colour)
    if contours:
        drawn.ContourSequence = contours
    observed.ObservationNumber = observed.ReferencedROINumber = label.value
    observed.RTROIInterpretedType = observed.ROIInterpreter = ""
    if (known := codes_of_label(label)) != UNKNOWN:
        kind = code_item(snomed(known.type))
        if known.side is not None:
            kind.SegmentedPropertyTypeModifierCodeSequence = [code_item(snomed(known.side))]
        observed.RTROIIdentificationCodeSequence = [kind]
        observed.SegmentedPropertyCategoryCodeSequence = [code_item(snomed(known.category))]
    data.StructureSetROISequence.append(region)
    data.ROIContourSequence.append(drawn)
    data.RTROIObservationsSequence.append(observed)


def _contours(mask: MaskArray, image: Image, reference: Reference) -> list[Dataset]:
    from pydicom import Dataset

    box = bounds(mask)
    if box is None:
        return []
    contours = []
    for z in range(box.low[0], box.high[0]):
        for ring in outlines(mask[z, box.low[1] : box.high[1], box.low[2] : box.high[2]]):
            index = np.column_stack([np.full(len(ring), float(z)), ring + box.low[1:]])
            points_mm = (index @ image.affine[:3, :3].T + image.affine[:3, 3]) * (-1, -1, 1)
            contour, item = Dataset(), slice_item(reference, z)
            if item is not None:
                contour.ContourImageSequence = [item]
            contour.ContourGeometricType, contour.NumberOfContourPoints = "CLOSED_PLANAR", len(ring)
            contour.ContourData = ds(points_mm.ravel())
            contours.append(contour)
    return contours


def read_structures(path: Path, image: Image, *, layered: bool = False) -> LabelMap:
    """Return the regions of a structure set as a label map on the image's grid, by their numbers.

    Contours must lie in slices of the image, along any of its axes. Where regions overlap, the later one holds; with
    `layered` those that share voxels stay whole, in maps [layer z y x].
    """
    data = dicom.load_whole(path)
    if "ROIContourSequence" not in data:  # empty in one without outlines, but there
        raise FileError(f"{path.name} is cut short: a structure set has outlines, and this one ends before them.")
    laid, layering = np.zeros(image.shape, np.uint16), Layering(image.shape)
    for drawn in data.ROIContourSequence:
        value = int(drawn.ReferencedROINumber)
        if not 0 < value < 65536:
            raise FileError(f"{path.name} has region {value}; a label is 1 to 65535.")
        rings = [_indices(c, image) for c in drawn.get("ContourSequence") or [] if _is_closed(c)]
        inside = _fill_rings(rings, image.shape, path.name)
        if layered:
            layering.add(value, inside)
        else:
            laid[inside] = value
    return layering.maps if layered else laid


def region_names(path: Path) -> dict[int, str]:
    """Return the names of a structure set's regions by their numbers."""
    regions = dicom.load_whole(path).get("StructureSetROISequence") or []
    return {int(region.ROINumber): str(region.get("ROIName", "")) for region in regions}


def _is_closed(contour: Dataset) -> bool:
    return str(contour.get("ContourGeometricType", "")).startswith("CLOSED")


def _indices(contour: Dataset, image: Image) -> NDArray[np.float64]:
    points_mm = np.array(contour.ContourData, float).reshape(-1, 3) * (-1, -1, 1)
    if not np.isfinite(points_mm).all():
        raise FileError("A contour needs finite positions.")
    return np.asarray(np.linalg.solve(image.affine[:3, :3], (points_mm - image.affine[:3, 3]).T).T)


def _fill_rings(rings: Sequence[NDArray[np.float64]], shape: Sequence[int], name: str) -> MaskArray:
    mask = np.zeros(tuple(shape), bool)
    for points in rings:
        axis = int(np.ptp(points, axis=0).argmin())
        at = round(float(points[:, axis].mean()))
        if np.abs(points[:, axis] - at).max() > MAX_OFFSET or not 0 <= at < shape[axis]:
            raise GeometryError(f"{name} has a contour that lies in no slice of the image.")
        ring = np.delete(points, axis, axis=1)
        rows, columns = (n for k, n in enumerate(shape) if k != axis)
        if (ring < -0.5 - MAX_OFFSET).any() or (ring > (rows - 0.5 + MAX_OFFSET, columns - 0.5 + MAX_OFFSET)).any():
            raise GeometryError(f"{name} has a contour that reaches outside the image.")
        plane = np.moveaxis(mask, axis, 0)[at]
        plane ^= fill_polygon(_snap_to_edges(ring), rows, columns)
    return mask


def _snap_to_edges(ring: Ring) -> Ring:
    """Return the ring with corners a rounding error away from a pixel's edge put on it."""
    edges = np.rint(ring - 0.5) + 0.5
    return np.where(np.abs(ring - edges) < 1e-3, edges, ring)
