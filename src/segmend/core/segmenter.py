"""The interface of every method: open an image once, predict often.

A `Segmenter` opens an image into a `Workspace`, which may keep what costs time (features,
graphs, seeds). A workspace answers the prompts of *one* label at a time; what other labels
forbid comes to it as negative prompts. `answer` and `answers` are how everybody asks a
workspace: they hold each prediction to the marks, so "marks are law" is kept in one place.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from html import escape
from types import MappingProxyType
from typing import Any, SupportsIndex

import numpy as np

from segmend.core.calibration import Calibration, Intervals
from segmend.core.drawings import strokes_of
from segmend.core.dynamic_range import in_usual_range
from segmend.core.image import Box, Image, LabelMap, MaskArray, Real, bounds
from segmend.core.marks import marks
from segmend.core.preview import picture
from segmend.core.prompts import KINDS, Drawn, Mask, Prompt, check, is_positive, kind_of
from segmend.core.session import Finetune
from segmend.errors import PromptError, SettingsError, ShapeError

Loading = tuple[Callable[..., "Segmenter"], tuple[object, ...]]  # a function and what it is called with


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a method thinks of the voxels inside `box`; outside it nothing changes."""

    probability: Real  # [z y x] of the box, 0 to 1
    box: Box
    quality: float | None = None  # the Dice it expects of its own mask
    uncertainty: Real | None = None  # [z y x] of the box, 0 (sure) to 1
    finetuned: bool = False  # the network was taught this image for it

    def __post_init__(self) -> None:
        if self.probability.shape != self.box.shape:
            raise ShapeError(f"A prediction for {self.box} needs shape {self.box.shape}; got {self.probability.shape}.")

    def __repr__(self) -> str:
        expected = "" if self.quality is None else f", expected Dice {self.quality:.2f}"
        return f"<Prediction of {int(self.mask.sum())} voxels in {self.box}{expected}>"

    def _repr_html_(self) -> str:
        if self.box.size == 0:
            return escape(repr(self))
        largest = int(self.mask.sum(axis=(1, 2)).argmax())
        shown = picture(self.probability[largest][None], (1, 1), self.mask[largest])
        return f"{shown}<br>{escape(repr(self))}, slice {self.box.low[0] + largest}"

    @property
    def mask(self) -> MaskArray:  # [z y x] of the box
        return np.asarray(self.probability > 0.5)

    def over(self, previous: MaskArray) -> MaskArray:
        """Return the whole mask: this prediction laid over the previous mask.

        >>> half = Prediction(np.ones((1, 1, 2), np.float32), Box((0, 0, 2), (1, 1, 4)))
        >>> half.over(np.array([[[True, False, False, False]]]))
        array([[[ True, False,  True,  True]]])
        """
        mask = previous.copy()
        mask[self.box.slices] = self.mask
        return mask


class Workspace(ABC):
    """One opened image; used by one thread at a time."""

    calibration: Calibration | None = None  # of the Dice that its method expects in images like this one

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # else a dataclass would print its arrays
            cls.__repr__ = Workspace.__repr__  # type: ignore[method-assign]

    def __repr__(self) -> str:
        image = next((value for value in vars(self).values() if isinstance(value, Image)), None)
        return f"<{type(self).__name__}>" if image is None else f"<{type(self).__name__} of {image!r}>"

    @abstractmethod
    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        """Return the mask of one object from all its prompts, oldest first, and its mask so far."""

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        """Yield the answer in parts, the most wanted first; stopping early stops the work.

        Each part speaks for its own box; laid over each other in order they are the answer.
        """
        yield self.predict(prompts, previous)

    def calibrated_stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        """Yield the parts of `stream`, each with what the Dice that was expected of it turned out to be worth."""
        for part in self.stream(prompts, previous):
            if self.calibration is None or part.quality is None:
                yield part
            else:
                yield replace(part, quality=self.calibration.expected(part.quality, prompts))

    def prepare(self) -> None:  # noqa: B027 - most methods have nothing to do
        """Do ahead of the first prompt what is only worth it while nobody waits; it changes no answer."""

    def with_finetuning(self, finetune: Finetune) -> Workspace:
        """Return a workspace of this image that teaches its network the image as said; one just opened is "auto".

        What costs time is shared by both. A method that cannot fine-tune gives the same one.
        """
        return self

    @property
    def labels(self) -> Mapping[int, str]:
        """What it finds in this image without a prompt, by the value that it learned; nothing for most methods."""
        return MappingProxyType({})

    def guess(self, label: int) -> Iterator[Prediction]:
        """Yield the mask of one of `labels` in parts, of which none has two labels."""
        raise SettingsError(f"There is no label {label} to be found here; there are {sorted(self.labels) or 'none'}.")


