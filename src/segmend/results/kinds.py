"""All that one case's result can be written as: masks, surfaces, pictures, measures, a report, and how it was made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from segmend import io
from segmend.core.atomic import write_bytes
from segmend.core.session import Label
from segmend.errors import FileError, SettingsError
from segmend.io.meshes import FLAT, SURFACE_FORMATS, surfaces, write_surfaces
from segmend.results import provenance, table
from segmend.results.case_result import CaseResult
from segmend.results.planes import overlay, planes
from segmend.results.report import report

Of = Literal["any", "picture", "volume"]
Group = Literal["masks", "surfaces", "reading"]
# Pixels of the longer side of a slice in an overlay of a volume.
SIDE = 720


@dataclass(frozen=True)
class Kind:
    """A kind of file; `of` says which images it can be made of."""

    suffix: str
    title: str
    group: Group
    of: Of = "any"

    def fits(self, *, flat: bool) -> bool:
        return self.of == "any" or self.of == ("picture" if flat else "volume")


def _kinds() -> Mapping[str, Kind]:
    masks = [
        Kind(suffix, title, "masks", "picture" if suffix in io.FLAT_FORMATS else "any")
        for suffix, title in io.MASK_FORMATS.items()
    ]
    meshes = [Kind(suffix, title, "surfaces", "volume") for suffix, title in SURFACE_FORMATS.items()]
    reading = [
        Kind(".overlay.png", "Picture with the masks over it", "reading"),
        Kind(".csv", "Table of measures", "reading"),
        Kind(".pdf", "Report of one page", "reading"),
        Kind(".provenance.json", "How it was made, to replay", "reading"),
    ]
    return MappingProxyType({kind.suffix: kind for kind in (*masks, *meshes, *reading)})


KINDS = _kinds()


def kind_of(suffix: str) -> Kind:
    """Return the kind with an ending; SettingsError names those there are."""
    if suffix not in KINDS:
        raise SettingsError(f"A result can be written as {', '.join(KINDS)}; got {suffix!r}.")
    return KINDS[suffix]


def suffix_of(path: Path) -> str:
    """Return which ending of `KINDS` a file's name has, the longest; FileError names them when none fits.

    >>> suffix_of(Path("a/liver.overlay.png")), suffix_of(Path("liver.tiff"))
    ('.overlay.png', '.tif')
    """
    found = io.suffix_of(path, [*KINDS, *io.ALIASES])
    return io.ALIASES.get(found, found)


def write_result(
    path: Path,
    result: CaseResult,
    suffix: str,
    *,
    anonymous: bool = True,
    weights: Mapping[str, Path] | None = None,
) -> None:
    """Write what came of a case to a file; FileError where its image cannot be written so.

    `weights` are folders of methods' own weights, by method, for the log of how it was made.
    """
    kind = kind_of(suffix)
    if not anonymous and kind.group == "surfaces":
        raise FileError(f"A surface cannot keep its patient; got {path.name}.")
    if kind.group == "masks":
        with result.source() as source:
            write = io.mask_writer(
                path,
                result.image,
                source=source,
                series=result.case.name,
                anonymous=anonymous,
            )
            maps = result.maps if suffix in io.LAYERED_FORMATS else result.map
            write(maps, result.labels, provenance.origins_of(result.session))
    elif kind.group == "surfaces":
        if result.image.flat:
            raise FileError(FLAT)
        write_surfaces(path, surfaces(result.maps, result.image, result.labels))
    elif suffix == ".csv":
        write_bytes(path, table.to_csv(table.rows(result, anonymous=anonymous)))
    elif suffix == ".pdf":
        write_bytes(path, report(result, anonymous=anonymous))
    elif suffix == ".overlay.png":
        write_bytes(path, overlay_png(result))
    else:
        write_bytes(path, provenance.to_bytes(provenance.provenance(result, anonymous=anonymous, weights=weights)))


def write_surface_of_each(folder: Path, stem: str, result: CaseResult) -> list[Path]:
    """Write the surface of each label as an STL file of its own, which can name none; return the files."""
    files = []
    for label, one in surfaces(result.maps, result.image, result.labels):
        path = folder / f"{stem}-{label_stem(label)}.stl"
        write_surfaces(path, [(label, one)])
        files.append(path)
    return files


def label_stem(label: Label) -> str:
    """Return a label's value and name as a part of a file's name."""
    return f"{label.value}-{file_name(label.name)}"


def overlay_png(result: CaseResult) -> bytes:
    """Return a picture with its masks over it, or of a volume its three planes through the largest label."""
    from PIL import Image as Pillow  # a tenth of a second

    file = BytesIO()
    if result.image.flat:
        Pillow.fromarray(overlay(result.image, result.map, result.labels)).save(file, "PNG")
        return file.getvalue()
    sizes = {label.value: result.measures[label.value].voxels for label in result.labels}
    largest = max(sizes, key=lambda value: sizes[value], default=0)
    shown = [one.pixels for one in planes(result.image, result.map, result.labels, largest, side=SIDE)]
    height, width = max(one.shape[0] for one in shown), sum(one.shape[1] for one in shown)
    sheet = Pillow.new("RGB", (width + 8 * (len(shown) - 1), height))
    x = 0
    for one in shown:
        sheet.paste(Pillow.fromarray(one), (x, (height - one.shape[0]) // 2))
        x += one.shape[1] + 8
    sheet.save(file, "PNG")
    return file.getvalue()


def file_name(name: str) -> str:
    """Return a name as the safe stem of a file.

    >>> file_name("../Lung, left (2)")
    'Lung-left-2'
    """
    return re.sub(r"[^\w.-]+", "-", name).strip("-.")[:80] or "case"
