"""Which cases are meant by what a person names, and what each is called."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from segmend import io
from segmend.batch.cases import BatchCase, Search, find_cases, with_prompts, with_start
from segmend.core.image import Image
from segmend.errors import FileError, SettingsError
from segmend.io.apart import Apart
from tests.io.dicoms import save_all, slices

SMALL = Image(np.zeros((1, 1, 4, 5), np.uint8))


def fill(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def found(tmp_path: Path, *inputs: object, **options: object) -> dict[str, list[str]]:
    """Return the names of cases and of their images' files."""
    search = Search(Apart(tmp_path, forked=sys.platform == "linux"), **options)
    cases = find_cases([str(one) for one in inputs], search)
    return {case.name: [path.name for path in case.images] for case in cases}


def test_a_folder_gives_a_case_for_each_image_in_it(tmp_path):
    fill(tmp_path / "in", "b.png", "a.nii.gz", "deep/er/c.mha", "notes.txt", ".hidden.png", ".git/d.png", "e.seg.nrrd")
    fill(tmp_path / "in", "out/a.png", "pair.hdr", "pair.img")

    names = found(tmp_path, tmp_path / "in", without=tmp_path / "in" / "out")

    assert names == {"a": ["a.nii.gz"], "b": ["b.png"], "pair": ["pair.img"], "deep/er/c": ["c.mha"]}


def test_a_folder_that_is_a_link_is_looked_into_and_one_that_leads_back_is_not(tmp_path):
    fill(tmp_path, "archive/s2/ct.png", "in/s1/ct.png")
    (tmp_path / "in" / "s2").symlink_to(tmp_path / "archive" / "s2")
    (tmp_path / "in" / "s1" / "all").symlink_to("..")
    (tmp_path / "archive" / "s2" / "near").symlink_to(tmp_path / "in" / "s1")
    (tmp_path / "in" / "itself").symlink_to("itself")

    for what in (tmp_path / "in", tmp_path / "in" / "**" / "*.png"):
        assert sorted(found(tmp_path, what)) == ["s1/ct", "s2/ct"]


def test_each_image_is_found_once_among_folders_that_are_linked_to_each_other(tmp_path, monkeypatch):
    places = [f"study{n}" for n in range(9)]
    fill(tmp_path, *(f"in/{place}/ct.png" for place in places))
    for here in places:
        for there in places:
            if here != there:
                (tmp_path / "in" / here / f"see {there}").symlink_to(Path("..") / there)
    (tmp_path / "in" / "latest").symlink_to("study8")
    monkeypatch.chdir(tmp_path)

    for what in ("in", "in/**/*.png", "**/*.png", "./in/**/*.png"):
        assert sorted(found(tmp_path, what)) == [f"{place}/ct" for place in places], what


def test_masks_below_the_images_fit_no_pattern(tmp_path):
    fill(tmp_path, "in/s1/ct.png", "in/out/s1/ct.png")

    assert list(found(tmp_path, tmp_path / "in" / "**" / "*.png", without=tmp_path / "in" / "out")) == ["ct"]
    assert list(found(tmp_path, tmp_path / "in/s1/*.png", without=tmp_path / "in" / "s1")) == ["ct"]  # refused later


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="Windows has other rights")
def test_a_folder_that_may_not_be_read_is_a_bad_case_or_said_at_once():
    with TemporaryDirectory() as place:
        root = Path(place)
        fill(root, "in/a/s1/ct.png", "in/a/s2/ct.png")
        root.chmod(0o755)
        (root / "in" / "a" / "s1").chmod(0)
        search, own = Search(Apart(root, forked=sys.platform == "linux")), os.geteuid()
        os.seteuid(own or 65534)  # root may read everything
        try:
            cases = find_cases([str(root / "in")], search)
            with pytest.raises(FileError, match=r"The folder .*in/a/s1 could not be read: Permission denied\."):
                find_cases([str(root / "in" / "a")], search)  # it might be of any layout
        finally:
            os.seteuid(own)

    assert [case.name for case in cases] == ["a/s2/ct", "a/s1"]
    assert cases[1].problem == f"The folder {root / 'in' / 'a' / 's1'} could not be read: Permission denied."


