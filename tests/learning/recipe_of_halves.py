"""A recipe of a few lines that learns in no time: which of two halves of a picture is the brighter one.

Its network has batch norm and, where it is asked for, dropout.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from segmend.errors import SettingsError
from segmend.runtime.engine import export_network

NAME = "recipe"


@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int = 20
    batch: int = 5
    rate: float = 1e-2
    decay: float = 0.0
    seed: int = 0
    average: float = 0.9
    dropout: float = 0.0
    refused: int = -1  # the number of a sample that cannot be drawn


class Sampler:
    def __init__(self, subjects, settings):
        self.subjects, self.settings = subjects, settings

    def __getitem__(self, number):
        if number == self.settings.refused:
            raise SettingsError(f"Sample {number} cannot be drawn.")
        rng = np.random.default_rng((self.settings.seed, number))
        truth = np.zeros((1, 6, 8), np.float32)
        truth[:, :, 4 * int(rng.integers(2)) :][:, :, :4] = 1
        return (truth + rng.normal(0, 0.5, truth.shape)).astype(np.float32), truth


def build(settings):
    torch.manual_seed(settings.seed)
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 4, 3, padding=1, bias=False),  # the norm would take a bias away again
        torch.nn.BatchNorm2d(4),
        torch.nn.ReLU(),
        torch.nn.Dropout(settings.dropout),
        torch.nn.Conv2d(4, 1, 1),
    )


def loss(network, samples, step):
    network.train()
    images, truths = (torch.from_numpy(np.stack(arrays)) for arrays in zip(*samples, strict=True))
    return torch.nn.functional.binary_cross_entropy_with_logits(network(images), truths)


def validate(network, samples):
    network.eval()
    with torch.inference_mode():
        right = [((network(torch.from_numpy(i[None])) > 0).numpy() == (t > 0.5)).mean() for i, t in samples]
    return {"right": float(np.mean(right))}


def export(network, settings, folder: Path):
    torch.save(network.state_dict(), folder / "halves.pt")
    export_network(
        torch.nn.Conv2d(1, 1, 1), folder / "half.onnx", architecture="unet:UNet", settings={},
        inputs={"x": torch.zeros(1, 1, 4, 4)},
    )  # fmt: skip
    return folder / "halves.pt", folder / "half.onnx"


def pictures(network, samples):
    images = np.concatenate([image[0] for image, _ in samples])
    return np.repeat((images.clip(0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)
