"""iunet's U-Net: its parameters counted by hand, its sizes, its depth and its dropout."""

import pytest
import torch

from segmend.nets.iunet import IUNet


def test_parameters_of_a_tiny_network_are_those_counted_by_hand():
    net = IUNet(inputs=3, widths=(2, 5))

    down = 9 * (3 * 2 + 2 * 2) + 2 * 2 + 9 * (2 * 5 + 5 * 5) + 2 * 5
    rise = 9 * 5 * 2 + 2
    up = 9 * ((2 + 2) * 2 + 2 * 2) + 2 * 2
    assert sum(p.numel() for p in net.parameters()) == down + rise + up + 2 + 1


def test_the_papers_network_has_the_u_nets_31_million_parameters():
    with torch.device("meta"):
        net = IUNet(inputs=3)

    levels = [(3, 64), (64, 128), (128, 256), (256, 512), (512, 1024)]
    down = sum(9 * (i * o + o * o) + 2 * o for i, o in levels)
    up = sum(9 * (2 * o * o) + o + 9 * (2 * o * o + o * o) + 2 * o for o in (512, 256, 128, 64))
    assert sum(p.numel() for p in net.parameters()) == down + up + 65


def test_it_has_four_blocks_down_a_bottleneck_and_four_blocks_up():
    net = IUNet(inputs=3, widths=(2, 2, 2, 2, 2))

    assert (len(net.down), len(net.rise), len(net.up)) == (5, 4, 4)
    assert net(torch.zeros(1, 3, 16, 48)).shape == (1, 1, 16, 48)


def test_dropout_works_in_training_and_rests_in_use():
    torch.manual_seed(0)
    net = IUNet(inputs=1, widths=(4, 8), dropout=0.5)
    x = torch.randn(1, 1, 8, 8)

    assert not torch.equal(net.train()(x), net(x))
    assert torch.equal(net.eval()(x), net(x))


@pytest.mark.parametrize("norm", [False, True])
def test_a_pixel_sees_as_far_as_five_levels_of_convolutions_reach(norm):
    net = IUNet(inputs=1, widths=(2, 2, 2, 2, 2), norm=norm, dropout=0).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d | torch.nn.ConvTranspose2d):
            torch.nn.init.constant_(module.weight, 0.1)
    x = torch.ones(1, 1, 256, 256, requires_grad=True)

    net(x)[0, 0, 128, 128].backward()

    reach = x.grad[0, 0].nonzero()
    assert (reach.max(dim=0).values - reach.min(dim=0).values + 1 > 128).all()
