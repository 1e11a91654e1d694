#pragma once
/*
 * no_malloc - allocation that a test can forbid
 *
 * In a program that is linked with --wrap for malloc, calloc and realloc they go
 * through these: while `forbidden` is set each call is counted and fails. Include
 * it in one file of a program; one thread.
 */
#include <stdbool.h>
#include <stddef.h>

static volatile bool forbidden; /* volatile: the compiler knows that malloc reads no variable */
static unsigned forbidden_calls;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

void *__wrap_malloc(size_t size)
{
    forbidden_calls += forbidden;
    return forbidden ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    forbidden_calls += forbidden;
    return forbidden ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *memory, size_t size)
{
    forbidden_calls += forbidden;
    return forbidden ? NULL : __real_realloc(memory, size);
}
