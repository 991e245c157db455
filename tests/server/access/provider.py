"""A small provider of OpenID Connect over HTTP: the code flow with PKCE, signed tokens, and faults when asked to."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import RSAKey

CLIENT, SECRET = "segmend", "the client's secret: 100%"


def packed(content):
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class Provider(ThreadingHTTPServer):
    """Lets everybody in as `claims` says; `fault` changes a token, a key or an answer."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.issuer = f"http://127.0.0.1:{self.server_address[1]}/realms/hospital"
        self.keys = [RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})]
        self.claims = {"sub": "4711", "preferred_username": "ada", "realm_access": {"roles": ["readers"]}}
        self.fault = None
        self.codes = {}

    def token(self, nonce):
        now = int(time.time())
        claims = {**self.claims, "iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": nonce}
        claims |= {
            "issuer": {"iss": f"{self.issuer}/other"},
            "audience": {"aud": "another program"},
            "azp": {"aud": [CLIENT, "another"], "azp": "another"},
            "time": {"exp": now - 3600, "iat": now - 7200},
            "nonce": {"nonce": "of another login"},
        }.get(self.fault, {})
        if self.fault == "none":
            head = packed(b'{"alg":"none"}')
            return f"{head}.{packed(json.dumps(claims).encode())}."
        if self.fault == "symmetric":  # signed with what everybody may know
            head = {"alg": "HS256", "kid": self.keys[-1].kid}
            signed = f"{packed(json.dumps(head).encode())}.{packed(json.dumps(claims).encode())}"
            return f"{signed}.{packed(hmac.digest(self.keys[-1].as_pem(private=False), signed.encode(), 'sha256'))}"
        key = RSAKey.generate_key(2048, {"kid": "first"}) if self.fault == "key" else self.keys[-1]
        return jwt.encode({"alg": "RS256", "kid": key.kid}, claims, key)


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        parts, own = urlsplit(self.path), self.server
        if parts.path.endswith("/.well-known/openid-configuration"):
            names = {"authorization_endpoint": "auth", "token_endpoint": "token", "jwks_uri": "keys"}
            self.say({"issuer": own.issuer, **{name: f"{own.issuer}/{end}" for name, end in names.items()}})
        elif parts.path.endswith("/keys"):
            self.say({"keys": [key.as_dict(private=False) for key in own.keys]})
        elif parts.path.endswith("/auth"):
            asked = dict(parse_qsl(parts.query))
            code = secrets.token_urlsafe(8)
            own.codes[code] = asked
            back = {"code": code, "state": asked["state"], "iss": own.issuer}
            if own.fault == "refused":
                back = {"error": "access_denied", "state": asked["state"]}
            self.send_response(302)
            self.send_header("Location", f"{asked['redirect_uri']}?{urlencode(back)}")
            self.send_header("Content-Length", "0")
            self.end_headers()

    def do_POST(self):
        form = {name: values[0] for name, values in self.form().items()}
        asked = self.server.codes.pop(form["code"], None)
        digest = packed(hashlib.sha256(form["code_verifier"].encode()).digest())
        pair = base64.b64decode(self.headers["Authorization"].removeprefix("Basic ")).decode()
        right = asked is not None and asked["code_challenge_method"] == "S256" and asked["code_challenge"] == digest
        right = right and asked["redirect_uri"] == form["redirect_uri"] and asked["scope"].split()[0] == "openid"
        right = right and pair == "segmend:the%20client%27s%20secret%3A%20100%25"
        if not right:
            self.say({"error": "invalid_grant"}, 400)
        else:
            self.say({"access_token": "x", "token_type": "Bearer", "id_token": self.server.token(asked["nonce"])})

    def form(self):
        return parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def say(self, values, status=200):
        content = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def providing():
    provider = Provider()
    thread = threading.Thread(target=provider.serve_forever)
    thread.start()
    try:
        yield provider
    finally:
        provider.shutdown()
        thread.join()
        provider.server_close()
