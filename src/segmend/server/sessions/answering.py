"""How one event is answered: which prompts a method sees, or which voxels an edit changes, and what to paint.

Pure of locks and of the store; `open_session.OpenSession` runs it and paints what comes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from segmend.core.edits import Combine, Merge
from segmend.core.image import Box, Image, LabelMap, MaskArray, Real, bounds
from segmend.core.prompts import Click, Drawn, Extremes, Prompt, Stroke, kind_of
from segmend.core.segmenter import Method, Prediction, Workspace, answers, label_meant
from segmend.core.session import Canvas, Deleted, Edited, Finetune, Marked, Prompted, Removed, Session, taken_away
from segmend.editing.edited import Change, edited, laid_over
from segmend.editing.keeping import EditedVoxels, edits_label, keep_edits, prompts_with_edits
from segmend.editing.reaching import within_reach
from segmend.server.sessions.wire import EMPTY_BOX

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


@dataclass(frozen=True, eq=False)
class EditPart:
    """An edit's change of a label's mask, and of others' where it says so."""

    change: Change
    overwrite: bool

    @property
    def box(self) -> Box:
        return self.change.box

    def over(self, before: LabelMap, label: int, locked: Collection[int]) -> LabelMap:
        """Return the label map of the box after it."""
        return laid_over(before, self.change, label, locked=locked, overwrite=self.overwrite)


@dataclass(frozen=True, eq=False)
class RestoredPart:
    """What other labels lost or gained by an edit that is taken back, where nothing has changed it since."""

    box: Box
    before: LabelMap  # [z y x] of the box, as the edit found it
    after: LabelMap  # and as it left it
    others: MaskArray  # where another label lost or gained

    def over(self, now: LabelMap, label: int, locked: Collection[int]) -> LabelMap:
        """Return the label map of the box with those voxels as they were before the edit."""
        back = self.others & (now == self.after) & ~np.isin(now, list(locked)) & ~np.isin(self.before, list(locked))
        return np.where(back, self.before, now)


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
        return self.inner.calibrated_stream(self._supported(prompts), previous)

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
    assert isinstance(event, Marked | Deleted), event
    return event.label


def prompts_in_effect(session: Session, position: int) -> list[int]:
    """Return the prompts that this event is answered with: those before it that are still wanted, and itself."""
    wanted = {*session.prompted(), position}
    return [i for i in session.prompted(before=position + 1) if i in wanted]


def prompts_for(session: Session, label: int, positions: Sequence[int], *, layer: int) -> tuple[Prompt, ...]:
    """Return the prompts of these events as one label of a layer sees them, oldest first.

    What marks another label of the layer positively is not this one; what marks one of another layer says nothing.
    """
    prompts: list[Prompt] = []
    for i in positions:
        event = session.events[i]
        assert isinstance(event, Prompted), event
        if event.label == label:
            prompts.append(event.prompt)
        elif session.layer_of(i) == layer:
            prompts += _as_negative(event.prompt)
    return tuple(prompts)


def answered_prompts(session: Session, position: int) -> tuple[Prompt, ...]:
    """Return the prompts that the answer to this event is given, as its label sees them; none for an edit."""
    if isinstance(session.events[position], Edited | Deleted):
        return ()
    label, layer = label_of(session, position), session.layer_of(position)
    return prompts_for(session, label, prompts_in_effect(session, position), layer=layer)


def _as_negative(prompt: Prompt) -> list[Prompt]:
    match prompt:
        case Click(positive=True) | Stroke(positive=True) | Drawn(positive=True):
            return [replace(prompt, positive=False)]
        case Extremes(points=points):
            return [Click(point, positive=False) for point in points]
        case _:
            return []


@dataclass(frozen=True, eq=False)
class Scene:
    """What an answer may look at besides the log: the image and its workspaces, and the masks as they are."""

    open_workspace: OpenWorkspace
    image: Callable[[], Image]
    mask_of: Callable[[int], MaskArray]
    edited: MaskArray | None = None  # [z y x] voxels that were last changed by an edit


