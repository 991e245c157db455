"""Validation: scores on fixed samples, and which validation was the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from segmend.learning.checkpoint import Row
from segmend.learning.record import write_picture

SHOWN = 8  # how many samples a sheet of pictures shows
NOT_SCORES = ("step", "loss")  # columns of a validation's row beside its scores


class Validator:
    """Scores weights on `exam` samples, which are drawn when they are first needed."""

    def __init__(
        self, how: ModuleType, ema_network: torch.nn.Module, cases: Sequence[Any], settings: Any, exam: int
    ) -> None:
        self.how, self.ema_network, self.cases, self.settings, self.exam = how, ema_network, cases, settings, exam
        self.samples: list[Any] = []

    def scores(self, weights: Mapping[str, torch.Tensor]) -> dict[str, float]:
        """Return the scores of these weights, none when there are no samples."""
        if not self.samples and self.exam:
            checked = getattr(self.how, "to_check", replace)(self.settings)
            sampler = self.how.Sampler(self.cases, replace(checked, seed=self.settings.seed + 1))
            self.samples = [sampler[number] for number in range(self.exam)]
        self.ema_network.load_state_dict(weights)
        found = self.how.validate(self.ema_network, self.samples) if self.samples else {}
        return {name: float(value) for name, value in found.items()}

    def pictures(self, out: Path, step: int) -> None:
        """Write how the first samples look to the weights that were scored last, where the recipe draws them."""
        if self.samples and hasattr(self.how, "pictures"):
            write_picture(out, step, self.how.pictures(self.ema_network, self.samples[:SHOWN]))


def best(rows: Sequence[Row]) -> int:
    """Return the number of the first validation that no other beats in the score that is watched, the first one.

    >>> best([{"step": 5, "loss": 1.0, "dice": 0.5}, {"step": 10, "loss": 0.5, "dice": 0.5}])
    0
    """
    watched = next((name for name in rows[0] if name not in NOT_SCORES), "step")
    return max(range(len(rows)), key=lambda i: (rows[i].get(watched, -math.inf), -i))


def out_of_patience(rows: Sequence[Row], patience: int) -> bool:
    """True when so many validations passed since the best one; a patience of 0 never ends.

    >>> out_of_patience([{"dice": 0.5}, {"dice": 0.4}, {"dice": 0.4}], patience=2)
    True
    """
    return bool(patience and rows and len(rows) - 1 - best(rows) >= patience)


def scores_of(row: Row) -> dict[str, float]:
    """Return the scores of a row without its step and loss."""
    return {name: value for name, value in row.items() if name not in NOT_SCORES}
