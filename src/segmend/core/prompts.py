"""What a person puts down on an image: small frozen values on its voxel grid.

Every prompt belongs to one label, which the session keeps beside it. Positive means
"this is the object", negative "this is not". `to_json` and `from_json` are the one
form that prompts take in the database, on the wire and in the browser.
"""

from __future__ import annotations

import base64
import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, get_args

import numpy as np
from numpy.typing import NDArray

from segmend.core.image import Box, Image, Index, Space, bounds, whole
from segmend.errors import PromptError

Whole = Literal["mask", "truth"]  # what an adjustment is a share of
WHOLES: tuple[Whole, ...] = get_args(Whole)
MAX_POINTS = 100_000  # of one stroke or lasso: a day of drawing, not a denial of service
MAX_DRAWN = 1_000_000  # voxels of one drawing


@dataclass(frozen=True)
class Click:
    """One voxel.

    >>> Click((0, 12, 30), positive=False)
    Click(index=(0, 12, 30), positive=False)
    """

    index: Index
    positive: bool = True

    @classmethod
    def at_mm(cls, point_mm: Sequence[float], image: Image, *, positive: bool = True, space: Space = "RAS") -> Self:
        """Return a click on the voxel that a position in mm lies in."""
        return cls(image.voxel_at_mm(point_mm, space=space), positive)


@dataclass(frozen=True)
class Stroke:
    """A line drawn through voxels; `radius` is its half width in voxels of the drawn plane."""

    points: tuple[Index, ...]
    positive: bool = True
    radius: float = 1.0

    @classmethod
    def at_mm(
        cls,
        points_mm: Sequence[Sequence[float]],
        image: Image,
        *,
        positive: bool = True,
        radius: float = 1.0,
        space: Space = "RAS",
    ) -> Self:
        """Return a stroke through positions in mm; `radius` stays in voxels."""
        return cls(_at_mm(points_mm, image, space), positive, radius)


@dataclass(frozen=True)
class Lasso:
    """The inside of a closed line in one plane, which is one voxel thick along `axis`."""

    points: tuple[Index, ...]
    axis: int = 0
    positive: bool = True

    @classmethod
    def at_mm(
        cls,
        points_mm: Sequence[Sequence[float]],
        image: Image,
        *,
        axis: int = 0,
        positive: bool = True,
        space: Space = "RAS",
    ) -> Self:
        """Return a lasso through positions in mm, which need to lie in one plane of voxels."""
        lasso = cls(_at_mm(points_mm, image, space), axis, positive)
        _check_lasso(lasso)
        return lasso


@dataclass(frozen=True)
class Extremes:
    """The outermost voxels of the object: four in a plane, six in a volume."""

    points: tuple[Index, ...]

    @classmethod
    def at_mm(cls, points_mm: Sequence[Sequence[float]], image: Image, *, space: Space = "RAS") -> Self:
        """Return the outermost voxels by their positions in mm."""
        return cls(_at_mm(points_mm, image, space))


def _at_mm(points_mm: Sequence[Sequence[float]], image: Image, space: Space) -> tuple[Index, ...]:
    return tuple(image.voxel_at_mm(point, space=space) for point in points_mm)


