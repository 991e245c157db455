"""Data sets as they are downloaded, under the names by which the experiments know what stands for them here.

An experiment asks for sets by name. A folder with such a name is that set, whatever its layout; a folder in the
official layout of BraTS, a Decathlon task, BTCV, 3D-IRCADb-01, PH2 or ISIC 2017 is the set of that source. Where any of
these has another name, the run's own folder gets links with the right ones, and the experiment reads those.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from segmend.datasets import brats2015, brats2018, btcv, decathlon, ircad, isic2017, ph2
from segmend.datasets.folder import look
from segmend.errors import FileError

# By layout; a Decathlon task by a word in its name.
LAYOUTS = {
    brats2015: "brats2015_mr",
    brats2018: "brats2015_mr",
    btcv: "btcv",
    ircad: "ircad_liver_ct2d",
    isic2017: "isic2017_dermoscopy",
    ph2: "ph2_dermoscopy",
}
TASKS = {
    "hippocampus": "hippocampus_mr",
    "heart": "left_atrium_mr",
    "spleen": "msd_spleen",
    "colon": "msd_colon",
}

# Where each can be had, for the line that names a missing one.
SOURCES = {
    "brats2015_mr": "BraTS 2015 or 2018",
    "btcv": "BTCV (Beyond the Cranial Vault)",
    "hippocampus_mr": "the Decathlon's Task04_Hippocampus",
    "ircad_liver_ct2d": "3D-IRCADb-01",
    "isic2017_dermoscopy": "ISIC 2017",
    "left_atrium_mr": "the Decathlon's Task02_Heart",
    "msd_colon": "the Decathlon's Task10_Colon",
    "msd_spleen": "the Decathlon's Task09_Spleen",
    "ph2_dermoscopy": "PH2",
}


def found_sets(data: Path, names: Sequence[str]) -> dict[str, Path]:
    """Return the folders of those sets that are there, by the experiments' names; the folder may be one of them."""
    if not data.is_dir():
        raise FileError(f"There is no folder {data}.")
    inside = sorted(path for path in data.iterdir() if path.is_dir() and not path.name.startswith("."))
    folders = [data] if data.resolve().name in names or official(data) in names else inside
    found: dict[str, Path] = {}
    for folder in folders:
        name = folder.resolve().name if folder.resolve().name in names else official(folder)
        if name in names and name not in found and look(folder) is not None:
            found[name] = folder
    return {name: found[name] for name in names if name in found}


def official(folder: Path) -> str:
    """Return the name of what a folder in an official layout stands for, nothing for any other folder."""
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        return ""
    for layout, name in LAYOUTS.items():
        if layout.look(folder) is not None:
            return name
    if decathlon.look(folder) is None:
        return ""
    about = json.loads((folder / "dataset.json").read_text(encoding="utf-8-sig"))
    called = f"{folder.name} {about.get('name', '')}".lower()
    return next((name for word, name in TASKS.items() if word in called), "")


def linked(data: Path, found: Mapping[str, Path], out: Path) -> Path:
    """Return a folder in which every set has its name: the data's own where it is so already, else one of links."""
    if all(path.resolve().name == name for name, path in found.items()):
        return data
    place = out / "data"
    try:
        place.mkdir(parents=True, exist_ok=True)
        for name, path in found.items():
            link = place / name
            if not (link.is_symlink() and link.resolve() == path.resolve()):
                link.unlink(missing_ok=True)
                link.symlink_to(path.resolve(), target_is_directory=True)
    except OSError as error:
        raise FileError(f"The sets could not be linked in {place}: {error.strerror}.") from None
    return place
