"""What mend costs in a picture of 512 x 512: python bench/mend.py [--weights DIR]

Opening, the first click (an object of unknown size is looked at from several distances), later clicks with features
read once, a click in a window that was not read yet, teaching the last layers this image, and an adjustment. Every
figure is the quickest of some runs, so that what else the machine does counts little; beside it is the budget.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from segmend.core.image import Image, MaskArray
from segmend.core.prompts import Adjust, Click, Prompt
from segmend.core.segmenter import Workspace, answer
from segmend.mend.method import Mend, load

SIDE, REPEATS = 512, 15


def scene() -> tuple[Image, MaskArray]:
    """Return a noisy picture with a bright disc, and the disc."""
    y, x = np.ogrid[:SIDE, :SIDE]
    truth = (y - 230) ** 2 + (x - 270) ** 2 < 90**2
    noisy = 90 + 70 * truth + np.random.default_rng(0).normal(0, 15, (SIDE, SIDE))
    return Image(noisy.clip(0, 255).astype(np.uint8)[None, None]), truth[None]


def milliseconds(work: Callable[[], object]) -> float:
    """Return the time of the quickest of some runs, after one that does not count."""
    work()
    taken = []
    for _ in range(REPEATS):
        begun = time.perf_counter()
        work()
        taken.append(time.perf_counter() - begun)
    return 1000 * min(taken)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, help="a folder of weights; those in the package without it")
    method = load(parser.parse_args().weights)
    assert isinstance(method, Mend)
    image, truth = scene()
    empty = np.zeros_like(truth)
    clicks: list[Prompt] = [Click((0, 230, 270)), Click((0, 150, 270)), Click((0, 230, 365), positive=False)]

    def asked(workspace: Workspace, prompts: list[Prompt], previous: MaskArray) -> Callable[[], object]:
        return lambda: answer(workspace, prompts, previous)

    def fresh(prompts: list[Prompt], previous: MaskArray) -> Callable[[], object]:
        opened = [method.open(image) for _ in range(REPEATS + 1)]
        return lambda: answer(opened.pop(), prompts, previous)

    kept = method.open(image)
    rows = [
        ("open", lambda: method.open(image), 200),
        ("first click", fresh(clicks[:1], empty), 40),
        ("the same, features kept", asked(kept, clicks[:1], empty), None),
        ("later click, window read before", asked(kept, clicks, truth), 25),
        ("later click, window not read", fresh(clicks, truth), 40),
        ("adjustment", asked(kept, [*clicks, Adjust(0.2)], truth), 20),
    ]
    if method.planes.head is not None:
        rows.append(("click that teaches", asked(kept.with_finetuning("on"), clicks, truth), 700))
    print(f"{method.planes.reader.name}; {method.planes.refiner.name}")
    for name, work, budget in rows:
        took = milliseconds(work)
        limit = "" if budget is None else f"(at most {budget}){'' if took <= budget else '  over budget'}"
        print(f"{name:<34}{took:8.1f} ms   {limit}")
    print(f"{'largest memory':<34}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:8.0f} MB")


if __name__ == "__main__":
    main()
