"""Masks from elsewhere as the first version of a case: a session in which each label was given its mask."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from segmend.core.image import LabelMap, bounds
from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, PALETTE, Defined, Event, Label, Patch, Prompted
from segmend.store.records import CaseRecord, SessionRecord
from segmend.store.store import Store
from segmend.store.tables import NAME_LENGTH


def add_masks(
    store: Store, case: CaseRecord, label_map: LabelMap, names: Mapping[int, str], *, user: str = ""
) -> SessionRecord:
    """Return a new session of a case with these masks, to be mended like any other; they are undone in one step."""
    record = store.add_session(case.id, user=user)
    position, joined = 0, False
    for value in np.unique(label_map).tolist():
        if not value:
            continue
        inside = label_map == value
        box = bounds(inside)
        assert box is not None
        name = " ".join((names.get(value) or f"label {value}").split())[:NAME_LENGTH]
        label = Label(value, name, PALETTE[(value - 1) % len(PALETTE)])
        given = Prompted(Mask(inside[box.slices], box.low), value, GIVEN, joined=True)
        events: tuple[Event, ...] = (Defined(label, joined=joined), given)
        for event in events:
            store.append(record.id, position, event, user=user)
            position += 1
        after = np.where(inside[box.slices], value, 0).astype(np.uint16)
        store.answer(record.id, position - 1, Patch.between(np.zeros_like(after), after, box.low))
        joined = True
    return record
