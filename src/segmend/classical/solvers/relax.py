"""The inner loops of `randomwalk.py`: a weighted Laplacian on a grid, and its coarser grids.

Everything lies flat with `pad` voxels of zeros before and after, at least one plane, so that every
neighbour can be read. `links[a][p]` joins voxel p to the next one along axis a; at the end of a
row, column or stack it is 0. The operator is (A u)[p] = diagonal[p] u[p] - sum of link times
neighbour; `inverse` is 1 / diagonal, or 0 where nothing is unknown, and there u stays as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from segmend.solvers.compiled import compiled

Flat = NDArray[np.float32]


@compiled
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
    n = len(pinned)
    for a in range(3):
        step = strides[a]
        link = links[a]
        for i in range(n):
            p = pad + i
            w = link[p]
            if w == 0:
                continue
            here, there = pinned[i], pinned[i + step]
            if here == 0 and there == 0:
                diagonal[p] += w
                diagonal[p + step] += w
                continue
            link[p] = 0
            if here == 0:
                anchor[p] += w
                push[p] += w if there == 1 else np.float32(0)
            elif there == 0:
                anchor[p + step] += w
                push[p + step] += w if here == 1 else np.float32(0)
    for i in range(n):
        p = pad + i
        if pinned[i] != 0:
            anchor[p] = push[p] = 0
        diagonal[p] += anchor[p]
        inverse[p] = 1 / diagonal[p] if diagonal[p] > 0 else 0


@compiled
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
    nz, ny, nx = shape
    fz, fy, fx = factor
    _, my, mx = wide_shape
    stiff = np.float32(0.7)
    p = pad
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                q = wide_pad + (z // fz * my + y // fy) * mx + x // fx
                wide_anchor[q] += anchor[p]
                if fz == 1 or z % 2 == 1:
                    wide_links[0, q] += links[0, p] * (stiff if fz == 2 else np.float32(1))
                if fy == 1 or y % 2 == 1:
                    wide_links[1, q] += links[1, p] * (stiff if fy == 2 else np.float32(1))
                if fx == 1 or x % 2 == 1:
                    wide_links[2, q] += links[2, p] * (stiff if fx == 2 else np.float32(1))
                p += 1
    steps = (my * mx, mx, 1)
    for a in range(3):
        for q in range(wide_pad, len(wide_anchor) - wide_pad):
            w = wide_links[a, q]
            if w > 0:
                diagonal[q] += w
                diagonal[q + steps[a]] += w
    for q in range(wide_pad, len(wide_anchor) - wide_pad):
        diagonal[q] += wide_anchor[q]
        inverse[q] = 1 / diagonal[q] if diagonal[q] > 0 else 0


@compiled
def multiply(links: Flat, diagonal: Flat, u: Flat, out: Flat, strides: NDArray[np.int64], pad: int) -> None:
    """Write A u."""
    n = len(u) - 2 * pad
    sy, sz = strides[1], strides[0]
    here, left, right = u[pad:], u[pad - 1 :], u[pad + 1 :]
    down, up, below, above = u[pad - sy :], u[pad + sy :], u[pad - sz :], u[pad + sz :]
    lx, kx = links[2, pad:], links[2, pad - 1 :]
    ly, ky = links[1, pad:], links[1, pad - sy :]
    lz, kz = links[0, pad:], links[0, pad - sz :]
    d, o = diagonal[pad:], out[pad:]
    for i in range(n):
        o[i] = d[i] * here[i] - lx[i] * right[i] - kx[i] * left[i] - ly[i] * up[i] - ky[i] * down[i]
    if sz < n:
        for i in range(n):
            o[i] -= lz[i] * above[i] + kz[i] * below[i]


@compiled
def smooth(u: Flat, b: Flat, product: Flat, inverse: Flat, omega: float, pad: int) -> None:
    """Change u by one damped Jacobi step, given product = A u."""
    w = np.float32(omega)
    for p in range(pad, len(u) - pad):
        u[p] += w * inverse[p] * (b[p] - product[p])


@compiled
def begin(u: Flat, b: Flat, inverse: Flat, omega: float, pad: int) -> None:
    """Write one damped Jacobi step from u = 0."""
    w = np.float32(omega)
    for p in range(pad, len(u) - pad):
        u[p] = w * inverse[p] * b[p]


@compiled
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
    nz, ny, nx = shape
    fz, fy, fx = factor
    _, my, mx = wide_shape
    wide_b[:] = 0
    p = pad
    for z in range(nz):
        for y in range(ny):
            row = wide_pad + (z // fz * my + y // fy) * mx
            for x in range(nx):
                wide_b[row + x // fx] += b[p] - product[p]
                p += 1


@compiled
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
    nz, ny, nx = shape
    fz, fy, fx = factor
    _, my, mx = wide_shape
    p = pad
    for z in range(nz):
        for y in range(ny):
            row = wide_pad + (z // fz * my + y // fy) * mx
            for x in range(nx):
                if inverse[p] > 0:
                    u[p] += wide_u[row + x // fx]
                p += 1


@compiled
def dot(a: Flat, b: Flat) -> float:
    """Return the sum of products, kept in double precision."""
    total = 0.0
    for p in range(len(a)):
        total += a[p] * b[p]
    return total


@compiled
def advance(u: Flat, r: Flat, direction: Flat, product: Flat, alpha: float) -> None:
    """Take one step of conjugate gradients: u along the direction, the residual along its product."""
    w = np.float32(alpha)
    for p in range(len(u)):
        u[p] += w * direction[p]
        r[p] -= w * product[p]


@compiled
def turn(direction: Flat, z: Flat, beta: float) -> None:
    """Write the next direction: z + beta * direction."""
    w = np.float32(beta)
    for p in range(len(z)):
        direction[p] = z[p] + w * direction[p]
