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

/* NAME [TTL] TYPE DATA */
static void run_record(struct sim_region *region, char *rest, char *reply, size_t size)
{
    uint32_t ttl_s;
    const char *name = next_word(&rest);
    const char *type = next_word(&rest);
    bool has_ttl = type != NULL && sim_fault_parse_number(type, UINT32_MAX, &ttl_s);
    const char *wrong = "record needs NAME [TTL] TYPE DATA";
    if (has_ttl) {
        type = next_word(&rest);
    }
    if (name != NULL && type != NULL && *rest != '\0') {
        wrong = sim_data_record(&region->data, name, has_ttl ? &ttl_s : NULL, type, rest);
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

static uint64_t asked_for(const struct sim_region *region, const struct sim_dname *name,
                          uint16_t type)
{
    uint64_t by_over[SIM_OVERS];
    sim_stats_sum(&region->stats, name, type, by_over);
    return by_over[SIM_OVER_UDP] + by_over[SIM_OVER_TCP] + by_over[SIM_OVER_TLS];
}

/* NAME: by type; NAME TYPE: by transport. */
static void say_name_stats(const struct sim_region *region, char *rest, char *reply, size_t size)
{
    uint64_t over[SIM_OVERS];
    struct sim_dname name;
    uint16_t type;
    char *word = next_word(&rest);
    char *end = *rest != '\0' ? rest : NULL;
    if (!sim_wire_parse_dname(word, &name)) {
        say_error(reply, size, "a domain name is needed, and perhaps a type");
    } else if (end == NULL) {
        uint64_t all = asked_for(region, &name, 0);
        uint64_t a = asked_for(region, &name, SIM_TYPE_A);
        uint64_t aaaa = asked_for(region, &name, SIM_TYPE_AAAA);
        (void)snprintf(reply, size,
                       "queries=%" PRIu64 " a=%" PRIu64 " aaaa=%" PRIu64 " other=%" PRIu64, all, a,
                       aaaa, all - a - aaaa);
    } else if (!sim_wire_parse_type(end, &type)) {
        say_error(reply, size, "that is no record type");
    } else {
        sim_stats_sum(&region->stats, &name, type, over);
        (void)snprintf(reply, size,
                       "queries=%" PRIu64 " udp=%" PRIu64 " tcp=%" PRIu64 " tls=%" PRIu64,
                       over[SIM_OVER_UDP] + over[SIM_OVER_TCP] + over[SIM_OVER_TLS],
                       over[SIM_OVER_UDP], over[SIM_OVER_TCP], over[SIM_OVER_TLS]);
    }
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

/* What the queries carried and what came of connections. */
static void run_counts(struct sim_region *region, char *rest, char *reply, size_t size)
{
    const struct sim_stats *stats = &region->stats;
    const struct sim_stats_queries *queries = &stats->queries;
    if (*rest != '\0') {
        say_error(reply, size, "counts takes no argument");
        return;
    }
    (void)snprintf(reply, size,
                   "udp=%" PRIu64 " tcp=%" PRIu64 " tls=%" PRIu64 " tcp_connections=%" PRIu64
                   " tls_connections=%" PRIu64 " tls_handshakes=%" PRIu64 " tls_resumed=%" PRIu64
                   " tls_failed=%" PRIu64 " rd=%" PRIu64 " ad=%" PRIu64 " cd=%" PRIu64
                   " do=%" PRIu64 " mixed_case=%" PRIu64 " edns=%" PRIu64 " ecs=%" PRIu64
                   " cookies=%" PRIu64 " server_cookies=%" PRIu64,
                   queries->by_over[SIM_OVER_UDP], queries->by_over[SIM_OVER_TCP],
                   queries->by_over[SIM_OVER_TLS], stats->connections[SIM_OVER_TCP],
                   stats->connections[SIM_OVER_TLS], stats->tls_handshakes, stats->tls_resumed,
                   stats->tls_failed, queries->rd, queries->ad, queries->cd, queries->dnssec_ok,
                   queries->mixed_case, queries->edns, queries->ecs, queries->cookies,
                   queries->server_cookies);
}

static void apply_tricks(struct sim_region *region, char *reply, size_t size)
{
    int rc = sim_dns_apply_tricks(&region->dns);
    if (rc != 0) {
        (void)snprintf(reply, size, "error: dns: %s", uv_strerror(rc));
    }
}

/* A trick for which this region lacks the means; NULL when it has them. */
static const char *find_lack(const struct sim_region *region, const char *rest)
{
    char name[32] = "";
    size_t length = strcspn(rest, " \t");
    if (length < sizeof name) {
        memcpy(name, rest, length);
    }
    enum sim_trick_kind kind = sim_trick_find(name);
    if (kind == SIM_TRICK_WRONGADDRESS && region->dns.elsewhere < 0) {
        return "there is no other address to answer from";
    }
    if (kind >= SIM_TRICK_CERTIFICATE && kind < SIM_TRICKS && !region->dns.has_tls) {
        return "there is no port for TLS, see --tls-dir";
    }
    return NULL;
}

static void run_trick(struct sim_region *region, char *rest, char *reply, size_t size)
{
    const char *wrong = find_lack(region, rest);
    if (wrong == NULL) {
        wrong = sim_trick_set(&region->tricks, rest);
    }
    if (wrong != NULL) {
        say_error(reply, size, wrong);
        return;
    }
    apply_tricks(region, reply, size);
}

static void run_untrick(struct sim_region *region, char *rest, char *reply, size_t size)
{
    enum sim_trick_kind kind = sim_trick_find(rest);
    if (strcmp(rest, "all") == 0) {
        sim_trick_clear(&region->tricks);
    } else if (kind == SIM_TRICKS) {
        say_error(reply, size, "there is no such trick");
        return;
    } else {
        sim_trick_off(&region->tricks, kind);
    }
    apply_tricks(region, reply, size);
}

static void run_tricks(struct sim_region *region, char *rest, char *reply, size_t size)
{
    if (*rest != '\0') {
        say_error(reply, size, "tricks takes no argument");
        return;
    }
    sim_trick_format(&region->tricks, reply, size);
}

static void run_used(struct sim_region *region, char *rest, char *reply, size_t size)
{
    enum sim_trick_kind kind = sim_trick_find(rest);
    if (*rest == '\0') {
        sim_trick_format_used(&region->tricks, reply, size);
    } else if (kind == SIM_TRICKS) {
        say_error(reply, size, "there is no such trick");
    } else {
        (void)snprintf(reply, size, "used=%" PRIu64, region->tricks.slots[kind].used);
    }
}

static void run_reset(struct sim_region *region, char *rest, char *reply, size_t size)
{
    if (*rest != '\0') {
        say_error(reply, size, "reset takes no argument");
        return;
    }
    sim_stats_reset(&region->stats);
    sim_trick_reset(&region->tricks);
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
    { "delete", run_delete }, { "empty", run_empty },       { "undelete", run_undelete },
    { "record", run_record }, { "unrecord", run_unrecord }, { "stats", run_stats },
    { "counts", run_counts }, { "reset", run_reset },       { "status", run_status },
    { "trick", run_trick },   { "untrick", run_untrick },   { "tricks", run_tricks },
    { "used", run_used },     { "log", run_log },           { "quit", run_quit },
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
    if (strcmp(name, "heal") == 0 && (targets & 1u << SIM_DNS) != 0) {
        sim_trick_clear(&region->tricks);
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
