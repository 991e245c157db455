"""A small experiment on drawn pictures, with real methods: graph cut against the random walker.

It is run as the papers' are, so it serves the tests of running, judging and reporting.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from segmend import methods
from segmend.datasets.folder import sets
from segmend.evaluation.evaluate import Job, Problem, play_case
from segmend.papers.study.experiment import Better, Close, Experiment, Fast, Pick, Picture, Plan, Score, Tracks
from segmend.samples import write_folder
from segmend.users import RandomError

SETS = ("skin", "head", "abdomen")
INTERACTIONS = 3


def draw(folder: Path, *, cases: int = 2) -> Path:
    """Write two of the three data sets that the experiment knows."""
    write_folder(folder, cases=cases, kinds=["skin", "head"], shapes={"skin": (1, 48, 60), "head": (1, 44, 40)})
    return folder


def played(plan: Plan, method: str, seed: int) -> Iterator[Score]:
    plan.log(f"{method}, seed {seed}")
    for one in sets(plan.data, "all", limit=plan.limit):
        for case in one.cases:
            result = play_case(Job(one.name, case, partial(methods.load, method), RandomError(seed), INTERACTIONS))
            assert not isinstance(result, Problem), result
            for curve in result.curves:
                for at, dice in enumerate(curve.dice, start=1):
                    more = {"predicted": min(1.0, dice * 0.9 + 0.05), "nsd": curve.nsd[at - 1]}
                    seconds = curve.seconds[at - 1] if at <= curve.played else None
                    yield Score(method, one.name, f"{case.name}/{curve.object}", dice, seed, at, seconds, more)


def run(plan: Plan) -> Iterator[Score]:
    for seed in plan.seeds:
        for method in ("graphcut", "randomwalker"):
            yield from plan.once(method, seed, partial(played, plan, method, seed))


def pictures(plan: Plan) -> Sequence[Picture]:
    from PIL import Image

    wave = (127 + 120 * np.sin(np.arange(60) / 6)[None] * np.cos(np.arange(40) / 5)[:, None]).astype(np.uint8)
    png = io.BytesIO()
    Image.fromarray(wave).save(png, format="PNG")
    return [Picture("A <wave>, drawn", png.getvalue()), Picture("The same, again", png.getvalue())]


EXPERIMENT = Experiment(
    paper="drawn",
    title="Two solvers on drawn pictures",
    sets=SETS,
    run=run,
    claims=(
        Better("More clicks are better than one.", Pick("graphcut", at=3), Pick("graphcut", at=1)),
        Better("Graph cut is far better than the random walker.", Pick("graphcut"), Pick("randomwalker"), least=0.5),
        Better("Graph cut is better than itself.", Pick("graphcut"), Pick("graphcut")),
        Better("It also holds in the abdomen.", Pick("graphcut", sets=("abdomen",)), Pick("randomwalker")),
        Close("After three clicks both are alike.", Pick("graphcut"), Pick("randomwalker"), within=0.5),
        Tracks("The predicted Dice follows the true one.", Pick("graphcut"), least=0.5),
        Tracks("So does the guess.", Pick("graphcut"), "guess"),
        Fast("A cut takes under a minute.", Pick("graphcut"), most=60.0),
        Fast("A cut takes no time.", Pick("graphcut", at=2), most=1e-9),
    ),
    theirs=(
        {"arm": "graphcut", "at": 1, "Dice": 0.61, "SEN": 0.7},
        {"arm": "graphcut", "at": 3, "Dice": 0.91, "SEN": 0.8},
        {"arm": "level set", "Dice": 0.945},
    ),
    notes="The pictures are drawn.\n\n- Their sizes differ.\n- `graphcut` is the project's own.",
    pictures=pictures,
)
