"""The one door to data sets in folders, whatever their layout: each layout that is known looks at the folder.

A layout is a module of this room with `LAYOUT`, a few words for people, and `look(folder)`, which returns the
folder's cases by split, or None when it is laid out in another way. One that can be written has `Writer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from segmend.datasets import (
    beside,
    bids,
    brats2015,
    brats2018,
    btcv,
    coco,
    decathlon,
    generic,
    ircad,
    isic2017,
    labelme,
    nnunet,
    pairs,
    ph2,
    totalsegmentator,
)
from segmend.datasets.case import EVERY, Case, DataSet, Example, Found, stacked
from segmend.datasets.writing import FolderWriter
from segmend.errors import FileError, SettingsError

__all__ = [
    "LAYOUTS", "NAMES", "WRITERS", "Case", "DataSet", "Example", "Found", "look", "look_as", "sets", "stacked",
]  # fmt: skip

# Layouts by the names that people choose them by; the first that knows a folder reads it.
BY_NAME: Mapping[str, ModuleType] = {
    "segmend": generic,
    "nnunet": nnunet,
    "msd": decathlon,
    "bids": bids,
    "totalsegmentator": totalsegmentator,
    "beside": beside,
    "masks": pairs,
    "coco": coco,
    "labelme": labelme,
    "ircad": ircad,
    "brats2015": brats2015,
    "brats2018": brats2018,
    "btcv": btcv,
    "isic2017": isic2017,
    "ph2": ph2,
}
NAMES = tuple(BY_NAME)
LAYOUTS = tuple(BY_NAME.values())
# What writes those that can be written.
WRITERS: Mapping[str, type[FolderWriter]] = {
    name: layout.Writer for name, layout in BY_NAME.items() if hasattr(layout, "Writer")
}


def look_as(path: Path, name: str) -> Found:
    """Return the cases of a folder in the layout of this name; FileError where it is in no such layout."""
    if name not in BY_NAME:
        raise SettingsError(f"There is no layout {name!r}; there are {', '.join(NAMES)}.")
    if not path.is_dir():
        raise FileError(f"There is no folder {path}.")
    known: Found | None = BY_NAME[name].look(path)
    if known is None:
        raise FileError(f"{path} is not laid out as {name}: {BY_NAME[name].LAYOUT}.")
    return known


def look(path: Path) -> Found | None:
    """Return the cases of one folder in whatever layout it is, None when no one knows it."""
    try:
        return next((known for layout in LAYOUTS if (known := layout.look(path)) is not None), None)
    except PermissionError as error:  # then nobody can tell what the folder is
        raise FileError(f"The folder {Path(error.filename).parent} could not be read: {error.strerror}.") from None


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
