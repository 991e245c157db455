"""`segmend receive`: series that scanners and archives send, as cases."""

from __future__ import annotations

import logging
import signal
import tempfile
import threading
import warnings
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from segmend.cli.anonymising import anonymise_options
from segmend.cli.place import open_store, place_options
from segmend.errors import SettingsError
from segmend.io.anonymise import Profile


@click.command()
@click.option("--title", default="SEGMEND", show_default=True, help="The title (AE title) to be called by.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at; 0.0.0.0: every one.")
@click.option("--port", default=11112, show_default=True, type=click.IntRange(0, 65535), help="The port; 0: any.")
@click.option(
    "--from", "peers", multiple=True, required=True, metavar="TITLE@HOST",
    help="Who may send: a title, and a host, address or network, such as CT1@10.0.0.5 (repeatable).",
)  # fmt: skip
@click.option("--project", default="default", show_default=True, help="The project of new cases.")
@click.option(
    "--quiet-seconds", default=10.0, show_default=True, type=click.FloatRange(0.1, 3600),
    help="A series is a case when nothing of it has come for so long.",
)  # fmt: skip
@anonymise_options
@place_options
def receive(
    title: str,
    host: str,
    port: int,
    peers: tuple[str, ...],
    project: str,
    quiet_seconds: float,
    profile: Profile | None,
    pseudonyms: str | None,
    data: Path,
    database: str | None,
    blobs: str | None,
) -> None:
    """Receive series that scanners and archives send by DICOM's own protocol (C-STORE), as cases of the worklist.

    Only who is named by --from may send. A server on the same folder shows the cases at once.

    \b
    Example:
      segmend receive --host 0.0.0.0 --from CT1@10.0.0.5 --from PACS@pacs.example.org
    """
    from segmend.io.receiving import Peer, listening
    from segmend.server.cases.reading import Reading
    from segmend.server.cases.received import Received
    from segmend.server.settings import ServerSettings

    logging.basicConfig(format="%(message)s")
    warnings.simplefilter("ignore")  # they quote what peers say
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)
    allowed = [peer for text in peers for peer in Peer.of(text)]
    ending = threading.Event()
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, lambda *_: ending.set())
    with open_store(data, database, blobs) as store:
        if store.read_only is not None:
            raise SettingsError(f"{store.read_only} Nothing can be received.")
        data.mkdir(parents=True, exist_ok=True)
        wanted = {} if profile is None else {project: profile}
        reading = Reading(ServerSettings(data, anonymise=wanted, pseudonyms_url=pseudonyms))
        received = Received(store, reading, data, project=project, quiet_seconds=quiet_seconds)
        tempfile.tempdir = str(received.scratch)  # where files are while they come: on the disk that they stay on
        with listening(title, host, port, allowed, received.take) as at:
            click.echo(f"{title} receives at {host}, port {at} (Ctrl+C ends it).")
            with suppress(KeyboardInterrupt):
                received.work(ending, _tell)


def _tell(case: Any) -> None:
    click.echo(f"{case.id}  {case.name}")
