#include "sim_command.h"

#include "sim_region.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct command {
    const char *name;
    /* `rest` is what follows the word, "" when nothing does. */
    void (*run)(struct sim_region *region, char *rest, char *reply, size_t size);
};

/* Cut the first word off `*rest`, leaving it at the next one; NULL when there is none. */
static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t");
    if (*word == '\0') {
        *rest = word;
        return NULL;
    }
    char *end = word + strcspn(word, " \t");
    if (*end != '\0') {
        *end++ = '\0';
    }
    *rest = end + strspn(end, " \t");
    return word;
}

static void say_error(char *reply, size_t size, const char *text)
{
    (void)snprintf(reply, size, "error: %s", text);
}

static bool parse_name(char *rest, struct sim_dname *out_name, char *reply, size_t size)
{
    char *word = next_word(&rest);
    if (word == NULL || *rest != '\0' || !sim_wire_parse_dname(word, out_name)) {
        say_error(reply, size, "one domain name is needed");
        return false;
    }
    return true;
}

static void run_mark(struct sim_region *region, char *rest, uint16_t rcode, char *reply,
                     size_t size)
{
    struct sim_dname name;
    if (parse_name(rest, &name, reply, size) && !sim_data_mark(&region->data, &name, rcode)) {
        say_error(reply, size, "there is no room for more names");
    }
}

static void run_delete(struct sim_region *region, char *rest, char *reply, size_t size)
{
    run_mark(region, rest, SIM_RCODE_NXDOMAIN, reply, size);
}

static void run_empty(struct sim_region *region, char *rest, char *reply, size_t size)
{
    run_mark(region, rest, SIM_RCODE_NOERROR, reply, size);
}

static void run_undelete(struct sim_region *region, char *rest, char *reply, size_t size)
{
    struct sim_dname name;
    if (parse_name(rest, &name, reply, size) && !sim_data_unmark(&region->data, &name)) {
        say_error(reply, size, "that name was neither deleted nor emptied");
    }
}

static void run_record(struct sim_region *region, char *rest, char *reply, size_t size)
{
    const char *name = next_word(&rest);
    const char *type = next_word(&rest);
    const char *wrong = "record needs NAME TYPE DATA";
    if (name != NULL && type != NULL && *rest != '\0') {
        wrong = sim_data_record(&region->data, name, type, rest);
    }
    if (wrong != NULL) {
        say_error(reply, size, wrong);
    }
}

static void run_unrecord(struct sim_region *region, char *rest, char *reply, size_t size)
{
    struct sim_dname name;
    if (parse_name(rest, &name, reply, size) && !sim_data_unrecord(&region->data, &name)) {
        say_error(reply, size, "that name has no records");
    }
}

static void say_name_stats(const struct sim_region *region, char *rest, char *reply, size_t size)
{
    static const struct sim_stats_name never = { 0 };
    struct sim_dname name;
    if (!parse_name(rest, &name, reply, size)) {
        return;
    }
    const struct sim_stats_name *seen = sim_stats_find(&region->stats, name.bytes, name.size);
    if (seen == NULL) {
        seen = &never;
    }
    (void)snprintf(reply, size, "queries=%" PRIu64 " a=%" PRIu64 " aaaa=%" PRIu64 " other=%" PRIu64,
                   seen->a + seen->aaaa + seen->other, seen->a, seen->aaaa, seen->other);
}

static void run_stats(struct sim_region *region, char *rest, char *reply, size_t size)
{
    const struct sim_stats *stats = &region->stats;
    if (*rest != '\0') {
        say_name_stats(region, rest, reply, size);
        return;
    }
    (void)snprintf(reply, size,
                   "dns_queries=%" PRIu64 " dns_tcp=%" PRIu64 " http_requests=%" PRIu64
                   " tcp_accepts=%" PRIu64 " dropped=%" PRIu64,
                   stats->dns_queries, stats->dns_tcp, stats->http_requests, stats->tcp_accepts,
                   stats->dropped);
}

static void run_reset(struct sim_region *region, char *rest, char *reply, size_t size)
{
    if (*rest != '\0') {
        say_error(reply, size, "reset takes no argument");
        return;
    }
    sim_stats_reset(&region->stats);
}

