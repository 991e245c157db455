"""The papers' public sets: each is known by its layout, read right, split by case, and says which file is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.datasets import LAYOUTS, look, sets
from segmend.datasets.case import split_of
from segmend.errors import FileError, SettingsError, ShapeError
from segmend.evaluation import evaluate
from segmend.learning.subjects import subjects
from tests.datasets import layouts
from tests.datasets.layouts import BORDER, SPACING, TRUTH

VOLUMES: dict[str, tuple[Callable[[Path], None], list[str], int]] = {
    "ircad": (layouts.write_ircad, ["3Dircadb1.1", "3Dircadb1.2", "3Dircadb1.3", "3Dircadb1.4"], 1),
    "brats2015": (
        layouts.write_brats2015,
        ["HGG_brats_2013_pat0001_1", "HGG_brats_tcia_pat105_0001", "LGG_brats_2013_pat0001_1"],
        4,
    ),
    "brats2018": (
        layouts.write_brats2018,
        ["Brats18_2013_10_1", "Brats18_CBICA_AAB_1", "Brats18_TCIA09_141_1"],
        4,
    ),
    "btcv": (
        partial(layouts.write_btcv, images="RawData/Training/img", labels="RawData/Training/label"),
        ["img0001", "img0002", "img0010"],
        1,
    ),
    "bcv": (
        partial(layouts.write_btcv, images="imagesTr", labels="labelsTr"),
        ["img0001", "img0002", "img0010"],
        1,
    ),
    "decathlon": (layouts.write_decathlon, ["spleen_10", "spleen_2", "spleen_3"], 1),
}
PICTURES: dict[str, tuple[Callable[[Path], None], list[str]]] = {
    "ph2": (layouts.write_ph2, ["IMD002", "IMD003", "IMD004"]),
    "isic2017": (
        layouts.write_isic2017,
        ["ISIC_0000000", "ISIC_0000001", "ISIC_0000002", "ISIC_0000010", "ISIC_0000011", "ISIC_0000012"],
    ),
    "pairs": (layouts.write_pairs, ["a", "b", "c.v2"]),
}


@pytest.mark.parametrize("name", VOLUMES)
def test_volumes_are_read_with_their_channels_and_truth(tmp_path: Path, name: str) -> None:
    write, names, channels = VOLUMES[name]
    write(tmp_path / name)

    (one,) = sets(tmp_path / name, "all")

    assert one.name == name
    assert sorted(case.name for case in one.cases) == names
    for case in one.cases:
        example = case.read()
        assert not case.instances
        assert example.image.channels == channels and example.first.channels == 1
        for number in range(channels):
            assert np.array_equal(example.image.voxels[number], TRUTH * 40 + 10 + number)
        wanted = (TRUTH == 1).astype(int) if name == "ircad" else TRUTH
        assert np.array_equal(example.labels, wanted)
        assert example.image.spacing.tolist() == ([3, 2, 0.5] if name == "ircad" else list(SPACING))


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_read_with_their_borders(tmp_path: Path, name: str) -> None:
    write, names = PICTURES[name]
    write(tmp_path / name)

    (one,) = sets(tmp_path / name, "all")

    assert sorted(case.name for case in one.cases) == names
    for case in one.cases:
        example = case.read()
        assert example.image.flat and example.image.shape == (1, 20, 30)
        assert abs(float(example.image.voxels[0, 0][BORDER].mean()) - 70) < 20  # JPEG blurs
        assert np.array_equal(example.labels[0], BORDER)


def test_a_folder_of_sets_in_many_layouts_gives_them_all(tmp_path: Path) -> None:
    for name, (write, *_) in {**VOLUMES, **PICTURES}.items():
        write(tmp_path / name)
    (tmp_path / "notes").mkdir()
    (tmp_path / "README.txt").write_text("hello")

    found = {one.name: [case.name for case in one.cases] for one in sets(tmp_path, "all")}

    assert sorted(found) == sorted([*VOLUMES, *PICTURES])
    assert len(LAYOUTS) == 15
    known = {layout.__name__.rpartition(".")[2] for layout in LAYOUTS if layout.look(tmp_path / "ph2") is not None}
    assert known == {"ph2"}


@pytest.mark.parametrize("name", [*VOLUMES, *PICTURES])
def test_each_layout_is_known_by_one_adapter_alone(tmp_path: Path, name: str) -> None:
    ({**VOLUMES, **PICTURES}[name][0])(tmp_path / name)

    assert sum(layout.look(tmp_path / name) is not None for layout in LAYOUTS) == 1


def test_a_layout_is_known_from_its_inner_folder_too(tmp_path: Path) -> None:
    layouts.write_ph2(tmp_path / "PH2Dataset")
    layouts.write_btcv(tmp_path / "abdomen", "RawData/Training/img", "RawData/Training/label")
    layouts.write_brats2018(tmp_path / "brats")

    for inner, count in (
        ("PH2Dataset/PH2 Dataset images", 3),
        ("abdomen/RawData", 3),
        ("abdomen/RawData/Training", 3),
        ("brats/HGG", 2),
    ):
        (one,) = sets(tmp_path / inner, "all")
        assert len(one.cases) == count
        assert one.cases[0].read().labels.any()


def test_zip_files_of_3d_ircadb_need_no_unpacking(tmp_path: Path) -> None:
    layouts.write_ircad(tmp_path, patients=1)
    scan = tmp_path / "3Dircadb1.1" / "PATIENT_DICOM"
    shutil.make_archive(str(scan), "zip", scan)
    shutil.rmtree(scan)

    example = sets(tmp_path, "all")[0].cases[0].read()

    assert np.array_equal(example.labels, TRUTH == 1)


def test_the_official_parts_of_isic_are_its_splits(tmp_path: Path) -> None:
    layouts.write_isic2017(tmp_path)

    for split, last in (("train", "0"), ("val", "1"), ("test", "2")):
        assert [case.name[-1] for case in sets(tmp_path, split)[0].cases] == [last, last]

    shutil.rmtree(tmp_path / "ISIC-2017_Validation_Data")
    shutil.rmtree(tmp_path / "ISIC-2017_Test_v2_Data")
    found = look(tmp_path)
    assert found is not None and sorted(found.splits) == ["test", "train", "val"]
    assert len(found.cases("all")) == 2


def test_a_split_beside_the_cases_counts(tmp_path: Path) -> None:
    layouts.write_brats2018(tmp_path)
    (tmp_path / "split.json").write_text(json.dumps({"train": ["Brats18_2013_10_1"], "mine": ["Brats18_CBICA_AAB_1"]}))

    assert [case.name for case in sets(tmp_path, "mine")[0].cases] == ["Brats18_CBICA_AAB_1"]
    assert len(sets(tmp_path, "all")[0].cases) == 2
    (tmp_path / "split.json").write_text(json.dumps({"train": ["Brats18_nobody"]}))
    with pytest.raises(FileError, match=r"split.json of .* names the case Brats18_nobody, which is not there"):
        sets(tmp_path, "train")


def test_all_scans_of_a_patient_share_a_split(tmp_path: Path) -> None:
    scans = [f"brats_tcia_pat{number}_{scan:04d}" for number in range(20) for scan in (1, 2)]
    for scan in scans:
        (tmp_path / "HGG" / scan / "VSD.Brain.XX.O.MR_T1.1").mkdir(parents=True)

    found = look(tmp_path)

    assert found is not None and all(found.splits.values())
    for cases in found.splits.values():
        patients = [case.name.rpartition("_")[0] for case in cases]
        assert all(patients.count(patient) == 2 for patient in patients)


@given(st.text(min_size=1, max_size=20))
def test_a_split_depends_on_nothing_but_the_name(name: str) -> None:
    assert split_of(name) == split_of(name)
    assert split_of(name) in ("train", "val", "test")


def test_hashed_splits_are_about_three_to_one_to_one() -> None:
    drawn = [split_of(f"case{number}") for number in range(1000)]

    assert [round(drawn.count(split) / 1000, 1) for split in ("train", "val", "test")] == [0.6, 0.2, 0.2]


@pytest.mark.parametrize(
    ("name", "lost", "words"),
    [
        ("ircad", "3Dircadb1.1/MASKS_DICOM/liver", r"patient 3Dircadb1.1 .* needs the folder MASKS_DICOM/liver"),
        ("ircad", "3Dircadb1.1/PATIENT_DICOM", r"patient 3Dircadb1.1 .* needs the folder PATIENT_DICOM; it is not"),
        (
            "brats2015",
            "HGG/brats_2013_pat0001_1/VSD.Brain.XX.O.MR_T1c.54514",
            r"HGG_brats_2013_pat0001_1 of BraTS 2015 needs one file VSD.Brain\*.O.MR_T1c.\*/\*.mha in HGG/\S+; found 0",
        ),
        (
            "brats2015",
            "HGG/brats_2013_pat0001_1/VSD.Brain_3more.XX.O.OT.54517",
            r"needs one file VSD.Brain\*.O.OT.\*/\*.mha",
        ),
        (
            "brats2018",
            "HGG/Brats18_2013_10_1/Brats18_2013_10_1_seg.nii.gz",
            r"case Brats18_2013_10_1 .* file HGG/Brats18_2013_10_1/Brats18_2013_10_1_seg.nii.gz; it is not",
        ),
        ("btcv", "RawData/Training/label/label0001.nii.gz", r"img0001 .* file RawData/Training/label/label0001.nii.gz"),
        ("bcv", "labelsTr/label0001.nii.gz", r"case img0001 .* needs the file labelsTr/label0001.nii.gz; it is not"),
        ("decathlon", "imagesTr/spleen_2.nii.gz", r"case spleen_2 .* needs the file imagesTr/spleen_2.nii.gz; it is"),
        (
            "ph2",
            "PH2 Dataset images/IMD002/IMD002_lesion/IMD002_lesion.bmp",
            r"case IMD002 .* needs the file PH2 Dataset images/IMD002/IMD002_lesion/IMD002_lesion.bmp",
        ),
        (
            "isic2017",
            "ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png",
            r"case ISIC_0000000 .* file ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png; it is not",
        ),
        ("pairs", "masks/a.png", r"case a of pairs needs one mask masks/a with a suffix that can be read; found none"),
    ],
)
def test_a_missing_file_is_named(tmp_path: Path, name: str, lost: str, words: str) -> None:
    ({**VOLUMES, **PICTURES}[name][0])(tmp_path / name)
    gone = tmp_path / name / lost
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()

    cases = sets(tmp_path / name, "all")[0].cases
    with pytest.raises(FileError, match=words):
        [case.read() for case in cases]


def test_a_mask_of_another_shape_or_a_second_one_is_refused(tmp_path: Path) -> None:
    layouts.write_pairs(tmp_path)
    (case,) = [case for case in sets(tmp_path, "all")[0].cases if case.name == "a"]

    shutil.copy(tmp_path / "masks" / "a.png", tmp_path / "masks" / "a_mask.png")
    with pytest.raises(FileError, match=r"needs one mask masks/a .*; found a.png, a_mask.png"):
        case.read()
    (tmp_path / "masks" / "a_mask.png").unlink()
    layouts.Pillow.fromarray(BORDER[:, :-1]).save(tmp_path / "masks" / "a.png")
    with pytest.raises(ShapeError, match=r"a.png needs the image's shape \(1, 20, 30\); it has \(1, 20, 29\)"):
        case.read()


@pytest.mark.parametrize(
    "told", ["{", "[]", "{}", '{"training": [{"image": "a"}]}', '{"training": [{"image": "../a", "label": "b"}]}']
)
def test_a_decathlon_task_that_does_not_say_its_cases_is_refused(tmp_path: Path, told: str) -> None:
    (tmp_path / "dataset.json").write_text(told)

    with pytest.raises(FileError, match=r'dataset.json of .* needs a list "training" of \{image, label\}'):
        sets(tmp_path, "train")


def test_a_folder_that_nobody_knows_is_told_what_is_known(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()

    with pytest.raises(FileError, match="no data set in a layout that is known. Known are: .*images/ and labels/.*PH2"):
        sets(tmp_path, "train")


def test_they_can_be_learned_from_and_evaluated(tmp_path: Path) -> None:
    layouts.write_ph2(tmp_path / "ph2")
    (tmp_path / "ph2" / "split.json").write_text(json.dumps({"train": ["IMD002", "IMD003"], "val": ["IMD004"]}))

    found = subjects(tmp_path / "ph2", "train", flat=True)
    report = evaluate.evaluate(tmp_path, "graphcut", "box", interactions=1)

    assert [(subject.name, subject.group) for subject in found] == [("IMD002", "ph2"), ("IMD003", "ph2")]
    assert [curve.case for curve in report.curves] == ["IMD004"] and report.curves[0].dice[-1] > 0.9


def test_a_split_without_the_wanted_kind_of_case_is_told(tmp_path: Path) -> None:
    layouts.write_ph2(tmp_path)
    (tmp_path / "split.json").write_text(json.dumps({"train": ["IMD002", "IMD003"], "val": []}))

    with pytest.raises(SettingsError, match=r"The train split of .* needs a case with an object in a volume; none of"):
        subjects(tmp_path, "train", flat=False)
    with pytest.raises(SettingsError, match=r"The split 'val' of .* has no cases; a split.json beside them can name"):
        subjects(tmp_path, "val")
