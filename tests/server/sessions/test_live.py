"""The conversation over the WebSocket, with a real server and a real client."""

import json
import re
import threading

import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from segmend.core.image import Image
from segmend.server.sessions import live as live_module
from tests.server.running import BLUE, Client, clicked, defined, rooms

BOX, BAR = (1, 2, 2), (1, 2, 5)  # a voxel of each room
GREY = rooms().voxels[0]
TALL = GREY.repeat(20, 0)


@pytest.fixture
def live(server, session):
    with Client(server.address, session) as client:
        client.do(defined(1))
        client.do(defined(2, "bar", BLUE))
        yield client


def test_a_click_is_accepted_painted_and_answered(live):
    answer = live.do(clicked(BOX))

    assert answer["withdrawn"] is False and answer["quality"] == 0.5 and answer["milliseconds"] > 0
    assert answer["state"]["done"] == [0, 1, 2] and answer["state"]["pending"] == []
    np.testing.assert_array_equal(live.map, GREY == 10)


def test_a_prompt_says_whether_to_adapt_and_the_answer_whether_it_was_done(live, client, session):
    learning = clicked(BOX, method="learner")

    told = [
        live.do({**learning, **finetune})["finetuned"] for finetune in ({"finetune": "off"}, {"finetune": "on"}, {})
    ]

    assert told == [False, True, True]  # by itself, since the mask was there already
    events = client.get(f"/api/sessions/{session}").json()["events"]
    assert [event["finetune"] for event in events[2:]] == ["off", "on", "auto"]


def test_the_others_are_worked_out_again_as_each_was_to_be_adapted(live):
    first = live.do({**clicked(BAR, method="learner"), "finetune": "off"})["position"]
    live.do({**clicked((1, 2, 2), method="learner"), "finetune": "on"})

    again = live.do({"event": "removed", "of": first})

    assert again["finetuned"] is True
    np.testing.assert_array_equal(np.unique(np.nonzero(live.map)[2]), range(5))  # 2 on either side, not 1


def test_the_slice_of_the_click_comes_first(live):
    live.send(clicked((2, 2, 2)))

    assert live.next("accepted")["event"]["prompt"]["index"] == [2, 2, 2]
    assert live.next("frame").box.low == (2, 1, 1)


def test_frames_hold_only_what_changed(live):
    live.do(clicked(BOX))

    frames = [m for m in live.messages if not isinstance(m, dict) and m.box.size]
    assert {frame.box.shape for frame in frames} == {(1, 3, 3)} and len(frames) == 3


def test_undo_and_redo_move_the_map(live):
    live.do(clicked(BOX))
    live.do(clicked(BAR))
    both = live.map.copy()

    live.do({"event": "undone"})
    np.testing.assert_array_equal(live.map, GREY == 10)
    live.do({"event": "redone"})
    np.testing.assert_array_equal(live.map, both)


def test_removing_an_earlier_prompt_works_its_label_out_again(live):
    first = live.do(clicked(BOX))["position"]
    live.do(clicked(BAR))

    live.do({"event": "removed", "of": first})

    np.testing.assert_array_equal(live.map, GREY == 20)


def test_removing_a_prompt_leaves_other_labels_alone(live):
    first = live.do(clicked(BOX))["position"]
    live.do(clicked(BAR, label=2))
    live.do(clicked(BAR, label=1, positive=False))

    live.do({"event": "removed", "of": first})

    np.testing.assert_array_equal(live.map, 2 * (GREY == 20))


def test_positive_marks_of_one_label_are_negative_for_another(live):
    live.do(clicked(BAR, label=2))
    live.do(clicked(BAR, label=1, overwrite=True))  # takes the bar, for its mark is newer
    np.testing.assert_array_equal(live.map, GREY == 20)

    live.do(clicked(BAR, label=2, overwrite=True))
    live.do(clicked(BOX, label=1))  # does not take it back: the mark of 2 is newer than the one of 1

    np.testing.assert_array_equal(live.map, (GREY == 10) + 2 * (GREY == 20))


def test_a_locked_label_keeps_its_voxels(live):
    live.do(clicked(BAR, label=2))
    live.do(defined(2, "bar", BLUE, locked=True))

    live.do(clicked(BAR, label=1))

    np.testing.assert_array_equal(live.map, 2 * (GREY == 20))


