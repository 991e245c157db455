/* A front that takes voxels one by one, the cheapest to reach first, for solvers/nudge.py. */

#include <math.h>
#include <stdlib.h>

#include "native.h"

/* Voxels that the front may take next, the cheapest first: a binary heap. */
struct heap {
    float *cost;
    int64_t *at;
    int64_t filled, room;
};

static bool heap_add(struct heap *h, float cost, int64_t at) {
    if (h->filled == h->room) {
        const size_t room = (size_t)h->room * 2;
        float *costs = realloc(h->cost, room * sizeof *costs);
        if (costs)
            h->cost = costs;
        int64_t *places = realloc(h->at, room * sizeof *places);
        if (places)
            h->at = places;
        if (!costs || !places)
            return false;
        h->room = (int64_t)room;
    }
    int64_t hole = h->filled++;
    while (hole > 0) {
        const int64_t parent = (hole - 1) / 2;
        if (h->cost[parent] <= cost)
            break;
        h->cost[hole] = h->cost[parent];
        h->at[hole] = h->at[parent];
        hole = parent;
    }
    h->cost[hole] = cost;
    h->at[hole] = at;
    return true;
}

static int64_t heap_take(struct heap *h, float *cost) {
    const int64_t at = h->at[0];
    *cost = h->cost[0];
    h->filled--;
    const float last_cost = h->cost[h->filled];
    const int64_t last_at = h->at[h->filled];
    int64_t hole = 0;
    for (;;) {
        int64_t child = 2 * hole + 1;
        if (child >= h->filled)
            break;
        if (child + 1 < h->filled && h->cost[child + 1] < h->cost[child])
            child++;
        if (h->cost[child] >= last_cost)
            break;
        h->cost[hole] = h->cost[child];
        h->at[hole] = h->at[child];
        hole = child;
    }
    h->cost[hole] = last_cost;
    h->at[hole] = last_at;
    return at;
}

/* The grid and what is known of its voxels. */
struct front {
    const uint8_t *start;
    const float *price;
    double lengths[3][3][3]; /* of the step to each neighbour */
    float *best;
    uint8_t *done;
    struct heap heap;
    int64_t nz, ny, nx;
};

/* Tell whether all six neighbours of a voxel are inside; beyond the grid's edge nothing lies outside. */
static bool within(const struct front *f, int64_t z, int64_t y, int64_t x) {
    const int64_t nz = f->nz, ny = f->ny, nx = f->nx;
    const uint8_t *here = f->start + (z * ny + y) * nx + x;
    return (z == 0 || here[-ny * nx]) && (z == nz - 1 || here[ny * nx]) && (y == 0 || here[-nx]) &&
           (y == ny - 1 || here[nx]) && (x == 0 || here[-1]) && (x == nx - 1 || here[1]);
}

/* Return which share of a voxel's neighbours on the grid is inside, the voxel among them. */
static double share(const struct front *f, int64_t z, int64_t y, int64_t x) {
    int64_t found = 0, near = 0;
    for (int64_t w = largest(z - 1, 0); w < least(z + 2, f->nz); w++)
        for (int64_t v = largest(y - 1, 0); v < least(y + 2, f->ny); v++)
            for (int64_t u = largest(x - 1, 0); u < least(x + 2, f->nx); u++) {
                near++;
                found += f->start[(w * f->ny + v) * f->nx + u];
            }
    return (double)found / (double)near;
}

/* Offer a voxel's neighbours the way through it; false when there is no memory for them. The voxel is one of `start`
 * when `first`. */
