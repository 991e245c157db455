/* The algorithm of Boykov and Kolmogorov (PAMI 2004) on a grid, for solvers/maxflow.py.
 *
 * No graph is stored. Voxel p of the grid is node `pad + p`; its k-th arc leads to node `p + steps[k]`, and arcs 2i and
 * 2i + 1 lead opposite ways, so that arc k of p and arc `k ^ 1` of that neighbour are one edge. Arcs that would leave
 * the grid have capacity 0 both ways and are never followed; the padding makes looking at them harmless.
 *
 * Two trees grow from the terminals. `parent[p]` is the arc to p's parent, or TERMINAL or ORPHAN; `tree[p]` is FREE,
 * SOURCE or SINK. When the trees touch, the path between the terminals is filled up; voxels whose arc to the parent is
 * full become orphans and are adopted or set free. `stamp` and `depth` are the marking heuristic: a depth is known to be
 * right at time `stamp`. */

#include <stdlib.h>
#include <string.h>

#include "native.h"

enum { FREE = 0, SOURCE = 1, SINK = 2 };
enum { TERMINAL = 100, ORPHAN = 101, NONE = 102 };
enum { UNKNOWN = 0, INSIDE = 1, OUTSIDE = 2 }; /* what `fixed` says of a voxel */
#define FAR (INT64_C(1) << 30)

/* Fill `room` and `supply` and return what any cut must pay; fixed voxels become part of the terminals. */
EXPORT int64_t maxflow_build(
    const int32_t *pull,     /* [n] */
    const int32_t *there,    /* [h n] */
    const int32_t *back,     /* [h n] */
    const uint8_t *fixed,    /* [n] */
    const int64_t *offsets,  /* [h 3] */
    const int64_t *shape,    /* [3] */
    int64_t pad,
    int32_t *restrict room,   /* [pad + n + pad, 2 h] out: what each arc can still carry */
    int32_t *restrict supply, /* [pad + n + pad] out: left from the source (> 0) or to the sink (< 0) */
    int64_t n, int64_t half, int64_t m, int64_t arcs
) {
    const int64_t nz = shape[0], ny = shape[1], nx = shape[2];
    int64_t must = 0, p = 0;
    (void)m;
    for (int64_t z = 0; z < nz; z++)
        for (int64_t y = 0; y < ny; y++)
            for (int64_t x = 0; x < nx; x++, p++) {
                const uint8_t kind = fixed[p];
                int64_t give = largest(pull[p], 0), take = largest(-(int64_t)pull[p], 0);
                if (kind == INSIDE)
                    must += take;
                else if (kind == OUTSIDE)
                    must += give;
                for (int64_t i = 0; i < half; i++) {
                    const int64_t dz = offsets[3 * i], dy = offsets[3 * i + 1], dx = offsets[3 * i + 2];
                    const int64_t step = (dz * ny + dy) * nx + dx;
                    if (on_grid(z + dz, y + dy, x + dx, nz, ny, nx)) {
                        const uint8_t other = fixed[p + step];
                        if (kind == UNKNOWN) {
                            if (other == UNKNOWN) {
                                room[(pad + p) * arcs + 2 * i] = there[i * n + p];
                                room[(pad + p + step) * arcs + 2 * i + 1] = back[i * n + p];
                            } else if (other == INSIDE)
                                give += back[i * n + p];
                            else
                                take += there[i * n + p];
                        } else if (kind == INSIDE && other == OUTSIDE)
                            must += there[i * n + p];
                        else if (kind == OUTSIDE && other == INSIDE)
                            must += back[i * n + p];
                    }
                    if (kind == UNKNOWN && on_grid(z - dz, y - dy, x - dx, nz, ny, nx)) {
                        const uint8_t other = fixed[p - step];
                        if (other == INSIDE)
                            give += there[i * n + p - step];
                        else if (other == OUTSIDE)
                            take += back[i * n + p - step];
                    }
                }
                if (kind == UNKNOWN) {
                    must += least(give, take);
                    supply[pad + p] = (int32_t)(give - take);
                }
            }
    return must;
}

/* The state of `maxflow_fill`: arrays of m nodes. */
struct flow {
    int32_t *room;        /* [m arcs] */
    int32_t *supply;
    const int64_t *steps; /* [arcs] */
    uint8_t *tree;
    uint8_t *parent;
    uint8_t *waiting;     /* whether a node is in the queue */
    int32_t *stamp;
    int32_t *depth;
    int32_t *queue;       /* active nodes, a ring */
    int32_t *orphans;     /* a ring, too: those cut off by a push in front, their children behind */
    int64_t m, arcs;
    int64_t first, count; /* of the queue */
    int64_t lost_first, lost;
    int32_t now;
};

