"""What a person does to a label's mask by hand or by rule, without any network: small frozen values on the voxel grid.

An edit says what is to be done, not which voxels it changed: `segmend.editing` works that out from the mask as it is.
Lengths are in mm, so that they mean the same on every grid and along every axis; `axis` is the one across the planes
that an edit keeps to, None where it works in all directions. `edit_to_json` and `edit_from_json` are the one form
that edits take in the database, on the wire and in the browser.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any, Literal, get_args

from segmend.core.image import Box, Index, whole
from segmend.core.prompts import (
    MAX_POINTS,
    Drawn,
    Lasso,
    check,
    read_axis,
    read_index,
    read_number,
    read_points,
    read_sign,
)
from segmend.core.prompts import from_json as prompt_from_json
from segmend.core.prompts import to_json as prompt_to_json
from segmend.errors import PromptError

# The largest distance in mm of a rule: longer ones would take minutes.
MAX_DISTANCE_MM = 50.0
# The largest radius of a brush, in mm or voxels.
MAX_RADIUS = 200.0
# The largest width in mm of smoothing.
MAX_SMOOTHING_MM = 50.0
# Slices that an interpolation may name.
MAX_SLICES = 10_000

Unit = Literal["mm", "voxels"]
Range = tuple[float, float]  # the lowest and the highest value of the image, both included
Filter = Literal["gaussian", "median"]
Action = Literal["erase", "fill", "keep"]
Inside = Literal["replace", "add", "remove"]
Operation = Literal["union", "subtract", "intersect"]


@dataclass(frozen=True)
class Paint:
    """Voxels within a radius of a drawn line become the label's, or, with `positive` false, are taken from it.

    The brush is round or square; with `axis` it is one voxel thick across the plane it was drawn in. `within` keeps
    it to voxels whose value in the image (the mean of its channels) lies in a range.
    """

    points: tuple[Index, ...]
    positive: bool = True
    radius: float = 3.0
    unit: Unit = "mm"
    axis: int | None = None
    square: bool = False
    within: Range | None = None


@dataclass(frozen=True)
class Draw:
    """The voxels of a drawing become the label's, or are taken from it."""

    drawn: Drawn
    within: Range | None = None


@dataclass(frozen=True)
class FillHoles:
    """What the mask encloses is filled: in every plane across `axis`, or what it encloses on all sides."""

    axis: int | None = None


@dataclass(frozen=True)
class KeepLargest:
    """Only the largest connected component stays."""


@dataclass(frozen=True)
class RemoveSmall:
    """Connected components under a size go; in a flat image it counts as mm^2."""

    below_mm3: float = 50.0


@dataclass(frozen=True)
class Component:
    """The connected component at a voxel: it is erased, or alone is kept, or the hole there is filled."""

    index: Index
    action: Action = "erase"
    axis: int | None = None


@dataclass(frozen=True)
class Smooth:
    """The mask's surface is smoothed: a Gaussian of this standard deviation, or the majority within this distance."""

    mm: float = 1.0
    filter: Filter = "gaussian"


@dataclass(frozen=True)
class Grow:
    """The mask grows by a distance on all sides, or with a negative one shrinks."""

    mm: float = 1.0


@dataclass(frozen=True)
class Threshold:
    """In a region the mask becomes what lies in a range of the image's values.

    The region is the inside of a lasso in its plane, a box, or, without either, the mask grown by `margin_mm`.
    `inside` says whether it gains voxels in the range, loses those out of it, or both.
    """

    within: Range
    region: Lasso | Box | None = None
    margin_mm: float = 3.0
    inside: Inside = "replace"


@dataclass(frozen=True)
class Combine:
    """The mask takes over another label's voxels, or stays away from it, or stays near it.

    "subtract" and "intersect" are with the other label grown by `margin_mm`, which is above 0 where the two can have no
    voxel in common. Where they may, "union" leaves the other label as it is.
    """

    operation: Operation
    other: int
    margin_mm: float = 0.0


@dataclass(frozen=True)
class Merge:
    """Another label becomes a part of this one: its voxels are this label's, and there is no such label any longer."""

    other: int


@dataclass(frozen=True)
class Interpolate:
    """The empty slices between two with a mask get one, halfway in shape; or all between those that are named."""

    axis: int = 0
    slices: tuple[int, ...] = ()