static void run_status(struct sim_region *region, char *rest, char *reply, size_t size)
{
    char words[SIM_TARGETS][128];
    if (*rest != '\0') {
        say_error(reply, size, "status takes no argument");
        return;
    }
    for (int i = 0; i < SIM_TARGETS; i++) {
        sim_fault_format(&region->faults[i], words[i], sizeof words[i]);
    }
    (void)snprintf(reply, size, "dns=%s http=%s tcp=%s", words[SIM_DNS], words[SIM_HTTP],
                   words[SIM_TCP]);
}

static void run_log(struct sim_region *region, char *rest, char *reply, size_t size)
{
    bool on = strcmp(rest, "on") == 0;
    if (!on && strcmp(rest, "off") != 0) {
        say_error(reply, size, "log is either on or off");
        return;
    }
    region->log = on;
}

static void run_quit(struct sim_region *region, char *rest, char *reply, size_t size)
{
    if (*rest != '\0') {
        say_error(reply, size, "quit takes no argument");
        return;
    }
    /* The reply is written before the loop turns and the sockets close. */
    region->quitting = true;
}

static const struct command commands[] = {
    { "delete", run_delete }, { "empty", run_empty },   { "undelete", run_undelete },
    { "record", run_record }, { "stats", run_stats },   { "unrecord", run_unrecord },
    { "reset", run_reset },   { "status", run_status }, { "log", run_log },
    { "quit", run_quit },
};

/* The targets that a word means, as bits; 0 when it is no target. */
static unsigned parse_targets(const char *word)
{
    unsigned targets = 0;
    for (unsigned i = 0; i < SIM_TARGETS; i++) {
        if (strcmp(word, "all") == 0 || strcmp(word, sim_fault_target_name(i)) == 0) {
            targets |= 1u << i;
        }
    }
    return targets;
}

/* Change the fault of each target in a copy, so that an error changes none. */
static const char *change_faults(struct sim_region *region, unsigned targets, const char *name,
                                 const char *argument)
{
    struct sim_fault faults[SIM_TARGETS];
    memcpy(faults, region->faults, sizeof faults);
    for (unsigned i = 0; i < SIM_TARGETS; i++) {
        const char *wrong = NULL;
        if ((targets & 1u << i) != 0) {
            wrong = sim_fault_set(&faults[i], i, name, argument);
        }
        if (wrong != NULL) {
            return wrong;
        }
    }
    memcpy(region->faults, faults, sizeof faults);
    return NULL;
}

static void run_fault(struct sim_region *region, unsigned targets, char *rest, char *reply,
                      size_t size)
{
    const char *name = next_word(&rest);
    const char *wrong = "a fault is needed, such as die, blackhole or heal";
    if (name != NULL) {
        wrong = change_faults(region, targets, name, *rest != '\0' ? rest : NULL);
    }
    if (wrong != NULL) {
        say_error(reply, size, wrong);
        return;
    }
    for (unsigned i = 0; i < SIM_TARGETS; i++) {
        int rc = (targets & 1u << i) != 0 ? sim_region_apply(region, i) : 0;
        if (rc != 0) {
            (void)snprintf(reply, size, "error: %s: %s", sim_fault_target_name(i), uv_strerror(rc));
        }
    }
}

static void trim_end(char *line)
{
    size_t length = strlen(line);
    while (length > 0 && strchr(" \t\r", line[length - 1]) != NULL) {
        line[--length] = '\0';
    }
}

void sim_command_execute(struct sim_region *region, char *line, char *reply, size_t size)
{
    trim_end(line);
    char *rest = line;
    const char *word = next_word(&rest);
    (void)snprintf(reply, size, "ok");
    if (word == NULL) {
        say_error(reply, size, "empty command");
        return;
    }
    unsigned targets = parse_targets(word);
    if (targets != 0) {
        run_fault(region, targets, rest, reply, size);
        return;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(word, commands[i].name) == 0) {
            commands[i].run(region, rest, reply, size);
            return;
        }
    }
    say_error(reply, size, "unknown command");
}
