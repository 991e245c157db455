"""Traces of OpenTelemetry: what a request, an answer or the store took, sent to a collector that somebody named.

Nothing is recorded, and nothing of OpenTelemetry imported, until `trace_to` is called. What is told is what things are
called and how long they took: routes with their placeholders, methods, statuses, ids of requests. Never an address,
a name, an id of a case, or the words of an error, which could quote any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from segmend.errors import SettingsError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer

Value = str | int | float | bool
# What takes attributes of a span that are known only later.
Note = Callable[[Mapping[str, Value]], None]
# Seconds that the last spans get to reach the collector.
PATIENCE_SECONDS = 3.0

# The tracer of this process, and what ends it; None where nobody asked for traces.
_tracer: Tracer | None = None


def trace_to(url: str, version: str) -> Callable[[], None]:
    """Send traces to a collector's OTLP over HTTP from now on; returns what sends the last ones and ends it.

    `url` is where the collector listens, such as http://localhost:4318.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        raise SettingsError("Traces need the packages of OpenTelemetry: pip install 'segmend[otel]'.") from None
    global _tracer
    provider = TracerProvider(resource=Resource.create({"service.name": "segmend", "service.version": version}))
    exporter = OTLPSpanExporter(endpoint=f"{url.rstrip('/')}/v1/traces", timeout=PATIENCE_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = provider.get_tracer("segmend", version)

    def end() -> None:
        global _tracer
        _tracer = None
        provider.shutdown()

    return end


@contextmanager
def span(
    name: str,
    attributes: Mapping[str, Value] | None = None,
    *,
    kind: Literal["INTERNAL", "SERVER"] = "INTERNAL",
    within: Context | None = None,
) -> Iterator[Note]:
    """Record what happens meanwhile, in the span that is open here or in the one `within` another context."""
    if _tracer is None:
        yield _nothing
        return
    from opentelemetry.trace import SpanKind, Status, StatusCode

    with _tracer.start_as_current_span(
        name,
        within,
        SpanKind[kind],
        dict(attributes or {}),
        record_exception=False,
        set_status_on_exception=False,
    ) as open_span:

        def note(more: Mapping[str, Value]) -> None:
            for key, value in more.items():
                if key == "name":
                    open_span.update_name(str(value))
                else:
                    open_span.set_attribute(key, value)

        try:
            yield note
        except BaseException as error:
            open_span.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def here() -> Context | None:
    """Return the context of the span that is open here, for work that is done elsewhere."""
    if _tracer is None:
        return None
    from opentelemetry.context import get_current

    return get_current()


def told_by(headers: Mapping[str, str]) -> Context | None:
    """Return the context that a request's `traceparent` names; None where it names none."""
    if _tracer is None or "traceparent" not in headers:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract(dict(headers.items()))


def _nothing(_more: Mapping[str, Any]) -> None:
    """Take what is noted where nobody records."""
