"""What people have accepted: cases that are done, and objects whose labels are locked, to learn from and to check on.

Of a case that is done or accepted all labels count. In any other a locked label's voxels never change, so locking a
label says that its object is right: such a case is accepted when a label is locked that has voxels, and labels that
are not locked count as background. Of several sessions at one case the newest with an accepted object counts. A case
that was rejected is not accepted, whatever is locked in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segmend.core.image import LabelMap
from segmend.core.layers import flattened
from segmend.core.session import Canvas, Session
from segmend.datasets.case import Case, Example
from segmend.store.store import Store


@dataclass(frozen=True)
class AcceptedCase(Case):
    """An accepted case of a store that is open; `name` is the case's id, `given_name` what people call it."""

    store: Store
    session: str
    given_name: str
    done: bool  # all of its labels are accepted, not the locked ones alone

    @property
    def title(self) -> str:
        return self.given_name

    def read(self) -> Example:
        image = self.store.image(self.name)
        return Example(image, image, accepted_labels(self.store.session(self.session), done=self.done))


def accepted_cases(store: Store, project: str | None = None) -> tuple[AcceptedCase, ...]:
    """Return the accepted cases of a store, or of one project, oldest first."""
    found = []
    for case in store.cases(project):
        if case.status == "rejected":
            continue
        done, sessions = case.status in ("done", "accepted"), [record.id for record in store.sessions(case.id)]
        accepted = (s for s in reversed(sessions) if accepted_labels(store.session(s), done=done).any())
        if (newest := next(accepted, None)) is not None:
            found.append(AcceptedCase(Path(case.project), case.id, store, newest, case.name, done))
    return tuple(found)


def accepted_labels(session: Session, *, done: bool) -> LabelMap:  # [z y x]
    """Return the label map of a session with its accepted labels alone: all where its case is done."""
    if not done:
        return locked_labels(session)
    canvas = Canvas(session.shape)
    canvas.follow(session)
    return flattened(canvas.layers, session.labels)


def locked_labels(session: Session) -> LabelMap:  # [z y x]
    """Return the label map of a session with its locked labels alone.

    >>> from segmend.core.session import PALETTE, Defined, Label
    >>> bool(locked_labels(Session((1, 2, 3)).add(Defined(Label(1, "lesion", PALETTE[0])))).any())
    False
    """
    kept = [value for value, label in session.labels.items() if label.locked]
    if not kept:
        return np.zeros(session.shape, np.uint16)
    canvas = Canvas(session.shape)
    canvas.follow(session)
    layers = {layer: np.where(np.isin(one, kept), one, 0).astype(np.uint16) for layer, one in canvas.layers.items()}
    return flattened(layers, session.labels)