@dataclass(frozen=True)
class Adjust:
    """The scalar K: the mask as it stands should become 1 + K times as large, so K is a share of the current mask.

    K `of` the truth is what robots measure: what is missing less what is too much, by the truth's volume. The paper on
    editing has that with the other sign (Zhou, Chen and Wang, 2019); here a larger K always means a larger mask.

    >>> Adjust(0.5).factor, Adjust(0.5, of="truth").factor
    (1.5, 2.0)
    """

    k: float
    of: Whole = "mask"

    @property
    def factor(self) -> float:
        """How many times as large the mask should become."""
        return max(1 + self.k, 0.0) if self.of == "mask" else 1 / max(1 - self.k, 1e-9)

    @property
    def k_of_truth(self) -> float:
        """K as a share of the volume that the object has then: what networks that take a K have learned."""
        return self.k if self.of == "truth" else 1 - 1 / max(self.factor, 1e-9)


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask from elsewhere to start from; outside `low + inside.shape` it is empty."""

    inside: NDArray[np.bool_]  # [z y x]
    low: Index = (0, 0, 0)

    def __post_init__(self) -> None:
        object.__setattr__(self, "inside", _frozen(self.inside, "mask"))

    def __repr__(self) -> str:
        shape = " x ".join(map(str, self.inside.shape))
        return f"<Mask of {int(self.inside.sum())} voxels in {shape} from {self.low}>"

    @property
    def box(self) -> Box:
        return _box_of(self.low, self.inside.shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return self.low == other.low and np.array_equal(self.inside, other.inside)

    def __hash__(self) -> int:
        return hash((self.low, self.inside.tobytes()))


@dataclass(frozen=True, eq=False)
class Drawn:
    """Voxels that were drawn one by one, such as another viewer's scribble; all of them are of one sign.

    `inside` says which voxels of the box from `low` on were drawn; nothing is said of the others.
    """

    inside: NDArray[np.bool_]  # [z y x]
    low: Index = (0, 0, 0)
    positive: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "inside", _frozen(self.inside, "drawing"))

    def __repr__(self) -> str:
        shape, sign = " x ".join(map(str, self.inside.shape)), "+" if self.positive else "-"
        return f"<Drawn {sign} of {int(self.inside.sum())} voxels in {shape} from {self.low}>"

    @property
    def box(self) -> Box:
        return _box_of(self.low, self.inside.shape)

    @property
    def points(self) -> NDArray[np.intp]:  # [n 3] (z, y, x)
        """The voxels that were drawn, on the image's grid."""
        return np.asarray(np.argwhere(self.inside) + np.asarray(self.low), np.intp)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Drawn):
            return NotImplemented
        same = self.low == other.low and self.positive == other.positive
        return same and np.array_equal(self.inside, other.inside)

    def __hash__(self) -> int:
        return hash((self.low, self.positive, self.inside.tobytes()))


def _frozen(inside: NDArray[np.bool_], what: str) -> NDArray[np.bool_]:
    """Return a crop of voxels read-only; PromptError unless it has three axes."""
    crop = np.asarray(inside, dtype=bool).view()
    if crop.ndim != 3:
        raise PromptError(f"A {what} prompt needs 3 axes (z, y, x); got shape {crop.shape}.")
    crop.flags.writeable = False
    return crop


def _box_of(low: Index, shape: Sequence[int]) -> Box:
    z, y, x = (l + n for l, n in zip(low, shape, strict=True))
    return Box(low, (z, y, x))


Prompt = Click | Stroke | Box | Lasso | Extremes | Adjust | Mask | Drawn

KINDS: dict[str, type[Prompt]] = {
    "click": Click,
    "stroke": Stroke,
    "box": Box,
    "lasso": Lasso,
    "extremes": Extremes,
    "adjust": Adjust,
    "mask": Mask,
    "drawn": Drawn,
}
_NAMES = {cls: kind for kind, cls in KINDS.items()}


def kind_of(prompt: Prompt) -> str:
    """Return the prompt's name on the wire.

    >>> kind_of(Click((0, 0, 0)))
    'click'
    """
    return _NAMES[type(prompt)]


def is_positive(prompt: Prompt) -> bool:
    """Tell whether a prompt says "this is the object"; of kinds that have no sign it does.

    >>> is_positive(Click((0, 0, 0), positive=False)), is_positive(Extremes(((0, 0, 0), (0, 5, 5))))
    (False, True)
    """
    return prompt.positive if isinstance(prompt, Click | Stroke | Lasso | Drawn) else True


def extent(prompt: Prompt) -> Box | None:
    """Return the box round everything the prompt touches, None for one without a place.

    >>> extent(Stroke(((0, 2, 9), (0, 5, 3))))
    Box(low=(0, 2, 3), high=(1, 6, 10))
    """
    match prompt:
        case Click(index=(z, y, x)):  # there may be a thousand of them
            return Box((z, y, x), (z + 1, y + 1, x + 1))
        case Stroke(points=points) | Lasso(points=points) | Extremes(points=points):
            return _around(points)
        case Box():
            return prompt
        case Mask() | Drawn():
            inner = bounds(prompt.inside)
            if inner is None:
                return None
            return Box(_plus(inner.low, prompt.low), _plus(inner.high, prompt.low))
        case Adjust():
            return None


def _around(points: Sequence[Index]) -> Box:
    lows, highs = zip(*((min(axis), max(axis) + 1) for axis in zip(*points, strict=True)), strict=True)
    return Box((lows[0], lows[1], lows[2]), (highs[0], highs[1], highs[2]))


