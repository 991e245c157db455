"""A TOML file in place of options: `segmend --config FILE COMMAND`.

Each command has a table; its keys are the long names of the command's options, and of its arguments, as `--help` shows
them, without dashes in front. An option that may be repeated takes a list; `set` may be a table of its own:

    [train]
    method = "bifseg"
    data = "datasets"
    preset = "small"

    [train.set]
    dimensions = 3
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from segmend.errors import FileError, SettingsError


def defaults_of(path: Path, context: click.Context) -> dict[str, Any]:
    """Return what a file gives the options of each command, by the names that click knows them by.

    FileError where it cannot be read; SettingsError names a command or an option that is not there.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"The settings in {path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise FileError(f"The settings in {path} need to be TOML: {error}.") from None
    group = context.command
    assert isinstance(group, click.Group)
    found = {}
    for name, table in tables.items():
        command = group.get_command(context, name)
        if command is None or not isinstance(table, dict):
            there = ", ".join(group.list_commands(context))
            raise SettingsError(f"{path.name} needs a table for each command; got {name!r}, and there are {there}.")
        found[name] = _of_command(command, table, path.name)
    return found


def _of_command(command: click.Command, table: Mapping[str, Any], file: str) -> dict[str, Any]:
    known = {name.lstrip("-"): param for param in command.params for name in (*param.opts, *param.secondary_opts)}
    found: dict[str, Any] = {}
    for name, value in table.items():
        if name not in known:
            there = ", ".join(sorted(known))
            raise SettingsError(f"{file} names the option {name!r} of {command.name}; there are {there}.")
        param = known[name]
        if isinstance(value, dict):
            value = [f"{key}={json.dumps(one)}" for key, one in value.items()]
        elif f"--{name}" in param.secondary_opts:  # the other side of a switch
            value = not value
        assert param.name is not None
        found[param.name] = value
    return found
