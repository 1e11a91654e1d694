#include "policy/config_names.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"

#define NEAREST_MAX 4096 /* names compared with one that is unknown */

void config_names_add(struct config_names *names, struct arena *arena, const char *name,
                      uint32_t index)
{
    names->list = arena_grow(arena, names->list, names->count, sizeof(*names->list));
    names->list[names->count++] = (struct config_name){ .name = name, .index = index };
}

static int compare(const void *a, const void *b)
{
    const struct config_name *x = a;
    const struct config_name *y = b;

    return strcmp(x->name, y->name);
}

/* Names written twice stay in the order of the file. */
static int compare_with_index(const void *a, const void *b)
{
    const struct config_name *x = a;
    const struct config_name *y = b;
    int order = compare(a, b);

    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

void config_names_sort(struct config_names *names)
{
    if (names->count > 1) {
        qsort(names->list, names->count, sizeof(*names->list), compare_with_index);
    }
}

bool config_names_is_valid(const char *name)
{
    static const char good[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t length = strlen(name);

    return length > 0 && length <= 63 && strspn(name, good) == length;
}

uint32_t config_names_find(const struct config_names *names, const char *name)
{
    const struct config_name key = { .name = name };

    if (names->count == 0) {
        return CONFIG_NAMES_NONE;
    }
    const struct config_name *found =
        bsearch(&key, names->list, names->count, sizeof(*names->list), compare);
    return found == NULL ? CONFIG_NAMES_NONE : found->index;
}

const char *config_names_nearest(const struct config_names *names, const char *word)
{
    size_t count = names->count < NEAREST_MAX ? names->count : NEAREST_MAX;
    const char **list = calloc(count + 1, sizeof(*list));

    if (list == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        list[i] = names->list[i].name;
    }
    const char *nearest = text_nearest(word, list, count);
    free(list);
    return nearest;
}
