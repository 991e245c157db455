"""Data sets into the store and out of it, and from layout to layout, as a person does it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from segmend import io
from segmend.cli import run
from segmend.core.session import Undone
from segmend.datasets.folder import WRITERS, look
from segmend.results.case_result import newest_result
from segmend.store import Store
from tests.datasets import layouts
from tests.datasets.layouts import TRUTH
from tests.datasets.test_written import entries, written
from tests.results.cases import fill


@pytest.fixture
def said(capsys):
    def call(*words: object) -> tuple[int, str, str]:
        code = run([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


@pytest.fixture(scope="module")
def livers(tmp_path_factory) -> tuple[Path, Path]:
    """An nnU-Net data set with a case that cannot be read and one without masks, and a store that it was taken into."""
    folder = tmp_path_factory.mktemp("livers")
    written(folder / "raw", "nnunet")
    raw = folder / "raw" / "Dataset001_Segmend"
    layouts.volume(raw / "imagesTs" / "t1_0000.nii.gz")
    (raw / "labelsTs" / "b2.nii.gz").write_bytes(b"damaged")
    words = ["import", str(raw), "--project", "livers", "--modality", "CT", "--folder", str(folder / "store")]
    assert run([*words, "--json"]) == 1
    return raw, folder / "store"


def test_masks_are_the_first_version_of_each_case(livers):
    with Store.local(livers[1]) as store:
        cases = {case.name: case for case in store.cases("livers")}
        assert {name: (case.split, case.modality) for name, case in cases.items()} == {
            "a1": ("train", "CT"), "c3": ("val", "CT"), "t1": ("", "CT"),
        }  # fmt: skip
        result = newest_result(store, cases["a1"].id)
        assert np.array_equal(result.map, TRUTH)
        assert [label.name for label in result.labels] == ["Liver", "Left kidney"]
        assert not result.session.pending and not result.session.add(Undone()).done  # one step takes it all back
        assert newest_result(store, cases["t1"].id) is None


def test_what_is_there_is_left_out_and_what_cannot_be_read_is_listed(livers, said):
    raw, store = livers

    code, out, err = said("import", raw, "--project", "livers", "--folder", store, "--skip-existing", "--no-masks")

    assert (code, out, err) == (0, "1 cases in the project livers, 0 with masks, 3 were there already.\n", "")
    code, out, err = said("import", raw, "--project", "again", "--folder", store, "--split", "test", "--json")
    assert code == 1 and json.loads(out)["cases"] == []
    assert err.startswith("1 cases could not be taken in:\n  b2: ") and err.count("\n") == 2


@pytest.mark.parametrize("layout", ["segmend", "nnunet", "msd", "bids", "totalsegmentator", "beside"])
def test_a_project_leaves_in_any_layout_with_its_splits(livers, said, tmp_path, layout):
    code, out, err = said(
        "export", "--project", "livers", "--layout", layout, "-o", tmp_path / "out", "--folder", livers[1], "--json"
    )

    values = json.loads(out)
    assert (code, err, values["cases"], values["left_out"]) == (0, "", 2, [])
    found = look(WRITERS[layout](tmp_path / "out").folder)
    assert found is not None
    assert sorted(found.split_names.values()) == ["train", "val"]
    for case in found.everything:
        wanted = TRUTH if found.split_names[case.name] == "train" else np.where(TRUTH == 1, 1, 0)
        values = {name.lower().replace("_", " "): value for value, name in case.label_names.items()}
        labels = case.read().labels
        assert np.array_equal(labels == values["liver"], wanted == 1)
        assert np.array_equal(labels == values.get("left kidney"), wanted == 2)


def test_pictures_go_to_coco_and_volumes_are_listed(said, tmp_path):
    fill(tmp_path / "store").close()

    code, out, err = said("export", "--layout", "coco", "-o", tmp_path / "out", "--folder", tmp_path / "store")

    assert code == 1
    assert out == f"{tmp_path / 'out'}: 1 case as coco; 1 without masks left out.\n"
    assert err.count("  CT, abdomen: This layout is for pictures; this is a volume.\n") == 2
    again, out, err = said("export", "--layout", "coco", "-o", tmp_path / "out", "--folder", tmp_path / "store")
    assert again == 2 and "is not empty; choose another one, or write into it with --force." in err


@pytest.mark.parametrize(("source", "target"), [("msd", "bids"), ("coco", "labelme"), ("labelme", "masks")])
def test_a_data_set_goes_from_layout_to_layout(said, tmp_path, source, target):
    written(tmp_path / "in", source)

    code, out, err = said("convert", tmp_path / "in", tmp_path / "out", "--layout", target, "--from", source)

    assert (code, err) == (0, "")
    assert out == f"{tmp_path / 'out'}: 3 cases as {target}.\n"
    found = look(tmp_path / "out")
    assert found is not None and len(found.everything) == 3
    assert sorted(found.split_names.values()) == sorted(entry.split for entry in entries(source))


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("import", "none"), "There is no folder none."),
        (("import", "."), ". is no data set in a layout that is known: segmend, nnunet, "),
        (("import", ".", "--layout", "coco"), ". is not laid out as coco: COCO"),
        (("convert", ".", "--layout", "coco"), "A data set needs a folder to be written to; got none."),
        (("export", "abc", "--layout", "coco", "-o", "out"), "A data set is of all cases that the options find"),
        (("export", "--layout", "coco"), "An export needs a file to write"),
    ],
)
def test_what_cannot_be_is_said(said, tmp_path, monkeypatch, words, sentence):
    monkeypatch.chdir(tmp_path)
    place = () if words[0] == "convert" else ("--folder", tmp_path / "store")

    code, out, err = said(*words, *place)

    assert (code, out, err.count("\n")) == (2, "", 1) and sentence in err


@pytest.mark.skipif(sys.platform != "linux", reason="forks")
def test_a_mask_whose_reading_ends_the_process_stops_no_other_case(tmp_path, said, monkeypatch):
    written(tmp_path / "raw", "nnunet")
    raw = tmp_path / "raw" / "Dataset001_Segmend"
    read_mask = io.read_mask
    monkeypatch.setattr(
        io, "read_mask", lambda path, image: os._exit(3) if path.name.startswith("a1") else read_mask(path, image)
    )

    for command in (
        ("import", raw, "--folder", tmp_path / "store"),
        ("convert", raw, tmp_path / "out", "--layout", "beside"),
    ):
        code, out, _ = said(*command, "--json")

        values = json.loads(out)
        assert code == 1 and values["left_out"] == [
            {"case": "a1", "error": "a1 is damaged: what reads it ended without an answer."}
        ]
        assert (len(values["cases"]) if command[0] == "import" else values["cases"]) == 2