def _plus(a: Index, b: Index) -> Index:
    return a[0] + b[0], a[1] + b[1], a[2] + b[2]


def check(prompt: Prompt, shape: Sequence[int]) -> None:
    """Raise PromptError unless the prompt lies inside an image of this shape.

    >>> check(Click((0, 7, 0)), (1, 5, 5))
    Traceback (most recent call last):
    ...
    segmend.errors.PromptError: The click reaches (0, 7, 0), outside the image of shape (1, 5, 5).
    """
    if isinstance(prompt, Click):  # there may be a thousand of them
        z, y, x = prompt.index
        if 0 <= z < shape[0] and 0 <= y < shape[1] and 0 <= x < shape[2]:
            return
    kind = kind_of(prompt)
    match prompt:
        case Stroke(points=points) | Lasso(points=points) | Extremes(points=points):
            if not 0 < len(points) <= MAX_POINTS:
                raise PromptError(f"{_one(kind)} needs 1 to {MAX_POINTS} points; got {len(points)}.")
        case Adjust(k=k) if not math.isfinite(k):
            raise PromptError(f"An adjustment needs a finite number; got {k}.")
        case _:
            pass
    if isinstance(prompt, Stroke) and not 0 <= prompt.radius <= 1000:
        raise PromptError(f"A stroke needs a radius of 0 to 1000 voxels; got {prompt.radius}.")
    if isinstance(prompt, Lasso):
        _check_lasso(prompt)
    if isinstance(prompt, Drawn) and not 0 < (count := int(np.count_nonzero(prompt.inside))) <= MAX_DRAWN:
        raise PromptError(f"A drawing needs 1 to {MAX_DRAWN} voxels; got {count}.")
    box = prompt.box if isinstance(prompt, Mask | Drawn) else extent(prompt)
    if box is None:
        return
    if box.size == 0:
        raise PromptError(f"{_one(kind)} needs at least one voxel; got {box.low} to {box.high}.")
    grid = whole(shape)
    if box.clipped(shape) != box:
        last = tuple(h - 1 for h in box.high)
        culprit = box.low if not grid.contains(box.low) else last
        raise PromptError(f"The {kind} reaches {culprit}, outside the image of shape {grid.high}.")


def _one(kind: str) -> str:
    names = {"adjust": "An adjustment", "extremes": "A set of extremes", "drawn": "A drawing"}
    return names.get(kind, f"A {kind}")


def _check_lasso(lasso: Lasso) -> None:
    if lasso.axis not in (0, 1, 2):
        raise PromptError(f"A lasso needs axis 0, 1 or 2; got {lasso.axis}.")
    planes = {point[lasso.axis] for point in lasso.points}
    if len(planes) != 1:
        raise PromptError(f"A lasso needs all its points in one plane; got {len(planes)} planes of axis {lasso.axis}.")


def to_json(prompt: Prompt) -> dict[str, Any]:
    """Return the prompt as plain JSON values.

    >>> to_json(Box((0, 1, 2), (1, 5, 6)))
    {'kind': 'box', 'low': [0, 1, 2], 'high': [1, 5, 6]}
    """
    kind = kind_of(prompt)
    match prompt:
        case Click(index=index, positive=positive):
            return {"kind": kind, "index": list(index), "positive": positive}
        case Stroke(points=points, positive=positive, radius=radius):
            return {"kind": kind, "points": [list(p) for p in points], "positive": positive, "radius": radius}
        case Box(low=low, high=high):
            return {"kind": kind, "low": list(low), "high": list(high)}
        case Lasso(points=points, axis=axis, positive=positive):
            return {"kind": kind, "points": [list(p) for p in points], "axis": axis, "positive": positive}
        case Extremes(points=points):
            return {"kind": kind, "points": [list(p) for p in points]}
        case Adjust(k=k, of=of):
            return {"kind": kind, "k": k, "of": of}
        case Mask(inside=inside, low=low):
            return {"kind": kind, "low": list(low), "shape": list(inside.shape), "bits": _packed(inside)}
        case Drawn(inside=inside, low=low, positive=positive):
            values = {"kind": kind, "low": list(low), "shape": list(inside.shape), "bits": _packed(inside)}
            return {**values, "positive": positive}


def _packed(inside: NDArray[np.bool_]) -> str:
    return base64.b64encode(zlib.compress(np.packbits(inside).tobytes(), 1)).decode()