static bool spread(struct front *f, int64_t here, float cost, bool first) {
    const int64_t nz = f->nz, ny = f->ny, nx = f->nx;
    const int64_t z = here / (ny * nx), y = here / nx % ny, x = here % nx;
    for (int64_t w = largest(z - 1, 0); w < least(z + 2, nz); w++)
        for (int64_t v = largest(y - 1, 0); v < least(y + 2, ny); v++)
            for (int64_t u = largest(x - 1, 0); u < least(x + 2, nx); u++) {
                const int64_t there = (w * ny + v) * nx + u;
                if (f->start[there] || f->done[there])
                    continue;
                const float own = first ? f->price[there] : f->price[here];
                const double length = f->lengths[w - z + 1][v - y + 1][u - x + 1];
                float further = (float)(cost + 0.5 * length * (double)(own + f->price[there]));
                if (first) {
                    const uint64_t hash = ((uint64_t)there * UINT64_C(2654435761)) & UINT64_C(0xFFFFFFFF);
                    const double stirred = (double)hash / 4294967296.0;
                    further *= (float)((1.2 - 0.4 * share(f, w, v, u)) * (1.0 + 1e-3 * stirred));
                }
                if (further >= f->best[there])
                    continue;
                f->best[there] = further;
                if (!heap_add(&f->heap, further, there))
                    return false;
            }
    return true;
}

static int64_t run(struct front *f, const uint8_t *barred, int64_t *order, int64_t count) {
    const int64_t size = f->nz * f->ny * f->nx;
    for (int64_t here = 0; here < size; here++) {
        const int64_t z = here / (f->ny * f->nx), y = here / f->nx % f->ny, x = here % f->nx;
        if (f->start[here] && !within(f, z, y, x) && !spread(f, here, 0, true))
            return NO_MEMORY;
    }
    int64_t taken = 0;
    while (f->heap.filled > 0 && taken < count) {
        float cost;
        const int64_t here = heap_take(&f->heap, &cost);
        if (f->done[here])
            continue;
        f->done[here] = 1;
        if (!barred[here])
            order[taken++] = here;
        if (!spread(f, here, cost, false))
            return NO_MEMORY;
    }
    return taken;
}

/* Write the first `count` voxels outside `start` that a front from it reaches, in order; return how many there are.
 *
 * A step costs its length times the mean price of its ends; it goes to all neighbours, corners included. The order does
 * not depend on `count`. Among equals a voxel with more of `start` beside it is taken first, then the one whose place,
 * stirred, is smaller, so that half a ring of equals is taken all round and not on one side. */
EXPORT int64_t nudge_reach(
    const uint8_t *start,  /* [z y x] where the front comes from */
    const float *price,    /* [z y x] of a millimetre in each voxel */
    const uint8_t *barred, /* [z y x] never taken, though the front goes past */
    const float *spacing,  /* [3] mm */
    int64_t *order,        /* [count] out, flat */
    int64_t nz, int64_t ny, int64_t nx, int64_t count
) {
    const int64_t size = nz * ny * nx;
    struct front f = {.start = start, .price = price, .nz = nz, .ny = ny, .nx = nx, .heap = {.room = 1024}};
    for (int dz = -1; dz < 2; dz++)
        for (int dy = -1; dy < 2; dy++)
            for (int dx = -1; dx < 2; dx++) {
                const double z = dz * (double)spacing[0], y = dy * (double)spacing[1], x = dx * (double)spacing[2];
                f.lengths[dz + 1][dy + 1][dx + 1] = sqrt(z * z + y * y + x * x);
            }
    f.best = malloc((size_t)largest(size, 1) * sizeof *f.best);
    f.done = calloc((size_t)largest(size, 1), 1);
    f.heap.cost = malloc((size_t)f.heap.room * sizeof *f.heap.cost);
    f.heap.at = malloc((size_t)f.heap.room * sizeof *f.heap.at);
    int64_t taken = NO_MEMORY;
    if (f.best && f.done && f.heap.cost && f.heap.at) {
        for (int64_t i = 0; i < size; i++)
            f.best[i] = INFINITY;
        taken = run(&f, barred, order, count);
    }
    free(f.best);
    free(f.done);
    free(f.heap.cost);
    free(f.heap.at);
    return taken;
}
