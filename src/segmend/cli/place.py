"""Where annotations are kept: the options that say so, and the store they mean."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from segmend.store import Store

USUAL = Path("~/.segmend")
COMPILED = "compiled"  # the folder in that of the data where machine code is kept


def keep_machine_code(data: Path, package: Path = Path(__file__).parent.parent) -> None:
    """Keep the machine code of loops with the data where the package's own folders cannot be written.

    NUMBA_CACHE_DIR decides otherwise. It is what the compiler reads when it is loaded, in this process and in those
    that it starts.
    """
    beside = [folder for folder in (package / "solvers" / "__pycache__", package / "solvers") if folder.is_dir()]
    if beside and not os.access(beside[0], os.W_OK):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(data.expanduser().absolute() / COMPILED))


def _given(_context: click.Context, _option: click.Parameter, value: Path) -> Path:
    folder = value.expanduser()
    keep_machine_code(folder)
    return folder


data_option = click.option(
    "--folder",
    "data",
    type=click.Path(path_type=Path),
    default=USUAL,
    show_default=True,
    envvar="SEGMEND_FOLDER",
    show_envvar=True,
    callback=_given,
    help="The folder where cases, sessions and masks are kept.",
)
_database_option = click.option(
    "--database",
    metavar="URL",
    envvar="SEGMEND_DATABASE",
    show_envvar=True,
    help="Another database, such as postgresql://user@host/segmend.",
)
_blobs_option = click.option(
    "--blobs", metavar="URL", envvar="SEGMEND_BLOBS", show_envvar=True, help="Another place for voxels: s3://bucket/..."
)


def has_data_folder(command: click.Command) -> bool:
    """Tell whether a command has the option --folder, where annotations are kept."""
    return any(option.callback is _given for option in command.params)


def place_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --folder, --database and --blobs."""
    return data_option(_database_option(_blobs_option(command)))


def open_store(data: Path, database: str | None, blobs: str | None) -> Store:
    """Return the store that these options mean, made when there is none."""
    from segmend.server.settings import ServerSettings
    from segmend.store import Store

    settings = ServerSettings(data, database_url=database, blobs_url=blobs)
    return Store.open(settings.database, settings.blobs)
