"""The token that is drawn where none is given, kept in the data folder for the owner's eyes alone."""

from __future__ import annotations

import os
import re
import secrets
import stat
import time
from dataclasses import replace
from pathlib import Path

from segmend.server.settings import ServerSettings
from segmend.store.private import FILE_MODE, OTHERS

# The name of the token's file in the data folder.
TOKEN_FILE = "token"
# What a drawn token looks like: 24 random bytes.
DRAWN = re.compile(r"[\w-]{32}", re.ASCII)
# Seconds to wait for another server that is writing the file at this moment.
WRITING_SECONDS = 0.5


def with_token(settings: ServerSettings) -> ServerSettings:
    """Return the settings with a token, a drawn one where none was given, unless it was waived."""
    settings = replace(settings, own_account=settings.own_account_enters)
    if settings.token is not None or settings.without_token:
        return settings
    return replace(settings, token=drawn_token(settings.data))


def drawn_token(data: Path) -> str:
    """Return the token kept in a data folder; the first time, and when others could read it, a new one.

    In a folder that cannot be written, it is kept nowhere.
    """
    path, token = data / TOKEN_FILE, secrets.token_urlsafe(24)
    end = time.monotonic() + WRITING_SECONDS
    while True:
        try:
            with open(path, "x", opener=_open_token, encoding="ascii") as file:
                file.write(token)
            return token
        except FileExistsError:
            kept = _read(path)
        except OSError:
            return token
        if kept is not None and DRAWN.fullmatch(kept):
            return kept
        if kept == "" and time.monotonic() < end:
            time.sleep(0.01)
        else:
            try:
                path.unlink()
            except OSError:
                return token


def _open_token(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0), FILE_MODE)


def _read(path: Path) -> str | None:
    """Return what is in a file that is ours alone, None where it is not."""
    try:
        with open(path, opener=_open_token, encoding="ascii") as file:
            about, text = os.fstat(file.fileno()), file.read(100)
    except (OSError, ValueError):
        return None
    if os.name != "nt" and (about.st_mode & OTHERS or about.st_uid != os.geteuid() or not stat.S_ISREG(about.st_mode)):
        return None
    return text
