"""ISIC 2017, part 1: dermoscopic pictures of skin lesions, in the challenge's own three parts.

    ISIC-2017_Training_Data/ISIC_0000000.jpg
    ISIC-2017_Training_Part1_GroundTruth/ISIC_0000000_segmentation.png
    ISIC-2017_Validation_Data/ ...    ISIC-2017_Test_v2_Data/ ...

The official parts are the splits `train`, `val` and `test`; where only the training part is there, its pictures
are split by a hash of their names, so that there is something to check on.
"""

from __future__ import annotations

from pathlib import Path

from segmend.datasets.case import FileCase, Found, found, plain_names
from segmend.datasets.generic import stem

LAYOUT = "ISIC 2017 (ISIC-2017_Training_Data and ISIC-2017_Training_Part1_GroundTruth)"
PARTS = {"train": "ISIC-2017_Training", "val": "ISIC-2017_Validation", "test": "ISIC-2017_Test_v2"}


def look(folder: Path) -> Found | None:
    """Return the pictures in a folder of this layout, None when it is none."""
    parts = {split: tuple(_cases(folder, part)) for split, part in PARTS.items()}
    there = {split: cases for split, cases in parts.items() if cases}
    if not there:
        return None
    if (folder / "split.json").is_file() or there.keys() == {"train"}:
        return found(folder, [case for cases in there.values() for case in cases])
    return Found(folder.resolve().name, there)


def _cases(folder: Path, part: str) -> list[FileCase]:
    pictures = [name for name in plain_names(folder / f"{part}_Data") if name.lower().endswith(".jpg")]
    masks = f"{part}_Part1_GroundTruth"
    return [
        FileCase(folder, stem(name), (f"{part}_Data/{name}",), f"{masks}/{stem(name)}_segmentation.png", drawn=True)
        for name in pictures
    ]
