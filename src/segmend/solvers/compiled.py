"""How the solvers' inner loops become machine code.

The loops live in modules of their own (`maxflow_loops.py`, `grid_loops.py`), which load numba.
numba compiles a loop at its first call, some seconds each, and keeps the machine code beside the
module; where that folder is read-only, the command line has it kept with the data (`cli.place`)
and programs in the user's cache folder or that of NUMBA_CACHE_DIR. Where none of these can be
written, `compiled` falls back to compiling anew in every process. `methods.load` uses a method
once, so that this happens ahead of the first click; `segmend.solvers.warm` and
`segmend.classical.warm` compile everything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

Loop = TypeVar("Loop", bound=Callable[..., object])


def compiled(loop: Loop) -> Loop:
    """Return the function as machine code: kept on disk where it can be, without the global lock."""
    import numba

    try:
        return cast(Loop, numba.njit(cache=True, nogil=True)(loop))
    except RuntimeError as error:
        if "cannot cache" not in str(error):
            raise
        return cast(Loop, numba.njit(nogil=True)(loop))
