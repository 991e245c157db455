"""A mask written for an image lands on the same millimetres, in every format and orientation.

Independent readers check it: SimpleITK and nibabel for the volumes, and for DICOM the
equation of the standard, worked out from the stored tags alone.
"""

from __future__ import annotations

import itertools
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK
from pydicom import dcmread

from segmend import io
from segmend.core.geometry import from_columns, mirrored, sheared, turned
from segmend.core.image import Image
from segmend.core.session import Label
from segmend.errors import FileError, GeometryError
from tests.io.polygons import filled_by_winding

SHAPE = (3, 4, 5)
SPACING = (3.7, 0.61, 1.3)
LABELS = [Label(2, "liver", (230, 75, 60)), Label(7, "a lesion", (60, 160, 230))]
ROTATION = np.linalg.qr(np.array([[1.0, 0.3, 0.2], [-0.2, 1.0, 0.4], [0.1, -0.5, 1.0]]))[0]
FLIPS = [
    (order, signs) for order in itertools.permutations(range(3)) for signs in itertools.product((1.0, -1.0), repeat=3)
]


def grid(axes: np.ndarray) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = axes * SPACING
    affine[:3, 3] = (-31.4, 15.9, 26.5)
    return affine


def flipped(order: tuple[int, ...], signs: tuple[float, ...]) -> np.ndarray:
    return grid(np.eye(3)[:, list(order)] * signs)


OBLIQUE = [grid(ROTATION), grid(ROTATION * (1, -1, 1)), grid(ROTATION[:, [2, 0, 1]])]
TILTED = from_columns((0.0, 1.5, 3.7), (0, 0.61, 0), (1.3, 0, 0), (-3, 4, 5))  # as a gantry tilts
SKEWED = from_columns((0, 0, 3.7), (0.2, 0.61, 0), (1.3, 0, 0), (-3, 4, 5))  # rows and columns not square
EVERY = [flipped(*flip) for flip in FLIPS] + OBLIQUE
NAMES = [f"{''.join('zyx'[k] for k in order)}{''.join('-+'[int(s > 0)] for s in signs)}" for order, signs in FLIPS]
NAMES += ["oblique", "oblique-left-handed", "oblique-turned"]


@pytest.fixture
def mask() -> np.ndarray:
    """Labels that no flip maps to themselves, with a hole, a corner contact and a single voxel."""
    label_map = np.zeros(SHAPE, np.uint16)
    label_map[0, :3, :3] = 2
    label_map[0, 1, 1] = 0
    label_map[1, 0, 0] = label_map[1, 1, 1] = 2
    label_map[2, 3, 4] = label_map[0, 3, 2] = 7
    return label_map


def points_mm(label_map: np.ndarray, affine: np.ndarray, value: int) -> np.ndarray:
    """Return the sorted positions of a label's voxels in RAS mm."""
    return in_order(np.argwhere(label_map == value) @ affine[:3, :3].T + affine[:3, 3])


def in_order(points: np.ndarray) -> np.ndarray:
    return points[np.lexsort(np.round(points, 3).T)]


def with_simpleitk(path: Path) -> tuple[np.ndarray, np.ndarray]:
    read = SimpleITK.ReadImage(str(path))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(read.GetDirection(), (3, 3)) * read.GetSpacing()
    affine[:3, 3] = read.GetOrigin()
    return SimpleITK.GetArrayFromImage(read), mirrored(turned(affine))


def with_nibabel(path: Path) -> tuple[np.ndarray, np.ndarray]:
    read = nibabel.load(path)
    return np.asarray(read.dataobj).transpose(2, 1, 0), turned(read.affine)


def segments_mm(path: Path, number: int) -> np.ndarray:
    """Return the positions of a DICOM-SEG segment's voxels by the standard's equation C.7.6.2.1-1, as RAS mm."""
    ds = dcmread(path)
    shared = ds.SharedFunctionalGroupsSequence[0]
    turns = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
    down, across = (float(v) for v in shared.PixelMeasuresSequence[0].PixelSpacing)
    frames = ds.pixel_array.reshape(-1, ds.Rows, ds.Columns)
    found = []
    for frame, group in zip(frames, ds.PerFrameFunctionalGroupsSequence, strict=True):
        named = group if "SegmentIdentificationSequence" in group else shared
        if named.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number:
            place = np.array(group.PlanePositionSequence[0].ImagePositionPatient, float)
            j, i = np.nonzero(frame)
            found.append(place + i[:, None] * across * turns[:3] + j[:, None] * down * turns[3:])
    return in_order(np.concatenate(found) * (-1, -1, 1))


def region_mm(path: Path, number: int, image: Image) -> np.ndarray:
    """Return the voxels of the image that an RTSTRUCT region goes round, by winding number, as RAS mm."""
    contours = next(r for r in dcmread(path).ROIContourSequence if r.ReferencedROINumber == number).ContourSequence
    steps = np.linalg.inv(image.affine)
    found = []
    for contour in contours:
        points = np.array(contour.ContourData, float).reshape(-1, 3) * (-1, -1, 1)
        index = points @ steps[:3, :3].T + steps[:3, 3]
        z = np.unique(np.round(index[:, 0], 3))
        assert len(z) == 1
        inside = filled_by_winding(index[:, 1:], image.shape[1], image.shape[2])
        found += [(z[0], y, x) for y, x in np.argwhere(inside)]
    return in_order(np.array(found) @ image.affine[:3, :3].T + image.affine[:3, 3])


