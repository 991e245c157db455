"""Half the bits only where the processor has them."""

import pytest
import torch

from segmend.errors import SettingsError
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


def test_a_device_is_named_or_the_fastest_there_is(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert precision.training_device("auto") == precision.training_device("cpu") == torch.device("cpu")
    with pytest.raises(SettingsError, match=r"\(cpu\) or auto; got 'cuda:1'"):
        precision.training_device("cuda:1")

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert precision.training_device("auto", rank=3) == torch.device("cuda", 1)
    assert precision.training_device("cuda:0", rank=3) == torch.device("cuda", 0)
    with pytest.raises(SettingsError, match="cuda or cuda:1; got 'cuda:one'"):
        precision.training_device("cuda:one")
