"""3D-IRCADb-01: twenty patients' abdominal CT as DICOM, the liver drawn in each.

    3Dircadb1/3Dircadb1.1/PATIENT_DICOM/image_0 ...        the scan; PATIENT_DICOM.zip serves as well
    3Dircadb1/3Dircadb1.1/MASKS_DICOM/liver/image_0 ...    the liver, 255 in a DICOM series of its own

The other organs' masks lie in one another (tumours and vessels in the liver), so they make no label map;
the object is the liver, as in the papers that use this set.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmend import io
from segmend.core.geometry import onto
from segmend.datasets.case import Case, Example, Found, found
from segmend.errors import FileError

LAYOUT = "3D-IRCADb-01 (3Dircadb1.1/PATIENT_DICOM and MASKS_DICOM/liver)"
SCAN, MASK = "PATIENT_DICOM", "MASKS_DICOM/liver"


@dataclass(frozen=True)
class Patient(Case):
    """One patient's folder."""

    @property
    def image_files(self) -> tuple[Path, ...]:
        return (self._there(SCAN),)

    def read(self) -> Example:
        image = io.read(self._there(SCAN))
        drawn = io.read(self._there(MASK))
        liver = (drawn.voxels[0] > 0).astype(np.uint16)
        return Example(image, image, onto(liver, drawn.affine, image.shape, image.affine))

    def _there(self, part: str) -> Path:
        folder = self.folder / self.name / part
        for path in (folder, folder.with_name(folder.name + ".zip")):
            if path.exists():
                return path
        raise FileError(f"The patient {self.name} of 3D-IRCADb-01 needs the folder {part}; it is not there.")


def look(folder: Path) -> Found | None:
    """Return the patients in a folder of this layout, None when it is none."""
    patients = [path.name for path in folder.iterdir() if _is_patient(path)]
    order = sorted(patients, key=lambda name: (len(name), name))  # 3Dircadb1.2 before 3Dircadb1.10
    return found(folder, [Patient(folder, name) for name in order]) if order else None


def _is_patient(path: Path) -> bool:
    named = path.name.lower().startswith("3dircadb1.") and path.is_dir()
    return named or (path / SCAN).is_dir() or (path / f"{SCAN}.zip").is_file()
