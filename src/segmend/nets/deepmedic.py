"""DeepMedic: Kamnitsas et al., Medical Image Analysis 2017; eleven layers in two pathways.

Eight 3 x 3 x 3 convolutions see the image, eight more see it subsampled by three: fields of 17 and of 51 voxels.
Both meet in two 1 x 1 x 1 layers and a classifier. Every hidden layer is convolution, batch norm and PReLU; the
last hidden layer and the classifier have dropout on their inputs. Other than in the paper, which cuts segments
without padding, convolutions are padded, so whole volumes of any size go in; where the paper's training
segments of 25 voxels have their context, the arithmetic is the same.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool3d, interpolate, pad

from segmend.nets.norms import IN_VOLUMES

WIDTHS = (30, 30, 40, 40, 40, 40, 50, 50)


class DeepMedic(nn.Module):
    """The two pathways; logits at the input's size, whatever it is.

    `widths` are the channels of a pathway's layers, `joined` those of the layers after both. `norm` is "batch", as in
    the paper, or "instance".

    >>> net = DeepMedic(inputs=1, outputs=2, widths=(3, 4), joined=(5,))
    >>> net(torch.zeros(1, 1, 7, 9, 10)).shape
    torch.Size([1, 2, 7, 9, 10])
    """

    def __init__(
        self,
        *,
        inputs: int,
        outputs: int = 1,
        widths: Sequence[int] = WIDTHS,
        joined: Sequence[int] = (150, 150),
        subsampling: int = 3,
        dropout: float = 0.5,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        self.subsampling = subsampling
        self.near = _pathway(inputs, widths, norm)
        self.far = _pathway(inputs, widths, norm)
        layers: list[nn.Module] = []
        before = 2 * widths[-1]
        for number, width in enumerate(joined):
            layers += [nn.Dropout(dropout)] if number else []
            layers += _layer(before, width, 1, norm)
            before = width
        self.join = nn.Sequential(*layers, nn.Dropout(dropout), nn.Conv3d(before, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:  # [b c z y x] -> [b o z y x] logits
        below, behind, right = (-length % self.subsampling for length in x.shape[2:])  # to whole cells
        whole = pad(x, (0, right, 0, behind, 0, below), mode="replicate")
        small = avg_pool3d(whole, self.subsampling)
        far = interpolate(self.far(small), scale_factor=float(self.subsampling), mode="nearest")
        far = far[:, :, : x.shape[2], : x.shape[3], : x.shape[4]]
        return self.join(torch.cat([self.near(x), far], dim=1))  # type: ignore[no-any-return]


def _pathway(inputs: int, widths: Sequence[int], norm: str) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, width in zip([inputs, *widths[:-1]], widths, strict=True):
        layers += _layer(before, width, 3, norm)
    return nn.Sequential(*layers)


def _layer(inputs: int, outputs: int, kernel: int, norm: str) -> list[nn.Module]:
    return [
        nn.Conv3d(inputs, outputs, kernel, padding=kernel // 2, bias=False),
        IN_VOLUMES[norm](outputs, affine=True),
        nn.PReLU(outputs),
    ]
