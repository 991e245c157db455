"""How strong BIFSeg is on kinds of objects that its networks never learned, and how its settings are chosen.

    python bench/bifseg_unseen.py search --data DIR --dimensions 2
    python bench/bifseg_unseen.py measure --data DIR --dimensions 2 [--out scores.csv]

`search` is the paper's grid search: the shipped networks on *training* cases of the sets that they learned from, with
and without scribbles; its result is `TUNINGS` in `segmend.papers.bifseg.method`. `measure` plays, on sets that no
BIFSeg weights learned from, the val split (never a test split; the training split where a set has too few), every arm
with the same box and the same scribbles, drawn in what the first answer has wrong, and prints each difference with its
95 % interval and the p of a paired t-test over cases. No setting was chosen on the cases that it measures.
"""

from __future__ import annotations

import argparse
import csv
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np

from segmend.core.image import MaskArray
from segmend.core.masks import dice
from segmend.datasets.folder import sets
from segmend.evaluation.significance import difference
from segmend.papers.bifseg.experiment_objects import Object, boxed, largest_slice, on_image, scribbles, tasks_of
from segmend.papers.bifseg.method import TUNINGS, Net, crop_of, marked_cells, net_of, refined
from segmend.papers.bifseg.search import GRIDS, best_kernels, best_tuning
from segmend.solvers.finetune import IN_2D, IN_3D
from segmend.users import BoxThenScribbles

TAUGHT = {  # what the shipped networks learned from
    2: ("fetal_head_us_hc18", "hippocampus_mr", "nuclei_dsb2018", "sarcoma_ct"),
    3: ("hippocampus_mr", "sarcoma_ct"),
}
UNSEEN = {  # none of these taught a BIFSeg network, and no setting of it was chosen on them
    2: (
        "aorta_ct2d", "brain_hemorrhage_ct2d", "brain_mets_mr2d", "breast_us_busbra", "cardiac_scd_mr",
        "heart_hocm_ct2d", "kidney_mr2d", "lumbar_spine_mr2d", "lung_tumour_ct2d", "nasopharynx_tumour_mr2d",
        "spleen_ct2d", "totalseg_examples", "whole_heart_ct2d", "whole_heart_mr2d",
    ),
    3: (
        "brain_atlas_mr", "breast_fgt_mr", "cardiac_acdc_mr", "fetal_brain_mr", "headneck_pet", "left_atrium_mr",
        "lung_nodule_ct", "mouse_brain_mr", "prostate_mr_deepreg", "prostate_us_deepreg", "spinal_cord_mr_sct",
        "totalseg_examples",
    ),
}  # fmt: skip
LOOKED_AT = ("cardiac_acdc_mr", "left_atrium_mr")  # their val splits were seen before, so only the others are taken
CASES, OBJECTS = {2: 4, 3: 4}, {2: 1, 3: 1}  # of each set, of each case
SEARCHED = {2: 2, 3: 4}  # cases of each set that the search takes
PAPER = {2: replace(IN_2D, guarded=True), 3: replace(IN_3D, smoothness=10.0, sigma=0.1, guarded=True)}  # to begin with
FIRST, CUT, EVEN, OURS = "network", "cut", "unweighted", "finetune"
ARMS = (FIRST, CUT, EVEN, OURS)
LEAST = 30  # voxels of an object
SEED = 0


def objects(data: Path, names: tuple[str, ...], split: str, dimensions: int, cases: int, most: int) -> Iterator[Object]:
    """Yield objects of sets, those of a case evenly over its labels; in the plane the largest slice of each."""
    for name in names:
        if not (data / name).is_dir():
            continue
        found = sets(data / name, split)[0].cases
        taken = [found[at] for at in sorted({round(at) for at in np.linspace(0, len(found) - 1, cases)})]
        for case in taken:
            example = case.read()
            if example.image.flat and dimensions == 3:
                continue
            for value, truth in example.objects(most):
                if truth.sum() < LEAST:
                    continue
                image = example.first
                if dimensions == 2 and not image.flat:
                    image, truth = largest_slice(image, truth, image.thick_axis or 0)
                if truth.sum() >= LEAST:
                    yield Object(name, f"{case.name}/{value}", image, truth)


def search(data: Path, dimensions: int) -> None:
    net, robot = net_of(f"bifseg{dimensions}d", None), BoxThenScribbles(SEED)
    found = objects(data, TAUGHT[dimensions], "train", dimensions, SEARCHED[dimensions], 1)
    tasks = [task for one in found for task in tasks_of(one, net.engine, net.head, robot, longest=net.longest)]
    print(f"{len(tasks) // 2} objects, each without and with scribbles", flush=True)
    kernels = best_kernels(tasks, net.head)
    print(f"dense CRF: {kernels}", flush=True)
    tuning = best_tuning(
        tasks, net.head, PAPER[dimensions], GRIDS[dimensions], log=lambda line: print(line, flush=True)
    )
    print(f"chosen: {tuning}", flush=True)


@dataclass(frozen=True)
class Row:
    set: str
    case: str
    dice: dict[tuple[str, bool], float]  # by arm, and whether with scribbles
    seconds: dict[tuple[str, bool], float]
    empty: int  # answers of BIFSeg that hold nothing but marks
    scribbled: bool


