/* A weighted Laplacian on a grid, and its coarser grids, for classical/solvers/randomwalk.py.
 *
 * Everything lies flat with `pad` voxels of zeros before and after, at least one plane, so that every neighbour can be
 * read. `links[a][p]` joins voxel p to the next one along axis a; at the end of a row, column or stack it is 0. The
 * operator is (A u)[p] = diagonal[p] u[p] - sum of link times neighbour; `inverse` is 1 / diagonal, or 0 where nothing
 * is unknown, and there u stays as it is. */

#include <string.h>

#include "native.h"

/* Move pinned voxels to the right-hand side and fill the diagonal. */
EXPORT int64_t relax_set_up(
    float *restrict links,           /* [3 m] changed: links to pinned voxels are cut */
    const uint8_t *restrict pinned,  /* [n] 0 unknown, 1 inside, 2 outside */
    float *restrict anchor,          /* [m] changed: grows by the links cut */
    float *restrict push,            /* [m] changed: grows by the links cut to voxels inside */
    float *restrict diagonal,        /* [m] out */
    float *restrict inverse,         /* [m] out */
    const int64_t *restrict strides, /* [3] */
    int64_t pad,
    int64_t m, int64_t n
) {
    for (int64_t a = 0; a < 3; a++) {
        const int64_t step = strides[a];
        float *link = links + a * m;
        for (int64_t i = 0; i < n - step; i++) {
            const int64_t p = pad + i;
            const float w = link[p];
            if (w == 0)
                continue;
            const uint8_t here = pinned[i], there = pinned[i + step];
            if (here == 0 && there == 0) {
                diagonal[p] += w;
                diagonal[p + step] += w;
                continue;
            }
            link[p] = 0;
            if (here == 0) {
                anchor[p] += w;
                push[p] += there == 1 ? w : 0.0f;
            } else if (there == 0) {
                anchor[p + step] += w;
                push[p + step] += here == 1 ? w : 0.0f;
            }
        }
    }
    for (int64_t i = 0; i < n; i++) {
        const int64_t p = pad + i;
        if (pinned[i] != 0)
            anchor[p] = push[p] = 0;
        diagonal[p] += anchor[p];
        inverse[p] = diagonal[p] > 0 ? 1.0f / diagonal[p] : 0.0f;
    }
    return 0;
}

/* Fill the next coarser grid: blocks of voxels joined by 0.7 of the sum of the links between them.
 *
 * Blocks are constants, up to twice as stiff as the smooth things they stand for where the links are even, and just
 * right where they are not; 0.7 took the fewest iterations on both kinds, 0.5 did not settle. */
EXPORT int64_t relax_coarsen(
    const float *restrict links,    /* [3 m] */
    const float *restrict anchor,   /* [m] */
    const int64_t *restrict shape,  /* [3] */
    int64_t pad,
    const int64_t *restrict factor, /* [3] 1 or 2 an axis */
    float *restrict wide_links,     /* [3 w] out */
    float *restrict wide_anchor,    /* [w] out */
    const int64_t *restrict wide_shape,
    int64_t wide_pad,
    float *restrict diagonal, /* [w] out */
    float *restrict inverse,  /* [w] out */
    int64_t m, int64_t wide
) {
    const int64_t nz = shape[0], ny = shape[1], nx = shape[2], fz = factor[0], fy = factor[1], fx = factor[2];
    const int64_t my = wide_shape[1], mx = wide_shape[2];
    const float of_z = fz == 2 ? 0.7f : 1.0f, of_y = fy == 2 ? 0.7f : 1.0f, of_x = fx == 2 ? 0.7f : 1.0f;
    int64_t p = pad;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++)
            for (int64_t x = 0; x < nx; x++, p++) {
                const int64_t q = wide_pad + (z / fz * my + y / fy) * mx + x / fx;
                wide_anchor[q] += anchor[p];
                if (fz == 1 || z % 2 == 1)
                    wide_links[q] += links[p] * of_z;
                if (fy == 1 || y % 2 == 1)
                    wide_links[wide + q] += links[m + p] * of_y;
                if (fx == 1 || x % 2 == 1)
                    wide_links[2 * wide + q] += links[2 * m + p] * of_x;
            }
    const int64_t steps[3] = {my * mx, mx, 1};
    for (int64_t a = 0; a < 3; a++)
        for (int64_t q = wide_pad; q < wide - wide_pad; q++) {
            const float w = wide_links[a * wide + q];
            if (w > 0) {
                diagonal[q] += w;
                diagonal[q + steps[a]] += w;
            }
        }
    for (int64_t q = wide_pad; q < wide - wide_pad; q++) {
        diagonal[q] += wide_anchor[q];
        inverse[q] = diagonal[q] > 0 ? 1.0f / diagonal[q] : 0.0f;
    }
    return 0;
}

