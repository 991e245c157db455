"""Logins: what a browser that named the token holds instead of it.

A login is a random number in a cookie. Here only its hash is kept, in a file of its own in the data
folder, so that a server that is started anew, and others on the same folder, still know it. It ends
when it is not used for half a day, after a week at the latest, when its browser logs out, when its user is
deleted, and when the server's token becomes another. Where the folder cannot be written, it ends with
the process.

Thread-safe. What is in memory is believed for `REVIEW_SECONDS`, then looked up again.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock

from segmend.store.private import make_folder, open_private

# The name of the logins' folder in the data folder.
LOGINS_FOLDER = "logins"
# Seconds without use after which a login ends, and seconds after which every login ends.
IDLE_SECONDS, LIFE_SECONDS = 12 * 3600, 7 * 24 * 3600
# Seconds for which a login is believed before it is looked up again.
REVIEW_SECONDS = 2.0
# Seconds between two notes that a login is used.
NOTE_SECONDS = 60.0
# Logins that are kept; the one that was used the longest ago ends first.
MAX_LOGINS = 1000


@dataclass(frozen=True)
class Login:
    """Who logged in, and when, in seconds since 1970."""

    user: str  # empty for the server's own token
    begun: float
    key: str  # a hash of the token or of what is kept of the password
    used: float
    reviewed: float = 0.0
    kept: bool = True  # in a file


class Logins:
    """The logins of one data folder.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     logins = Logins(Path(folder), known=lambda user, key: True)
    ...     number = logins.begin("ada", "a hash of her token")
    ...     logins.find(number), logins.end(number), logins.find(number), logins.find("another")
    ('ada', None, None, None)
    """

    def __init__(self, data: Path, known: Callable[[str, str], bool], now: Callable[[], float] = time.time) -> None:
        """`known(user, key)` says whether this is still a key of the server or of that user."""
        self._folder = data / LOGINS_FOLDER
        self._known = known
        self._now = now
        self._logins: dict[str, Login] = {}
        self._lock = Lock()

    def begin(self, user: str, key: str) -> str:
        """Return the number of a new login of a user; it ends when `known` no longer knows this key of theirs."""
        number, now = secrets.token_urlsafe(32), self._now()
        login = Login(user, now, key, now, now)
        self._end_old()
        login = replace(login, kept=self._write(_name(number), login))
        with self._lock:
            self._logins[_name(number)] = login
        return number

    def find(self, number: str, *, used: bool = True) -> str | None:
        """Return the user of a login, None when there is none or it has ended; `used` notes that it is in use."""
        name, now = _name(number), self._now()
        with self._lock:
            login = self._logins.get(name)
        if login is None or now - login.reviewed >= REVIEW_SECONDS:
            login = self._review(name, login)
        if login is None:
            return None
        if used and now - login.used >= NOTE_SECONDS:
            login = replace(login, used=now)
            with suppress(OSError):
                os.utime(self._folder / name, (now, now))
        with self._lock:
            self._logins[name] = login
        return login.user

    def end(self, number: str) -> None:
        """End a login; nothing happens when there is none."""
        self._drop(_name(number))

    def end_all_of(self, user: str) -> int:
        """End all logins of a user; return how many there were."""
        ended = [name for name, login in self._all().items() if login.user == user]
        for name in ended:
            self._drop(name)
        return len(ended)

    def count(self) -> Counter[str]:
        """Return how many logins users have that still open something."""
        now = self._now()
        living = Counter((login.user, login.key) for login in self._all().values() if _lives(login, now))
        found: Counter[str] = Counter()
        for (user, key), number in living.items():
            if self._known(user, key):
                found[user] += number
        return found

    def _all(self) -> dict[str, Login]:
        """Return the logins in memory and in files, by the names of these."""
        with self._lock:
            found = dict(self._logins)
        with suppress(OSError):
            for path in self._folder.iterdir():
                if (login := self._read(path.name)) is not None:
                    found[path.name] = login
        return found

    def _review(self, name: str, login: Login | None) -> Login | None:
        """Return a login as it is now; None when it has ended, and then it is forgotten."""
        now = self._now()
        if login is None or login.kept:
            login = self._read(name)
        if login is not None and _lives(login, now) and self._known(login.user, login.key):
            return replace(login, reviewed=now)
        self._drop(name)
        return None

    def _drop(self, name: str) -> None:
        with self._lock:
            self._logins.pop(name, None)
        with suppress(OSError):
            (self._folder / name).unlink()

    def _end_old(self) -> None:
        """End the logins that nobody used for long, and the oldest where there are too many."""
        now = self._now()
        with self._lock:
            for name in [name for name, login in self._logins.items() if not _lives(login, now)]:
                del self._logins[name]
            while len(self._logins) >= MAX_LOGINS:
                del self._logins[next(iter(self._logins))]
        files: list[tuple[float, Path]] = []
        with suppress(OSError):
            files = sorted((path.stat().st_mtime, path) for path in self._folder.iterdir())
        for number, (used, path) in enumerate(files):
            if now - used > IDLE_SECONDS or len(files) - number >= MAX_LOGINS:
                self._drop(path.name)

    def _write(self, name: str, login: Login) -> bool:
        values = {"user": login.user, "begun": login.begun, "key": login.key}
        try:
            make_folder(self._folder)
            with open(self._folder / name, "x", opener=open_private, encoding="utf-8") as file:
                json.dump(values, file)
        except OSError:
            return False
        return True

    def _read(self, name: str) -> Login | None:
        path = self._folder / name
        try:
            values = json.loads(path.read_text(encoding="utf-8"))
            return Login(str(values["user"]), float(values["begun"]), str(values["key"]), path.stat().st_mtime)
        except (OSError, ValueError, KeyError, TypeError):
            return None


def _name(number: str) -> str:
    """Return the name of a login's file: a hash, so that who reads the folder has no login."""
    return hashlib.sha256(number.encode("utf-8", "surrogatepass")).hexdigest()


def _lives(login: Login, now: float) -> bool:
    return now - login.begun <= LIFE_SECONDS and now - login.used <= IDLE_SECONDS
