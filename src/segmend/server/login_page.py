"""The page on which a browser logs in, and the route that takes what is entered there.

It is all there is for who is not let in, so it is one file without scripts; its style is allowed by its hash.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from segmend.server.auth import HEADERS, LOGIN_PAGE, Gate
from segmend.server.replies import UnreadableError
from segmend.server.state import shared

router = APIRouter()
# Bytes of a form with a name, a password or token, and an address.
FORM_BYTES = 16 << 10

STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { margin: 0; min-height: 100vh; display: grid; place-items: center }
main { width: min(22rem, 100vw - 3rem) }
h1 { font-size: 1.5rem; margin: 0 0 .5rem }
label { display: block; margin-top: 1rem }
input, button { box-sizing: border-box; width: 100%; min-height: 44px; padding: .5rem; font: inherit }
button { margin-top: 1.5rem }
[role=alert] { border-left: 4px solid #c33; padding-left: .75rem }
"""
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Log in to Segmend</title><style>{style}</style></head>
<body><main><h1>Segmend</h1>{said}
<form method="post" action="{action}">
<input type="hidden" name="next" value="{to}">
<label>Name<input name="name" autocomplete="username" autocapitalize="none" value="{name}" {first}></label>
<label>Password, or a token
<input name="secret" type="password" autocomplete="current-password" required {second}></label>
<button>Log in</button>
</form></main></body></html>
"""
ASKED = "<p>This server needs a login. A token alone is enough, without a name.</p>"
POLICY = HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'") + (
    f"; style-src 'sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)


def login_page(status: int, to: str, *, said: str = "", name: str = "") -> Response:
    """Return the page; `to` is where its login leads, `said` what was wrong with the last one."""
    shown = f"<p role=alert>{escape(said)}</p>" if said else ASKED
    first, second = ("autofocus", "") if not name else ("", "autofocus")
    to, name = escape(own_path(to)), escape(name)
    page = PAGE.format(style=STYLE, said=shown, action=LOGIN_PAGE, to=to, name=name, first=first, second=second)
    # Without a referrer a browser would not say where its form came from, and be taken for another site's.
    return HTMLResponse(page, status, {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"})


def own_path(address: str) -> str:
    """Return an address of this server without a host, "/" for all others.

    >>> own_path("/#case=1"), own_path("//evil.example/"), own_path("https://evil.example/"), own_path("/\\\\evil")
    ('/#case=1', '/', '/', '/')
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    plain = address.isprintable() and address.startswith("/") and "\\" not in address
    return address if plain and not address.startswith("//") and not parts.netloc and not parts.scheme else "/"


@router.get(LOGIN_PAGE, include_in_schema=False)
async def ask(to: str = "/") -> Response:
    return login_page(200, to)


@router.post(LOGIN_PAGE, include_in_schema=False)
async def log_in(request: Request) -> Response:
    """Begin a login of who names the right password or token; the gate has looked at where the request came from."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            raise UnreadableError(f"A login needs at most {FORM_BYTES} bytes.")
    form = dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    name, secret, to = form.get("name", "").strip(), form.get("secret", ""), form.get("next", "/")
    gate: Gate = request.scope["state"]["gate"]
    found = await gate.check_login(request.scope, name, secret)
    if isinstance(found, Response):
        said = {429: "Too many wrong attempts; try again in a few minutes."}.get(
            found.status_code, "Name and password or token do not fit."
        )
        return login_page(found.status_code, to, said=said, name=name)
    user, key = found
    number = await run_in_threadpool(shared(request).logins.begin, user, key)
    response = RedirectResponse(own_path(to), 303)
    gate.set_cookie(response, number, request.scope["scheme"])
    return response
