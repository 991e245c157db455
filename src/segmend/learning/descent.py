"""How weights go down a loss, for recipes whose settings have a `descent`: adamw, or sgd as in BIFSeg's paper."""

from __future__ import annotations

import math
from typing import Protocol

import torch

from segmend.errors import SettingsError

HALVED = 5000  # steps, after which the rate of sgd is half


class Settings(Protocol):
    """What a recipe's settings need to have."""

    @property
    def steps(self) -> int: ...
    @property
    def rate(self) -> float: ...
    @property
    def decay(self) -> float: ...
    @property
    def descent(self) -> str: ...


def check(descent: str) -> None:
    """Raise SettingsError where there is no such descent."""
    if descent not in ("adamw", "sgd"):
        raise SettingsError(f"The descent needs to be adamw or sgd; got {descent!r}.")


def optimiser(network: torch.nn.Module, settings: Settings) -> torch.optim.Optimizer:
    """Return the optimiser that the settings name."""
    if settings.descent == "sgd":
        return torch.optim.SGD(network.parameters(), settings.rate, momentum=0.9, weight_decay=settings.decay)
    return torch.optim.AdamW(network.parameters(), settings.rate, weight_decay=settings.decay)


def share(step: int, settings: Settings) -> float:
    """Return the share of the rate at a step: halved every 5000 steps of sgd, or a short rise and a cosine."""
    if settings.descent == "sgd":
        return float(0.5 ** (step // HALVED))
    rise = min(200, settings.steps // 10 + 1)
    if step < rise:
        return (step + 1) / rise
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (step - rise) / max(settings.steps - rise, 1)))
