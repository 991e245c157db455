"""Edits in sessions: answered like prompts, undone, removed, replayed; and later prompts leave them as they are."""

import json

import numpy as np
import pytest

from segmend.core.prompts import Drawn, to_json
from segmend.core.session import Canvas, Session
from tests.server.running import Client, clicked, defined, rooms

BOX, BAR, OUTSIDE = (1, 2, 2), (1, 2, 5), (1, 0, 0)
GREY = rooms().voxels[0]


def edited(kind, *, label=1, overwrite=False, **values):
    return {"event": "edited", "edit": {"kind": kind, **values}, "label": label, "overwrite": overwrite}


def erased(*points, **values):
    return edited("paint", points=[list(point) for point in points], positive=False, radius=0, axis=0, **values)


def drawn(inside, low=(0, 0, 0), positive=True):
    return to_json(Drawn(np.asarray(inside, bool), low, positive))


@pytest.fixture
def live(server, session):
    with Client(server.address, session) as client:
        client.do(defined(1))
        client.do(defined(2, "bar"))
        yield client


def replayed(store, session, events):
    """Return the label map that the stored answers of the first events make."""
    log = store.session(session)
    canvas = Canvas(log.shape)
    canvas.follow(Session(log.shape, log.events[:events], log.answers))
    return canvas.map


