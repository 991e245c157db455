"""The server as one app, and how it is run.

Concurrency, in full:

- The event loop parses, checks who asks, and sends. It never waits for the disk, the
  database, a lock of a session, or a method: all of these happen in threads.
- A thread of its own follows what other servers do to the store (`_follow`), and has the open sessions take it over.
- Short work (routes, storing an event) runs on Starlette's threads. Answers run on the
  few threads of `work.Pool`, which take one part of each waiting session in turn.
- A session is one `open_session.OpenSession` with one lock, which guards its log, its `DraftMap` and its
  `Audience`. It is held to store an event, to paint one part, to pack a frame; never while a
  method computes. A session's answers come one at a time, in the order of its events, so a
  workspace is used by one thread at a time.
- A method in a process of its own (`processes`) is waited for by a thread that lends its place to another meanwhile.
- Locks are taken in this order and never against it: `OpenSessions` (which session is open), then
  one open session, then those of `Workspaces`, `Images`, `Pool`, `uncertainty.UncertaintyMap` and the
  store, which are never held while another is taken.
- Threads hand messages to the event loop with `call_soon_threadsafe`, under the session's
  lock, so everybody who watches a session receives the same things in the same order.
- Who may do what is decided in one place, before every route: `rights`.
- An event is in the store before it is accepted, and its answer before `answered` is said.
  Everything here is a cache of the store: a killed server loses nothing it answered, and
  answers what it accepted when the session is opened next.
"""

from __future__ import annotations

import importlib.metadata
import logging
import shutil
import socket
import ssl
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import uvicorn
from fastapi import Depends, FastAPI
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from threadpoolctl import threadpool_limits
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.exceptions import InvalidState

from segmend.core.atomic import sweep_parts
from segmend.errors import SegmendError, SettingsError, StoreError
from segmend.runtime.budget import limit_arenas
from segmend.runtime.tracing import trace_to
from segmend.server import about, operations, replies, requests, usage
from segmend.server.access import accounts, audits, auth, login_page, people, projects, proxies, rights
from segmend.server.access.logins import LOGINS_FOLDER, Logins
from segmend.server.access.looks import Looks
from segmend.server.access.oidc import Provider
from segmend.server.access.rates import Rates
from segmend.server.access.tokens import TOKEN_FILE, with_token
from segmend.server.cases import archives, cases, exports, forgetting, slides
from segmend.server.cases.archived import Archived, look_quietly
from segmend.server.cases.imports import Imports
from segmend.server.cases.reading import Reading
from segmend.server.packing import PackText
from segmend.server.processes.processes import Apart
from segmend.server.protocols import dicomweb, itksnap, labelstudio, monai, nninteractive, ohif, slicer_legacy
from segmend.server.protocols.pictures import Pictures
from segmend.server.protocols.visits import Visits, sweep_quietly
from segmend.server.sessions import live, masks, measuring, readings, sessions
from segmend.server.sessions.open_sessions import OpenSessions
from segmend.server.settings import ServerSettings
from segmend.server.state import Shared
from segmend.server.told import told_by
from segmend.server.watchdog import report_freeze
from segmend.server.work import log_failure
from segmend.store import Store
from segmend.store.accounts import token_hash
from segmend.store.audit import SERVER
from segmend.store.forgetting import forget_expired
from segmend.store.private import close_to_others, make_folder
from segmend.store.quota import Quota

log = logging.getLogger("segmend.server")
PAGES = Path(__file__).parent.parent / "web"

# Age at which the folder of an upload or export is taken for a killed server's.
ABANDONED_SECONDS = 3600
# What a server keeps in its data folder.
OWN_FILES = ("segmend.db*", "blobs", "upload-*", "export-*", "answering-*", "open.html", TOKEN_FILE, LOGINS_FOLDER)

# Seconds between two looks for cases that are older than they may be, and before the first one.
RETAIN_SECONDS, FIRST_RETAIN_SECONDS = 3600.0, 60.0
# Seconds after which a store that refused is asked again what other servers did.
FOLLOW_SECONDS = 1.0

NO_PAGES = "<!doctype html><title>Segmend</title><p>The server runs; its annotator was not built with this package."


