"""Files that come in: every kind, and everything that can be wrong with them."""

import io
import json
import logging
import stat
import zipfile

import httpx
import numpy as np
import pytest

from segmend.core.image import Image
from segmend.io import write_image
from segmend.server.cases import uploads
from segmend.server.cases.uploads import Names, safe_name
from tests.server.running import Process, http, in_thread, rooms, settings

DETACHED_NRRD = b"""NRRD0004
type: uint8
dimension: 3
sizes: 2 2 2
encoding: raw
data file: /etc/passwd

"""
DETACHED_MHD = b"""ObjectType = Image
NDims = 3
DimSize = 2 2 2
ElementType = MET_UCHAR
ElementDataFile = ../../../../../../etc/passwd
"""


@pytest.fixture
def nifti(tmp_path):
    write_image(tmp_path / "rooms.nii.gz", rooms())
    return (tmp_path / "rooms.nii.gz").read_bytes()


@pytest.fixture
def png(tmp_path):
    write_image(tmp_path / "photo.png", Image(np.arange(20, dtype=np.uint8).reshape(1, 1, 4, 5)))
    return (tmp_path / "photo.png").read_bytes()


@pytest.fixture
def project(store):
    """A new project, in which no name is taken."""
    return store.add_project(f"project {len(store.projects())}").name


def upload(client, *files, **data):
    return client.post("/api/cases", files=[("files", file) for file in files], data=data)


def zipped(**members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name.replace("__", "/"), content)
    return buffer.getvalue()


def left_in(server):
    return [path.name for path in server.settings.data.iterdir() if path.name.startswith("upload-")]


def test_a_nifti_becomes_a_case(server, client, store, nifti):
    reply = upload(client, ("knee left.nii.gz", nifti))

    assert reply.status_code == 201
    [case] = reply.json()
    assert (
        case["name"] == "knee left" and case["shape"] == [3, 6, 8] and case["spacing"] == pytest.approx([3.0, 0.5, 0.8])
    )
    np.testing.assert_array_equal(store.image(case["id"]).voxels, rooms().voxels)
    assert left_in(server) == []


def test_several_files_become_several_cases(client, nifti, png, project):
    reply = upload(client, ("a.nii.gz", nifti), ("b.png", png), ("notes.txt", b"no image"), project=project)

    assert sorted(case["name"] for case in reply.json()) == ["a", "b"]


def test_an_upload_says_which_files_it_left_out_and_why(client, nifti, png, project):
    files = [("a.nii.gz", nifti), ("b.png", png), ("notes.txt", b"no image"), ("c.png", png[:40])]
    send = {"data": {"project": project}, "files": [("files", file) for file in files]}
    reply = client.post("/api/cases?report=true", **send).json()

    assert sorted(case["name"] for case in reply["cases"]) == ["a", "b"]
    why = {one["name"]: one["why"] for one in reply["left_out"]}
    assert reply["left_out_count"] == 2 and sorted(why) == ["c.png", "notes.txt"]
    assert why["notes.txt"].startswith("notes.txt is no image that is known;") and "c.png" in why["c.png"]


def test_a_header_is_not_left_without_its_voxels(client):
    header = DETACHED_NRRD.replace(b"/etc/passwd", b"scan.raw")
    reply = client.post(
        "/api/cases?report=true",
        files=[("files", ("scan.nhdr", header)), ("files", ("scan.raw", bytes(8))), ("files", ("other.raw", bytes(8)))],
    ).json()

    assert [one["name"] for one in reply["left_out"]] == ["other.raw"]


def test_the_same_file_again_is_told_apart(client, png, project):
    send = {"data": {"project": project}, "files": [("files", ("mole.png", png))]}
    replies = [client.post("/api/cases?report=true", **send).json() for _ in range(3)]

    assert [reply["cases"][0]["name"] for reply in replies] == ["mole", "mole (2)", "mole (3)"]
    assert [reply["copies"] for reply in replies] == [
        [],
        ["mole (2) has the same voxels as mole, which was there already."],
        ["mole (3) has the same voxels as mole, which was there already."],
    ]