@pytest.mark.parametrize("affine", EVERY, ids=NAMES)
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
def test_volumes_land_where_simpleitk_and_nibabel_read_them(
    suffix: str, affine: np.ndarray, mask: np.ndarray, tmp_path: Path
) -> None:
    image, path = Image(np.zeros((1, *SHAPE), np.int16), affine, axes="zyx"), tmp_path / f"mask{suffix}"

    io.write_mask(path, mask, image, LABELS)

    readers = [with_simpleitk, with_nibabel] if ".nii" in suffix else [with_simpleitk]
    for reader in readers:
        read, place = reader(path)
        for value in (2, 7):
            assert np.allclose(points_mm(read, place, value), points_mm(mask, affine, value), atol=2e-3)
    assert np.array_equal(io.read_mask(path, image), mask)


@pytest.mark.parametrize("affine", [*EVERY, TILTED], ids=[*NAMES, "tilted"])
def test_dicom_segmentations_land_by_the_standards_equation(
    affine: np.ndarray, mask: np.ndarray, tmp_path: Path
) -> None:
    image, path = Image(np.zeros((1, *SHAPE), np.int16), affine, axes="zyx"), tmp_path / "mask.dcm"

    io.write_mask(path, mask, image, LABELS)

    for number, value in ((1, 2), (2, 7)):
        assert np.allclose(segments_mm(path, number), points_mm(mask, affine, value), atol=2e-3)
    assert np.array_equal(io.read_mask(path, image), mask)


@pytest.mark.parametrize("affine", [*EVERY, TILTED, SKEWED], ids=[*NAMES, "tilted", "skewed"])
def test_structure_sets_go_round_the_same_millimetres(affine: np.ndarray, mask: np.ndarray, tmp_path: Path) -> None:
    image, path = Image(np.zeros((1, *SHAPE), np.int16), affine, axes="zyx"), tmp_path / "mask.rtstruct.dcm"

    io.write_mask(path, mask, image, LABELS)

    for value in (2, 7):
        assert np.allclose(region_mm(path, value, image), points_mm(mask, affine, value), atol=2e-3)
    assert np.array_equal(io.read_mask(path, image), mask)


@pytest.mark.parametrize("affine", [TILTED, SKEWED], ids=["tilted", "skewed"])
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd", ".seg.nrrd", ".mha"])
def test_sheared_grids_survive(suffix: str, affine: np.ndarray, mask: np.ndarray, tmp_path: Path) -> None:
    image, path = Image(np.zeros((1, *SHAPE), np.int16), affine, axes="zyx"), tmp_path / f"mask{suffix}"

    io.write_mask(path, mask, image, LABELS)

    read, place = with_nibabel(path) if suffix == ".nii.gz" else with_simpleitk(path)
    for value in (2, 7):
        assert np.allclose(points_mm(read, place, value), points_mm(mask, affine, value), atol=2e-3)
    assert sheared(io.read(path).affine)
    assert np.array_equal(io.read_mask(path, image), mask)


def test_a_dicom_segmentation_refuses_rows_and_columns_that_are_not_square(mask: np.ndarray, tmp_path: Path) -> None:
    image = Image(np.zeros((1, *SHAPE), np.int16), SKEWED)

    with pytest.raises(FileError, match="A DICOM segmentation needs rows and columns at right angles"):
        io.write_mask(tmp_path / "mask.dcm", mask, image, LABELS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".nii.gz", ".seg.nrrd", ".mha", ".dcm", ".rtstruct.dcm"])
def test_a_mask_of_another_place_is_refused(suffix: str, mask: np.ndarray, tmp_path: Path) -> None:
    affine, path = flipped((0, 1, 2), (1.0, 1.0, 1.0)), tmp_path / f"mask{suffix}"
    io.write_mask(path, mask, Image(np.zeros((1, *SHAPE)), affine, axes="zyx"), LABELS)
    moved = affine.copy()
    moved[:3, 3] += 0.43 * affine[:3, 0]

    with pytest.raises(GeometryError, match=r"lies on another grid|lies in no slice"):
        io.read_mask(path, Image(np.zeros((1, *SHAPE)), moved, axes="zyx"))


@pytest.mark.parametrize("affine", OBLIQUE, ids=NAMES[-3:])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_images_land_too_and_keep_their_numbers(suffix: str, affine: np.ndarray, tmp_path: Path) -> None:
    voxels = np.arange(60, dtype=np.int16).reshape(1, *SHAPE) - 30
    path = tmp_path / f"image{suffix}"

    io.write_image(path, Image(voxels, affine, axes="zyx"))

    read, place = with_simpleitk(path)
    again = io.read(path)
    assert np.array_equal(read, voxels[0])
    assert np.allclose(place, affine, atol=1e-4)
    assert again.voxels.dtype == np.int16
    assert np.array_equal(again.voxels, voxels)
    assert np.allclose(again.affine, affine, atol=1e-4)
