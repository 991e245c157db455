"""Data sets in folders, as commands take and write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from segmend.cli.reading import read_case
from segmend.cli.words import say
from segmend.datasets.folder import NAMES, Found, look, look_as
from segmend.datasets.writing import Entry, FolderWriter
from segmend.errors import ConflictError, FileError, SegmendError

# Exit code when some cases could not be written and the others are.
SOME_LEFT_OUT = 1
Problems = Sequence[tuple[str, str]]  # names of cases, and a sentence on each


def find_data_set(folder: Path, layout: str | None) -> Found:
    """Return the data set in a folder, in the layout of a name or any that is known."""
    if layout is not None:
        return look_as(folder, layout)
    if not folder.is_dir():
        raise FileError(f"There is no folder {folder}.")
    found = look(folder)
    if found is None:
        raise FileError(f"{folder} is no data set in a layout that is known: {', '.join(NAMES)}.")
    return found


def empty_folder(folder: Path, *, force: bool) -> Path:
    """Return a folder that a data set may be written to: a new or an empty one, unless it may be added to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        taken = next(folder.iterdir(), None)
    except OSError as error:
        raise FileError(f"The folder {folder} could not be made: {error.strerror}.") from None
    if taken is not None and not force:
        raise ConflictError(f"The folder {folder} is not empty; choose another one, or write into it with --force.")
    return folder


def write_data_set(found: Found, writer: FolderWriter) -> tuple[int, list[tuple[str, str]]]:
    """Write the cases of a data set that have masks; return how many, and those that cannot be with a sentence each."""
    written, left_out = 0, []
    splits = found.split_names
    lacking = {case.name for case in found.unlabelled}
    named = next((case.label_names for case in found.everything if case.name not in lacking), {})
    for _, name in sorted(named.items()):
        writer.labels.value_of(name)
    for case in found.everything:
        if case.name in lacking:
            continue
        try:
            image, labels = read_case(case)
            writer.add(Entry(case.name, image, labels, case.label_names, splits.get(case.name, "")))
            written += 1
        except SegmendError as error:
            left_out.append((case.name, " ".join(str(error).split())))
    writer.finish()
    return written, left_out


def say_data_set(folder: Path, layout: str, written: int, left_out: Problems, unmarked: int, *, as_json: bool) -> None:
    """Print what was written, list what was not, and end with 1 where something could not be."""
    values = {
        "out": str(folder),
        "layout": layout,
        "cases": written,
        "unmarked": unmarked,
        "left_out": [{"case": name, "error": sentence} for name, sentence in left_out],
    }
    without = f"; {unmarked} without masks left out" if unmarked else ""
    say(values, [f"{folder}: {written} case{'' if written == 1 else 's'} as {layout}{without}."], as_json=as_json)
    if left_out:
        click.echo(f"{len(left_out)} cases could not be written:", err=True)
        for name, sentence in left_out:
            click.echo(f"  {name}: {sentence}", err=True)
        click.get_current_context().exit(SOME_LEFT_OUT)
