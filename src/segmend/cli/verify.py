"""`segmend verify`: is all that is kept still what was written?"""

from __future__ import annotations

from pathlib import Path

import click

from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json, say
from segmend.errors import StoreError
from segmend.store.verify import verify as findings_of


@click.command()
@click.option("--add", is_flag=True, help="Keep a checksum of voxels that an older Segmend wrote without one.")
@place_options
@as_json
def verify(add: bool, data: Path, database: str | None, blobs: str | None, as_json: bool) -> None:
    """Read everything that is kept, and say what is damaged or missing. It changes nothing but what --add says.

    \b
    Example:
      segmend verify
    """
    with open_store(data, database, blobs) as store:
        found = list(findings_of(store, add_checksums=add))
    damage = [finding.damage for finding in found if finding.damage is not None]
    counts = {f"{kind}s": sum(finding.what == kind for finding in found) for kind in ("case", "blob", "session")}
    size = sum(finding.size for finding in found)
    unchecked = sum(finding.what == "blob" and not finding.checked and not finding.damage for finding in found)
    leftovers = [finding.name for finding in found if finding.what == "leftover"]
    lines = [f"{counts['cases']} cases, {counts['blobs']} blobs ({size / 1e6:.1f} MB), {counts['sessions']} sessions."]
    if unchecked:
        lines.append(f"{unchecked} blobs are of an older Segmend and {'now have' if add else 'have no'} checksums.")
    if leftovers:
        lines.append(f"{len(leftovers)} folders of blobs belong to no case here: {', '.join(leftovers[:3])}.")
    values = {**counts, "bytes": size, "unchecked": unchecked, "leftovers": leftovers, "damage": damage}
    say(values, [*lines, *damage] if damage else [*lines, "Nothing is damaged."], as_json=as_json)
    if damage:
        raise StoreError(f"{len(damage)} {'thing is' if len(damage) == 1 else 'things are'} damaged; see above.")