def test_other_labels_are_safe_unless_a_mark_may_overwrite_them(live, client, session):
    live.do(clicked(BAR, label=2))

    kept = live.do(clicked(BAR, label=1))
    np.testing.assert_array_equal(live.map, 2 * (GREY == 20))
    taken = live.do(clicked(BAR, label=1, overwrite=True))
    np.testing.assert_array_equal(live.map, GREY == 20)

    assert kept["covered_by"] == 2 and taken["covered_by"] is None
    events = client.get(f"/api/sessions/{session}").json()["events"]
    assert [event["overwrite"] for event in events[2:]] == [False, False, True]


def test_a_negative_mark_takes_away_and_never_adds(live):
    """Flood gives back the region of a negative click, and paints all it knows again."""
    live.do(clicked(BOX, method="everything", positive=False))
    assert not live.map.any()  # "not here" alone is nothing

    first = live.do(clicked(BOX))["position"]
    live.do(clicked((0, 0, 0), method="everything", positive=False))
    np.testing.assert_array_equal(live.map, GREY == 10)
    live.do({"event": "removed", "of": first})
    assert not live.map.any()  # what is left are marks that say "not here"


def test_a_negative_mark_lets_the_answer_before_it_be_finished(tall, held):
    """It only takes away, so it would not find the slices that are left."""
    begun(held, tall, (0, 2, 2))
    let_go(held, tall, clicked((0, 2, 5), positive=False))

    np.testing.assert_array_equal(tall.map, TALL == 10)


def test_a_mark_that_changes_nothing_raises_no_quality(live):
    told = [live.do(clicked(BOX, method="boasting"))["quality"]]
    told += [live.do(clicked((0, 0, x), method="boasting", positive=False))["quality"] for x in (0, 1)]
    live.do({"event": "undone"})
    told.append(live.do(clicked((0, 0, 3), method="boasting", positive=False))["quality"])
    told.append(live.do(clicked(BAR, method="boasting"))["quality"])

    assert told == [0.25, 0.25, 0.25, 0.25, 0.5]


def test_several_clients_see_the_same(server, session, live):
    live.do(clicked(BOX))
    with Client(server.address, session) as other:
        live.send(clicked(BAR, label=2))
        theirs = other.next("accepted")
        other.next("answered", position=theirs["position"])
        mine = live.next("accepted", position=theirs["position"])
        live.next("answered", position=mine["position"])

        assert theirs["id"] is None and mine["id"] is not None and theirs["event"] == mine["event"]
        np.testing.assert_array_equal(other.map, live.map)
        np.testing.assert_array_equal(other.map, (GREY == 10) + 2 * (GREY == 20))


def test_a_newcomer_gets_the_map_as_it_is(server, session, live):
    live.do(clicked(BOX))

    with Client(server.address, session) as other:
        other.next("frame")

        np.testing.assert_array_equal(other.map, live.map)
        assert other.state["done"] == [0, 1, 2]


def stroke(points):
    return {"event": "prompted", "prompt": {"kind": "stroke", "points": points}, "label": 1}


