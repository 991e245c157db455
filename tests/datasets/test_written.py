"""Data sets that are written and read again, in every layout; and those of other tools, as they write them."""

from __future__ import annotations

import base64
import json
from io import BytesIO
from pathlib import Path

import nibabel
import numpy as np
import pytest
from PIL import Image as Pillow
from pycocotools import mask as rle
from pycocotools.coco import COCO

from segmend import io
from segmend.core.image import Image, LabelMap, scale_affine
from segmend.core.session import Label
from segmend.datasets.case import Found
from segmend.datasets.coco import mask_of, run_lengths
from segmend.datasets.folder import LAYOUTS, WRITERS, look, look_as
from segmend.datasets.labelme import area_of
from segmend.datasets.writing import Entry
from segmend.errors import FileError, SettingsError
from tests.datasets import layouts
from tests.datasets.layouts import BORDER, SPACING, TRUTH

AFFINE = scale_affine(SPACING)
AFFINE[:3, 3] = (-7, 11, 30)
SCAN = Image((TRUTH[None] * 40 + 10).astype(np.int16), AFFINE)
TWO = Image(np.concatenate([SCAN.voxels, SCAN.voxels + 5]), AFFINE)
PHOTO = Image(np.stack([np.where(BORDER, 70, 200), np.full(BORDER.shape, 9), BORDER * 3]).astype(np.uint8)[:, None])
SPOTS = BORDER[None].astype(np.uint16)
SPOTS[0, 6:9, 10:14] = 4
SPOTS[0, 10, 20] = 0  # a hole of one pixel
FLAT = {"masks", "coco", "labelme"}
SOLID = {"bids", "totalsegmentator"}


def entries(layout: str) -> list[Entry]:
    """Three cases of two labels, whose values differ from case to case."""
    image, values = (PHOTO, SPOTS) if layout in FLAT else (SCAN, TRUTH)
    inner, outer = (4, 1) if layout in FLAT else (2, 1)
    swapped = np.select([values == outer, values == inner], [7, 3], 0).astype(np.uint16)
    return [
        Entry("a1", image, values, {outer: "Liver", inner: "Left kidney"}, "train", "CT"),
        Entry("b2", image, swapped, {7: "liver", 3: "left  kidney"}, "test", "CT"),
        Entry("c3", image, np.where(values == outer, outer, 0).astype(np.uint16), {outer: "liver"}, "val", "CT"),
    ]


def written(folder: Path, layout: str) -> Found:
    """Write them, and return what is found in the folder that was written."""
    writer = WRITERS[layout](folder)
    for entry in entries(layout):
        files = writer.add(entry)
        assert all(path.is_file() for path in files)
    assert all(path.is_file() for path in writer.finish())
    found = look(writer.folder)
    assert found is not None
    return found


def by_name(values: LabelMap, names: dict[int, str]) -> dict[str, list[int]]:
    """Return the voxels of each label, by its name in small letters."""
    return {
        " ".join(names[value].lower().replace("_", " ").split()): np.flatnonzero(values == value).tolist()
        for value in np.unique(values).tolist()
        if value
    }


@pytest.mark.parametrize("layout", WRITERS)
def test_what_is_written_is_read_again_with_names_splits_and_places(tmp_path, layout):
    found = written(tmp_path, layout)

    assert (
        sum(one.look(tmp_path / ("Dataset001_Segmend" if layout == "nnunet" else "")) is not None for one in LAYOUTS)
        == 1
    )
    names = {entry.name: f"sub-{entry.name}_ct" if layout == "bids" else entry.name for entry in entries(layout)}
    cases = {case.name: case for case in found.everything}
    assert sorted(cases) == sorted(names.values()) and not found.unlabelled
    for entry in entries(layout):
        case = cases[names[entry.name]]
        example = case.read()
        assert by_name(example.labels, dict(case.label_names)) == by_name(entry.map, dict(entry.names))
        assert np.array_equal(example.image.voxels, entry.image.voxels)
        if layout not in FLAT:
            assert np.allclose(example.image.affine, AFFINE)
        assert found.split_names[case.name] == entry.split


