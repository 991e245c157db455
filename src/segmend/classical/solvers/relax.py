"""The inner loops of `randomwalk.py`, in native/relax.c: a weighted Laplacian on a grid, and its coarser grids.

Everything lies flat with `pad` voxels of zeros before and after, at least one plane, so that every
neighbour can be read. `links[a][p]` joins voxel p to the next one along axis a; at the end of a
row, column or stack it is 0. The operator is (A u)[p] = diagonal[p] u[p] - sum of link times
neighbour; `inverse` is 1 / diagonal, or 0 where nothing is unknown, and there u stays as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.native import loop

Flat = NDArray[np.float32]


@loop("relax_set_up", "f4[3 m]!", "u1[n]", "f4[m]!", "f4[m]!", "f4[m]!", "f4[m]!", "i8[3]", "i8")
def set_up(
    links: Flat,  # [3 m] changed: links to pinned voxels are cut
    pinned: NDArray[np.uint8],  # [n] 0 unknown, 1 inside, 2 outside
    anchor: Flat,  # [m] changed: grows by the links cut
    push: Flat,  # [m] changed: grows by the links cut to voxels inside
    diagonal: Flat,  # [m] out
    inverse: Flat,  # [m] out
    strides: NDArray[np.int64],  # [3]
    pad: int,
) -> None:
    """Move pinned voxels to the right-hand side and fill the diagonal."""


@loop(
    "relax_coarsen", "f4[3 m]", "f4[m]", "i8[3]", "i8", "i8[3]", "f4[3 w]!", "f4[w]!", "i8[3]", "i8", "f4[w]!", "f4[w]!"
)
def coarsen(
    links: Flat,  # [3 m]
    anchor: Flat,  # [m]
    shape: NDArray[np.int64],
    pad: int,
    factor: NDArray[np.int64],  # [3] 1 or 2 an axis
    wide_links: Flat,  # [3 m'] out
    wide_anchor: Flat,  # [m'] out
    wide_shape: NDArray[np.int64],
    wide_pad: int,
    diagonal: Flat,  # [m'] out
    inverse: Flat,  # [m'] out
) -> None:
    """Fill the next coarser grid: blocks of voxels joined by 0.7 of the sum of the links between them.

    Blocks are constants, up to twice as stiff as the smooth things they stand for where the links are even,
    and just right where they are not; 0.7 took the fewest iterations on both kinds, 0.5 did not settle.
    """


@loop("relax_multiply", "f4[3 m]", "f4[m]", "f4[m]", "f4[m]!", "i8[3]", "i8")
def multiply(links: Flat, diagonal: Flat, u: Flat, out: Flat, strides: NDArray[np.int64], pad: int) -> None:
    """Write A u."""


@loop("relax_smooth", "f4[m]!", "f4[m]", "f4[m]", "f4[m]", "f8", "i8")
def smooth(u: Flat, b: Flat, product: Flat, inverse: Flat, omega: float, pad: int) -> None:
    """Change u by one damped Jacobi step, given product = A u."""


@loop("relax_begin", "f4[m]!", "f4[m]", "f4[m]", "f8", "i8")
def begin(u: Flat, b: Flat, inverse: Flat, omega: float, pad: int) -> None:
    """Write one damped Jacobi step from u = 0."""


@loop("relax_restrict", "f4[m]", "f4[m]", "i8[3]", "i8", "i8[3]", "f4[w]!", "i8[3]", "i8")
def restrict(
    b: Flat,
    product: Flat,
    shape: NDArray[np.int64],
    pad: int,
    factor: NDArray[np.int64],
    wide_b: Flat,
    wide_shape: NDArray[np.int64],
    wide_pad: int,
) -> None:
    """Write the sums over blocks of the residual b - A u."""


@loop("relax_prolong", "f4[m]!", "f4[m]", "i8[3]", "i8", "i8[3]", "f4[w]", "i8[3]", "i8")
def prolong(
    u: Flat,
    inverse: Flat,
    shape: NDArray[np.int64],
    pad: int,
    factor: NDArray[np.int64],
    wide_u: Flat,
    wide_shape: NDArray[np.int64],
    wide_pad: int,
) -> None:
    """Add each block's value to its unknown voxels."""


@loop("relax_dot", "f4[m]", "f4[m]")
def dot(a: Flat, b: Flat) -> float:
    """Return the sum of products, kept in double precision."""


@loop("relax_advance", "f4[m]!", "f4[m]!", "f4[m]", "f4[m]", "f8")
def advance(u: Flat, r: Flat, direction: Flat, product: Flat, alpha: float) -> None:
    """Take one step of conjugate gradients: u along the direction, the residual along its product."""


@loop("relax_turn", "f4[m]!", "f4[m]", "f8")
def turn(direction: Flat, z: Flat, beta: float) -> None:
    """Write the next direction: z + beta * direction."""
