"""`segmend import`: a data set as the cases of a project."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from segmend.cli.anonymising import anonymise_options, pseudonyms_at
from segmend.cli.layouts import SOME_LEFT_OUT, find_data_set
from segmend.cli.place import open_store, place_options
from segmend.cli.reading import read_case, read_image
from segmend.cli.words import as_json, say
from segmend.datasets.case import Case, stacked
from segmend.datasets.folder import NAMES
from segmend.errors import DiskFullError, ReadOnlyError, SegmendError
from segmend.io.anonymise import Patient, Profile, pseudonym_of
from segmend.store import Store
from segmend.store.given import add_masks


@click.command(name="import")
@click.argument("source", metavar="FOLDER", type=click.Path(path_type=Path))
@click.option(
    "--layout", type=click.Choice(NAMES), help="How FOLDER is laid out; without it, it is found out by looking."
)
@click.option(
    "--project", default="default", show_default=True, help="The project of the new cases, made if it is not there."
)
@click.option("--split", "splits", multiple=True, metavar="NAME", help="Only cases of this split. Repeat for more.")
@click.option("--modality", default="", metavar="CODE", help="What the images are, such as CT or MR.")
@click.option("--masks/--no-masks", default=True, help="Take the masks in as well, as the first version of each case.")
@click.option("--skip-existing", is_flag=True, help="Leave out cases whose name the project has already.")
@anonymise_options
@place_options
@as_json
def import_(
    source: Path,
    layout: str | None,
    project: str,
    splits: tuple[str, ...],
    modality: str,
    masks: bool,
    skip_existing: bool,
    profile: Profile | None,
    pseudonyms: str | None,
    data: Path,
    database: str | None,
    blobs: str | None,
    as_json: bool,
) -> None:
    """Take the data set in FOLDER in as cases, with its masks as their first version, to be mended like any other.

    Cases keep their split, names and labels: `segmend export --layout` gives them back in any layout. A case that
    cannot be read stops no other one: they are listed at the end, and the exit code is 1.

    Of an image its voxels alone are kept. With --anonymise cases get pseudonyms in place of the names of their files.

    \b
    Example:
      segmend import nnUNet_raw/Dataset001_Liver --project livers --modality CT
    """
    found = find_data_set(source, layout)
    of = found.split_names
    lacking = {case.name for case in found.unlabelled} if masks else {case.name for case in found.everything}
    added: list[dict[str, Any]] = []
    left_out: list[tuple[str, str]] = []
    skipped = 0
    with open_store(data, database, blobs) as store:
        if project not in {known.name for known in store.projects()}:
            store.add_project(project)
        title = _titles(profile or store.project(project).anonymise, pseudonyms, data)
        there = {case.name for case in store.cases(project)}
        for case in found.everything:
            split = of.get(case.name, "")
            if splits and split not in splits:
                continue
            if skip_existing and title(case) in there:
                skipped += 1
                continue
            try:
                about = {"project": project, "modality": modality, "split": split}
                added.append(_add(store, case, title(case), about, masked=case.name not in lacking))
            except (DiskFullError, ReadOnlyError):
                raise
            except SegmendError as error:
                left_out.append((case.name, " ".join(str(error).split())))
    values = {
        "project": project,
        "cases": added,
        "skipped": skipped,
        "left_out": [{"case": name, "error": sentence} for name, sentence in left_out],
    }
    marked = sum(one["session"] is not None for one in added)
    already = f", {skipped} were there already" if skipped else ""
    say(values, [f"{len(added)} cases in the project {project}, {marked} with masks{already}."], as_json=as_json)
    if left_out:
        click.echo(f"{len(left_out)} cases could not be taken in:", err=True)
        for name, sentence in left_out:
            click.echo(f"  {name}: {sentence}", err=True)
        click.get_current_context().exit(SOME_LEFT_OUT)


def _titles(profile: Profile | None, url: str | None, data: Path) -> Callable[[Case], str]:
    """Return what says how a case is called: as its files are, or by a pseudonym of that."""
    if profile is None:
        return lambda case: case.title
    kept = pseudonyms_at(url, data)
    key = kept.key

    def title(case: Case) -> str:
        pseudonym = pseudonym_of(["file", case.title], key)
        kept.keep([Patient(pseudonym, case.title, "", "")])
        return pseudonym

    return title


def _add(store: Store, case: Case, title: str, about: dict[str, Any], *, masked: bool) -> dict[str, Any]:
    """Return the new case of one of a data set; nothing of it stays where its masks cannot be kept."""
    image, labels = (
        read_case(case, layered=True) if masked else (stacked([read_image(path) for path in case.image_files]), None)
    )
    added = store.add_case(store.free_name(title, project=about["project"]), image, **about)
    session = None
    try:
        if labels is not None and labels.any():
            session = add_masks(store, added, labels, case.label_names).id
    except BaseException:
        store.delete_case(added.id)
        raise
    return {"case": added.id, "name": added.name, "split": added.split, "session": session}
