"""The pages on which a browser logs in, or somebody who was invited chooses a password, and what takes what is entered.

They are all there is for who is not let in, so they are one file without scripts; its style is allowed by its hash.
"""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from functools import partial
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import HTMLResponse, RedirectResponse, Response

from segmend.errors import ForbiddenError, NotFoundError, SegmendError, SettingsError
from segmend.server.access.auth import HEADERS, INVITATION_PAGE, LOGIN_PAGE, OIDC_BACK, OIDC_PAGE, Gate
from segmend.server.access.oidc import JOURNEY_SECONDS, Journey, Provider
from segmend.server.replies import UnreadableError, status_of
from segmend.server.settings import OidcSettings
from segmend.server.state import shared
from segmend.store.accounts import PASSWORD_LENGTH
from segmend.store.audit import SERVER

router = APIRouter()
# Bytes of a form with a name, a password or token, and an address.
FORM_BYTES = 16 << 10

# The colours are the annotator's (web/src/themes.css).
STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 "Inter", "SF Pro Text", "Segoe UI", system-ui, sans-serif;
  --ground: #e4e9ef; --base: #f6f8fa; --raised: #fff; --line: #cbd3dd; --edge: #727e8e; --text: #141c26;
  --accent: #0a6658; --on-accent: #fff; --danger: #b3261e }
@media (prefers-color-scheme: dark) { :root {
  --ground: #0a0c10; --base: #11151b; --raised: #191f28; --line: #262e3a; --edge: #6d7a8d; --text: #e6eaf0;
  --accent: #5cc8b4; --on-accent: #06201b; --danger: #ef6b62 } }
@media (width >= 3200px) and (resolution < 1.25dppx) { :root { font-size: 22px } }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; background: var(--ground); color: var(--text) }
main { box-sizing: border-box; width: min(26rem, 100vw - 2rem); padding: 2rem; border: 1px solid var(--line);
  border-radius: 12px; background: var(--base) }
h1 { font-size: 1.5rem; margin: 0 0 .5rem }
label { display: block; margin-top: 1rem }
input, button { box-sizing: border-box; width: 100%; min-height: 44px; padding: .5rem .75rem; font: inherit;
  border: 1px solid var(--edge); border-radius: 6px; background: var(--raised); color: inherit }
button { margin-top: 1.5rem; border-color: transparent; background: var(--accent); color: var(--on-accent);
  font-weight: 600; cursor: pointer }
a { color: var(--accent) }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 1px }
[role=alert] { border-left: 4px solid var(--danger); padding-left: .75rem }
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
</form>{elsewhere}</main></body></html>
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
GO_ON = '<!doctype html><title>Segmend</title><meta http-equiv="refresh" content="0; url={to}"><p>You are logged in.'
# The cookie of a browser whose person is at the provider.
JOURNEY_COOKIE = "segmend_journey"
ASKED = "<p>This server needs a login. A token alone is enough, without a name.</p>"
POLICY = HEADERS["Content-Security-Policy"].replace("form-action 'none'", "form-action 'self'") + (
    f"; style-src 'sha256-{b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'"
)


def login_page(
    root: str, status: int, to: str, *, said: str = "", name: str = "", oidc: OidcSettings | None = None
) -> Response:
    """Return the page, in a server under `root`; `to` is where its login leads, `said` what was wrong with the last."""
    shown = f"<p role=alert>{escape(said)}</p>" if said else ASKED
    first, second = ("autofocus", "") if not name else ("", "autofocus")
    to, name, action = own_path(to, root), escape(name), f"{root}{LOGIN_PAGE}"
    link = escape(f"{root}{OIDC_PAGE}?{urlencode({'to': to})}")
    values = {
        "elsewhere": "" if oidc is None else f'<p><a href="{link}">Log in with {escape(oidc.name)}</a></p>',
        "to": escape(to),
    }
    page = PAGE.format(style=STYLE, said=shown, action=action, name=name, first=first, second=second, **values)
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
    return login_page(_root(request), 200, to, oidc=shared(request).settings.oidc)


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
        oidc = shared(request).settings.oidc
        return login_page(_root(request), found.status_code, to, said=said, name=name, oidc=oidc)
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


@router.get(OIDC_PAGE, include_in_schema=False)
async def go_to_provider(request: Request, to: str = "/") -> Response:
    """Send a browser to the provider of logins."""
    provider = _provider(request)
    journey = Journey.new(own_path(to, _root(request)))
    try:
        address = await run_in_threadpool(provider.address, journey, _back(request, provider))
    except SegmendError as error:
        return login_page(_root(request), status_of(error), to, said=str(error), oidc=provider.settings)
    response = RedirectResponse(address, 303)
    secure = request.scope["scheme"] == "https"
    options: dict[str, Any] = {"httponly": True, "secure": secure, "path": f"{_root(request)}{OIDC_PAGE}"}
    # Lax: it is to come along when the provider sends the browser back.
    response.set_cookie(JOURNEY_COOKIE, journey.to_text(), max_age=JOURNEY_SECONDS, samesite="lax", **options)
    return response


@router.get(OIDC_BACK, include_in_schema=False)
async def come_back(
    request: Request, code: str = "", state: str = "", iss: str | None = None, error: str = ""
) -> Response:
    """Begin a login of who comes back from the provider with a code."""
    provider, here, root = _provider(request), shared(request), _root(request)
    gate: Gate = request.scope["state"]["gate"]
    journey = Journey.from_text(request.cookies.get(JOURNEY_COOKIE, ""))
    try:
        if journey is None or not hmac.compare_digest(state.encode(), journey.state.encode()):
            raise ForbiddenError("This login was begun elsewhere, or too long ago; begin it again.")
        if error or not code or iss not in (None, provider.settings.issuer):
            raise ForbiddenError("The provider of logins did not let you in.")
        who = await run_in_threadpool(provider.identity, journey, code, _back(request, provider))
        projects = who.projects if provider.settings.role_claim else None
        accounts = here.store.by(SERVER).accounts
        user, key = await run_in_threadpool(
            partial(accounts.with_subject, who.subject, who.name, who.everywhere, projects, link=provider.settings.link)
        )
    except SegmendError as refused:
        await gate.note_failure(request.scope)
        return login_page(root, status_of(refused), "/", said=str(refused), oidc=provider.settings)
    await gate.note_login(request.scope, user, "provider")
    number = await run_in_threadpool(here.logins.begin, user, key)
    # A browser sends no strict cookie where another site led to; it does when our own page asks once more.
    response = HTMLResponse(GO_ON.format(to=escape(own_path(journey.to, root))))
    gate.set_cookie(response, number, request.scope["scheme"])
    response.delete_cookie(JOURNEY_COOKIE, path=f"{root}{OIDC_PAGE}")
    return response


def _provider(request: Request) -> Provider:
    if (provider := shared(request).provider) is None:
        raise NotFoundError("This server knows no provider of logins.")
    return provider


def _back(request: Request, provider: Provider) -> str:
    """Return the address at which the provider sends browsers back."""
    own = provider.settings.address or f"{request.scope['scheme']}://{request.headers.get('host', '')}{_root(request)}"
    return f"{own.rstrip('/')}{OIDC_BACK}"


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
