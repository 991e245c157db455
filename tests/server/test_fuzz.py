"""Made-up requests and messages: none may break the server or its promises. `make fuzz` makes more of them."""

import pytest

from tests.fuzz import dialects, live, requests
from tests.fuzz.beside import Beside
from tests.server.running import clicked, http, in_thread, settings

EXAMPLES = 2  # requests of each kind to each route; `make fuzz` makes more


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server that reads what comes in itself: the readers are tried in tests/fuzz."""
    with in_thread(settings(tmp_path_factory.mktemp("fuzzed"), read_apart=False)) as running:
        yield running


def test_made_up_requests_meet_the_documented_replies(server):
    found = requests.fuzz(server, EXAMPLES)

    assert found.faults == []
    assert len({outcome.rpartition(" ")[0] for outcome in found.outcomes}) >= 20
    assert {"200", "404", "422"} <= {outcome.rpartition(" ")[2] for outcome in found.outcomes}


def test_a_method_that_an_address_does_not_take_is_told_which_ones_it_does(server):
    assert requests.wrong_methods(server) == []


def test_made_up_messages_are_answered_and_the_map_stays_the_one_that_is_kept(server):
    found = live.fuzz(server, range(6), 0)

    assert found.faults == []
    assert min(found.outcomes["answered"], found.outcomes["error"]) > 0.15 * found.tried


# Starlette closes the file of a part that never ends when nobody holds it any longer, not before.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("dialect", dialects.DIALECTS)
def test_made_up_requests_of_viewers_meet_replies_of_their_dialect(server, dialect):
    found = dialects.fuzz(server, dialect, 120, 0)

    assert found.faults == []
    assert sum(number for outcome, number in found.outcomes.items() if outcome.endswith(" 200")) > 20


def test_who_is_disturbed_beside_made_up_requests_is_found(server):
    with Beside(server) as beside, http(server) as client:
        assert beside.disturbed() == beside.disturbed() == []
        client.post(f"/api/sessions/{beside.session}/events", json=clicked((1, 3, 6)))
        found = beside.disturbed()
        assert found[0] == "the annotator beside has event 6 where 5 comes next"
        assert found[1:] == 2 * ["the annotator beside has another mask than was marked"]
        client.post("/release", headers={"X-Lease-Token": beside.viewer.lease})
        assert beside.disturbed()[-1].startswith("beside: AssertionError")
