"""`segmend forget`: a patient's cases, deleted for good."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import click

from segmend.cli.anonymising import pseudonyms_at, pseudonyms_option
from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json, say
from segmend.core.atomic import write_bytes
from segmend.errors import NotFoundError, SettingsError
from segmend.store.forgetting import Forgotten, expired, of_patient, patients_among
from segmend.store.forgetting import forget as forget_case
from segmend.store.pseudonyms import Pseudonym
from segmend.store.records import CaseRecord


@click.command()
@click.argument("patient", default="")
@click.option("--expired", "old", is_flag=True, help="Cases that are older than their projects keep them, instead.")
@click.option("--yes", is_flag=True, help="Do it. Without, it is only said what would go.")
@click.option("--proof", type=click.Path(path_type=Path), metavar="FILE", help="Write what there was, with its hashes.")
@pseudonyms_option
@place_options
@as_json
def forget(
    patient: str,
    old: bool,
    yes: bool,
    proof: Path | None,
    pseudonyms: str | None,
    data: Path,
    database: str | None,
    blobs: str | None,
    as_json: bool,
) -> None:
    """Delete all cases of PATIENT for good: images, original files, sessions, masks and comments.

    PATIENT is a name or an id as the list of cases shows it, a pseudonym, or the id or name behind one. The audit keeps
    an entry for each case with counts and a hash of what there was, and no name. Whose pseudonym it was is deleted,
    too. It works while servers run. Backups and what was exported before are not reached.

    \b
    Example:
      segmend forget 4711
      segmend forget 4711 --yes --proof 4711.json
    """
    if bool(patient.strip()) == old:
        raise SettingsError("Forgetting needs a patient, or --expired.")
    names = pseudonyms_at(pseudonyms, data)
    with open_store(data, database, blobs) as store:
        found, kept = (expired(store), []) if old else of_patient(store, names, patient)
        _check_one(found, kept, old=old)
        if not found and not kept:
            if old:
                say({"cases": []}, ["No case is older than it may be."], as_json=as_json)
                return
            raise NotFoundError(f"There is no case of the patient {patient.strip()[:80]!r}.")
        if not yes:
            values = [{"case": one.id, "project": one.project, "name": one.name} for one in found]
            lines = [f"{one.id}  {one.project}  {one.name}" for one in found]
            said = f"{len(found)} cases would be deleted for good: say --yes."
            say({"cases": values, "done": False}, [*lines, said], as_json=as_json)
            return
        done = [forget_case(store, case) for case in found]
        for one in kept:
            names.forget(one.pseudonym)
        names.close()
        compact = store.database.compact()
    if proof is not None:
        _write(proof, done)
    told = [asdict(one) for one in done]
    lines = [f"{one.case}  {len(one.blobs)} files, {one.events} events, entry {one.entry} of the audit" for one in done]
    rest = [] if compact else ["Another program uses the database: traces may stay in its file until it is closed."]
    say({"cases": told, "done": True}, [*lines, f"{len(done)} cases are deleted for good.", *rest], as_json=as_json)


def _check_one(found: list[CaseRecord], kept: list[Pseudonym], *, old: bool) -> None:
    """Refuse a name that several patients have."""
    patients = patients_among(found)
    if not old and (len(patients) > 1 or len(kept) > 1):
        ids = [*patients, *(f"{one.name} ({one.patient}), {one.pseudonym}" for one in kept)]
        raise SettingsError(f"Several patients are called so; name one by the id or the pseudonym: {'; '.join(ids)}.")


def _write(path: Path, done: list[Forgotten]) -> None:
    values = {"made": datetime.now(UTC).isoformat(timespec="seconds"), "forgotten": [asdict(one) for one in done]}
    write_bytes(path, json.dumps(values, indent=2).encode() + b"\n")