def test_two_files_of_one_name_become_two_cases(client, nifti, project):
    reply = upload(client, ("a/x.nii.gz", nifti), ("b/x.nii.gz", nifti), project=project)
    names = [case["name"] for case in reply.json()]

    assert sorted(names) == ["2-x", "x"]


def test_a_zip_is_unpacked(client, nifti, png, project):
    reply = upload(client, ("all.zip", zipped(**{"deep__er__a.nii.gz": nifti, "b.png": png})), project=project)

    assert sorted(case["name"] for case in reply.json()) == ["a", "b"]


def test_a_folder_of_dicom_files_becomes_a_case_with_its_source(client, store, tmp_path):
    from tests.server.dicom import slices

    files = slices(tmp_path, planes=3, rows=5, columns=7)
    reply = upload(client, *[(f"IM{number}", path.read_bytes()) for number, path in enumerate(files)])

    [case] = reply.json()
    assert case["shape"] == [3, 5, 7] and case["source"] and case["modality"] == "CT"
    with store.source_of(case["id"]) as folder:
        assert len(list(folder.iterdir())) == 3
    assert (case.pop("patient"), case["study_date"]) == ("Doe, Jane (12345)", "2024-01-01")
    assert "Doe" not in json.dumps(case)


def test_the_project_can_be_chosen(client, store, nifti):
    assert upload(client, ("a.nii.gz", nifti), project="knees").json() == {"detail": "There is no project 'knees'."}
    store.add_project("knees")

    [case] = upload(client, ("a.nii.gz", nifti), project="knees").json()

    assert case["project"] == "knees"


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("empty.nii", b"", "empty.nii is empty"),
        ("words.nii.gz", b"these are words", "is no image that is known"),
        ("scan.dcm", b"\0" * 128 + b"DICM" + b"\xff" * 50, "scan.dcm"),
        ("broken.zip", b"PK\x03\x04 and no more", "is not a sound zip file"),
        ("cut.nii.gz", None, "cut.nii.gz"),
        ("detached.nrrd", DETACHED_NRRD, "detached.nrrd"),
        ("detached.mhd", DETACHED_MHD, "detached.mhd"),
    ],
)
def test_what_is_no_image_is_refused_in_one_sentence(server, client, nifti, name, content, words):
    reply = upload(client, (name, nifti[:60] if content is None else content))

    assert reply.status_code == 422, reply.text
    assert words in reply.json()["detail"] and "\n" not in reply.json()["detail"]
    assert str(server.settings.data) not in reply.text and left_in(server) == []


def linked():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link.nii")
        info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (zipped(**{"..__..__evil.nii": b"x"}), 422, "which leaves the folder"),
        (zipped(**{"__etc__evil.nii": b"x"}), 422, "which leaves the folder"),
        (linked(), 422, "which is a link"),
        (zipped(**{f"bomb{n}": bytes(3_000_000) for n in range(8)}), 413, "unpacks to more than 20000000 bytes"),
    ],
    ids=["traversal", "absolute", "symlink", "bomb"],
)
def test_archives_that_mean_harm_are_refused(tmp_path, content, status, words):
    with in_thread(settings(tmp_path / "data", max_upload_bytes=20_000_000)) as server, http(server) as client:
        reply = upload(client, ("harm.zip", content))

        assert reply.status_code == status and words in reply.json()["detail"], reply.text
        assert left_in(server) == [] and client.get("/api/cases").json() == []
    assert not list(tmp_path.rglob("evil*"))


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\scans\\knee.nii", "knee.nii"),
        ("...", "file"),
        ("", "file"),
        (".bashrc", "bashrc"),
        ("a\0b.nii", "ab.nii"),
        ("a\nb|c;$(x).nii", "a_b_c__(x).nii"),
        ("Zürich 中.nii", "Zürich 中.nii"),
        ("x" * 300 + ".nii.gz", "x" * 143 + ".nii.gz"),
    ],
)
def test_names_mean_nothing_to_the_disk(sent, stored):
    assert safe_name(sent) == stored