def parts(
    session: Session, position: int, previous: MaskArray, scene: Scene
) -> Generator[Part | EditPart | RestoredPart | float, None, None]:
    """Yield what to paint for one event, the most wanted first; a number is the share done so far."""
    event = session.events[position]
    if isinstance(event, Prompted) and event.replaces is not None:
        for again in _without(session, event.replaces, position, previous, scene):
            yield replace(again, others_stay=not event.overwrite) if isinstance(again, Part) else again
    elif isinstance(event, Prompted):
        for part in _prompted(session, event, prompts_in_effect(session, position), previous, scene):
            stay = not event.overwrite
            yield Part(part.box, part.mask, part.quality, part.uncertainty, part.finetuned, others_stay=stay)
    elif isinstance(event, Edited):
        change = edited(event.edit, previous, scene.image(), scene.mask_of)
        if change is not None:
            yield EditPart(change, event.overwrite)
    elif isinstance(event, Deleted):
        box = bounds(previous) or EMPTY_BOX
        yield Part(box, np.zeros(box.shape, bool), others_stay=True)
    else:
        assert isinstance(event, Removed), event
        yield from _without(session, event.event, position, previous, scene)


def _prompted(
    session: Session, event: Prompted, positions: Sequence[int], previous: MaskArray, scene: Scene
) -> Iterator[Prediction]:
    """Yield a method's answer to the last of some prompts, which leaves edits far from it as they are."""
    workspace = scene.open_workspace(event.method).with_finetuning(event.finetune)
    layer = session.layer_of(positions[-1])
    prompts = [(i, prompt) for i in positions for prompt in prompts_for(session, event.label, [i], layer=layer)]
    edits = [i for i in _marked_in_effect(session, positions[-1]) if edits_label(session.events[i], event.label)]
    seen = prompts_with_edits(prompts, edits, previous, scene.edited)
    label = _workspace_label(session, event.label, workspace)
    found = keep_edits(answers(workspace, seen, previous, label=label, new=1), event.prompt, previous, scene.edited)
    return within_reach(found, event.prompt, event.reach, previous, scene.image().spacing.tolist())


def _workspace_label(session: Session, label: int, workspace: Workspace) -> int | None:
    """Return which of the labels that a workspace finds by itself a session's label is."""
    known = session.labels.get(label)  # none where it was deleted before this was answered
    return None if known is None else label_meant(workspace.labels, known.name, label)


def _without(
    session: Session, gone: int, position: int, previous: MaskArray, scene: Scene
) -> Iterator[Part | RestoredPart | float]:
    """Yield what to paint when an earlier prompt or edit is taken away: its label's mask worked out again without it.

    A prompt that was put in its place is the last of those gone through.

    Without a prompt that is done from its first event on; without an edit from that edit on, and other labels get
    back what it changed of them.
    """
    label = label_of(session, position)
    own = [
        i
        for i in _marked_in_effect(session, position)
        if label_of(session, i) == label or edits_label(session.events[i], label)
    ]
    start, since, touched = np.zeros(previous.shape, bool), -1, None
    if isinstance(session.events[gone], Edited):
        then = Canvas(session.shape)
        then.follow(_until(session, gone))
        yield from _restored(session, gone, label, then.layer(session.layer_of(gone)))
        if not _removed_since(session, gone, position, label):
            start, since = then.mask(label), gone
            touched = EditedVoxels(session.shape, label).before(session, gone)
    reached = (bounds(previous) or EMPTY_BOX).union(bounds(start) or EMPTY_BOX)
    replay = _Replay(session, label, start, touched, scene)
    later = [i for i in own if i > since]
    for n, i in enumerate(later):
        reached = reached.union(replay.add(i))
        yield (n + 1) / (len(later) + 1)
    yield Part(reached, replay.mask[reached.slices], replay.quality, finetuned=replay.finetuned, others_stay=True)