def test_labels_without_a_name_keep_their_values_but_where_these_need_to_be_in_a_row(tmp_path):
    values = np.where(TRUTH == 2, 41, 0).astype(np.uint16)
    for layout, kept in (("segmend", 41), ("bids", 41), ("nnunet", 1)):
        writer = WRITERS[layout](tmp_path / layout)
        writer.add(Entry("a", SCAN, values, {}))
        writer.finish()
        found = look(writer.folder)
        assert found is not None
        [case] = found.everything
        assert set(np.unique(case.read().labels)) == {0, kept} and case.label_names[kept] == "label 41"


def test_names_of_bids_stay_as_they_are_where_a_mask_has_one_image_to_belong_to(tmp_path):
    writer = WRITERS["bids"](tmp_path)
    names = ["sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-02_FLAIR", "sub-02_T1w", "02", "scan 4"]
    for value, name in enumerate(names, 1):
        writer.add(Entry(name, SCAN, np.where(TRUTH == 1, value, 0).astype(np.uint16), {}, "train", "MR"))
    writer.finish()

    found = look(tmp_path)
    assert found is not None
    kept = ["sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-02_FLAIR"]
    made = ["sub-sub02T1w_MR", "sub-02x2_MR", "sub-scan4_MR"]
    assert {case.name: int(case.read().labels.max()) for case in found.everything} == {
        name: value for value, name in enumerate([*kept, *made], 1)
    }
    [mask] = found.everything[0].maps
    beside = json.loads((tmp_path / mask).with_name("sub-01_ses-1_dseg.json").read_text())
    assert (tmp_path / beside["SpatialReference"].removeprefix("bids:raw:")).is_file()


@pytest.mark.parametrize("layout", ["segmend", "nnunet", "msd", "bids", "beside"])
def test_channels_stay_channels(tmp_path, layout):
    writer = WRITERS[layout](tmp_path)
    writer.add(Entry("a1", TWO, TRUTH, {1: "liver", 2: "tumour"}, "val", "MR"))
    writer.finish()

    found = look(writer.folder)
    assert found is not None
    [case] = found.everything

    assert np.array_equal(case.read().image.voxels, TWO.voxels)
    assert all(path.is_file() for path in case.image_files)


@pytest.mark.parametrize(
    ("layout", "image", "words"),
    [
        ("coco", SCAN, "This layout is for pictures; this is a volume."),
        ("bids", PHOTO, "This layout is for volumes; this is a picture."),
        ("totalsegmentator", TWO, "has volumes of 1 channel; this one has 2"),
    ],
)
def test_what_a_layout_cannot_hold_is_refused(tmp_path, layout, image, words):
    writer = WRITERS[layout](tmp_path)

    with pytest.raises(FileError, match=words):
        writer.add(Entry("a", image, np.ones(image.shape, np.uint16), {}))
    with pytest.raises(FileError, match="needs a label with voxels"):
        writer.add(Entry("a", image, np.zeros(image.shape, np.uint16), {}))
    assert writer.finish() == [] and not list(tmp_path.iterdir())


@pytest.mark.parametrize("layout", ["nnunet", "msd"])
def test_images_of_another_kind_are_refused(tmp_path, layout):
    writer = WRITERS[layout](tmp_path)
    writer.add(entries(layout)[0])

    with pytest.raises(FileError, match=r"volumes of 1 channel.*; this is volumes of 2 channels"):
        writer.add(Entry("b", TWO, TRUTH, {}))


def test_a_name_tells_the_layout_and_a_wrong_one_is_refused(tmp_path):
    written(tmp_path, "beside")

    assert look_as(tmp_path, "beside").everything
    with pytest.raises(FileError, match="is not laid out as nnunet: nnU-Net's raw data set"):
        look_as(tmp_path, "nnunet")
    with pytest.raises(SettingsError, match="There is no layout 'dvc'; there are segmend, nnunet, "):
        look_as(tmp_path, "dvc")


def test_nibabel_sees_what_nnunet_gets(tmp_path):
    written(tmp_path, "nnunet")

    folder = tmp_path / "Dataset001_Segmend"
    told = json.loads((folder / "dataset.json").read_text())
    assert told["labels"] == {"background": 0, "Liver": 1, "Left kidney": 2} and told["numTraining"] == 2
    for name, part in (("a1", "Tr"), ("b2", "Ts"), ("c3", "Tr")):
        scan = nibabel.load(folder / f"images{part}" / f"{name}_0000.nii.gz")
        mask = nibabel.load(folder / f"labels{part}" / f"{name}.nii.gz")
        assert scan.shape == mask.shape == TRUTH.shape[::-1] and np.allclose(scan.affine, mask.affine)


