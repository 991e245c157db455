"""Half the bits where that is faster: bfloat16 has float32's range, so nothing needs to be scaled."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import torch


@cache
def has_bfloat16() -> bool:
    """True where the processor multiplies bfloat16 itself; elsewhere it is slower than float32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def mixed() -> AbstractContextManager[object]:
    """Return autocast to bfloat16 where the processor has it, and plain float32 elsewhere.

    >>> with mixed():
    ...     out = torch.nn.Linear(2, 3)(torch.zeros(1, 2))
    >>> out.dtype == (torch.bfloat16 if has_bfloat16() else torch.float32)
    True
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16())
