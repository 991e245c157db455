/* Onto a coarse grid of place and tone, blur there, and back, for classical/solvers/densecrf.py.
 *
 * A voxel's place on the grid is its index over `strides`, its tone is given in levels; it shares its value among the
 * nearest cells, linearly. A row of voxels is gathered first and then added to the rows of cells beside it, so a voxel
 * touches two cells per tone and the passes stay in the processor's cache. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"

#define CHANNELS 6 /* at most; densecrf.py has half of these */
#define CORNERS (1 << CHANNELS)

/* A voxel's share in each of the cells of tones round it. */
struct corners {
    int64_t index[CORNERS];
    float share[CORNERS];
    int64_t count;
};

/* Share a value among the tones round voxel p, linearly. */
static inline void spread(
    struct corners *to, float value, const float *tones, const int64_t *levels, int64_t channels, int64_t size,
    int64_t p
) {
    to->index[0] = 0;
    to->share[0] = value;
    to->count = 1;
    for (int64_t c = 0; c < channels; c++) {
        const float tone = tones[c * size + p];
        const int64_t low = (int64_t)tone;
        const float up = tone - (float)low;
        for (int64_t k = 0; k < to->count; k++) {
            const int64_t at = to->index[k] * levels[c] + low;
            to->index[k] = at;
            to->index[to->count + k] = at + 1;
            const float whole = to->share[k];
            to->share[k] = whole * (1.0f - up);
            to->share[to->count + k] = whole * up;
        }
        to->count *= 2;
    }
}

static void add(const float *restrict source, float part, float *restrict out, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        out[i] += part * source[i];
}

/* The share of the rows of cells beside (z, y): part[i][j] of row (w + i, v + j). */
struct beside {
    int64_t w, v;
    float part[2][2];
};

static struct beside rows_beside(int64_t z, int64_t y, const int64_t *strides) {
    struct beside to = {.w = z / strides[0], .v = y / strides[1]};
    const float down_z = (float)(z - to.w * strides[0]) / (float)strides[0];
    const float down_y = (float)(y - to.v * strides[1]) / (float)strides[1];
    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 2; j++)
            to.part[i][j] = (i ? down_z : 1.0f - down_z) * (j ? down_y : 1.0f - down_y);
    return to;
}

/* Add the voxels that count to the grid. */
EXPORT int64_t bilateral_splat(
    const float *restrict source,    /* [z y x] */
    const uint8_t *restrict taken,   /* [z y x] the voxels that count */
    const float *restrict tones,     /* [c z y x] in levels */
    const int64_t *restrict levels,  /* [c] */
    const int64_t *restrict table,   /* [levels] which column of the grid a tone is */
    const int64_t *restrict strides, /* [3] */
    float *restrict grid,            /* [gz gy gx t] added to */
    int64_t nz, int64_t ny, int64_t nx, int64_t channels, int64_t all, int64_t gz, int64_t gy, int64_t gx,
    int64_t columns
) {
    const int64_t size = nz * ny * nx, across = gx * columns;
    struct corners to;
    float *restrict row = malloc((size_t)largest(across, 1) * sizeof *row);
    if (!row || channels > CHANNELS) {
        free(row);
        return NO_MEMORY;
    }
    (void)all, (void)gz;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++) {
            memset(row, 0, (size_t)across * sizeof *row);
            for (int64_t x = 0; x < nx; x++) {
                const int64_t p = (z * ny + y) * nx + x, u = x / strides[2];
                if (!taken[p])
                    continue;
                const float right = (float)(x - u * strides[2]) / (float)strides[2];
                spread(&to, source[p], tones, levels, channels, size, p);
                for (int64_t k = 0; k < to.count; k++) {
                    float *cell = row + u * columns + table[to.index[k]];
                    *cell += to.share[k] * (1.0f - right);
                    if (right > 0)
                        cell[columns] += to.share[k] * right;
                }
            }
            const struct beside at = rows_beside(z, y, strides);
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 2; j++)
                    if (at.part[i][j] > 0)
                        add(row, at.part[i][j], grid + ((at.w + i) * gy + at.v + j) * across, across);
        }
    free(row);
    return 0;
}

