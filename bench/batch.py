"""What many cases cost beside their answers alone: python bench/batch.py [--pictures N] [--weights DIR] [--data DIR]

    python bench/batch.py --ray          # how much faster two workers of Ray are than one

The answers themselves (open the image, find the first mask) in one process with all images in memory, and then
`segmend segment FOLDER -o FOLDER` from its start to its end: loading, reading, answering, writing masks and tables.
Both in turn, and their ratio; and the ratio of the command to its own answers, as it counts them itself, which says
more on a busy machine. The first mask is that of a click in the middle, with the networks in the package, or with
--weights of a task or a --method that needs no prompt all that these find. Without --data the pictures are drawn.

With --ray, which needs Ray and two cores, the command answers the pictures on a cluster of one worker and one core, and
then of two: how many a second, from when all workers are at work on. Loading and Ray's start are not in it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from segmend import io, samples
from segmend.batch.table import LINES
from segmend.core.prompts import Click
from segmend.core.segmenter import FIRST, answer, first_masks
from segmend.methods import card, load

BUDGET = 1.15  # of the whole command, in times of its answers alone
LEAST_SPREAD = 1.8  # times the pictures a second of one worker of Ray, by two
WARMING = 3  # pictures a worker that are not counted: it loads the method and warms it with them
SHAPE = (1, 384, 512)
MIDDLE = Click((0, 192, 256))


def drawn(folder: Path, count: int) -> list[Path]:
    """Return drawn photographs of skin; sixteen kinds are enough."""
    folder.mkdir()
    kinds = [samples.make("skin", seed=seed, shape=SHAPE).image for seed in range(min(count, 16))]
    paths = [folder / f"{number:04d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        io.write_image(path, kinds[number % len(kinds)])
    return paths


def answers_alone(paths: list[Path], method: str, weights: Path | None) -> tuple[float, float]:
    """Return the seconds of the answers, without loading, reading and writing: by the clock, and of the processor."""
    images = [io.read(path) for path in paths]
    segmenter = load(method, weights)
    chosen = card(method, weights)
    begun, worked = time.perf_counter(), time.process_time()
    for image in images:
        workspace = segmenter.open(image)
        if chosen.labels:
            first_masks(workspace, image.shape)
        else:
            answer(workspace, [FIRST if chosen.guesses else MIDDLE], np.zeros(image.shape, bool))
    return time.perf_counter() - begun, time.process_time() - worked


def command_of(folder: Path, out: Path, method: str, weights: Path | None) -> list[str]:
    """Return the command that answers all pictures."""
    command = [sys.executable, "-m", "segmend", "segment", str(folder), "-o", str(out), "--method", method, "--force"]
    command += [] if weights is None else ["--weights", str(weights)]
    return command + ([] if card(method, weights).guesses else ["--click", ",".join(map(str, MIDDLE.index))])


def spread(command: list[str], workers: int) -> float:
    """Return how many pictures a second a command answers with so many workers on as many cores, once all work."""
    cores = sorted(os.sched_getaffinity(0))[:workers]
    command = ["taskset", "--cpu-list", ",".join(map(str, cores)), *command, "--workers", str(workers), "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ends = [time.perf_counter() for _ in process.stdout][:-1]  # the last line counts them all
    if process.returncode:
        sys.exit(process.returncode)  # it has said why
    begun = WARMING * workers
    return (len(ends) - begun) / (ends[-1] - ends[begun - 1])


def whole_command(folder: Path, out: Path, method: str, weights: Path | None) -> tuple[float, float]:
    """Return the seconds of the command, from its start to its end: by the clock, and of the processor."""
    command = command_of(folder, out, method, weights)
    begun, worked = time.perf_counter(), sum(os.times()[2:4])
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - begun, sum(os.times()[2:4]) - worked


def own_answers(masks: Path) -> float:
    """Return the seconds of the answers as the command itself counted them."""
    lines = [json.loads(line) for line in (masks / LINES).read_text().splitlines()]
    return sum(float(line["seconds"]["open"]) + float(line["seconds"]["answer"]) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--data", type=Path, help="a folder of pictures, in place of drawn ones")
    parser.add_argument("--method", default="mend")
    parser.add_argument("--weights", type=Path, help="of a task")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--ray", action="store_true", help="how much faster two workers of Ray are than one")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    weights = given.weights
    if given.alone:
        print(*answers_alone(sorted(given.data.iterdir()), given.method, weights))
        return
    with tempfile.TemporaryDirectory(prefix="segmend-bench-") as scratch:
        folder = Path(scratch) / "pictures"
        if given.data is None:
            drawn(folder, given.pictures)
        else:
            folder.mkdir()
            for path in [p for p in sorted(given.data.iterdir()) if p.is_file()][: given.pictures]:
                os.symlink(path.resolve(), folder / path.name)
        count = len(list(folder.iterdir()))
        if given.ray:
            command = [*command_of(folder, Path(scratch) / "masks", given.method, weights), "--cluster", "ray"]
            one, two = spread(command, 1), spread(command, 2)
            print(f"{count} pictures on Ray: {one:.2f} a second by one worker, {two:.2f} by two")
            print(f"two workers are {two / one:.2f} x one (at least {LEAST_SPREAD})")
            return
        options = ["--data", str(folder), "--method", given.method]
        options += [] if weights is None else ["--weights", str(weights)]
        ratios: list[float] = []
        within: list[float] = []
        for _ in range(given.repeats):
            done = subprocess.run(
                [sys.executable, __file__, "--alone", *options], check=True, capture_output=True, text=True
            )  # a process of its own, as the command is
            alone, worked = map(float, done.stdout.split())
            masks = Path(scratch) / "masks"
            whole, all_work = whole_command(folder, masks, given.method, weights)
            ratios.append(whole / alone)
            within.append(whole / own_answers(masks))
            shutil.rmtree(masks)
            print(
                f"{count} pictures: answers {alone:.1f} s ({worked:.1f} s of the processor), the whole command "
                f"{whole:.1f} s ({all_work:.1f} s): {ratios[-1]:.2f} x, {within[-1]:.2f} x its own answers"
            )
    print(
        f"whole command, median: {median(ratios):.2f} x the answers alone, {median(within):.2f} x its own answers "
        f"(budget {BUDGET})"
    )


if __name__ == "__main__":
    main()