/* Write A u. */
EXPORT int64_t relax_multiply(
    const float *restrict links,     /* [3 m] */
    const float *restrict diagonal,  /* [m] */
    const float *restrict u,         /* [m] */
    float *restrict out,             /* [m] */
    const int64_t *restrict strides, /* [3] */
    int64_t pad,
    int64_t m
) {
    const int64_t n = m - 2 * pad, sy = strides[1], sz = strides[0];
    const float *lz = links + pad, *ly = links + m + pad, *lx = links + 2 * m + pad;
    const float *d = diagonal + pad, *at = u + pad;
    float *o = out + pad;
    for (int64_t i = 0; i < n; i++)
        o[i] = d[i] * at[i] - lx[i] * at[i + 1] - lx[i - 1] * at[i - 1] - ly[i] * at[i + sy] - ly[i - sy] * at[i - sy];
    if (sz < n)
        for (int64_t i = 0; i < n; i++)
            o[i] -= lz[i] * at[i + sz] + lz[i - sz] * at[i - sz];
    return 0;
}

/* Change u by one damped Jacobi step, given product = A u. */
EXPORT int64_t relax_smooth(
    float *restrict u, const float *restrict b, const float *restrict product, const float *restrict inverse, /* [m] */
    double omega, int64_t pad, int64_t m
) {
    const float w = (float)omega;
    for (int64_t p = pad; p < m - pad; p++)
        u[p] += w * inverse[p] * (b[p] - product[p]);
    return 0;
}

/* Write one damped Jacobi step from u = 0. */
EXPORT int64_t relax_begin(
    float *restrict u, const float *restrict b, const float *restrict inverse, /* [m] */
    double omega, int64_t pad, int64_t m
) {
    const float w = (float)omega;
    for (int64_t p = pad; p < m - pad; p++)
        u[p] = w * inverse[p] * b[p];
    return 0;
}

/* Write the sums over blocks of the residual b - A u. */
EXPORT int64_t relax_restrict(
    const float *restrict b, const float *restrict product,                     /* [m] */
    const int64_t *restrict shape, int64_t pad, const int64_t *restrict factor, /* [3] */
    float *restrict wide_b,                                                     /* [w] */
    const int64_t *restrict wide_shape, int64_t wide_pad, int64_t m, int64_t wide
) {
    const int64_t nz = shape[0], ny = shape[1], nx = shape[2], fz = factor[0], fy = factor[1], fx = factor[2];
    const int64_t my = wide_shape[1], mx = wide_shape[2];
    (void)m;
    memset(wide_b, 0, (size_t)wide * sizeof *wide_b);
    int64_t p = pad;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++, p += nx) {
            float *row = wide_b + wide_pad + (z / fz * my + y / fy) * mx;
            if (fx == 1)
                for (int64_t x = 0; x < nx; x++)
                    row[x] += b[p + x] - product[p + x];
            else
                for (int64_t x = 0; x < nx; x++)
                    row[x / 2] += b[p + x] - product[p + x];
        }
    return 0;
}

/* Add each block's value to its unknown voxels. */
EXPORT int64_t relax_prolong(
    float *restrict u, const float *restrict inverse,                           /* [m] */
    const int64_t *restrict shape, int64_t pad, const int64_t *restrict factor, /* [3] */
    const float *restrict wide_u,                                               /* [w] */
    const int64_t *restrict wide_shape, int64_t wide_pad, int64_t m, int64_t wide
) {
    const int64_t nz = shape[0], ny = shape[1], nx = shape[2], fz = factor[0], fy = factor[1], fx = factor[2];
    const int64_t my = wide_shape[1], mx = wide_shape[2];
    (void)m, (void)wide;
    int64_t p = pad;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++, p += nx) {
            const float *row = wide_u + wide_pad + (z / fz * my + y / fy) * mx;
            for (int64_t x = 0; x < nx; x++)
                if (inverse[p + x] > 0)
                    u[p + x] += row[fx == 1 ? x : x / 2];
        }
    return 0;
}

/* Return the sum of products, kept in double precision. */
EXPORT double relax_dot(const float *restrict a, const float *restrict b, int64_t m) {
    double total = 0;
    for (int64_t p = 0; p < m; p++)
        total += (double)(a[p] * b[p]);
    return total;
}

/* Take one step of conjugate gradients: u along the direction, the residual along its product. */
EXPORT int64_t relax_advance(
    float *restrict u, float *restrict r, const float *restrict direction, const float *restrict product, /* [m] */
    double alpha, int64_t m
) {
    const float w = (float)alpha;
    for (int64_t p = 0; p < m; p++) {
        u[p] += w * direction[p];
        r[p] -= w * product[p];
    }
    return 0;
}

/* Write the next direction: z + beta * direction. */
EXPORT int64_t relax_turn(float *restrict direction, const float *restrict z, double beta, int64_t m) {
    const float w = (float)beta;
    for (int64_t p = 0; p < m; p++)
        direction[p] = z[p] + w * direction[p];
    return 0;
}
