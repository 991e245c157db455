"""The 3D networks' arithmetic: parameters counted by hand, sizes, and how far a voxel sees."""

from itertools import pairwise

import pytest
import torch

from segmend.nets.deepmedic import DeepMedic
from segmend.nets.highres3dnet import HighRes3DNet
from segmend.nets.isensee import Isensee
from segmend.nets.unet3d import UNet3D


def convolution(inputs, outputs, kernel=27, bias=True):
    return kernel * inputs * outputs + (outputs if bias else 0)


def count(net):
    return sum(p.numel() for p in net.parameters())


def field(net, length, axis, at):
    """Return the first and the last voxel along an axis that the voxel `at` of the output depends on."""
    net = net.double().eval()
    for module in net.modules():
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.constant_(module.weight, 0.1)
    shape, place = [3, 3, 3], [1, 1, 1]
    shape[axis], place[axis] = length, at
    x = torch.ones(1, 1, *shape, dtype=torch.float64, requires_grad=True)
    net(x)[(0, 0, *place)].backward()
    seen = x.grad[0, 0].nonzero()[:, axis]
    return int(seen.min()), int(seen.max())


def test_the_3d_unet_has_the_parameters_that_its_paper_counts():
    net = UNet3D(inputs=3, outputs=3)

    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv3d | torch.nn.ConvTranspose3d)]
    assert sum(count(module) for module in convolutions) == 19_069_955


def test_a_tiny_3d_unet_has_the_parameters_counted_by_hand():
    net = UNet3D(inputs=2, outputs=1, widths=(3, 5))

    down = convolution(2, 3) + convolution(3, 6) + convolution(6, 5) + convolution(5, 10) + 2 * (3 + 6 + 5 + 10)
    up = 8 * 10 * 10 + convolution(16, 6) + convolution(6, 6) + 2 * (6 + 6)
    assert count(net) == down + up + convolution(6, 1, 1)


def test_the_instance_norm_of_a_3d_unet_keeps_the_volumes_of_a_batch_apart():
    net = UNet3D(inputs=1, widths=(2, 3), norm="instance")
    one, other = torch.randn(2, 1, 1, 4, 6, 8, generator=torch.Generator().manual_seed(0))

    together = net(torch.cat([one, other]))

    torch.testing.assert_close(together[:1], net(one))


def test_a_tiny_isensee_network_has_the_parameters_counted_by_hand():
    net = Isensee(inputs=2, width=3, levels=3)

    enter = convolution(2, 3) + convolution(3, 6) + convolution(6, 12)
    context = sum(2 * (convolution(w, w) + 2 * w) for w in (3, 6, 12))
    middle = convolution(12, 6) + 12 + convolution(12, 12) + 24 + convolution(12, 6, 1) + 12
    finest = convolution(6, 3) + 6 + convolution(6, 6) + 12
    segment = 2 * convolution(6, 1, 1)
    assert count(net) == enter + context + middle + finest + segment


def test_isensee_adds_the_segmentations_of_its_last_three_levels():
    net = Isensee(inputs=1, width=2, levels=5).eval()
    x = torch.randn(1, 1, 16, 16, 32, generator=torch.Generator().manual_seed(0))

    assert sorted(net.segment) == ["0", "1", "2"]
    with torch.no_grad():
        before = net(x)
        net.segment["2"].bias += 1.0
        torch.testing.assert_close(net(x), before + 1.0)


@pytest.mark.parametrize("net", [UNet3D(inputs=2, widths=(2, 3, 4)), Isensee(inputs=2, width=2, levels=3)])
def test_u_shaped_networks_keep_unequal_sides(net):
    assert net(torch.zeros(2, 2, 4, 8, 12)).shape == (2, 1, 4, 8, 12)


def test_deepmedic_has_the_layers_and_parameters_of_its_paper():
    net = DeepMedic(inputs=4, outputs=5)

    widths = (4, 30, 30, 40, 40, 40, 40, 50, 50)
    pathway = sum(convolution(a, b, bias=False) + 3 * b for a, b in pairwise(widths))
    joined = convolution(100, 150, 1, bias=False) + convolution(150, 150, 1, bias=False) + 2 * 3 * 150
    assert count(net) == 2 * pathway + joined + convolution(150, 5, 1)
    in_a_row = [m for part in (net.near, net.join) for m in part if isinstance(m, torch.nn.Conv3d)]
    assert len(in_a_row) == 11
    assert sum(isinstance(m, torch.nn.Dropout) for m in net.join) == 2


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_deepmedic_sees_17_voxels_near_and_51_afar(axis):
    small = {"inputs": 1, "widths": (1,) * 8, "joined": (1, 1)}

    assert field(DeepMedic(**small), 63, axis, 31) == (6, 56)
    assert field(DeepMedic(**small, subsampling=1), 63, axis, 31) == (23, 39)


def test_deepmedic_takes_volumes_of_any_size():
    net = DeepMedic(inputs=1, widths=(2,), joined=(2,))

    assert net(torch.zeros(1, 1, 1, 5, 13)).shape == (1, 1, 1, 5, 13)


def test_highres3dnet_has_twenty_layers_and_the_parameters_counted_by_hand():
    net = HighRes3DNet(inputs=1, outputs=160)

    groups = 0
    for before, width in ((16, 16), (16, 32), (32, 64)):
        groups += convolution(before, width, bias=False) + 5 * convolution(width, width, bias=False)
        groups += 2 * (before + 5 * width)
    ends = convolution(1, 16, bias=False) + 2 * 16 + 64 * 80 + 2 * 80 + convolution(80, 160, 1)
    assert count(net) == groups + ends
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv3d)]
    assert len([m for m in convolutions if m.kernel_size == (3, 3, 3)]) + 1 == 20
    assert round(sum(m.weight.numel() for m in convolutions) / 1e6, 2) == 0.82


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_highres3dnet_sees_87_voxels(axis):
    net = HighRes3DNet(inputs=1, widths=(1, 1, 1), last=1)

    assert field(net, 101, axis, 50) == (7, 93)


def test_highres3dnet_can_say_no():
    net = HighRes3DNet(inputs=1, widths=(2, 3, 4), last=4).eval()
    with torch.no_grad():
        net.layers[-1].bias -= 100.0

    assert (net(torch.randn(1, 1, 5, 6, 7)) < 0).all()


def test_a_highres3dnet_block_that_widens_keeps_its_input():
    net = HighRes3DNet(inputs=1, widths=(2, 5), last=3).eval()
    block = net.layers[6]
    for module in block.branch:
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.zeros_(module.weight)
    x = torch.randn(1, 2, 3, 4, 5)

    out = block(x)

    assert torch.equal(out[:, :2], x)
    assert not out[:, 2:].any()
