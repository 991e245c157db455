"""Objects that share voxels survive every file that can hold them: .seg.nrrd, DICOM-SEG and RTSTRUCT."""

import highdicom as hd
import numpy as np
import pytest

from segmend import io
from segmend.core.image import Image, scale_affine
from segmend.core.layers import Layering, label_mask
from segmend.core.session import PALETTE, Label
from segmend.errors import LimitError
from segmend.store import Store
from segmend.store.given import add_masks

SHAPE = (4, 9, 11)
IMAGE = Image(np.zeros((1, *SHAPE), np.int16), scale_affine((3.0, 1.5, 2.0)))
BOXES = {
    2: (slice(0, 4), slice(1, 8), slice(1, 10)),
    5: (slice(1, 3), slice(3, 6), slice(4, 8)),
    7: (0, 0, slice(0, 3)),
}
LABELS = [Label(2, "organ", PALETTE[0]), Label(5, "tumour", PALETTE[1], layer=5), Label(7, "node", PALETTE[2])]


def inside(value):
    mask = np.zeros(SHAPE, bool)
    mask[BOXES[value]] = True
    return mask


@pytest.fixture(scope="module")
def maps():
    layering = Layering(SHAPE)
    for value in BOXES:
        layering.add(value, inside(value))
    return layering.maps


@pytest.mark.parametrize("ending", [".seg.nrrd", ".dcm", ".rtstruct.dcm"])
def test_what_we_write_is_read_with_its_overlap(tmp_path, maps, ending):
    path = tmp_path / f"mask{ending}"
    io.write_mask(path, maps, IMAGE, LABELS)

    read, flat = io.read_maps(path, IMAGE), io.read_mask(path, IMAGE)

    assert read.shape == (2, *SHAPE) and read.dtype == np.uint16
    for value in BOXES:
        np.testing.assert_array_equal(label_mask(read, value), inside(value))
    assert io.mask_names(path) == {2: "organ", 5: "tumour", 7: "node"}
    assert flat.shape == SHAPE and (flat == 5).sum() == inside(5).sum()


def test_objects_that_share_no_voxel_make_one_map(tmp_path, maps):
    path = tmp_path / "mask.seg.nrrd"
    apart = np.stack([np.where(maps[0] == 7, 7, 0), np.where(maps[1] == 5, 5, 0)]).astype(np.uint16)
    io.write_mask(path, apart, IMAGE, LABELS[1:])
    assert io.read_maps(path, IMAGE).shape == SHAPE


def test_layers_that_slicer_s_own_library_writes(tmp_path):
    """Segments there may have the same value in several layers."""
    slicerio = pytest.importorskip("slicerio")
    voxels = np.stack([inside(2), inside(5)]).astype(np.uint8).transpose(0, 3, 2, 1)  # layer x y z
    segments = [
        {"id": f"Segment_{i}", "name": name, "color": [1, 0, 0], "labelValue": 1, "layer": i, "extent": [0, 1] * 3,
         "status": "inprogress"}
        for i, name in enumerate(("organ", "tumour"))
    ]  # fmt: skip
    ijk_to_lps = np.diag([-1, -1, 1, 1]) @ IMAGE.affine[:, [2, 1, 0, 3]]
    path = tmp_path / "slicer.seg.nrrd"
    slicerio.write_segmentation(str(path), {"voxels": voxels, "ijkToLPS": ijk_to_lps, "segments": segments})

    read = io.read_maps(path, IMAGE)

    assert io.mask_names(path) == {1: "organ", 2: "tumour"}
    np.testing.assert_array_equal(label_mask(read, 1), inside(2))
    np.testing.assert_array_equal(label_mask(read, 2), inside(5))


def test_slicer_s_own_library_sees_what_we_write(tmp_path, maps):
    slicerio = pytest.importorskip("slicerio")
    path = tmp_path / "ours.seg.nrrd"
    io.write_mask(path, maps, IMAGE, LABELS)

    found = slicerio.read_segmentation(str(path))

    segments = {one["name"]: one for one in found["segments"]}
    for label in LABELS:
        one = segments[label.name]
        np.testing.assert_array_equal(found["voxels"][one["layer"]].T == one["labelValue"], inside(label.value))


def test_highdicom_sees_what_we_write(tmp_path, maps):
    path = tmp_path / "ours.dcm"
    io.write_mask(path, maps, IMAGE, LABELS)

    found = hd.seg.segread(path)

    overlapping = found.get_volume(combine_segments=False).array  # z y x segment
    for i, label in enumerate(LABELS):
        assert overlapping[..., i].sum() == inside(label.value).sum()


def test_a_case_with_such_a_mask_keeps_it_as_layers(tmp_path, maps):
    with Store.local(tmp_path) as store:
        case = store.add_case("organ", IMAGE)
        record = add_masks(store, case, maps, {2: "organ", 5: "tumour"})
        session = store.session(record.id)
    assert {value: label.layer for value, label in session.labels.items()} == {2: 0, 5: 5, 7: 0}


def test_more_masks_in_one_place_than_are_kept_are_refused():
    layering = Layering((1, 1, 1))
    for value in range(1, 17):
        layering.add(value, np.ones((1, 1, 1), bool))
    with pytest.raises(LimitError, match="At most 16 masks may overlap"):
        layering.add(17, np.ones((1, 1, 1), bool))