class Given(Workspace):
    """What takes the newest mask among the prompts as it is; marks hold over it, as over any answer."""

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return replaced(next(prompt for prompt in reversed(prompts) if isinstance(prompt, Mask)), previous)


def replaced(mask: Mask, previous: MaskArray) -> Prediction:
    """Return a mask from elsewhere as the answer; what was there before goes.

    >>> before = np.zeros((1, 2, 5), bool); before[0, 0, 0] = True
    >>> replaced(Mask(np.ones((1, 1, 2), bool), (0, 0, 2)), before).probability.tolist()
    [[[0.0, 0.0, 1.0, 1.0]]]
    """
    box = mask.box.union(bounds(previous) or mask.box)
    values = np.zeros(box.shape, np.float32)
    values[mask.box.within(box)] = mask.inside
    return Prediction(values, box)


class Segmenter(ABC):
    """A method, ready to run.

    One that `methods.load` gave can be pickled: on the other side it is loaded again, from the same weights.
    """

    loaded_by: Loading | None = None  # how to load it again, None where it was made in another way
    calibrations: Mapping[int, Calibration] = MappingProxyType({})  # of the Dice that it expects, in 2 and 3 dimensions

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "__repr__" not in vars(cls):  # else a dataclass would print its networks
            cls.__repr__ = Segmenter.__repr__  # type: ignore[method-assign]
        if "open" in vars(cls):  # here, so that no method can forget it
            cls.open = _open_in_usual_range(cls.open)  # type: ignore[method-assign, assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>" if self.loaded_by is None else f"<{type(self).__name__}, {self.loaded_by[1]}>"

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        return super().__reduce_ex__(protocol) if self.loaded_by is None else self.loaded_by

    @abstractmethod
    def open(self, image: Image) -> Workspace:
        """Return a workspace of this image; whatever is worth doing once happens here.

        An image whose numbers float32 does not hold well comes here in a usual range (`dynamic_range`).
        """


Opening = Callable[[Any, Image], Workspace]  # Segmenter.open, unbound


def _open_in_usual_range(opening: Opening) -> Opening:
    """Return what opens an image after its numbers were brought in a range that methods compute well in."""

    @wraps(opening)
    def open_in_usual_range(self: Segmenter, image: Image) -> Workspace:
        workspace = opening(self, in_usual_range(image))
        if self.calibrations:
            workspace.calibration = self.calibrations.get(2 if image.flat else 3)
        return workspace

    return open_in_usual_range


