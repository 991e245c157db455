/* Sorting samples into a tree's leaves, splitting leaves, and asking all trees, for classical/solvers/forest.py.
 *
 * A tree is rows of arrays: node i asks whether `feature[i]` is below `threshold[i]` and leads to `child[i]` when it is,
 * to `child[i] + 1` when not; `feature[i]` is LEAF in a leaf. `counts[i]` is how many samples of each side came to it. */

#include <stdlib.h>

#include "native.h"

#define LEAF (-1)

/* Return the leaf below node i that a sample belongs to. */
static inline int32_t leaf_of(
    const float *sample, int32_t i, const int16_t *feature, const float *threshold, const int32_t *child
) {
    while (feature[i] != LEAF)
        i = child[i] + !(sample[feature[i]] < threshold[i]);
    return i;
}

/* Sort new samples into the leaves of one tree and count them there. */
EXPORT int64_t forest_place(
    const float *restrict samples, /* [n f] */
    int64_t first,                 /* samples before this one have a leaf already */
    const uint8_t *restrict inside,  /* [n] */
    const uint8_t *restrict draws,   /* [n] how often this tree drew each */
    const int16_t *restrict feature, /* [nodes] */
    const float *restrict threshold, /* [nodes] */
    const int32_t *restrict child,   /* [nodes] */
    float *restrict counts,          /* [nodes 2] changed */
    int32_t *restrict leaves,        /* [n] out from `first` on */
    int64_t n, int64_t features, int64_t nodes
) {
    (void)nodes;
    for (int64_t s = first; s < n; s++) {
        leaves[s] = leaf_of(samples + s * features, 0, feature, threshold, child);
        counts[2 * leaves[s] + (inside[s] ? 1 : 0)] += draws[s];
    }
    return 0;
}

static inline uint64_t next(uint64_t *number) {
    *number ^= *number << 13;
    *number ^= *number >> 7;
    *number ^= *number << 17;
    return *number;
}

/* The samples of one tree and its nodes. */
struct tree {
    const float *samples; /* [n f] */
    const uint8_t *inside, *draws;
    const float *weights; /* [2] of a sample of each side */
    int16_t *feature;
    float *threshold;
    int32_t *child;
    uint8_t *depth;
    float *counts;
    int32_t *leaves;
    int64_t n, features, room;
    int32_t *order;      /* the samples drawn, leaf by leaf */
    int32_t *low, *high; /* [nodes + 1] which of them a leaf holds */
    int32_t *stack;      /* leaves to look at */
};

static const float *sample(const struct tree *t, int64_t place) { return t->samples + t->order[place] * t->features; }

/* Find the best of some random questions for a leaf; its feature is LEAF when none pays. */
static int64_t question(const struct tree *t, int32_t i, int64_t tries, uint64_t *number, float *cut) {
    const int64_t a = t->low[i], b = t->high[i];
    const float out = t->counts[2 * i] * t->weights[0], in = t->counts[2 * i + 1] * t->weights[1];
    float best = (float)(out * in / (out + in)) * 0.9999f; /* the impurity of the leaf */
    int64_t chosen = LEAF;
    for (int64_t tried = 0; tried < tries; tried++) {
        const int64_t f = (int64_t)(next(number) % (uint64_t)t->features);
        const float one = sample(t, a + (int64_t)(next(number) % (uint64_t)(b - a)))[f];
        const float other = sample(t, a + (int64_t)(next(number) % (uint64_t)(b - a)))[f];
        if (one == other)
            continue;
        const float middle = one + (other - one) * 0.5f;
        float under_out = 0, under_in = 0;
        for (int64_t j = a; j < b; j++) {
            const int32_t s = t->order[j];
            if (t->samples[s * t->features + f] < middle) {
                if (t->inside[s])
                    under_in += (float)t->draws[s] * t->weights[1];
                else
                    under_out += (float)t->draws[s] * t->weights[0];
            }
        }
        const float over_out = out - under_out, over_in = in - under_in;
        const float under = under_out + under_in, over = over_out + over_in;
        if (under <= 0 || over <= 0)
            continue;
        const float impurity = under_out * under_in / under + over_out * over_in / over;
        if (impurity < best) {
            best = impurity;
            chosen = f;
            *cut = middle;
        }
    }
    return chosen;
}

/* Sort a leaf's samples by a question; return where those begin that are not below. */
static int64_t parted(const struct tree *t, int32_t i, int64_t feature, float cut) {
    int64_t left = t->low[i], right = t->high[i] - 1;
    while (left <= right)
        if (sample(t, left)[feature] < cut)
            left++;
        else {
            const int32_t moved = t->order[left];
            t->order[left] = t->order[right];
            t->order[right--] = moved;
        }
    return left;
}

