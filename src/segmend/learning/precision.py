"""Half the bits where that is faster: bfloat16 has float32's range, so nothing needs to be scaled."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import torch


@cache
def has_bfloat16() -> bool:
    """True where the processor multiplies bfloat16 itself; elsewhere it is slower than float32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def autocast() -> AbstractContextManager[object]:
    """Return autocast to bfloat16 where the processor has it, and plain float32 elsewhere.

    >>> with autocast():
    ...     out = torch.nn.Linear(2, 3)(torch.zeros(1, 2))
    >>> out.dtype == (torch.bfloat16 if has_bfloat16() else torch.float32)
    True
    """
    return torch.autocast("cpu", torch.bfloat16, enabled=has_bfloat16())


def keep_float32(module: torch.nn.Module) -> None:
    """Let a module keep to float32 where all around it is mixed.

    oneDNN's bfloat16 gradient of a 3D convolution's weights reads memory that nobody wrote where a side is as short
    as the kernel: about one step in forty had gradients beyond any number (torch 2.13). Such layers cost little.

    >>> layer = torch.nn.Linear(2, 3)
    >>> keep_float32(layer)
    >>> with autocast():
    ...     layer(torch.zeros(1, 2, dtype=torch.bfloat16)).dtype
    torch.float32
    """
    inner = module.forward

    def forward(*given: torch.Tensor) -> torch.Tensor:
        with torch.autocast("cpu", enabled=False):
            return inner(*(value.float() for value in given))  # type: ignore[no-any-return]

    module.forward = forward