def measured(one: Object, net: Net, dimensions: int) -> Row:
    robot = BoxThenScribbles(SEED)
    box, frame = boxed(one, robot)
    crop = crop_of(one.image, frame, net.engine, net.longest, net.step)
    first = on_image(one, frame, crop, net.head.probability(crop.features))
    strokes = scribbles(one, first, robot)
    found: dict[tuple[str, bool], float] = {}
    seconds: dict[tuple[str, bool], float] = {}
    empty = 0
    for marks in ((), strokes):
        marked = marked_cells((box, *marks), one.image.shape, frame, crop.grid)
        for arm in ARMS:
            begun = time.perf_counter()
            labels: MaskArray = refined(crop, net.head, marked, arm, TUNINGS[dimensions], expected=True).labels
            seconds[arm, bool(marks)] = time.perf_counter() - begun
            found[arm, bool(marks)] = dice(one.truth, on_image(one, frame, crop, labels))
            empty += arm == OURS and not (labels & (marked == 0)).any()
    return Row(one.set, one.case, found, seconds, empty, bool(strokes))


def measure(data: Path, dimensions: int, out: Path | None, names: tuple[str, ...]) -> None:
    net = net_of(f"bifseg{dimensions}d", None)
    rows: list[Row] = []
    for name in names or UNSEEN[dimensions]:
        for split in ("train",) if name in LOOKED_AT else ("val", "train"):
            short = CASES[dimensions] - len({row.case.rpartition("/")[0] for row in rows if row.set == name})
            if short <= 0 or not (data / name).is_dir():
                continue
            try:
                some = list(objects(data, (name,), split, dimensions, short, OBJECTS[dimensions]))
            except ValueError:  # a set without this split
                continue
            rows += [measured(one, net, dimensions) for one in islice(some, CASES[dimensions] * OBJECTS[dimensions])]
        of_set = [row for row in rows if row.set == name]
        if of_set:
            print(f"{name:<26} {len(of_set):>3}  {_means(of_set)}", flush=True)
        if out is not None:  # after each set, so that a run that is stopped is not lost
            write_rows(rows, out)
    print(f"{'all':<26} {len(rows):>3}  {_means(rows)}")
    scribbled = [row for row in rows if row.scribbled]
    print(
        f"{len(rows)} objects of {len({(r.set, r.case.rpartition('/')[0]) for r in rows})} cases in "
        f"{len({r.set for r in rows})} sets; {len(scribbled)} with scribbles; "
        f"{sum(row.empty for row in rows)} answers of BIFSeg hold nothing but marks"
    )
    for what, these, marks, other, others in (
        ("without scribbles, BIFSeg - first answer", rows, False, FIRST, False),
        ("without scribbles, BIFSeg - graph cut", rows, False, CUT, False),
        ("without scribbles, BIFSeg - BIFSeg(-w)", rows, False, EVEN, False),
        ("with scribbles, BIFSeg - graph cut", scribbled, True, CUT, True),
        ("with scribbles, BIFSeg - BIFSeg(-w)", scribbled, True, EVEN, True),
        ("scribbles, BIFSeg with - without", scribbled, True, OURS, False),
        ("with scribbles, BIFSeg - first answer", scribbled, True, FIRST, False),
    ):
        gains: dict[tuple[str, str], list[float]] = {}
        for row in these:
            gain = row.dice[OURS, marks] - row.dice[other, others]
            gains.setdefault((row.set, row.case.rpartition("/")[0]), []).append(gain)
        means = [float(np.mean(values)) for values in gains.values()]
        apart = difference(means, [0.0] * len(means))
        worse = sum(gain < -0.1 for values in gains.values() for gain in values)
        print(
            f"{what:<44} {apart.mean:+.4f} ({apart.low:+.4f} to {apart.high:+.4f}), p {apart.p:.2g}, "
            f"{apart.pairs} cases, {worse} objects fall by more than .1"
        )
    for marks in (False, True):
        times = [row.seconds[OURS, marks] for row in rows if (OURS, marks) in row.seconds]
        print(f"{'with' if marks else 'without'} scribbles BIFSeg took {np.median(times):.2f} s in the median")


def write_rows(rows: list[Row], out: Path) -> None:
    with out.open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(
            ["set", "object", *(f"{arm}{', scribbles' if m else ''}" for m in (False, True) for arm in ARMS)]
        )
        for row in rows:
            table.writerow([row.set, row.case, *(row.dice.get((arm, m), "") for m in (False, True) for arm in ARMS)])


def _means(rows: list[Row]) -> str:
    plain = " ".join(f"{arm} {np.mean([row.dice[arm, False] for row in rows]):.3f}" for arm in ARMS)
    scribbled = [row for row in rows if row.scribbled]
    marked = (
        " ".join(f"{arm} {np.mean([row.dice[arm, True] for row in scribbled]):.3f}" for arm in ARMS)
        if scribbled
        else ""
    )
    return f"{plain} | scribbles: {marked}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("search", "measure"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--dimensions", type=int, choices=(2, 3), default=2)
    parser.add_argument("--sets", default="", help="of those that are measured, with commas")
    parser.add_argument("--out", type=Path, help="scores as CSV")
    given = parser.parse_args()
    if given.what == "search":
        search(given.data, given.dimensions)
    else:
        measure(given.data, given.dimensions, given.out, tuple(given.sets.split(",")) if given.sets else ())


if __name__ == "__main__":
    main()