def test_nnunet_takes_a_picture_for_one_slice_however_wide_its_pixels_are(tmp_path):
    affine = scale_affine((1, 2, 2))
    writer = WRITERS["nnunet"](tmp_path)
    writer.add(Entry("a", Image(PHOTO.voxels, affine), SPOTS, {}, "train", "XC"))
    writer.finish()

    scan = nibabel.load(writer.folder / "imagesTr" / "a_0002.nii.gz")
    assert scan.shape == (30, 20, 1) and scan.header.get_zooms() == (2, 2, 999)
    [case] = look(writer.folder).everything
    example = case.read()
    assert np.array_equal(example.image.voxels, PHOTO.voxels) and example.image.spacing[1:].tolist() == [2, 2]


def test_nnunets_pictures_hold_their_colours_in_one_file(tmp_path):
    told = {
        "channel_names": {"0": "R", "1": "G", "2": "B"},
        "labels": {"background": 0, "mole": 1},
        "numTraining": 1,
        "file_ending": ".png",
    }
    (tmp_path / "dataset.json").write_text(json.dumps(told))
    for part in ("imagesTr", "labelsTr"):
        (tmp_path / part).mkdir()
    io.write_image(tmp_path / "imagesTr" / "a_0000.png", PHOTO)
    Pillow.fromarray(BORDER.astype(np.uint8)).save(tmp_path / "labelsTr" / "a.png")

    [case] = look(tmp_path).everything
    example = case.read()

    assert np.array_equal(example.image.voxels, PHOTO.voxels) and np.array_equal(example.labels[0], BORDER)


def test_nnunets_test_images_are_cases_with_or_without_labels(tmp_path):
    written(tmp_path, "nnunet")
    folder = tmp_path / "Dataset001_Segmend"
    (folder / "split.json").unlink()
    for name in ("t1", "t2"):
        layouts.volume(folder / "imagesTs" / f"{name}_0000.nii.gz")
    layouts.truth(folder / "labelsTs" / "t1.nii.gz")

    found = look(folder)

    assert found is not None and [case.name for case in found.unlabelled] == ["t2"]
    assert "t1" in [case.name for case in found.cases("test")]
    assert [case.name for case in found.everything] == ["a1", "b2", "c3", "t1", "t2"]


def test_the_decathlons_names_and_test_images_are_known(tmp_path):
    layouts.write_decathlon(tmp_path)
    layouts.volume(tmp_path / "imagesTs" / "spleen_7.nii.gz")
    told = json.loads((tmp_path / "dataset.json").read_text())
    (tmp_path / "dataset.json").write_text(json.dumps({**told, "test": ["./imagesTs/spleen_7.nii.gz", "../x"]}))

    found = look(tmp_path)

    assert found is not None and [case.name for case in found.unlabelled] == ["spleen_7"]
    assert found.everything[0].label_names == {1: "spleen"}


def test_subjects_of_totalsegmentator_have_its_own_splits(tmp_path):
    for name, split in (("s0001", "train"), ("s0002", "test")):
        layouts.volume(tmp_path / name / "ct.nii.gz")
        for structure, value in (("spleen", 2), ("liver", 1)):
            path = tmp_path / name / "segmentations" / f"{structure}.nii.gz"
            path.parent.mkdir(exist_ok=True)
            io.write_mask(path, (TRUTH == value).astype(np.uint16), Image(TRUTH[None], scale_affine(SPACING)), [])
        with (tmp_path / "meta.csv").open("a") as file:
            file.write(("image_id;age;split\n" if split == "train" else "") + f"{name};60;{split}\n")
    layouts.volume(tmp_path / "s0003" / "mri.nii.gz")

    found = look(tmp_path)

    assert found is not None and [case.name for case in found.cases("test")] == ["s0002"]
    assert [case.name for case in found.unlabelled] == ["s0003"]
    assert found.everything[0].label_names == {1: "liver", 2: "spleen"}
    assert np.array_equal(found.everything[0].read().labels, TRUTH)


