"""Objects whose labels are locked are cases to learn from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from segmend.core.image import Image
from segmend.core.session import PALETTE, Defined, Event, Label, Patch, Prompted, Undone
from segmend.store import Store
from segmend.store.accepted import accepted_cases
from tests.store.drawn import CLICK, SHAPE, image

LESION, LIVER = Label(1, "lesion", PALETTE[0]), Label(2, "liver", PALETTE[1])


def annotate(store: Store, case: str, values: dict[int, int], *locked: Label) -> str:
    """Put slices full of label values into a new session, then lock some of the labels."""
    session = store.add_session(case).id
    before = np.zeros(SHAPE, np.uint16)
    after = before.copy()
    for z, value in values.items():
        after[z] = value
    events: list[Event] = [
        Defined(LESION),
        Defined(LIVER),
        CLICK,
        *(Defined(replace(label, locked=True)) for label in locked),
    ]
    for position, event in enumerate(events):
        store.append(session, position, event)
        if isinstance(event, Prompted):
            store.answer(session, position, Patch.between(before, after))
    return session


def test_only_locked_labels_are_accepted(tmp_path: Path) -> None:
    with Store.local(tmp_path) as store:
        case = store.add_case("a head", image())
        annotate(store, case.id, {0: 1, 2: 2}, LIVER)

        (found,) = accepted_cases(store)
        example = found.read()

        assert (found.title, found.name, found.instances) == ("a head", case.id, False)
        assert example.labels.max(axis=(1, 2)).tolist() == [0, 0, 2]
        assert example.image.shape == SHAPE and example.first is example.image


def test_cases_without_a_locked_object_are_not_accepted(tmp_path: Path) -> None:
    with Store.local(tmp_path) as store:
        for values, labels in (({0: 1}, ()), ({0: 1}, (LIVER,)), ({}, (LESION,))):
            annotate(store, store.add_case("a head", image()).id, values, *labels)
        store.add_case("not looked at", Image(np.zeros((1, 2, 3, 4))))

        assert accepted_cases(store) == ()


def test_what_was_unlocked_or_undone_is_not_accepted_any_more(tmp_path: Path) -> None:
    with Store.local(tmp_path) as store:
        case = store.add_case("a head", image())
        session = annotate(store, case.id, {0: 1}, LESION)
        assert len(accepted_cases(store)) == 1

        store.append(session, 4, Undone())

        assert accepted_cases(store) == ()


def test_the_newest_session_that_was_accepted_counts(tmp_path: Path) -> None:
    with Store.local(tmp_path) as store:
        case = store.add_case("a head", image())
        annotate(store, case.id, {0: 1}, LESION)
        newer = annotate(store, case.id, {1: 1}, LESION)
        annotate(store, case.id, {2: 1})  # and is not accepted

        (found,) = accepted_cases(store)

        assert found.session == newer
        assert found.read().labels.any(axis=(1, 2)).tolist() == [False, True, False]


def test_a_project_has_its_own_cases(tmp_path: Path) -> None:
    with Store.local(tmp_path) as store:
        store.add_project("livers")
        for project in ("default", "livers"):
            annotate(store, store.add_case(f"of {project}", image(), project=project).id, {0: 1}, LESION)

        assert [case.title for case in accepted_cases(store, "livers")] == ["of livers"]
        assert len(accepted_cases(store)) == 2
