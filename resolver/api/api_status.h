#pragma once
/*
 * api_status - regions, services, upstreams and counters as JSON
 *
 * The shape is documented in docs/api.md. Control thread.
 */
#include <stddef.h>
#include <stdint.h>

struct control;
struct snapshot;
struct steer_choice;
struct steer_service;
struct json_writer;
struct text;

/*
 * The status, one object and a newline. Of more than `most` services those are
 * left out, but counted, of which there is nothing to tell; SIZE_MAX: none is.
 */
void api_status_put(struct control *control, size_t most, struct text *out);

/* One service by its index in the published model, one object and a newline. */
void api_status_put_service(struct control *control, size_t service, struct text *out);

/*
 * Members of an open object that say what `service` answers to `family`:
 * result, rung, ttl_s, regions and addresses.
 */
void api_status_put_choice(const struct steer_service *service, unsigned family,
                           const struct steer_choice *choice, struct json_writer *json);

/* The TTL that an answer of this choice carries. */
uint32_t api_status_ttl_s(const struct steer_service *service, const struct steer_choice *choice);
