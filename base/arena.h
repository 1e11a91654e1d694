#pragma once
/*
 * arena - memory of one lifetime, freed in one call
 *
 * A configuration, a zone set, a snapshot: each lives in one arena. One
 * thread at a time may allocate from an arena; readers need nothing.
 */
#include <stddef.h>

struct arena;

/* A new empty arena, or NULL when memory is out. */
struct arena *arena_new(void);

/* Free everything that was allocated from it. NULL is fine. */
void arena_free(struct arena *arena);

/*
 * Zeroed memory, aligned for any type; never NULL: when memory is out the
 * program ends, because a half-built generation is of no use and the builder
 * has no better answer. (The answering path never allocates.)
 */
void *arena_alloc(struct arena *arena, size_t size);

/* The same, aligned to `align` bytes, a power of two: for what shares cache lines on purpose. */
void *arena_alloc_aligned(struct arena *arena, size_t size, size_t align);

/* `count` * `size` bytes with an overflow check. */
void *arena_array(struct arena *arena, size_t count, size_t size);

/* A copy of `size` bytes, or of a string. */
void *arena_copy(struct arena *arena, const void *bytes, size_t size);
char *arena_strdup(struct arena *arena, const char *string);

/* A string made as printf does. */
char *arena_printf(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/*
 * Room for one more element behind `count` elements of `size` bytes: returns
 * the array, moved when it had to grow (the old one stays in the arena until
 * the end). Capacity doubles at powers of two, so `count` alone is the state.
 */
void *arena_grow(struct arena *arena, void *array, size_t count, size_t size);

/* Bytes taken from the system for this arena. */
size_t arena_size_bytes(const struct arena *arena);
