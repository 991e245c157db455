"""The pages on which a browser logs in, or somebody who was invited chooses a password, and what takes what is entered.

They are all there is for who is not let in, so they are one file without scripts; its style is allowed by its hash.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from html import escape
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from segmend.errors import SettingsError
from segmend.server.access.auth import HEADERS, INVITATION_PAGE, LOGIN_PAGE, Gate
from segmend.server.replies import UnreadableError
from segmend.server.state import shared
from segmend.store.accounts import PASSWORD_LENGTH

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
CHOOSE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Choose a password for Segmend</title><style>{style}</style></head>
<body><main><h1>Segmend</h1>{said}
<form method="post" action="{action}" {hidden}>
<input type="hidden" name="code" value="{code}">
<input type="hidden" name="name" autocomplete="username" value="{name}">
<label>Password<input name="secret" type="password" autocomplete="new-password" required minlength="{least}" autofocus>
</label>
<label>Once more<input name="again" type="password" autocomplete="new-password" required></label>
<button>Choose this password</button>
</form></main></body></html>
"""
OVER = "This invitation opens nothing any more: it was used, or is too old. Ask for another one."
ASKED = "<p>This server needs a login. A token alone is enough, without a name.</p>"
POLICY = HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'") + (
    f"; style-src 'sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)


def login_page(root: str, status: int, to: str, *, said: str = "", name: str = "") -> Response:
    """Return the page, in a server under `root`; `to` is where its login leads, `said` what was wrong with the last."""
    shown = f"<p role=alert>{escape(said)}</p>" if said else ASKED
    first, second = ("autofocus", "") if not name else ("", "autofocus")
    to, name, action = escape(own_path(to, root)), escape(name), f"{root}{LOGIN_PAGE}"
    page = PAGE.format(style=STYLE, said=shown, action=action, to=to, name=name, first=first, second=second)
    return _reply(page, status)


def _reply(page: str, status: int) -> Response:
    # Without a referrer a browser would not say where its form came from, and be taken for another site's.
    return HTMLResponse(page, status, {"Content-Security-Policy": POLICY, "Referrer-Policy": "same-origin"})


def invitation_page(root: str, status: int, code: str, name: str | None, *, said: str = "") -> Response:
    """Return the page on which somebody who was invited chooses a password; without a name one that says it is over."""
    if name is None:
        said, status = OVER, 404
    asked = f"<p>Welcome, {escape(name or '')}. Choose a password of {PASSWORD_LENGTH} characters or more."
    shown = f"<p role=alert>{escape(said)}</p>" if said else asked
    values = {"code": escape(code), "name": escape(name or ""), "hidden": "hidden" if name is None else ""}
    page = CHOOSE.format(style=STYLE, said=shown, action=f"{root}{INVITATION_PAGE}", least=PASSWORD_LENGTH, **values)
    return _reply(page, status)


def own_path(address: str, root: str = "") -> str:
    """Return an address of this server without a host, for all others that of its first page.

    >>> own_path("/#case=1"), own_path("//evil.example/"), own_path("https://evil.example/"), own_path("/\\\\evil")
    ('/#case=1', '/', '/', '/')
    >>> own_path("/segmend/#case=1", "/segmend"), own_path("/other", "/segmend")
    ('/segmend/#case=1', '/segmend/')
    """
    first = f"{root}/"
    try:
        parts = urlsplit(address)
    except ValueError:
        return first
    plain = address.isprintable() and address.startswith(first) and "\\" not in address
    return address if plain and not address.startswith("//") and not parts.netloc and not parts.scheme else first


@router.get(LOGIN_PAGE, include_in_schema=False)
async def ask(request: Request, to: str = "/") -> Response:
    return login_page(_root(request), 200, to)


@router.post(LOGIN_PAGE, include_in_schema=False)
async def log_in(request: Request) -> Response:
    """Begin a login of who names the right password or token; the gate has looked at where the request came from."""
    form = await _form(request)
    name, secret, to = form.get("name", "").strip(), form.get("secret", ""), form.get("next", "/")
    gate: Gate = request.scope["state"]["gate"]
    found = await gate.check_login(request.scope, name, secret)
    if isinstance(found, Response):
        said = {429: "Too many wrong attempts; try again in a few minutes."}.get(
            found.status_code, "Name and password or token do not fit."
        )
        return login_page(_root(request), found.status_code, to, said=said, name=name)
    way = "password" if name else "token in a form"
    return await _let_in(request, *found, own_path(to, _root(request)), way=way)


def _root(request: Request) -> str:
    """Return the path that this server lies under."""
    return shared(request).settings.root_path


async def _form(request: Request) -> dict[str, str]:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            raise UnreadableError(f"A login needs at most {FORM_BYTES} bytes.")
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))


async def _let_in(request: Request, user: str, key: str, to: str, *, way: str) -> Response:
    """Begin a login."""
    gate: Gate = request.scope["state"]["gate"]
    await gate.note_login(request.scope, user, way)
    number = await run_in_threadpool(shared(request).logins.begin, user, key)
    response = RedirectResponse(to, 303)
    gate.set_cookie(response, number, request.scope["scheme"])
    return response


@router.get(INVITATION_PAGE, include_in_schema=False)
def ask_for_password(request: Request, code: str = "") -> Response:
    return invitation_page(_root(request), 200, code, shared(request).store.accounts.invited(code))


@router.post(INVITATION_PAGE, include_in_schema=False)
async def choose_password(request: Request) -> Response:
    """Give who was invited the password that they chose, and let them in."""
    form, accounts = await _form(request), shared(request).store.accounts
    code, secret = form.get("code", ""), form.get("secret", "")
    name = await run_in_threadpool(accounts.invited, code)
    if name is not None and secret != form.get("again", ""):
        return invitation_page(
            _root(request), 422, code, name, said="The two passwords are not the same; enter them once more."
        )
    try:
        name = await run_in_threadpool(accounts.accept, code, secret)
    except SettingsError as error:
        return invitation_page(_root(request), 422, code, name, said=str(error))
    key = None if name is None else await run_in_threadpool(accounts.with_password, name, secret)
    if name is None or key is None:
        return invitation_page(_root(request), 404, code, None)
    return await _let_in(request, name, key, f"{_root(request)}/", way="invitation")
