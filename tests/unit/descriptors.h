#pragma once
/*
 * descriptors - how many this process has open, so that a test sees what is left behind
 *
 * Behind cmocka.h.
 */
#include <dirent.h>

static inline unsigned descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned count = 0;

    assert_non_null(dir);
    while (readdir(dir) != NULL) {
        count++;
    }
    (void)closedir(dir);
    return count;
}
