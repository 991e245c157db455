"""`segmend start`: the annotator in a browser."""

from __future__ import annotations

import sys
import threading
import webbrowser
from contextlib import suppress
from html import escape
from pathlib import Path
from typing import Any, get_args

import click

from segmend.cli.anonymising import profiles_of, pseudonyms_option
from segmend.cli.archives import archives_of
from segmend.cli.logins import oidc_of
from segmend.cli.place import or_from_file, place_options
from segmend.cli.words import Megabytes, device_options
from segmend.errors import SettingsError
from segmend.methods import card, check_weights, family_of
from segmend.runtime.budget import DEFAULT_BYTES
from segmend.runtime.engine import Device, check_device
from segmend.samples import KINDS, make
from segmend.server.access.peers import own_account
from segmend.server.app import serve
from segmend.server.logs import Form, write_logs
from segmend.server.settings import ApartMethods, ServerSettings
from segmend.store import Store
from segmend.store.private import open_private

# The page in the data folder by which a browser is told an address with a token.
DOOR = "open.html"

LIMITS: dict[str, type[int] | type[float]] = {
    "max_upload_bytes": int, "max_upload_files": int, "max_image_bytes": int, "max_unpacking": int,
    "max_body_bytes": int, "read_seconds": float, "readers": int, "viewers_at_once": int, "keep_visitors_days": float,
    "max_waiting": int, "bytes_per_person": int, "bytes_per_project": int, "requests_per_second": float,
    "connections_per_person": int,
}  # fmt: skip


