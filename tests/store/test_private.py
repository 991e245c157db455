"""Who may look into what the store writes: its owner alone."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

from segmend.store import Store
from segmend.store.private import close_to_others
from tests.store.drawn import CLICK, LESION, SHAPE, image

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")


def modes(folder: Path) -> dict[str, str]:
    """What may be done with a folder and everything in it."""
    return {
        str(path.relative_to(folder)): oct(stat.S_IMODE(path.lstat().st_mode)) for path in [folder, *folder.rglob("*")]
    }


def test_everything_that_a_store_writes_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        source = tmp_path / "scan.dcm"
        source.write_bytes(b"original")
        with Store.local(tmp_path / "new" / "data") as store:
            case = store.add_case("head", image(), source=source).id
            session = store.add_session(case).id
            store.append(session, 0, LESION)
            store.append(session, 1, CLICK)
            store.add_mask(session, "mine", np.zeros(SHAPE, np.uint16))
            found = modes(tmp_path / "new")
            folders = {str(p.relative_to(tmp_path / "new")) for p in (tmp_path / "new").rglob("*") if p.is_dir()}
    finally:
        os.umask(before)

    assert {"data/segmend.db", "data/segmend.db-wal", f"data/blobs/cases/{case}/source/scan.dcm"} <= set(found)
    assert {found[name] for name in {".", *folders}} == {"0o700"}
    assert {mode for name, mode in found.items() if name not in {".", *folders}} == {"0o600"}


def test_an_older_folder_is_taken_from_the_others(tmp_path: Path) -> None:
    (tmp_path / "blobs" / "cases").mkdir(parents=True)
    for name in ("segmend.db", "segmend.db-wal", "blobs/cases/image.npy"):
        (tmp_path / name).touch(0o644)
    outside = tmp_path.parent / "outside"
    outside.touch(0o644)
    (tmp_path / "blobs" / "link").symlink_to(outside)
    tmp_path.chmod(0o755)

    assert close_to_others(tmp_path, ("segmend.db*", "blobs"))

    found = modes(tmp_path)
    del found["blobs/link"]
    assert set(found.values()) == {"0o600", "0o700"} and found["."] == "0o700"
    assert found["segmend.db"] == found["blobs/cases/image.npy"] == "0o600"
    assert stat.S_IMODE(outside.stat().st_mode) & 0o044
    assert not close_to_others(tmp_path, ("segmend.db*", "blobs"))


def test_a_folder_with_other_things_in_it_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "segmend.db").touch(0o644)
    (tmp_path / "thesis.tex").touch(0o644)
    tmp_path.chmod(0o755)

    assert close_to_others(tmp_path, ("segmend.db*", "blobs"))

    assert modes(tmp_path) == {".": "0o755", "segmend.db": "0o600", "thesis.tex": "0o644"}