static int64_t grow(struct tree *t, int64_t tries, int64_t fewest, int64_t deepest, uint64_t *number, int64_t used) {
    int64_t waiting = 0;
    if (t->features == 0) /* nothing to ask about */
        return used;
    for (int64_t s = 0; s < t->n; s++) /* low[leaf + 1] counts, then sums up, then moves on as the leaf is filled */
        if (t->draws[s] > 0)
            t->low[t->leaves[s] + 1]++;
    for (int64_t i = 0; i < t->room; i++) {
        t->low[i + 1] += t->low[i];
        t->high[i] = t->low[i];
    }
    for (int64_t s = 0; s < t->n; s++)
        if (t->draws[s] > 0)
            t->order[t->high[t->leaves[s]]++] = (int32_t)s;
    for (int32_t i = 0; i < used; i++)
        if (t->feature[i] == LEAF && t->high[i] > t->low[i])
            t->stack[waiting++] = i;
    while (waiting > 0) {
        const int32_t i = t->stack[--waiting];
        const int64_t a = t->low[i], b = t->high[i];
        const float out = t->counts[2 * i] * t->weights[0], in = t->counts[2 * i + 1] * t->weights[1];
        if (out == 0 || in == 0 || b - a < fewest || t->depth[i] >= deepest || used + 2 > t->room)
            continue;
        float cut = 0;
        const int64_t chosen = question(t, i, tries, number, &cut);
        if (chosen == LEAF)
            continue;
        const int64_t middle = parted(t, i, chosen, cut);
        if (middle == a || middle == b)
            continue;
        t->feature[i] = (int16_t)chosen;
        t->threshold[i] = cut;
        t->child[i] = (int32_t)used;
        for (int k = 0; k < 2; k++) {
            const int32_t c = (int32_t)used++;
            t->low[c] = (int32_t)(k ? middle : a);
            t->high[c] = (int32_t)(k ? b : middle);
            t->depth[c] = (uint8_t)(t->depth[i] + 1);
            t->counts[2 * c] = t->counts[2 * c + 1] = 0;
            for (int64_t j = t->low[c]; j < t->high[c]; j++) {
                const int32_t s = t->order[j];
                t->leaves[s] = c;
                t->counts[2 * c + (t->inside[s] ? 1 : 0)] += t->draws[s];
            }
            t->stack[waiting++] = c;
        }
    }
    for (int64_t s = 0; s < t->n; s++) /* samples this tree did not draw follow their leaf's new questions, too */
        if (t->draws[s] == 0)
            t->leaves[s] = leaf_of(t->samples + s * t->features, t->leaves[s], t->feature, t->threshold, t->child);
    return used;
}

/* Split every leaf of one tree that holds both sides, as long as it pays; return how many nodes there are. */
EXPORT int64_t forest_split(
    const float *samples,  /* [n f] */
    const uint8_t *inside, /* [n] */
    const uint8_t *draws,  /* [n] */
    const float *weights,  /* [2] of a sample of each side */
    int64_t tries, int64_t fewest, int64_t deepest,
    uint64_t *state,  /* [1] of the random numbers, changed */
    int16_t *feature, /* [nodes] changed, as are those below */
    float *threshold, int32_t *child, uint8_t *depth,
    float *counts,   /* [nodes 2] */
    int32_t *leaves, /* [n] */
    int64_t used,
    int64_t n, int64_t features, int64_t nodes
) {
    struct tree t = {
        .samples = samples, .inside = inside, .draws = draws, .weights = weights, .feature = feature,
        .threshold = threshold, .child = child, .depth = depth, .counts = counts, .leaves = leaves,
        .n = n, .features = features, .room = nodes,
    };
    t.order = malloc((size_t)largest(n, 1) * sizeof *t.order);
    t.low = calloc(3 * (size_t)(nodes + 1), sizeof *t.low);
    int64_t nodes_used = NO_MEMORY;
    if (t.order && t.low) {
        t.high = t.low + nodes + 1;
        t.stack = t.high + nodes + 1;
        nodes_used = grow(&t, tries, fewest, deepest, state, used);
    }
    free(t.order);
    free(t.low);
    return nodes_used;
}

/* Write the mean of the trees' chances where it is asked for. */
EXPORT int64_t forest_ask(
    const float *restrict values,    /* [f n] */
    const uint8_t *restrict where,   /* [n] */
    const int16_t *restrict feature, /* [t nodes] */
    const float *restrict threshold, /* [t nodes] */
    const int32_t *restrict child,   /* [t nodes] */
    const float *restrict chances,   /* [t nodes] of a sample in each leaf to be inside */
    float *restrict out,             /* [n] */
    int64_t features, int64_t n, int64_t trees, int64_t nodes
) {
    float *row = malloc((size_t)largest(features, 1) * sizeof *row);
    if (!row)
        return NO_MEMORY;
    for (int64_t p = 0; p < n; p++) {
        if (!where[p])
            continue;
        for (int64_t f = 0; f < features; f++)
            row[f] = values[f * n + p];
        float total = 0;
        for (int64_t t = 0; t < trees; t++) {
            const int64_t at = t * nodes;
            total += chances[at + leaf_of(row, 0, feature + at, threshold + at, child + at)];
        }
        out[p] = total / (float)trees;
    }
    free(row);
    return 0;
}
