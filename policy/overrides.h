#pragma once
/*
 * overrides - what operators said by hand, until it is released or its time is over
 *
 * A list of drains and forces with reason, author and expiry, and which
 * regions, pools and endpoints each means. Knows nothing of how they act.
 * Control thread.
 *
 * Targets: REGION, REGION/SERVICE (the service by its whole name or its first
 * labels: "tokyo/api" means api.svc.example.com), or an endpoint's address.
 * All but addresses may be globs (`*`, `?`, `[...]`).
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/error.h"
#include "base/text.h"

#define OVERRIDE_TARGET_MAX 320
#define OVERRIDE_TEXT_MAX   256
#define OVERRIDES_MAX       1024

enum override_kind {
    OVERRIDE_DRAIN,      /* no answers while anything else is up; reversible */
    OVERRIDE_FORCE_UP,   /* up, whatever its checks say */
    OVERRIDE_FORCE_DOWN, /* never answered */
};

struct override {
    char target[OVERRIDE_TARGET_MAX];
    enum override_kind kind;
    char reason[OVERRIDE_TEXT_MAX];
    char author[OVERRIDE_TEXT_MAX];
    int64_t since_s; /* seconds since 1970, UTC */
    int64_t until_s; /* 0: until it is released */
    bool scheduled;  /* by a maintenance window: not kept on disk */
    bool muted;      /* scheduled, but an operator ended it early: means nothing any more */
};

struct overrides;

/* NULL when memory is out. */
struct overrides *overrides_new(void);
void overrides_free(struct overrides *overrides);

/*
 * Add one, or replace the one with the same target and a kind of the same
 * family (drain; force up and down). -EINVAL or -E2BIG, explained.
 */
int overrides_set(struct overrides *overrides, const struct override *override, struct error *err);

/*
 * Take away those with this target: the drain, the force, or both. Returns how
 * many there were.
 */
enum override_release {
    OVERRIDE_RELEASE_DRAIN,
    OVERRIDE_RELEASE_FORCE,
    OVERRIDE_RELEASE_ALL,
};
size_t overrides_release(struct overrides *overrides, const char *target,
                         enum override_release which, bool scheduled);

/* The first that a release with the same arguments would take away; NULL: none. */
const struct override *overrides_find(const struct overrides *overrides, const char *target,
                                      enum override_release which, bool scheduled);

/* An operator ends what a window says before its time: see `muted`. Returns how many. */
size_t overrides_mute(struct overrides *overrides, const char *target);

/*
 * Take one whose time is over at `now_s` out of the list, into `*out`; false
 * when there is none.
 */
bool overrides_expire(struct overrides *overrides, int64_t now_s, struct override *out);

/* When the next one's time is over; INT64_MAX: never. */
int64_t overrides_next_s(const struct overrides *overrides);

size_t overrides_count(const struct overrides *overrides);
const struct override *overrides_at(const struct overrides *overrides, size_t index);

/* Does the target mean the region as a whole / the service's pool there / this address? */
bool override_means_region(const struct override *override, const char *region);
bool override_means_pool(const struct override *override, const char *region, const char *service);
bool override_means_endpoint(const struct override *override, const struct addr *address);

/* "drain", "up", "down". */
const char *override_kind_name(enum override_kind kind);

/* ---- on disk ---- */

/* Those that are to be kept, as JSON for the file. */
void overrides_render(const struct overrides *overrides, struct text *out);

/*
 * Take in what overrides_render wrote. -EINVAL, explained, when it is not that;
 * then nothing was taken in.
 */
int overrides_parse(struct overrides *overrides, const char *text, size_t length,
                    struct error *err);