def create_app(settings: ServerSettings) -> FastAPI:
    """Return the app on its store; it gets a token when it was given none."""
    settings = _prepare(settings)
    shared = _open(settings)
    app = FastAPI(
        title="Segmend",
        version=importlib.metadata.version("segmend"),
        description="Mends medical segmentations. Indices and boxes are (z, y, x), boxes half-open.",
        openapi_url="/api/openapi.json",
        docs_url=None,  # it would load scripts from other sites
        redoc_url=None,
        lifespan=_lifespan,
        dependencies=[Depends(rights.check_right)],
    )
    app.state.shared = shared
    replies.add_handlers(app, shared.told)
    app.add_middleware(PackText)
    app.add_middleware(
        auth.Gate,
        settings=settings,
        accounts=shared.store.accounts,
        logins=shared.logins,
        looks=shared.looks,
        tell=shared.told,
    )
    app.add_middleware(replies.CatchErrors)
    app.add_middleware(requests.Observe, log_requests=settings.log_requests)
    app.add_middleware(proxies.Behind, proxies=settings.proxies, root_path=settings.root_path)
    parts = (
        about, slides, cases, projects, people, readings, sessions, masks, exports, measuring, archives, live,
        operations, login_page, audits, accounts, forgetting, usage,
    )  # fmt: skip
    for module in parts:
        app.include_router(module.router)
    if settings.answers_viewers:
        app.include_router(slicer_legacy.router)  # before the other, whose addresses it shares
        app.include_router(nninteractive.router)
        app.include_router(itksnap.router)
        app.include_router(monai.router)
        app.include_router(dicomweb.router)
        app.include_router(ohif.router)
        app.include_router(labelstudio.router)
    _add_pages(app, PAGES)
    return app


def _prepare(settings: ServerSettings) -> ServerSettings:
    """Make the data folder, and return the settings with the token that may be kept in it."""
    _make_private(settings.data)
    return with_token(settings)


def _open(settings: ServerSettings) -> Shared:
    _sweep(settings.data)
    told = told_by([settings.data, *settings.weights.values(), *settings.link_folders, *local_places(settings)])
    sweep_parts(settings.data)
    store = Store.open(settings.database, settings.blobs)
    store.quota = Quota(settings.bytes_per_person, settings.bytes_per_project)
    if (reason := store.read_only) is not None:
        log.warning("%s What is there can be seen and exported; nothing can be added or changed.", reason)
    reading = Reading(settings)
    sessions = OpenSessions(
        store,
        limit_bytes=settings.cache_bytes,
        open_sessions=settings.open_sessions,
        workers=settings.workers,
        max_waiting=settings.max_waiting,
        scratch=settings.data,
        late_seconds=settings.late_seconds,
        apart=Apart(settings.answering_processes, settings.answering_seconds, settings.answering_apart == "all"),
        weights=settings.weights,
        device=settings.device,
        told=told,
        open_slide=reading.slide,
    )
    own = token_hash(settings.token or "")
    logins = Logins(settings.data, lambda user, key: store.accounts.has_key(user, key) if user else key == own)
    visits, archived = Visits(store, sessions, settings), Archived(store, sessions, settings)
    imports = Imports(store, reading, settings, told)
    pictures = Pictures(store, visits, reading, settings)
    return Shared(
        settings,
        store,
        sessions,
        reading,
        logins,
        Looks(store),
        _rates(settings),
        told,
        visits,
        archived,
        imports,
        pictures,
        provider=None if settings.oidc is None else Provider(settings.oidc),
    )


def _rates(settings: ServerSettings) -> Rates:
    return Rates(requests_per_second=settings.requests_per_second, connections=settings.connections_per_person)


def _make_private(data: Path) -> None:
    """Make the data folder, or take an older one from the other accounts of this machine."""
    try:
        make_folder(data)
    except OSError as error:
        raise StoreError(f"The data folder {data} cannot be made: {error.strerror}.") from None
    try:
        if close_to_others(data, OWN_FILES):
            log.warning("Other accounts could look into the data folder %s; now only its owner can.", data)
    except OSError as error:
        log.warning("Other accounts can look into the data folder %s: %s.", data, error.strerror)


