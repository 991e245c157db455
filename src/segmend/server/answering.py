"""How one event is answered: which prompts a method sees, and what it says to paint.

Pure of locks and of the store; `open_session.OpenSession` runs it and paints what comes.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segmend.core.image import Box, MaskArray, Real, bounds
from segmend.core.prompts import Click, Extremes, Prompt, Stroke, kind_of
from segmend.core.segmenter import Method, Prediction, Workspace, answers, label_meant
from segmend.core.session import Finetune, Prompted, Removed, Session
from segmend.server.wire import EMPTY_BOX

OpenWorkspace = Callable[[str], Workspace]  # method id -> its workspace of this session's image


@dataclass(frozen=True, eq=False)
class Part:
    """A label's mask inside one box, to be painted at once."""

    box: Box
    mask: MaskArray  # [z y x] of the box
    quality: float | None = None
    uncertainty: Real | None = None  # [z y x] of the box
    finetuned: bool = False  # by a network that was taught this image
    others_stay: bool = False  # no other label loses a voxel, as if all were locked


class FilteredWorkspace(Workspace):
    """A workspace that is shown only the kinds of prompt its method takes.

    The marks of the others still hold, because `answers` is given all of them.
    """

    def __init__(self, inner: Workspace, card: Method) -> None:
        self.inner = inner
        self.card = card

    def prepare(self) -> None:
        self.inner.prepare()

    def with_finetuning(self, finetune: Finetune) -> FilteredWorkspace:
        return FilteredWorkspace(self.inner.with_finetuning(finetune), self.card)

    def predict(self, prompts: Sequence[Prompt], previous: MaskArray) -> Prediction:
        return self.inner.predict(self._supported(prompts), previous)

    def stream(self, prompts: Sequence[Prompt], previous: MaskArray) -> Iterator[Prediction]:
        return self.inner.stream(self._supported(prompts), previous)

    @property
    def labels(self) -> Mapping[int, str]:
        return self.inner.labels

    def guess(self, label: int) -> Iterator[Prediction]:
        return self.inner.guess(label)

    def _supported(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        return [prompt for prompt in prompts if kind_of(prompt) in self.card.prompts]


def label_of(session: Session, position: int) -> int:
    """Return the label whose mask the answer to this event changes."""
    event = session.events[position]
    if isinstance(event, Removed):
        event = session.events[event.event]
    assert isinstance(event, Prompted), event
    return event.label


def prompts_in_effect(session: Session, position: int) -> list[int]:
    """Return the prompts that this event is answered with: those before it that are still wanted, and itself."""
    wanted = {*session.prompted(), position}
    return [i for i in session.prompted(before=position + 1) if i in wanted]


def prompts_for(session: Session, label: int, positions: Sequence[int]) -> tuple[Prompt, ...]:
    """Return the prompts of these events as one label sees them, oldest first.

    What marks another label positively is not this one.
    """
    prompts: list[Prompt] = []
    for i in positions:
        event = session.events[i]
        assert isinstance(event, Prompted), event
        prompts += [event.prompt] if event.label == label else _as_negative(event.prompt)
    return tuple(prompts)


def answered_prompts(session: Session, position: int) -> tuple[Prompt, ...]:
    """Return the prompts that the answer to this event is given, as its label sees them."""
    return prompts_for(session, label_of(session, position), prompts_in_effect(session, position))


def _as_negative(prompt: Prompt) -> list[Prompt]:
    match prompt:
        case Click(positive=True) | Stroke(positive=True):
            return [replace(prompt, positive=False)]
        case Extremes(points=points):
            return [Click(point, positive=False) for point in points]
        case _:
            return []


def parts(
    session: Session, position: int, previous: MaskArray, open_workspace: OpenWorkspace
) -> Generator[Part | float, None, None]:
    """Yield what to paint for one event, the most wanted first; a number is the share done so far."""
    event = session.events[position]
    if isinstance(event, Prompted):
        prompts = answered_prompts(session, position)
        workspace = open_workspace(event.method).with_finetuning(event.finetune)
        own = _workspace_label(session, event.label, workspace)
        for part in answers(workspace, prompts, previous, label=own, new=1):
            stay = not event.overwrite
            yield Part(part.box, part.mask, part.quality, part.uncertainty, part.finetuned, others_stay=stay)
    else:
        yield from _recompute(session, position, previous, open_workspace)


def _workspace_label(session: Session, label: int, workspace: Workspace) -> int | None:
    """Return which of the labels that a workspace finds by itself a session's label is."""
    return label_meant(workspace.labels, session.labels[label].name, label)


def _recompute(
    session: Session, position: int, previous: MaskArray, open_workspace: OpenWorkspace
) -> Iterator[Part | float]:
    label = label_of(session, position)
    positions = prompts_in_effect(session, position)
    own = [i for i in positions if label_of(session, i) == label]
    mask = np.zeros(previous.shape, bool)
    reached, quality, finetuned = bounds(previous) or EMPTY_BOX, None, False
    for n, i in enumerate(own):
        event = session.events[i]
        assert isinstance(event, Prompted), event
        prompts = prompts_for(session, label, [j for j in positions if j <= i])
        workspace = open_workspace(event.method).with_finetuning(event.finetune)
        changes = list(answers(workspace, prompts, mask, label=_workspace_label(session, label, workspace), new=1))
        finetuned = any(part.finetuned for part in changes)
        for part in changes:
            mask[part.box.slices] = part.mask
            reached, quality = reached.union(part.box), part.quality
        yield (n + 1) / (len(own) + 1)
    yield Part(reached, mask[reached.slices], quality, finetuned=finetuned, others_stay=True)
