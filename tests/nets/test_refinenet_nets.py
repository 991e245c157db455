"""FCN-8s, RefineNet, the cascade and the discriminator: parameters, sizes, and what reaches what."""

import pytest
import torch
from torch import nn

from segmend.nets.cascaded import CascadedBackbone, CascadedUNet
from segmend.nets.fcn import FCN8s
from segmend.nets.gan import Discriminator, GanRefine, reverse
from segmend.nets.pyramid import UNetBackbone
from segmend.nets.refinenet import FCNBackbone, RefineNet, Refiner


def count(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def test_fcn8s_has_the_parameters_of_vgg16_and_its_three_scores():
    with torch.device("meta"):
        net = FCN8s()

    vgg16_convolutions = 14_714_688
    fc6, fc7 = 7 * 7 * 512 * 4096 + 4096, 4096 * 4096 + 4096
    scores = (4096 + 512 + 256) * 21 + 3 * 21
    enlarging = (4 * 4 + 4 * 4 + 16 * 16) * 21 * 21
    assert count(net) == vgg16_convolutions + fc6 + fc7 + scores + enlarging


def test_fcn8s_starts_as_linear_interpolation_of_its_scores():
    net = FCN8s(inputs=1, outputs=2, widths=(2, 2, 2, 2, 2), hidden=3, kernel=3).eval()
    for score in (net.body.score, net.body.score_pool3, net.body.score_pool4):
        nn.init.zeros_(score.weight)
        nn.init.constant_(score.bias, 1.0)

    middle = net(torch.zeros(1, 1, 96, 128))[..., 40:56, 40:88]

    torch.testing.assert_close(middle, torch.full_like(middle, 3.0))


def test_the_unet_backbone_has_the_parameters_counted_by_hand():
    net = UNetBackbone(inputs=2, widths=(3, 5, 7), features=1)

    def double(before, after):
        return 9 * (before * after + after * after) + 2 * 2 * after

    down = double(2, 3) + double(3, 5) + double(5, 7)
    up = (4 * 7 * 5 + 5) + double(10, 5) + (4 * 5 * 3 + 3) + double(6, 3)
    heads = (3 + 5 + 7) * 3 + 3 * 3
    assert count(net) == down + up + heads


@pytest.mark.parametrize(
    "backbone",
    [
        UNetBackbone(inputs=4, widths=(3, 4, 5, 6), features=2),
        FCNBackbone(inputs=4, widths=(2, 2, 3, 3, 4), hidden=5, decoder=6, features=2, normalise=True),
        CascadedBackbone(inputs=4, widths=(3, 4, 5, 6), features=2),
    ],
    ids=lambda net: type(net).__name__,
)
def test_the_first_three_segmentations_are_whole_half_and_quarter_and_all_train_together(backbone):
    net = RefineNet(backbone, Refiner(features=2, widths=(6, 5, 4)))
    x = torch.randn(2, 4, 32, 64)

    whole, half, quarter = backbone(x)[:3]
    refined = net(x, torch.rand(2, 2, 32, 64))

    assert whole.shape == (2, 4, 32, 64)
    assert half.shape == (2, 4, 16, 32)
    assert quarter.shape == (2, 4, 8, 16)
    assert refined.shape == (2, 2, 32, 64)
    (refined.square().mean() + sum(part.square().mean() for part in backbone(x))).backward()
    unreached = [name for name, p in net.named_parameters() if p.grad is None]
    assert unreached == []


def test_a_seed_reaches_its_surroundings_and_nothing_far_away():
    net = Refiner(widths=(4, 4, 4)).eval()
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.constant_(module.weight, 0.1)
    seeds = torch.ones(1, 2, 128, 128, requires_grad=True)
    scales = [torch.ones(1, 2, 128 // n, 128 // n) for n in (1, 2, 4)]

    net(*scales, seeds)[0, 0, 64, 64].backward()

    seen = seeds.grad[0, 0].nonzero()
    reach = seen.max(dim=0).values - seen.min(dim=0).values + 1
    assert reach.tolist() == [80, 80]  # 62..66, halves 31..33 and 29..35, quarters 14..17 and 6..25: pixels 24..103


def test_a_refiner_starts_near_the_initial_segmentation():
    torch.manual_seed(0)
    net = Refiner(widths=(4, 4, 4)).eval()
    nn.init.zeros_(net.head.weight)
    nn.init.zeros_(net.head.bias)
    scales = [torch.randn(1, 2, 16 // n, 16 // n) for n in (1, 2, 4)]

    assert torch.equal(net(*scales, torch.rand(1, 2, 16, 16)), scales[0])


def test_the_cascade_looks_only_inside_the_region_that_it_found():
    net = CascadedBackbone(inputs=1, widths=(2, 3, 4), margin=1).eval()
    head = net.find.heads[0]
    nn.init.zeros_(head.weight)
    head.bias.data = torch.tensor([30.0, -30.0])  # nowhere
    x = torch.randn(1, 1, 16, 24)

    nothing = net(x)[0]

    torch.testing.assert_close(nothing, net(torch.zeros_like(x))[0])
    head.bias.data = torch.tensor([-30.0, 30.0])  # everywhere
    assert not torch.allclose(net(x)[0], net(torch.zeros_like(x))[0])


def test_the_cascades_parameters_are_two_unets():
    one = UNetBackbone(inputs=1, widths=(2, 3, 4))
    two = UNetBackbone(inputs=2, widths=(2, 3, 4))

    assert count(CascadedUNet(inputs=1, widths=(2, 3, 4))) == count(one) + count(two)


def test_the_discriminator_learns_while_its_gradient_is_reversed_for_the_generator():
    torch.manual_seed(0)
    discriminator = Discriminator(inputs=2, widths=(4, 4))
    x, mask = torch.randn(1, 1, 16, 24), torch.rand(1, 1, 16, 24)
    plain, turned = mask.clone().requires_grad_(), mask.clone().requires_grad_()

    discriminator(x, plain).mean().backward()
    to_discriminator = discriminator.body[0].weight.grad.clone()
    discriminator.zero_grad()
    discriminator(x, reverse(turned, 0.5)).mean().backward()

    torch.testing.assert_close(turned.grad, -0.5 * plain.grad)
    torch.testing.assert_close(discriminator.body[0].weight.grad, to_discriminator)


def test_the_generators_refiner_takes_no_seeds():
    net = GanRefine(inputs=1, widths=(2, 3, 4), features=1, refiner=(4, 4, 4))

    assert net.refiner.at_whole[0].in_channels == 4 + 3
    assert net(torch.zeros(1, 1, 8, 12)).shape == (1, 2, 8, 12)
