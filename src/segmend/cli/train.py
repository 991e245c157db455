"""`segmend train`: weights from images with masks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from segmend.cli.words import as_json, say
from segmend.errors import SettingsError


@click.command(short_help="Train a method on a folder of data sets.")
@click.argument("method")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path),
    envvar="SEGMEND_DATA",
    show_envvar=True,
    help="A data set (images/, labels/, split.json), or a folder of them.",
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where checkpoints and weights go.  [default: runs/METHOD]"
)
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="A setting of the method, such as steps=200."
)
@as_json
def train(method: str, data: Path, out: Path | None, changes: tuple[str, ...], as_json: bool) -> None:
    """Train METHOD, one of `segmend methods` that learns, and write its weights. A run that was stopped goes on where it was.

    \b
    Needs torch: pip install 'segmend[train]'.

    \b
    Example:
      segmend train mend --data datasets --out runs/mend --set steps=2000
    """
    options = settings_of(changes)
    try:
        from segmend import train as training
    except ModuleNotFoundError as missing:
        raise SettingsError(f"Training needs {missing.name}; install it with: pip install 'segmend[train]'.") from None
    out = Path("runs", method) if out is None else out
    finished = training.main(method, data, out, log=lambda line: click.echo(line, err=True), **options)
    weights = [str(path) for path in finished.weights]
    values = {"weights": weights, "scores": finished.scores, "steps": finished.steps, "seconds": finished.seconds}
    scores = ", ".join(f"{name} {value:.4f}" for name, value in finished.scores.items())
    say(
        values,
        [f"{', '.join(weights)}: {finished.steps} steps in {finished.seconds:.0f} s; {scores}."],
        as_json=as_json,
    )


def settings_of(changes: Sequence[str]) -> dict[str, Any]:
    """Return settings written as name=value; values are JSON where they can be, text otherwise.

    >>> settings_of(["steps=200", "widths=[8, 16]", "device=cpu"])
    {'steps': 200, 'widths': (8, 16), 'device': 'cpu'}
    """
    settings: dict[str, Any] = {}
    for change in changes:
        name, equals, text = change.partition("=")
        if not equals or not name.isidentifier():
            raise SettingsError(f"A setting needs the form name=value; got {change!r}.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        settings[name] = tuple(value) if isinstance(value, list) else value
    return settings
