"""`segmend pull`: what an archive has, as cases."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import click

from segmend.cli.anonymising import anonymise_options, cleaned
from segmend.cli.archives import archive_options, open_archive
from segmend.cli.place import open_store, place_options
from segmend.cli.reading import read_images, read_series
from segmend.cli.words import as_json, say
from segmend.errors import ArchiveError
from segmend.io.anonymise import Profile
from segmend.io.dicomweb import ArchivedSeries, Progress, Study
from segmend.io.dimse import AnyArchive
from segmend.store import Store
from segmend.store.pseudonyms import Cleaned

# Files between two lines of progress.
STEP = 50


@click.command()
@click.argument("address")
@archive_options
@click.option("--patient", default="", metavar="NAME", help="List studies of this patient; * stands for anything.")
@click.option("--patient-id", default="", metavar="ID", help="List studies of this patient.")
@click.option("--date", default="", metavar="DATE", help="List studies of a day, 20261130, or days, 20261101-20261130.")
@click.option("--modality", default="", metavar="CODE", help="List studies with this modality, such as CT.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="List so many studies.")
@click.option("--offset", default=0, show_default=True, type=click.IntRange(0), help="Leave out so many before.")
@click.option("--study", default="", metavar="UID", help="List the series of this study, or say where --series is.")
@click.option("--series", multiple=True, metavar="UID", help="Fetch this series as a case (repeatable).")
@click.option("--project", default="default", show_default=True, help="The project of new cases.")
@anonymise_options
@place_options
@as_json
def pull(
    address: str,
    credentials: Path | None,
    patient: str,
    patient_id: str,
    date: str,
    modality: str,
    limit: int,
    offset: int,
    study: str,
    series: tuple[str, ...],
    project: str,
    profile: Profile | None,
    pseudonyms: str | None,
    data: Path,
    database: str | None,
    blobs: str | None,
    as_json: bool,
) -> None:
    """Fetch series from the archive at ADDRESS, which speaks DICOMweb, as cases. Without --series, list what there is.

    An archive that speaks DICOM's own protocol (DIMSE) is at dimse://TITLE@HOST:PORT. It is asked to send on the same
    connection (C-GET), or with ?receive=PORT to a port of this machine (C-MOVE); ?as=TITLE says who asks, else SEGMEND.

    \b
    Example:
      segmend pull https://pacs.example.org/dicom-web --patient 'Doe*'
      segmend pull dimse://PACS@pacs.example.org:104 --patient 'Doe*'
      segmend pull https://pacs.example.org/dicom-web --study 1.2.840.1
      segmend pull https://pacs.example.org/dicom-web --series 1.2.840.1.7
    """
    archive = open_archive(address, credentials)
    if series:
        with open_store(data, database, blobs) as store:
            names = Names(profile, pseudonyms)
            fetched = [_fetch(archive, study, uid, project, data, store, names) for uid in series]
        found = [case for cases in fetched for case in cases]
        say(found, [f"{case['case']}  {case['name']}" for case in found], as_json=as_json)
        return
    if study:
        listed = archive.series(study)
        say([asdict(one) for one in listed], [_line_of_series(one) for one in listed] or [NOTHING], as_json=as_json)
        return
    asked = {"PatientName": patient, "PatientID": patient_id, "StudyDate": date, "ModalitiesInStudy": modality}
    studies = archive.studies(limit=limit, offset=offset, **{name: text for name, text in asked.items() if text})
    say([asdict(one) for one in studies], [_line_of_study(one) for one in studies] or [NOTHING], as_json=as_json)


NOTHING = "The archive has nothing like that."


def _line_of_study(one: Study) -> str:
    words = (one.uid, one.date, one.patient, one.patient_id, "/".join(one.modalities), one.description)
    return "  ".join(word for word in words if word)


def _line_of_series(one: ArchivedSeries) -> str:
    count = "" if one.instances is None else f"{one.instances} files"
    return "  ".join(word for word in (one.uid, one.modality, one.description, count) if word)


@dataclass(frozen=True)
class Names:
    """What becomes of what names a patient."""

    profile: Profile | None
    pseudonyms: str | None


def _fetch(
    archive: AnyArchive, study: str, uid: str, project: str, data: Path, store: Store, names: Names
) -> list[dict[str, Any]]:
    """Return the new cases of a series; none where anything of it fails."""
    where = study or archive.find_series(uid).study
    data.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix="upload-", dir=data))  # which a start sweeps if this is killed
    try:
        archive.fetch(where, uid, folder, progress=_progress_of(uid))
        found = read_series(folder)
        if not found or any(info.uid.partition("#")[0] != uid for info in found):
            raise ArchiveError(f"The archive sent other files than those of the series {uid}.")
        if project not in {known.name for known in store.projects()}:
            store.add_project(project)
        with cleaned(folder, names.profile or store.project(project).anonymise, names.pseudonyms, data) as kept:
            return _add(store, kept, uid, project)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _add(store: Store, kept: Cleaned, uid: str, project: str) -> list[dict[str, Any]]:
    """Return the new cases of the images that a series is, all or none."""
    cases: list[dict[str, Any]] = []
    try:
        for info, read in read_images(kept.place):
            name = kept.name(info, info.name or info.modality or "case")
            case = store.add_case(
                store.free_name(name, project=project),
                kept.noted(read()),
                project=project,
                modality=info.modality,
                source=kept.place,
                patient=info.patient,
                study_date=info.study_date,
                description=info.study,
                frame=info.frame,
            )
            cases.append({"case": case.id, "name": case.name, "series": kept.uid(uid), "shape": list(case.shape)})
    except BaseException:
        for one in cases:
            store.delete_case(one["case"])
        raise
    return cases


def _progress_of(uid: str) -> Progress:
    said = 0

    def progress(files: int, size: int) -> None:
        nonlocal said
        if files >= said + STEP:
            said = files
            click.echo(f"{uid}: {files} files, {size >> 20} MB.", err=True)

    return progress
