"""A server that is killed at any moment comes back with all it answered, and answers what it accepted."""

from segmend.store import Store
from tests.server.forking import Nursery
from tests.server.kills import Person, blocks, check
from tests.server.running import Client, Process, defined, http

KILLS = 10  # with the store's own 15 and the soak's 4, those of CI; `make soak` is for more


def test_every_answer_survives_being_killed(tmp_path, plugin_path):
    data, person = tmp_path / "data", Person(seed=7)
    with Store.open(f"sqlite:///{data / 'segmend.db'}", str(data / "blobs")) as store:
        case = store.add_case("blocks", blocks(seed=3)).id
        session = store.add_session(case).id
    pending_met, maps_met, stored = 0, 0, {}

    with Nursery(plugin_path) as nursery:
        for round_number in range(KILLS):
            server = nursery.start(data, tmp_path / "log")
            try:
                with http(server) as client:
                    if round_number == 0:
                        client.post(f"/api/sessions/{session}/events", json=defined(1))
                        client.post(f"/api/sessions/{session}/events", json=defined(2, "other"))
                    else:
                        maps_met += check(client, session, person, steps=3)
                live = Client(server.address, session)
                live.next("frame")
                person.work(live, person.dice.uniform(0.02, 0.3))
            finally:
                server.kill()
            person.drain(live)
            with Store.open(f"sqlite:///{data / 'segmend.db'}", str(data / "blobs")) as store:
                log = store.session(session)
            pending_met += len(log.pending) > 0
            assert person.answered <= set(log.answers) | {
                place
                for place, event in person.accepted.items()
                if event["event"] not in ("prompted", "edited", "removed")
            }
            assert all(log.answers[place] == patch for place, patch in stored.items())  # bit for bit what they were
            stored = dict(log.answers)

    server = Process(data, plugin_path)
    with http(server) as client:
        check(client, session, person, steps=20)
    code, logged = server.end()
    assert code == 0 and logged == "", logged
    assert pending_met >= 3, "too few kills hit an unanswered prompt to prove anything"
    assert maps_met >= 20 and person.kinds == {"prompted", "edited", "removed", "undone", "redone"}
