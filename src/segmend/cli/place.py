"""Where annotations are kept: the options that say so, and the store they mean."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from segmend.errors import SettingsError

if TYPE_CHECKING:
    from segmend.store import Store

USUAL = Path("~/.segmend")


data_option = click.option(
    "--folder",
    "data",
    type=click.Path(path_type=Path),
    default=USUAL,
    show_default=True,
    envvar="SEGMEND_FOLDER",
    show_envvar=True,
    callback=lambda _context, _option, folder: folder.expanduser(),
    help="The folder where cases, sessions and masks are kept.",
)


def or_from_file(_context: click.Context, option: click.Parameter, value: str | None) -> str | None:
    """Return an option's value, or what is in the file that its environment variable with _FILE behind it names."""
    variable = f"{option.envvar}_FILE"
    path = os.environ.get(variable)
    if value is not None or not path:
        return value
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise SettingsError(f"The file {path} that {variable} names cannot be read: {reason}.") from None


_database_option = click.option(
    "--database",
    metavar="URL",
    envvar="SEGMEND_DATABASE",
    show_envvar=True,
    callback=or_from_file,
    help="Another database, such as postgresql://user@host/segmend. SEGMEND_DATABASE_FILE names a file that says it.",
)
_blobs_option = click.option(
    "--blobs", metavar="URL", envvar="SEGMEND_BLOBS", show_envvar=True, help="Another place for voxels: s3://bucket/..."
)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --folder, --database and --blobs."""
    return data_option(_database_option(_blobs_option(command)))


def open_store(data: Path, database: str | None, blobs: str | None, *, sweeping: bool = True) -> Store:
    """Return the store that these options mean, made when there is none."""
    from segmend.server.settings import ServerSettings
    from segmend.store import Store

    settings = ServerSettings(data, database_url=database, blobs_url=blobs)
    return Store.open(settings.database, settings.blobs, sweeping=sweeping)
