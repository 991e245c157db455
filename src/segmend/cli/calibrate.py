"""`segmend calibrate`: what the Dice that a method expects of its masks is worth."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from segmend.cli.words import as_json, check_free, data_option, force_option, say, variant_option, weights_option
from segmend.errors import SettingsError
from segmend.methods import variant_id
from segmend.runtime.calibrations import file_of

if TYPE_CHECKING:
    from segmend.evaluation.calibrate import Judgement


@click.command()
@data_option()
@click.option("--method", default="mend", show_default=True, help="One of `segmend methods`.")
@variant_option
@weights_option
@click.option("--set", "names", multiple=True, metavar="NAME", help="A set to play; repeat for more.  [all]")
@click.option("--held-out", multiple=True, metavar="NAME", help="A set to judge by, and not to learn from; repeat.")
@click.option("--split", default="train", show_default=True, help="Which part of each set: train, val.")
@click.option("--limit", default=None, type=click.IntRange(min=1), help="Cases of each set, at most.")
@click.option("--objects", default=None, type=click.IntRange(min=1), help="Of each case, at most.")
@click.option(
    "--answers", type=click.Path(path_type=Path),
    help="A file that keeps what was played; with it, a run goes on where the last one ended.",
)  # fmt: skip
@click.option("--out", type=click.Path(path_type=Path), help="The file to write.  [beside the weights]")
@force_option
@as_json
def calibrate(
    data: Path,
    method: str,
    variant: str | None,
    weights: Path | None,
    names: tuple[str, ...],
    held_out: tuple[str, ...],
    split: str,
    limit: int | None,
    objects: int | None,
    answers: Path | None,
    out: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Let robots play data sets, and keep what the Dice that the method expects of its masks is worth.

    With that file beside its weights, people are shown the expected Dice, and between what eight of ten true ones lay;
    without it they are shown none. The sets should be of kinds that the weights never saw.

    \b
    Example:
      segmend calibrate --data datasets --weights runs/mend
      segmend calibrate --data datasets --method iunet --held-out left_atrium_mr --out iunet_calibration.json
    """
    from segmend.evaluation.calibrate import answered, fitted, judged, judged_on, line_of, read_answers, write

    method = variant_id(method, variant)
    if out is None and weights is None:
        raise SettingsError("A calibration of the weights in the package needs --out FILE.")
    path = out or file_of(method, weights)
    check_free([path], force=force)
    known = read_answers(answers) if answers else []
    playing = answered(
        data, method, weights=weights, split=split, names=(*names, *held_out) if names else (), limit=limit,
        objects=objects, known=known, tell=lambda name: click.echo(f"Playing {name}", err=True),
    )  # fmt: skip
    for one in playing:
        known.append(one)
        if answers:
            with answers.open("a", encoding="utf-8") as file:
                file.write(line_of(one))
    learned = [one for one in known if one.set not in held_out]
    parts = {number: [one for one in learned if one.dimensions == number] for number in (2, 3)}
    found = {number: some for number, some in parts.items() if some}
    if not found:
        raise SettingsError(f"{method} says of no mask here what Dice it expects, so there is nothing to calibrate.")
    values = write(path, method, weights, found)
    lines = []
    for number, some in found.items():
        lines.append(f"{number}D, each set left out once:  {_told(judged(some))}")
        others = [one for one in known if one.set in held_out and one.dimensions == number]
        if others:
            lines.append(f"{number}D, sets held out:           {_told(judged_on(fitted(some), others))}")
    say(values, [*lines, str(path)], as_json=as_json)


def _told(one: Judgement) -> str:
    return (
        f"{one.answers} answers of {one.sets} sets: off by {one.error:.3f} ({one.bias:+.3f} in the mean), "
        f"r {one.r:.2f}; "
        f"{one.covered:.0%} of true ones in an interval of {one.width:.2f}"
    )
