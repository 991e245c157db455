"""The log of a server, on standard error: lines for people, or one JSON object a line for a collector of logs."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal

from segmend.server.requests import request_id

Form = Literal["text", "json"]
FORMS: tuple[Form, ...] = ("text", "json")
# What a line about a request says beside its sentence.
FIELDS = ("method", "route", "status", "milliseconds", "user")


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        values = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "request_id": request_id.get(),
            **{name: getattr(record, name, None) for name in FIELDS},
        }
        if record.exc_info:
            values["traceback"] = self.formatException(record.exc_info)
        return json.dumps({name: value for name, value in values.items() if value is not None})


class TextLines(logging.Formatter):
    """Time, level, sentence, and the id of the request that it is about."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line, own = super().formatMessage(record), request_id.get()
        return line if own is None else f"{line} [{own}]"


def write_logs(form: Form, *, requests: bool) -> None:
    """Send what a server says to standard error in this form; a line for each request only where it is wanted."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("segmend").setLevel(logging.INFO if requests else logging.WARNING)
