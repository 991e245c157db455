"""Text goes out compressed to those who take it, and is the same text; nothing else is touched."""

import asyncio
import gzip
import re
import threading

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from segmend.server.packing import LEAST_BYTES, PackText

LONG = "a sentence that is said again and again. " * 200


def app(*routes):
    made = Starlette(routes=[Route(path, answer) for path, answer in routes])
    made.add_middleware(PackText)
    return made


def sent(made, path, **headers):
    """The reply with its body as it travels."""

    async def ask():
        transport = httpx.ASGITransport(made)
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://here") as client,
            client.stream("GET", path, headers={"Accept-Encoding": "gzip", **headers}) as reply,
        ):
            return reply, b"".join([piece async for piece in reply.aiter_raw()])

    return asyncio.run(ask())


def test_text_is_compressed_and_the_same():
    made = app(("/", lambda request: PlainTextResponse(LONG)))

    reply, body = sent(made, "/")

    assert gzip.decompress(body).decode() == LONG
    assert reply.headers["content-encoding"] == "gzip"
    assert int(reply.headers["content-length"]) == len(body) < len(LONG) / 20
    assert "accept-encoding" in reply.headers["vary"].lower()


def test_text_in_pieces_is_compressed_as_one():
    pieces = [LONG[:3000], LONG[3000:]]
    made = app(("/", lambda request: StreamingResponse(iter(pieces), media_type="application/json")))

    assert gzip.decompress(sent(made, "/")[1]).decode() == LONG


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: PlainTextResponse("x" * (LEAST_BYTES - 1)),
        lambda request: Response(LONG, media_type="application/octet-stream"),
        lambda request: PlainTextResponse(LONG, 404),
        lambda request: PlainTextResponse(LONG, headers={"Content-Encoding": "br"}),
    ],
    ids=["short", "no text", "refusal", "packed"],
)
def test_other_replies_are_left_as_they_are(answer):
    reply, body = sent(app(("/", answer)), "/")

    assert reply.headers.get("content-encoding") != "gzip"
    assert len(body) == int(reply.headers["content-length"])


def test_who_does_not_take_it_or_asks_for_a_part_gets_plain_text():
    made = app(("/", lambda request: PlainTextResponse(LONG)))

    for headers in ({"Accept-Encoding": "identity"}, {"Range": "bytes=0-9"}):
        assert sent(made, "/", **headers)[1].decode() == LONG


def test_a_file_is_compressed_once():
    threads = []
    made = app(("/a", lambda request: PlainTextResponse(LONG, headers={"ETag": '"1"'})))
    real = gzip.compress

    def counted(body, level):
        threads.append(threading.current_thread())
        return real(body, level)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gzip, "compress", counted)
        bodies = {sent(made, "/a")[1] for _ in range(3)}

    assert (len(threads), len(bodies)) == (1, 1)


def test_a_server_sends_its_document_compressed(client):
    reply = client.get("/api/openapi.json", headers={"Accept-Encoding": "gzip"})

    assert isinstance(reply, httpx.Response)
    assert reply.headers["content-encoding"] == "gzip"
    assert re.match(r"3\.", reply.json()["openapi"])
