"""The U-Net's arithmetic: sizes, parameters, and how far a pixel sees."""

import torch

from segmend.nets.unet import UNet


def test_parameters_of_a_tiny_network_are_those_counted_by_hand():
    net = UNet(inputs=2, widths=(3, 5))

    down = (2 * 3 + 3 * 3 + 3 * 5 + 5 * 5) * 9 + 2 * (3 + 3 + 5 + 5)
    up = ((5 + 3) * 3 + 3 * 3) * 9 + 2 * (3 + 3)
    assert sum(p.numel() for p in net.parameters()) == down + up + 3 + 1


def test_logits_have_the_size_of_the_input():
    net = UNet(inputs=8, outputs=2, widths=(4, 6, 8))

    assert net(torch.zeros(3, 8, 16, 32)).shape == (3, 2, 16, 32)


def test_the_shipped_depth_sees_the_whole_grid():
    net = UNet(inputs=1, widths=(2, 2, 2, 2, 2, 2)).eval()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.constant_(module.weight, 0.1)
    x = torch.ones(1, 1, 128, 128, requires_grad=True)

    net(x)[0, 0, 64, 64].backward()

    seen = x.grad[0, 0].nonzero()
    assert (seen.max(dim=0).values - seen.min(dim=0).values + 1 == 128).all()
