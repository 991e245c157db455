/* What all inner loops share. Every function that Python calls is EXPORTed and declared once more beside the module
 * that uses it (`segmend.native.loop`), where the types and shapes of its arrays are checked: here they hold.
 *
 * The arguments come in the order of the declaration, arrays as pointers to contiguous memory, bool as uint8_t. After
 * them come the sizes that the declaration names, each as int64_t, in the order in which they first appear. */

#ifndef SEGMEND_NATIVE_H
#define SEGMEND_NATIVE_H

#include <stdbool.h>
#include <stdint.h>

#if defined(_WIN32)
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

#define NO_MEMORY (-1) /* what a function returns when it finds none; becomes a MemoryError */

static inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t largest(int64_t a, int64_t b) { return a > b ? a : b; }
static inline float larger(float a, float b) { return a > b ? a : b; }

/* Whether (z, y, x) lies on a grid of these sides. */
static inline bool on_grid(int64_t z, int64_t y, int64_t x, int64_t nz, int64_t ny, int64_t nx) {
    return z >= 0 && y >= 0 && x >= 0 && z < nz && y < ny && x < nx;
}

#endif