def mask(shape):
    return {"event": "prompted", "prompt": {"kind": "mask", "low": [0, 0, 0], "shape": shape, "bits": ""}, "label": 1}


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (clicked((3, 0, 0)), r"reaches \(3, 0, 0\), outside the image of shape \(3, 6, 8\)"),
        (clicked(BOX, label=9), r"Label 9 is not defined here; there are \[1, 2\]"),
        (clicked(BOX, method="none such"), "There is no method 'none such'"),
        ({"event": "undone"} | {"event": "leapt"}, "An event needs a known kind; got 'leapt'"),
        (stroke([[0, 0, 0], [2, 500, 700]] * 5_000), "may be 1000000 voxels long; this one has 6999300"),
        (mask([100, 100, 100]), r"A mask of shape \(100, 100, 100\) does not fit the image of shape \(3, 6, 8\)"),
        ({"event": "removed", "of": 0}, "event 0 is none"),
        ({"event": "removed"}, "needs 'of'; it is not there"),
        ({"event": "redone"}, "There is nothing to redo"),
        ({"event": "prompted", "prompt": 5, "label": 1}, "A prompt needs a kind among click"),
        ({"event": "prompted", "prompt": {"kind": []}, "label": 1}, "A prompt needs a kind among click"),
        ({"event": "prompted", "prompt": {"kind": "click", "index": [0, 0, 0]}, "label": None}, "could not be read"),
        ({"event": "prompted", "prompt": {"kind": "adjust", "k": 0.5}, "label": 1}, "Flood takes click, stroke, box"),
        (defined(0), "value of 1 to 65535; got 0"),
        (defined(3, " "), "A label needs a name"),
        (defined(3, "x" * 201), "at most 200 printable characters"),
        (defined(3, colour=[0, 0, 256]), "three numbers of 0 to 255"),
    ],
)
def test_nonsense_is_refused_in_one_sentence_and_changes_nothing(live, event, words):
    number = live.send(event)

    error = live.next("error")

    assert error["id"] == number and "position" not in error
    assert re.search(words, error["message"]), error["message"]
    assert live.do(clicked(BOX))["position"] == 2


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("[1]", "needs a JSON object; got list"),
        ("{}", "needs an 'event', the position to 'cancel', or who is 'here'"),
        ('{"id": "a", "cancel": 1}', "id needs a whole number"),
        ('{"id": 1, "cancel": 99}', "Event 99 does not wait for an answer"),
        (b"\x00", "takes text; got bytes"),
    ],
)
def test_messages_that_are_none_are_refused(live, text, words):
    live.socket.send(text)

    assert words in live.next("error")["message"]
    assert live.do(clicked(BOX))["withdrawn"] is False


def test_a_session_that_is_not_there_is_404(server):
    with pytest.raises(InvalidStatus) as refused:
        Client(server.address, "0" * 32)

    assert refused.value.response.status_code == 404
    assert json.loads(refused.value.response.body) == {"detail": f"There is no session '{'0' * 32}'."}


@pytest.fixture
def tall(server, client, store):
    """A client at an image of 60 slices."""
    case = store.add_case("tall", Image(TALL[None])).id
    with Client(server.address, client.post(f"/api/cases/{case}/sessions").json()["id"]) as client_:
        client_.do(defined(1))
        client_.do(defined(2, "bar", BLUE))
        yield client_


def begun(held, live, *prompt, **options):
    """Send a slow prompt; return its place when its first part is painted, and it is held before the second."""
    held.after(1)
    position = live.next("accepted", id=live.send(clicked(*prompt, method="slow", **options)))["position"]
    live.next("frame", position=position)
    return position


def let_go(held, live, event):
    """Send an event, and let the slow answer go on when it is accepted; return the event's answer."""
    position = live.next("accepted", id=live.send(event))["position"]
    held.released.set()
    return live.next("answered", position=position)


def test_a_newer_prompt_ends_an_older_answer_where_it_has_been(tall, held, store):
    first = begun(held, tall, (0, 2, 2))
    let_go(held, tall, clicked((0, 2, 5), method="slow"))

    assert store.session(tall.state["id"]).answers[first].box.shape[0] < 60  # stopped before the last slice
    np.testing.assert_array_equal(tall.map > 0, TALL > 0)  # and the newer one did all of it


def test_a_newer_prompt_elsewhere_lets_an_older_answer_get_there(tall, held, store):
    first = begun(held, tall, (0, 2, 2))
    let_go(held, tall, clicked((20, 2, 5), method="slow"))

    assert 20 < store.session(tall.state["id"]).answers[first].box.shape[0] < 60


def test_another_label_does_not_end_an_answer(tall, held):
    begun(held, tall, (0, 2, 2))
    let_go(held, tall, clicked((0, 2, 5), label=2, method="slow"))

    np.testing.assert_array_equal(tall.map, (TALL == 10) + 2 * (TALL == 20))


def test_cancelling_takes_the_painted_parts_away_and_leaves_nothing_pending(tall, held):
    tall.do(clicked((0, 2, 5)))
    position = begun(held, tall, (0, 2, 2))
    tall.cancel(position)

    answer = tall.next("answered", position=position)
    state = tall.next("answered")["state"]  # of the event that took it back

    assert answer["withdrawn"] is True
    assert state["pending"] == [] and state["undone"] == [position]
    np.testing.assert_array_equal(tall.map, TALL == 20)


