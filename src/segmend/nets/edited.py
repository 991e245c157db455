"""A 3D network that sees a volume and a person's edits (Zhou, Chen and Wang, 2019).

The body is any network on whole volumes; its last input channel is K, the same number everywhere. Instance
normalisation takes away what is the same everywhere, so in such a body K would act at the volume's borders alone.
It therefore also moves the threshold: a learnt multiple of K is added to the logits, which grows or shrinks
the mask first where the network is least sure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from segmend.nets.deepmedic import DeepMedic
from segmend.nets.highres3dnet import HighRes3DNet
from segmend.nets.isensee import Isensee
from segmend.nets.unet3d import UNet3D

BODIES: Mapping[str, type[nn.Module]] = {
    "isensee": Isensee,
    "unet3d": UNet3D,
    "deepmedic": DeepMedic,
    "highres3dnet": HighRes3DNet,
}
PACE = 10.0  # the multiple of K learns so much faster than a weight


class Edited(nn.Module):
    """The body and what K adds to its logits; `arguments` are the body's.

    >>> net = Edited(body="isensee", arguments={"inputs": 4, "width": 2, "levels": 2})
    >>> net(torch.zeros(1, 4, 4, 6, 8)).shape
    torch.Size([1, 1, 4, 6, 8])
    """

    def __init__(self, *, body: str, arguments: Mapping[str, Any]) -> None:
        super().__init__()
        self.body = BODIES[body](**arguments)
        self.gain = nn.Parameter(torch.tensor([-0.3]))

    def forward(self, x: Tensor) -> Tensor:  # [b c z y x] -> [b o z y x] logits
        return self.body(x) + PACE * self.gain * x[:, -1:]  # type: ignore[no-any-return]
