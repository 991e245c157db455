"""What an event would change, or what another method would have made of the same marks: worked out, and not stored.

Nothing of a session changes, so there is nothing to undo and nothing that a crash could leave. Whoever then wants the
change sends the event itself, and its answer is worked out again, on features that are there by then.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass

import numpy as np

from segmend.core.image import Box, Image, LabelMap, MaskArray, bounds
from segmend.core.segmenter import Method, answers, label_meant
from segmend.core.session import Asking, Event, Session
from segmend.errors import PromptError
from segmend.server.sessions.answering import OpenWorkspace, prompts_for
from segmend.server.sessions.replaying import answering_anew
from segmend.server.sessions.wire import EMPTY_BOX

Values = Callable[[Box, int], LabelMap]  # the label map of a layer in a box, as it is now


@dataclass(frozen=True, eq=False)
class Preview:
    """The label values of a box as they would be; outside it nothing would change."""

    events: int  # how long the log was that it is about
    box: Box
    values: LabelMap
    layer: int = 0


Steps = Generator[None, None, Preview]  # what works one out, with pauses


def check_preview(event: Event) -> None:
    """Raise PromptError unless an event is one that changes masks."""
    if not isinstance(event, Asking):
        raise PromptError("Only a mark, an edit or a removal can be looked at before it is made.")


def previewed(
    session: Session, event: Event, open_workspace: OpenWorkspace, image: Callable[[], Image], values: Values
) -> Steps:
    """Work out what an event would change in a session all of whose events are answered."""
    position = len(session.events)
    draft = yield from answering_anew(session.add(event), position, open_workspace, image)
    patch = draft.patch()
    return Preview(position, patch.box, values(patch.box, draft.layer) ^ patch.values, draft.layer)


def compared(session: Session, label: int, card: Method, open_workspace: OpenWorkspace, values: Values) -> Steps:
    """Work out the mask that another method makes of all marks of a label at once, beginning with none.

    Edits by hand and by rule are left aside, for they are no method's. Other labels keep their voxels.
    """
    positions = session.prompted()
    layer = session.labels[label].layer
    prompts = prompts_for(session, label, positions, layer=layer)
    if not any(session.events[i].label == label for i in positions):  # type: ignore[union-attr]
        raise PromptError("This label has no marks yet that another method could be given.")
    taken = [prompt for prompt in prompts if card.takes(prompt)]
    if not taken:
        raise PromptError(f"{card.title} takes {', '.join(card.prompts)}, and none of these marks.")
    workspace = open_workspace(card.id).with_finetuning("off")
    mask: MaskArray = np.zeros(session.shape, bool)
    named = label_meant(workspace.labels, session.labels[label].name, label)
    for part in answers(workspace, prompts, np.zeros(session.shape, bool), label=named):
        mask[part.box.slices] = part.mask
        yield
    now = values(Box((0, 0, 0), session.shape), layer)
    box = (bounds(mask) or EMPTY_BOX).union(bounds(now == label) or EMPTY_BOX)
    after = now[box.slices].copy()
    after[after == label] = 0
    after[mask[box.slices] & (after == 0)] = label
    return Preview(len(session.events), box, after, layer)
