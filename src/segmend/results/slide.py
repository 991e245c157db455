"""The mask of a slide as files: outlines as GeoJSON, which QuPath reads, and a label map in tiles with a pyramid."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_OID, uuid5

import numpy as np

from segmend.core.session import Label
from segmend.core.slidemask import FieldChange, flat_at
from segmend.core.slideoutlines import Polygon, outlines
from segmend.io.slides import levels_of, shape_at

# Pixels of a tile's side in a label map.
TILE = 512


def write_geojson(
    path: Path,
    marked: Mapping[int, Sequence[FieldChange]],
    labels: Mapping[int, Label],
    height: int,
    width: int,
    um: tuple[float, float] | None,
) -> None:
    """Write the outlines of a slide's mask, by layer of its labels: a feature for each connected part.

    They are in pixels of level 0.

    As QuPath has them: annotations, classified by what their label is called, in its colour.
    """
    parts = (
        _feature(labels.get(value), value, one, um)
        for layer in sorted(marked)
        for value, polygons in outlines(marked[layer], height, width).items()
        for one in polygons
    )
    with path.open("w", encoding="utf-8") as file:
        file.write('{"type": "FeatureCollection", "features": [')
        for number, part in enumerate(parts):
            file.write(",\n" if number else "\n")
            json.dump(part, file, ensure_ascii=False)
        file.write("\n]}\n")


def _feature(label: Label | None, value: int, polygon: Polygon, um: tuple[float, float] | None) -> dict[str, Any]:
    name = f"label {value}" if label is None else label.name
    colour = (128, 128, 128) if label is None else label.colour
    pixels = abs(sum(_area(ring) for ring in (polygon.outline, *polygon.holes)))
    measured = {"Area px": pixels} if um is None else {"Area mm^2": pixels * um[0] * um[1] / 1e6}
    return {
        "type": "Feature",
        "id": str(uuid5(NAMESPACE_OID, f"{value} {polygon.outline[:-1]}")),
        "geometry": {"type": "Polygon", "coordinates": [polygon.outline, *polygon.holes]},
        "properties": {
            "objectType": "annotation",
            "name": name,
            "classification": {"name": name, "color": list(colour)},
            "label": value,
            "measurements": measured,
        },
    }


def _area(ring: Sequence[tuple[int, int]]) -> float:
    x, y = np.array(ring, np.float64).T
    return float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) / 2)


def write_label_tiff(
    path: Path,
    marked: Mapping[int, Sequence[FieldChange]],
    labels: Mapping[int, Label],
    height: int,
    width: int,
    um: tuple[float, float] | None,
) -> None:
    """Write a slide's mask as a label map on the grid of the slide, tile by tile, with its coarser levels.

    What the values are called stands in the file's description, as JSON. Where labels overlap, that of a later layer
    has the pixel.
    """
    import tifffile

    kind: type[Any] = np.uint8 if max(labels, default=0) < 256 else np.uint16
    levels = levels_of(height, width)
    options: dict[str, Any] = {
        "tile": (TILE, TILE),
        "dtype": kind,
        "photometric": "minisblack",
        "compression": "zlib",
        "resolutionunit": "NONE" if um is None else "CENTIMETER",
        "software": "Segmend",
        "metadata": None,
    }
    names = {value: label.name for value, label in labels.items()}
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level in range(levels):
            size = shape_at(height, width, level)
            resolution = None if um is None else (10_000 / um[1] / 2**level, 10_000 / um[0] / 2**level)
            writer.write(
                _tiles(marked, level, size, kind),
                shape=size,
                resolution=resolution,
                subifds=levels - 1 if level == 0 else None,
                subfiletype=1 if level else 0,
                description=json.dumps({"labels": names}) if level == 0 else None,
                **options,
            )


def _tiles(
    marked: Mapping[int, Sequence[FieldChange]], level: int, size: tuple[int, int], kind: type[Any]
) -> Iterator[bytes]:
    """Yield the tiles of a level, packed; most of them are empty, and packed once."""
    changes = [change for some in marked.values() for change in some]
    empty = zlib.compress(np.zeros((TILE, TILE), kind).tobytes(), 9)
    for y in range(0, size[0], TILE):
        for x in range(0, size[1], TILE):
            k = level
            meets = any(one.meets(y << k, x << k, (y + TILE) << k, (x + TILE) << k) for one in changes)
            labels = flat_at(marked, level, (y, x), (y + TILE, x + TILE)) if meets else None
            yield empty if labels is None else zlib.compress(labels.astype(kind).tobytes(), 6)
