"""Half the bits where that is faster: bfloat16 has float32's range, so nothing needs to be scaled."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import cache

import torch

from segmend.errors import SettingsError

CPU = torch.device("cpu")


@cache
def has_bfloat16() -> bool:
    """True where the processor multiplies bfloat16 itself; elsewhere it is slower than float32."""
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def training_device(name: str, rank: int = 0) -> torch.device:
    """Return the device of this name; SettingsError when it is not there.

    "auto" is the fastest there is. Of several processes each takes a GPU of its own.

    >>> training_device("cpu")
    device(type='cpu')
    """
    has = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    kind = next(kind for kind in ("cuda", "mps", "cpu") if has[kind]) if name == "auto" else name.partition(":")[0]
    if not has.get(kind, False):
        there = ", ".join(sorted(kind for kind, found in has.items() if found))
        raise SettingsError(f"The setting device needs one that is there ({there}) or auto; got {name!r}.")
    if kind == "cuda" and ":" not in name:
        return torch.device("cuda", rank % torch.cuda.device_count())
    try:
        return torch.device(kind if name == "auto" else name)
    except RuntimeError:
        raise SettingsError(f"The setting device needs a name such as cuda or cuda:1; got {name!r}.") from None


def device_of(network: torch.nn.Module) -> torch.device:
    """Return where a network's parameters lie.

    >>> device_of(torch.nn.Linear(2, 3)).type
    'cpu'
    """
    return next(network.parameters()).device


def autocast(device: torch.device = CPU) -> AbstractContextManager[object]:
    """Return autocast to bfloat16 where the device has it, and plain float32 elsewhere.

    >>> with autocast():
    ...     out = torch.nn.Linear(2, 3)(torch.zeros(1, 2))
    >>> out.dtype == (torch.bfloat16 if has_bfloat16() else torch.float32)
    True
    """
    if device.type == "cuda":
        return torch.autocast("cuda", torch.bfloat16, enabled=torch.cuda.is_bf16_supported(including_emulation=False))
    return torch.autocast("cpu", torch.bfloat16, enabled=device.type == "cpu" and has_bfloat16())


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
        with torch.autocast(given[0].device.type, enabled=False):
            return inner(*(value.float() for value in given))  # type: ignore[no-any-return]

    module.forward = forward