@dataclass(frozen=True)
class CopySlice:
    """A slice's mask takes the place of another slice's."""

    axis: int
    source: int
    target: int


@dataclass(frozen=True)
class Cut:
    """A line across a component parts it; the part at `index` goes to another label, or is erased.

    The line cuts through all slices across `axis`, or with `through` false through its own alone.
    """

    points: tuple[Index, ...]
    index: Index
    axis: int = 0
    to: int | None = None
    through: bool = True


Edit = (
    Paint
    | Draw
    | FillHoles
    | KeepLargest
    | RemoveSmall
    | Component
    | Smooth
    | Grow
    | Threshold
    | Combine
    | Merge
    | Interpolate
    | CopySlice
    | Cut
)

EDITS: dict[str, type[Edit]] = {
    "paint": Paint,
    "draw": Draw,
    "fill_holes": FillHoles,
    "keep_largest": KeepLargest,
    "remove_small": RemoveSmall,
    "component": Component,
    "smooth": Smooth,
    "grow": Grow,
    "threshold": Threshold,
    "combine": Combine,
    "merge": Merge,
    "interpolate": Interpolate,
    "copy_slice": CopySlice,
    "cut": Cut,
}
_NAMES = {cls: kind for kind, cls in EDITS.items()}


def kind_of_edit(edit: Edit) -> str:
    """Return the edit's name on the wire.

    >>> kind_of_edit(KeepLargest())
    'keep_largest'
    """
    return _NAMES[type(edit)]


def other_label(edit: Edit) -> int | None:
    """Return the label besides its own whose voxels an edit is said to change; None for most.

    >>> other_label(Combine("union", 4)), other_label(Combine("subtract", 4, 2.0)), other_label(Grow(1.0))
    (4, None, None)
    """
    match edit:
        case Combine(operation="union", other=other) | Merge(other=other):
            return other
        case Cut(to=to):
            return to
        case _:
            return None


def check_edit(edit: Edit, shape: Sequence[int], *, apart: bool = True) -> None:
    """Raise PromptError unless the edit makes sense in an image of this shape.

    `apart` says that the labels of a `Combine` can have no voxel in common.

    >>> check_edit(Grow(0.0), (1, 5, 5))
    Traceback (most recent call last):
    ...
    segmend.errors.PromptError: Growing needs a distance of -50 to 50 mm that is not 0; got 0.
    """
    _check_axis(edit, shape)
    match edit:
        case Paint(points=points, radius=radius, unit=unit, within=within):
            _check_points("A brush", points, shape)
            if unit not in get_args(Unit):
                raise PromptError(f"A brush needs its radius in mm or voxels; got {unit!r}.")
            if not 0 <= radius <= MAX_RADIUS:
                raise PromptError(f"A brush needs a radius of 0 to {MAX_RADIUS:g} {unit}; got {radius:g}.")
            _check_range(within)
        case Draw(drawn=drawn, within=within):
            check(drawn, shape)
            _check_range(within)
        case RemoveSmall(below_mm3=size):
            if not 0 < size < math.inf:
                raise PromptError(f"Removing small components needs a size above 0 mm^3; got {size:g}.")
        case Component(index=index, action=action):
            _check_points("A component", (index,), shape)
            _check_choice("A component is to be", action, get_args(Action))
        case Smooth(mm=mm, filter=kind):
            if not 0 < mm <= MAX_SMOOTHING_MM:
                raise PromptError(f"Smoothing needs a width above 0 and up to {MAX_SMOOTHING_MM:g} mm; got {mm:g}.")
            _check_choice("Smoothing needs", kind, get_args(Filter))
        case Grow(mm=mm):
            if not 0 < abs(mm) <= MAX_DISTANCE_MM:
                limit = f"{MAX_DISTANCE_MM:g}"
                raise PromptError(f"Growing needs a distance of -{limit} to {limit} mm that is not 0; got {mm:g}.")
        case Threshold(within=within, region=region, margin_mm=margin, inside=inside):
            _check_range(within)
            if region is not None:
                check(region, shape)
            _check_margin("A threshold", margin)
            _check_choice("A threshold needs to", inside, get_args(Inside))
        case Combine(operation=operation, margin_mm=margin):
            _check_choice("Two labels can be combined by", operation, get_args(Operation))
            _check_margin("Combining labels", margin)
            if apart and operation != "union" and margin == 0:
                raise PromptError(f"Labels have no voxel in common, so {operation} needs a margin above 0 mm; got 0.")
        case Interpolate(slices=slices):
            _check_slices(edit, slices, shape)
            if len(slices) == 1:
                raise PromptError("An interpolation needs two slices at least, or none for those with a mask; got 1.")
        case CopySlice(source=source, target=target):
            _check_slices(edit, (source, target), shape)
            if source == target:
                raise PromptError(f"A slice is copied to another one; got {source} twice.")
        case Cut(points=points, index=index, axis=axis):
            _check_points("A cut", (*points, index), shape)
            if len(points) < 2 or len({point[axis] for point in points}) != 1:
                raise PromptError("A cut needs a line of two points at least, all in one plane.")
            if not edit.through and index[axis] != points[0][axis]:
                raise PromptError("A cut through one slice needs the part that goes to be picked in that slice.")
        case _:
            pass


