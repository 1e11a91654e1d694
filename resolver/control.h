#pragma once
/*
 * control - the control loop: config, checks, table, publication, api
 *
 * Runs in the main thread on a libuv loop. It may be busy for a second without
 * one query noticing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/text.h"
#include "resolver/snapshot.h"

struct announcer;
struct control;
struct hand;
struct hostnames;
struct removals;
struct server;
struct json_writer;
struct prober;

struct control_options {
    const char *config_path; /* NULL: search, then the embedded default */
    bool strict;             /* a bad file refuses the start */
    const char *socket_path; /* overrides api.socket; NULL: the file's */
};

/*
 * Start everything and serve until SIGTERM or SIGINT. Returns the program's
 * exit code: 0 stopped as asked, 1 could not start (already reported).
 */
int control_run(const struct control_options *options);

/* ---- for the api, control thread ---- */

const struct snapshot *control_snapshot(const struct control *control);
struct health *control_health(const struct control *control);
struct server *control_server(const struct control *control);
const struct hostnames *control_hostnames(const struct control *control);
struct announcer *control_announcer(const struct control *control);
struct hand *control_hand(const struct control *control);
struct removals *control_removals(const struct control *control);
const struct prober *control_prober(const struct control *control);

/* The path of the config in use, and why it is not the user's file ("" when it is). */
const char *control_config_path(const struct control *control);
const char *control_config_warning(const struct control *control);

/* Why what happens is not kept on disk, negative errno; 0: it is. */
int control_journal_trouble(const struct control *control);

/* Have the first verdicts come in (or their time passed)? */
bool control_is_ready(const struct control *control);

/* Monotonic ms of the start. */
uint64_t control_started_ms(const struct control *control);

/*
 * Take the file again. `done` is called once, possibly before this returns:
 * `ok`, and a report for people (what was wrong, every error with its place;
 * or what the new generation is).
 */
typedef void control_reload_done(void *user, bool ok, const char *report);
void control_reload(struct control *control, control_reload_done *done, void *user);
