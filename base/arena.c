#include "base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

#define BLOCK_SIZE ((size_t)16 * 1024)

struct block {
    struct block *next;
    size_t size;
    alignas(max_align_t) unsigned char bytes[];
};

struct arena {
    struct block *blocks; /* the newest block first; only it has room */
    size_t used;          /* of the newest block */
    size_t total;
};

struct arena *arena_new(void)
{
    return calloc(1, sizeof(struct arena));
}

void arena_free(struct arena *arena)
{
    if (arena == NULL) {
        return;
    }
    struct block *block = arena->blocks;
    while (block != NULL) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
    free(arena);
}

static struct block *block_new(struct arena *arena, size_t size)
{
    struct block *block = calloc(1, sizeof(*block) + size);

    REQUIRE(block != NULL);
    block->size = size;
    arena->total += sizeof(*block) + size;
    return block;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t align = alignof(max_align_t);

    REQUIRE(size <= SIZE_MAX - 2 * align - BLOCK_SIZE);
    size = (size + align - 1) / align * align;
    if (size > BLOCK_SIZE / 4) {
        /* a block of its own behind the newest, whose room stays usable */
        struct block *own = block_new(arena, size);
        if (arena->blocks == NULL) {
            arena->blocks = own;
            arena->used = size;
        } else {
            own->next = arena->blocks->next;
            arena->blocks->next = own;
        }
        return own->bytes;
    }
    if (arena->blocks == NULL || arena->blocks->size - arena->used < size) {
        struct block *block = block_new(arena, BLOCK_SIZE);
        block->next = arena->blocks;
        arena->blocks = block;
        arena->used = 0;
    }
    void *result = arena->blocks->bytes + arena->used;
    arena->used += size;
    return result;
}

void *arena_alloc_aligned(struct arena *arena, size_t size, size_t align)
{
    REQUIRE(align > 0 && (align & (align - 1)) == 0 && size <= SIZE_MAX - align);
    uintptr_t at = (uintptr_t)arena_alloc(arena, size + align - 1);

    return (void *)((at + align - 1) & ~(uintptr_t)(align - 1));
}

void *arena_array(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;

    REQUIRE(!__builtin_mul_overflow(count, size, &bytes));
    return arena_alloc(arena, bytes);
}

void *arena_copy(struct arena *arena, const void *bytes, size_t size)
{
    void *copy = arena_alloc(arena, size);

    if (size > 0) {
        memcpy(copy, bytes, size);
    }
    return copy;
}

char *arena_strdup(struct arena *arena, const char *string)
{
    return arena_copy(arena, string, strlen(string) + 1);
}

char *arena_printf(struct arena *arena, const char *format, ...)
{
    char *made;
    va_list args;

    va_start(args, format);
    int length = vasprintf(&made, format, args);
    va_end(args);
    REQUIRE(length >= 0);
    char *string = arena_copy(arena, made, (size_t)length + 1);
    free(made);
    return string;
}

void *arena_grow(struct arena *arena, void *array, size_t count, size_t size)
{
    if (count == 0) {
        return arena_array(arena, 4, size);
    }
    if (count < 4 || (count & (count - 1)) != 0) {
        return array;
    }
    void *bigger = arena_array(arena, count * 2, size);
    memcpy(bigger, array, count * size);
    return bigger;
}

size_t arena_size_bytes(const struct arena *arena)
{
    return arena->total;
}