def local_places(settings: ServerSettings) -> list[Path]:
    """Return the folders of this machine in which a database or blobs lie."""
    database, blobs = settings.database.partition(":///"), settings.blobs.removeprefix("file://")
    found = [Path(database[2]).parent] if database[0].startswith("sqlite") else []
    return found if "://" in blobs else [*found, Path(blobs)]


def _sweep(data: Path) -> None:
    """Delete what a killed server left of uploads and exports; younger ones may be another server's."""
    for folder in (folder for kind in ("upload", "export", "answering") for folder in data.glob(f"{kind}-*")):
        if folder.is_dir() and not folder.is_symlink() and folder.stat().st_mtime < time.time() - ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    shared: Shared = app.state.shared
    otlp, ending = shared.settings.otlp, threading.Event()
    end_traces = None if otlp is None else trace_to(otlp, importlib.metadata.version("segmend"))
    loading = threading.Thread(target=_load, args=(shared, ending), name="segmend-load", daemon=True)
    following = threading.Thread(target=_follow, args=(shared, ending), name="segmend-follow", daemon=True)
    retaining = threading.Thread(target=_retain, args=(shared, ending), name="segmend-retain", daemon=True)
    loading.start()
    following.start()
    retaining.start()
    yield
    ending.set()
    await run_in_threadpool(following.join)
    await run_in_threadpool(retaining.join)
    await run_in_threadpool(shared.imports.close)
    await run_in_threadpool(shared.sessions.close)
    shared.store.close()
    if end_traces is not None:
        await run_in_threadpool(end_traces)
    await run_in_threadpool(loading.join)  # a thread that is cut off while it loads a network aborts the process


def _load(shared: Shared, ending: threading.Event) -> None:
    """Load and warm the usual method before somebody waits for it; for pictures, which takes less, first."""
    settings = shared.settings
    try:
        for dimensions in (2, 3):
            if not ending.is_set():
                shared.sessions.workspaces.load(settings.method, dimensions)
    except SegmendError as error:
        log.warning("The method %s is not there: %s", settings.method, error)
    finally:
        shared.ready.set()
    if settings.answers_viewers and not ending.is_set() and shared.store.read_only is None:
        sweep_quietly(shared.visits)
        look_quietly(shared.archived, ending)


def _retain(shared: Shared, ending: threading.Event) -> None:
    """Forget cases that are older than their projects keep them, now and then, until the server ends."""
    store, wait = shared.store.by(SERVER), FIRST_RETAIN_SECONDS
    while not ending.wait(wait):
        wait = RETAIN_SECONDS
        try:
            if store.read_only is None and (done := forget_expired(store, shared.sessions.forget_case)):
                log.info("%d cases were older than their projects keep them, and are forgotten.", len(done))
        except Exception as error:  # this thread outlives whatever the store says
            log_failure("Cases that are older than they may be could not be forgotten", error)


def _follow(shared: Shared, ending: threading.Event) -> None:
    """Take over what other servers on this store do, until the server ends."""
    changes, behind = None, False
    while not ending.is_set():
        try:
            changes = changes or shared.store.changes()
            behind = changes.wait(ending) or behind or shared.sessions.waits_for_others()
            if behind:
                shared.sessions.catch_up()
                behind = False
        except Exception as error:  # this thread outlives whatever the store and its drivers say
            if not behind:
                log_failure("What other servers do cannot be seen now", error)
            behind = True
            ending.wait(FOLLOW_SECONDS)
    if changes is not None:
        changes.close()


def _add_pages(app: FastAPI, pages: Path) -> None:
    if (pages / "index.html").is_file():
        app.mount("/", StaticFiles(directory=pages, html=True), name="pages")
        return

    @app.get("/", include_in_schema=False)
    async def no_pages() -> Response:
        return HTMLResponse(NO_PAGES)


class _LiveConnection(WebSocketsSansIOProtocol):
    """A WebSocket whose client may be leaving while the server ends: uvicorn's would break off the server's end."""

    def shutdown(self) -> None:
        try:
            super().shutdown()
        except InvalidState:  # the client has said goodbye already, and may never end TLS
            self.transport.abort()


