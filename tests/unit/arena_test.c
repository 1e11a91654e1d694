#include "base/arena.h"

#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void pieces_are_zeroed_aligned_and_apart(void **state)
{
    static unsigned char *pieces[4000];
    struct arena *arena = arena_new();

    (void)state;
    for (size_t i = 0; i < 4000; i++) {
        size_t size = i % 97 == 0 ? 4000 + i * 3 : i % 61;
        pieces[i] = arena_alloc(arena, size);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        for (size_t j = 0; j < size; j++) {
            assert_int_equal(pieces[i][j], 0);
        }
        memset(pieces[i], (int)(i & 0xff), size);
    }
    for (size_t i = 0; i < 4000; i++) {
        size_t size = i % 97 == 0 ? 4000 + i * 3 : i % 61;
        for (size_t j = 0; j < size; j++) {
            assert_int_equal(pieces[i][j], i & 0xff);
        }
    }
    arena_free(arena);
}

static void a_large_piece_leaves_the_room_of_the_block(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    char *first = arena_alloc(arena, 16);
    (void)arena_alloc(arena, 1 << 20);
    char *second = arena_alloc(arena, 16);
    assert_ptr_equal(second, first + 16);
    assert_true(arena_size_bytes(arena) >= 1 << 20);
    arena_free(arena);
}

static void a_large_piece_may_come_first(void **state)
{
    struct arena *arena = arena_new();

    (void)state;
    char *first = arena_alloc(arena, 100000);
    memset(first, 1, 100000);
    char *second = arena_alloc(arena, 100);
    memset(second, 2, 100);
    assert_int_equal(first[99999], 1);
    arena_free(arena);
}

static void copies_are_equal_and_their_own(void **state)
{
    struct arena *arena = arena_new();
    char word[] = "shelter";

    (void)state;
    char *copy = arena_strdup(arena, word);
    char *bytes = arena_copy(arena, word, 3);
    word[0] = 'x';
    assert_string_equal(copy, "shelter");
    assert_memory_equal(bytes, "she", 3);
    assert_non_null(arena_copy(arena, NULL, 0));
    assert_string_equal(arena_printf(arena, "%s %d", "region", 7), "region 7");
    assert_string_equal(arena_printf(arena, "%s", ""), "");
    arena_free(arena);
}

static void an_array_grows_and_keeps_its_elements(void **state)
{
    struct arena *arena = arena_new();
    uint32_t *array = NULL;

    (void)state;
    for (uint32_t count = 0; count < 10000; count++) {
        array = arena_grow(arena, array, count, sizeof(*array));
        array[count] = count;
    }
    for (uint32_t i = 0; i < 10000; i++) {
        assert_int_equal(array[i], i);
    }
    arena_free(arena);
}

static void nothing_is_freed_gladly(void **state)
{
    (void)state;
    arena_free(NULL);
    struct arena *arena = arena_new();
    assert_int_equal(arena_size_bytes(arena), 0);
    arena_free(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(a_large_piece_leaves_the_room_of_the_block),
        cmocka_unit_test(a_large_piece_may_come_first),
        cmocka_unit_test(copies_are_equal_and_their_own),
        cmocka_unit_test(an_array_grows_and_keeps_its_elements),
        cmocka_unit_test(nothing_is_freed_gladly),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
