"""`segmend user`: who may log in."""

from __future__ import annotations

import secrets
import sys
from pathlib import Path
from typing import Literal

import click

from segmend.cli.place import open_store, place_options
from segmend.cli.words import as_json, say
from segmend.errors import SettingsError
from segmend.store.accounts import INVITATION_DAYS
from segmend.store.records import ROLES, Role, Roles, User


@click.group()
def user() -> None:
    """Add, invite, list, disable and remove the people who may log in to a server.

    A person has a password for the login page, a token for programs and viewers, or both, and a role in all projects
    or in some. Marks are signed with the name.

    \b
    Example:
      segmend user add ada
    """


role_option = click.option(
    "--role",
    type=click.Choice(ROLES),
    default="annotator",
    show_default=True,
    help="What they may: annotators mark; reviewers add cases, take results and accept, too; admins everything.",
)
project_option = click.option("--project", help="The one project in which they have the role; otherwise in all.")


@user.command()
@click.argument("name")
@click.option("--token", "with_token", is_flag=True, help="Draw a token in place of asking for a password.")
@role_option
@project_option
@place_options
@as_json
def add(
    name: str,
    with_token: bool,
    role: Role,
    project: str | None,
    data: Path,
    database: str | None,
    blobs: str | None,
    as_json: bool,
) -> None:
    """Add NAME, and ask for a password, or read it from a pipe; --token prints a token in its place.

    \b
    Examples:
      segmend user add ada
      segmend user add grace --role reviewer --project lungs
      segmend user add pipeline --role admin --token
    """
    with open_store(data, database, blobs) as store:
        if with_token:
            drawn = secrets.token_urlsafe(24)
            store.accounts.add(name, token=drawn, role=role, project=project)
            say({"name": name, "token": drawn}, [drawn], as_json=as_json)
        else:
            store.accounts.add(name, password=_password(name), role=role, project=project)
            say({"name": name, "token": None}, [f"{name} can log in."], as_json=as_json)


@user.command()
@click.argument("name")
@role_option
@project_option
@click.option("--days", default=INVITATION_DAYS, show_default=True, help="After which the link opens nothing.")
@click.option("--address", default="http://localhost:8765", show_default=True, help="Where people reach the server.")
@place_options
@as_json
def invite(
    name: str,
    role: Role,
    project: str | None,
    days: float,
    address: str,
    data: Path,
    database: str | None,
    blobs: str | None,
    as_json: bool,
) -> None:
    """Print a link with which NAME, who is added if need be, chooses a password: once.

    \b
    Example:
      segmend user invite ada --project lungs --address https://segmend.example.org
    """
    with open_store(data, database, blobs) as store:
        if name not in [one.name for one in store.accounts.everybody()]:
            store.accounts.add(name, role=role, project=project)
        code = store.accounts.invite(name, days=days)
    link = f"{address.rstrip('/')}/invitation?code={code}"
    say({"name": name, "link": link, "days": days}, [link], as_json=as_json)


@user.command()
@click.argument("name")
@click.argument("role", type=click.Choice([*ROLES, "none"]))
@project_option
@place_options
def role(
    name: str, role: Role | Literal["none"], project: str | None, data: Path, database: str | None, blobs: str | None
) -> None:
    """Give NAME another ROLE in all projects, or in one; none takes it away.

    \b
    Examples:
      segmend user role ada reviewer
      segmend user role ada none --project lungs
    """
    with open_store(data, database, blobs) as store:
        store.accounts.set_role(name, None if role == "none" else role, project=project)


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
        roles = {one.name: store.accounts.roles(one.name) for one in found}
    rows = [
        {
            "name": one.name,
            "password": one.has_password,
            "token": one.has_token,
            "provider": one.linked,
            "disabled": one.disabled,
            "role": one.role,
            "projects": dict(roles[one.name].projects),
            "created": one.created.isoformat(timespec="seconds"),
        }
        for one in found
    ]
    lines = [f"{one.name}  {_ways(one)}  {_said(roles[one.name])}" for one in found]
    say({"users": rows}, lines or ["Nobody yet: segmend user add NAME"], as_json=as_json)


def _said(roles: Roles) -> str:
    """Return the roles of somebody as one text.

    >>> _said(Roles("annotator", {"lungs": "admin"})), _said(Roles(None, {}))
    ('annotator, admin of lungs', 'no role')
    """
    own = [f"{role} of {project}" for project, role in sorted(roles.projects.items())]
    return ", ".join([*([roles.everywhere] if roles.everywhere else []), *own]) or "no role"


def _ways(one: User) -> str:
    if one.disabled:
        return "disabled"
    ways = (("password", one.has_password), ("token", one.has_token), ("provider", one.linked))
    return " and ".join(word for word, there in ways if there) or "neither password nor token"


def _password(name: str) -> str:
    """Return the password that a person types twice, or that comes as the only line of a pipe."""
    if sys.stdin.isatty():
        entered: str = click.prompt(f"Password of {name}", hide_input=True, confirmation_prompt=True, err=True)
        return entered
    line = sys.stdin.readline().rstrip("\r\n")
    if not line:
        raise SettingsError("A password needs to be typed, or to come as a line of a pipe; got none.")
    return line
