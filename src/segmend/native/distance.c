/* Distances to the nearest point of a surface on a grid, exact and in millimetres, for evaluation/surface_distance.py.
 *
 * `distance_rows` finds for every voxel the nearest surface voxel of its own row. `distance_search` then looks, for each
 * asking voxel, through the rows round it that could still hold a nearer one; the row that answered the voxel before
 * gives the first bound, so neighbours cost a few rows each. Where two surfaces lie far apart that would take long: it
 * counts its steps, and beyond a budget the caller lets `distance_transform` find the distances of all voxels at once
 * (lower envelopes of parabolas, Felzenszwalb and Huttenlocher 2012). */

#include <math.h>
#include <stdlib.h>

#include "native.h"

#define NOTHING (INT32_C(1) << 30) /* the distance, in voxels, in a row without a surface */

static inline double squared(double x) { return x * x; }

/* Write each voxel's distance along x to the surface, in voxels. */
EXPORT int64_t distance_rows(
    const uint8_t *restrict surface, /* [z y x] */
    int32_t *restrict near,          /* [z y x] out */
    int64_t depth, int64_t height, int64_t width
) {
    for (int64_t row = 0; row < depth * height; row++) {
        const uint8_t *on = surface + row * width;
        int32_t *out = near + row * width, steps = NOTHING;
        for (int64_t x = 0; x < width; x++) {
            steps = on[x] ? 0 : steps < NOTHING ? steps + 1 : NOTHING;
            out[x] = steps;
        }
        for (int64_t x = width - 2; x >= 0; x--)
            if (out[x + 1] + 1 < out[x])
                out[x] = out[x + 1] + 1;
    }
    return 0;
}

/* Write each asking voxel's squared distance; return how many were done within the budget of steps.
 *
 * `asking` holds flat indices, best in rising order, and some row has a surface. */
EXPORT int64_t distance_search(
    const int64_t *restrict asking, /* [n] */
    const int32_t *restrict near,   /* [z y x] */
    const double *restrict spacing, /* [3] mm */
    int64_t budget,
    double *restrict squares, /* [n] out */
    int64_t count, int64_t depth, int64_t height, int64_t width
) {
    const double step_z = spacing[0], step_y = spacing[1], step_x = spacing[2];
    int64_t hint_z = -1, hint_y = -1, steps = 0;
    for (int64_t i = 0; i < count; i++) {
        if (steps > budget)
            return i;
        const int64_t z = asking[i] / (height * width), y = asking[i] / width % height, x = asking[i] % width;
        double best = INFINITY;
        if (hint_z >= 0)
            best = squared(step_z * (double)(z - hint_z)) + squared(step_y * (double)(y - hint_y)) +
                   squared(step_x * near[(hint_z * height + hint_y) * width + x]);
        for (int64_t away_z = 0; away_z < depth && squared(step_z * (double)away_z) < best; away_z++) {
            const double square_z = squared(step_z * (double)away_z);
            for (int side_z = -1; side_z < 2; side_z += 2) {
                const int64_t row_z = z + side_z * away_z;
                if (row_z < 0 || row_z >= depth || (away_z == 0 && side_z == 1))
                    continue;
                for (int64_t away_y = 0; away_y < height; away_y++) {
                    const double square = square_z + squared(step_y * (double)away_y);
                    if (square >= best)
                        break;
                    steps++;
                    for (int side_y = -1; side_y < 2; side_y += 2) {
                        const int64_t row_y = y + side_y * away_y;
                        if (row_y < 0 || row_y >= height)
                            continue;
                        const int32_t found = near[(row_z * height + row_y) * width + x];
                        if (found < NOTHING && square + squared(step_x * found) < best) {
                            best = square + squared(step_x * found);
                            hint_z = row_z;
                            hint_y = row_y;
                        }
                    }
                }
            }
        }
        squares[i] = best;
    }
    return count;
}

/* Write the lowest of the parabolas line[i] + (step (q - i))^2 at every q below count. */
static void envelope(
    const double *restrict line, int64_t count, double step, int64_t *restrict corners, double *restrict ends,
    double *restrict lower
) {
    int64_t last = -1;
    double cut = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        if (line[i] == INFINITY)
            continue;
        while (last >= 0) {
            const int64_t j = corners[last];
            cut = ((line[i] - line[j]) / (step * step) + (double)(i * i) - (double)(j * j)) / (2.0 * (double)(i - j));
            if (cut > ends[last])
                break;
            last--;
        }
        last++;
        corners[last] = i;
        ends[last] = last > 0 ? cut : -INFINITY;
    }
    if (last < 0) {
        for (int64_t q = 0; q < count; q++)
            lower[q] = INFINITY;
        return;
    }
    int64_t here = 0;
    for (int64_t q = 0; q < count; q++) {
        while (here < last && ends[here + 1] < (double)q)
            here++;
        lower[q] = line[corners[here]] + squared(step * (double)(q - corners[here]));
    }
}

/* Write every voxel's squared distance. */
EXPORT int64_t distance_transform(
    const int32_t *restrict near,   /* [z y x] */
    const double *restrict spacing, /* [3] mm */
    double *restrict squares,       /* [z y x] out */
    int64_t depth, int64_t height, int64_t width
) {
    const int64_t longest = largest(largest(depth, height), 1);
    double *line = malloc(3 * (size_t)longest * sizeof *line);
    int64_t *corners = malloc((size_t)longest * sizeof *corners);
    if (!line || !corners) {
        free(line);
        free(corners);
        return NO_MEMORY;
    }
    double *lower = line + longest, *ends = line + 2 * longest;
    for (int64_t z = 0; z < depth; z++)
        for (int64_t x = 0; x < width; x++) {
            for (int64_t y = 0; y < height; y++) {
                const int32_t found = near[(z * height + y) * width + x];
                line[y] = found >= NOTHING ? INFINITY : squared(spacing[2] * found);
            }
            envelope(line, height, spacing[1], corners, ends, lower);
            for (int64_t y = 0; y < height; y++)
                squares[(z * height + y) * width + x] = lower[y];
        }
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            for (int64_t z = 0; z < depth; z++)
                line[z] = squares[(z * height + y) * width + x];
            envelope(line, depth, spacing[0], corners, ends, lower);
            for (int64_t z = 0; z < depth; z++)
                squares[(z * height + y) * width + x] = lower[z];
        }
    free(line);
    free(corners);
    return 0;
}
