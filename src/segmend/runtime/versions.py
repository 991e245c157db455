"""A folder of weights that keeps its earlier versions, so that new ones come in whole and can be taken back.

    FOLDER/versions/000/    the weights it began with, each version a folder of its own that never changes
    FOLDER/versions/001/    those that replaced them
    FOLDER/versions.json    which one is in use, and the version that each of them replaced

Whoever is given such a folder uses `in_use(folder)`, which is the folder itself where it keeps no versions. The
one small file is written beside and renamed, so at any moment exactly one version is in use, and all its files.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from segmend.core.atomic import write_bytes
from segmend.errors import ConflictError, FileError, ModelError

VERSIONS = "versions"
LEDGER = "versions.json"


@dataclass(frozen=True)
class Ledger:
    """Which version is in use, and what each version replaced, None for the first.

    >>> Ledger(2, {0: None, 1: 0, 2: 0}).earlier
    0
    """

    current: int
    replaced: Mapping[int, int | None]

    @property
    def earlier(self) -> int | None:
        return self.replaced[self.current]


def in_use(folder: Path) -> Path:
    """Return the folder whose weights are in use: a version's or, where there are none, the folder itself."""
    ledger = read(folder)
    return folder if ledger is None else version(folder, ledger.current)


def version(folder: Path, number: int) -> Path:
    """Return where a version lies.

    >>> version(Path("site"), 7).as_posix()
    'site/versions/007'
    """
    return folder / VERSIONS / f"{number:03d}"


def read(folder: Path) -> Ledger | None:
    """Return what a folder says of its versions, None where it keeps none; ModelError when that is damaged."""
    path = folder / LEDGER
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        replaced = {int(number): before for number, before in values["replaced"].items()}
        ledger = Ledger(int(values["current"]), replaced)
        whole = ledger.current in replaced and all(before is None or before in replaced for before in replaced.values())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        whole = False
    if not whole or not version(folder, ledger.current).is_dir():
        raise ModelError(f"The {LEDGER} in {folder} is damaged; it needs to name one of the folders in {VERSIONS}.")
    return ledger


def begin(folder: Path, files: Sequence[Path], about: Mapping[str, object]) -> Ledger:
    """Make a folder keep versions, the first of them a copy of these files."""
    if read(folder) is not None:
        raise ConflictError(f"The folder {folder} keeps versions already.")
    _put(folder, 0, files, about)
    return _say(folder, Ledger(0, {0: None}))


def install(folder: Path, files: Sequence[Path], about: Mapping[str, object], *, over: int) -> Ledger:
    """Let a copy of these files replace version `over`; ConflictError when another is in use by now."""
    ledger = read(folder)
    if ledger is None or ledger.current != over:
        now = "none" if ledger is None else str(ledger.current)
        raise ConflictError(
            f"The weights in {folder} changed meanwhile (version {over} then, {now} now); run it again."
        )
    number = max(ledger.replaced) + 1
    _put(folder, number, files, about)
    return _say(folder, Ledger(number, {**ledger.replaced, number: over}))


def undo(folder: Path) -> Ledger:
    """Bring the version back that the one in use replaced; nothing is deleted."""
    ledger = read(folder)
    if ledger is None:
        raise FileError(f"There are no versions of weights in {folder}, so there is nothing to undo.")
    if ledger.earlier is None:
        raise FileError(f"The weights in {folder} are the first it had, so there is nothing to undo.")
    return _say(folder, Ledger(ledger.earlier, ledger.replaced))


def _put(folder: Path, number: int, files: Sequence[Path], about: Mapping[str, object]) -> None:
    """Copy the files into a version's folder, which appears when all of them are on the disk."""
    place = version(folder, number)
    part = place.with_name(f"{place.name}.part")
    try:
        for old in (part, place):  # of a run that was killed: no ledger names it
            shutil.rmtree(old, ignore_errors=True)
        part.mkdir(parents=True)
        (part / "run.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")
        for path in files:
            shutil.copyfile(path, part / path.name)
        for path in part.iterdir():
            with path.open("rb+") as file:
                os.fsync(file.fileno())
        part.replace(place)
    except OSError as error:
        raise FileError(f"The weights could not be written to {folder}: {error.strerror or error}.") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _say(folder: Path, ledger: Ledger) -> Ledger:
    values = {"current": ledger.current, "replaced": {str(n): before for n, before in ledger.replaced.items()}}
    write_bytes(folder / LEDGER, (json.dumps(values, indent=1) + "\n").encode())
    return ledger