def _check_axis(edit: Edit, shape: Sequence[int]) -> None:
    axis = getattr(edit, "axis", None)
    if axis is None and not isinstance(edit, Interpolate | CopySlice | Cut):
        return
    if isinstance(axis, bool) or axis not in (0, 1, 2):
        raise PromptError(f"The axis across the planes of an edit needs to be 0, 1 or 2; got {axis!r}.")
    if shape[0] == 1 and axis != 0:
        raise PromptError(f"A flat image has planes across axis 0 alone; got {axis}.")


def _check_points(what: str, points: Sequence[Index], shape: Sequence[int]) -> None:
    if not 0 < len(points) <= MAX_POINTS:
        raise PromptError(f"{what} needs 1 to {MAX_POINTS} points; got {len(points)}.")
    grid = whole(shape)
    outside = next((point for point in points if not grid.contains(point)), None)
    if outside is not None:
        raise PromptError(f"{what} reaches {tuple(outside)}, outside the image of shape {grid.high}.")


def _check_slices(edit: Interpolate | CopySlice, slices: Sequence[int], shape: Sequence[int]) -> None:
    if len(slices) > MAX_SLICES:
        raise PromptError(f"An interpolation may name {MAX_SLICES} slices; got {len(slices)}.")
    count = shape[edit.axis]
    outside = next((number for number in slices if not 0 <= number < count), None)
    if outside is not None:
        raise PromptError(f"There is no slice {outside} along axis {edit.axis}; there are 0 to {count - 1}.")


def _check_range(within: Range | None) -> None:
    if within is None:
        return
    low, high = within
    if math.isnan(low) or math.isnan(high) or low > high:
        raise PromptError(f"A range of values needs its lower end first; got {low:g} to {high:g}.")


def _check_margin(what: str, margin: float) -> None:
    if not 0 <= margin <= MAX_DISTANCE_MM:
        raise PromptError(f"{what} needs a margin of 0 to {MAX_DISTANCE_MM:g} mm; got {margin:g}.")


def _check_choice(what: str, value: object, choices: Sequence[str]) -> None:
    if value not in choices:
        raise PromptError(f"{what} {', '.join(choices[:-1])} or {choices[-1]}; got {value!r}.")


def edit_to_json(edit: Edit) -> dict[str, Any]:
    """Return the edit as plain JSON values.

    >>> edit_to_json(Threshold((30, math.inf), Box((0, 1, 2), (1, 4, 5))))["within"]
    [30, None]
    """
    values: dict[str, Any] = {"kind": kind_of_edit(edit)}
    for one in fields(edit):
        values[one.name] = _to_json(one.name, getattr(edit, one.name))
    return values


def _to_json(name: str, value: Any) -> Any:
    if name == "within" and value is not None:
        return [end if math.isfinite(end) else None for end in value]
    if isinstance(value, Drawn | Lasso | Box):
        return prompt_to_json(value)
    if name == "points":
        return [list(point) for point in value]
    return list(value) if isinstance(value, tuple) else value


