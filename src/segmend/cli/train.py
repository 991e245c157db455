"""`segmend train`: weights from images with masks."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from segmend.cli.words import as_json, cluster_option, data_option, say
from segmend.errors import SettingsError
from segmend.learning.progress import Bar, Lines
from segmend.learning.recipe import check_learns
from segmend.runtime.cluster import Cluster


@click.command()
@click.argument("method")
@data_option()
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where checkpoints and weights go.  [default: runs/METHOD]"
)
@click.option(
    "--set", "changes", multiple=True, metavar="NAME=VALUE", help="A setting of the method, such as steps=200."
)
@click.option(
    "--preset",
    type=click.Choice(("small", "paper")),
    default="small",
    show_default=True,
    help="What the settings are where --set does not say: what trains here in minutes, or the paper's own.",
)
@click.option(
    "--cache",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Map cases from files in this folder, made once, instead of holding all in memory: for large sets.",
)
@click.option(
    "--workers", default=1, show_default=True, help="With --cluster: processes, each of which reads a case at a time."
)
@cluster_option("Preparation of cases for --cache: ")
@click.option(
    "--task",
    is_flag=True,
    help="Learn to find the labels of one data set without a prompt, too (mend). The same as --set task=true.",
)
@as_json
def train(
    method: str,
    data: Path,
    out: Path | None,
    changes: tuple[str, ...],
    preset: str,
    cache: Path | None,
    workers: int,
    cluster: str | None,
    task: bool,
    as_json: bool,
) -> None:
    """Train METHOD, one of `segmend methods` that learns, and write its weights.

    A run that was stopped goes on where it was. Besides the method's own settings there are
    every (steps between validations), exam (samples of each), patience (validations without
    a better score after which it stops, 0 for never), minutes (after which it stops, 0 for
    never), epochs (passes over the cases, in place of steps; then it validates after each),
    clip (of the gradient, 0 for none), schedule (of the rate: own or constant), threads,
    workers and device. All of them are printed and kept in run.json beside the weights.

    \b
    Needs torch: pip install 'segmend[train]'.

    \b
    Examples:
      segmend train mend --data datasets --out runs/mend --set steps=2000
      segmend train bifseg --preset paper --data datasets --set dimensions=3
      segmend train mend --task --data hearts --out runs/hearts --set steps=2000
      torchrun --nproc-per-node 2 -m segmend train mend --data datasets
    """
    check_learns(method)
    options = settings_of(changes) | ({"task": True} if task else {})
    try:
        from segmend.learning import loop as training
        from segmend.learning.distributed import ALONE, join_processes
    except ModuleNotFoundError as missing:
        raise SettingsError(f"Training needs {missing.name}; install it with: pip install 'segmend[train]'.") from None
    spread = None if cluster is None else Cluster(cluster, workers)
    folder = Path("runs", method) if out is None else out
    progress = Bar(sys.stderr) if sys.stderr.isatty() else Lines(lambda line: click.echo(line, err=True))
    with join_processes() if "TORCHELASTIC_RUN_ID" in os.environ else nullcontext(ALONE) as world:
        finished = training.main(
            method, data, folder, progress=progress, world=world, preset=preset, cache=cache, cluster=spread, **options
        )
    if not world.leads:
        return
    weights = [str(path) for path in finished.weights]
    values = {"weights": weights, "scores": finished.scores, "steps": finished.steps, "seconds": finished.seconds}
    scores = ", ".join(f"{name} {value:.4f}" for name, value in finished.scores.items()) or "not validated"
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
