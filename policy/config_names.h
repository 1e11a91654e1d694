#pragma once
/*
 * config_names - names of the file found quickly, and the one that was meant
 *
 * For regions and checks, which other parts refer to. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct arena;

#define CONFIG_NAMES_NONE UINT32_MAX

struct config_name {
    const char *name;
    uint32_t index;
};

struct config_names {
    struct config_name *list;
    size_t count;
};

/* Add a name, which stays the caller's. Finding needs config_names_sort first. */
void config_names_add(struct config_names *names, struct arena *arena, const char *name,
                      uint32_t index);
void config_names_sort(struct config_names *names);

/* Names are letters, digits and -_. so that they go into paths, metrics and `seoul/api`. */
bool config_names_is_valid(const char *name);
#define CONFIG_NAMES_HINT "use up to 63 letters, digits, '-', '_' and '.'"

/* The index given with the name, or CONFIG_NAMES_NONE. */
uint32_t config_names_find(const struct config_names *names, const char *name);

/* The name most like `word`, or NULL. */
const char *config_names_nearest(const struct config_names *names, const char *word);