/* Write what the grid says at the voxels that are wanted. */
EXPORT int64_t bilateral_gather(
    const float *restrict grid,      /* [gz gy gx t] */
    const uint8_t *restrict taken,   /* [z y x] the voxels that are wanted */
    const float *restrict tones,     /* [c z y x] in levels */
    const int64_t *restrict levels,  /* [c] */
    const int64_t *restrict table,   /* [levels] which column of the grid a tone is */
    const int64_t *restrict strides, /* [3] */
    float *restrict out,             /* [z y x] written where taken */
    int64_t gz, int64_t gy, int64_t gx, int64_t columns, int64_t nz, int64_t ny, int64_t nx, int64_t channels,
    int64_t all
) {
    const int64_t size = nz * ny * nx, across = gx * columns;
    struct corners to;
    float *restrict row = malloc((size_t)largest(across, 1) * sizeof *row);
    if (!row || channels > CHANNELS) {
        free(row);
        return NO_MEMORY;
    }
    (void)all, (void)gz;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++) {
            if (!memchr(taken + (z * ny + y) * nx, 1, (size_t)nx))
                continue;
            memset(row, 0, (size_t)across * sizeof *row);
            const struct beside at = rows_beside(z, y, strides);
            for (int i = 0; i < 2; i++)
                for (int j = 0; j < 2; j++)
                    if (at.part[i][j] > 0)
                        add(grid + ((at.w + i) * gy + at.v + j) * across, at.part[i][j], row, across);
            for (int64_t x = 0; x < nx; x++) {
                const int64_t p = (z * ny + y) * nx + x, u = x / strides[2];
                if (!taken[p])
                    continue;
                const float right = (float)(x - u * strides[2]) / (float)strides[2];
                spread(&to, 1.0f, tones, levels, channels, size, p);
                float total = 0;
                for (int64_t k = 0; k < to.count; k++) {
                    const float *cell = row + u * columns + table[to.index[k]];
                    total += to.share[k] * (1.0f - right) * *cell;
                    if (right > 0)
                        total += to.share[k] * right * cell[columns];
                }
                out[p] = total;
            }
        }
    free(row);
    return 0;
}

/* Write the source blurred along its middle axis by symmetric taps; beyond its ends it is 0. */
EXPORT int64_t bilateral_blur(
    const float *restrict source, /* [outer count inner] */
    const float *restrict taps,   /* [radius + 1] at least two */
    float *restrict out,          /* like source */
    int64_t outer, int64_t count, int64_t inner, int64_t radius
) {
    float *nothing = calloc((size_t)largest(inner, 1), sizeof *nothing);
    if (!nothing)
        return NO_MEMORY;
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < count; i++) {
            const float *here = source + (o * count + i) * inner;
            float *line = out + (o * count + i) * inner;
            const float *before = i > 0 ? here - inner : nothing, *behind = i + 1 < count ? here + inner : nothing;
            for (int64_t k = 0; k < inner; k++)
                line[k] = taps[0] * here[k] + taps[1] * (before[k] + behind[k]);
            for (int64_t d = 2; d < radius; d++) {
                before = i >= d ? here - d * inner : nothing;
                behind = i + d < count ? here + d * inner : nothing;
                for (int64_t k = 0; k < inner; k++)
                    line[k] += taps[d] * (before[k] + behind[k]);
            }
        }
    free(nothing);
    return 0;
}

/* Write the source blurred over neighbouring tones. */
EXPORT int64_t bilateral_mix(
    const float *restrict source,   /* [cells t] */
    const float *restrict taps,     /* [2] */
    const int64_t *restrict before, /* [t] the column one level lower; t - 1, which is empty, where there is none */
    const int64_t *restrict behind, /* [t] */
    float *restrict out,            /* [cells t] */
    int64_t cells, int64_t columns
) {
    for (int64_t i = 0; i < cells; i++) {
        const float *line = source + i * columns;
        float *to = out + i * columns;
        for (int64_t t = 0; t < columns - 1; t++)
            to[t] = taps[0] * line[t] + taps[1] * (line[before[t]] + line[behind[t]]);
        to[columns - 1] = 0;
    }
    return 0;
}

/* Take up what the neighbours say; return the largest change of a side. */
EXPORT double bilateral_agree(
    const float *restrict unary,         /* [z y x] logits */
    const uint8_t *restrict free_voxels, /* [z y x] */
    const float *restrict weights,       /* [k] */
    const float *restrict roots,         /* [k z y x] 1 / square root of a voxel's neighbours */
    const float *restrict alone,         /* [k] what of its neighbours is the voxel itself */
    const float *restrict seen,          /* [k z y x] what the neighbours say */
    float *restrict side,                /* [z y x] from -1 (outside) to 1 (inside); changed */
    int64_t nz, int64_t ny, int64_t nx, int64_t kernels
) {
    const int64_t size = nz * ny * nx;
    float most = 0;
    for (int64_t p = 0; p < size; p++) {
        if (!free_voxels[p])
            continue;
        float logits = unary[p];
        const float old = side[p];
        for (int64_t k = 0; k < kernels; k++) {
            const float root = roots[k * size + p];
            logits += weights[k] * root * (seen[k * size + p] - alone[k] * old * root);
        }
        const float now = tanhf(logits / 2.0f);
        most = larger(most, fabsf(now - old));
        side[p] = now;
    }
    return most;
}