class Server(uvicorn.Server):
    """A server that listens from the start and says when it is ready; `should_exit` ends it."""

    def __init__(self, settings: ServerSettings, on_ready: Callable[[str], None] | None = None) -> None:
        _check_certificate(settings)
        self._listener = _bind(settings)
        host, port = self._listener.getsockname()[:2]
        self._on_ready = on_ready
        try:
            self.settings = _prepare(replace(settings, port=port))
            self.address = address(self.settings, host)
            app = create_app(self.settings)
        except BaseException:
            self._listener.close()
            raise
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # addresses may carry names and tokens
            ws=_LiveConnection,
            ws_max_size=settings.max_body_bytes,
            ws_per_message_deflate=False,  # frames are packed already
            timeout_graceful_shutdown=3,
            server_header=False,
            proxy_headers=False,  # access.proxies takes them
            ssl_certfile=settings.ssl_cert,
            ssl_keyfile=settings.ssl_key,
        )
        super().__init__(config)

    def listen(self) -> None:
        """Serve until interrupted or `should_exit` is set; what runs is finished first, for three seconds at most."""
        with self._listener, suppress(KeyboardInterrupt):
            self.run(sockets=[self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started and self._on_ready is not None:
            self._on_ready(self.address)


def serve(settings: ServerSettings, on_ready: Callable[[str], None] | None = None) -> None:
    """Run a server until it is interrupted; `on_ready` gets the address to open, with its token.

    SettingsError when the port is taken or not allowed. Port 0 takes any that is free.
    """
    _hush_readers()
    limit_arenas()
    server = Server(settings, on_ready)
    with (
        report_freeze(settings.late_seconds),
        threadpool_limits(1, user_api="blas"),  # many small products: threads of BLAS wait for each other
    ):
        server.listen()


def _hush_readers() -> None:
    """Keep what file readers remark on out of the log: it quotes names and values of the files."""
    logging.captureWarnings(True)
    for name in ("py.warnings", "pydicom", "highdicom", "nibabel", "tifffile", "PIL"):
        logger = logging.getLogger(name)
        logger.addHandler(logging.NullHandler())
        logger.propagate = False


def address(settings: ServerSettings, host: str) -> str:
    """Return the address to open in a browser.

    >>> address(ServerSettings(Path("data"), port=80, token="abcdefgh"), "0.0.0.0")
    'http://localhost:80/?token=abcdefgh'
    >>> address(ServerSettings(Path("data"), root_path="/segmend"), "127.0.0.1")
    'http://localhost:8765/segmend/'
    """
    shown = "localhost" if host in ("0.0.0.0", "::", "127.0.0.1", "::1") else host
    shown = f"[{shown}]" if ":" in shown else shown
    query = f"?token={quote(settings.token, safe='')}" if settings.token else ""
    return f"{settings.scheme}://{shown}:{settings.port}{settings.root_path}/{query}"


def _check_certificate(settings: ServerSettings) -> None:
    """Refuse a certificate that cannot be used before anything listens."""
    if settings.ssl_cert is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(
            settings.ssl_cert, settings.ssl_key, password=_no_password
        )
    except OSError as error:  # also what the ssl module raises
        key = "" if settings.ssl_key is None else f" with the key {settings.ssl_key}"
        reason = error.strerror if error.errno and error.filename else " ".join(map(str, error.args[-1:]))
        raise SettingsError(f"The certificate {settings.ssl_cert}{key} cannot be used: {reason}.") from None


def _no_password() -> str:
    raise SettingsError("A TLS key needs to be without a password: nobody is there to type it when a server starts.")


def _bind(settings: ServerSettings) -> socket.socket:
    """Return a socket that listens where the settings say."""
    place = f"{settings.host}:{settings.port}"
    try:
        family, *_, where = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # asyncio knows it as TCP by this
    except OSError as error:
        raise SettingsError(f"The server cannot listen at {place}: {error.strerror or error}.") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(where)
        listener.listen(256)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise SettingsError(f"The server cannot listen at {place}: {error.strerror or error}.") from None
    return listener
