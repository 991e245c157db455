/* Passes over a grid that look at neighbours, for solvers/geodesic.py and solvers/edges.py. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"

/* Pass forward and backward until nothing gets nearer, or `most` times; return how often. */
EXPORT int64_t grid_geodesic(
    float *restrict distance, /* [z y x] changed where free: 0 or a price at the sources, infinite or a bound elsewhere */
    const uint8_t *restrict free_voxels, /* [z y x] */
    const float *restrict values,        /* [c z y x] */
    const int64_t *restrict offsets,     /* [k 3] the neighbours already passed in a forward pass */
    const float *restrict lengths,       /* [k] */
    double contrast, int64_t most,
    int64_t nz, int64_t ny, int64_t nx, int64_t channels, int64_t neighbours
) {
    const float steepness = (float)(contrast * contrast);
    const int64_t size = nz * ny * nx;
    for (int64_t turn = 0; turn < most; turn++) {
        bool changed = false;
        for (int64_t sign = 1; sign >= -1; sign -= 2)
            for (int64_t i = 0; i < nz; i++) {
                const int64_t z = sign == 1 ? i : nz - 1 - i;
                for (int64_t j = 0; j < ny; j++) {
                    const int64_t y = sign == 1 ? j : ny - 1 - j;
                    for (int64_t k = 0; k < nx; k++) {
                        const int64_t x = sign == 1 ? k : nx - 1 - k;
                        const int64_t here = (z * ny + y) * nx + x;
                        if (!free_voxels[here])
                            continue;
                        float best = distance[here];
                        for (int64_t n = 0; n < neighbours; n++) {
                            const int64_t w = z + sign * offsets[3 * n];
                            const int64_t v = y + sign * offsets[3 * n + 1];
                            const int64_t u = x + sign * offsets[3 * n + 2];
                            if (!on_grid(w, v, u, nz, ny, nx))
                                continue;
                            const int64_t there = (w * ny + v) * nx + u;
                            const float near = distance[there];
                            if (near + lengths[n] >= best)
                                continue;
                            float fall = 0;
                            for (int64_t c = 0; c < channels; c++) {
                                const float d = values[c * size + here] - values[c * size + there];
                                fall += d * d;
                            }
                            const float far = near + sqrtf(lengths[n] * lengths[n] + steepness * fall);
                            if (far < best)
                                best = far;
                        }
                        if (best < distance[here]) {
                            distance[here] = best;
                            changed = true;
                        }
                    }
                }
            }
        if (!changed)
            return turn + 1;
    }
    return most;
}

/* Write factor * max(floor, exp(-sharpness * squared difference)) for every pair of neighbours. */
EXPORT int64_t grid_likeness(
    const float *restrict values,    /* [c z y x] */
    const int64_t *restrict offsets, /* [h 3] */
    const float *restrict factors,   /* [h] */
    double sharpness, double floor,
    float *restrict out, /* [h z y x] */
    int64_t channels, int64_t nz, int64_t ny, int64_t nx, int64_t steps
) {
    const float sharp = (float)sharpness, at_least = (float)floor;
    const int64_t size = nz * ny * nx;
    for (int64_t n = 0; n < steps; n++) {
        const int64_t dz = offsets[3 * n], dy = offsets[3 * n + 1], dx = offsets[3 * n + 2];
        const int64_t step = (dz * ny + dy) * nx + dx;
        for (int64_t z = largest(0, -dz); z < least(nz, nz - dz); z++)
            for (int64_t y = largest(0, -dy); y < least(ny, ny - dy); y++)
                for (int64_t x = largest(0, -dx); x < least(nx, nx - dx); x++) {
                    const int64_t here = (z * ny + y) * nx + x;
                    float fall = 0;
                    for (int64_t c = 0; c < channels; c++) {
                        const float d = values[c * size + here] - values[c * size + here + step];
                        fall += d * d;
                    }
                    out[n * size + here] = factors[n] * larger(at_least, expf(-sharp * fall));
                }
    }
    return 0;
}

/* Write a chance that is above one half exactly inside, and nearer to it the more neighbours disagree. */
EXPORT int64_t grid_soften(
    const uint8_t *restrict inside, /* [z y x] */
    float *restrict out,            /* [z y x] */
    int64_t nz, int64_t ny, int64_t nx
) {
    uint8_t *restrict columns = malloc((size_t)nx + 2); /* how many of the up to 9 voxels beside x are inside */
    if (!columns)
        return NO_MEMORY;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++) {
            const int64_t row = (z * ny + y) * nx;
            int rows = 0;
            memset(columns, 0, (size_t)nx + 2);
            for (int64_t w = largest(z - 1, 0); w < least(z + 2, nz); w++)
                for (int64_t v = largest(y - 1, 0); v < least(y + 2, ny); v++, rows++) {
                    const uint8_t *beside = inside + (w * ny + v) * nx;
                    for (int64_t x = 0; x < nx; x++)
                        columns[x + 1] += beside[x];
                }
            for (int64_t x = 0; x < nx; x++) {
                const int seen = rows * (1 + (x > 0) + (x + 1 < nx)), found = columns[x] + columns[x + 1] + columns[x + 2];
                const int agree = inside[row + x] ? found : seen - found;
                const float share = 0.5f * (float)(agree + 1) / (float)(seen + 1);
                out[row + x] = inside[row + x] ? 0.5f + share : 0.5f - share;
            }
        }
    free(columns);
    return 0;
}
