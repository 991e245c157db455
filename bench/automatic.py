"""How good a task's first masks are, and whether refining pays: python bench/automatic.py --data DIR --weights DIR

Mean Dice of each label over the cases of a split that hold it, without a prompt: as mend gives them, and as its namer
alone says them. The refiner's look is to be kept as long as it is the better one.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from segmend.core.masks import dice
from segmend.core.segmenter import first_masks
from segmend.datasets import sets
from segmend.mend.first_masks import InPlanes, InSpace
from segmend.mend.method import MendWorkspace
from segmend.methods import load
from segmend.runtime.engine import Arrays, Engine


class Silent(Engine):
    """A refiner that finds nothing, so that what was named stays as it is."""

    name = "silent"

    def run(self, inputs: Arrays) -> dict[str, np.ndarray]:
        nothing = np.full_like(inputs["prompts"][:, :1], -30)
        quality = np.zeros(len(nothing), np.float32)
        return {"logits": nothing, "quality": quality, "hidden": nothing, "error_logits": nothing}


def silenced(workspace: MendWorkspace) -> MendWorkspace:
    """Return the workspace with nothing but names."""
    automatic = workspace.automatic
    if isinstance(automatic, InPlanes):
        automatic.windows.networks = replace(automatic.windows.networks, refiner=Silent())
    elif isinstance(automatic, InSpace):
        automatic.frames.refiner = Silent()
    return workspace


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--limit", type=int, default=0, help="cases at most, 0 for all")
    given = parser.parse_args()

    scores: dict[tuple[str, str], list[float]] = {}
    seconds: list[float] = []
    examples = [case.read() for one in sets(given.data, given.split) for case in one.cases[: given.limit or None]]
    for how in ("refined", "named"):
        for example in examples:
            workspace = load("mend", given.weights).open(example.first)
            assert isinstance(workspace, MendWorkspace)
            begun = time.perf_counter()
            found = first_masks(workspace if how == "refined" else silenced(workspace), example.first.shape).map
            seconds.append(time.perf_counter() - begun)
            for value, name in workspace.labels.items():
                truth = example.labels == value
                if truth.any():
                    scores.setdefault((name, how), []).append(dice(truth, found == value))
    for (name, how), values in sorted(scores.items()):
        print(f"{name:20} {how:8} Dice {np.mean(values):.3f}  worst {min(values):.3f}  cases {len(values)}")
    print(f"{np.mean(seconds[: len(examples)]):.2f} s a case")


if __name__ == "__main__":
    main()