def test_cancelling_an_event_that_is_not_the_last_removes_it(tall, held, store):
    first = begun(held, tall, (0, 2, 2))
    second = tall.next("accepted", id=tall.send(clicked((0, 2, 5), label=2)))["position"]
    tall.cancel(first)
    tall.next("answered", position=first)
    held.released.set()

    tall.next("answered", position=second)

    session = store.session(tall.state["id"])
    assert first not in session.prompted() and session.pending == ()
    np.testing.assert_array_equal(tall.map, 2 * (TALL == 20))


def test_cancelling_a_removal_keeps_the_mask(tall, held, store):
    first = tall.do(clicked((0, 2, 2)))["position"]
    held.released.set()
    tall.do(clicked((0, 2, 5), method="slow"))
    held.after(1)  # of the click that is worked out again
    removal = tall.next("accepted", id=tall.send({"event": "removed", "of": first}))["position"]
    tall.next("accepted", id=tall.send(defined(1, "renamed")))
    tall.cancel(removal)

    assert tall.next("answered", position=removal)["withdrawn"] is True
    np.testing.assert_array_equal(tall.map > 0, TALL > 0)
    assert store.session(tall.state["id"]).pending == ()


def test_undoing_an_unanswered_event_takes_it_back(tall, held):
    position = begun(held, tall, (0, 2, 2))
    tall.send({"event": "undone"})

    assert tall.next("answered", position=position)["withdrawn"] is True
    assert tall.next("answered")["state"]["undone"] == [position]
    assert not tall.map.any()

    held.released.set()
    tall.do({"event": "redone"})
    tall.next("answered", position=position)  # it waits again, and is answered
    np.testing.assert_array_equal(tall.map, TALL == 10)


def test_a_lock_holds_for_answers_that_come_after_it(tall):
    tall.do(clicked((0, 2, 5), label=2))
    tall.do(defined(2, "bar", BLUE, locked=True))

    tall.do(clicked((0, 2, 5), label=1))

    np.testing.assert_array_equal(tall.map, 2 * (TALL == 20))


def test_a_method_that_fails_answers_its_own_event_with_an_error(live, caplog):
    live.do(clicked(BAR))
    number = live.send(clicked(BOX, method="broken"))

    error = live.next("error")
    state = live.next("answered", position=error["position"] + 1)["state"]

    assert error["id"] == number
    assert error["message"] == "The method failed on this prompt, which was taken back; the log has more."
    assert state["pending"] == [] and state["undone"] == [error["position"]]
    np.testing.assert_array_equal(live.map, GREY == 20)
    assert "ValueError at" in caplog.text and "Jane" not in caplog.text
    live.do(clicked(BOX))
    np.testing.assert_array_equal(live.map, (GREY == 10) | (GREY == 20))


def test_extreme_points_of_one_label_are_negative_for_another(live):
    points = [[1, 1, 5], [1, 4, 5], [1, 2, 5], [1, 2, 6]]
    extremes = {"event": "prompted", "prompt": {"kind": "extremes", "points": points}, "label": 2, "method": "points"}
    live.do(extremes)
    np.testing.assert_array_equal(np.argwhere(live.map == 2), sorted(points))

    live.do(clicked(BOX))  # flood takes no extremes, but they hold

    assert (live.map[tuple(np.transpose(points))] == 2).all()
    np.testing.assert_array_equal(live.map == 1, GREY == 10)


def test_marks_of_a_kind_that_a_method_does_not_take_hold_nevertheless(live):
    points = [[1, 0, 0], [1, 0, 3]]
    live.do({"event": "prompted", "prompt": {"kind": "extremes", "points": points}, "label": 1, "method": "points"})

    live.do(clicked((1, 0, 7), positive=False))  # takes the ground, on which the points lie

    np.testing.assert_array_equal(np.argwhere(live.map), points)