def test_files_are_named_from_the_folder_that_they_share(tmp_path):
    fill(tmp_path, "s1/ct.nii.gz", "s2/ct.nii.gz", "s2/mr.nii.gz")

    assert list(found(tmp_path, tmp_path / "*" / "ct.nii.gz")) == ["s1/ct", "s2/ct"]
    assert list(found(tmp_path, tmp_path / "s2/ct.nii.gz", tmp_path / "s2/mr.nii.gz")) == ["ct", "mr"]
    assert list(found(tmp_path, tmp_path / "s1", tmp_path / "s2")) == ["s1/ct", "s2/ct", "s2/mr"]


def test_numbered_files_are_channels_where_all_of_a_folder_are(tmp_path):
    fill(tmp_path / "all", "a_0000.nii.gz", "a_0001.nii.gz", "b_0001.nii.gz", "b_0000.nii.gz")
    fill(tmp_path / "some", "a_0000.nii.gz", "a_0001.nii.gz", "scout.nii.gz")
    fill(tmp_path / "isic", "ISIC_0012.jpg", "ISIC_0013.jpg")

    assert found(tmp_path, tmp_path / "all") == {
        "a": ["a_0000.nii.gz", "a_0001.nii.gz"],
        "b": ["b_0000.nii.gz", "b_0001.nii.gz"],
    }
    assert list(found(tmp_path, tmp_path / "some")) == ["a_0000", "a_0001", "scout"]
    assert list(found(tmp_path, tmp_path / "isic")) == ["ISIC_0012", "ISIC_0013"]


def test_endings_that_are_given_are_channels_in_that_order(tmp_path):
    fill(tmp_path, "p1/x_t2.nii.gz", "p1/x_t1.nii.gz", "p1/x_seg.nii.gz", "p2/y_t1.nii.gz", "p3/z_dwi.nii.gz")

    names = found(tmp_path, tmp_path, channels=("_t1", "_t2"))

    assert names == {"p1/x": ["x_t1.nii.gz", "x_t2.nii.gz"], "p2/y": ["y_t1.nii.gz", "y_t2.nii.gz"]}


def test_each_series_of_a_dicom_folder_is_a_case(tmp_path):
    voxels = np.zeros((3, 8, 9), np.int16)
    (tmp_path / "in").mkdir()
    save_all(slices(voxels), tmp_path / "in" / "one")
    save_all(slices(voxels, series="1.8"), tmp_path / "in" / "two", prefix="a")
    save_all(slices(voxels, series="1.9"), tmp_path / "in" / "two", prefix="b")

    cases = find_cases([str(tmp_path / "in")], Search(Apart(tmp_path, forked=sys.platform == "linux")))

    assert [case.name for case in cases] == ["one", "two/Abdomen", "two/Abdomen-2"]
    assert [case.series for case in cases] == [None, "1.8", "1.9"]


def test_a_data_set_gives_its_images_and_not_its_masks(tmp_path):
    fill(tmp_path, "images/a.png", "images/b.png", "labels/a.png", "labels/b.png")

    assert found(tmp_path, tmp_path) == {"a": ["a.png"], "b": ["b.png"]}
    assert found(tmp_path, tmp_path, layout="segmend") == {"a": ["a.png"], "b": ["b.png"]}
    with pytest.raises(FileError, match="is not laid out as msd"):
        found(tmp_path, tmp_path, layout="msd")


def test_an_image_that_a_data_set_lacks_is_one_bad_case(tmp_path):
    fill(tmp_path, "images/a.png", "labels/a.png", "labels/b.png")

    bad = find_cases([str(tmp_path)], Search(Apart(tmp_path, forked=sys.platform == "linux")))[1]

    assert bad.name == "b" and "needs one file images/b" in bad.problem


