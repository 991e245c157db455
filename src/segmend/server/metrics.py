"""What is counted and timed in a server's process, in Prometheus's form: never a name, an address or an id.

These belong to the process; how things stand at this moment is asked when somebody looks (`operations`).
"""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

COUNTED = CollectorRegistry()
# Upper ends of the classes that times are counted in, seconds: from a cached reply to a large volume's upload.
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUESTS = Counter("segmend_http_requests", "HTTP requests answered.", ("method", "route", "status"), registry=COUNTED)
REQUEST_SECONDS = Histogram(
    "segmend_http_request_seconds", "From a request to the end of its reply.", ("route",), buckets=SECONDS,
    registry=COUNTED,
)  # fmt: skip
LIVE = Gauge("segmend_live_connections", "WebSockets that are open.", registry=COUNTED)
ANSWER_SECONDS = Histogram(
    "segmend_answer_seconds", "From an event's being stored to its answer.", ("method", "outcome"), buckets=SECONDS,
    registry=COUNTED,
)  # fmt: skip
ENDED_PROCESSES = Counter(
    "segmend_ended_processes",
    "Processes of methods that ended or were ended, and were started again.",
    registry=COUNTED,
)
ProcessCollector(registry=COUNTED)
