"""BTCV, "Beyond the Cranial Vault" (BCV): thirty abdominal CTs with thirteen organs.

    RawData/Training/img/img0001.nii.gz       RawData/Training/label/label0001.nii.gz
    imagesTr/img0001.nii.gz                   labelsTr/label0001.nii.gz

Either layout is known, from any of its folders on. Labels: 1 spleen, 2 and 3 right and left kidney, 4 gallbladder,
5 oesophagus, 6 liver, 7 stomach, 8 aorta, 9 inferior vena cava, 10 portal and splenic vein, 11 pancreas, 12 and
13 right and left adrenal gland. Its test images have no public labels.
"""

from __future__ import annotations

from pathlib import Path

from segmend.datasets.case import FileCase, Found, found, plain_names
from segmend.datasets.generic import stem

LAYOUT = "BTCV (RawData/Training/img and label, or imagesTr/img0001.nii.gz and labelsTr/label0001.nii.gz)"
PLACES = (
    ("RawData/Training/img", "RawData/Training/label"),
    ("Training/img", "Training/label"),
    ("img", "label"),
    ("imagesTr", "labelsTr"),
)


def look(folder: Path) -> Found | None:
    """Return the scans in a folder of this layout, None when it is none."""
    for images, labels in PLACES:
        names = [name for name in plain_names(folder / images) if _number(name).isdigit()]
        if names:
            truths = {_number(name): name for name in plain_names(folder / labels)}
            cases = [
                FileCase(folder, stem(name), (f"{images}/{name}",), f"{labels}/{truths.get(number, missing)}")
                for name in names
                for number, missing in [(_number(name), f"label{_number(name)}.nii.gz")]
            ]
            return found(folder, cases)
    return None


def _number(name: str) -> str:
    """Return the number of img0001.nii.gz or label0001.nii.gz, nothing for other names."""
    return stem(name).removeprefix("img").removeprefix("label") if name.startswith(("img", "label")) else ""