def test_an_error_nobody_foresaw_is_told_and_the_connection_goes_on(live, monkeypatch, caplog):
    def broken(*_, **__):
        raise RuntimeError("Jane Doe")

    monkeypatch.setattr(live_module, "event_of", broken)
    number = live.send(clicked(BOX))
    error = live.next("error")
    monkeypatch.undo()

    assert error["id"] == number and error["message"] == "Something went wrong in the server; its log says where."
    assert "RuntimeError at" in caplog.text and "Jane" not in caplog.text
    assert live.do(clicked(BOX))["withdrawn"] is False


def test_many_labels_take_turns(live):
    for value in range(3, 10):
        live.do(defined(value, f"label {value}"))
    for value in [*range(1, 10), 1]:
        live.do(clicked(BOX, label=value, overwrite=True))
        np.testing.assert_array_equal(live.map, value * (GREY == 10))


def test_progress_is_said_for_long_answers(server, store, client):
    case = store.add_case("tall", Image(np.zeros((1, 40, 4, 5), np.int16))).id
    session = client.post(f"/api/cases/{case}/sessions").json()["id"]
    with Client(server.address, session) as live:
        live.do(defined(1))
        live.do(clicked((0, 0, 0), method="slow"))

        fractions = [m["fraction"] for m in live.messages if isinstance(m, dict) and m["type"] == "progress"]
    assert fractions == sorted(fractions) and len(fractions) >= 2 and 0 < fractions[0] < 1


def test_one_slow_session_does_not_hold_up_another(server, store, client, monkeypatch):
    """Four answers, which end when all is over, take turns with a fifth on fewer threads than that."""
    import slow

    over, parts = threading.Event(), slow.SlowWorkspace.stream

    def endless(self, prompts, previous):
        while not over.is_set():
            yield from parts(self, prompts, previous)

    monkeypatch.setattr(slow.SlowWorkspace, "stream", endless)
    tall = store.add_case("tall", Image(np.zeros((1, 3, 4, 5), np.int16))).id
    flat = store.add_case("flat", Image(np.zeros((1, 1, 4, 5), np.int16))).id
    slow_ones = [client.post(f"/api/cases/{tall}/sessions").json()["id"] for _ in range(4)]
    quick = client.post(f"/api/cases/{flat}/sessions").json()["id"]
    people = [Client(server.address, session) for session in slow_ones]
    try:
        for one in people:
            one.do(defined(1))
            one.next("accepted", id=one.send(clicked((0, 0, 0), method="slow")))
            one.next("frame", position=1)
        with Client(server.address, quick) as live:
            live.do(defined(1))
            live.do(clicked((0, 0, 0)))

        states = [client.get(f"/api/sessions/{session}").json() for session in slow_ones]
        assert [state["pending"] for state in states] == [[1]] * 4
        assert server.settings.workers <= 4
    finally:
        over.set()
        for one in people:
            one.next("answered", position=1)
            one.close()


def here(name, colour=(60, 160, 230)):
    return {"id": 7, "here": {"name": name, "colour": colour}}


def test_people_who_say_who_they_are_see_each_other(server, session):
    with Client(server.address, session) as anna, Client(server.address, session) as program:
        anna.say(here("  Anna   B. "))
        assert anna.next("people")["people"] == [{"name": "Anna B.", "colour": [60, 160, 230], "you": True}]
        with Client(server.address, session) as bert:
            bert.say(here("Bert", [1, 2, 3]))
            both = [("Anna B.", False), ("Bert", True)]
            assert [(one["name"], one["you"]) for one in bert.next("people")["people"]] == both
            assert [one["you"] for one in anna.next("people")["people"]] == [True, False]
        assert [one["name"] for one in anna.next("people")["people"]] == ["Anna B."]
        anna.do(defined(1))
        program.next("accepted")
        assert not [m for m in program.messages if isinstance(m, dict) and m["type"] == "people"]


@pytest.mark.parametrize(
    "values",
    [{"name": ""}, {"name": 3}, {"name": "x" * 41}, {"colour": [1, 2]}, {"colour": "red"}, {"colour": [1, 2, 256]},
     {"colour": [1, 2, True]}],
)  # fmt: skip
def test_who_says_it_wrongly_is_told_how(live, values):
    live.say({"id": 7, "here": {"name": "Anna", "colour": [1, 2, 3], **values}})
    error = live.next("error")
    assert error["id"] == 7 and ("name" in error["message"] or "colour" in error["message"])
