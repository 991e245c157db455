"""Segmend's own network: sizes, arithmetic, and what each part can and cannot see."""

from __future__ import annotations

import pytest
import torch

from segmend.nets.mend import ImageEncoder, PromptDecoder, inflated


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("dimensions", [2, 3])
def test_features_and_answers_have_the_sizes_of_their_levels(dimensions: int) -> None:
    cells = (8, 12, 16)[:dimensions]
    encoder = ImageEncoder(dimensions=dimensions, inputs=3, widths=(4, 6, 8), features=5)
    decoder = PromptDecoder(dimensions=dimensions, prompts=2, widths=(4, 6), features=5, head=7)
    features = encoder(torch.rand(2, 3, *cells))
    assert [tuple(f.shape) for f in features] == [(2, 5, *(n // s for n in cells)) for s in (1, 2, 4)]
    logits, quality, hidden, uncertainty = decoder(torch.rand(2, 2, *cells), *features)
    assert (logits.shape, quality.shape, hidden.shape) == ((2, 1, *cells), (2,), (2, 4, *cells))
    assert uncertainty.shape == logits.shape


def test_parameters_are_those_counted_by_hand() -> None:
    encoder = ImageEncoder(dimensions=2, inputs=3, widths=(4, 6), features=5)
    doubles = 9 * (3 * 4 + 4 * 4) + 9 * (4 * 6 + 6 * 6) + 9 * (10 * 4 + 4 * 4)
    biases_and_norms = 2 * 3 * (4 + 6 + 4)
    assert parameters(encoder) == doubles + biases_and_norms + (4 * 5 + 5) + (6 * 5 + 5)


def test_the_last_layers_read_the_hidden_features_alone() -> None:
    decoder = PromptDecoder(dimensions=2, prompts=2, widths=(4, 6), features=5).eval()
    features = torch.rand(1, 5, 8, 8), torch.rand(1, 5, 4, 4)
    logits, _, hidden, _ = decoder(torch.rand(1, 2, 8, 8), *features)
    torch.testing.assert_close(decoder.head(hidden), logits)


def test_the_quality_head_teaches_nothing_but_itself() -> None:
    decoder = PromptDecoder(dimensions=2, prompts=2, widths=(4, 6), features=5)
    features = torch.rand(2, 5, 8, 8), torch.rand(2, 5, 4, 4)
    _, quality, *_ = decoder(torch.rand(2, 2, 8, 8), *features)
    quality.sum().backward()
    taught = {name.split(".")[0] for name, p in decoder.named_parameters() if p.grad is not None and p.grad.any()}
    assert taught == {"quality_head"}


def test_an_empty_mask_has_a_finite_quality() -> None:
    decoder = PromptDecoder(dimensions=2, prompts=2, widths=(4, 6), features=5).eval()
    torch.nn.init.constant_(decoder.head[2].bias, -100.0)
    _, quality, *_ = decoder(torch.zeros(1, 2, 8, 8), torch.zeros(1, 5, 8, 8), torch.zeros(1, 5, 4, 4))
    assert bool(torch.isfinite(quality).all())


def test_uncertainty_teaches_the_last_layers_nothing() -> None:
    decoder = PromptDecoder(dimensions=2, prompts=2, widths=(4, 6), features=5)
    *_, uncertainty = decoder(torch.rand(2, 2, 8, 8), torch.rand(2, 5, 8, 8), torch.rand(2, 5, 4, 4))
    uncertainty.sum().backward()
    taught = {name.split(".")[0] for name, p in decoder.named_parameters() if p.grad is not None and p.grad.any()}
    assert taught == {"error_head", "down", "up"}


def planes_and_space(part: type[torch.nn.Module], levels: int, **options: int) -> tuple[torch.nn.Module, ...]:
    torch.manual_seed(3)
    plane = part(dimensions=2, widths=(4, 6, 8), features=5, **options)
    space = part(dimensions=3, widths=(4, 6, 8)[:levels], features=5, **options)
    space.load_state_dict(inflated(plane.state_dict(), space.state_dict()))
    return plane.eval(), space.eval()


def test_a_network_in_space_begins_as_one_for_planes_in_each_plane() -> None:
    read_plane, read_space = planes_and_space(ImageEncoder, 3, inputs=2)
    refine_plane, refine_space = planes_and_space(PromptDecoder, 3, prompts=2)
    image, prompts = torch.rand(1, 2, 8, 12), torch.rand(1, 2, 8, 12)

    flat = read_plane(image)
    solid = read_space(image[:, :, None].expand(-1, -1, 4, -1, -1))
    logits, *_ = refine_plane(prompts, *flat)
    told, *_ = refine_space(prompts[:, :, None].expand(-1, -1, 4, -1, -1), *solid)

    for one, other in zip(flat, solid, strict=True):
        torch.testing.assert_close(other, one[:, :, None].expand_as(other))
    torch.testing.assert_close(told, logits[:, :, None].expand_as(told))


def test_what_a_network_for_planes_has_below_the_levels_in_space_is_left_out() -> None:
    plane, space = planes_and_space(ImageEncoder, 2, inputs=2)

    assert torch.equal(space.up[0][0].within.weight[:, :, 0], plane.up[1][0].weight)
    assert torch.equal(space.up[0][0].along.bias, plane.up[1][0].bias)
    assert torch.equal(space.out[1].weight[..., 0], plane.out[1].weight)


def test_a_network_in_space_hears_its_neighbours_along_the_third_axis() -> None:
    _, space = planes_and_space(ImageEncoder, 3, inputs=2)
    for name, weight in space.named_parameters():
        if name.endswith("along.weight"):
            torch.nn.init.normal_(weight)
    image = torch.rand(1, 2, 8, 8, 8)
    other = image.clone()
    other[:, :, 3] += 1
    moved = (space(other)[0] - space(image)[0]).abs().amax(dim=(0, 1, 3, 4))
    assert (moved > 0).all()
