/* Stronger cells conquer weaker neighbours, the strongest first, for classical/solvers/growcut.py.
 *
 * Cells wait in queues by strength: positive floats are ordered as the whole numbers that their bits spell, so a queue
 * holds strengths that share the leading bits. Within a queue cells come first in, first out, and one that was conquered
 * anew comes again, so the rest state does not depend on how fine the queues are. */

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "native.h"

#define SHIFT 16       /* bits that a queue leaves open: strengths within 1 % of each other */
#define ONE 0x3F800000 /* the bits of 1.0 */
#define QUEUES ((ONE >> SHIFT) + 1)

struct queues {
    int32_t first[QUEUES], last[QUEUES];
    int32_t *before, *behind; /* [n] of each cell in its queue, -1 at the ends */
    int32_t *queue_of;        /* [n] -1 for none */
};

static int32_t queue_for(float strength) {
    int32_t bits;
    memcpy(&bits, &strength, sizeof bits);
    return (int32_t)(least(largest(ONE - (int64_t)bits, 0), ONE) >> SHIFT);
}

static void join(struct queues *q, int64_t p, int32_t queue) {
    const int32_t tail = q->last[queue];
    q->before[p] = tail;
    q->behind[p] = -1;
    q->queue_of[p] = queue;
    q->last[queue] = (int32_t)p;
    if (tail < 0)
        q->first[queue] = (int32_t)p;
    else
        q->behind[tail] = (int32_t)p;
}

static void leave(struct queues *q, int64_t p) {
    const int32_t queue = q->queue_of[p], left = q->before[p], right = q->behind[p];
    if (left < 0)
        q->first[queue] = right;
    else
        q->behind[left] = right;
    if (right < 0)
        q->last[queue] = left;
    else
        q->before[right] = left;
    q->queue_of[p] = -1;
}

static bool beside_weaker(
    const float *strength, const int64_t *offsets, int64_t neighbours, int64_t z, int64_t y, int64_t x, int64_t nz,
    int64_t ny, int64_t nx
) {
    for (int64_t n = 0; n < neighbours; n++) {
        const int64_t w = z + offsets[3 * n], v = y + offsets[3 * n + 1], u = x + offsets[3 * n + 2];
        if (on_grid(w, v, u, nz, ny, nx) && strength[(w * ny + v) * nx + u] < strength[(z * ny + y) * nx + x])
            return true;
    }
    return false;
}

/* Let cells attack until nobody conquers.
 *
 * Of equal attacks the one from the nearer seed wins, then the owner of the larger number. */
EXPORT int64_t growcut_grow(
    float *restrict strength,        /* [z y x] changed; 0 to 1 */
    uint8_t *restrict owner,         /* [z y x] changed; 0 where nobody is */
    int32_t *restrict hops,          /* [z y x] changed: cells on the way from the seed */
    const float *restrict values,    /* [c z y x] */
    const int64_t *restrict offsets, /* [k 3] all neighbours */
    double scale,                    /* a difference in values times this is what an attack loses */
    int64_t nz, int64_t ny, int64_t nx, int64_t channels, int64_t neighbours
) {
    const int64_t count = nz * ny * nx;
    const float loss = (float)scale;
    struct queues *q = malloc(sizeof *q);
    int32_t *rows = malloc(3 * (size_t)largest(count, 1) * sizeof *rows);
    if (!q || !rows) {
        free(q);
        free(rows);
        return NO_MEMORY;
    }
    memset(q, -1, sizeof *q);
    memset(rows, -1, 3 * (size_t)count * sizeof *rows);
    q->before = rows;
    q->behind = rows + count;
    q->queue_of = rows + 2 * count;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++)
            for (int64_t x = 0; x < nx; x++) {
                const int64_t p = (z * ny + y) * nx + x;
                if (owner[p] > 0 && beside_weaker(strength, offsets, neighbours, z, y, x, nz, ny, nx))
                    join(q, p, queue_for(strength[p]));
            }
    for (int64_t current = 0; current < QUEUES;) {
        const int64_t p = q->first[current];
        if (p < 0) {
            current++;
            continue;
        }
        leave(q, p);
        const int64_t z = p / (ny * nx), y = p / nx % ny, x = p % nx;
        const float mine = strength[p];
        for (int64_t n = 0; n < neighbours; n++) {
            const int64_t w = z + offsets[3 * n], v = y + offsets[3 * n + 1], u = x + offsets[3 * n + 2];
            if (!on_grid(w, v, u, nz, ny, nx))
                continue;
            const int64_t to = (w * ny + v) * nx + u;
            if (strength[to] > mine || (strength[to] == mine && hops[to] <= hops[p]))
                continue;
            float fall = 0;
            for (int64_t c = 0; c < channels; c++) {
                const float d = values[c * count + p] - values[c * count + to];
                fall += d * d;
            }
            const float attack = larger(0.0f, 1.0f - loss * sqrtf(fall)) * mine;
            if (attack < strength[to] || attack == 0)
                continue;
            const int32_t far = hops[p] + 1;
            if (attack == strength[to] && (far > hops[to] || (far == hops[to] && owner[p] <= owner[to])))
                continue;
            strength[to] = attack;
            owner[to] = owner[p];
            hops[to] = far;
            if (q->queue_of[to] >= 0)
                leave(q, to);
            join(q, to, queue_for(attack));
        }
    }
    free(q);
    free(rows);
    return 0;
}
