"""`segmend pull` and `segmend push` at an archive that does what it is told to."""

import json

import pydicom
import pytest

from segmend.cli import run
from segmend.cli.archives import archives_of
from segmend.errors import FileError, SettingsError
from segmend.store import Store
from tests.datasets.test_written import written
from tests.io.archive import serving
from tests.server.dicom import slices


@pytest.fixture
def said(capsys):
    """Run a command; return its exit code, standard output and standard error."""

    def run_command(*arguments):
        code = run([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_command


@pytest.fixture(scope="module")
def running():
    with serving() as both:
        yield both


@pytest.fixture
def archive(running, tmp_path):
    """An archive with one series of 4 files, its address, and the series' UIDs."""
    pacs, address = running
    pacs.replies.clear()
    pacs.asked.clear()
    folder = tmp_path / "theirs"
    folder.mkdir()
    paths = slices(folder, planes=4, rows=6, columns=5)
    head = pydicom.dcmread(paths[0])
    study, series = str(head.StudyInstanceUID), str(head.SeriesInstanceUID)
    pacs.has(f"/studies/{study}/series/{series}", [path.read_bytes() for path in reversed(paths)])
    item = {"0020000E": {"Value": [series]}, "0020000D": {"Value": [study]}, "00080060": {"Value": ["CT"]}}
    pacs.says(f"/studies/{study}/series", [item])
    pacs.says("/series", [item])
    pacs.says("/studies", [{"0020000D": {"Value": [study]}, "00100010": {"Value": [{"Alphabetic": "Doe^Jane"}]}}])
    return pacs, address, study, series


def cases(folder):
    with Store.local(folder) as store:
        return store.cases()


def test_studies_and_series_are_listed(said, archive, tmp_path):
    _, address, study, series = archive

    assert said("pull", address, "--patient", "Doe*", "--folder", tmp_path / "data") == (0, f"{study}  Doe^Jane\n", "")
    assert said("pull", address, "--study", study)[1] == f"{series}  CT\n"
    assert json.loads(said("pull", address, "--study", study, "--json")[1])[0]["uid"] == series


def test_a_series_becomes_a_case_with_its_patient_and_its_files(said, archive, tmp_path, monkeypatch):
    pacs, address, study, series = archive
    monkeypatch.setenv("SEGMEND_ARCHIVE", "ada:secret-word")
    code, out, err = said("pull", address, "--series", series, "--folder", tmp_path / "data", "--json")

    assert (code, err) == (0, "")
    (case,) = cases(tmp_path / "data")
    assert json.loads(out) == [{"case": case.id, "name": case.name, "series": series, "shape": [4, 6, 5]}]
    assert (case.modality, case.shape, case.source) == ("CT", (4, 6, 5), True)
    assert "Doe" in case.patient and case.study_date == "2024-01-01"
    assert all(headers["Authorization"].startswith("Basic ") for _, headers in pacs.asked)
    assert not list((tmp_path / "data").glob("upload-*"))
    assert study not in out


def test_a_series_is_anonymised_on_its_way(said, archive, tmp_path):
    _, address, _, series = archive
    place = ("--folder", tmp_path / "data")
    code, out, err = said("pull", address, "--series", series, "--anonymise", "basic-shifted", *place, "--json")

    assert (code, err) == (0, "")
    (case,) = cases(tmp_path / "data")
    assert json.loads(out)[0]["series"] != series
    assert (case.name, case.study_date < "2024-01-01") == (f"{case.patient} CT", True)
    assert said("pseudonyms", case.patient, *place)[1].split() == [case.patient, "12345", "Doe^Jane"]
    assert said("pseudonyms", "nobody", *place)[1] == "There is no such pseudonym.\n"
    assert "opened" in said("audit", *place)[1]


def test_what_a_project_says_holds_for_commands_too(said, archive, tmp_path):
    _, address, _, series = archive
    written(tmp_path / "raw", "nnunet")
    with Store.local(tmp_path / "data") as store:
        store.set_anonymise("default", "basic")
    place = ("--folder", tmp_path / "data")
    assert said("pull", address, "--series", series, *place)[0] == 0
    assert said("import", tmp_path / "raw" / "Dataset001_Segmend", "--no-masks", *place)[0] == 0
    pulled, *imported = cases(tmp_path / "data")
    assert "Doe" not in pulled.patient and pulled.study_date == ""
    assert imported and all(case.name.startswith("P-") for case in imported)


@pytest.mark.parametrize("fault", ["cut", "other", "damaged"])
def test_what_fails_leaves_no_case(said, archive, tmp_path, fault):
    pacs, address, study, series = archive
    path = f"/studies/{study}/series/{series}"
    status, headers, body = pacs.replies[path]
    if fault == "cut":
        pacs.replies[path] = (status, {**headers, "Content-Length": str(len(body) // 2)}, body[: len(body) // 2])
    elif fault == "other":
        pacs.replies[f"/studies/{study}/series/1.2.3"] = pacs.replies[path]
        series = "1.2.3"
    else:
        pacs.has(path, [b"no DICOM" * 100])
    code, out, err = said("pull", address, "--study", study, "--series", series, "--folder", tmp_path / "data")

    assert (code, out) == (2, "") and err.count("\n") == 1
    assert cases(tmp_path / "data") == []
    assert not list((tmp_path / "data").glob("upload-*"))


def test_files_are_pushed_and_refusals_said(said, archive, tmp_path):
    pacs, address, _, _ = archive
    file = tmp_path / "theirs" / "slice0.dcm"
    pacs.says("/studies", {"00081199": {"Value": [{"00081155": {"Value": ["1.2.3"]}}]}})
    assert said("push", address, file) == (0, "The archive keeps 1 of 1 files.\n", "")
    assert file.read_bytes() in pacs.received

    pacs.says(
        "/studies", {"00081198": {"Value": [{"00081155": {"Value": ["1.2"]}, "00081197": {"Value": [272]}}]}}, 409
    )
    code, out, err = said("push", address, file)
    assert (code, out) == (2, "The archive keeps 0 of 1 files.\n")
    assert err == "The archive refused 1 of 1 files: 1.2 (reason 0110h).\n"
    (tmp_path / "x.dcm").write_bytes(b"none")
    assert said("push", address, tmp_path / "x.dcm")[2] == "An archive takes DICOM files; x.dcm is none.\n"


def test_credentials_come_from_a_file(said, archive, tmp_path):
    pacs, address, _, _ = archive
    (tmp_path / "entry").write_text("Bearer abc\n")

    assert said("pull", address, "--credentials", tmp_path / "entry")[0] == 0
    assert pacs.asked[-1][1]["Authorization"] == "Bearer abc"
    code, _, err = said("pull", address, "--credentials", tmp_path / "none")
    assert code == 2 and err.endswith("with credentials cannot be read.\n")


def test_a_server_is_told_its_archives_by_a_file(tmp_path, monkeypatch):
    monkeypatch.setenv("PACS_LOGIN", "Bearer abc")
    (tmp_path / "login").write_text("ada:secret-word\n")
    file = tmp_path / "archives.toml"
    file.write_text(
        '[hospital]\naddress = "https://pacs.example.org/dicom-web"\ncredentials = "login"\n'
        '[research]\naddress = "http://localhost:8042/dicom-web"\nvariable = "PACS_LOGIN"\n'
    )
    assert list(archives_of(file)) == ["hospital", "research"]

    for text, words in (
        ("[a]\n", "needs an address"),
        ("[a", "need to be TOML"),
        ('a = "http://x/"\n', "needs an address"),
        ('[a]\naddress = "http://ada:secret@x/"\n', "may not hold a password"),
        ('[a]\naddress = "http://x/"\nvariable = "NOT_SET_HERE"\n', "NOT_SET_HERE of the archive 'a' is not set"),
        ('[a]\naddress = "http://x/"\ncredentials = "none"\n', "with credentials cannot be read"),
        ('[a]\naddress = "http://x/"\npassword = "x"\n', "needs an address, and perhaps"),
    ):
        file.write_text(text)
        with pytest.raises((FileError, SettingsError), match=words):
            archives_of(file)
    with pytest.raises(FileError, match="cannot be read: No such file"):
        archives_of(tmp_path / "none.toml")