def test_names_are_made_unique_in_any_case_of_letters():
    names = Names()

    assert [names.give(name) for name in ("a.nii", "2-a.nii", "A.nii", "a.nii")] == [
        "a.nii",
        "2-a.nii",
        "3-A.nii",
        "4-a.nii",
    ]


def test_an_upload_that_says_it_is_too_large_is_refused_at_once(tmp_path, nifti):
    with in_thread(settings(tmp_path, max_upload_bytes=1000)) as server, http(server) as client:
        reply = upload(client, ("a.nii", bytes(2000)))

        assert reply.status_code == 413
        assert reply.json() == {"detail": "An upload may have 1000 bytes here; this one is larger."}


def test_an_upload_that_does_not_say_how_large_it_is_is_counted(tmp_path):
    def endless():
        yield b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        for _ in range(100):
            yield bytes(100_000)

    with in_thread(settings(tmp_path, max_upload_bytes=3_000_000)) as server, http(server) as client:
        try:
            reply = client.post(
                "/api/cases", content=endless(), headers={"Content-Type": "multipart/form-data; boundary=x"}
            )
            assert reply.status_code == 413
        except httpx.WriteError:
            pass  # the server hung up while we were still sending
        assert left_in(server) == [] and client.get("/api/health").status_code == 200


def test_too_many_files_are_refused(tmp_path, png):
    with in_thread(settings(tmp_path, max_upload_files=2)) as server, http(server) as client:
        reply = upload(client, *[(f"{n}.png", png) for n in range(3)])

    assert reply.status_code == 413 and "At most 2 files are taken at once" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "ends too early"),
        (b"--x\r\n", 400, "ends too early"),
        (b"nothing like it", 400, "is damaged"),
        (b'--x\r\nContent-Disposition: form-data; name="a"; filename="a"\r\n\r\nabc', 400, "ends too early"),
        (b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\nabc\r\n--x--\r\n', 422, "at least one file"),
        (
            b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n' + b"y" * 1001 + b"\r\n--x--\r\n",
            413,
            "1000 bytes",
        ),
        (b"--x\r\n" + b"h: v\r\n" * 50 + b"\r\n\r\n--x--\r\n", 400, "is damaged"),
    ],
)
def test_bodies_that_are_none_are_refused(client, body, status, words):
    reply = client.post("/api/cases", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})

    assert reply.status_code == status and words in reply.json()["detail"], reply.text


def test_a_full_disk_is_507(tmp_path, monkeypatch, client, nifti):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(uploads.Incoming, "_data", full)

    reply = upload(client, ("a.nii.gz", nifti))

    assert reply.status_code == 507 and "No space left on device" in reply.json()["detail"]


def test_a_folder_of_this_machine_is_linked(client, tmp_path, nifti, png, project):
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.nii.gz").write_bytes(nifti)
    (tmp_path / "scans" / "b.png").write_bytes(png)

    reply = client.post("/api/cases/link", json={"path": str(tmp_path / "scans"), "project": project})

    assert reply.status_code == 201 and sorted(case["name"] for case in reply.json()) == ["a", "b"]
    assert (tmp_path / "scans" / "a.nii.gz").exists()


def test_a_served_process_logs_no_names_either(tmp_path, plugin_path, nifti):
    process = Process(tmp_path, plugin_path)
    with http(process) as client:
        reply = upload(client, ("Doe_Jane.dcm", bytes(128) + b"DICM" + b"\xff" * 50))
        assert reply.status_code == 422
        assert upload(client, ("Doe_Jane.nii.gz", nifti), ("Doe_Jane.txt", b"born 1970")).status_code == 201

    _, logged = process.end()
    assert "Doe" not in logged and "1970" not in logged


def test_logs_say_no_names_and_no_contents(client, nifti, caplog):
    caplog.set_level(logging.DEBUG, "segmend")

    upload(
        client, ("Doe_Jane.nii.gz", nifti), ("Doe_Jane.txt", b"born 1970"), ("Doe_Jane.mha", b"ObjectType = Image\n")
    )

    assert "Doe" not in caplog.text and "1970" not in caplog.text
