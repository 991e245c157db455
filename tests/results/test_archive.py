"""Many cases as one zip: what is in it, what is left out and said, and that it is sent while it is made."""

from __future__ import annotations

import csv
import io as memory
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from segmend import io
from segmend.datasets.folder import sets
from segmend.errors import SettingsError
from segmend.results.archive import Wanted, archive
from segmend.store import Store
from tests.results.cases import fill, kidney_map, photograph, volume


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with fill(tmp_path_factory.mktemp("store")) as store:
        yield store


def unpacked(store: Store, folder: Path, *kinds: str, **options: bool) -> list[str]:
    """Make an archive of all cases, check it, unpack it, and return its names."""
    scratch = folder / "scratch"
    scratch.mkdir()
    data = b"".join(archive(store, store.cases(), Wanted(kinds, **options), scratch))
    with zipfile.ZipFile(memory.BytesIO(data)) as file:
        assert file.testzip() is None
        file.extractall(folder / "out")
        return file.namelist()


def test_a_folder_a_case_and_one_table(store, tmp_path):
    names = unpacked(store, tmp_path, ".nii.gz", ".stl", ".csv", ".provenance.json")

    assert names == [
        "CT-abdomen/CT-abdomen.nii.gz",
        "CT-abdomen/CT-abdomen-1-Left-kidney.stl",
        "CT-abdomen/CT-abdomen-3-stone.stl",
        "CT-abdomen/CT-abdomen.provenance.json",
        "mole/mole.nii.gz",
        "mole/mole.provenance.json",
        "CT-abdomen-2/CT-abdomen-2.nii.gz",
        "CT-abdomen-2/CT-abdomen-2-5-left-kidney.stl",
        "CT-abdomen-2/CT-abdomen-2.provenance.json",
        "measures.csv",
        "left-out.txt",
    ]
    out = tmp_path / "out"
    assert (io.read_mask(out / names[0], volume()) == kidney_map()).all()
    with (out / "measures.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["case"] for row in rows] == ["CT, abdomen", "CT, abdomen", "mole", "CT, abdomen"]
    assert rows[2]["mean_3"] and not rows[0]["mean_3"]
    assert (out / "left-out.txt").read_text() == "mole, .stl: Of a picture there is no such file.\n"


def test_the_training_folder_is_one_that_segmend_trains_on(store, tmp_path):
    unpacked(store, tmp_path, "training")

    [data] = sets(tmp_path / "out" / "training", "all")
    examples = {case.name: case.read() for case in data.cases}
    assert sorted(examples) == ["CT-abdomen", "CT-abdomen-2", "mole"]
    assert data.cases[0].label_names == {1: "Left kidney", 2: "=stone"}
    first, second = examples["CT-abdomen"], examples["CT-abdomen-2"]
    assert (first.labels == np.where(kidney_map() == 3, 2, kidney_map())).all()
    assert (second.labels == (kidney_map() == 1)).all()  # of one name, so of one value
    assert (first.image.voxels == volume().voxels).all() and np.allclose(first.image.affine, volume().affine)
    assert (examples["mole"].image.voxels == photograph().voxels).all()


def test_the_nnunet_folder_is_as_it_wants_it(store, tmp_path):
    import nibabel

    names = unpacked(store, tmp_path, "nnunet")

    place = "nnunet/Dataset001_Segmend"
    tests = json.loads((tmp_path / "out" / place / "split.json").read_text())["test"]
    one, two = ("Ts" if name in tests else "Tr" for name in ("CT-abdomen", "CT-abdomen-2"))
    assert names == [
        f"{place}/images{one}/CT-abdomen_0000.nii.gz",
        f"{place}/labels{one}/CT-abdomen.nii.gz",
        f"{place}/images{two}/CT-abdomen-2_0000.nii.gz",
        f"{place}/labels{two}/CT-abdomen-2.nii.gz",
        f"{place}/dataset.json",
        f"{place}/split.json",
        "left-out.txt",
    ]
    about = json.loads((tmp_path / "out" / place / "dataset.json").read_text())
    assert about == {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "Left kidney": 1, "=stone": 2},
        "numTraining": 2 - len(tests),
        "file_ending": ".nii.gz",
    }
    scan, mask = (nibabel.load(tmp_path / "out" / name) for name in names[:2])
    assert (np.asarray(scan.dataobj) == volume().voxels[0].T).all()
    assert scan.shape == mask.shape and np.allclose(scan.affine, mask.affine)
    assert set(np.unique(np.asarray(mask.dataobj))) == {0, 1, 2}
    said = (tmp_path / "out" / "left-out.txt").read_text()
    assert "nnU-Net needs images of one kind: volumes of 1 channel" in said and "pictures of 3 channels" in said


def test_a_photographs_channels_are_files_of_their_own(store, tmp_path):
    (tmp_path / "scratch").mkdir()
    [mole] = [case for case in store.cases() if case.name == "mole"]

    data = b"".join(archive(store, [mole], Wanted(["nnunet"]), tmp_path / "scratch"))

    with zipfile.ZipFile(memory.BytesIO(data)) as file:
        assert [name.rpartition("/")[2] for name in file.namelist()] == [
            *("mole_0000.nii.gz", "mole_0001.nii.gz", "mole_0002.nii.gz", "mole.nii.gz", "dataset.json", "split.json"),
        ]


def test_it_is_sent_case_by_case_and_leaves_nothing_behind(store, tmp_path):
    asked: list[str] = []

    def cases():
        for case in store.cases():
            asked.append(case.name)
            yield case

    pieces = archive(store, cases(), Wanted([".nii.gz"]), tmp_path)
    first = next(piece for piece in pieces if piece)
    assert first.startswith(b"PK") and len(asked) == 1

    assert list(pieces)[-1] and len(asked) == 4
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_case_that_cannot_be_read_is_said_and_the_rest_goes_on(store, tmp_path):
    def damaged(store, case_id):
        from segmend.errors import StoreError
        from segmend.results.case_result import newest_result

        if store.case(case_id).name == "mole":
            raise StoreError("The blob is damaged.")
        return newest_result(store, case_id)

    data = b"".join(archive(store, store.cases(), Wanted([".nii.gz"]), tmp_path, result_of=damaged))

    with zipfile.ZipFile(memory.BytesIO(data)) as file:
        assert file.namelist() == [
            "CT-abdomen/CT-abdomen.nii.gz",
            "CT-abdomen-2/CT-abdomen-2.nii.gz",
            "left-out.txt",
        ]
        assert file.read("left-out.txt") == b"mole: The blob is damaged.\n"


@pytest.mark.parametrize("kinds", [[], [".docx"], [".csv", "docx"]])
def test_kinds_that_nobody_knows_are_refused_before_anything_is_sent(store, tmp_path, kinds):
    with pytest.raises(SettingsError, match=r"Results can be written as \.nii\.gz, .*, labelme; got"):
        next(archive(store, store.cases(), Wanted(kinds), tmp_path))