def test_a_worklist_names_images_and_what_belongs_to_them(tmp_path):
    (tmp_path / "list.csv").write_text(
        "name,image,prompts,start,label\n"
        "first,scans/a.nii.gz,marks/a.json;marks/b.csv,masks/a.nii.gz,liver\n"
        ",scans/b_t1.nii.gz;scans/b_t2.nii.gz,,,\n"
    )

    one, two = find_cases([str(tmp_path / "list.csv")], Search(Apart(tmp_path, forked=sys.platform == "linux")))

    marks = (tmp_path / "marks/a.json", tmp_path / "marks/b.csv")
    assert one == BatchCase("first", (tmp_path / "scans/a.nii.gz",), None, marks, tmp_path / "masks/a.nii.gz", "liver")
    assert two == BatchCase("b_t1", (tmp_path / "scans/b_t1.nii.gz", tmp_path / "scans/b_t2.nii.gz"))


def test_a_worklist_of_a_spreadsheet_on_windows_is_understood(tmp_path):
    fill(tmp_path, "Jörg, 1/ct a.png", "b.png")
    rows = "image;name\r\nJörg, 1\\ct a.png;\r\nC:\\b.png;b\r\n"
    (tmp_path / "list.csv").write_bytes(rows.encode("utf-8-sig"))

    one, two = find_cases([str(tmp_path / "list.csv")], Search(Apart(tmp_path)))

    assert one.name == "Jörg, 1/ct a" and one.images == (tmp_path / "Jörg, 1" / "ct a.png",)
    assert two.name == "b" and not two.images[0].exists()


def test_a_list_has_a_path_a_line(tmp_path):
    fill(tmp_path, "x/a.png", "b.png")
    (tmp_path / "list.txt").write_text("# two of them\nx\\a.png\n\nb.png\n")

    assert list(found(tmp_path, tmp_path / "list.txt")) == ["x/a", "b"]


def test_prompts_and_masks_are_found_by_the_cases_names(tmp_path):
    fill(tmp_path / "marks", "a.json", "a.negative.mrk.json", "a.mrk.json", "s/b.csv", "ab.json")
    fill(tmp_path / "masks", "a_seg.nii.gz", "s/b.png", "ab.png")
    cases = [BatchCase("a", ()), BatchCase("s/b", ()), BatchCase("c", ())]

    prompted = with_prompts(cases, tmp_path / "marks")
    started = with_start(cases, tmp_path / "masks")

    names = [[path.name for path in case.prompts] for case in prompted]
    assert names == [["a.mrk.json", "a.negative.mrk.json", "a.json"], ["b.csv"], []]
    assert [case.start and case.start.name for case in started] == ["a_seg.nii.gz", "b.png", None]


@pytest.mark.parametrize(
    ("inputs", "kind", "sentence"),
    [
        (["none.png"], FileError, "There is no file or folder .*none.png"),
        (["*.mha"], FileError, "No file fits the pattern"),
        (["empty"], FileError, "There is no image in"),
        (["a.png", "a.bmp"], SettingsError, "Two cases are called a: .*a.png and .*a.bmp; give the folder"),
        (["wrong.csv"], FileError, "needs a column image, .*; it has no image"),
        (["hole.csv"], FileError, "Line 2 of the worklist .* names no image"),
        (["up.csv"], SettingsError, r"A case needs a name that can name a file; got '\.\./a'"),
    ],
)
def test_what_cannot_be_is_said(tmp_path, inputs, kind, sentence):
    fill(tmp_path, "a.png", "a.bmp", "empty/readme")
    (tmp_path / "wrong.csv").write_text("file\na.png\n")
    (tmp_path / "hole.csv").write_text("name,image\na,\n")
    (tmp_path / "up.csv").write_text("name,image\n../a,a.png\n")

    with pytest.raises(kind, match=sentence):
        found(tmp_path, *(tmp_path / one for one in inputs))


def test_one_mask_is_not_for_many(tmp_path):
    io.write_image(tmp_path / "a.png", SMALL)

    with pytest.raises(SettingsError, match="need a folder with one for each case"):
        with_start([BatchCase("a", ()), BatchCase("b", ())], tmp_path / "a.png")
    for ask in (with_start, with_prompts):
        with pytest.raises(FileError, match="There is no file or folder"):
            ask([BatchCase("a", ())], tmp_path / "none")