@dataclass(frozen=True)
class Method:
    """A method's card: what the menus, the CLI and the server say of it before it is loaded.

    `prompts` are kinds from `prompts.KINDS`; `dimensions` holds 2, 3 or both; `weights`
    is "none needed", "shipped" or the one line that trains them. Without any other
    mark, one that `refines` answers a `Mask` with a better one, one that `guesses` an empty mask with its own;
    one that learned several `labels` finds each of them.
    One that `finetunes` can teach its network the image while a person works (`Workspace.with_finetuning`).
    `calibrated` are the dimensions in which the Dice that it expects of a mask was held to the true one (`segmend
    calibrate`); elsewhere no person is shown it. `intervals` say there, by a Dice, between what eight of ten true ones
    lay.
    `good_for` is the sentence that tells a person when to choose it; `robot` plays a person who marks as it is meant.
    A variant is chosen by an id such as `bifseg.unweighted`, whose card is `of_variant`.
    """

    id: str
    title: str
    paper: str
    prompts: tuple[str, ...]
    dimensions: tuple[int, ...]
    weights: str
    refines: bool = False
    guesses: bool = False
    finetunes: bool = False
    labels: tuple[tuple[int, str], ...] = ()  # the values and names of what it learned to find by itself
    calibrated: tuple[int, ...] = ()
    intervals: tuple[tuple[int, Intervals], ...] = ()
    good_for: str = ""
    robot: str = "click"  # one of `segmend.users.USERS`
    variants: tuple[tuple[str, str], ...] = ()  # names of other forms of it, each with a sentence that tells what it is

    def __post_init__(self) -> None:
        assert set(self.prompts) <= set(KINDS), self.prompts

    def of_variant(self, name: str) -> Method:
        """Return the card of one of the variants; SettingsError names those there are."""
        if name not in dict(self.variants):
            there = ", ".join(known for known, _ in self.variants) or "none"
            raise SettingsError(f"The method {self.id!r} has no variant {name!r}; there are {there}.")
        return replace(
            self, id=f"{self.id}.{name}", title=f"{self.title}, {name}", good_for=dict(self.variants)[name], variants=()
        )

    def takes(self, prompt: Prompt) -> bool:
        """Tell whether a prompt is of a kind that this method can take."""
        return ("stroke" if isinstance(prompt, Drawn) else kind_of(prompt)) in self.prompts

    def check(self, prompts: Sequence[Prompt]) -> None:
        """Raise PromptError when a prompt is of a kind that this method cannot take; a drawing it takes as strokes."""
        for prompt in prompts:
            if not self.takes(prompt):
                raise PromptError(f"{self.title} takes {', '.join(self.prompts)}; got {kind_of(prompt)}.")


FIRST = Mask(np.zeros((1, 1, 1), bool))  # an empty mask asks for a first one


def label_meant(labels: Mapping[int, str], name: str, value: int) -> int | None:
    """Return which of the labels that a method finds by itself is meant: by name, else by value, else the only one.

    >>> label_meant({1: "liver", 2: "tumour"}, "Tumour", 1), label_meant({1: "liver", 2: "tumour"}, "object", 1)
    (2, 1)
    """
    by_name = [found for found, called in labels.items() if called.casefold() == name.casefold()]
    if by_name:
        return by_name[0]
    if value in labels:
        return value
    return next(iter(labels)) if len(labels) == 1 else None


def answers(
    workspace: Workspace,
    prompts: Sequence[Prompt],
    previous: MaskArray,
    *,
    label: int | None = None,
    new: int | None = None,
) -> Iterator[Prediction]:
    """Yield the workspace's answer in parts, each obeying every mark inside its box.

    Drawings come to the workspace as strokes, but all their voxels hold.

    The last part also covers marks that no part reached. `label` says which of the workspace's own labels an empty
    mask asks for. `new` is how many of the prompts, the newest, the mask so far has not answered; all where nothing is
    said. Where these are all negative they take away and never add, whatever the method answers.
    """
    for prompt in prompts:
        check(prompt, previous.shape)
    positive, negative = marks(prompts, previous.shape)
    reached: list[Box] = []
    count = len(prompts) if new is None else new
    only_negative = bool(prompts) and not any(is_positive(prompt) for prompt in prompts[len(prompts) - count :])
    if only_negative and not previous.any() and not len(positive):
        yield Prediction(np.zeros((1, 1, 1), np.float32), Box((0, 0, 0), (1, 1, 1)))
        return
    for part in _parts(workspace, prompts, previous, label):
        reached.append(part.box)
        yield _obeying(without_additions(part, previous) if only_negative else part, positive, negative)
    for points, value in ((positive, 1.0), (negative, 0.0)):
        missed = np.ones(len(points), bool)
        for box in reached:
            missed &= ~((points >= box.low) & (points < box.high)).all(axis=1)
        for z, y, x in points[missed].tolist():
            if bool(previous[z, y, x]) != bool(value):
                box = Box((z, y, x), (z + 1, y + 1, x + 1))
                yield Prediction(np.full((1, 1, 1), value, np.float32), box)


