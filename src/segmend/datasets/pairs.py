"""Plain folders of pictures and masks: `images/` and `masks/`, a mask having its picture's name.

Teeth-UCV, Breast, Cervix-HUC and MobileODT are laid out so here. The mask of images/a.jpg is masks/a.png, or
masks/a_mask.png, or masks/a_segmentation.png; it is one object, bright on dark. Where a split.json has label_names, as
in folders that Segmend writes, masks have the labels' values, in the colours of a palette.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segmend import io
from segmend.core.image import LabelMap
from segmend.datasets.case import Case, Example, Found, drawing, found, plain_names, told_splits
from segmend.datasets.generic import file_of, named_labels, stem
from segmend.datasets.writing import Entry, FolderWriter
from segmend.errors import FileError

LAYOUT = "images/ and masks/ with files of the same names"
ENDINGS = ("", "_mask", "_segmentation")  # of a mask's name, after its picture's


@dataclass(frozen=True)
class PairCase(Case):
    """A picture and its mask."""

    called: tuple[tuple[int, str], ...] = ()  # the labels' names, where masks have their values

    @property
    def label_names(self) -> Mapping[int, str]:
        return dict(self.called)

    @property
    def image_files(self) -> tuple[Path, ...]:
        return (file_of(self.folder / "images", self.name),)

    def read(self) -> Example:
        image = io.read(*self.image_files)
        mask = self._mask()
        return Example(image, image, io.read_mask(mask, image) if self.called else drawing(mask, image))

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
    called = named_labels(folder, told_splits(folder)) if (folder / "split.json").is_file() else ()
    masked = {stem(name) for name in plain_names(folder / "masks")}
    cases = [PairCase(folder, name, called) for name in names]
    lacking = [case for case in cases if called and case.name not in masked]
    return found(folder, [case for case in cases if case not in lacking], unlabelled=lacking) if names else None


class Writer(FolderWriter):
    """Such a folder in the making, of pictures."""

    flat = True

    def write(self, entry: Entry, values: LabelMap) -> list[Path]:
        files = [self.placed(part, f"{entry.name}.png") for part in ("images", "masks")]
        io.write_image(files[0], entry.image)
        io.write_mask(files[1], values, entry.image, [])
        return files
