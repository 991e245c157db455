"""What `segmend backup` and `segmend restore` say while they copy, and at the end."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from segmend.cli.words import say
from segmend.errors import StoreError

if TYPE_CHECKING:
    from segmend.store.backup import Copied, Progress


def copying(label: str, copy: Callable[[Progress], Copied], *, as_json: bool) -> None:
    """Copy with a bar that shows how far it is; StoreError at the end where something could not be copied."""
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def progress(done: int, of: int) -> None:
            bar.length = max(1, of)
            bar.update(done - bar.pos)

        copied = copy(progress)
    held = (
        f"{copied.cases} cases, {copied.sessions} sessions, {copied.events} events, {copied.masks} saved masks, "
        f"{copied.blobs} blobs; {copied.new_blobs} blobs were new ({copied.new_bytes / 1e6:.1f} MB)."
    )
    say(asdict(copied), [held, *copied.damage], as_json=as_json)
    if copied.damage:
        some = len(copied.damage)
        raise StoreError(f"{some} blob{'s' * (some > 1)} could not be copied, all else was; see above.")