static inline void enqueue(struct flow *f, int64_t p) {
    if (f->waiting[p])
        return;
    f->waiting[p] = 1;
    const int64_t slot = f->first + f->count++;
    f->queue[slot < f->m ? slot : slot - f->m] = (int32_t)p;
}

static inline void orphan_in_front(struct flow *f, int64_t p) {
    f->parent[p] = ORPHAN;
    f->lost_first = f->lost_first > 0 ? f->lost_first - 1 : f->m - 1;
    f->orphans[f->lost_first] = (int32_t)p;
    f->lost++;
}

/* Fill the path from the source through an arc between the trees to the sink; return how much went through. */
static int64_t push_through(struct flow *f, int64_t start, int64_t through) {
    const int64_t *steps = f->steps, arcs = f->arcs;
    const uint8_t *parent = f->parent;
    int32_t *room = f->room, *supply = f->supply;
    const int64_t end = start + steps[through];
    int64_t push = room[start * arcs + through];
    int64_t i = start;
    while (parent[i] != TERMINAL) {
        const int64_t k = parent[i];
        i += steps[k];
        push = least(push, room[i * arcs + (k ^ 1)]);
    }
    push = least(push, supply[i]);
    i = end;
    while (parent[i] != TERMINAL) {
        const int64_t k = parent[i];
        push = least(push, room[i * arcs + k]);
        i += steps[k];
    }
    push = least(push, -(int64_t)supply[i]);

    const int32_t by = (int32_t)push;
    room[start * arcs + through] -= by;
    room[end * arcs + (through ^ 1)] += by;
    i = start;
    for (;;) {
        const int64_t k = parent[i];
        if (k == TERMINAL) {
            supply[i] -= by;
            if (supply[i] == 0)
                orphan_in_front(f, i);
            break;
        }
        const int64_t j = i + steps[k];
        room[i * arcs + k] += by;
        room[j * arcs + (k ^ 1)] -= by;
        if (room[j * arcs + (k ^ 1)] == 0)
            orphan_in_front(f, i);
        i = j;
    }
    i = end;
    for (;;) {
        const int64_t k = parent[i];
        if (k == TERMINAL) {
            supply[i] += by;
            if (supply[i] == 0)
                orphan_in_front(f, i);
            break;
        }
        const int64_t j = i + steps[k];
        room[j * arcs + (k ^ 1)] += by;
        room[i * arcs + k] -= by;
        if (room[i * arcs + k] == 0)
            orphan_in_front(f, i);
        i = j;
    }
    return push;
}

/* Return how far a node is from its terminal, FAR when it hangs on an orphan. */
static int64_t distance_to_terminal(struct flow *f, int64_t j) {
    int64_t far = 0;
    for (;;) {
        if (f->stamp[j] == f->now)
            return far + f->depth[j];
        const uint8_t a = f->parent[j];
        if (a == ORPHAN)
            return FAR;
        far++;
        if (a == TERMINAL) {
            f->stamp[j] = f->now;
            f->depth[j] = 1;
            return far;
        }
        j += f->steps[a];
    }
}

/* Find an orphan a new parent in its tree, or set it free. */
static void adopt(struct flow *f, int64_t i) {
    const int64_t *steps = f->steps, arcs = f->arcs;
    const uint8_t mine = f->tree[i];
    uint8_t best = NONE;
    int64_t nearest = FAR;
    for (int64_t k = 0; k < arcs; k++) {
        const int64_t q = i + steps[k];
        if (f->tree[q] != mine)
            continue;
        if ((mine == SOURCE ? f->room[q * arcs + (k ^ 1)] : f->room[i * arcs + k]) == 0)
            continue;
        int64_t far = distance_to_terminal(f, q);
        if (far < FAR) {
            if (far < nearest) {
                nearest = far;
                best = (uint8_t)k;
            }
            for (int64_t j = q; f->stamp[j] != f->now; far--) {
                f->stamp[j] = f->now;
                f->depth[j] = (int32_t)far;
                j += steps[f->parent[j]];
            }
        }
    }
    f->parent[i] = best;
    if (best != NONE) {
        f->stamp[i] = f->now;
        f->depth[i] = (int32_t)(nearest + 1);
        return;
    }
    f->tree[i] = FREE;
    for (int64_t k = 0; k < arcs; k++) {
        const int64_t q = i + steps[k];
        if (f->tree[q] != mine)
            continue;
        if ((mine == SOURCE ? f->room[q * arcs + (k ^ 1)] : f->room[i * arcs + k]) > 0)
            enqueue(f, q);
        if (f->parent[q] == (k ^ 1)) {
            f->parent[q] = ORPHAN;
            const int64_t slot = f->lost_first + f->lost++;
            f->orphans[slot < f->m ? slot : slot - f->m] = (int32_t)q;
        }
    }
}

