"""Requests made up by schemathesis from the OpenAPI document: none may break the server or its promises."""

import re
from contextlib import suppress

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.server.running import clicked, defined, http

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 12  # a route


@pytest.fixture(scope="module")
def places(server):
    """A session with a label and a prompt, so that made-up requests meet something."""
    from tests.server.running import rooms

    store = server.config.app.state.shared.store
    case = store.add_case("rooms", rooms()).id
    with http(server) as client:
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        client.post(f"/api/sessions/{session}/events", json=defined(1))
        client.post(f"/api/sessions/{session}/events", json=clicked((1, 2, 2)))
    return {"case": case, "session": session}


def strategies(operation, places):
    """Requests as they should be and as they should not, on things that are there and on things that are not."""
    there = {name: value for name, value in places.items() if f"{{{name}}}" in operation.path}
    if operation.method == "delete" and operation.path == "/api/cases/{case}":
        there = {}  # the others need it
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        yield operation.as_strategy(mode)
        if there and set(there) == set(re.findall(r"{(\w+)}", operation.path)):
            yield operation.as_strategy(mode, path_parameters=there)


def test_made_up_requests_meet_the_documented_replies(server, places):
    base = f"http://127.0.0.1:{server.settings.port}"
    schema = schemathesis.openapi.from_url(f"{base}/api/openapi.json")
    seen = set()

    for result in schema.get_all_operations():
        operation = result.ok()
        for strategy in strategies(operation, places):

            @settings(
                max_examples=EXAMPLES,
                deadline=None,
                derandomize=True,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def probe(case):
                reply = case.call(base_url=base)
                case.validate_response(reply, checks=CHECKS)
                assert b"Traceback" not in reply.content
                seen.add((case.operation.method, case.operation.path, reply.status_code))

            with suppress(Unsatisfiable):  # a route without parameters cannot be asked wrongly
                probe()

    with http(server) as client:
        assert client.get(f"/api/sessions/{places['session']}").status_code == 200
    assert len({(method, path) for method, path, _ in seen}) >= 20
    assert {200, 404, 422} <= {status for *_, status in seen}
