"""`segmend export`: what was annotated, as files."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from segmend import io
from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json, check_free, force_option, patient_option, say
from segmend.core.session import Canvas
from segmend.errors import SettingsError
from segmend.store import Store


@click.command()
@click.argument("session", required=False)
@click.option("-o", "--out", metavar="FILE", help="The masks: .nii.gz, .seg.nrrd, .mha, .dcm, .png ...")
@place_options
@patient_option
@force_option
@as_json
def export(
    session: str | None,
    out: str | None,
    data: Path,
    database: str | None,
    blobs: str | None,
    patient: str,
    force: bool,
    as_json: bool,
) -> None:
    """Write the masks of SESSION to a file. Without a session, list all there are.

    \b
    Example:
      segmend export
      segmend export 1f6cab47d3a94e4c8c1f0ad9a8b6c2aa -o abdomen.seg.nrrd
      segmend export 1f6cab47d3a94e4c8c1f0ad9a8b6c2aa -o abdomen.dcm --patient keep
    """
    if out is not None:
        check_free([Path(out)], force=force)
    with open_store(data, database, blobs) as store:
        if session is None:
            found = _sessions(store)
            lines = [f"{entry['session']}  {entry['created']}  {entry['name']}" for entry in found]
            say(found, lines or ["Nothing is annotated yet."], as_json=as_json)
            return
        if out is None:
            raise SettingsError("An export needs a file to write, for example -o masks.nii.gz; got none.")
        values = _write(store, session, Path(out), anonymous=patient == "anonymous")
    line = f"{out}: {', '.join(values['labels']) or 'no labels'}."
    say(values, [line], as_json=as_json)


def _sessions(store: Store) -> list[dict[str, Any]]:
    return [
        {
            "session": record.id,
            "case": case.id,
            "name": case.name,
            "created": record.created.isoformat(timespec="seconds"),
        }
        for case in store.cases()
        for record in store.sessions(case.id)
    ]


def _write(store: Store, session_id: str, out: Path, *, anonymous: bool) -> dict[str, Any]:
    record = store.session_record(session_id)
    image = store.image(record.case)
    case = store.case(record.case)
    with store.source_of(case.id) if case.source else nullcontext() as source:
        write = io.mask_writer(out, image, source=source, series=case.name, anonymous=anonymous)
        session = store.session(session_id)
        canvas = Canvas(session.shape)
        canvas.follow(session)
        labels = list(session.labels.values())
        write(canvas.map, labels)
    voxels = {label.name: int(canvas.mask(label.value).sum()) for label in labels}
    return {
        "out": str(out),
        "session": session_id,
        "case": record.case,
        "labels": voxels,
        "unanswered": len(session.pending),
    }