def _parts(
    workspace: Workspace, prompts: Sequence[Prompt], previous: MaskArray, label: int | None
) -> Iterator[Prediction]:
    lines = [line for prompt in prompts for line in (strokes_of(prompt) if isinstance(prompt, Drawn) else [prompt])]
    newest = prompts[-1] if prompts else None
    if label is None or not isinstance(newest, Mask) or newest.inside.any():
        yield from workspace.calibrated_stream(lines, previous)
        return
    old = bounds(previous)
    if old is not None:
        yield Prediction(np.zeros(old.shape, np.float32), old)
    yield from workspace.guess(label)


def answer(
    workspace: Workspace,
    prompts: Sequence[Prompt],
    previous: MaskArray,
    *,
    label: int | None = None,
    new: int | None = None,
) -> Prediction:
    """Return the whole answer as one prediction; every marked voxel has its mark's label. See `answers`."""
    return merged(list(answers(workspace, prompts, previous, label=label, new=new)), previous)


@dataclass(frozen=True, eq=False)
class FirstMasks:
    """All that a workspace finds without a prompt: its labels' values, and the Dice that it expects of each."""

    map: LabelMap  # [z y x]
    qualities: Mapping[int, float]


def first_masks(workspace: Workspace, shape: Sequence[int]) -> FirstMasks:
    """Return the masks of all labels of a workspace on a grid of this shape."""
    found, qualities = np.zeros(shape, np.uint16), {}
    nothing = np.zeros(shape, bool)
    for label in workspace.labels:
        for part in answers(workspace, [FIRST], nothing, label=label):
            found[part.box.slices][part.mask] = label
            if part.quality is not None:
                qualities[label] = part.quality
    return FirstMasks(found, qualities)


def merged(parts: Sequence[Prediction], previous: MaskArray) -> Prediction:
    """Return parts, laid over each other and over the previous mask, as one prediction.

    Its quality is the one that the last part to judge gave; where no part is uncertain, uncertainty is 0. One part that
    is fine-tuned makes it fine-tuned.

    >>> ones = np.ones((1, 1, 1), np.float32)
    >>> parts = [Prediction(ones, Box((0, 0, x), (1, 1, x + 1))) for x in (1, 3)]
    >>> merged(parts, np.array([[[False, False, True, False]]])).probability.tolist()
    [[[1.0, 1.0, 1.0]]]
    """
    if len(parts) == 1:
        return parts[0]
    box = parts[0].box
    for part in parts[1:]:
        box = box.union(part.box)
    probability = previous[box.slices].astype(np.float32)
    uncertainty = np.zeros(box.shape, np.float32) if any(part.uncertainty is not None for part in parts) else None
    for part in parts:
        at = part.box.within(box)
        probability[at] = part.probability
        if uncertainty is not None:
            uncertainty[at] = 0 if part.uncertainty is None else part.uncertainty
    qualities = [part.quality for part in parts if part.quality is not None]
    finetuned = any(part.finetuned for part in parts)
    return Prediction(probability, box, qualities[-1] if qualities else None, uncertainty, finetuned)


def without_additions(part: Prediction, previous: MaskArray) -> Prediction:
    """Return a part of an answer to a negative mark, which may take away and never adds.

    >>> part = Prediction(np.array([[[0.9, 0.9, 0.1]]], np.float32), Box((0, 0, 0), (1, 1, 3)))
    >>> without_additions(part, np.array([[[True, False, True]]])).mask.tolist()
    [[[True, False, False]]]
    """
    inside = previous[part.box.slices]
    if not (part.mask & ~inside).any():
        return part
    return replace(part, probability=np.where(inside, part.probability, np.minimum(part.probability, 0.5)))


def _obeying(part: Prediction, positive: np.ndarray, negative: np.ndarray) -> Prediction:
    probability = part.probability
    for points, value in ((positive, 1.0), (negative, 0.0)):
        inside = ((points >= part.box.low) & (points < part.box.high)).all(axis=1)
        if inside.any():
            probability = probability.copy() if probability is part.probability else probability
            probability[tuple((points[inside] - part.box.low).T)] = value
    return part if probability is part.probability else replace(part, probability=probability)
