"""P-Net and PC-Net: the field that a voxel sees, measured by gradient, and the parameters counted by hand."""

import pytest
import torch

from segmend.nets.pcnet import PCNet
from segmend.nets.pnet import PNet


def field_of(net, shape):
    """Return how many voxels along each axis change the logits in the middle of an input of this shape.

    All weights are positive, so nothing cancels and every path counts.
    """
    net = net.double().eval()
    with torch.no_grad():
        for value in net.parameters():
            value.fill_(0.01 if value.ndim > 1 else 0.1)
    x = torch.ones(1, 1, *shape, dtype=torch.float64, requires_grad=True)
    _, logits = net(x)
    middle = tuple(n // 2 for n in shape)
    logits[(0, 0, *middle)].backward()
    reached = x.grad[0, 0] != 0
    axes = range(len(shape))
    return tuple(int(reached.any(dim=tuple(b for b in axes if b != a)).sum()) for a in axes)


def test_a_pixel_of_p_net_sees_181_by_181():
    assert field_of(PNet(width=2, hidden=2), (201, 195)) == (181, 181)


def test_a_voxel_of_pc_net_sees_9_slices_of_85_by_85():
    assert field_of(PCNet(width=2, kept=1, hidden=2), (15, 95, 99)) == (9, 85, 85)


def test_p_net_of_the_paper_has_the_parameters_counted_by_hand():
    # 13 layers of 3 x 3: one from the image, twelve of 64 to 64; block 6 reads 5 x 64 channels.
    layers = (9 * 1 * 64 + 64) + 12 * (9 * 64 * 64 + 64)
    classifier = (320 * 128 + 128) + (128 * 2 + 2)

    assert sum(p.numel() for p in PNet().parameters()) == layers + classifier


def test_pc_net_of_the_paper_has_the_parameters_counted_by_hand():
    deep = (27 * 1 * 64 + 64) + 3 * (27 * 64 * 64 + 64)
    flat = 9 * (9 * 64 * 64 + 64)
    compressed = 5 * (64 * 16 + 16)
    classifier = (80 * 128 + 128) + (128 * 2 + 2)

    assert sum(p.numel() for p in PCNet().parameters()) == deep + flat + compressed + classifier


@pytest.mark.parametrize(
    ("net", "shape"),
    [(PNet(width=3, hidden=4), (7, 5)), (PCNet(width=3, kept=2), (3, 7, 5)), (PCNet(width=3, norm=True), (3, 7, 5))],
)
def test_the_logits_are_block_6_on_the_features(net, shape):
    features, logits = net.eval()(torch.randn(2, 1, *shape))

    assert torch.equal(net.head(features), logits)
    assert logits.shape == (2, 2, *shape)


def test_more_channels_make_r_net():
    assert PNet(inputs=4, width=3, hidden=4)(torch.zeros(1, 4, 6, 8))[1].shape == (1, 2, 6, 8)