def test_an_edit_is_answered_like_a_prompt_over_the_socket(live, store, session):
    live.do(clicked(BOX))

    number = live.send(edited("grow", mm=0.8))
    accepted = live.next("accepted", id=number)
    answered = live.next("answered", position=accepted["position"])

    assert accepted["event"]["edit"] == {"kind": "grow", "mm": 0.8}
    assert answered["quality"] is None and not answered["withdrawn"]
    assert live.map[1].tolist() == [
        [0, 1, 1, 1, 0, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 1, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    np.testing.assert_array_equal(replayed(store, session, 4), live.map)


def test_undo_and_redo(live):
    live.do(clicked(BOX))
    before = live.map.copy()
    live.do(erased((1, 2, 2)))
    after = live.map.copy()

    assert before[1, 2, 2] == 1 and after[1, 2, 2] == 0 and (before != after).sum() == 1
    live.do({"event": "undone"})
    np.testing.assert_array_equal(live.map, before)
    live.do({"event": "redone"})
    np.testing.assert_array_equal(live.map, after)


def test_a_mark_far_away_takes_no_edit_back(live):
    """Flood takes the regions of all its marks anew with each: the edit would be gone."""
    live.do(clicked(BOX))
    live.do(erased((1, 1, 1), (1, 3, 1)))
    live.do(edited("paint", points=[[1, 5, 0]], radius=0, axis=0))

    live.do(clicked(BAR))

    assert live.map[1, 1:4, 1].tolist() == [0, 0, 0] and live.map[1, 5, 0] == 1
    assert live.map[1, 2, 5] == 1 and live.map[0, 2, 1] == 1


def test_a_mark_where_something_was_erased_brings_it_back(live):
    live.do(clicked(BOX))
    live.do(erased((1, 1, 1), (1, 3, 1)))

    live.do(clicked((1, 2, 1)))

    np.testing.assert_array_equal(live.map == 1, GREY == 10)


def test_a_mark_that_an_edit_contradicts_holds_no_longer(live):
    live.do(clicked(BOX))
    live.do(erased(BOX))

    live.do(clicked(BAR))

    assert live.map[BOX] == 0 and live.map[1, 2, 1] == 1 and live.map[BAR] == 1


def test_an_edit_leaves_other_labels_alone_unless_it_may_overwrite(live):
    live.do(clicked(BAR, label=2))

    live.do(edited("paint", points=[[1, 2, 3], [1, 2, 6]], radius=0, axis=0))
    assert live.map[1, 2].tolist() == [0, 0, 0, 1, 1, 2, 2, 0]

    live.do(edited("paint", points=[[1, 3, 3], [1, 3, 6]], radius=0, axis=0, overwrite=True))
    assert live.map[1, 3].tolist() == [0, 0, 0, 1, 1, 1, 1, 0]

    live.do(defined(2, "bar", locked=True))
    live.do(edited("paint", points=[[1, 4, 3], [1, 4, 6]], radius=0, axis=0, overwrite=True))
    assert live.map[1, 4].tolist() == [0, 0, 0, 1, 1, 2, 2, 0]


class TestReplacement:
    """A prompt is put in the place of an earlier one, as when a mark is dragged elsewhere."""

    def test_the_mask_is_as_if_the_first_one_had_never_been(self, live):
        live.do(clicked(BAR))
        live.do({**clicked(BOX), "replaces": 2})

        np.testing.assert_array_equal(live.map == 1, GREY == 10)

    def test_it_is_one_step_for_undo_and_redo(self, live):
        live.do(clicked(BOX))
        live.do({**clicked(BAR), "replaces": 2})

        live.do({"event": "undone"})
        assert (live.map[GREY == 10] == 1).all() and not live.map[GREY != 10].any()

        live.do({"event": "redone"})
        assert not live.map[GREY == 10].any() and live.map[BAR] == 1

    def test_edits_and_marks_between_stay(self, live):
        live.do(clicked(BOX))
        live.do(edited("paint", points=[[1, 5, 0]], radius=0, axis=0))
        live.do({**clicked(BAR), "replaces": 2})

        assert live.map[1, 5, 0] == 1 and live.map[BAR] == 1 and not live.map[GREY == 10].any()

    def test_one_that_is_gone_is_refused(self, live):
        live.do(clicked(BOX))
        live.do({"event": "removed", "of": 2})

        live.send({**clicked(BAR), "replaces": 2})

        assert "event 2 is none" in live.next("error")["message"]


class TestDeletion:
    def test_a_label_goes_with_its_mask_and_undo_brings_both_back(self, live):
        live.do(clicked(BOX))
        live.do(clicked(BAR, label=2))
        before = live.map.copy()

        live.do({"event": "deleted", "label": 1})
        np.testing.assert_array_equal(live.map, np.where(before == 1, 0, before))

        live.do({"event": "undone"})
        np.testing.assert_array_equal(live.map, before)

    def test_one_label_is_merged_into_another_in_one_step(self, live):
        live.do(clicked(BOX))
        live.do(clicked(BAR, label=2))
        before = live.map.copy()

        live.do(edited("combine", operation="union", other=2, margin_mm=0))
        live.do({"event": "deleted", "label": 2, "joined": True})
        np.testing.assert_array_equal(live.map, before > 0)

        live.do({"event": "undone"})
        np.testing.assert_array_equal(live.map, before)

    def test_by_request(self, live, client, session):
        live.do(clicked(BOX))

        reply = client.delete(f"/api/sessions/{session}/labels/1")

        assert reply.status_code == 200 and [label["value"] for label in reply.json()["state"]["labels"]] == [2]
        assert client.delete(f"/api/sessions/{session}/labels/1").status_code == 422


class TestRemoval:
    def test_an_edit_goes_and_what_came_after_stays(self, live):
        live.do(clicked(BOX))
        live.do(erased((1, 1, 1), (1, 3, 1)))
        live.do(edited("paint", points=[[1, 5, 0]], radius=0, axis=0))

        live.do({"event": "removed", "of": 3})

        assert live.map[1, 1:4, 1].tolist() == [1, 1, 1] and live.map[1, 5, 0] == 1
        np.testing.assert_array_equal((live.map == 1)[GREY > 0], (GREY == 10)[GREY > 0])

    def test_what_it_took_of_another_label_is_given_back(self, live):
        live.do(clicked(BAR, label=2))
        before = live.map.copy()
        live.do(edited("paint", points=[[1, 2, 3], [1, 2, 6]], radius=0, axis=0, overwrite=True))

        live.do({"event": "removed", "of": 3})

        np.testing.assert_array_equal(live.map, before)

    def test_a_part_that_was_cut_off_comes_home(self, live):
        live.do(clicked(BOX))
        before = live.map.copy()
        live.do(edited("cut", points=[[1, 0, 2], [1, 5, 2]], index=[1, 2, 3], to=2))
        assert live.map[1, 2].tolist() == [0, 1, 1, 2, 0, 0, 0, 0]

        live.do({"event": "removed", "of": 3})

        np.testing.assert_array_equal(live.map, before)

    def test_without_a_click_the_edits_after_it_are_done_again(self, live):
        live.do(clicked(BOX))
        live.do(clicked(BAR))
        live.do(edited("grow", mm=0.8))
        live.do(erased((1, 2, 2)))

        live.do({"event": "removed", "of": 3})

        assert live.map[1].tolist() == [
            [0, 1, 1, 1, 0, 0, 0, 0],
            [1, 1, 1, 1, 1, 0, 0, 0],
            [1, 1, 0, 1, 1, 0, 0, 0],
            [1, 1, 1, 1, 1, 0, 0, 0],
            [0, 1, 1, 1, 0, 0, 0, 0],
            [0, 0, 0, 0, 0, 0, 0, 0],
        ]

    def test_a_label_that_got_a_part_keeps_it_when_its_own_click_goes(self, live):
        live.do(clicked(BOX))
        live.do(clicked(BAR, label=2))
        live.do(edited("cut", points=[[1, 0, 2], [1, 5, 2]], index=[1, 2, 3], to=2))

        live.do({"event": "removed", "of": 3})

        assert live.map[1, 2].tolist() == [0, 1, 1, 2, 0, 0, 0, 0]

    def test_undoing_a_removal(self, live):
        live.do(clicked(BOX))
        live.do(edited("cut", points=[[1, 0, 2], [1, 5, 2]], index=[1, 2, 3], to=2))
        after = live.map.copy()
        live.do({"event": "removed", "of": 3})
        live.do({"event": "undone"})

        np.testing.assert_array_equal(live.map, after)

    def test_an_edit_cannot_be_removed_twice(self, live, client, session):
        live.do(clicked(BOX))
        live.do(edited("keep_largest"))
        live.do({"event": "removed", "of": 3})

        reply = client.delete(f"/api/sessions/{session}/prompts/3")

        assert reply.status_code == 422 and "Only a prompt or an edit in effect" in reply.json()["detail"]


class TestRest:
    def test_an_edit_has_a_route_of_its_own(self, client, session, live):
        live.do(clicked(BOX))

        reply = client.post(f"/api/sessions/{session}/edits", json={"edit": {"kind": "grow", "mm": -0.5}, "label": 1})

        assert reply.status_code == 200 and reply.json()["quality"] is None
        assert client.get(f"/api/sessions/{session}").json()["events"][-1] == {
            **edited("grow", mm=-0.5),
            "joined": False,
        }

    @pytest.mark.parametrize(
        ("body", "words"),
        [
            ({"edit": {"kind": "grow"}, "label": 3}, "Label 3 is not defined here"),
            ({"edit": {"kind": "polish"}, "label": 1}, "needs a kind among"),
            ({"edit": {"kind": "grow", "mm": 0}, "label": 1}, "not 0; got 0"),
            ({"edit": {"kind": "grow", "mm": 1e999}, "label": 1}, "not 0; got inf"),
            ({"edit": {"kind": "smooth", "mm": 1}, "label": 1, "overwrite": 1}, "true or false; got 1"),
            ({"edit": {"kind": "combine", "operation": "union", "other": 1}, "label": 1}, "another label beside it"),
            ({"edit": {"kind": "combine", "operation": "union", "other": 9}, "label": 1}, "Label 9 is not defined"),
            ({"edit": {"kind": "paint", "points": [[0, 0, 0], [0, 0, 9]]}, "label": 1}, "outside the image"),
            ({"label": 1}, "needs 'edit'"),
            ({"edit": 3, "label": 1}, "needs a kind among"),
        ],
    )
    def test_what_makes_no_sense_is_said_in_a_sentence(self, client, session, live, body, words):
        reply = client.post(f"/api/sessions/{session}/edits", content=json.dumps(body))

        assert reply.status_code == 422 and words in reply.json()["detail"], reply.text

    def test_an_edit_that_finds_nothing_is_taken_back_with_a_sentence(self, client, session, live):
        reply = client.post(f"/api/sessions/{session}/edits", json={"edit": {"kind": "keep_largest"}, "label": 1})

        assert reply.status_code == 422 and "no mask of this label yet" in reply.json()["detail"]
        state = client.get(f"/api/sessions/{session}").json()
        assert state["pending"] == [] and state["done"] == [0, 1]

    def test_a_locked_label_is_not_edited(self, client, session, live):
        live.do(clicked(BOX))
        live.do(defined(1, locked=True))

        reply = client.post(f"/api/sessions/{session}/edits", json={"edit": {"kind": "grow"}, "label": 1})

        assert reply.status_code == 422 and "is locked" in reply.json()["detail"]

    def test_a_drawing_that_claims_more_than_the_image_is_refused_before_it_is_unpacked(self, client, session, live):
        claim = {**drawn([[[True]]]), "shape": [3000, 3000, 200]}
        for body in ({"edit": {"kind": "draw", "drawn": claim}, "label": 1}, {"prompt": claim, "label": 1}):
            route = "edits" if "edit" in body else "prompts"
            reply = client.post(f"/api/sessions/{session}/{route}", json=body)
            assert reply.status_code == 422 and "does not fit the image" in reply.json()["detail"]

    def test_a_line_of_too_many_points_is_refused(self, client, session, live):
        body = {"edit": {"kind": "paint", "points": [[0, 0, 0]] * 100_001}, "label": 1}
        reply = client.post(f"/api/sessions/{session}/edits", json=body)

        assert reply.status_code == 422 and "needs 1 to 100000 points" in reply.json()["detail"]

    def test_a_drawing_is_added_and_taken(self, live):
        live.do(edited("draw", drawn=drawn([[[1, 0, 1]], [[0, 1, 0]]], (1, 2, 3))))
        assert live.map[1:, 2, 3:6].tolist() == [[1, 0, 1], [0, 1, 0]]

        live.do(edited("draw", drawn=drawn([[[1, 1, 0]]], (1, 2, 3), positive=False)))
        assert live.map[1:, 2, 3:6].tolist() == [[0, 0, 1], [0, 1, 0]]


class TestDrawnPrompts:
    def scribble(self, positive=True, label=1, method="flood"):
        prompt = drawn([[[1, 1]]], (1, 2, 2), positive)
        return {"event": "prompted", "prompt": prompt, "label": label, "method": method}

    def test_a_method_takes_a_drawing_as_a_stroke(self, live):
        live.do(self.scribble())

        np.testing.assert_array_equal(live.map == 1, GREY == 10)

    def test_all_its_voxels_hold_for_every_label(self, live):
        live.do(self.scribble(label=2))
        live.do({**clicked((1, 1, 1)), "overwrite": True})

        assert live.map[1, 2, 2:4].tolist() == [2, 2] and live.map[1, 1, 1] == 1

    def test_a_method_without_strokes_takes_no_drawing(self, client, session, live):
        reply = client.post(f"/api/sessions/{session}/events", json=self.scribble(method="learner"))

        assert reply.status_code == 422 and "takes click, box; got drawn" in reply.json()["detail"]


class TestMerging:
    """Another label becomes a part of one, in one event."""

    def merged(self, live):
        live.do(clicked(BOX))
        live.do(clicked(BAR, label=2))
        live.do(edited("merge", other=2))

    def test_its_voxels_are_the_labels_and_it_is_gone(self, live):
        self.merged(live)

        np.testing.assert_array_equal(live.map == 1, GREY > 0)
        assert live.map.max() == 1
        answered = live.answered[4]
        assert [label["value"] for label in answered["state"]["labels"]] == [1]

    def test_it_is_one_step_for_undo(self, live):
        self.merged(live)

        live.do({"event": "undone"})

        np.testing.assert_array_equal(live.map, np.where(GREY == 10, 1, np.where(GREY == 20, 2, 0)))

    def test_what_was_taken_in_stays_when_an_earlier_mark_is_taken_away(self, live):
        self.merged(live)

        live.do({"event": "removed", "of": 2})

        np.testing.assert_array_equal(live.map, np.where(GREY == 20, 1, 0))

    def test_so_does_what_was_taken_over_from_a_label_that_stays(self, live):
        live.do(clicked(BOX))
        live.do(clicked(BAR, label=2))
        live.do(edited("combine", operation="union", other=2, margin_mm=0))

        live.do({"event": "removed", "of": 2})

        np.testing.assert_array_equal(live.map, np.where(GREY == 20, 1, 0))

    def test_a_mark_far_from_it_leaves_it(self, live):
        self.merged(live)

        live.do(clicked((1, 3, 3)))

        np.testing.assert_array_equal(live.map == 1, GREY > 0)

    def test_it_can_be_undone_but_not_taken_away(self, live):
        self.merged(live)

        live.send({"event": "removed", "of": 4})

        assert "can be undone, but not be taken away" in live.next("error")["message"]
