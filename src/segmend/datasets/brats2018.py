"""BraTS 2018 (and the years round it): brain tumours in four MR images each, as NIfTI.

    HGG/Brats18_2013_10_1/Brats18_2013_10_1_flair.nii.gz   and _t1, _t1ce, _t2, _seg
    LGG/...                                                or the patients' folders without HGG and LGG

The channels are FLAIR, T1, T1ce and T2. Labels: 1 necrosis and non-enhancing, 2 oedema, 4 enhancing tumour; the
whole tumour is all of them.
"""

from __future__ import annotations

from pathlib import Path

from segmend.datasets.brats2015 import GRADES, patient_of
from segmend.datasets.case import FileCase, Found, found

LAYOUT = "BraTS 2018 (HGG/ and LGG/ with NAME/NAME_flair.nii.gz)"
CHANNELS = ("flair", "t1", "t1ce", "t2")
PARTS = (*CHANNELS, "seg")


def look(folder: Path) -> Found | None:
    """Return the patients in a folder of this layout, None when it is none."""
    cases = []
    for inside in (*GRADES, "."):
        for patient in sorted((folder / inside).glob("*")):
            files = [f"{patient.name}_{part}.nii" for part in PARTS]
            packed = {name: f"{name}.gz" for name in files}
            if not any((patient / name).is_file() or (patient / packed[name]).is_file() for name in files):
                continue
            where = patient.relative_to(folder).as_posix()
            paths = [f"{where}/{name if (patient / name).is_file() else packed[name]}" for name in files]
            cases.append(FileCase(folder, patient.name, tuple(paths[:-1]), paths[-1]))
    return found(folder, cases, patient=patient_of) if cases else None
