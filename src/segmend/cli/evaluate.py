"""`segmend evaluate`: how a method fares when a robot annotates."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from segmend.cli.words import (
    as_json,
    check_free,
    cluster_option,
    data_option,
    device_options,
    force_option,
    say,
    variant_option,
    weights_option,
)
from segmend.errors import SettingsError
from segmend.methods import variant_id


@click.command()
@data_option()
@click.option("--method", default="mend", show_default=True, help="One of `segmend methods`.")
@variant_option
@weights_option
@device_options
@click.option("--user", default="click", show_default=True, help="The robot; a wrong name lists them all.")
@click.option("--interactions", default=10, show_default=True, type=click.IntRange(min=1), help="At most, per object.")
@click.option("--split", default="val", show_default=True, help="Which part of each set: train, val, test.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(min=1), help="Processes side by side.")
@cluster_option()
@click.option("--limit", default=None, type=click.IntRange(min=1), help="Cases of each set, at most.")
@click.option("--objects", default=None, type=click.IntRange(min=1), help="Of each case, at most.")
@click.option(
    "--merge", "merged", multiple=True, metavar="LABELS",
    help="Labels that are one object together, such as 1,2,4; any for all of them. Repeat for more objects.",
)  # fmt: skip
@click.option("--seed", default=0, show_default=True, help="Of the robots that draw at random.")
@click.option("--out", type=click.Path(path_type=Path), help="A folder for tables, JSON and plots.")
@force_option
@as_json
def evaluate(
    data: Path,
    method: str,
    variant: str | None,
    weights: Path | None,
    device: str,
    precision: str,
    user: str,
    interactions: int,
    split: str,
    workers: int,
    cluster: str | None,
    limit: int | None,
    objects: int | None,
    merged: tuple[str, ...],
    seed: int,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Let a robot annotate every object of the data sets and measure how well each mask gets.

    \b
    Example:
      segmend evaluate --data datasets --method mend --user click --interactions 10 --out report
      segmend evaluate --data brats --method mend --user box --merge any
    """
    from segmend import report
    from segmend.evaluation.evaluate import evaluate as play_all
    from segmend.report import plots

    method = variant_id(method, variant)
    if out is not None:
        check_free([out / "summary.json"], force=force)
    if out is not None and not plots.available():
        click.echo(plots.WITHOUT, err=True)

    with click.progressbar(length=0, label=f"Playing {user}", file=sys.stderr) as bar:

        def tell(done: int, total: int, _name: str) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        found = play_all(
            data,
            method,
            user,
            interactions=interactions,
            split=split,
            workers=workers,
            cluster=cluster,
            limit=limit,
            objects=objects,
            seed=seed,
            weights=weights,
            device=device,
            precision=precision,
            merge=[merge_of(text) for text in merged],
            progress=tell,
        )
    written = report.write(found, out) if out else ()
    for problem in found.problems:
        click.echo(f"{problem.set}/{problem.case} was left out: {' '.join(problem.reason.split())}", err=True)
    summary = found.summary()
    wanted = list(summary["mean"].get("dice", {}))  # after how many interactions
    lines = [f"{'set':<24} {'cases':>5} {'objects':>7} " + " ".join(f"dice@{n:<3}" for n in wanted) + " seconds"]
    for name, values in [*summary["sets"].items(), ("mean", summary["mean"])]:
        if values:
            scores = " ".join(f"{_number(values['dice'][n], 3):>8}" for n in wanted)
            speed = _number(values["seconds_per_interaction"], 3)
            lines.append(f"{name:<24} {values['cases']:>5} {values['objects']:>7} {scores} {speed:>7}")
    say(summary, [*lines, *map(str, written)], as_json=as_json)


def merge_of(text: str) -> tuple[int, ...]:
    """Return the labels that are one object together; none for all.

    >>> merge_of("1,2, 4"), merge_of("any")
    ((1, 2, 4), ())
    """
    if text.strip() == "any":
        return ()
    try:
        values = tuple(sorted({int(part) for part in text.split(",")}))
    except ValueError:
        values = (0,)
    if values[0] < 1:
        raise SettingsError(f"--merge needs labels above 0 with commas between them, or any; got {text!r}.")
    return values


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
