#pragma once
/*
 * world - a snapshot from a few lines of YAML, and queries to ask of it
 *
 * For tests of the query path: everything is real but the sockets.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy/config.h"
#include "resolver/query.h"
#include "resolver/snapshot.h"

struct world {
    struct health *health;
    struct snapshot *snapshot;
    struct query_thread thread;
    struct server_counters counters;
    struct sockaddr_in source;
    bool local_is_loopback;
    bool stream;
    const struct addr *listener; /* NULL: not known */
    uint8_t message[65535];
    size_t length;
};

static inline void world_ignore(void *user, const struct health_event *event)
{
    (void)user;
    (void)event;
}

/* False, with the reason on stderr, when the text does not make a snapshot. */
static inline bool world_init(struct world *world, const char *yaml)
{
    const struct hash_key key = { 0x0123456789abcdef, 0xfedcba9876543210 };
    struct config_report report = { 0 };
    struct model *model;
    struct error err;

    memset(world, 0, sizeof(*world));
    if (config_load_text(yaml, "world.yaml", &model, &report) < 0) {
        struct text text = { 0 };
        config_report_print(&report, &text);
        (void)fputs(text_string(&text), stderr);
        text_fini(&text);
        config_report_fini(&report);
        return false;
    }
    config_report_fini(&report);
    world->health = health_new(world_ignore, NULL);
    struct health_binding *binding = health_bind(world->health, model, 1000);
    if (snapshot_build(model, binding, NULL, &key, 1, &world->snapshot, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.message);
        return false;
    }
    health_commit(world->health, binding, 1000);
    query_thread_init(&world->thread, &world->counters);
    world->source = (struct sockaddr_in){ .sin_family = AF_INET,
                                          .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    world->local_is_loopback = true;
    return true;
}

static inline void world_fini(struct world *world)
{
    health_unbind(world->health, snapshot_free(world->snapshot));
    health_free(world->health);
}

/* Answer what stands in `message`, `length` bytes. */
static inline enum query_verdict world_answer(struct world *world)
{
    const struct query_client client = {
        .source = (const struct sockaddr *)&world->source,
        .local_is_loopback = world->local_is_loopback,
        .stream = world->stream,
        .listener = world->listener,
    };
    size_t cap = world->stream ? sizeof(world->message) : QUERY_UDP_BUFFER;

    return query_answer(&world->thread, world->snapshot, &client, world->message, world->length,
                        cap, &world->length);
}

/* Ask `name` (its letter case is kept); `payload` 0: without EDNS. */
static inline enum query_verdict world_ask(struct world *world, const char *name, uint16_t type,
                                           uint16_t payload)
{
    uint8_t wire[NAME_MAX_BYTES];
    struct error err;
    size_t at = 0;

    if (name_parse(name, wire, &err) < 0) {
        abort();
    }
    /* name_parse folds: put the letters back as they were given */
    for (const char *c = name; *c != '\0' && wire[at] != 0; at += wire[at] + 1u) {
        for (unsigned i = 1; i <= wire[at]; i++) {
            wire[at + i] = (uint8_t)*c++;
        }
        c += *c == '.';
    }
    world->length = wire_query_build(world->message, 0x1234, WIRE_RD, wire, type, WIRE_IN,
                                     payload, false);
    return world_answer(world);
}

static inline unsigned world_rcode(const struct world *world)
{
    return world->message[3] & WIRE_RCODE;
}

static inline unsigned world_flags(const struct world *world)
{
    return wire_get16(world->message + 2);
}

/* Records in the answer (0), authority (1) or additional (2) section. */
static inline unsigned world_count(const struct world *world, unsigned section)
{
    return wire_get16(world->message + 6 + 2 * section);
}

/* Record number `index` behind the question. */
static inline bool world_record(const struct world *world, unsigned index,
                                struct wire_record *out)
{
    struct wire_reader reader;
    uint8_t name[NAME_MAX_BYTES];

    wire_reader_init(&reader, world->message, world->length);
    reader.at = WIRE_QUESTION;
    (void)wire_read_name(&reader, name);
    (void)wire_read32(&reader);
    for (unsigned i = 0; i <= index; i++) {
        if (!wire_read_record(&reader, out)) {
            return false;
        }
    }
    return true;
}
