#pragma once
/*
 * api_health - regions, endpoints and checks as JSON, and their evidence in words
 *
 * What `status` and `why` have in common; shapes in docs/api.md. Control thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/json_writer.h"
#include "policy/health.h"
#include "resolver/control.h"

struct override;

/* The server as one page looks at it. */
struct api_view {
    struct control *control;
    const struct snapshot *snapshot;
    const struct health *health;
    struct json_writer *json;
    uint64_t now_ms;
};

struct api_view api_health_look(struct control *control, struct json_writer *json);

/* How long ago in ms, as a member; 0 stands for the start of the process. */
uint64_t api_health_age_ms(const struct api_view *view, uint64_t since_ms);
void api_health_put_since(const struct api_view *view, const char *key, uint64_t since_ms);

/* An override as a member, or null. */
void api_health_put_override(const struct api_view *view, const char *key,
                             const struct override *override);

/* "2026-11-22T18:00:00Z", of seconds since 1970. */
void api_health_put_time(int64_t seconds, struct text *out);

/* "drained by alice: kernel update, until 2026-11-22T18:00:00Z" */
void api_health_describe_override(const struct override *override, struct text *out);

/* The override that speaks of this address, or NULL. */
const struct override *api_health_override_of(const struct api_view *view,
                                              const struct addr *address);

/* Does this check say anything but "well" of its target? */
bool api_health_is_telling(const struct health_probe *probe);

/*
 * What the verdict on a check's target rests on: "2 of 3 failures", "evidence
 * 14.2 of 17.9, 3% of its probes fail usually"; "" when there is nothing to say.
 */
void api_health_describe_evidence(const struct health_probe *probe, uint64_t now_ms,
                                  struct text *out);

/* One region with its checks. */
void api_health_put_region(const struct api_view *view, size_t region);

/* One endpoint of a pool; its checks only when they are wanted. */
void api_health_put_endpoint(const struct api_view *view, size_t service, size_t pool,
                             size_t endpoint, bool with_checks);

/* The address of an endpoint, with the port it has of its own. */
void api_health_format(const struct addr *address, char *out, size_t cap);
