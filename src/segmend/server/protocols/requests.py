"""What requests in nnInteractive's dialect carry: numbers, boxes, images and masks, read and checked.

Nothing of a body is believed; what does not fit is one sentence. Numbers may be fractions, for napari sends where its
pointer is; they are rounded as nnInteractive does, to even.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from fastapi import Request

from segmend.core.image import Box, Image, Index, MaskArray, index_of, scale_affine, whole
from segmend.core.prompts import Drawn, Lasso, Prompt
from segmend.errors import LimitError
from segmend.io.intensities import check_finite, to_native
from segmend.io.sizes import FLOOR, Limits
from segmend.server.bodies import Json, json_object
from segmend.server.protocols import nnia
from segmend.server.replies import UnreadableError

# The header that carries what belongs to an array, as JSON.
META = "X-Meta"
# Voxels along one axis, and channels.
MOST_ALONG, MOST_CHANNELS = 32_767, 1000
Ends = list[tuple[float, float]]  # where a box begins and ends along each axis
# What types are called where the order of bytes is told, too, without that order: "i2" of ">i2".
SHORT_NAMES = {np.dtype(name).str[1:]: name for name in nnia.TYPES}


def meta_of(request: Request) -> Json:
    said = request.headers.get(META)
    return {} if said is None else json_object(said)


def flag(values: Mapping[str, Any], name: str, *, default: bool | None = None) -> bool:
    found = values.get(name, default)
    if not isinstance(found, bool):
        raise UnreadableError(f"{name!r} needs true or false; got {str(found)[:40]}.")
    return found


def numbers(values: Any, name: str) -> tuple[float, float, float]:
    """Return three numbers; viewers send whole ones and others."""
    right = isinstance(values, list) and len(values) == 3 and all(_is_number(value) for value in values)
    if not right:
        raise UnreadableError(f"{name!r} needs three numbers; got {str(values)[:100]}.")
    a, b, c = (float(value) for value in values)
    return a, b, c


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e15 and math.isfinite(value)


def index_in(point: tuple[float, float, float], shape: Index) -> Index | None:
    """Return the voxel that a point is rounded to, None outside the image."""
    index = index_of(map(round, point))
    return index if whole(shape).contains(index) else None


def ends_of(values: Any, name: str) -> Ends:
    """Return where a box begins and ends along each axis."""
    pairs = isinstance(values, list) and len(values) == 3 and all(isinstance(p, list) and len(p) == 2 for p in values)
    if not pairs or not all(_is_number(value) for pair in values for value in pair):
        raise UnreadableError(f"{name!r} needs three pairs of numbers; got {str(values)[:100]}.")
    return [(float(low), float(high)) for low, high in values]


def sides(values: Any) -> tuple[int, ...]:
    whole_numbers = isinstance(values, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in values)
    if not whole_numbers or len(values) != 3 or min(values) < 1:
        raise UnreadableError(f"'shape' needs three whole numbers above 0; got {str(values)[:100]}.")
    return tuple(values)


def mask_type(name: Any) -> str:
    """Return the type of a mask's numbers; that of an array with its bytes in another order is called by a short name.

    >>> mask_type(">i2"), mask_type("uint8")
    ('int16', 'uint8')
    """
    told = name if isinstance(name, str) else ""
    known = SHORT_NAMES.get(told[1:] if told[:1] in ("<", ">", "=", "|") else told, told)
    if known not in nnia.TYPES or known.startswith("float"):
        raise UnreadableError(f"'dtype' needs whole numbers or bool, such as 'uint8'; got {str(name)[:40]!r}.")
    return known


def image_of(body: bytes | memoryview, spacing: tuple[float, float, float], limits: Limits) -> Image:
    """Return the image in a body, [c z y x]."""
    room = min(limits.max_bytes, max(FLOOR, limits.max_ratio * len(body)))

    def fits(shape: tuple[int, ...], size: int) -> None:
        if len(shape) != 4:
            raise UnreadableError(f"An image needs 4 axes, the first of channels; got shape {list(shape)}.")
        if shape[0] > MOST_CHANNELS or max(shape[1:]) > MOST_ALONG:
            raise LimitError(
                f"An image may have {MOST_CHANNELS} channels and {MOST_ALONG} voxels along an axis; got {list(shape)}."
            )
        nnia.within(room)(shape, size)

    voxels = check_finite(to_native(nnia.unpack(body, fits=fits)), "The image")
    return Image(voxels, scale_affine(spacing), axes="zyx")


def spacing_of(meta: Json) -> tuple[float, float, float]:
    """Return the size of a voxel in mm; a viewer that does not say has cubes of 1 mm."""
    properties = meta.get("image_properties") or {}
    spacing = properties.get("spacing") if isinstance(properties, dict) else None
    if spacing is None:
        return 1.0, 1.0, 1.0
    steps = numbers(spacing, "spacing")
    if not all(1e-6 <= step <= 1e6 for step in steps):
        raise UnreadableError(f"'spacing' needs three numbers of millimetres above 0; got {spacing}.")
    return steps


def inside_of(body: bytes | memoryview, shape: Index) -> MaskArray:
    """Return where the array in a body, which needs this shape, is not 0."""

    def fits(claimed: tuple[int, ...], _: int) -> None:
        if claimed != shape:
            raise UnreadableError(f"A mask here needs shape {list(shape)}; got {list(claimed)}.")

    return np.asarray(nnia.unpack(body, fits=fits) != 0)


def box_of(ends: Ends, shape: Index) -> Box | None:
    """Return the voxels of a box, at least one along each axis; None when it lies outside the image.

    >>> box_of([(2.4, 0.5), (1.0, 1.4), (-3.0, 2.5)], (4, 5, 6))
    Box(low=(0, 0, 0), high=(2, 1, 2))
    """
    low, high = [], []
    for (start, end), size in zip(ends, shape, strict=True):
        first, last = sorted((round(start), round(end)))
        if last < 0 or first > size:
            return None
        first, last = max(0, first), min(size, last)
        if last <= first:
            first, last = (0, 1) if first == 0 else (first - 1, first)
        low.append(first)
        high.append(last)
    return Box.of(low, high)


def box_prompt(box: Box, *, positive: bool) -> Prompt:
    """Return what says that the object is in a box, or that what is in a box is not the object."""
    if positive:
        return box
    flat = [axis for axis in range(3) if box.shape[axis] == 1]
    if not flat:
        return Drawn(np.ones(box.shape, bool), box.low, positive=False)
    (a, b), (c, d) = ([n for i, n in enumerate(end) if i != flat[0]] for end in (box.low, box.high))
    corners = [[a, b], [a, d - 1], [c - 1, d - 1], [c - 1, b]]
    for corner in corners:
        corner.insert(flat[0], box.low[flat[0]])
    return Lasso(tuple(map(index_of, corners)), flat[0], positive=False)
