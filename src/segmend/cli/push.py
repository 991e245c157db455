"""`segmend push`: masks, back into an archive."""

from __future__ import annotations

from pathlib import Path

import click

from segmend.cli.archives import archive_options, open_archive
from segmend.cli.words import as_json, say
from segmend.errors import ArchiveError, FileError
from segmend.io.files import sniff_format


@click.command()
@click.argument("address")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@archive_options
@as_json
def push(address: str, files: tuple[Path, ...], credentials: Path | None, as_json: bool) -> None:
    """Send DICOM FILES, such as masks of `segmend export`, to the archive at ADDRESS, which speaks DICOMweb.

    At dimse://TITLE@HOST:PORT is an archive that speaks DICOM's own protocol (C-STORE).

    \b
    Example:
      segmend push https://pacs.example.org/dicom-web liver.dcm
      segmend push dimse://PACS@pacs.example.org:104 liver.dcm
    """
    for path in files:
        if not path.is_file() or sniff_format(path) != "dicom":
            raise FileError(f"An archive takes DICOM files; {path.name} is none.")
    sent = open_archive(address, credentials).send(files)
    values = {"stored": list(sent.stored), "refused": dict(sent.refused)}
    say(values, [f"The archive keeps {len(sent.stored)} of {len(files)} files."], as_json=as_json)
    if sent.refused:
        reasons = ", ".join(f"{uid} (reason {reason:04X}h)" for uid, reason in sent.refused.items())
        raise ArchiveError(f"The archive refused {len(sent.refused)} of {len(files)} files: {reasons}.")
