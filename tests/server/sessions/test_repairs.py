"""A session whose stored answers are damaged opens all the same: they are worked out anew."""

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from segmend.cli import run
from segmend.store import Store
from tests.server.running import clicked, defined, http, in_thread, rooms, settings

BOX, BAR, OUTSIDE = (1, 2, 2), (1, 2, 5), (1, 0, 0)


def edited(edit, *, label=1, overwrite=False):
    return {"event": "edited", "edit": edit, "label": label, "overwrite": overwrite}


EVENTS = [
    defined(1),
    defined(2, "bar"),
    clicked(BOX, label=1),
    clicked(BAR, label=2),
    clicked(BAR, label=1),  # takes it from the other
    clicked(BOX, label=1, positive=False),
    clicked(OUTSIDE, label=2),
    {"event": "undone"},
    {"event": "removed", "of": 4},
    edited({"kind": "paint", "points": [[1, 4, 1]], "radius": 1.0}),
    edited({"kind": "paint", "points": [[1, 2, 2], [1, 2, 5]], "radius": 1.0}, overwrite=True),
    clicked(OUTSIDE, label=1),
    {"event": "removed", "of": 10},
    edited({"kind": "grow", "mm": 0.8}),
]
ANSWERED = [2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13]


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """A store with a session of all kinds of answers, its answers and its map."""
    data = tmp_path_factory.mktemp("played")
    with in_thread(settings(data)) as server, http(server) as client:
        case = server.config.app.state.shared.store.add_case("rooms", rooms()).id
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        for event in EVENTS:
            reply = client.post(f"/api/sessions/{session}/events", json=event)
            assert reply.status_code == 200, reply.text
        label_map = client.get(f"/api/sessions/{session}/map").content
    with Store.local(data) as store:
        answers = dict(store.session(session).answers)
    assert sorted(answers) == ANSWERED
    return data, session, answers, label_map


@pytest.fixture
def damaged(played, tmp_path):
    """Damage answers of a copy of it, open it in a server, and return the map, the state and the answers after."""
    data, session, _, _ = played

    def open_after(*statements):
        copy = tmp_path / "copy"
        with Store.local(data) as store, closing(sqlite3.connect(copy.with_suffix(".db"))) as file:
            assert store.session(session)
            with closing(sqlite3.connect(data / "segmend.db")) as origin:
                origin.backup(file)
            for statement in statements:
                file.execute(statement)
            file.commit()
        options = {"database_url": f"sqlite:///{copy}.db", "blobs_url": str(data / "blobs")}
        with in_thread(settings(copy, **options)) as server, http(server) as client:
            state = client.get(f"/api/sessions/{session}")
            assert state.status_code == 200, state.text
            for _ in range(500):
                if not client.get(f"/api/sessions/{session}").json()["pending"]:
                    break
            label_map = client.get(f"/api/sessions/{session}/map").content
            redone = client.post(f"/api/sessions/{session}/undo").status_code
        with Store.open(options["database_url"], options["blobs_url"]) as store:
            return label_map, dict(store.session(session).answers), redone

    return open_after


@pytest.mark.parametrize("position", ANSWERED)
def test_a_damaged_answer_is_worked_out_anew_bit_for_bit(played, damaged, caplog, position):
    _, _, answers, before = played
    label_map, after, redone = damaged(f"UPDATE answers SET data = x'0011' WHERE position = {position}")
    assert label_map == before and after == answers and redone == 200
    assert f"answer to event {position} of session" in caplog.text and "the same bit for bit" in caplog.text


def test_all_of_them_may_be_damaged(played, damaged):
    _, _, answers, before = played
    label_map, after, _ = damaged("UPDATE answers SET high = '[0,'")
    assert label_map == before and after == answers


def test_without_a_checksum_the_later_answers_are_worked_out_too(played, damaged, caplog):
    _, _, answers, before = played
    label_map, after, _ = damaged("UPDATE answers SET crc32 = NULL", "UPDATE answers SET data = x'' WHERE position = 3")
    assert label_map == before and after == answers
    assert "answer to event 3" in caplog.text and "the later ones are worked out anew" in caplog.text


def test_an_answer_that_would_be_another_today_takes_the_later_ones_along(played, damaged, caplog):
    """As with other weights: its checksum says that it was another, so nothing after it may be laid over it."""
    label_map, after, _ = damaged("UPDATE answers SET data = x'00', crc32 = 5 WHERE position = 2")
    _, _, answers, before = played
    assert label_map == before and after == answers
    assert "the later ones are worked out anew" in caplog.text


def test_a_log_with_a_gap_is_refused_by_one_sentence_every_time(played, tmp_path):
    data, session, _, _ = played
    with (
        closing(sqlite3.connect(tmp_path / "copy.db")) as file,
        closing(sqlite3.connect(data / "segmend.db")) as origin,
    ):
        origin.backup(file)
        file.execute("DELETE FROM events WHERE position = 3")
        file.commit()
    options = {"database_url": f"sqlite:///{tmp_path}/copy.db", "blobs_url": str(data / "blobs")}
    with in_thread(settings(tmp_path / "data", **options)) as server, http(server) as client:
        for ask in (client.get, client.get):
            reply = ask(f"/api/sessions/{session}")
            assert reply.status_code == 503 and f"The log of session {session} lacks event 3" in reply.json()["detail"]
        reply = client.post(f"/api/sessions/{session}/events", json=clicked(BOX))
        assert reply.status_code == 503 and "lacks event 3" in reply.json()["detail"]
        assert np.array_equal([case["name"] for case in client.get("/api/cases").json()], ["rooms"])


def test_check_mends_answers_bit_for_bit_or_leaves_them_to_the_annotator(played, tmp_path, capsys):
    """Beside a running server it changes nothing that the server would not: later answers stay as they are."""
    origin, session, answers, _ = played
    data = Path(shutil.copytree(origin, tmp_path / "data"))

    def damage(statement):
        with closing(sqlite3.connect(data / "segmend.db")) as file:
            file.execute(statement)
            file.commit()

    damage("UPDATE answers SET data = x'0011' WHERE position IN (3, 10)")
    with in_thread(settings(data)):
        assert run(["check", "--folder", str(data)]) == 1
        assert run(["check", "--folder", str(data), "--mend"]) == 0
    assert f"Worked the damaged answers of session {session} out anew, the same bit for bit." in capsys.readouterr().out
    with Store.local(data) as store:
        assert dict(store.session(session).answers) == answers

    damage("UPDATE answers SET data = x'00', crc32 = 5 WHERE position = 4")
    assert run(["check", "--folder", str(data), "--mend"]) == 2
    assert "does not come out as it was: name the --weights" in capsys.readouterr().out
    with Store.local(data) as store:
        loaded = store.load_session(session)
    assert {4: 5} == loaded.damaged and dict(loaded.session.answers) == {i: answers[i] for i in answers if i != 4}
