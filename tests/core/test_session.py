"""Sessions: what may be said, what is in effect, and that a canvas follows without computing a mask."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from segmend.core.codes import Code, SegmentCodes
from segmend.core.edits import Combine, Cut, Grow, Merge, Paint
from segmend.core.image import Box, LabelMap
from segmend.core.prompts import Adjust, Click, Mask, Stroke
from segmend.core.prompts import Box as BoxPrompt
from segmend.core.session import (
    EMPTY,
    PALETTE,
    Canvas,
    Defined,
    Deleted,
    Edited,
    Event,
    Label,
    Ordered,
    Patch,
    Prompted,
    Redone,
    Removed,
    Session,
    Undone,
    event_from_json,
    event_to_json,
    painted,
)
from segmend.errors import PromptError, SegmendError, ShapeError

SHAPE = (2, 3, 4)
KIDNEY = SegmentCodes(Code("91723000", "Anatomical Structure"), Code("64033007", "Kidney"), Code("7771000", "Left"))
LIVER = Defined(Label(1, "liver", PALETTE[0]))
LOCKED = Defined(Label(1, "liver", PALETTE[0], locked=True))
TUMOUR = Defined(Label(7, "tumour", PALETTE[1]))
CLICK = Prompted(Click((1, 2, 3)), 1, "mend")
MOVED = Prompted(Click((0, 1, 1)), 1, "mend", replaces=1)


def session(*events: Event) -> Session:
    grown = Session(SHAPE)
    for event in events:
        grown = grown.add(event)
    return grown


class TestWhatMayBeSaid:
    @pytest.mark.parametrize(
        ("before", "event", "words"),
        [
            ((), Defined(Label(0, "liver", PALETTE[0])), "A label needs a value of 1 to 65535; got 0"),
            ((), Defined(Label(65536, "liver", PALETTE[0])), "A label needs a value of 1 to 65535; got 65536"),
            ((), Defined(Label(1, " ", PALETTE[0])), "A label needs a name; got an empty one"),
            ((), Defined(Label(1, "liver", (0, 256, 0))), r"three numbers of 0 to 255; got \(0, 256, 0\)"),
            ((), Defined(Label(1, "liver", (0, 0, -1))), "three numbers of 0 to 255"),
            ((), CLICK, "Label 1 is not defined here; there are none"),
            ((TUMOUR,), CLICK, r"Label 1 is not defined here; there are \[7\]"),
            ((LIVER, Undone()), CLICK, "Label 1 is not defined here; there are none"),
            ((LOCKED,), CLICK, r"Label 1 \(liver\) is locked; unlock it to change it"),
            ((LIVER,), Prompted(Click((1, 3, 3)), 1, "mend"), r"The click reaches \(1, 3, 3\), outside the image"),
            ((), Edited(Grow(1.0), 1), "Label 1 is not defined here; there are none"),
            ((LOCKED,), Edited(Grow(1.0), 1), r"Label 1 \(liver\) is locked"),
            ((LIVER,), Edited(Grow(0.0), 1), "that is not 0; got 0"),
            ((LIVER,), Edited(Combine("union", 1), 1), "An edit of label 1 needs another label beside it; got 1 twice"),
            ((TUMOUR, LOCKED), Edited(Combine("union", 1), 7), r"Label 1 \(liver\) is locked"),
            ((LIVER,), Edited(Combine("subtract", 7, 1.0), 1), r"Label 7 is not defined here; there are \[1\]"),
            ((LIVER,), Edited(Cut(((0, 0, 1), (0, 2, 1)), (0, 0, 0), to=7), 1), "Label 7 is not defined here"),
            ((LIVER,), Removed(0), "Only a prompt or an edit in effect can be removed; event 0 is none"),
            ((LIVER, CLICK), Removed(2), "event 2 is none"),
            ((LIVER, CLICK), Removed(-1), "event -1 is none"),
            ((LIVER, CLICK, Removed(1)), Removed(1), "event 1 is none"),
            ((LIVER, CLICK, Removed(1)), Removed(2), "event 2 is none"),
            ((LIVER, CLICK, Undone()), Removed(1), "event 1 is none"),
            ((LIVER, CLICK, LOCKED), Removed(1), "is locked; unlock it"),
            ((LIVER,), Deleted(7), r"Label 7 is not defined here; there are \[1\]"),
            ((LOCKED,), Deleted(1), r"Label 1 \(liver\) is locked"),
            ((LIVER, Deleted(1)), CLICK, "Label 1 is not defined here; there are none"),
            ((LIVER, TUMOUR), Ordered((7, 7)), "An order needs each of its labels once"),
            ((LIVER,), Ordered((1, 7)), r"An order needs each of its labels once, of \[1\]; got \(1, 7\)"),
            ((LIVER,), Edited(Merge(7), 1), r"Label 7 is not defined here; there are \[1\]"),
            ((LIVER,), Edited(Merge(1), 1), "needs another label beside it; got 1 twice"),
            ((LOCKED, TUMOUR), Edited(Merge(1), 7), r"Label 1 \(liver\) is locked"),
            (
                (LIVER, TUMOUR, Edited(Merge(7), 1)),
                Removed(2),
                "A merge of labels can be undone, but not be taken away",
            ),
            ((), Defined(Label(1, "liver", PALETTE[0], opacity=1.5)), "needs an opacity of 0 to 1; got 1.5"),
            ((LIVER, CLICK, TUMOUR), replace(MOVED, label=7), "on the same label can be replaced; event 1 is none"),
            ((LIVER, CLICK, Removed(1)), MOVED, "Only a prompt in effect on the same label can be replaced; event 1"),
            ((LIVER, CLICK, MOVED), MOVED, "event 1 is none"),
            ((LIVER, Edited(Grow(1.0), 1)), MOVED, "event 1 is none"),
            ((), Undone(), "There is nothing to undo"),
            ((LIVER, Undone()), Undone(), "There is nothing to undo"),
            ((LIVER,), Redone(), "There is nothing to redo"),
            ((LIVER, Undone(), TUMOUR), Redone(), "There is nothing to redo"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, before: tuple[Event, ...], event: Event, words: str) -> None:
        with pytest.raises(PromptError, match=words):
            session(*before).add(event)

    @pytest.mark.parametrize("event", [-1, 2])
    def test_an_answer_needs_its_event(self, event: int) -> None:
        with pytest.raises(PromptError, match=f"An answer needs an event of 0 to 1; got {event}"):
            session(LIVER, CLICK).answered(event, EMPTY)


class TestWhatIsInEffect:
    def test_undo_and_redo_move_the_last_event(self) -> None:
        before = session(LIVER, CLICK, CLICK)
        undone = before.add(Undone()).add(Undone())
        redone = undone.add(Redone())
        assert (before.done, before.undone) == ((0, 1, 2), ())
        assert (undone.done, undone.undone) == ((0,), (2, 1))
        assert (redone.done, redone.undone) == ((0, 1), (2,))
        assert before.events == undone.events[:3]

    def test_a_new_event_ends_what_could_be_redone(self) -> None:
        found = session(LIVER, CLICK, Undone(), CLICK)
        assert (found.done, found.undone) == ((0, 3), ())

    def test_what_one_action_made_is_undone_and_redone_in_one_step(self) -> None:
        joined = Defined(TUMOUR.label, joined=True), Prompted(Click((0, 0, 0)), 7, "mend", joined=True)
        loaded = session(LIVER, CLICK, *joined)
        undone = loaded.add(Undone())
        assert (undone.done, undone.undone) == ((0,), (3, 2, 1))
        assert undone.add(Redone()).done == loaded.done
        assert loaded.add(CLICK).add(Undone()).done == loaded.done
        assert session(*joined).add(Undone()).done == ()

    def test_the_latest_definition_holds_until_it_is_undone(self) -> None:
        renamed = session(LIVER, TUMOUR, Defined(Label(1, "spleen", PALETTE[2])))
        assert [label.name for label in renamed.labels.values()] == ["spleen", "tumour"]
        assert [label.name for label in renamed.add(Undone()).labels.values()] == ["liver", "tumour"]

    def test_removed_prompts_are_out_until_that_is_undone(self) -> None:
        found = session(LIVER, TUMOUR, CLICK, Prompted(Click((0, 0, 0)), 7, "mend"), CLICK, Removed(2))
        assert found.prompted() == (3, 4)
        assert found.prompted(1) == (4,)
        assert found.prompted(7) == (3,)
        assert found.prompted(1, before=5) == (2, 4)
        assert found.prompted(1, before=4) == (2,)
        assert found.add(Undone()).prompted(1) == (2, 4)

    def test_a_replaced_prompt_is_out_until_that_is_undone(self) -> None:
        found = session(LIVER, CLICK, CLICK, MOVED)
        assert found.prompted() == (2, 3)
        assert found.prompted(before=3) == (1, 2)
        assert found.add(Undone()).prompted() == (1, 2)
        assert found.add(Undone()).add(Redone()).prompted() == (2, 3)

    def test_a_deleted_label_takes_its_marks_along_and_its_number_is_free_again(self) -> None:
        found = session(LIVER, TUMOUR, CLICK, Deleted(1))
        assert list(found.labels) == [7] and found.marked() == ()
        again = found.add(LIVER).add(CLICK)
        assert list(again.labels) == [7, 1] and again.marked() == (5,)
        assert list(found.add(Undone()).labels) == [1, 7] and found.add(Undone()).marked() == (2,)

    def test_prompts_and_removals_wait_for_answers_and_definitions_do_not(self) -> None:
        found = session(LIVER, CLICK, CLICK, Removed(1))
        assert found.pending == (1, 2, 3)
        assert found.answered(1, EMPTY).answered(3, EMPTY).pending == (2,)
        assert found.add(Undone()).pending == (1, 2)


class TestPatch:
    def test_a_patch_holds_the_changed_box_alone(self) -> None:
        before = np.zeros(SHAPE, np.uint16)
        after = before.copy()
        after[1, 0:2, 2] = 65535
        patch = Patch.between(before[1:], after[1:], low=(1, 0, 0))
        assert patch.box == Box((1, 0, 2), (2, 2, 3))
        assert patch.values.tolist() == [[[65535], [65535]]]

    def test_no_change_is_the_empty_patch(self) -> None:
        same = np.ones(SHAPE, np.uint16)
        assert Patch.between(same, same) is EMPTY
        assert EMPTY.values.shape == (0, 0, 0)

    def test_maps_of_two_shapes_are_refused(self) -> None:
        with pytest.raises(ShapeError, match=r"two maps of one shape; got \(2, 3, 4\) and \(2, 4, 3\)"):
            Patch.between(np.zeros(SHAPE, np.uint16), np.zeros((2, 4, 3), np.uint16))


def test_painting_takes_free_voxels_and_gives_up_its_own() -> None:
    before = np.array([[[0, 1, 2, 3, 1]]], np.uint16)
    mask = np.array([[[True, False, True, True, True]]])
    assert painted(before, mask, 1).tolist() == [[[1, 0, 1, 1, 1]]]
    assert painted(before, mask, 1, locked=[2, 3]).tolist() == [[[1, 0, 2, 3, 1]]]
    assert before.tolist() == [[[0, 1, 2, 3, 1]]]


class TestCanvas:
    def test_undo_shows_what_was_there_before(self) -> None:
        patch = Patch.between(np.zeros(SHAPE, np.uint16), np.full(SHAPE, 1, np.uint16))
        answered = session(LIVER, CLICK).answered(1, patch)
        canvas = Canvas(SHAPE)

        assert canvas.follow(answered) == {0: Box((0, 0, 0), SHAPE)}
        assert canvas.mask(1).all()
        assert canvas.follow(answered) == {}
        assert canvas.follow(answered.add(Undone())) == {0: Box((0, 0, 0), SHAPE)}
        assert not canvas.map.any()
        assert canvas.follow(answered.add(Undone()).add(Redone())) == {0: Box((0, 0, 0), SHAPE)}
        assert canvas.mask(1).all()

    def test_an_answer_may_be_replaced(self) -> None:
        zeros = np.zeros(SHAPE, np.uint16)
        first, second = (Patch.between(zeros, np.full(SHAPE, value, np.uint16)) for value in (1, 2))
        canvas = Canvas(SHAPE)
        canvas.follow(session(LIVER, CLICK).answered(1, first))
        assert canvas.follow(session(LIVER, CLICK).answered(1, second)) == {0: Box((0, 0, 0), SHAPE)}
        assert (canvas.map == 2).all()

    def test_an_answer_already_painted_is_not_painted_again(self) -> None:
        canvas = Canvas(SHAPE)
        before = canvas.map.copy()
        canvas.map[1] = 1
        patch = Patch.between(before, canvas.map)
        canvas.hold(1, patch)
        answered = session(LIVER, CLICK).answered(1, patch)
        assert canvas.follow(answered) == {}
        assert canvas.mask(1).sum() == 12
        canvas.follow(answered.add(Undone()))
        assert not canvas.map.any()


MOVES = st.lists(
    st.one_of(
        st.tuples(st.just("prompt"), st.sampled_from([1, 7]), st.integers(0, 2**32 - 1), st.booleans()),
        st.tuples(st.just("remove"), st.integers(0, 15)),
        st.just(("undo",)),
        st.just(("redo",)),
        st.just(("look",)),
    ),
    max_size=40,
)


def asked(grown: Session, move: tuple[Any, ...]) -> Session:
    """Return the session after one random move, the same session when the move makes no sense there."""
    event: Event
    match move:
        case ("prompt", label, _, _):
            event = Prompted(Click((0, 0, 0)), label, "mend")
        case ("remove", which):
            event = Removed(which)
        case ("undo",):
            event = Undone()
        case _:
            event = Redone()
    try:
        return grown.add(event)
    except PromptError:
        return grown


def replayed(found: Session, truth: dict[int, LabelMap]) -> LabelMap:
    """Return the map of a session by painting its events anew from an empty map."""
    label_map = np.zeros(found.shape, np.uint16)
    for i in found.done:
        if i in truth:
            label_map = truth[i].copy()
    return label_map


@given(MOVES)
def test_a_canvas_that_follows_equals_a_replay(moves: list[tuple[Any, ...]]) -> None:
    grown = session(LIVER, TUMOUR)
    following, work = Canvas(SHAPE), Canvas(SHAPE)
    truth: dict[int, LabelMap] = {}  # the whole map after each event, kept the plain way
    for move in moves:
        if move[0] == "look":  # the viewer skips states in between
            following.follow(grown)
            continue
        before = len(grown.events)
        grown = asked(grown, move)
        if len(grown.events) > before and before in grown.pending:
            work.follow(grown)
            seed, label = (move[2], move[1]) if move[0] == "prompt" else (before, 1)
            mask = np.random.default_rng(seed).random(SHAPE) < 0.4
            after = painted(work.map, mask, label)
            truth[before] = after
            grown = grown.answered(before, Patch.between(work.map, after))
        work.follow(grown)
        np.testing.assert_array_equal(work.map, replayed(grown, truth))
    following.follow(grown)
    fresh = Canvas(SHAPE)
    fresh.follow(grown)
    np.testing.assert_array_equal(following.map, replayed(grown, truth))
    np.testing.assert_array_equal(fresh.map, following.map)


@given(MOVES)
def test_undo_then_redo_changes_nothing(moves: list[tuple[Any, ...]]) -> None:
    grown = session(LIVER, TUMOUR)
    for move in moves:
        grown = asked(grown, move) if move[0] != "look" else grown
    if grown.done:
        there_and_back = grown.add(Undone()).add(Redone())
        assert (there_and_back.done, there_and_back.undone) == (grown.done, grown.undone)
        assert there_and_back.labels == grown.labels


class TestJson:
    @pytest.mark.parametrize(
        "event",
        [
            LOCKED,
            CLICK,
            Prompted(Click((0, 0, 0)), 1, "mend", "off"),
            Prompted(Click((0, 0, 0)), 1, "mend", overwrite=True, joined=True),
            Prompted(Adjust(0.5), 1, "mend"),
            MOVED,
            Defined(TUMOUR.label, joined=True),
            Prompted(Stroke(((0, 0, 0), (0, 2, 3)), positive=False, radius=2.5), 3, "other"),
            Prompted(BoxPrompt((0, 0, 0), (1, 2, 3)), 3, "other"),
            Prompted(Mask(np.eye(3, dtype=bool)[None], (1, 0, 0)), 2, "m"),
            Edited(Grow(-1.5), 2),
            Edited(Paint(((0, 1, 2), (0, 2, 2)), axis=0), 3, overwrite=True),
            Removed(5),
            Deleted(3, joined=True),
            Ordered((7, 1)),
            Edited(Merge(7), 1),
            Defined(Label(2, "GTV", PALETTE[1], opacity=0.25, codes=KIDNEY)),
            Undone(),
            Redone(),
        ],
    )
    def test_an_event_comes_back(self, event: Event) -> None:
        assert event_from_json(json.loads(json.dumps(event_to_json(event)))) == event

    def test_a_prompt_of_before_there_was_a_choice_adapts_by_itself(self) -> None:
        values = event_to_json(CLICK)
        del values["finetune"]

        assert event_from_json(values) == CLICK

    def test_a_prompt_of_before_there_was_a_choice_takes_voxels_of_other_labels(self) -> None:
        values = event_to_json(CLICK)
        del values["overwrite"], values["joined"]

        assert event_from_json(values) == replace(CLICK, overwrite=True)

    @pytest.mark.parametrize(
        ("values", "words"),
        [
            (
                {**event_to_json(CLICK), "finetune": "maybe"},
                "Fine-tuning to the image needs auto, on or off; got 'maybe'",
            ),
            ({**event_to_json(CLICK), "overwrite": 1}, "'overwrite' needs true or false; got 1"),
            ({**event_to_json(CLICK), "joined": "yes"}, "'joined' needs true or false; got 'yes'"),
            ({}, "An event needs a known kind; got None"),
            ({"event": "dreamt"}, "An event needs a known kind; got 'dreamt'"),
            ({"event": ["undone"]}, r"An event needs a known kind; got \['undone'\]"),
            ([], "An event needs a known kind; got None"),
            ({"event": "removed"}, "An event of kind 'removed' needs 'of'; it is not there"),
            ({"event": "removed", "of": "three"}, "An event of kind 'removed' could not be read: invalid literal"),
            ({"event": "removed", "of": 1.5}, "An event needs whole numbers; got 1.5"),
            ({"event": "removed", "of": True}, "An event needs whole numbers; got True"),
            ({"event": "removed", "of": float("inf")}, "An event of kind 'removed' could not be read: cannot convert"),
            ({"event": "prompted", "prompt": 3, "label": 1, "method": "m"}, "A prompt needs a kind among click,"),
            ({"event": "prompted", "prompt": {"kind": []}, "label": 1, "method": "m"}, r"a kind among .*; got \[\]"),
            ({"event": "edited", "label": 1}, "An event of kind 'edited' needs 'edit'; it is not there"),
            ({"event": "edited", "edit": [], "label": 1}, "An edit needs a kind among paint"),
            ({**event_to_json(Edited(Grow(1.0), 1)), "overwrite": 1}, "'overwrite' needs true or false; got 1"),
            ({"event": "defined", "label": 1}, "An event of kind 'defined' could not be read"),
            ({"event": "defined", "label": {"value": 1, "name": "a"}}, "needs 'colour'; it is not there"),
            (
                {"event": "defined", "label": {"value": 1, "name": "a", "colour": [1, 2]}},
                "read: not enough",
            ),
        ],
    )
    def test_what_cannot_be_read_is_refused(self, values: Any, words: str) -> None:
        with pytest.raises(PromptError, match=words):
            event_from_json(values)

    @given(
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=3),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["event", "label", "prompt", "edit", "method", "of", "kind", "index", "mm"]), inner
                )
            ),
        ),
        st.sampled_from(["defined", "prompted", "edited", "removed", "undone"]),
    )
    def test_any_json_is_an_event_or_refused(self, values: Any, kind: str) -> None:
        with suppress(SegmendError):
            event_from_json({**values, "event": kind} if isinstance(values, dict) else values)


def test_events_of_earlier_versions_said_adapt_for_finetune():
    values = event_to_json(CLICK)
    del values["finetune"]

    assert event_from_json({**values, "adapt": "off"}).finetune == "off"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": 5}, "A label needs text as its name; got 5"),
        ({"name": None}, "A label needs text as its name; got None"),
        ({"locked": 1}, "'locked' needs true or false; got 1"),
        ({"locked": "no"}, "'locked' needs true or false; got 'no'"),
    ],
)
def test_a_label_of_other_types_is_refused(change, words):
    with pytest.raises(PromptError, match=words):
        event_from_json({"event": "defined", "label": {"value": 1, "name": "liver", "colour": [1, 2, 3], **change}})


def test_labels_are_listed_in_the_order_they_were_put_in() -> None:
    cyst = Defined(Label(3, "cyst", PALETTE[2]))
    found = session(LIVER, TUMOUR, cyst, Ordered((3, 1)))

    assert list(found.labels) == [3, 1, 7]
    assert list(found.add(Defined(Label(9, "new", PALETTE[3]))).labels) == [3, 1, 7, 9]
    assert list(found.add(replace(LIVER, label=replace(LIVER.label, name="Liver"))).labels) == [3, 1, 7]
    assert list(found.add(Undone()).labels) == [1, 7, 3]
    assert found.pending == ()


def test_a_merged_label_is_gone_with_its_marks_and_undo_brings_both_back() -> None:
    tumour = replace(CLICK, label=7)
    found = session(LIVER, TUMOUR, CLICK, tumour, Edited(Merge(7), 1))

    assert list(found.labels) == [1] and found.marked() == (2, 4) and found.pending == (2, 3, 4)
    back = found.add(Undone())
    assert list(back.labels) == [1, 7] and back.marked() == (2, 3)
    again = found.add(TUMOUR)  # another label of the same number
    assert again.marked(7) == ()
