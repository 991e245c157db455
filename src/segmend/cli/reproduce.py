"""`segmend reproduce`: a paper's experiment on the data at hand, and what becomes of its claims."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from segmend.cli.words import as_json, cluster_option, data_option, say
from segmend.errors import SettingsError
from segmend.papers.study import experiment as papers
from segmend.papers.study.experiment import Experiment, Plan
from segmend.runtime import cards
from segmend.runtime.cluster import Cluster

ALL = "all"  # papers
CLAIMS = "claims.md"  # the table of all papers' claims, beside their folders


@click.command()
@click.argument("paper", required=False)
@data_option(required=False)
@click.option(
    "--out", type=click.Path(path_type=Path), help="Where scores, weights and the report go.  [reproduced/PAPER]"
)
@click.option("--seeds", default="0,1,2", show_default=True, help="Each is a run of its own, training included.")
@click.option("--effort", default=1.0, show_default=True, help="Multiplies the training steps.")
@click.option("--limit", type=click.IntRange(min=1), help="Cases of each set, at most.")
@click.option("--split", default="val", show_default=True, help="Which part of each set is measured on.")
@click.option(
    "--claims", "runs", multiple=True, type=click.Path(path_type=Path), metavar="RUN",
    help="Judge the claims of this run, or of all runs in this folder, in one table; --out keeps it. Repeat for more.",
)  # fmt: skip
@click.option("--workers", default=1, show_default=True, help="With --cluster: processes, each with a seed at a time.")
@cluster_option()
@click.option("--list", "listed", is_flag=True, help="List the papers.")
@as_json
def reproduce(
    paper: str | None,
    data: Path | None,
    out: Path | None,
    seeds: str,
    effort: float,
    limit: int | None,
    split: str,
    runs: tuple[Path, ...],
    workers: int,
    cluster: str | None,
    listed: bool,
    as_json: bool,
) -> None:
    """Run a paper's experiment on the data that is there, and report which of its claims held.

    "all" runs every paper into a folder of its own and writes claims.md, the table of all claims. A run that was
    stopped goes on where it was. Most papers train networks: pip install 'segmend[train]'.

    \b
    Example:
      segmend reproduce quality --data datasets --out runs/quality --seeds 0,1
      segmend reproduce all --data datasets --out runs
      segmend reproduce --claims runs --out claims.md
    """
    if runs:
        _claims(runs, out, as_json=as_json)
        return
    if listed or paper is None:
        _list(as_json=as_json)
        return
    if paper != ALL:
        _experiment(paper)
    if data is None:
        raise SettingsError("A reproduction needs data; add --data DIR.")
    plan = Plan(
        data,
        out or Path("reproduced") / ("" if paper == ALL else paper),
        seeds_of(seeds),
        effort,
        limit,
        split,
        lambda line: click.echo(line, err=True),
    )
    spread = None if cluster is None else Cluster(cluster, workers)
    if paper != ALL:
        summary, lines = _run(paper, plan, spread)
        say(summary, lines, as_json=as_json)
        return
    done = []
    for name in cards.papers():
        try:
            _, lines = _run(name, replace(plan, out=plan.out / name), spread)
        except SettingsError as error:
            click.echo(f"{name} was left out: {error}", err=True)
        else:
            done.append(plan.out / name)
            click.echo("\n".join(lines), err=True)
    if not done:
        raise SettingsError(f"No paper could be reproduced with {data}.")
    _claims(tuple(done), plan.out / CLAIMS, as_json=as_json)


def _run(paper: str, plan: Plan, cluster: Cluster | None) -> tuple[dict[str, Any], list[str]]:
    """Run a paper's experiment and write its report; return its summary, and the lines that tell it."""
    experiment = _experiment(paper)
    try:
        from segmend.papers.study import report as reproduction
        from segmend.papers.study.reproduce import reproduce as run
        from segmend.report import plots

        found = run(experiment, plan, cluster)
        written = reproduction.write(found)
    except ModuleNotFoundError as missing:
        raise _untrained(missing) from None
    if not plots.available():
        click.echo(plots.WITHOUT, err=True)
    lines = [
        f"{verdict.outcome:<20} {verdict.claim} {_measured(verdict.value, verdict.p_holm)}"
        for verdict in found.verdicts
    ]
    return found.summary(), [*lines, *map(str, written[:3])]


def _claims(runs: tuple[Path, ...], out: Path | None, *, as_json: bool) -> None:
    from segmend.papers.study.table import judged, markdown, runs_in

    try:
        found = [judged(folder) for named in runs for folder in runs_in(named)]
    except ModuleNotFoundError as missing:
        raise _untrained(missing) from None
    text = markdown(found)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    values = [{"paper": one.paper, "claims": [asdict(verdict) for verdict in one.verdicts]} for one in found]
    say(values, text.splitlines() if out is None else [str(out)], as_json=as_json)


def _experiment(paper: str) -> Experiment:
    try:
        return papers.experiment(paper)
    except ModuleNotFoundError as missing:
        raise _untrained(missing) from None


def _untrained(missing: ModuleNotFoundError) -> SettingsError:
    if (missing.name or "").split(".")[0] not in ("torch", "onnx", "monai"):
        raise missing
    return SettingsError(f"This paper's networks need {missing.name}; install it with: pip install 'segmend[train]'.")


def _list(*, as_json: bool) -> None:
    found = cards.papers().values()
    lines = [line for card in found for line in (f"{card.id:<12} {card.title}", f"{'':<12} on {', '.join(card.sets)}")]
    say([{"paper": card.id, "title": card.title, "sets": list(card.sets)} for card in found], lines, as_json=as_json)


def seeds_of(text: str) -> tuple[int, ...]:
    """Return seeds written as 0,1,2.

    >>> seeds_of("0,1,2")
    (0, 1, 2)
    """
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise SettingsError(f"Seeds need whole numbers with commas between them; got {text!r}.") from None


def _measured(value: float | None, p: float | None) -> str:
    if value is None:
        return ""
    return f"({value:+.3f})" if p is None else f"({value:+.3f}, p {p:.3g})"
