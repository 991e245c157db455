"""BraTS 2015: brain tumours in four MR images each, as the Virtual Skeleton Database (VSD) gave them out.

    HGG/brats_2013_pat0001_1/VSD.Brain.XX.O.MR_Flair.54512/VSD.Brain.XX.O.MR_Flair.54512.mha
    .../VSD.Brain.XX.O.MR_T1.54513/...  MR_T1c  MR_T2
    .../VSD.Brain_3more.XX.O.OT.54517/VSD.Brain_3more.XX.O.OT.54517.mha

The channels are FLAIR, T1, T1c and T2. Labels: 1 necrosis, 2 oedema, 3 non-enhancing, 4 enhancing tumour. Names of
cases begin with their folder's, HGG or LGG, for the same patient number occurs in both; scans of one patient
share a split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segmend import io
from segmend.datasets.case import Case, Example, Found, found, stacked
from segmend.errors import FileError

LAYOUT = "BraTS 2015 (HGG/ and LGG/ with VSD.Brain folders)"
GRADES = ("HGG", "LGG")
CHANNELS = ("MR_Flair", "MR_T1", "MR_T1c", "MR_T2")
TRUTH = "OT"


@dataclass(frozen=True)
class Patient(Case):
    """One scan of one patient; `where` is its folder, from the set's on."""

    where: str

    @property
    def image_files(self) -> tuple[Path, ...]:
        return tuple(self._volume(channel) for channel in CHANNELS)

    def read(self) -> Example:
        parts = [io.read(path) for path in self.image_files]
        image = stacked(parts)
        return Example(image, parts[0], io.read_mask(self._volume(TRUTH), image))

    def _volume(self, part: str) -> Path:
        fitting = sorted((self.folder / self.where).glob(f"VSD.Brain*.O.{part}.*/VSD.*.mha"))
        if len(fitting) != 1:
            raise FileError(
                f"The case {self.name} of BraTS 2015 needs one file VSD.Brain*.O.{part}.*/*.mha in {self.where}; "
                f"found {len(fitting)}."
            )
        return fitting[0]


def look(folder: Path) -> Found | None:
    """Return the scans in a folder of this layout, None when it is none."""
    cases = [
        Patient(folder, f"{grade}_{scan.name}", f"{grade}/{scan.name}")
        for grade in GRADES
        for scan in sorted((folder / grade).glob("*"))
        if any(scan.glob("VSD.Brain*"))
    ]
    return found(folder, cases, patient=patient_of) if cases else None


def patient_of(name: str) -> str:
    """Return the patient of a scan: its name without the number of the scan.

    >>> patient_of("HGG_brats_tcia_pat399_0217"), patient_of("Brats18_TCIA02_135_1")
    ('HGG_brats_tcia_pat399', 'Brats18_TCIA02_135')
    """
    return name.rpartition("_")[0] or name
