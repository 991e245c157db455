"""Logging in at a provider of OpenID Connect, such as Keycloak or Microsoft Entra, by the code flow with PKCE.

A browser goes to the provider with a state, a nonce and the hash of a secret, which it keeps in a cookie for ten
minutes; it comes back with a code, for which this server asks the provider directly, with that secret. The token that
comes is believed only with a signature by one of the provider's keys, of the kinds named here, and when issuer,
audience, time and nonce are right. Then a login begins as after a password: nothing of the provider is kept but who it
says somebody is.

Who somebody is: the issuer and the subject, which never change, are kept with the account that their first login makes.
An account of the same name that is there already is another one's, unless the settings say `link`.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from types import MappingProxyType
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode, urlsplit
from urllib.request import Request, urlopen

from segmend.errors import ForbiddenError, SettingsError
from segmend.server.settings import OidcSettings, is_loopback
from segmend.store.records import ROLES, Role

# Seconds that a provider may take for an answer, and bytes of one.
ASK_SECONDS, MOST_BYTES = 10.0, 1 << 20
# Seconds for which what a provider says of itself is believed, and after which its keys may be asked for anew.
BELIEVED_SECONDS, KEYS_SECONDS = 3600.0, 30.0
# Seconds that clocks may differ.
LEEWAY_SECONDS = 60
# Kinds of signatures: none that a secret of the client would make.
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
# Kinds of keys that make them.
KINDS = ("RSA", "EC", "OKP")
# Seconds in which somebody has to come back from the provider.
JOURNEY_SECONDS = 600


@dataclass(frozen=True)
class Journey:
    """What a browser keeps while its person is at the provider."""

    state: str
    nonce: str
    secret: str  # PKCE's verifier
    to: str  # where the login leads

    @classmethod
    def new(cls, to: str) -> Journey:
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48), to)

    def to_text(self) -> str:
        return base64.urlsafe_b64encode(json.dumps(self.__dict__).encode()).decode().rstrip("=")

    @classmethod
    def from_text(cls, text: str) -> Journey | None:
        """Return what `to_text` wrote; None for anything else."""
        try:
            values = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
            found = cls(*(values[name] for name in ("state", "nonce", "secret", "to")))
        except (ValueError, LookupError, TypeError):
            return None
        return found if all(isinstance(one, str) and one for one in values.values()) else None


@dataclass(frozen=True)
class Identity:
    """Whom a provider says somebody is."""

    subject: str  # issuer and subject
    name: str
    everywhere: Role | None
    projects: Mapping[str, Role] = field(default_factory=dict)


class Provider:
    """One provider; every method may be called from any thread, and waits for the network."""

    def __init__(self, settings: OidcSettings) -> None:
        self.settings = settings
        self._lock = Lock()
        self._about: tuple[float, dict[str, Any]] | None = None
        self._keys: tuple[float, dict[str, Any]] | None = None

    def address(self, journey: Journey, back: str) -> str:
        """Return where a browser goes to log in."""
        digest = hashlib.sha256(journey.secret.encode()).digest()
        asked = {
            "response_type": "code",
            "client_id": self.settings.client_id,
            "redirect_uri": back,
            "scope": " ".join(self.settings.scopes),
            "state": journey.state,
            "nonce": journey.nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).decode().rstrip("="),
            "code_challenge_method": "S256",
        }
        place = self._address_of("authorization_endpoint")
        return f"{place}{'&' if '?' in place else '?'}{urlencode(asked)}"

    def identity(self, journey: Journey, code: str, back: str) -> Identity:
        """Return whom a code is for; ForbiddenError where the provider's answer is not to be believed."""
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": back,
            "client_id": self.settings.client_id,
            "code_verifier": journey.secret,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        if self.settings.client_secret is not None:
            pair = f"{quote(self.settings.client_id, safe='')}:{quote(self.settings.client_secret, safe='')}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        reply = self._ask(self._address_of("token_endpoint"), urlencode(form).encode(), headers)
        token = reply.get("id_token")
        if not isinstance(token, str):
            raise ForbiddenError("The provider of logins sent no ID token; ask for the scope openid.")
        return self._identity_of(self._checked(token, journey.nonce))

    def _checked(self, token: str, nonce: str) -> dict[str, Any]:
        """Return the claims of a token that is to be believed."""
        from joserfc import errors, jwt
        from joserfc.jwk import KeySet

        found: dict[str, Any] | None = None
        for anew in (False, True):  # the provider may have new keys
            try:
                said = self._keys_now(anew=anew).get("keys")
                usable = [one for one in said or [] if one.get("kty") in KINDS and one.get("use", "sig") == "sig"]
                keys = KeySet.import_key_set({"keys": usable})
                found = jwt.decode(token, keys, algorithms=list(ALGORITHMS)).claims
                break
            except (errors.JoseError, ValueError):
                continue
        if found is None:
            raise ForbiddenError("The ID token of the provider of logins has no signature that fits its keys.")
        wanted = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self.settings.issuer},
            aud={"essential": True, "value": self.settings.client_id},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            wanted.validate(found)
        except errors.JoseError as error:
            raise ForbiddenError(f"The ID token of the provider of logins does not fit: {error}.") from None
        several = isinstance(found["aud"], list) and len(found["aud"]) > 1
        if found.get("azp", self.settings.client_id if not several else None) != self.settings.client_id:
            raise ForbiddenError("The ID token of the provider of logins was made for another program.")
        return found

    def _identity_of(self, claims: Mapping[str, Any]) -> Identity:
        name = _found(claims, self.settings.user_claim)
        if not isinstance(name, str) or not name.strip():
            raise ForbiddenError(f"The provider of logins says no {self.settings.user_claim!r} of this person.")
        subject = f"{claims['iss']} {claims['sub']}"
        if not self.settings.role_claim:
            return Identity(subject, name.strip(), self.settings.role)
        said = _found(claims, self.settings.role_claim)
        values = [said] if isinstance(said, str) else said if isinstance(said, list) else []
        everywhere: list[Role] = []
        projects: dict[str, Role] = {}
        for value in values:
            for project, role in self.settings.roles.get(str(value), ()):
                if project is None:
                    everywhere.append(role)
                else:
                    projects[project] = max(role, projects.get(project, role), key=ROLES.index)
        if not everywhere and not projects:
            raise ForbiddenError(f"{name.strip()} has no role here: ask who runs this server.")
        return Identity(subject, name.strip(), max(everywhere, key=ROLES.index, default=None), projects)

    # What the provider says of itself

    def _address_of(self, name: str) -> str:
        place = self._about_now().get(name)
        if not isinstance(place, str) or not _is_safe(place):
            raise ForbiddenError(f"The provider of logins names no {name} that is reached by https.")
        return place

    def _about_now(self) -> dict[str, Any]:
        with self._lock:
            known = self._about
        if known is None or time.monotonic() - known[0] > BELIEVED_SECONDS:
            place = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
            known = (time.monotonic(), self._ask(place))
            if known[1].get("issuer") != self.settings.issuer:
                raise ForbiddenError("The provider of logins calls itself another issuer than the settings do.")
            with self._lock:
                self._about = known
        return known[1]

    def _keys_now(self, *, anew: bool) -> dict[str, Any]:
        with self._lock:
            known = self._keys
        age = float("inf") if known is None else time.monotonic() - known[0]
        if known is None or age > BELIEVED_SECONDS or (anew and age > KEYS_SECONDS):
            known = (time.monotonic(), self._ask(self._address_of("jwks_uri")))
            with self._lock:
                self._keys = known
        return known[1]

    def _ask(
        self, place: str, form: bytes | None = None, headers: Mapping[str, str] = MappingProxyType({})
    ) -> dict[str, Any]:
        """Return what a provider answers, which is asked by https or on this machine."""
        try:
            request = Request(place, form, dict(headers))  # noqa: S310 - `_is_safe` and the settings see to that
            with urlopen(request, timeout=ASK_SECONDS) as reply:  # noqa: S310
                found = json.loads(reply.read(MOST_BYTES))
        except HTTPError as error:
            error.close()
            raise ForbiddenError(f"The provider of logins refused ({error.code}).") from None
        except (OSError, ValueError):
            raise ForbiddenError("The provider of logins cannot be reached, or says what none says.") from None
        if not isinstance(found, dict):
            raise ForbiddenError("The provider of logins cannot be reached, or says what none says.")
        return found


def check_installed() -> None:
    """Raise SettingsError where what checks tokens is not there."""
    try:
        import joserfc  # noqa: F401
    except ModuleNotFoundError:
        raise SettingsError("Logging in at a provider needs joserfc: pip install 'segmend[oidc]'.") from None


def _is_safe(address: str) -> bool:
    parts = urlsplit(address)
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))


def _found(claims: Mapping[str, Any], path: str) -> Any:
    """Return a claim, also one in another: `realm_access.roles`; a name with dots of its own comes first.

    >>> _found({"realm_access": {"roles": ["a"]}}, "realm_access.roles"), _found({"a.b": 1}, "a.b"), _found({}, "c.d")
    (['a'], 1, None)
    """
    if path in claims:
        return claims[path]
    first, dot, rest = path.partition(".")
    inner = claims.get(first)
    return _found(inner, rest) if dot and isinstance(inner, dict) else None
