"""quality's networks: their parameters counted by hand, and a head that works at any size."""

import torch

from segmend.nets.quality import Base, Refiner


def test_parameters_of_a_tiny_refiner_are_those_counted_by_hand():
    net = Refiner(inputs=4, widths=(2, 3), dense=7)

    down = 9 * (4 * 2 + 2 * 2) + 2 * 2 + 9 * (2 * 3 + 3 * 3) + 2 * 3
    up = 4 * 3 * 2 + 2 + 9 * (4 * 2 + 2 * 2) + 2 * 2
    head, judge = 2 + 1, 3 * 7 + 7 + 7 + 1
    assert sum(p.numel() for p in net.parameters()) == down + up + head + judge


def test_the_papers_refiner_has_four_levels_from_32_filters():
    net = Refiner()

    assert [block[0].out_channels for block in net.down] == [32, 64, 128, 256]
    assert sum(isinstance(m, torch.nn.Linear) for m in net.modules()) == 2


def test_the_base_is_the_refiner_without_mask_and_head():
    base, refiner = Base(widths=(2, 3)), Refiner(widths=(2, 3), dense=7)

    extra = 9 * 1 * 2 + 3 * 7 + 7 + 7 + 1
    assert sum(p.numel() for p in refiner.parameters()) - sum(p.numel() for p in base.parameters()) == extra


def test_the_quality_lies_between_0_and_1_whatever_the_images_size():
    net = Refiner(widths=(2, 3, 4, 5), dense=6).eval()

    for size in ((16, 24), (48, 8)):
        logits, quality = net(torch.randn(3, 4, *size))
        assert logits.shape == (3, 1, *size) and quality.shape == (3, 1)
        assert (quality > 0).all() and (quality < 1).all()


def test_the_quality_depends_on_the_mask():
    torch.manual_seed(0)
    net = Refiner(widths=(4, 6, 8, 10), dense=6).eval()
    x = torch.rand(1, 4, 16, 16)
    other = x.clone()
    other[:, 3] = 1 - other[:, 3]

    assert (net(x)[1] - net(other)[1]).abs().item() > 1e-4
