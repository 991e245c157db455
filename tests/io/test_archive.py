"""A zip file from a stranger comes out inside its folder, or not at all."""

from __future__ import annotations

import struct
import zipfile
from pathlib import Path

import pytest

from segmend.errors import FileError, LimitError
from segmend.io.archive import unpack


def zipped(path: Path, members: dict[str, bytes], *, link: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
        if link:
            info = zipfile.ZipInfo(link)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, "/etc/passwd")
    return path


def folder(tmp_path: Path) -> Path:
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def test_files_come_out_in_order_and_litter_is_left(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"b/2.dcm": b"two", "1.dcm": b"one", "__MACOSX/x": b"-", "b/.DS_Store": b"-"})
    out = folder(tmp_path)

    made = unpack(path, out)

    assert made == [out / "b" / "2.dcm", out / "1.dcm"]
    assert [p.read_bytes() for p in made] == [b"two", b"one"]


@pytest.mark.parametrize("name", ["../evil", "a/../../evil", "/etc/evil", "C:\\evil", "a\\..\\evil", "c:evil"])
def test_paths_that_leave_the_folder_are_refused(name: str, tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"fine": b"1", name: b"2"})

    with pytest.raises(FileError, match=r"a\.zip holds the path .*, which leaves the folder"):
        unpack(path, folder(tmp_path))
    assert list((tmp_path / "out").iterdir()) == []


def test_links_doubles_and_passwords_are_refused(tmp_path: Path) -> None:
    out = folder(tmp_path)
    locked = bytearray(zipped(tmp_path / "c.zip", {"x": b"1"}).read_bytes())
    locked[locked.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "c.zip").write_bytes(locked)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("x", b"1")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("x", b"2")

    with pytest.raises(FileError, match=r"holds 'passwords', which is a link or a device"):
        unpack(zipped(tmp_path / "a.zip", {}, link="passwords"), out)
    with pytest.raises(FileError, match=r"b\.zip holds 'x' twice"):
        unpack(tmp_path / "b.zip", out)
    with pytest.raises(FileError, match=r"c\.zip needs a password"):
        unpack(tmp_path / "c.zip", out)


def test_bombs_and_crowds_are_stopped(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"zeros": bytes(5_000_000), "more": b"1"})

    with pytest.raises(LimitError, match=r"a\.zip unpacks to more than 1000000 bytes"):
        unpack(path, folder(tmp_path), max_bytes=1_000_000)
    with pytest.raises(LimitError, match=r"a\.zip holds 2 files; at most 1 are unpacked"):
        unpack(path, tmp_path / "out", max_files=1)


def test_a_bomb_that_lies_about_its_size_is_stopped_while_it_comes_out(tmp_path: Path) -> None:
    path = zipped(tmp_path / "a.zip", {"zeros": bytes(5_000_000)})
    data = bytearray(path.read_bytes())
    at = data.index(b"PK\x01\x02")
    struct.pack_into("<I", data, at + 24, 900)  # the size that the directory claims
    path.write_bytes(data)

    with pytest.raises((LimitError, FileError), match=r"a\.zip (unpacks to more than|is not a sound zip file)"):
        unpack(path, folder(tmp_path), max_bytes=1000)
    assert sum(p.stat().st_size for p in (tmp_path / "out").iterdir()) <= 1000


def test_damaged_archives_and_full_places_say_so(tmp_path: Path) -> None:
    out = folder(tmp_path)
    path = zipped(tmp_path / "a.zip", {"x": b"1" * 50})
    data = bytearray(path.read_bytes())
    data[31] ^= 0xFF  # behind a header of 30 bytes and the name
    (tmp_path / "broken.zip").write_bytes(data)
    (tmp_path / "none.zip").write_bytes(b"PK\x03\x04")

    with pytest.raises(FileError, match=r"broken\.zip is not a sound zip file"):
        unpack(tmp_path / "broken.zip", out)
    with pytest.raises(FileError, match=r"none\.zip is not a sound zip file"):
        unpack(tmp_path / "none.zip", out)
    with pytest.raises(FileError, match=r"a\.zip could not be unpacked: File exists"):
        unpack(path, path)
