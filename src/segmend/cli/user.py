"""`segmend user`: who may log in."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path

import click

from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json, say
from segmend.errors import SettingsError


@click.group()
def user() -> None:
    """Add, list, disable and remove the people who may log in to a server.

    A person has a password for the login page, a token for programs and viewers, or both. Marks are signed with the
    name.

    \b
    Example:
      segmend user add ada
    """


@user.command()
@click.argument("name")
@click.option("--token", "with_token", is_flag=True, help="Draw a token in place of asking for a password.")
@place_options
@as_json
def add(name: str, with_token: bool, data: Path, database: str | None, blobs: str | None, as_json: bool) -> None:
    """Add NAME, and ask for a password, or read it from a pipe; --token prints a token in its place.

    \b
    Examples:
      segmend user add ada
      segmend user add pipeline --token
    """
    with open_store(data, database, blobs) as store:
        if with_token:
            drawn = secrets.token_urlsafe(24)
            store.accounts.add(name, token=drawn)
            say({"name": name, "token": drawn}, [drawn], as_json=as_json)
        else:
            store.accounts.add(name, password=_password(name))
            say({"name": name, "token": None}, [f"{name} can log in."], as_json=as_json)


@user.command()
@click.argument("name")
@click.option("--none", is_flag=True, help="Take the password away.")
@place_options
def password(name: str, none: bool, data: Path, database: str | None, blobs: str | None) -> None:
    """Give NAME another password; who is logged in with the old one is logged out."""
    with open_store(data, database, blobs) as store:
        store.accounts.get(name)
        store.accounts.set_password(name, None if none else _password(name))


@user.command()
@click.argument("name")
@click.option("--none", is_flag=True, help="Take the token away.")
@place_options
@as_json
def token(name: str, none: bool, data: Path, database: str | None, blobs: str | None, as_json: bool) -> None:
    """Draw NAME another token and print it; the old one opens nothing any more."""
    drawn = None if none else secrets.token_urlsafe(24)
    with open_store(data, database, blobs) as store:
        store.accounts.set_token(name, drawn)
    say({"name": name, "token": drawn}, [] if drawn is None else [drawn], as_json=as_json)


@user.command()
@click.argument("name")
@place_options
def disable(name: str, data: Path, database: str | None, blobs: str | None) -> None:
    """Let NAME in no longer; what NAME did stays."""
    with open_store(data, database, blobs) as store:
        store.accounts.disable(name)


@user.command()
@click.argument("name")
@place_options
def enable(name: str, data: Path, database: str | None, blobs: str | None) -> None:
    """Let NAME in again."""
    with open_store(data, database, blobs) as store:
        store.accounts.disable(name, disabled=False)


@user.command()
@click.argument("name")
@place_options
def remove(name: str, data: Path, database: str | None, blobs: str | None) -> None:
    """Remove NAME; what NAME did stays, with the name."""
    with open_store(data, database, blobs) as store:
        store.accounts.remove(name)


@user.command("list")
@place_options
@as_json
def list_users(data: Path, database: str | None, blobs: str | None, as_json: bool) -> None:
    """List who may log in, and how."""
    with open_store(data, database, blobs) as store:
        found = store.accounts.everybody()
    rows = [
        {
            "name": one.name,
            "password": one.has_password,
            "token": one.has_token,
            "disabled": one.disabled,
            "created": one.created.isoformat(timespec="seconds"),
        }
        for one in found
    ]
    lines = [f"{one.name}  {_ways(one.has_password, one.has_token, one.disabled)}" for one in found]
    say({"users": rows}, lines or ["Nobody yet: segmend user add NAME"], as_json=as_json)


def _ways(has_password: bool, has_token: bool, disabled: bool) -> str:
    if disabled:
        return "disabled"
    ways = [word for word, there in (("password", has_password), ("token", has_token)) if there]
    return " and ".join(ways) or "neither password nor token"


def _password(name: str) -> str:
    """Return the password that a person types twice, or that comes as the only line of a pipe."""
    if sys.stdin.isatty():
        entered: str = click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return entered
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise SettingsError("A password needs to be typed, or to come as a line of a pipe; got none.")
    return line
