"""What networks learn from: annotated cases in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from segmend.datasets.folder import sets
from segmend.errors import SettingsError
from segmend.image import Image, LabelMap


@dataclass(frozen=True, eq=False)
class Subject:
    """A case to learn from; `group` is its data set, which shares a turn among its cases."""

    image: Image
    labels: LabelMap  # [z y x]
    instances: bool  # every value is one thing of its own
    group: str
    name: str = ""


def subjects(
    data: Path, split: str, *, names: Sequence[str] = (), flat: bool | None = None, channels: bool = False
) -> list[Subject]:
    """Return the cases of a split that hold an object.

    `names` are the sets to take, none for all; `flat` keeps only pictures or only volumes;
    `channels` takes all images of a case as channels instead of the first alone.
    """
    found = {one.name: one for one in sets(data, split)}
    if missing := sorted(set(names) - found.keys()):
        raise SettingsError(f"There is no set {missing[0]!r} with a {split} split; there are {', '.join(found)}.")
    chosen = []
    for name in names or found:
        for case in found[name].cases:
            example = case.read()
            if example.labels.any() and flat in (None, example.image.flat):
                image = example.image if channels else example.first
                chosen.append(Subject(image, example.labels, case.instances, name, case.name))
    return chosen
