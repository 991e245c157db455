"""`segmend export`: one session to any kind of file, many cases to a zip."""

import io as memory
import json
import zipfile
from pathlib import Path

import pytest

from segmend import io
from segmend.cli import run
from tests.results.cases import fill, kidney_map, volume


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    fill(folder).close()
    return folder


@pytest.fixture
def said(capsys, folder):
    def call(*words: object) -> tuple[int, str, str]:
        code = run(["export", *map(str, words), "--folder", str(folder)])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return call


def test_a_session_leaves_in_the_form_that_the_name_asks_for(said, tmp_path):
    session = json.loads(said("--json")[1])[0]["session"]

    for name, start in (
        ("a.stl", b"SPACE=LPS"),
        ("a.glb", b"glTF"),
        ("a.pdf", b"%PDF"),
        ("a.csv", b"\xef\xbb\xbfcase,"),
    ):
        assert said(session, "-o", tmp_path / name)[:2] == (0, f"{tmp_path / name}: Left kidney, =stone.\n")
        assert (tmp_path / name).read_bytes().startswith(start)

    assert said(session, "-o", tmp_path / "a.csv", "--patient", "keep", "--force")[0] == 0
    assert "DOE^JANE 77" in (tmp_path / "a.csv").read_text()
    code, _, err = said(session, "-o", tmp_path / "a.docx")
    assert code == 2 and "a.docx needs a name that ends in .nii.gz" in err and ".provenance.json" in err


def test_what_the_options_find_leaves_as_a_zip(said, tmp_path):
    out = tmp_path / "done.zip"

    code, printed, err = said("--status", "done", "--as", "seg.nrrd", "--as", "csv", "--as", "nnunet", "-o", out)

    assert (code, printed, err) == (0, f"{out}: 1 case looked at.\n", "")
    with zipfile.ZipFile(out) as file:
        assert file.namelist()[0] == "CT-abdomen/CT-abdomen.seg.nrrd" and "measures.csv" in file.namelist()
        (tmp_path / "one.seg.nrrd").write_bytes(file.read(file.namelist()[0]))
    assert (io.read_mask(tmp_path / "one.seg.nrrd", volume()) == kidney_map()).all()


def test_without_a_word_on_kinds_masks_and_measures_leave(said, tmp_path):
    session = json.loads(said("--json")[1])[1]["session"]

    assert said(session, "-o", tmp_path / "one.zip")[0] == 0

    with zipfile.ZipFile(memory.BytesIO((tmp_path / "one.zip").read_bytes())) as file:
        assert file.namelist() == ["mole/mole.nii.gz", "measures.csv"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--as", "docx", "-o", "a.zip"), "Results can be written as"),
        (("-o", "a.nii.gz"), "The file of all cases needs a name that ends in .zip; got a.nii.gz."),
        (("--project", "nobody's", "-o", "a.zip"), "There is no project"),
        (("--case", "nothing", "-o", "a.zip"), "There is no case"),
        (("--as", "csv"), "An export needs a file to write"),
    ],
)
def test_what_cannot_be_is_said(said, words, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    code, _, err = said(*words)

    assert code == 2 and sentence in err and not any(tmp_path.iterdir())