def from_json(values: Mapping[str, Any]) -> Prompt:
    """Return the prompt that `to_json` wrote; PromptError says what is missing or wrong.

    >>> from_json({"kind": "click", "index": [0, 3, 4]})
    Click(index=(0, 3, 4), positive=True)
    """
    kind = values.get("kind") if isinstance(values, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise PromptError(f"A prompt needs a kind among {', '.join(KINDS)}; got {kind!r}.")
    try:
        match kind:
            case "click":
                return Click(read_index(values["index"]), read_sign(values))
            case "stroke":
                return Stroke(read_points(values), read_sign(values), read_number(values, "radius", 1.0))
            case "box":
                return Box(read_index(values["low"]), read_index(values["high"]))
            case "lasso":
                return Lasso(read_points(values), read_axis(values), read_sign(values))
            case "extremes":
                return Extremes(read_points(values))
            case "adjust":
                return Adjust(read_number(values, "k"), _read_whole(values))
            case "drawn":
                inside, low = _read_crop(values)
                return Drawn(inside, low, read_sign(values))
            case _:
                return Mask(*_read_crop(values))
    except KeyError as missing:
        raise PromptError(f"{_one(kind)} needs {missing.args[0]!r}; got only {sorted(values)}.") from None
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, PromptError):
            raise
        raise PromptError(f"The {kind} could not be read: {error}.") from None


def read_index(values: Any) -> Index:
    if isinstance(values, str) or len(values) != 3:
        raise PromptError(f"An index needs three whole numbers (z, y, x); got {values!r}.")
    numbers = [int(v) for v in values]
    if any(isinstance(v, bool) or n != v for n, v in zip(numbers, values, strict=True)):
        raise PromptError(f"An index needs three whole numbers (z, y, x); got {values!r}.")
    return numbers[0], numbers[1], numbers[2]


def read_points(values: Mapping[str, Any]) -> tuple[Index, ...]:
    points = values["points"]
    if not 0 < len(points) <= MAX_POINTS:
        raise PromptError(f"{_one(values['kind'])} needs 1 to {MAX_POINTS} points; got {len(points)}.")
    return tuple(read_index(point) for point in points)


def read_number(values: Mapping[str, Any], name: str, default: float | None = None) -> float:
    number = values[name] if default is None else values.get(name, default)
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(f"{name!r} needs a number; got {number!r}")
    return float(number)


def read_axis(values: Mapping[str, Any]) -> int:
    axis = values.get("axis", 0)
    if isinstance(axis, bool) or not isinstance(axis, int):
        raise TypeError(f"'axis' needs 0, 1 or 2; got {axis!r}")
    return axis


def _read_whole(values: Mapping[str, Any]) -> Whole:
    of = values.get("of", "truth")  # as everybody meant it who did not say it
    if of not in WHOLES:
        raise PromptError(f"'of' needs {' or '.join(WHOLES)}; got {of!r}.")
    return "mask" if of == "mask" else "truth"


def read_sign(values: Mapping[str, Any]) -> bool:
    positive = values.get("positive", True)
    if not isinstance(positive, bool):
        raise PromptError(f"'positive' needs true or false; got {positive!r}.")
    return positive


def _read_crop(values: Mapping[str, Any]) -> tuple[NDArray[np.bool_], Index]:
    """Return the voxels of a mask or a drawing and where they begin; nothing is unpacked beyond what its shape says."""
    kind = str(values["kind"])
    z, y, x = read_index(values["shape"])
    voxels = z * y * x
    if min(z, y, x) < 1 or voxels > 2**31:
        raise PromptError(f"{_one(kind)} needs a shape of 1 to 2^31 voxels; got {(z, y, x)}.")
    try:
        unpacker = zlib.decompressobj()
        raw = unpacker.decompress(base64.b64decode(values["bits"], validate=True), (voxels + 7) // 8 + 1)
    except zlib.error as error:
        raise PromptError(f"The {kind} could not be read: {error}.") from None
    if len(raw) != (voxels + 7) // 8:
        needed = f"needs {(voxels + 7) // 8} bytes of bits; got {len(raw)}."
        raise PromptError(f"{_one(kind)} of shape {(z, y, x)} {needed}")
    bits = np.unpackbits(np.frombuffer(raw, np.uint8), count=voxels).view(bool)  # a copy could be 2 GB
    return bits.reshape(z, y, x), read_index(values["low"])