def edit_from_json(values: Mapping[str, Any]) -> Edit:
    """Return the edit that `edit_to_json` wrote; PromptError says what is missing or wrong.

    >>> edit_from_json({"kind": "grow", "mm": 2})
    Grow(mm=2.0)
    """
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if not isinstance(kind, str) or kind not in EDITS:
        raise PromptError(f"An edit needs a kind among {', '.join(EDITS)}; got {kind!r}.")
    known = {one.name for one in fields(EDITS[kind])}
    unknown = sorted(str(name) for name in values if name not in known and name != "kind")
    if unknown:
        raise PromptError(f"An edit of kind {kind} has no {unknown[0]!r}; it has {', '.join(sorted(known)) or 'none'}.")
    try:
        return EDITS[kind](**{name: _READ[name](values) for name in values if name != "kind"})
    except TypeError as error:
        missing = [one.name for one in fields(EDITS[kind]) if one.name not in values and _is_needed(one)]
        if missing:
            raise PromptError(f"An edit of kind {kind} needs {missing[0]!r}; got only {sorted(values)}.") from None
        raise PromptError(f"The {kind} could not be read: {error}.") from None
    except (ValueError, OverflowError, KeyError, AttributeError) as error:
        if isinstance(error, PromptError):
            raise
        raise PromptError(f"The {kind} could not be read: {error}.") from None


def _is_needed(one: Field[Any]) -> bool:
    return one.default is MISSING


def _read_optional_axis(values: Mapping[str, Any]) -> int | None:
    return None if values["axis"] is None else read_axis(values)


def _read_range(values: Mapping[str, Any]) -> Range | None:
    ends = values["within"]
    if ends is None:
        return None
    if isinstance(ends, str) or len(ends) != 2:
        raise PromptError(f"A range of values needs two numbers, or null for an open end; got {ends!r}.")
    low, high = (
        open_end if end is None else read_number({"within": end}, "within")
        for end, open_end in zip(ends, (-math.inf, math.inf), strict=True)
    )
    return low, high


def _read_region(values: Mapping[str, Any]) -> Lasso | Box | None:
    if values["region"] is None:
        return None
    region = prompt_from_json(values["region"])
    if not isinstance(region, Lasso | Box):
        raise PromptError("A region needs to be a lasso or a box.")
    return region


def _read_drawn(values: Mapping[str, Any]) -> Drawn:
    drawn = prompt_from_json(values["drawn"])
    if not isinstance(drawn, Drawn):
        raise PromptError("An edit of kind draw needs a prompt of kind drawn.")
    return drawn


def _read_whole(values: Mapping[str, Any], name: str) -> int:
    value = values[name]
    if isinstance(value, bool) or not isinstance(value, int):
        raise PromptError(f"{name!r} needs a whole number; got {value!r}.")
    return value


def _read_slices(values: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(_read_whole({"slices": one}, "slices") for one in values["slices"][: MAX_SLICES + 1])


def _read_flag(values: Mapping[str, Any], name: str) -> bool:
    if not isinstance(values[name], bool):
        raise PromptError(f"{name!r} needs true or false; got {values[name]!r}.")
    return bool(values[name])


_READ: dict[str, Any] = {
    "points": lambda values: read_points({"kind": "line", **values}),
    "positive": read_sign,
    "radius": lambda values: read_number(values, "radius"),
    "unit": lambda values: str(values["unit"]),
    "axis": _read_optional_axis,
    "square": lambda values: _read_flag(values, "square"),
    "within": _read_range,
    "drawn": _read_drawn,
    "below_mm3": lambda values: read_number(values, "below_mm3"),
    "index": lambda values: read_index(values["index"]),
    "action": lambda values: str(values["action"]),
    "mm": lambda values: read_number(values, "mm"),
    "filter": lambda values: str(values["filter"]),
    "region": _read_region,
    "margin_mm": lambda values: read_number(values, "margin_mm"),
    "inside": lambda values: str(values["inside"]),
    "operation": lambda values: str(values["operation"]),
    "other": lambda values: _read_whole(values, "other"),
    "slices": _read_slices,
    "source": lambda values: _read_whole(values, "source"),
    "target": lambda values: _read_whole(values, "target"),
    "to": lambda values: None if values["to"] is None else _read_whole(values, "to"),
    "through": lambda values: _read_flag(values, "through"),
}
