/* One step of a front, visited only near the front, for classical/solvers/levelset.py. */

#include <math.h>

#include "native.h"

#define NEAR 3.0   /* cells either side of the front that move */
#define ROUND 0.03 /* a height this near the plateau is on it, so that what lies far from the front rests */
#define SMALL 1e-6
#define PI 3.14159265358979323846

static inline double smaller(double a, double b) { return a < b ? a : b; }
static inline double greater(double a, double b) { return a > b ? a : b; }

/* Return whether a neighbour's height is another. */
static bool beside_slope(const float *height, int64_t z, int64_t y, int64_t x, int64_t nz, int64_t ny, int64_t nx) {
    const float *at = height + (z * ny + y) * nx + x;
    return (x > 0 && at[-1] != *at) || (x + 1 < nx && at[1] != *at) || (y > 0 && at[-nx] != *at) ||
           (y + 1 < ny && at[nx] != *at) || (z > 0 && at[-ny * nx] != *at) || (z + 1 < nz && at[ny * nx] != *at);
}

/* Return p'(s) / s of the double-well potential: slopes tend to 1 near the front, to 0 far off. */
static double rate(double steep) {
    if (steep < 1.0)
        return sin(2 * PI * steep) / (2 * PI * steep);
    return 1.0 - 1.0 / steep;
}

/* Write the heights after one step; return how many cells changed sides.
 *
 * A cell moves by pace (force + tension div(edges n)) min(1, |slope|) + keep R, where n is the slope's direction and R
 * draws the slope near the front to 1, as in Li et al. (TIP 2010). Slopes that a force moves along are upwind, and 1 at
 * the front itself, so that a force can also move one that has become flat. */
EXPORT int64_t levelset_step(
    const float *restrict height,        /* [z y x] above 0 inside */
    float *restrict out,                 /* [z y x] written */
    const float *restrict force,         /* [z y x] above 0 where the front should go outwards, -1 to 1 */
    const float *restrict edges,         /* [z y x] 1 on even ground, towards 0 on edges of the image */
    const uint8_t *restrict free_voxels, /* [z y x] */
    const float *restrict spacing,       /* [3] */
    double tension, double keep, double pace,
    int64_t nz, int64_t ny, int64_t nx
) {
    const int64_t strides[3] = {ny * nx, nx, 1}, sides[3] = {nz, ny, nx};
    int64_t crossed = 0;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++)
            for (int64_t x = 0; x < nx; x++) {
                const int64_t p = (z * ny + y) * nx + x, at[3] = {z, y, x};
                const float here = height[p];
                out[p] = here;
                if (!free_voxels[p])
                    continue;
                if (fabsf(here) >= NEAR && !beside_slope(height, z, y, x, nz, ny, nx))
                    continue;
                double central[3], rises[3][2], up = 0, down = 0;
                bool there[3][2];
                for (int axis = 0; axis < 3; axis++) {
                    there[axis][0] = at[axis] > 0;
                    there[axis][1] = at[axis] + 1 < sides[axis];
                    for (int end = 0; end < 2; end++) {
                        const int64_t beside = end ? p + strides[axis] : p - strides[axis];
                        rises[axis][end] = there[axis][end] ? (height[beside] - here) / spacing[axis] : 0.0;
                    }
                    central[axis] = 0.5 * (rises[axis][1] - rises[axis][0]);
                    const double most = greater(greater(rises[axis][0], rises[axis][1]), 0.0);
                    const double fewest = smaller(smaller(rises[axis][0], rises[axis][1]), 0.0);
                    up += most * most;
                    down += fewest * fewest;
                }
                const double steepest = central[0] * central[0] + central[1] * central[1] + central[2] * central[2];
                double bend = 0, even = 0;
                for (int axis = 0; axis < 3; axis++) {
                    const double across = steepest - central[axis] * central[axis];
                    for (int end = 0; end < 2; end++) {
                        if (!there[axis][end])
                            continue;
                        const int64_t beside = end ? p + strides[axis] : p - strides[axis];
                        const double rise = rises[axis][end];
                        const double steep = sqrt(rise * rise + across) + SMALL;
                        bend += 0.5 * (double)(edges[p] + edges[beside]) * rise / (steep * spacing[axis]);
                        even += rate(steep) * rise / spacing[axis];
                    }
                }
                const float push = force[p];
                const double slope = fabsf(here) < 1.0f ? 1.0 : smaller(1.0, sqrt(push > 0 ? up : down));
                const double drag = smaller(1.0, sqrt(steepest));
                double moved = here + pace * (push * slope + tension * bend * drag + keep * even);
                moved = smaller(greater(moved, here - 0.9), here + 0.9);
                if (fabs(moved) > NEAR - ROUND)
                    moved = moved > 0 ? NEAR : -NEAR;
                out[p] = (float)moved;
                crossed += (moved > 0) != (here > 0);
            }
    return crossed;
}
