#pragma once
/*
 * scratch - a directory of files for one test, gone when it is over
 *
 * A failure to make them ends the test program.
 */
#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"

struct scratch {
    char dir[64];
    char path[256]; /* of the file written last */
};

static inline void scratch_init(struct scratch *scratch)
{
    (void)snprintf(scratch->dir, sizeof(scratch->dir), "/tmp/leeward-test-XXXXXX");
    REQUIRE(mkdtemp(scratch->dir) != NULL);
}

/* Write a file of `size` bytes; returns its path, valid until the next call. */
static inline const char *scratch_write_bytes(struct scratch *scratch, const char *name,
                                              const void *bytes, size_t size)
{
    (void)snprintf(scratch->path, sizeof(scratch->path), "%s/%s", scratch->dir, name);
    FILE *file = fopen(scratch->path, "wb");
    REQUIRE(file != NULL);
    REQUIRE(fwrite(bytes, 1, size, file) == size);
    REQUIRE(fclose(file) == 0);
    return scratch->path;
}

static inline const char *scratch_write(struct scratch *scratch, const char *name, const char *text)
{
    return scratch_write_bytes(scratch, name, text, strlen(text));
}

/* Remove the directory and the files in it. */
static inline void scratch_fini(struct scratch *scratch)
{
    char path[512];
    DIR *dir = opendir(scratch->dir);
    struct dirent *entry;

    REQUIRE(dir != NULL);
    while ((entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            (void)snprintf(path, sizeof(path), "%s/%s", scratch->dir, entry->d_name);
            (void)remove(path);
        }
    }
    (void)closedir(dir);
    (void)rmdir(scratch->dir);
}
