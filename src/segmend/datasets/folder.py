"""The one door to data sets in folders, whatever their layout: each layout that is known looks at the folder.

A layout is a module of this room with `LAYOUT`, a few words for people, and `look(folder)`, which returns the
folder's cases by split, or None when it is laid out in another way.
"""

from __future__ import annotations

from pathlib import Path

from segmend.datasets import brats2015, brats2018, btcv, decathlon, generic, ircad, isic2017, pairs, ph2
from segmend.datasets.case import EVERY, Case, DataSet, Example, Found, stacked
from segmend.errors import FileError, SettingsError

__all__ = ["LAYOUTS", "Case", "DataSet", "Example", "Found", "look", "sets", "stacked"]

LAYOUTS = (decathlon, generic, pairs, ircad, brats2015, brats2018, btcv, isic2017, ph2)  # the first that knows it


def look(path: Path) -> Found | None:
    """Return the cases of one folder in whatever layout it is, None when no one knows it."""
    return next((known for layout in LAYOUTS if (known := layout.look(path)) is not None), None)


def sets(path: Path, split: str, *, limit: int | None = None) -> tuple[DataSet, ...]:
    """Return the data sets in a folder that have cases in this split, at most `limit` cases each.

    The folder is a data set itself, or holds folders that are.
    """
    if limit is not None and limit < 1:
        raise SettingsError(f"A limit needs to be 1 case or more; got {limit}.")
    if not path.is_dir():
        raise FileError(f"There is no folder {path}.")
    one = look(path)
    inside = sorted(f for f in path.iterdir() if f.is_dir() and not f.name.startswith(".")) if one is None else []
    known = [one] if one is not None else [found for folder in inside if (found := look(folder)) is not None]
    if not known:
        layouts = "; ".join(layout.LAYOUT for layout in LAYOUTS)
        raise FileError(f"{path} holds no data set in a layout that is known. Known are: {layouts}.")
    splits = sorted({name for found in known for name in found.splits} | {EVERY})
    if split not in splits:
        raise SettingsError(f"There is no split {split!r} in {path}; there are {', '.join(splits)}.")
    chosen = [DataSet(found.name, found.cases(split)[:limit]) for found in known]
    if not any(one.cases for one in chosen):
        raise SettingsError(
            f"The split {split!r} of {path} has no cases; a split.json beside them can name those it should have."
        )
    return tuple(one for one in chosen if one.cases)
