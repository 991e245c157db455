"""Routes for those who run the server: may it be given work, and how is it doing."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric

from segmend.errors import SegmendError
from segmend.server.metrics import COUNTED
from segmend.server.replies import PROBLEMS
from segmend.server.schemas import ReadyJson
from segmend.server.state import Shared, SharedNow, shared

router = APIRouter(tags=["server"], responses=PROBLEMS)


@router.get(
    "/readyz",
    response_model=ReadyJson,
    responses={503: {"model": ReadyJson, "description": "Not now."}},
    summary="Can the server be given work: the database answers, and the model is loaded; needs no token",
)
async def readyz(request: Request) -> Response:
    here = shared(request)
    store = await run_in_threadpool(_answers, here)
    method = here.ready.is_set()
    ready = store and method
    return JSONResponse({"ready": ready, "store": store, "method": method}, 200 if ready else 503)


@router.get(
    "/metrics",
    summary="Counts and times, in the form that Prometheus reads",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(here: SharedNow) -> Response:
    read_only = await run_in_threadpool(lambda: here.store.read_only is not None)
    now = CollectorRegistry()
    now.register(Standing(here, read_only))
    return Response(generate_latest(COUNTED) + generate_latest(now), media_type=CONTENT_TYPE_LATEST)


class Standing:
    """How a server stands at this moment."""

    def __init__(self, shared: Shared, read_only: bool) -> None:
        self._shared = shared
        self._read_only = read_only

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; the library's name for it."""
        sessions, memory = self._shared.sessions, self._shared.sessions.memory
        yield InfoMetricFamily("segmend", "Which Segmend.", value={"version": importlib.metadata.version("segmend")})
        for name, text, value in (
            ("ready", "1 when the first click will be quick.", self._shared.ready.is_set()),
            ("read_only", "1 while nothing can be stored.", self._read_only),
            ("open_sessions", "Sessions in memory.", sessions.count),
            ("waiting_answers", "Answers in the making that wait for a thread.", sessions.pool.waiting),
            ("kept_bytes", "Memory of what is kept because it may be wanted again.", memory.size_bytes),
            ("kept_limit_bytes", "What it may be at most.", memory.limit_bytes),
        ):
            yield GaugeMetricFamily(f"segmend_{name}", text, value=float(value))


def _answers(here: Shared) -> bool:
    """True when the store can be read, at the least."""
    try:
        here.store.projects()
    except SegmendError:
        return False
    return True
