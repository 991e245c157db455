"""Requests made up by schemathesis from the OpenAPI document: as they should be, and as they should not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.readers import Findings
from tests.server.running import clicked, defined, http, rooms

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
METHODS = ("PUT", "PATCH", "OPTIONS")  # no address takes all of them


def add_places(server: Any) -> dict[str, str]:
    """Return a case, and a session with a label and a prompt, so that made-up requests meet something."""
    store = server.config.app.state.shared.store
    case = store.add_case("rooms", rooms()).id
    with http(server) as client:
        session = client.post(f"/api/cases/{case}/sessions").json()["id"]
        client.post(f"/api/sessions/{session}/events", json=defined(1))
        client.post(f"/api/sessions/{session}/events", json=clicked((1, 2, 2)))
    return {"case": case, "session": session}


def strategies(operation: Any, places: dict[str, str]) -> Iterator[Any]:
    """Yield what makes requests, right and wrong ones, on things that are there and on things that are not."""
    there = {name: value for name, value in places.items() if f"{{{name}}}" in operation.path}
    if operation.method == "delete" and operation.path == "/api/cases/{case}":
        there = {}  # the others need it
    for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
        if mode == GenerationMode.NEGATIVE and not _can_be_wrong(operation):
            continue
        yield operation.as_strategy(mode)
        if there and set(there) == set(re.findall(r"{(\w+)}", operation.path)):
            yield operation.as_strategy(mode, path_parameters=there)


def _can_be_wrong(operation: Any) -> bool:
    """Tell whether a request has anything beside ids, of which every text is one."""
    path = [parameter.definition["schema"]["type"] for parameter in operation.path_parameters]
    return bool(operation.body or operation.query or set(path) - {"string"})


def fuzz(server: Any, examples: int, seeds: int | None = None) -> Findings:
    """Return the findings of so many requests of each kind to each route; without a seed always the same ones."""
    base = f"http://127.0.0.1:{server.settings.port}"
    places = add_places(server)
    findings = Findings()
    for result in schemathesis.openapi.from_url(f"{base}/api/openapi.json").get_all_operations():
        for strategy in strategies(operation := result.ok(), places):

            @settings(
                max_examples=examples,
                deadline=None,
                derandomize=seeds is None,
                database=None,
                phases=[Phase.generate],
                suppress_health_check=list(HealthCheck),
            )
            @given(case=strategy)
            def probe(case: Any) -> None:
                reply = case.call(base_url=base)
                findings.outcomes[f"{case.operation.method} {case.operation.path} {reply.status_code}"] += 1
                case.validate_response(reply, checks=CHECKS)
                assert b"Traceback" not in reply.content
                wrong = case.meta.generation.mode == GenerationMode.NEGATIVE and case.media_type == "application/json"
                assert not (wrong and reply.status_code < 300), f"accepted what the document forbids: {case.body!r}"

            try:
                with suppress(Unsatisfiable):
                    (probe if seeds is None else seed(seeds)(probe))()
            except (Exception, ExceptionGroup) as error:
                findings.faults.append(f"{operation.method} {operation.path}: {str(error)[:2000]}")
    with http(server) as client:
        if client.get(f"/api/sessions/{places['session']}").status_code != 200:
            findings.faults.append("a session was lost")
    return findings


def wrong_methods(server: Any) -> list[str]:
    """Return the addresses whose reply to a method that they do not take says another `Allow` than the document."""
    wrong = []
    with http(server) as client:
        paths = client.get("/api/openapi.json").json()["paths"]
        for path, operations in paths.items():
            address = re.sub(r"{\w+}", "7", path)
            for method in sorted(set(METHODS) - {name.upper() for name in operations}):
                reply = client.request(method, address)
                said = set(reply.headers.get("allow", "").split(", "))
                if reply.status_code == 405 and not {name.upper() for name in operations} <= said:
                    wrong.append(f"{method} {path}: {sorted(said)}")
    return wrong
