"""Half the bits only where the processor has them."""

import torch

from segmend.learning import precision


def test_mixed_precision_is_used_where_the_processor_has_it(monkeypatch):
    layer = torch.nn.Linear(4, 4)
    for has, wanted in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(precision, "has_bfloat16", lambda has=has: has)

        with precision.autocast():
            found = layer(torch.ones(1, 4)).dtype

        assert found == wanted


def test_gradients_of_short_solids_are_the_same_every_time():
    layer = torch.nn.Conv3d(44, 48, 3, padding=1).to(memory_format=torch.channels_last_3d)
    precision.keep_float32(layer)
    given = torch.randn(8, 44, 2, 2, 2).contiguous(memory_format=torch.channels_last_3d)
    found = []
    for _ in range(6):
        layer.zero_grad()
        with precision.autocast():
            layer(given).square().mean().backward()
        found.append(layer.weight.grad.clone())

    assert all(torch.equal(one, found[0]) for one in found)
    assert layer(given).dtype == torch.float32
