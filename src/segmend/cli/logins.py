"""The provider of logins (OIDC) that a TOML file describes."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from typing import Any

from segmend.errors import FileError, SettingsError
from segmend.server.access.oidc import check_installed
from segmend.server.settings import OidcSettings
from segmend.store.records import ROLES, Role


def oidc_of(path: Path) -> OidcSettings:
    """Return the provider of logins that a TOML file describes.

    `client_secret` may be the name of a variable of the environment, behind a $. A role in one project is written
    `PROJECT:role`.
    """
    check_installed()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"The provider of logins in {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise FileError(f"The provider of logins in {path} needs to be TOML: {error}.") from None
    secret = table.get("client_secret")
    if isinstance(secret, str) and secret.startswith("$"):
        table["client_secret"] = os.environ.get(secret[1:])
        if not table["client_secret"]:
            raise SettingsError(f"The variable {secret[1:]} with the provider's client_secret is not set.")
    try:
        roles = {
            value: tuple(map(_role_in, said if isinstance(said, list) else [said]))
            for value, said in table.pop("roles", {}).items()
        }
        if "role" in table:
            table["role"] = _role_in(table["role"])[1]
        if "scopes" in table:
            table["scopes"] = tuple(table["scopes"])
        return OidcSettings(**table, roles=roles)
    except (TypeError, AttributeError):
        raise SettingsError(
            f"The provider of logins in {path.name} needs issuer, client_id, and perhaps client_secret, name, scopes, "
            "user_claim, role_claim, roles, role, link, address."
        ) from None


def _role_in(text: Any) -> tuple[str | None, Role]:
    """Return the project and the role that a text such as `lungs:reviewer` means; no project: all."""
    project, colon, name = str(text).rpartition(":")
    role = next((one for one in ROLES if one == name), None)
    if role is None:
        raise SettingsError(
            f"A role is {', '.join(ROLES[:-1])} or {ROLES[-1]}, or PROJECT:role; got {str(text)[:80]!r}."
        )
    return (project if colon else None), role
