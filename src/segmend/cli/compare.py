"""`segmend compare`: all methods with one robot on the same objects."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segmend.cli.words import as_json, cluster_option, data_option, say

if TYPE_CHECKING:
    from segmend.evaluation.compare import Comparison


@click.command()
@data_option()
@click.option(
    "--methods",
    default="all",
    show_default=True,
    help="Names from `segmend methods`, with commas; systems: all with their variants.",
)
@click.option(
    "--user",
    default="click",
    show_default=True,
    help="The robot, as `segmend evaluate` names them; own: each method's.",
)
@click.option("--interactions", default=5, show_default=True, type=click.IntRange(min=1), help="At most, per object.")
@click.option("--split", default="val", show_default=True, help="Which part of each set: train, val, test.")
@click.option("--limit", default=None, type=click.IntRange(min=1), help="Cases of each set, at most.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Methods side by side.")
@cluster_option()
@click.option("--seed", default=0, show_default=True, help="Of the robots that draw at random.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder for tables, the report and what is kept.")
@as_json
def compare(
    data: Path,
    methods: str,
    user: str,
    interactions: int,
    split: str,
    limit: int | None,
    workers: int,
    cluster: str | None,
    seed: int,
    out: Path | None,
    as_json: bool,
) -> None:
    """Let a robot annotate the same objects with every method that can, each in a process of its own.

    With --out, a comparison that was stopped goes on with the methods that are missing.

    \b
    Example:
      segmend compare --data datasets --methods all --user click --limit 10 --out comparison
      segmend compare --data datasets --methods systems --user own --limit 10 --out systems
    """
    from segmend.evaluation.compare import compare as play_all
    from segmend.report import comparison, plots

    if out is not None and not plots.available():
        click.echo(plots.WITHOUT, err=True)
    found = play_all(
        data,
        [name.strip() for name in methods.split(",")],
        user,
        interactions=interactions,
        split=split,
        limit=limit,
        workers=workers,
        cluster=cluster,
        seed=seed,
        out=out,
        log=lambda line: click.echo(line, err=True),
    )
    written = comparison.write(found, out) if out is not None else ()
    say(found.summary(), [*_lines(found), *map(str, written[:5])], as_json=as_json)


def _lines(found: Comparison) -> list[str]:
    lines = []
    for kind in ("pictures", "volumes"):
        for number, one in enumerate(found.standings(kind)):
            wanted = list(one.values["dice"])
            if number == 0:
                head = " ".join(f"dice@{n:<3}" for n in wanted)
                lines.append(f"{kind:<23} {'objects':>7} {head} {'noc':>6} {'seconds':>8} {'MB':>6} {'to best':>8}")
            dices = " ".join(f"{one.values['dice'][n]:>8.3f}" for n in wanted)
            noc = next(iter(one.values["noc"].values()))
            seconds, peak = one.values["seconds_per_interaction"], one.values["peak_mb"] or 0
            behind = "" if one.versus is None else f"{one.versus.mean:+.3f}"
            count = len(one.report.curves)
            lines.append(f"{one.method:<23} {count:>7} {dices} {noc:>6.2f} {seconds:>8.3f} {peak:>6.0f} {behind:>8}")
    return [*lines, *(f"{name} did not take part: {why}" for name, why in found.absent.items())]
