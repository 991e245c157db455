"""Archives (PACS) as the command line names them: an address with credentials, or a TOML file of several."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from segmend.errors import FileError, SettingsError
from segmend.io.dimse import AnyArchive, archive_at, is_dimse


def archive_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command what says who may enter an archive."""
    return click.option(
        "--credentials",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="A file with one line, name:password or Bearer and a token; else the environment's SEGMEND_ARCHIVE.",
    )(command)


def open_archive(address: str, credentials: Path | None) -> AnyArchive:
    """Return the archive at an address, with the credentials of a file or else the environment."""
    if credentials is None:
        return archive_at(address, "" if is_dimse(address) else os.environ.get("SEGMEND_ARCHIVE", ""))
    try:
        return archive_at(address, credentials.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        raise FileError(f"The file {credentials} with credentials cannot be read.") from None


def archives_of(path: Path) -> dict[str, AnyArchive]:
    """Return the archives that a TOML file names, each a table with an address and who may enter.

    `credentials` is a file with one line, beside this one where it is no whole path; `variable` one of the environment.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"The archives in {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise FileError(f"The archives in {path} need to be TOML: {error}.") from None
    found = {}
    for name, table in tables.items():
        known = isinstance(table, dict) and set(table) <= {"address", "credentials", "variable"}
        if not known or not all(isinstance(text, str) for text in table.values()) or "address" not in table:
            raise SettingsError(
                f"The archive {name!r} in {path.name} needs an address, and perhaps the file or the variable of the "
                "environment that says who may enter, as credentials or variable."
            )
        if "variable" in table:
            said = os.environ.get(table["variable"], "")
            if not said:
                raise SettingsError(f"The variable {table['variable']} of the archive {name!r} is not set.")
            found[name] = archive_at(table["address"], said)
        else:
            credentials = path.parent / Path(table["credentials"]).expanduser() if "credentials" in table else None
            found[name] = (
                archive_at(table["address"]) if credentials is None else open_archive(table["address"], credentials)
            )
    return found
