"""Plain folders of pictures and masks: `images/` and `masks/`, a mask having its picture's name.

Teeth-UCV, Breast, Cervix-HUC and MobileODT are laid out so here. The mask of images/a.jpg is masks/a.png, or
masks/a_mask.png, or masks/a_segmentation.png; it is one object, bright on dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from segmend import io
from segmend.datasets.case import Case, Example, Found, drawing, found, plain_names
from segmend.datasets.generic import file_of, stem
from segmend.errors import FileError

LAYOUT = "images/ and masks/ with files of the same names"
ENDINGS = ("", "_mask", "_segmentation")  # of a mask's name, after its picture's


@dataclass(frozen=True)
class PairCase(Case):
    """A picture and its mask."""

    def read(self) -> Example:
        image = io.read(file_of(self.folder / "images", self.name))
        return Example(image, image, drawing(self._mask(), image))

    def _mask(self) -> Path:
        masks = self.folder / "masks"
        wanted = {self.name + ending for ending in ENDINGS}
        fitting = [masks / name for name in plain_names(masks) if stem(name) in wanted and name not in wanted]
        if len(fitting) != 1:
            shown = ", ".join(path.name for path in fitting) or "none"
            raise FileError(
                f"The case {self.name} of {self.folder.name} needs one mask masks/{self.name} with a suffix that can "
                f"be read; found {shown}."
            )
        return fitting[0]


def look(folder: Path) -> Found | None:
    """Return the cases of a folder of this layout, None when it is none."""
    if not (folder / "images").is_dir() or not (folder / "masks").is_dir():
        return None
    pictures = [name for name in plain_names(folder / "images") if stem(name) != name]
    names = dict.fromkeys(stem(name) for name in pictures)
    return found(folder, [PairCase(folder, name) for name in names]) if names else None