def test_masks_beside_pictures_and_slicers_are_read(tmp_path):
    layouts.picture(tmp_path / "mole.jpg")
    layouts.border(tmp_path / "mole_mask.png")
    io.write_image(tmp_path / "scan.nrrd", SCAN)
    labels = [Label(1, "liver", (230, 75, 60)), Label(2, "tumour", (90, 190, 90))]
    io.write_mask(tmp_path / "scan.seg.nrrd", TRUTH, SCAN, labels)
    layouts.volume(tmp_path / "other.nii.gz")

    found = look(tmp_path)

    assert found is not None and [case.name for case in found.unlabelled] == ["other"]
    mole, _, scan = found.everything
    assert np.array_equal(mole.read().labels[0], BORDER)
    assert np.array_equal(scan.read().labels, TRUTH) and scan.label_names == {1: "liver", 2: "tumour"}


def test_bids_masks_find_their_images(tmp_path):
    (tmp_path / "dataset_description.json").write_text('{"Name": "x", "BIDSVersion": "1.9.0"}')
    (tmp_path / "participants.tsv").write_text("participant_id\tsplit\nsub-01\ttest\nsub-02\ttrain\n")
    for subject, session in (("sub-01", "ses-1"), ("sub-01", "ses-2"), ("sub-02", "ses-1"), ("sub-03", "ses-1")):
        layouts.volume(tmp_path / subject / session / "anat" / f"{subject}_{session}_T1w.nii.gz")
    made = tmp_path / "derivatives" / "manual"
    for session in ("ses-1", "ses-2"):
        layouts.truth(made / "sub-01" / session / "anat" / f"sub-01_{session}_space-orig_desc-manual_dseg.nii.gz")
    (made / "dseg.tsv").write_text("index\tname\n0\tbackground\n1\tliver\n2\ttumour\n")
    lesion = made / "sub-02" / "ses-1" / "anat" / "sub-02_ses-1_label-lesion_mask.nii.gz"
    lesion.parent.mkdir(parents=True)
    io.write_mask(lesion, (TRUTH == 2).astype(np.uint16), Image(TRUTH[None], scale_affine(SPACING)), [])

    found = look(tmp_path)

    assert found is not None and [case.name for case in found.unlabelled] == ["sub-03_ses-1_T1w"]
    one, two, three, _ = found.everything
    assert [one.name, two.name, three.name] == ["sub-01_ses-1_T1w", "sub-01_ses-2_T1w", "sub-02_ses-1_T1w"]
    assert np.array_equal(one.read().labels, TRUTH) and np.array_equal(two.read().labels, TRUTH)
    assert np.array_equal(three.read().labels, np.where(TRUTH == 2, 3, 0))
    assert one.label_names == {1: "liver", 2: "tumour", 3: "lesion"}
    assert [case.name for case in found.cases("test")] == ["sub-01_ses-1_T1w", "sub-01_ses-2_T1w"]


def test_cocos_polygons_and_packed_runs_are_read(tmp_path):
    layouts.picture(tmp_path / "train" / "mole.png")
    layouts.picture(tmp_path / "train" / "plain.png")
    square = [6, 4, 26, 4, 26, 15, 6, 15]
    told = {
        "images": [{"id": 9, "file_name": "mole.png"}, {"id": 10, "file_name": "plain.png"}],
        "categories": [{"id": 3, "name": "mole"}, {"id": 5, "name": "dot"}],
        "annotations": [
            {"id": 1, "image_id": 9, "category_id": 3, "segmentation": [square]},
            {"id": 2, "image_id": 9, "category_id": 5, "segmentation": {"size": [20, 30], "counts": [65, 2, 533]}},
        ],
    }
    path = tmp_path / "annotations" / "instances_train.json"
    path.parent.mkdir()
    path.write_text(json.dumps(told))

    found = look(tmp_path)

    assert found is not None and [case.name for case in found.unlabelled] == ["plain"]
    [case] = found.cases("train")
    wanted = np.where(BORDER, 3, 0)
    wanted[5:7, 3] = 5
    assert case.label_names == {3: "mole", 5: "dot"} and np.array_equal(case.read().labels[0], wanted)
    told["annotations"][1]["segmentation"]["counts"] = [65, 2]
    path.write_text(json.dumps(told))
    [case] = look(tmp_path).cases("train")
    with pytest.raises(FileError, match="An object of mole in annotations/instances_train.json is neither polygons"):
        case.read()


