"""Options of commands that take images in: whether they are anonymised on their way, and where pseudonyms are kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from segmend.cli.reading import reading_apart
from segmend.errors import SettingsError
from segmend.io.anonymise import PROFILES, Profile, anonymise, check_installed
from segmend.store.pseudonyms import Cleaned, Pseudonyms

pseudonyms_option = click.option(
    "--pseudonyms",
    metavar="URL",
    envvar="SEGMEND_PSEUDONYMS",
    show_envvar=True,
    help="Where whose pseudonyms they are is kept; otherwise in pseudonyms.db in --folder.",
)


def anonymise_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command the options --anonymise and --pseudonyms."""
    profile = click.option(
        "--anonymise",
        "profile",
        type=click.Choice(PROFILES),
        help="Take what names patients out by DICOM's basic profile: dates go, or are shifted. Without it, as the "
        "project says.",
    )
    return profile(pseudonyms_option(command))


def pseudonyms_at(url: str | None, data: Path) -> Pseudonyms:
    """Return the pseudonyms that are meant."""
    return Pseudonyms.local(data) if url is None else Pseudonyms(url)


def profiles_of(texts: tuple[str, ...]) -> dict[str, Profile]:
    """Return by what cases are anonymised, by project, as a person wrote it.

    >>> profiles_of(("basic", "LUNGS=basic-shifted"))
    {'': 'basic', 'LUNGS': 'basic-shifted'}
    """
    found: dict[str, Profile] = {}
    for text in texts:
        project, _, name = text.rpartition("=")
        profile = next((one for one in PROFILES if one == name), None)
        if profile is None:
            raise SettingsError(f"Cases are anonymised by {' or '.join(PROFILES)}; got {name[:40]!r}.")
        found[project] = profile
    if found:
        check_installed()
    return found


@contextmanager
def cleaned(place: Path, profile: Profile | None, url: str | None, data: Path) -> Iterator[Cleaned]:
    """Give the files at a path as they may be kept: anonymised where that is wanted."""
    if profile is None:
        yield Cleaned(place)
        return
    pseudonyms = pseudonyms_at(url, data)
    try:
        with TemporaryDirectory(prefix="upload-", dir=data) as target, reading_apart() as apart:
            work = anonymise if apart is None else apart.anonymise
            done = work(place, profile, pseudonyms.key, Path(target))
            pseudonyms.keep(done.patients)
            for warning in done.warnings:
                click.echo(warning, err=True)
            found = Cleaned(Path(target), True, done.warnings, pseudonyms.key)
            yield found if done.patients else Cleaned(place, True)
    finally:
        pseudonyms.close()