@click.command()
@click.option("--browser/--no-browser", default=True, help="Open a browser, or only print the address.")
@click.option("--port", default=8765, show_default=True, type=click.IntRange(0, 65535), help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 serves the whole network, with a token.")
@click.option(
    "--token",
    envvar="SEGMEND_TOKEN",
    show_envvar=True,
    callback=or_from_file,
    help="What everybody must say. Without it, one is drawn for all but your own account on this machine. "
    "SEGMEND_TOKEN_FILE names a file that holds it.",
)
@click.option(
    "--allow-host",
    "hosts",
    multiple=True,
    metavar="NAME",
    envvar="SEGMEND_ALLOW_HOST",
    show_envvar=True,
    help="Another name this server is reached by.",
)
@click.option("--allow-page", "pages", multiple=True, metavar="URL", help="Pages there may ask this server.")
@click.option("--allow-frame", "frames", multiple=True, metavar="URL", help="Pages there may frame the annotator.")
@click.option(
    "--link-folder",
    "link_folders",
    multiple=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    envvar="SEGMEND_LINK_FOLDER",
    show_envvar=True,
    help="A folder of this machine that images may be read from without uploading them. Repeat for more.",
)
@click.option(
    "--ssl-cert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    envvar="SEGMEND_SSL_CERT",
    show_envvar=True,
    help="Speak HTTPS with this certificate chain (PEM).",
)
@click.option(
    "--ssl-key",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    envvar="SEGMEND_SSL_KEY",
    show_envvar=True,
    help="Its key, where it is not in the same file.",
)
@click.option(
    "--proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    envvar="SEGMEND_PROXY",
    show_envvar=True,
    help="Address or network of a proxy whose X-Forwarded headers are believed; without it none is. Repeat for more.",
)
@click.option(
    "--root-path",
    default="",
    metavar="PATH",
    envvar="SEGMEND_ROOT_PATH",
    show_envvar=True,
    help="The path that a proxy serves the annotator under, such as /segmend; without it, all of a host.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    default=2,
    show_default=True,
    envvar="SEGMEND_WORKERS",
    show_envvar=True,
    help="Threads that work out answers.",
)
@click.option(
    "--answering-processes",
    type=click.IntRange(0, 64),
    default=ServerSettings.answering_processes,
    show_default=True,
    envvar="SEGMEND_ANSWERING_PROCESSES",
    show_envvar=True,
    help="Processes that methods may die in alone, started when needed; 0: all methods run in the server's own.",
)
@click.option(
    "--answering-apart",
    type=click.Choice(get_args(ApartMethods)),
    default=ServerSettings.answering_apart,
    show_default=True,
    envvar="SEGMEND_ANSWERING_APART",
    show_envvar=True,
    help="Which methods run there: all, or all others than mend and the classical ones.",
)
@click.option(
    "--answering-seconds",
    type=click.FloatRange(min=0, min_open=True),
    default=ServerSettings.answering_seconds,
    show_default=True,
    envvar="SEGMEND_ANSWERING_SECONDS",
    show_envvar=True,
    help="Seconds that a part of an answer may take there before its process is ended.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    envvar="SEGMEND_LOG_FORMAT",
    show_envvar=True,
    help="Of the log, on standard error.",
)
@click.option(
    "--otlp",
    metavar="URL",
    envvar="SEGMEND_OTLP",
    show_envvar=True,
    help="Send traces to this collector of OpenTelemetry (OTLP over HTTP), such as http://localhost:4318.",
)
@click.option("--log-requests", is_flag=True, help="Write a line for each request: its route and user, no address.")
@click.option(
    "--archives",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="SEGMEND_ARCHIVES",
    show_envvar=True,
    help="A TOML file that names archives (PACS) and who may enter, which cases may be fetched from.",
)
@click.option(
    "--oidc",
    type=click.Path(path_type=Path),
    metavar="FILE",
    envvar="SEGMEND_OIDC",
    show_envvar=True,
    help="A TOML file that says at which provider (OpenID Connect) people may log in, and what their roles are.",
)
@click.option(
    "--anonymise",
    multiple=True,
    metavar="[PROJECT=]PROFILE",
    envvar="SEGMEND_ANONYMISE",
    show_envvar=True,
    help="Anonymise what comes in by uploads and from archives: basic, or basic-shifted. Repeat for more projects.",
)
@pseudonyms_option
@click.option(
    "--label-studio", metavar="URL", help="Where Label Studio is, whose tasks' pictures are fetched from there."
)
@click.option(
    "--label-studio-token",
    envvar="SEGMEND_LABEL_STUDIO_TOKEN",
    show_envvar=True,
    metavar="TOKEN",
    help="An access token of Label Studio's, by which it gives them out.",
)
@click.option("--method", default="mend", show_default=True, help="Which method answers first.")
@click.option(
    "--weights",
    multiple=True,
    metavar="[METHOD=]DIR",
    help="A folder that `segmend train` made, for --method or another one. Repeat for more.",
)
@device_options
@click.option(
    "--memory",
    type=Megabytes(),
    default=f"{DEFAULT_BYTES >> 20}M",
    show_default=True,
    envvar="SEGMEND_MEMORY",
    show_envvar=True,
    help="For what is kept because it may be wanted again, all together, such as 500M or 2G.",
)
@click.option(
    "--viewers/--no-viewers",
    default=None,
    help="Answer 3D Slicer, napari and others in their own dialects, too. Without it: if only this machine can ask.",
)
@click.option("--samples/--no-samples", default=True, help="Put sample cases into an empty folder.")
@click.option(
    "--limit",
    "limits",
    multiple=True,
    metavar="NAME=NUMBER",
    envvar="SEGMEND_LIMIT",
    show_envvar=True,
    help=f"What is taken of a client, such as max_image_bytes=4e9. Names: {', '.join(LIMITS)}.",
)
@place_options
def start(
    browser: bool,
    port: int,
    host: str,
    token: str | None,
    hosts: tuple[str, ...],
    pages: tuple[str, ...],
    frames: tuple[str, ...],
    link_folders: tuple[Path, ...],
    ssl_cert: Path | None,
    ssl_key: Path | None,
    proxies: tuple[str, ...],
    root_path: str,
    workers: int,
    answering_processes: int,
    answering_apart: ApartMethods,
    answering_seconds: float,
    log_format: Form,
    otlp: str | None,
    log_requests: bool,
    archives: Path | None,
    oidc: Path | None,
    anonymise: tuple[str, ...],
    pseudonyms: str | None,
    label_studio: str | None,
    label_studio_token: str | None,
    method: str,
    weights: tuple[str, ...],
    device: str,
    precision: str,
    memory: int,
    viewers: bool | None,
    samples: bool,
    limits: tuple[str, ...],
    data: Path,
    database: str | None,
    blobs: str | None,
) -> None:
    """Serve the annotator and open it in a browser. Ctrl+C ends it; nothing is lost.

    \b
    Example:
      segmend start --no-browser --port 9000 --folder ~/study
    """
    check_device(device)
    settings = ServerSettings(
        data,
        host=host,
        port=port,
        database_url=database,
        blobs_url=blobs,
        token=token,
        allowed_hosts=hosts,
        allowed_origins=tuple(page.rstrip("/") for page in pages),
        allowed_frames=tuple(page.rstrip("/") for page in frames),
        link_folders=link_folders,
        archives={} if archives is None else archives_of(archives),
        oidc=None if oidc is None else oidc_of(oidc),
        anonymise=profiles_of(anonymise),
        pseudonyms_url=pseudonyms,
        label_studio=None if label_studio is None else label_studio.rstrip("/"),
        label_studio_token=label_studio_token,
        method=card(method).id,
        weights=weights_of(weights, method),
        device=Device(device, precision),
        viewers=viewers,
        **limits_of(limits),
        cache_bytes=memory,
        ssl_cert=ssl_cert,
        ssl_key=ssl_key,
        proxies=proxies,
        root_path=root_path,
        workers=workers,
        answering_processes=answering_processes,
        answering_apart=answering_apart,
        answering_seconds=answering_seconds,
        otlp=otlp,
        log_requests=log_requests,
    )
    write_logs(log_format, requests=log_requests)
    if samples:
        add_samples(settings)

    def ready(address: str) -> None:
        shown = (
            address if token is None or sys.stdout.isatty() else address.partition("?")[0]
        )  # logs are read by others
        click.echo(f"Segmend is at {shown} (Ctrl+C ends it; everything is kept in {data}).")
        if browser:  # in a thread, for a browser may keep whoever opens it waiting
            threading.Thread(target=open_browser, args=(address_to_open(address, settings),), daemon=True).start()

    try:
        serve(settings, ready)
    finally:
        with suppress(OSError):
            (data / DOOR).unlink()


def address_to_open(address: str, settings: ServerSettings) -> str:
    """Return what to give a browser: other accounts may read its command line, so never the token.

    Where this account needs none, the address without it; elsewhere, a page that only this account can read, and
    that leads to the address.
    """
    bare = address.partition("?")[0]
    if settings.without_token or (settings.own_account_enters and own_account() is not None):
        return bare
    page, refresh = settings.data / DOOR, f'<meta http-equiv="refresh" content="0;url={escape(address)}">'
    try:
        page.unlink(missing_ok=True)
        with open(page, "x", opener=open_private, encoding="utf-8") as file:
            file.write(f"<!doctype html><title>Segmend</title>{refresh}")
    except OSError:  # a folder that cannot be written; the page then says that it needs the address that was printed
        return bare
    return page.absolute().as_uri()


def limits_of(texts: tuple[str, ...]) -> dict[str, Any]:
    """Return limits by the names that the server's settings have, from words such as `max_image_bytes=4e9`.

    >>> limits_of(("max_image_bytes=4e9", "read_seconds=2.5"))
    {'max_image_bytes': 4000000000, 'read_seconds': 2.5}
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            kind = LIMITS[name]
            found[name] = kind(float(value))
        except (KeyError, ValueError, OverflowError):
            raise SettingsError(
                f"--limit needs NAME=NUMBER with a name among {', '.join(LIMITS)}; got {text!r}."
            ) from None
        if not found[name] > 0:
            raise SettingsError(f"The limit {name} needs a number above 0; got {value}.")
    return found


def weights_of(texts: tuple[str, ...], method: str) -> dict[str, Path]:
    """Return the folder of weights of each method, from words such as `runs/mend` or `iunet=runs/iunet`."""
    found: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        owner, path = (name, Path(folder)) if equals and name.isidentifier() else (family_of(method), Path(text))
        check_weights(owner, path)
        found[owner] = path
    return found


def open_browser(address: str) -> None:
    """Open the address, or say that it has to be opened by hand."""
    if not webbrowser.open(address):
        click.echo("No browser could be opened here; open that address in one.", err=True)


def add_samples(settings: ServerSettings) -> None:
    """Put one sample case of each kind into a store that holds none."""
    with Store.open(settings.database, settings.blobs) as store:
        if store.read_only is not None or store.cases():
            return
        with click.progressbar(list(KINDS), label="Drawing sample cases", file=sys.stderr) as kinds:
            for kind in kinds:
                sample = make(kind)
                store.add_case(sample.name, sample.image, modality=sample.modality)
