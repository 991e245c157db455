"""Traces, sent to a real receiver of OTLP: what they tell, and what they never do."""

from __future__ import annotations

import gzip
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from segmend.errors import SettingsError
from tests.server.running import clicked, defined, http, in_thread, rooms, settings

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="segmend[otel] is not installed")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

TOLD = {
    "http.request.method", "http.route", "http.response.status_code", "segmend.request_id", "segmend.method",
}  # fmt: skip
OF_THE_PROGRAM = {
    "service.name", "service.version", "telemetry.sdk.language", "telemetry.sdk.name", "telemetry.sdk.version",
    "service.instance.id",
}  # fmt: skip
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(BaseHTTPRequestHandler):
    """What a collector does with POST /v1/traces."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        body = gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body
        self.server.bodies.append(body)  # type: ignore[attr-defined]
        answer = ExportTraceServiceResponse().SerializeToString()
        self.send_response(200 if self.path == "/v1/traces" else 404)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def received(tmp_path_factory):
    """What a server tells of a case that is added, marked and looked for in vain."""
    collector = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    collector.bodies = []
    thread = threading.Thread(target=collector.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{collector.server_port}"
    try:
        with in_thread(settings(tmp_path_factory.mktemp("data"), otlp=url)) as server, http(server) as client:
            store = server.config.app.state.shared.store
            case = store.add_case("Doe^Jane", rooms(), patient="Doe^Jane", description="of her knee").id
            session = client.post(f"/api/cases/{case}/sessions").json()["id"]
            client.post(f"/api/sessions/{session}/events", json=defined(1))
            asked = {"X-Request-ID": "from-the-proxy", "traceparent": CALLER}
            assert client.post(f"/api/sessions/{session}/events", json=clicked((1, 2, 2)), headers=asked).is_success
            assert client.get("/api/cases", params={"q": "Doe^Jane", "limit": 5}).is_success
            assert client.get("/api/cases/Doe^Jane").status_code == 404
    finally:
        collector.shutdown()
        thread.join()
        collector.server_close()
    messages = [ExportTraceServiceRequest.FromString(body) for body in collector.bodies]
    return collector.bodies, messages, (case, session)


def spans(messages):
    scopes = [scope for message in messages for one in message.resource_spans for scope in one.scope_spans]
    return [span for scope in scopes for span in scope.spans]


def attributes(thing):
    return {one.key: one.value.string_value or one.value.int_value for one in thing.attributes}


def test_requests_answers_and_the_store_are_told_with_their_ids(received):
    found = spans(received[1])
    named = {span.name for span in found}
    assert named >= {"POST /api/sessions/{session}/events", "answer part", "store read", "store write", "blob write"}
    trace = [span for span in found if span.trace_id.hex() == CALLER.split("-")[1]]  # the proxy's goes on
    (request,) = [span for span in trace if span.name.startswith("POST")]
    assert request.parent_span_id.hex() == CALLER.split("-")[2] and request.kind == 2
    assert attributes(request) == {
        "http.request.method": "POST", "http.route": "/api/sessions/{session}/events", "http.response.status_code": 200,
        "segmend.request_id": "from-the-proxy",
    }  # fmt: skip
    parents = {span.span_id: span for span in trace}
    part = next(span for span in trace if span.name == "answer part")
    assert part.parent_span_id == request.span_id
    assert attributes(part) == {"segmend.method": "flood", "segmend.request_id": "from-the-proxy"}
    writes = [span for span in trace if span.name == "store write"]
    assert {parents[span.parent_span_id].name for span in writes} >= {request.name, "answer part"}


def test_nothing_of_a_patient_is_told(received):
    bodies, messages, ids = received
    everything = b"".join(bodies)
    assert not any(word.encode() in everything for word in ("Doe", "Jane", "knee", *ids))
    assert {key for span in spans(messages) for key in attributes(span)} <= TOLD
    resource = {key for message in messages for one in message.resource_spans for key in attributes(one.resource)}
    assert resource <= OF_THE_PROGRAM
    assert not any(span.events for span in spans(messages))


def test_without_the_option_nothing_of_it_is_even_loaded():
    code = "import sys, segmend.runtime.tracing; print([n for n in sys.modules if n.startswith('opentelemetry.sdk')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("url", ["localhost:4318", "grpc://localhost", "http://user@host", "http://h?x=1"])
def test_a_collector_that_is_none_is_refused(tmp_path, url):
    with pytest.raises(SettingsError, match="A collector needs to be named as"):
        settings(tmp_path, otlp=url)
