#include "policy/checks/check_pattern.h"

#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define KEPT_MOST 1000

struct compiled {
    UT_hash_handle hh; /* in the order of use, the least recent first */
    regex_t regex;
    char pattern[];
};

static struct compiled *kept;

static void forget(struct compiled *compiled)
{
    HASH_DEL(kept, compiled);
    regfree(&compiled->regex);
    free(compiled);
}

static int compile(const char *pattern, struct compiled **out)
{
    size_t length = strlen(pattern);
    struct compiled *compiled = malloc(sizeof(*compiled) + length + 1);

    if (compiled == NULL) {
        return -ENOMEM;
    }
    memcpy(compiled->pattern, pattern, length + 1);
    int rc = regcomp(&compiled->regex, pattern, REG_EXTENDED | REG_NOSUB);
    if (rc != 0) {
        free(compiled);
        return rc == REG_ESPACE ? -ENOMEM : -EINVAL;
    }
    if (HASH_COUNT(kept) >= KEPT_MOST) {
        forget(kept);
    }
    *out = compiled;
    return 0;
}

static int find(const char *pattern, struct compiled **out)
{
    struct compiled *compiled;

    HASH_FIND_STR(kept, pattern, compiled);
    if (compiled == NULL) {
        int rc = compile(pattern, &compiled);
        if (rc < 0) {
            return rc;
        }
        HASH_ADD_STR(kept, pattern, compiled);
    } else if (compiled->hh.next != NULL) { /* else it is the most recent one already */
        HASH_DEL(kept, compiled);
        HASH_ADD_STR(kept, pattern, compiled);
    }
    *out = compiled;
    return 0;
}

int check_pattern_match(const char *pattern, const char *bytes, size_t size)
{
    struct compiled *compiled;
    int rc = find(pattern, &compiled);

    if (rc < 0) {
        return rc;
    }
    /* with its length told, for a zero byte may be among what came */
    regmatch_t range = { .rm_so = 0, .rm_eo = (regoff_t)size };
    rc = regexec(&compiled->regex, bytes, 1, &range, REG_STARTEND);
    if (rc == REG_ESPACE) {
        return -ENOMEM;
    }
    return rc == 0;
}

void check_pattern_clear(void)
{
    while (kept != NULL) {
        forget(kept);
    }
}