def _marked_in_effect(session: Session, position: int) -> list[int]:
    """Return the prompts and edits before an event that are still wanted, and itself."""
    wanted = {*session.marked(), position}
    return [i for i in session.marked(before=position + 1) if i in wanted]


def _until(session: Session, position: int) -> Session:
    """Return the session with the answers that came before an event, as far as they are in effect now."""
    return replace(session, answers={i: patch for i, patch in session.answers.items() if i < position})


def _removed_since(session: Session, since: int, position: int, label: int) -> bool:
    """Tell whether something else of the label, from before an event, was taken away after it."""
    gone = [taken_away(session.events[i]) for i in session.done if since < i < position]
    return any(earlier is not None and earlier < since and label_of(session, earlier) == label for earlier in gone)


def _restored(session: Session, gone: int, label: int, then: LabelMap) -> Iterator[RestoredPart]:
    patch = session.answers.get(gone)
    if patch is None or not patch.box.size:
        return
    before = then[patch.box.slices]
    after = before ^ patch.values
    others = (before != after) & ~(np.isin(before, (0, label)) & np.isin(after, (0, label)))
    if others.any():
        yield RestoredPart(patch.box, before.copy(), after, others)


class _Replay:
    """A label's mask while its prompts and edits are gone through again."""

    def __init__(self, session: Session, label: int, start: MaskArray, touched: MaskArray | None, scene: Scene) -> None:
        self.session = session
        self.label = label
        self.mask = start
        self.touched = touched  # voxels that were last changed by an edit
        self.scene = scene
        self.quality: float | None = None
        self.finetuned = False

    def add(self, position: int) -> Box:
        """Go through one more event; return the box that it may have changed."""
        event = self.session.events[position]
        if isinstance(event, Prompted):
            return self._answer(position, event)
        assert isinstance(event, Edited), event
        if self.touched is None:
            self.touched = np.zeros(self.mask.shape, bool)
        change = self._change(position, event)
        if change is None:
            return EMPTY_BOX
        here = self.mask[change.box.slices]
        self.touched[change.box.slices] |= here ^ change.mask
        here[...] = change.mask
        return change.box

    def _answer(self, position: int, event: Prompted) -> Box:
        positions = [i for i in prompts_in_effect(self.session, position) if i <= position]
        scene = replace(self.scene, edited=self.touched)
        changes = list(_prompted(self.session, event, positions, self.mask, scene))
        reached = EMPTY_BOX
        self.finetuned = any(part.finetuned for part in changes)
        for part in changes:
            here = self.mask[part.box.slices]
            if self.touched is not None:
                self.touched[part.box.slices] &= here == part.mask
            here[...] = part.mask
            reached, self.quality = reached.union(part.box), part.quality
        return reached

    def _change(self, position: int, event: Edited) -> Change | None:
        """Return what an edit makes of the mask as it is now; one of another label gives and takes what it did then."""
        if event.label == self.label:
            seen = self._mask_then(position) if isinstance(event.edit, Combine | Merge) else self.scene.mask_of
            return edited(event.edit, self.mask, self.scene.image(), seen)
        patch = self.session.answers.get(position)
        if patch is None or not patch.box.size:
            return None
        then = Canvas(self.session.shape)
        then.follow(_until(self.session, position))
        before = then.layer(self.session.layer_of(position))[patch.box.slices]
        after = before ^ patch.values
        here = self.mask[patch.box.slices]
        return Change(patch.box, (here | (after == self.label)) & ~((before == self.label) & (after != self.label)))

    def _mask_then(self, position: int) -> Callable[[int], MaskArray]:
        """Return what gives other labels' masks as an edit found them: what it took over is its own now."""
        then = Canvas(self.session.shape)
        then.follow(_until(self.session, position))
        return then.mask
