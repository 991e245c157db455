"""Files that come in, read in a process of their own: what it costs them to be damaged, slow or huge."""

import io as streams
import os
import re
import struct
import tempfile
import zipfile
import zlib
from contextlib import closing

import numpy as np
import pytest
from PIL import Image as Pillow

from segmend import io
from segmend.core.image import Image
from segmend.core.session import Label
from segmend.errors import FileError, LimitError, SettingsError, UserError
from segmend.io import apart
from segmend.io.sizes import FLOOR
from segmend.server.cases.reading import Reading
from segmend.server.cases.uploads import Names
from tests.server.running import http, in_thread, rooms, settings


def png(side):
    buffer = streams.BytesIO()
    Pillow.fromarray(np.full((side, side + 1), side, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def zeros(folder, count):
    """Write a packed NIfTI of so many bytes of zeros, a thousandth of that in size."""
    io.write_image(folder / "zeros.nii.gz", Image(np.zeros((1, count // 2**20, 1024, 1024), np.uint8)))
    return folder / "zeros.nii.gz"


def refusals(reading, place):
    found = []
    for each in reading.images(place):
        try:
            each.image()
        except UserError as error:
            found.append(error)
    return found


@pytest.fixture
def reading(tmp_path):
    (tmp_path / "data").mkdir()
    yield Reading(settings(tmp_path / "data"))
    assert list((tmp_path / "data").iterdir()) == []


@pytest.mark.parametrize("read_apart", [True, False], ids=["apart", "here"])
def test_every_image_of_a_folder_comes_with_its_place_and_notes(tmp_path, read_apart):
    (tmp_path / "data").mkdir()
    (tmp_path / "in").mkdir()
    io.write_image(tmp_path / "in" / "a.nii.gz", rooms())
    (tmp_path / "in" / "b.png").write_bytes(png(4))
    (tmp_path / "in" / "c.png").write_bytes(png(5)[:45])
    found = {}

    for each in Reading(settings(tmp_path / "data", read_apart=read_apart)).images(tmp_path / "in"):
        try:
            image = each.image()
            found[each.info.name] = (image.voxels.copy(), image.affine, image.notes)
        except FileError as error:
            found[each.info.name] = str(error)

    np.testing.assert_array_equal(found["a.nii.gz"][0], rooms().voxels)
    np.testing.assert_allclose(found["a.nii.gz"][1], rooms().affine, rtol=1e-6)
    assert found["b.png"][0].shape == (1, 1, 4, 5) and found["b.png"][2] == ()
    assert "c.png is cut short" in found["c.png"]
    assert list((tmp_path / "data").iterdir()) == []


def test_a_mask_is_laid_on_its_image_and_keeps_its_names(reading, tmp_path):
    mask = np.zeros(rooms().shape, np.uint16)
    mask[1, 2:4, 3:5] = 7
    io.write_mask(tmp_path / "mask.seg.nrrd", mask, rooms(), [Label(7, "bar", (1, 2, 3))])

    found, names = reading.mask(tmp_path / "mask.seg.nrrd", rooms())

    np.testing.assert_array_equal(found, mask)
    assert names == {7: "bar"}
    (tmp_path / "words.nii").write_text("words")
    with pytest.raises(FileError, match="is no image that is known"):
        reading.mask(tmp_path / "words.nii", rooms())


def test_what_takes_too_long_is_ended(tmp_path):
    (tmp_path / "data").mkdir()
    numbers = " ".join(["1"] * 2_000_000).encode()
    (tmp_path / "slow.nrrd").write_bytes(
        b"NRRD0004\ntype: double\ndimension: 3\nsizes: 2000 1000 1\nencoding: text\n\n" + numbers
    )

    [refused] = refusals(Reading(settings(tmp_path / "data", read_seconds=0.02)), tmp_path / "slow.nrrd")

    assert isinstance(refused, LimitError)
    assert re.fullmatch(
        r"slow\.nrrd could not be read within 0\.1\d* seconds of a processor; it may be damaged\.", str(refused)
    )
    assert list((tmp_path / "data").iterdir()) == []


def test_what_waits_for_ever_is_ended_by_the_clock(reading, tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "STARTING_SECONDS", 1)
    monkeypatch.setattr(apart, "PATIENCE", 0)
    os.mkfifo(tmp_path / "pipe.nii")

    [refused] = refusals(reading, tmp_path / "pipe.nii")

    assert isinstance(refused, LimitError) and "pipe.nii could not be read within" in str(refused)


@pytest.fixture
def decoder(tmp_path, monkeypatch):
    """Put code in the place of the library that decodes TIFF, for the process that reads."""

    def put(code):
        (tmp_path / "libraries").mkdir()
        (tmp_path / "libraries" / "tifffile.py").write_text(code)
        monkeypatch.syspath_prepend(tmp_path / "libraries")

    return put


def folder_with_a_tiff(tmp_path):
    (tmp_path / "in").mkdir()
    for name in ("a.png", "c.png"):
        (tmp_path / "in" / name).write_bytes(png(3))
    Pillow.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "in" / "b.tif")
    return tmp_path / "in"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (
            "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)",
            "is damaged: what reads it ended without an answer",
        ),
        ("import os; os._exit(0)", "is damaged: what reads it ended without an answer"),
        ("print('a greeting'); bytearray(2**40)", "needs more memory than there is"),
    ],
    ids=["crash", "exit", "memory"],
)
def test_a_decoder_that_fails_costs_one_image_and_the_others_are_read(tmp_path, decoder, code, words):
    (tmp_path / "data").mkdir()
    decoder(code)
    found = {}

    for each in Reading(settings(tmp_path / "data", max_image_bytes=FLOOR)).images(folder_with_a_tiff(tmp_path)):
        try:
            found[each.info.name] = each.image().shape
        except UserError as error:
            found[each.info.name] = str(error)

    refused = found.pop("b.tif")
    assert words in refused and "\n" not in refused
    assert found == {"a.png": (1, 3, 4), "c.png": (1, 3, 4)}
    assert list((tmp_path / "data").iterdir()) == []


def test_a_decoder_learns_no_secret(tmp_path, decoder, monkeypatch, reading):
    monkeypatch.setenv("SEGMEND_TOKEN", "a-secret-token")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    decoder("import os; raise OSError(str([n for n in os.environ if n.startswith(('SEGMEND_', 'AWS_'))]))")

    [refused] = refusals(reading, folder_with_a_tiff(tmp_path))

    assert str(refused) == "in could not be read: []."


def test_small_files_that_become_gigabytes_are_refused_before_they_are_unpacked(tmp_path):
    path = zeros(tmp_path, 2 * FLOOR)
    with in_thread(settings(tmp_path / "data")) as server, http(server) as client:
        for name, status, words in (
            ("zeros.nii.gz", 413, "at most 100 times as many are taken"),
            ("photo.png", 413, "has 40000 x 40000 x 1 voxels, which need 1600000000 bytes, and is packed into 1600057"),
        ):
            content = path.read_bytes() if name == path.name else huge_png()
            reply = client.post("/api/cases", files=[("files", (name, content))])
            assert reply.status_code == status and words in reply.json()["detail"], reply.text
        assert [p.name for p in server.settings.data.iterdir() if p.name.startswith("upload-")] == []
        assert client.get("/api/cases").json() == []


def huge_png():
    """Return a PNG of 1.6 MB that claims 1.6 GB of pixels."""
    head = struct.pack(">IIBBBBB", 40_000, 40_000, 8, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"fill", bytes(1_600_000)), (b"IDAT", b""))
    parts = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_a_mask_may_be_packed_as_well_as_its_image_is_large(reading, tmp_path):
    sides = (72, 1024, 1024)  # more than any packed file may claim
    drawn = np.zeros(sides, np.uint8)
    drawn[1, 2, 3] = 1
    io.write_image(tmp_path / "mask.nii.gz", Image(drawn[None]))
    assert drawn.size > max(FLOOR, 100 * (tmp_path / "mask.nii.gz").stat().st_size)

    found, _ = reading.mask(tmp_path / "mask.nii.gz", Image(np.broadcast_to(np.uint8(0), (1, *sides))))
    assert found.sum() == found[1, 2, 3] == 1
    with pytest.raises(LimitError, match="are taken for one image"):
        reading.mask(tmp_path / "mask.nii.gz", rooms())


def test_what_an_ended_process_unpacked_is_deleted(tmp_path, decoder, monkeypatch):
    for name in ("data", "temporary"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))  # the system's has what others leave there
    decoder("import os; os._exit(0)")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        archive.write(folder_with_a_tiff(tmp_path) / "b.tif", "b.tif")

    [refused] = refusals(Reading(settings(tmp_path / "data")), tmp_path / "all.zip")

    assert "ended without an answer" in str(refused)
    assert list((tmp_path / "temporary").iterdir()) == []
    assert list((tmp_path / "data").iterdir()) == []


def test_the_limits_can_be_set(tmp_path):
    path = zeros(tmp_path, 2 * FLOOR)

    def read(**options):
        return Reading(settings(tmp_path, **options)).images(path)

    with closing(read(max_unpacking=2000)) as images:
        assert next(images).image().shape == (2 * FLOOR // 2**20, 1024, 1024)
    with closing(read(max_unpacking=2000, max_image_bytes=FLOOR)) as images, pytest.raises(LimitError, match="at most"):
        next(images).image()
    for wrong in ({"readers": 0}, {"max_unpacking": 0}, {"read_seconds": 0}):
        with pytest.raises(SettingsError, match="A server needs readers and max_unpacking of at least 1"):
            settings(tmp_path, **wrong)


def test_thousands_of_files_of_one_name_take_no_minutes(tmp_path):
    names = Names()
    for _ in range(100_000):  # each one was compared with all before
        names.give("a.png")
    contents = [png(2), *[b"no image"] * 1500, png(3)]
    parts = (b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n' + c for c in contents)
    with in_thread(settings(tmp_path)) as server, http(server) as client:
        reply = client.post(
            "/api/cases",
            content=b"\r\n".join([*parts, b"--x--\r\n"]),
            headers={"Content-Type": "multipart/form-data; boundary=x"},
        )

        assert reply.status_code == 201, reply.text
        assert [case["name"] for case in reply.json()] == ["1502-a", "a"]
