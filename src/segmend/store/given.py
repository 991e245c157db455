"""Masks from elsewhere as the first version of a case: a session in which each label was given its mask."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from segmend.core.image import LabelMap, MaskArray, bounds
from segmend.core.layers import label_mask, map_with
from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, PALETTE, Defined, Label, Patch, Prompted
from segmend.store.records import CaseRecord, SessionRecord
from segmend.store.store import Store
from segmend.store.tables import NAME_LENGTH


def add_masks(
    store: Store, case: CaseRecord, label_map: LabelMap, names: Mapping[int, str], *, user: str = ""
) -> SessionRecord:
    """Return a new session of a case with these masks, to be mended like any other; they are undone in one step.

    Of maps [layer z y x] the labels beyond the first layer may share voxels with others.
    """
    given = []
    layers: dict[int, int] = {}  # of labels by the number of their map
    for value in np.unique(label_map).tolist():
        if value:
            name = " ".join((names.get(value) or f"label {value}").split())[:NAME_LENGTH]
            number = map_with(label_map, value)
            layer = layers.setdefault(number, value) if number else 0
            label = Label(value, name, PALETTE[(value - 1) % len(PALETTE)], layer=layer)
            given.append((label, label_mask(label_map, value)))
    return add_labels(store, case, given, user=user)


def add_labels(
    store: Store, case: CaseRecord, given: Iterable[tuple[Label, MaskArray]], *, user: str = ""
) -> SessionRecord:
    """Return a new session of a case in which each of these labels has its mask; they are undone in one step."""
    record = store.add_session(case.id, user=user)
    position = 0
    for label, inside in given:
        store.append(record.id, position, Defined(label, joined=position > 0), user=user)
        position += 1
        if (box := bounds(inside)) is None:
            continue
        mask = Prompted(Mask(inside[box.slices], box.low), label.value, GIVEN, joined=True)
        store.append(record.id, position, mask, user=user)
        after = np.where(inside[box.slices], label.value, 0).astype(np.uint16)
        store.answer(record.id, position, Patch.between(np.zeros_like(after), after, box.low))
        position += 1
    return record
