#pragma once
/*
 * demo_world - three simulated regions and a server, in a folder of their own
 *
 * Every process is a child that ends with this one. One thread.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/addr.h"
#include "base/error.h"
#include "base/text.h"

#define DEMO_WORLD_REGIONS   3
#define DEMO_WORLD_SERVICE   "api.svc.example.com"
#define DEMO_WORLD_HOLD_DOWN "3s" /* 10s by default: this demo is to end soon */

struct demo_world_region {
    const char *name;
    const char *title;   /* for people */
    const char *address; /* loopback; its third byte is the region's number from 1 */
    uint16_t dns_port;
    uint16_t http_port;
    pid_t pid;         /* 0: not running */
    char control[100]; /* path of its control socket */
};

struct demo_world {
    char folder[64];
    char socket_path[100]; /* of the server's api */
    char config_path[100];
    char log_path[100]; /* what the server writes to stderr */
    struct addr listen;
    pid_t server; /* 0: not running */
    struct demo_world_region regions[DEMO_WORLD_REGIONS];
};

/* Start everything and wait until the server is ready. On failure nothing is left; explained. */
int demo_world_open(struct demo_world *world, struct error *err);

/* End all children and remove the folder. Also for a world that is only zeroed. */
void demo_world_close(struct demo_world *world);

/* Have region number `region` (from 0) obey, for example "dns blackhole". -errno, explained. */
int demo_world_command(const struct demo_world *world, unsigned region, const char *command,
                       struct error *err);

/* Do all children still run? */
bool demo_world_is_whole(struct demo_world *world);

/* Append the path of this program / of leeward-region, beside it or in PATH. */
void demo_world_server_program(struct text *out);
void demo_world_region_program(struct text *out);

/* The region whose endpoint is this address, or -1. */
int demo_world_region_of(const struct demo_world *world, const struct addr *address);
