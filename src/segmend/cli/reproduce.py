"""`segmend reproduce`: a paper's experiment on the data at hand, and what becomes of its claims."""

from __future__ import annotations

from pathlib import Path

import click

from segmend.cli.words import as_json, data_option, say
from segmend.errors import SettingsError
from segmend.papers.study import experiment as papers
from segmend.papers.study.experiment import Experiment, Plan
from segmend.runtime import cards


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
    help="Judge the claims of this run's folder in one table, with --out as Markdown. Repeat for more papers.",
)  # fmt: skip
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
    listed: bool,
    as_json: bool,
) -> None:
    """Run a paper's experiment on the data that is there, and report which of its claims held.

    A run that was stopped goes on where it was. Most papers train networks: pip install 'segmend[train]'.

    \b
    Example:
      segmend reproduce quality --data datasets --out runs/quality --seeds 0,1
      segmend reproduce --claims runs/quality --claims runs/iunet --out claims.md
    """
    if runs:
        _claims(runs, out, as_json=as_json)
        return
    if listed or paper is None:
        _list(as_json=as_json)
        return
    from segmend.papers.study.reproduce import reproduce as run

    experiment = _experiment(paper)
    if data is None:
        raise SettingsError("A reproduction needs data; add --data DIR.")
    plan = Plan(
        data,
        out or Path("reproduced") / paper,
        seeds_of(seeds),
        effort,
        limit,
        split,
        lambda line: click.echo(line, err=True),
    )
    try:
        found = run(experiment, plan)
        from segmend.papers.study import report as reproduction
        from segmend.report import plots

        written = reproduction.write(found)
    except ModuleNotFoundError as missing:
        raise _untrained(missing) from None
    if not plots.available():
        click.echo(plots.WITHOUT, err=True)
    lines = [
        f"{verdict.outcome:<20} {verdict.claim} {_measured(verdict.value, verdict.p_holm)}"
        for verdict in found.verdicts
    ]
    say(found.summary(), [*lines, *map(str, written[:3])], as_json=as_json)


def _claims(runs: tuple[Path, ...], out: Path | None, *, as_json: bool) -> None:
    from dataclasses import asdict

    from segmend.papers.study.table import judged, markdown

    try:
        found = [judged(folder) for folder in runs]
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
