"""PH2: two hundred dermoscopic pictures of moles, each with its border.

    PH2 Dataset images/IMD001/IMD001_Dermoscopic_Image/IMD001.bmp
    PH2 Dataset images/IMD001/IMD001_lesion/IMD001_lesion.bmp

The folder `PH2Dataset` round it will do as well.
"""

from __future__ import annotations

from pathlib import Path

from segmend.datasets.case import FileCase, Found, found, plain_names

LAYOUT = "PH2 (IMD001/IMD001_Dermoscopic_Image and IMD001_lesion)"
INSIDE = "PH2 Dataset images"


def look(folder: Path) -> Found | None:
    """Return the pictures in a folder of this layout, None when it is none."""
    for inside in (folder, folder / INSIDE):
        names = [name for name in plain_names(inside) if (inside / name / f"{name}_Dermoscopic_Image").is_dir()]
        if names:
            return found(folder, [_case(folder, inside, name) for name in names])
    return None


def _case(folder: Path, inside: Path, name: str) -> FileCase:
    where = (inside / name).relative_to(folder).as_posix()
    picture = f"{where}/{name}_Dermoscopic_Image/{name}.bmp"
    return FileCase(folder, name, (picture,), f"{where}/{name}_lesion/{name}_lesion.bmp", drawn=True)