@pytest.mark.parametrize("seed", range(4))
def test_run_lengths_are_those_of_pycocotools(seed):
    mask = np.random.default_rng(seed).random((20, 30)) > (0.0, 0.5, 0.98, 1.0)[seed]
    mask[4:15, 6:26] = seed != 3
    packed = rle.encode(np.asfortranarray(mask.astype(np.uint8)))

    plain = {"size": [20, 30], "counts": run_lengths(mask)}
    assert np.array_equal(mask_of({"size": [20, 30], "counts": packed["counts"].decode()}, 20, 30), mask)
    assert np.array_equal(mask_of(plain, 20, 30), mask)
    assert rle.frPyObjects(plain, 20, 30) == packed


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # of pycocotools with NumPy 2
def test_pycocotools_sees_what_was_written(tmp_path):
    written(tmp_path, "coco")

    for entry in entries("coco"):
        coco = COCO(str(tmp_path / "annotations" / f"instances_{entry.split}.json"))
        [image] = coco.loadImgs(coco.getImgIds())
        assert (image["file_name"], image["height"], image["width"]) == (f"{entry.name}.png", 20, 30)
        found = np.zeros((20, 30), np.uint16)
        for one in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            found[coco.annToMask(one) > 0] = one["category_id"]
            x, y, width, height = one["bbox"]
            rows, columns = np.nonzero(found == one["category_id"])
            assert (rows.min(), columns.min(), rows.max() + 1, columns.max() + 1) == (y, x, y + height, x + width)
        names = {one["id"]: one["name"] for one in coco.loadCats(coco.getCatIds())}
        assert by_name(found[None], names) == by_name(entry.map, dict(entry.names))


@pytest.mark.parametrize(
    ("shape", "area"),
    [
        ({"shape_type": "polygon", "points": [[6, 4], [26, 4], [26, 15], [6, 15]]}, BORDER),
        ({"shape_type": "rectangle", "points": [[26, 15], [6, 4]]}, BORDER),
        ({"points": [[6, 4], [26, 4], [26, 15], [6, 15]]}, BORDER),
    ],
)
def test_labelmes_shapes_cover_their_pixels(shape, area):
    assert np.array_equal(area_of(shape, 20, 30), area)


def test_a_circle_of_labelme_is_round():
    area = area_of({"shape_type": "circle", "points": [[10, 8], [10, 12]]}, 20, 30)

    assert abs(area.sum() - np.pi * 16) < 3 and area[8, 10] and not area[3, 10]


def test_labelmes_files_give_labels_by_name(tmp_path):
    layouts.picture(tmp_path / "a.png")
    layouts.picture(tmp_path / "b.png")
    crop = BytesIO()
    Pillow.fromarray(np.ones((2, 3), bool)).save(crop, "PNG")
    packed = base64.b64encode(crop.getvalue()).decode()
    shapes = [
        {"label": "mole", "shape_type": "polygon", "points": [[6, 4], [26, 4], [26, 15], [6, 15]]},
        {"label": "dot", "shape_type": "mask", "points": [[1, 2], [3, 3]], "mask": packed},
        {"label": "ruler", "shape_type": "line", "points": [[0, 0], [9, 9]]},
    ]  # fmt: skip
    (tmp_path / "a.json").write_text(json.dumps({"version": "5.0.1", "shapes": shapes, "imagePath": "a.png"}))

    found = look(tmp_path)

    assert found is not None and [case.name for case in found.unlabelled] == ["b"]
    case = found.everything[0]
    wanted = np.where(BORDER, 2, 0)
    wanted[2:4, 1:4] = 1
    assert case.label_names == {1: "dot", 2: "mole"} and np.array_equal(case.read().labels[0], wanted)
    shapes[1]["mask"] = "no PNG"
    (tmp_path / "a.json").write_text(json.dumps({"shapes": shapes, "imagePath": "a.png"}))
    with pytest.raises(FileError, match="A shape in a.json is not as Labelme writes them"):
        case.read()
