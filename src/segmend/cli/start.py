"""`segmend start`: the annotator in a browser."""

from __future__ import annotations

import errno
import socket
import sys
import threading
import time
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING

import click

from segmend.cli.place import place_options
from segmend.errors import SettingsError

if TYPE_CHECKING:
    from segmend.server.settings import ServerSettings

EVERYWHERE = ("0.0.0.0", "::", "")
PATIENCE = 60.0  # seconds for the server to listen before the browser is opened all the same


@click.command(short_help="Open the annotator in a browser.")
@click.option("--browser/--no-browser", default=True, help="Open a browser, or only print the address.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 serves the whole network, with a token.")
@click.option("--token", envvar="SEGMEND_TOKEN", show_envvar=True, help="What clients must say; drawn when needed.")
@click.option("--method", default="mend", show_default=True, help="Which method answers first.")
@click.option("--samples/--no-samples", default=True, help="Put sample cases into an empty folder.")
@place_options
def start(
    browser: bool,
    port: int,
    host: str,
    token: str | None,
    method: str,
    samples: bool,
    data: Path,
    database: str | None,
    blobs: str | None,
) -> None:
    """Serve the annotator and open it in a browser. Ctrl+C ends it; nothing is lost.

    \b
    Example:
      segmend start --no-browser --port 9000 --data ~/study
    """
    from segmend.methods import card
    from segmend.server.app import serve
    from segmend.server.settings import ServerSettings, guarded

    settings = guarded(
        ServerSettings(
            data,
            host=host,
            port=free_port(host, port),
            database_url=database,
            blobs_url=blobs,
            token=token,
            method=card(method).id,
        )
    )
    if samples:
        add_samples(settings)
    click.echo(f"Segmend is at {address(settings)} (Ctrl+C ends it; everything is kept in {data}).")
    if browser:
        threading.Thread(target=open_when_ready, args=(settings,), daemon=True).start()
    serve(settings)


def free_port(host: str, port: int) -> int:
    """Return the port, or a free one for 0; SettingsError when another program has it."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise SettingsError(f"Port {port} is in use, perhaps by another Segmend; say --port 0.") from None
        raise SettingsError(f"A server cannot listen at {host}, port {port}: {error.strerror}.") from None


def address(settings: ServerSettings) -> str:
    """Return what to type into a browser on this machine."""
    host = (
        "localhost" if settings.host in EVERYWHERE else f"[{settings.host}]" if ":" in settings.host else settings.host
    )
    return f"http://{host}:{settings.port}/" + (f"#token={settings.token}" if settings.token else "")


def add_samples(settings: ServerSettings) -> None:
    """Put one sample case of each kind into a store that holds none."""
    from segmend.samples import KINDS, make
    from segmend.store import Store

    with Store.open(settings.database, settings.blobs) as store:
        if store.cases():
            return
        with click.progressbar(list(KINDS), label="Drawing sample cases", file=sys.stderr) as kinds:
            for kind in kinds:
                sample = make(kind)
                store.add_case(sample.name, sample.image, modality=sample.modality)


def open_when_ready(settings: ServerSettings, *, patience: float = PATIENCE) -> None:
    """Open the browser as soon as the server listens."""
    host = "localhost" if settings.host in EVERYWHERE else settings.host
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            socket.create_connection((host, settings.port), timeout=2).close()
            break
        except OSError:
            time.sleep(0.1)
    webbrowser.open(address(settings))
