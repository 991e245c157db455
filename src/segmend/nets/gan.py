"""Adversarial refinement: a segmentation network that a discriminator cannot tell from a person.

Goodfellow et al., Generative adversarial nets (NIPS 2014), with the segmentation network in the generator's place
(Luc et al., Semantic segmentation using adversarial networks, 2016). The gradient of the discriminator's loss is
reversed on its way into the generator (Ganin and Lempitsky, 2015), so that one loss and one optimiser train both.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segmend.nets.pyramid import UNetBackbone
from segmend.nets.refinenet import Refiner


class Discriminator(nn.Module):
    """Looks at an image and a mask and says for each patch whether a person drew it (positive) or a network.

    >>> Discriminator(inputs=2, widths=(4, 8))(torch.zeros(1, 1, 16, 24), torch.zeros(1, 1, 16, 24)).shape
    torch.Size([1, 1, 4, 6])
    """

    def __init__(self, *, inputs: int, widths: Sequence[int] = (16, 32, 64)) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = inputs
        for width in widths:
            layers += [nn.Conv2d(before, width, 4, stride=2, padding=1), nn.LeakyReLU(0.2, inplace=True)]
            before = width
        self.body = nn.Sequential(*layers, nn.Conv2d(before, 1, 3, padding=1))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:  # [b c y x], [b 1 y x] -> [b 1 y/s x/s] logits
        return self.body(torch.cat([x, mask], dim=1))  # type: ignore[no-any-return]


class GanRefine(nn.Module):
    """RefineNet's backbone and refiner without seeds: it was trained against a discriminator.

    >>> net = GanRefine(inputs=1, widths=(2, 4, 6), refiner=(4, 4, 4))
    >>> net(torch.zeros(1, 1, 8, 12)).shape
    torch.Size([1, 2, 8, 12])
    """

    def __init__(
        self, *, inputs: int, widths: Sequence[int], features: int = 0, refiner: Sequence[int] = (64, 32, 16)
    ) -> None:
        super().__init__()
        self.backbone = UNetBackbone(inputs=inputs, widths=widths, features=features)
        self.refiner = Refiner(features=features, seeds=0, widths=refiner)

    def forward(self, x: Tensor) -> Tensor:  # [b c y x] -> [b 2 y x] logits
        return self.both(x)[1]

    def both(self, x: Tensor) -> tuple[tuple[Tensor, ...], Tensor]:
        """Return the initial segmentations and the refined one."""
        initial = self.backbone(x)
        return initial, self.refiner(*initial)


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, strength: float) -> Tensor:
        context.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return -context.strength * gradients[0], None


def reverse(x: Tensor, strength: float = 1.0) -> Tensor:
    """Return x as it is; its gradient comes back with the opposite sign, `strength` times as strong.

    >>> x = torch.ones(1, requires_grad=True)
    >>> (3 * reverse(x, 0.5)).sum().backward()
    >>> x.grad
    tensor([-1.5000])
    """
    return _Reverse.apply(x, strength)  # type: ignore[no-any-return,no-untyped-call]
