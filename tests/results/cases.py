"""A store with annotated cases, made without a method: their answers are written down as they are."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from segmend.core.image import Image, LabelMap, scale_affine
from segmend.core.prompts import Mask
from segmend.core.session import GIVEN, Defined, Label, Patch, Prompted, Session
from segmend.store import Store
from segmend.store.records import CaseRecord

RED, GREEN = (230, 75, 60), (90, 190, 90)
KIDNEY, STONE = Label(1, "Left kidney", RED), Label(3, "=stone", GREEN)


def kidney_map() -> LabelMap:
    label_map = np.zeros((6, 9, 12), np.uint16)
    label_map[1:5, 2:7, 3:10] = 1
    label_map[2:4, 3:5, 4:6] = 3
    return label_map


def volume() -> Image:
    affine = scale_affine((4.0, 2.0, 1.0))
    affine[:3, 3] = (10, 20, 30)
    return Image(np.arange(6 * 9 * 12, dtype=np.int16).reshape(1, 6, 9, 12), affine)


def photograph() -> Image:
    colours = np.random.default_rng(5).integers(0, 255, (3, 1, 20, 30)).astype(np.uint8)
    return Image(colours)


def annotate(store: Store, case: CaseRecord, label_map: LabelMap, labels: Sequence[Label], user: str = "anna") -> str:
    """Give a case a session in which each label's mask was loaded from a file; return its id."""
    record = store.add_session(case.id, user=user)
    session, before = Session(case.shape), np.zeros(case.shape, np.uint16)
    for label in labels:
        event = Prompted(Mask(label_map == label.value), label.value, GIVEN)
        for one in (Defined(label), event):
            store.append(record.id, len(session.events), one, user=user)
            session = session.add(one)
        after = before.copy()
        after[label_map == label.value] = label.value
        store.answer(record.id, len(session.events) - 1, Patch.between(before, after))
        before = after
    return record.id


def fill(folder: Path) -> Store:
    """Return a store with an annotated volume and photograph, an untouched case, and one of the volume's name."""
    store = Store.local(folder)
    one = store.add_case("CT, abdomen", volume(), modality="CT", patient="DOE^JANE 77", study_date="2026-01-02")
    annotate(store, one, kidney_map(), (KIDNEY, STONE))
    store.set_status(one.id, "done", "seen twice", user="bert")
    picture = store.add_case("mole", photograph(), modality="XC")
    spot = np.zeros((1, 20, 30), np.uint16)
    spot[0, 5:15, 8:20] = 2
    annotate(store, picture, spot, (Label(2, "left  KIDNEY", GREEN),))
    store.add_case("untouched", volume())
    twin = store.add_case("CT, abdomen", volume(), modality="CT")
    annotate(store, twin, np.where(kidney_map() == 1, 5, 0).astype(np.uint16), (Label(5, "left kidney", RED),))
    return store
