"""`segmend series`: other scans of the same patient, shown beside a case's image."""

from __future__ import annotations

from pathlib import Path

import click

from segmend.cli.place import open_store, place_options
from segmend.cli.reading import read_images
from segmend.cli.words import as_json, say
from segmend.errors import NotFoundError
from segmend.server.cases.uploads import case_name
from segmend.store import Store
from segmend.store.records import SeriesRecord


@click.command()
@click.argument("case")
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--name", default="", help="What the series is called; otherwise what its file says.")
@click.option("--remove", multiple=True, metavar="ID", help="Take this series away again. Repeat for more.")
@place_options
@as_json
def series(
    case: str,
    files: tuple[Path, ...],
    name: str,
    remove: tuple[str, ...],
    data: Path,
    database: str | None,
    blobs: str | None,
    as_json: bool,
) -> None:
    """Show the scans in FILES beside the image of CASE, by where both lie in the patient. Without files, list them.

    They may have another grid, another spacing and another slant. Marks and masks stay those of the case's own image.
    A scan that does not say where it lies, or that DICOM says to be of another frame of reference, is refused.

    \b
    Example:
      segmend series 4f6cab47d3a94e4c8c1f0ad9a8b6c2aa T2.nii.gz flair.nii.gz
      segmend series 4f6cab47d3a94e4c8c1f0ad9a8b6c2aa pet/ --name PET
    """
    with open_store(data, database, blobs) as store:
        known = {one.id for one in store.series(case)}
        for one in remove:
            if one not in known:
                raise NotFoundError(f"There is no series {one!r} beside this case's image.")
            store.delete_series(one)
        for path in files:
            _add(store, case, path, name)
        found = store.series(case)
    values = [{"series": one.id, "name": one.name, "modality": one.modality, "shape": list(one.shape)} for one in found]
    say(values, [_line(one) for one in found] or ["No series is shown beside this case's image."], as_json=as_json)


def _line(one: SeriesRecord) -> str:
    return "  ".join(word for word in (one.id, one.name, one.modality, " x ".join(map(str, one.shape))) if word)


def _add(store: Store, case: str, path: Path, name: str) -> None:
    """Add the images of a path, all or none."""
    added: list[SeriesRecord] = []
    try:
        for info, read in read_images(path):
            called = name or case_name(info.name) or info.modality or "series"
            added.append(store.add_series(case, called, read(), modality=info.modality, frame=info.frame))
    except BaseException:
        for one in added:
            store.delete_series(one.id)
        raise
