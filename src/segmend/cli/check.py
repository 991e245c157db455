"""`segmend check`: is all that is kept still what was written; and what can be mended of what is not?"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

import click

from segmend.cli.place import open_store, place_options
from segmend.cli.start import weights_of
from segmend.cli.words import as_json, device_options, say
from segmend.core.segmenter import Given, Workspace
from segmend.core.session import GIVEN
from segmend.errors import StoreError
from segmend.runtime.budget import MEMORY
from segmend.runtime.engine import Device, check_device
from segmend.server.cases.slide_files import Slides
from segmend.server.sessions.open_sessions import Images
from segmend.server.sessions.repairs import repair
from segmend.server.sessions.workspaces import Workspaces
from segmend.store import Store
from segmend.store.mending import Mended, Mending
from segmend.store.verify import Finding
from segmend.store.verify import verify as findings_of

# Exit code when there is damage that may be mended, and nobody has tried.
MENDABLE = 1


@click.command()
@click.option("--mend", is_flag=True, help="Mend what can be mended; without it nothing is changed.")
@click.option(
    "--from",
    "backup",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="BACKUP",
    help="With --mend: a folder of `segmend backup`, to put voxels and files back from.",
)
@click.option(
    "--weights", multiple=True, metavar="[METHOD=]DIR", help="With --mend: weights that the server was started with."
)
@device_options
@click.option(
    "--delete-unreferenced",
    "delete",
    is_flag=True,
    help="With --mend: delete files that nothing in the database speaks for.",
)
@click.option("--add", is_flag=True, help="Keep a checksum of voxels that an older Segmend wrote without one.")
@place_options
@as_json
def check(
    mend: bool,
    backup: Path | None,
    weights: tuple[str, ...],
    device: str,
    precision: str,
    delete: bool,
    add: bool,
    data: Path,
    database: str | None,
    blobs: str | None,
    as_json: bool,
) -> None:
    """Read everything that is kept, and say what is damaged or missing; with --mend, mend what can be mended.

    Masks are mended by working their answers out anew, voxels and files from a backup or from what else is kept, and
    only where they come out as they were. It may run while people work.

    Exit code: 0 nothing is wrong, or all of it was mended; 1 something may be mended by --mend; 2 something is lost.

    \b
    Example:
      segmend check --mend --from /mnt/backup/segmend
    """
    if (backup or weights or delete) and not mend:
        raise click.UsageError("--from, --weights and --delete-unreferenced go with --mend.")
    check_device(device)
    mended: list[Mended] = []
    with open_store(data, database, blobs, sweeping=False) as store, tempfile.TemporaryDirectory() as scratch:
        found = list(findings_of(store, add_checksums=add))
        if mend:
            answers = partial(_answer_anew, store, Path(scratch), weights, Device(device, precision))
            mending = Mending(store, answers=answers, backup=backup, delete_unreferenced=delete)
            mended = [one for finding in found if (one := mending.mend(finding)) is not None]
    damage = [finding.damage for finding in found if finding.damage is not None]
    lost = [one.said for one in mended if one.lost]
    values = {
        **_counts(found),
        "damage": damage,
        "mended": [one.said for one in mended if not one.lost],
        "lost": lost,
    }
    lines = [*_lines(found, added=add, mend=mend, delete=delete), *([] if mend else damage)]
    lines += [one.said for one in mended]
    say(values, lines if damage else [*lines, "Nothing is damaged."], as_json=as_json)
    _end(found, damage, lost, mend=mend)


def _counts(found: list[Finding]) -> dict[str, object]:
    """Return how many of each kind there are, for programs."""
    counts = {f"{kind}s": sum(finding.what == kind for finding in found) for kind in ("case", "blob", "session")}
    return {
        **counts,
        "bytes": sum(finding.size for finding in found if finding.what == "blob"),
        "unchecked": sum(finding.what == "blob" and not finding.checked and not finding.damage for finding in found),
        "leftovers": [finding.name for finding in found if finding.what == "leftover"],
        "unreferenced": [finding.name for finding in found if finding.what == "unreferenced"],
        "parts": sum(finding.what == "parts" for finding in found),
        "thumbnails": sum(finding.what == "thumbnail" for finding in found),
    }


def _lines(found: list[Finding], *, added: bool, mend: bool, delete: bool) -> list[str]:
    """Return what a person is told beside the damage."""
    by = {kind: [f.name for f in found if f.what == kind] for kind in ("case", "blob", "session")}
    size = sum(finding.size for finding in found if finding.what == "blob")
    lines = [f"{len(by['case'])} cases, {len(by['blob'])} blobs ({size / 1e6:.1f} MB), {len(by['session'])} sessions."]
    unchecked = sum(finding.what == "blob" and not finding.checked and not finding.damage for finding in found)
    if unchecked:
        lines.append(f"{unchecked} blobs are of an older Segmend and {'now have' if added else 'have no'} checksums.")
    leftovers = [finding.name for finding in found if finding.what == "leftover"]
    if leftovers and not delete:
        lines.append(f"{len(leftovers)} folders of blobs belong to no case here: {', '.join(leftovers[:3])}.")
    nobodys = [finding.name for finding in found if finding.what == "unreferenced"]
    if nobodys and not delete:
        lines.append(f"{len(nobodys)} files belong to nothing in the database: {', '.join(nobodys[:3])}.")
    if (leftovers or nobodys) and not delete:
        lines.append("If the database is not an old copy, --mend --delete-unreferenced deletes them.")
    parts = sum(finding.what == "parts" for finding in found)
    if parts and not mend:
        lines.append(f"{parts} files were left half written by killed processes; the next start deletes them.")
    return lines


def _end(found: list[Finding], damage: list[str], lost: list[str], *, mend: bool) -> None:
    """End with the exit code that says how things stand."""
    several = "thing is" if len(damage) == 1 else "things are"
    if mend and lost:
        raise StoreError(f"{len(lost)} {'thing is' if len(lost) == 1 else 'things are'} lost; see above.")
    if not damage or mend:
        return
    if any(finding.damage is not None and not finding.cure for finding in found):
        raise StoreError(f"{len(damage)} {several} damaged; see above.")
    click.echo(f"{len(damage)} {several} damaged; `segmend check --mend` mends what can be.", err=True)
    click.get_current_context().exit(MENDABLE)


def _answer_anew(store: Store, scratch: Path, weights: tuple[str, ...], device: Device, session_id: str) -> None:
    """Work the damaged answers of a session out anew; StoreError where they come out otherwise than they were."""
    record, slides = store.session_record(session_id), Slides(store, scratch)
    images = Images(store, MEMORY, slides)
    workspaces = Workspaces(MEMORY, weights_of(weights, "mend"), device)
    image = partial(images.of, record)

    def open_workspace(method: str) -> Workspace:
        return Given() if method == GIVEN else workspaces.open(session_id, method, image)

    try:
        repair(store, session_id, store.load_session(session_id), open_workspace, image, exact=True)
    finally:
        workspaces.close()
        images.close()
        slides.close()
