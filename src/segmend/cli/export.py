"""`segmend export`: what was annotated, as files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from segmend.cli.layouts import empty_folder, say_data_set
from segmend.cli.place import open_store, place_options
from segmend.cli.start import weights_of
from segmend.cli.words import as_json, check_free, force_option, patient_option, say
from segmend.core.atomic import write_atomically
from segmend.core.layers import FLAT
from segmend.datasets.folder import WRITERS
from segmend.errors import SegmendError, SettingsError
from segmend.io import LAYERED_FORMATS
from segmend.results import kinds
from segmend.results.archive import Wanted, archive, check_kinds
from segmend.results.case_result import CaseResult, newest_result, result_of
from segmend.results.training import FOLDERS, folder_of, free_stem
from segmend.store import Store
from segmend.store.audit import deeds_of
from segmend.store.records import STATUSES, CaseRecord
from segmend.store.worklist import CaseFilter

# What an archive holds where nothing is said.
USUAL = (".nii.gz", ".csv")


@click.command()
@click.argument("session", required=False)
@click.option("-o", "--out", metavar="FILE", help="A mask, surface, table, report or log by its ending, or a .zip.")
@click.option(
    "--layout", type=click.Choice(list(WRITERS)), help="Write all cases that are found as a data set, to the folder -o."
)
@click.option(
    "--as",
    "wanted",
    multiple=True,
    metavar="KIND",
    help=f"What a .zip is to hold: {', '.join(kind.lstrip('.') for kind in [*kinds.KINDS, *FOLDERS])}. "
    f"Repeat for more; {' and '.join(kind.lstrip('.') for kind in USUAL)} where nothing is said.",
)
@click.option("--case", "cases", multiple=True, metavar="CASE", help="Only this case, by id. Repeat for more.")
@click.option("--project", default=None, help="Only cases of this project.")
@click.option("--status", "statuses", multiple=True, type=click.Choice(STATUSES), help="Only cases of this status.")
@click.option("--label", default=None, help="Only cases with a label of this name.")
@click.option("--text", default="", help="Only cases with these words in their name, patient or description.")
@click.option("--weights", multiple=True, metavar="[METHOD=]DIR", help="Weights that answered, for the log to replay.")
@place_options
@patient_option
@force_option
@as_json
def export(
    session: str | None,
    out: str | None,
    layout: str | None,
    wanted: tuple[str, ...],
    cases: tuple[str, ...],
    project: str | None,
    statuses: tuple[Any, ...],
    label: str | None,
    text: str,
    weights: tuple[str, ...],
    data: Path,
    database: str | None,
    blobs: str | None,
    patient: str,
    force: bool,
    as_json: bool,
) -> None:
    """Write what was annotated: SESSION to a file, or all cases that the options find to a .zip.

    Without a session and a file, list all there are. Of a case the newest session with marks counts.

    \b
    A file's ending says what it is:
      .nii.gz .nii .seg.nrrd .nrrd .mha .tif .png      masks (.png of a picture)
      .dcm .rtstruct.dcm                               DICOM segmentation and structure set
      .stl .obj .glb                                   surfaces in millimetres
      .csv .pdf .overlay.png                           measures, a report of one page, a picture
      .provenance.json                                 how it was made: `segmend replay` makes it again
      .zip                                             any of these, and folders to train on (--as)

    \b
    Example:
      segmend export
      segmend export 1f6cab47d3a94e4c8c1f0ad9a8b6c2aa -o abdomen.seg.nrrd
      segmend export 1f6cab47d3a94e4c8c1f0ad9a8b6c2aa -o abdomen.dcm --patient keep
      segmend export --project livers --status done --as nii.gz --as stl --as csv -o livers.zip
      segmend export --status done --as nnunet -o train.zip
      segmend export --project livers --layout nnunet -o nnUNet_raw/
    """
    if out is not None and layout is None:
        check_free([Path(out)], force=force)
    with open_store(data, database, blobs) as store:
        chosen = CaseFilter(text, tuple(statuses), project, label=label)
        if out is None:
            if session is not None or wanted or layout is not None:
                raise SettingsError("An export needs a file to write, for example -o masks.nii.gz; got none.")
            found = _sessions(store)
            lines = [f"{entry['session']}  {entry['created']}  {entry['name']}" for entry in found]
            say(found, lines or ["Nothing is annotated yet."], as_json=as_json)
            return
        if layout is not None:
            if session is not None or wanted:
                raise SettingsError(
                    "A data set is of all cases that the options find; got a session or --as beside it."
                )
            data_set = _chosen(store, chosen, cases)
            _note(store, data_set, layout=layout)
            _write_layout(store, data_set, layout, Path(out), force=force, as_json=as_json)
            return
        folders = weights_of(weights, "mend")
        anonymous = patient == "anonymous"
        if out.lower().endswith(".zip"):
            asked = [kind if kind in FOLDERS else f".{kind.lstrip('.')}" for kind in wanted] or list(USUAL)
            check_kinds(asked)
            named = () if session is None else (store.session_record(session).case,)
            exported = _chosen(store, chosen, named or cases)
            _note(store, exported, kinds=asked, patient=patient)
            values = _write_archive(store, session, exported, Path(out), Wanted(asked, anonymous, folders))
            say(values, [f"{out}: {_cases(values['cases'])} looked at."], as_json=as_json)
            return
        if session is None:
            raise SettingsError(f"The file of all cases needs a name that ends in .zip; got {out}.")
        result = result_of(store, session)
        suffix = kinds.suffix_of(Path(out))
        _note(store, [result.case], kind=suffix, patient=patient)
        kinds.write_result(Path(out), result, suffix, anonymous=anonymous, weights=folders)
    values = _said(out, result)
    note = _loses_overlap(suffix, result)
    lines = [f"{out}: {', '.join(values['labels']) or 'no labels'}.", *([FLAT] if note else [])]
    say({**values, "note": FLAT if note else None}, lines, as_json=as_json)


def _note(store: Store, cases: list[CaseRecord], **detail: Any) -> None:
    """Have the audit say that these cases are exported."""
    store.audit.add_where_possible(*deeds_of("", "exported", [(case.id, case.project) for case in cases], **detail))


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


def _chosen(store: Store, wanted: CaseFilter, cases: tuple[str, ...]) -> list[CaseRecord]:
    """Return the cases that were named or, without, those that a filter finds."""
    if cases:
        return [store.case(case) for case in cases]
    if wanted.project is not None:
        store.project(wanted.project)
    return store.found_cases(wanted)


def _write_archive(
    store: Store, session: str | None, found: list[CaseRecord], out: Path, wanted: Wanted
) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if session is not None:
        found = [store.case(store.session_record(session).case)]
        options["result_of"] = lambda store, _case: result_of(store, session)

    def write(part: Path) -> None:
        with TemporaryDirectory(prefix="segmend-") as scratch, part.open("wb") as file:
            for piece in archive(store, found, wanted, Path(scratch), **options):
                file.write(piece)

    write_atomically(out, write)
    return {"out": str(out), "cases": len(found), "kinds": list(wanted.kinds)}


def _write_layout(store: Store, found: list[CaseRecord], layout: str, out: Path, *, force: bool, as_json: bool) -> None:
    """Write cases as a data set; those that it cannot hold are said, and the others written."""
    writer = folder_of(layout, empty_folder(out, force=force))
    stems: set[str] = set()
    left_out: list[tuple[str, str]] = []
    unmarked = 0
    for case in found:
        try:
            result = newest_result(store, case.id)
            if result is None:
                unmarked += 1
                continue
            stem = free_stem(kinds.file_name(case.name), stems)
            stems.add(stem)
            writer.add(stem, result)
        except SegmendError as error:
            left_out.append((case.name, str(error)))
    writer.finish()
    written = len(found) - len(left_out) - unmarked
    say_data_set(out, layout, written, left_out, unmarked, as_json=as_json)


def _cases(count: int) -> str:
    return f"{count} case{'' if count == 1 else 's'}"


def _loses_overlap(suffix: str, result: CaseResult) -> bool:
    """Tell whether labels share voxels and a file holds one label a voxel."""
    return kinds.KINDS[suffix].group == "masks" and suffix not in LAYERED_FORMATS and result.overlap


def _said(out: str, result: CaseResult) -> dict[str, Any]:
    return {
        "out": out,
        "session": result.record.id,
        "case": result.case.id,
        "labels": {label.name: int(result.mask(label.value).sum()) for label in result.labels},
        "unanswered": len(result.session.pending),
    }
