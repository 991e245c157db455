"""Half the bits only where the processor has them."""

import torch

from segmend.training import precision


def test_mixed_precision_is_used_where_the_processor_has_it(monkeypatch):
    layer = torch.nn.Linear(4, 4)
    for has, wanted in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(precision, "has_bfloat16", lambda has=has: has)

        with precision.mixed():
            found = layer(torch.ones(1, 4)).dtype

        assert found == wanted