/* Grow p's tree until it meets the other one: return the node and the arc that lead from the source's tree to the
 * sink's, or -1 when the tree has nowhere to grow. */
static int64_t grow(struct flow *f, int64_t p, int64_t *through) {
    const int64_t *steps = f->steps, arcs = f->arcs;
    const uint8_t mine = f->tree[p];
    for (int64_t k = 0; k < arcs; k++) {
        const int64_t q = p + steps[k];
        if ((mine == SOURCE ? f->room[p * arcs + k] : f->room[q * arcs + (k ^ 1)]) == 0)
            continue;
        const uint8_t theirs = f->tree[q];
        if (theirs == FREE) {
            f->tree[q] = mine;
            f->parent[q] = (uint8_t)(k ^ 1);
            f->stamp[q] = f->stamp[p];
            f->depth[q] = f->depth[p] + 1;
            enqueue(f, q);
        } else if (theirs != mine) {
            *through = mine == SOURCE ? k : k ^ 1;
            return mine == SOURCE ? p : q;
        } else if (f->stamp[q] <= f->stamp[p] && f->depth[q] > f->depth[p]) {
            f->parent[q] = (uint8_t)(k ^ 1);
            f->stamp[q] = f->stamp[p];
            f->depth[q] = f->depth[p] + 1;
        }
    }
    return -1;
}

static int64_t run(struct flow *f) {
    int64_t total = 0;
    for (int64_t p = 0; p < f->m; p++)
        if (f->supply[p] != 0) {
            f->tree[p] = f->supply[p] > 0 ? SOURCE : SINK;
            f->parent[p] = TERMINAL;
            f->depth[p] = 1;
            enqueue(f, p);
        }
    while (f->count > 0) {
        const int64_t p = f->queue[f->first];
        f->first = f->first + 1 < f->m ? f->first + 1 : 0;
        f->count--;
        f->waiting[p] = 0;
        while (f->tree[p] != FREE) {
            int64_t through = 0;
            const int64_t start = grow(f, p, &through);
            if (start < 0)
                break;
            f->now++;
            total += push_through(f, start, through);
            while (f->lost > 0) {
                const int64_t i = f->orphans[f->lost_first];
                f->lost_first = f->lost_first + 1 < f->m ? f->lost_first + 1 : 0;
                f->lost--;
                adopt(f, i);
            }
        }
    }
    return total;
}

/* Push as much as fits from the source to the sink and return how much it was. */
EXPORT int64_t maxflow_fill(
    int32_t *room,        /* [m arcs] changed */
    int32_t *supply,      /* [m] changed */
    const int64_t *steps, /* [arcs] */
    uint8_t *tree,        /* [m] zeros; out: SOURCE where the voxel stays with the source */
    int64_t m, int64_t arcs
) {
    if (m == 0)
        return 0;
    const size_t nodes = (size_t)m;
    struct flow f = {.room = room, .supply = supply, .steps = steps, .tree = tree, .m = m, .arcs = arcs};
    f.parent = malloc(nodes);
    f.waiting = calloc(nodes, 1);
    f.stamp = calloc(nodes, sizeof *f.stamp);
    f.depth = calloc(nodes, sizeof *f.depth);
    f.queue = malloc(nodes * sizeof *f.queue);
    f.orphans = malloc(nodes * sizeof *f.orphans);
    int64_t total = NO_MEMORY;
    if (f.parent && f.waiting && f.stamp && f.depth && f.queue && f.orphans) {
        memset(f.parent, NONE, nodes);
        total = run(&f);
    }
    free(f.parent);
    free(f.waiting);
    free(f.stamp);
    free(f.depth);
    free(f.queue);
    free(f.orphans);
    return total;
}
