"""The settings of a server, one frozen value; only the command line reads the environment."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from segmend.errors import SettingsError
from segmend.io.anonymise import PROFILES, Profile
from segmend.io.apart import READ_SECONDS
from segmend.io.dimse import AnyArchive
from segmend.runtime.budget import DEFAULT_BYTES
from segmend.runtime.engine import AUTO, Device
from segmend.store.records import Project, Role

GIGABYTE = 1 << 30
ApartMethods = Literal["others", "all"]
# Characters of an archive's name.
MAX_NAME = 60
# A path that proxies, cookies and pages take without quoting.
ROOT_PATH = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*")
# Where a collector listens.
COLLECTOR = re.compile(r"https?://[^\s?#@]+")
# The scheme, name and port of a server, as browsers say where a page came from.
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-f:.]+\](:[0-9]{1,5})?")


@dataclass(frozen=True)
class OidcSettings:
    """A provider of OpenID Connect at which people may log in.

    >>> OidcSettings("https://login.example.org/realms/hospital", "segmend").user_claim
    'preferred_username'
    """

    issuer: str
    client_id: str
    client_secret: str | None = None  # None: the provider asks for none
    name: str = "your organisation"  # what the login page calls it
    scopes: tuple[str, ...] = ("openid", "profile")
    user_claim: str = "preferred_username"  # what people are called here
    role_claim: str = ""  # where their roles are told; empty: nowhere
    roles: Mapping[str, tuple[tuple[str | None, Role], ...]] = field(default_factory=dict)  # in a project; None: in all
    role: Role | None = None  # of new people in all projects, where no claim tells roles
    link: bool = False  # an account of the same name that is there already is theirs
    address: str | None = None  # by which browsers reach this server; None: as their request says

    def __post_init__(self) -> None:
        parts = urlsplit(self.issuer)
        if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(parts.hostname or "")):
            raise SettingsError(f"A provider of logins needs an https address as its issuer; got {self.issuer!r}.")
        if not self.client_id or "openid" not in self.scopes:
            raise SettingsError("A provider of logins needs a client_id, and openid among the scopes.")
        if bool(self.role_claim) != bool(self.roles):
            raise SettingsError("Roles of a provider of logins need a role_claim, and roles that say what it means.")


@dataclass(frozen=True)
class ServerSettings:
    """Where a server keeps things, where it listens, and how much it takes on.

    >>> ServerSettings(Path("data")).database
    'sqlite:///data/segmend.db'
    >>> ServerSettings(Path("data"), host="0.0.0.0").local
    False
    """

    data: Path
    host: str = "127.0.0.1"
    port: int = 8765
    database_url: str | None = None  # a SQLite file in the data folder
    blobs_url: str | None = None  # a folder in the data folder
    token: str | None = None  # None: one is drawn and kept in the data folder
    own_account: bool | None = None  # programs of this account and machine need no token; None: unless one was given
    without_token: bool = False  # really let everybody in who can reach the port
    allowed_hosts: tuple[str, ...] = ()  # further names this server is reached by; "*" is any
    allowed_origins: tuple[str, ...] = ()  # pages of other servers that may talk to this one
    allowed_frames: tuple[str, ...] = ()  # pages of other servers that may show this one's in a frame
    oidc: OidcSettings | None = None  # where people may log in, beside by password and token
    archives: Mapping[str, AnyArchive] = field(default_factory=dict)  # that series may be fetched from, by their names
    anonymise: Mapping[str, Profile] = field(default_factory=dict)  # what comes in, by project; "" is every other one
    pseudonyms_url: str | None = None  # whose pseudonyms they are; None: a SQLite file in the data folder
    label_studio: str | None = None  # from where pictures of Label Studio's tasks are fetched
    label_studio_token: str | None = None  # by which it gives them out; None: by the one that it names itself
    link_folders: tuple[Path, ...] = ()  # folders of this machine that cases may be read from
    method: str = "mend"
    weights: Mapping[str, Path] = field(default_factory=dict)  # folders of a method's own weights, by its id
    device: Device = AUTO  # where the methods' networks run
    max_upload_bytes: int = 8 * GIGABYTE
    max_upload_files: int = 20_000
    max_image_bytes: int = 16 * GIGABYTE  # of one image's voxels; never more than half of the memory and disk free
    max_unpacking: int = 100  # bytes that one packed byte of an image or archive may become, beyond 64 MB
    max_body_bytes: int = 32 << 20  # of one JSON body or WebSocket message
    read_apart: bool = True  # read files that come in in a process of their own, which may fail alone
    read_seconds: float = READ_SECONDS  # of a processor, that reading may take for each megabyte and for its start
    readers: int = 2  # files that are read at the same moment
    cache_bytes: int = DEFAULT_BYTES  # of images, features, maps and workspaces that are kept in memory, all together
    open_sessions: int = 64  # kept in memory while nobody uses them
    bytes_per_person: int = 0  # of cases that somebody added, that are kept; 0: any number, here and in the next three
    bytes_per_project: int = 0
    requests_per_second: float = 0.0  # of one person
    connections_per_person: int = 0  # cases that somebody has open at once
    max_waiting: int = 500  # events of one session that wait for their answers
    workers: int = 2  # threads that compute answers
    answering_processes: int = 2  # that methods are answered in, which may fail alone; 0: all in the server's own
    answering_apart: ApartMethods = "others"  # which methods: all, or all but mend and the classical ones
    answering_seconds: float = 300.0  # that a part of an answer may take there before its process is ended
    viewers: bool | None = None  # answer viewers of others, in their dialects; None: where only this machine can ask
    viewers_at_once: int = 64  # of others, that are connected
    keep_visitors_days: float = 7.0  # images that viewers brought are kept so long after the last work on them
    ssl_cert: Path | None = None  # certificate chain, PEM: the server then speaks HTTPS
    ssl_key: Path | None = None  # its key; None: in the same file
    proxies: tuple[str, ...] = ()  # addresses and networks whose X-Forwarded-For, -Proto and -Host are believed
    root_path: str = ""  # that the server lies under behind a proxy, such as /segmend
    otlp: str | None = None  # where a collector of OpenTelemetry listens, to which traces are sent
    log_requests: bool = False  # a line in the log for each request
    late_seconds: float = 60.0  # a step of an answer that takes longer is logged, with all stacks

    def __post_init__(self) -> None:
        object.__setattr__(self, "data", Path(self.data))
        if not 0 <= self.port <= 65535:
            raise SettingsError(f"A port needs a number of 0 to 65535; got {self.port}.")
        if self.token is not None and (len(self.token) < 8 or not self.token.isascii() or not self.token.isprintable()):
            raise SettingsError("A token needs at least 8 printable ASCII characters.")
        for origin in (*self.allowed_origins, *self.allowed_frames):
            if not ORIGIN.fullmatch(origin):
                raise SettingsError(f"A page needs to be named as https://ohif.example.org, no path; got {origin!r}.")
        if self.label_studio is not None and not ORIGIN.fullmatch(self.label_studio):
            raise SettingsError(
                f"Label Studio needs to be named as https://labels.example.org, no path; got {self.label_studio!r}."
            )
        named = self.label_studio_token or ""
        if not named.isascii() or not named.isprintable() or " " in named:
            raise SettingsError("A token of Label Studio's needs printable ASCII characters, and no spaces.")
        for name in self.archives:
            if not name.strip() or not name.isprintable() or len(name) > MAX_NAME:
                raise SettingsError(f"An archive needs a name of at most {MAX_NAME} characters; got {name[:80]!r}.")
        for profile in self.anonymise.values():
            if profile not in PROFILES:
                raise SettingsError(f"Cases are anonymised by {' or '.join(PROFILES)}; got {profile!r}.")
        if self.cache_bytes < 0:
            raise SettingsError(f"A server's memory for what it keeps needs to be 0 or more; got {self.cache_bytes}.")
        if self.max_waiting < 1:
            raise SettingsError(f"A server needs max_waiting of at least 1; got {self.max_waiting}.")
        if self.workers < 1:
            raise SettingsError(f"A server needs at least 1 worker; got {self.workers}.")
        if self.readers < 1 or self.read_seconds <= 0 or self.max_unpacking < 1:
            raise SettingsError("A server needs readers and max_unpacking of at least 1, and read_seconds above 0.")
        if self.viewers_at_once < 1 or self.keep_visitors_days <= 0:
            raise SettingsError("A server needs viewers_at_once of at least 1, and keep_visitors_days above 0.")
        if self.ssl_key is not None and self.ssl_cert is None:
            raise SettingsError("A TLS key needs its certificate, too.")
        for proxy in self.proxies:
            if proxy != "*" and not is_network(proxy):
                raise SettingsError(f"A proxy needs to be an IP address or network, or *; got {proxy!r}.")
        object.__setattr__(self, "root_path", self.root_path.rstrip("/"))
        if not ROOT_PATH.fullmatch(self.root_path):
            raise SettingsError(f"A root path needs to be as /segmend or /tools/segmend; got {self.root_path[:80]!r}.")
        if self.answering_processes < 0 or self.answering_seconds <= 0:
            raise SettingsError("A server needs answering_processes of 0 or more, and answering_seconds above 0.")
        if self.otlp is not None and not COLLECTOR.fullmatch(self.otlp):
            raise SettingsError(f"A collector needs to be named as http://localhost:4318; got {self.otlp[:80]!r}.")
        if self.late_seconds <= 0:
            raise SettingsError(f"A server's late_seconds need to be above 0; got {self.late_seconds}.")

    @property
    def database(self) -> str:
        return self.database_url or f"sqlite:///{self.data / 'segmend.db'}"

    @property
    def blobs(self) -> str:
        return self.blobs_url or str(self.data / "blobs")

    @property
    def pseudonyms(self) -> str:
        return self.pseudonyms_url or f"sqlite:///{self.data / 'pseudonyms.db'}"

    def profile_at_start(self, project: str) -> Profile | None:
        """Return by what cases of a project are anonymised whatever its admins set; None: as they set it."""
        return self.anonymise.get(project, self.anonymise.get(""))

    def profile_of(self, project: Project) -> Profile | None:
        """Return by what cases of a project are anonymised when they come; None: they are not."""
        return self.profile_at_start(project.name) or project.anonymise

    @property
    def local(self) -> bool:
        """True when only this machine can reach the server."""
        return is_loopback(self.host)

    @property
    def scheme(self) -> str:
        return "http" if self.ssl_cert is None else "https"

    @property
    def answers_viewers(self) -> bool:
        """True when viewers of others find what they need here."""
        return self.local if self.viewers is None else self.viewers

    @property
    def own_account_enters(self) -> bool:
        """True when programs of the account that runs the server, on this machine, need no token."""
        return self.local and (self.token is None if self.own_account is None else self.own_account)


def is_network(text: str) -> bool:
    """True for an IP address or network.

    >>> is_network("10.0.0.0/8"), is_network("::1"), is_network("proxy.example.org")
    (True, True, False)
    """
    try:
        ipaddress.ip_network(text)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """True for a name or address that never leaves this machine.

    >>> is_loopback("localhost"), is_loopback("127.0.0.2"), is_loopback("::1"), is_loopback("0.0.0.0")
    (True, True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
