/* Which Gaussian explains a voxel best, or how well all do, for classical/solvers/components.py and mixture.py. */

#include <math.h>
#include <stdlib.h>

#include "native.h"

/* Write the least cost of each voxel over the components, and which component has it. */
EXPORT int64_t assign_cheapest(
    const float *restrict values,    /* [c n] */
    const float *restrict means,     /* [k c] */
    const float *restrict inverses,  /* [k c c] lower triangles L with L L^T the inverse covariance */
    const float *restrict constants, /* [k] */
    const uint8_t *restrict where,   /* [n] which voxels are asked for */
    float *restrict costs,           /* [n] out */
    uint8_t *restrict owners,        /* [n] out */
    int64_t channels, int64_t count, int64_t components
) {
    float *restrict away = malloc((size_t)largest(channels, 1) * sizeof *away);
    if (!away)
        return NO_MEMORY;
    for (int64_t p = 0; p < count; p++) {
        if (!where[p])
            continue;
        float best = INFINITY;
        for (int64_t k = 0; k < components; k++) {
            const float *inverse = inverses + k * channels * channels;
            float cost = constants[k];
            for (int64_t c = 0; c < channels; c++)
                away[c] = values[c * count + p] - means[k * channels + c];
            for (int64_t d = 0; d < channels; d++) {
                float part = 0;
                for (int64_t c = d; c < channels; c++)
                    part += away[c] * inverse[c * channels + d];
                cost += 0.5f * part * part;
            }
            if (cost < best) {
                best = cost;
                owners[p] = (uint8_t)k;
            }
        }
        costs[p] = best;
    }
    free(away);
    return 0;
}

/* Add up the voxels of each component and their products. */
EXPORT int64_t assign_gather(
    const float *restrict values,   /* [c n] */
    const uint8_t *restrict where,  /* [n] */
    const uint8_t *restrict owners, /* [n] below k */
    double *restrict counts,        /* [k] changed */
    double *restrict sums,          /* [k c] changed */
    double *restrict products,      /* [k c c] changed, lower triangles */
    int64_t channels, int64_t count, int64_t components
) {
    for (int64_t p = 0; p < count; p++) {
        const int64_t k = owners[p];
        if (!where[p] || k >= components)
            continue;
        counts[k] += 1;
        for (int64_t c = 0; c < channels; c++) {
            sums[k * channels + c] += values[c * count + p];
            for (int64_t d = 0; d <= c; d++)
                products[(k * channels + c) * channels + d] += (double)values[c * count + p] * values[d * count + p];
        }
    }
    return 0;
}

/* Write the logarithm of the sum of all components and the flat one. */
EXPORT int64_t assign_likely(
    const float *restrict values,   /* [c n] */
    const float *restrict means,    /* [k c] */
    const float *restrict inverses, /* [k c c] lower triangles, as above */
    const float *restrict sizes,    /* [k] the density of each component at its mean */
    double flat,                    /* the least density */
    float *restrict out,            /* [n] */
    int64_t channels, int64_t count, int64_t components
) {
    float *restrict away = malloc((size_t)largest(channels, 1) * sizeof *away);
    if (!away)
        return NO_MEMORY;
    for (int64_t p = 0; p < count; p++) {
        float total = (float)flat;
        for (int64_t k = 0; k < components; k++) {
            const float *inverse = inverses + k * channels * channels;
            float square = 0;
            for (int64_t c = 0; c < channels; c++)
                away[c] = values[c * count + p] - means[k * channels + c];
            for (int64_t d = 0; d < channels; d++) {
                float part = 0;
                for (int64_t c = d; c < channels; c++)
                    part += away[c] * inverse[c * channels + d];
                square += part * part;
            }
            total += sizes[k] * expf(-0.5f * square);
        }
        out[p] = logf(larger(total, 1e-30f));
    }
    free(away);
    return 0;
}
