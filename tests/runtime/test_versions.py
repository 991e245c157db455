"""Weights that come in whole, are never changed, and can be taken back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from segmend.errors import ConflictError, FileError, ModelError
from segmend.runtime import versions

ABOUT = {"method": "mend"}


def files(folder: Path, text: str) -> list[Path]:
    folder.mkdir(exist_ok=True)
    made = [folder / "reader.onnx", folder / "refiner.onnx"]
    for path in made:
        path.write_text(f"{text} {path.stem}")
    return made


def used(folder: Path) -> str:
    return (versions.in_use(folder) / "reader.onnx").read_text()


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder that has replaced its first weights once."""
    folder = tmp_path / "site"
    versions.begin(folder, files(tmp_path / "old", "old"), ABOUT)
    versions.install(folder, files(tmp_path / "new", "new"), ABOUT, over=0)
    return folder


def test_a_plain_folder_is_used_as_it_is(tmp_path: Path) -> None:
    assert versions.in_use(tmp_path) == tmp_path
    assert versions.in_use(tmp_path / "gone") == tmp_path / "gone"
    assert versions.read(tmp_path) is None


def test_new_weights_are_used_and_the_old_ones_kept(site: Path) -> None:
    assert used(site) == "new reader"
    assert (versions.version(site, 0) / "refiner.onnx").read_text() == "old refiner"
    assert json.loads((versions.in_use(site) / "run.json").read_text()) == ABOUT


def test_undo_brings_back_what_was_replaced_as_often_as_there_is_something(site: Path, tmp_path: Path) -> None:
    versions.install(site, files(tmp_path / "newer", "newer"), ABOUT, over=1)

    assert (versions.undo(site).current, used(site)) == (1, "new reader")
    assert (versions.undo(site).current, used(site)) == (0, "old reader")
    with pytest.raises(FileError, match="are the first it had, so there is nothing to undo"):
        versions.undo(site)
    assert (versions.version(site, 2) / "reader.onnx").read_text() == "newer reader"


def test_after_an_undo_the_next_version_has_a_number_of_its_own(site: Path, tmp_path: Path) -> None:
    versions.undo(site)

    ledger = versions.install(site, files(tmp_path / "other", "other"), ABOUT, over=0)

    assert (ledger.current, ledger.earlier, used(site)) == (2, 0, "other reader")


def test_weights_that_changed_meanwhile_are_not_replaced(site: Path, tmp_path: Path) -> None:
    with pytest.raises(ConflictError, match=r"changed meanwhile \(version 0 then, 1 now\); run it again"):
        versions.install(site, files(tmp_path / "late", "late"), ABOUT, over=0)
    with pytest.raises(ConflictError, match="keeps versions already"):
        versions.begin(site, [], ABOUT)
    assert used(site) == "new reader"


def test_what_a_kill_left_behind_is_no_version(site: Path, tmp_path: Path) -> None:
    files(versions.version(site, 2), "half")  # copied, but not said to be in use

    assert used(site) == "new reader"
    versions.install(site, files(tmp_path / "whole", "whole"), ABOUT, over=1)
    assert used(site) == "whole reader"


def test_a_file_that_cannot_be_copied_changes_nothing(site: Path, tmp_path: Path) -> None:
    with pytest.raises(FileError, match="could not be written to .*: No such file"):
        versions.install(site, [tmp_path / "gone.onnx"], ABOUT, over=1)

    assert used(site) == "new reader"
    assert sorted(path.name for path in (site / "versions").iterdir()) == ["000", "001"]


@pytest.mark.parametrize("text", ["", "[]", '{"current": 1}', '{"current": 7, "replaced": {"0": null}}', "\x00"])
def test_a_damaged_ledger_is_told(site: Path, text: str) -> None:
    (site / "versions.json").write_text(text)

    with pytest.raises(ModelError, match=r"The versions.json in .* is damaged; it needs to name one"):
        versions.in_use(site)


def test_a_folder_without_versions_has_nothing_to_undo(tmp_path: Path) -> None:
    with pytest.raises(FileError, match="There are no versions of weights in"):
        versions.undo(tmp_path)
