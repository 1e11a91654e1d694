#include "sim_fault.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DAY_MS  (24u * 60 * 60 * 1000)
#define FOR_DNS (1u << SIM_DNS)
#define FOR_ALL (1u << SIM_DNS | 1u << SIM_HTTP | 1u << SIM_TCP)

struct mode_word {
    const char *name;
    enum sim_mode mode;
    unsigned targets;
};

static const struct mode_word modes[] = {
    { "die", SIM_DIE, FOR_ALL },
    { "blackhole", SIM_BLACKHOLE, FOR_ALL },
    { "flap", SIM_FLAP, FOR_ALL },
    { "hang", SIM_HANG, FOR_ALL },
    { "garbage", SIM_GARBAGE, FOR_ALL },
    { "servfail", SIM_SERVFAIL, FOR_DNS },
    { "refused", SIM_REFUSED, FOR_DNS },
    { "nxdomain", SIM_NXDOMAIN, FOR_DNS },
    { "nodata", SIM_NODATA, FOR_DNS },
    { "wrong", SIM_WRONG, FOR_DNS },
    { "wrongid", SIM_WRONGID, FOR_DNS },
    { "wrongquestion", SIM_WRONGQUESTION, FOR_DNS },
    { "wrongsource", SIM_WRONGSOURCE, FOR_DNS },
    { "poison", SIM_POISON, FOR_DNS },
    { "truncate", SIM_TRUNCATE, FOR_DNS },
};

#define MODE_COUNT (sizeof modes / sizeof modes[0])

const char *sim_fault_target_name(enum sim_target target)
{
    static const char *const names[SIM_TARGETS] = { "dns", "http", "tcp" };
    return names[target];
}

bool sim_fault_parse_number(const char *text, uint32_t max, uint32_t *out_number)
{
    char *end;
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return false;
    }
    unsigned long long number = strtoull(text, &end, 10);
    if (*end != '\0' || number > max) {
        return false;
    }
    *out_number = (uint32_t)number;
    return true;
}

bool sim_fault_parse_ms(const char *text, uint32_t *out_ms)
{
    char digits[16];
    uint32_t number;
    if (text == NULL) {
        return false;
    }
    size_t length = strspn(text, "0123456789");
    if (length >= sizeof digits) {
        return false;
    }
    memcpy(digits, text, length);
    digits[length] = '\0';
    const char *unit = text + length;
    uint32_t factor = strcmp(unit, "s") == 0 ? 1000 : 1;
    if (factor == 1 && *unit != '\0' && strcmp(unit, "ms") != 0) {
        return false;
    }
    if (!sim_fault_parse_number(digits, DAY_MS / factor, &number)) {
        return false;
    }
    *out_ms = number * factor;
    return true;
}

static void clear(struct sim_fault *fault)
{
    *fault = (struct sim_fault){ .random = fault->random };
    inet_pton(AF_INET, "192.0.2.66", &fault->wrong4);
    inet_pton(AF_INET6, "2001:db8::66", &fault->wrong6);
}

void sim_fault_init(struct sim_fault *fault, uint64_t seed)
{
    fault->random = seed;
    clear(fault);
}

static const char *set_flap(struct sim_fault *fault, const char *argument)
{
    uint32_t ms;
    if (!sim_fault_parse_ms(argument, &ms) || ms == 0) {
        return "flap needs the length of each half in milliseconds";
    }
    fault->mode = SIM_FLAP;
    fault->flap_ms = ms;
    fault->flap_down = true;
    return NULL;
}

static const char *set_wrong(struct sim_fault *fault, const char *argument)
{
    struct in_addr address4;
    struct in6_addr address6;
    if (argument == NULL) {
        fault->mode = SIM_WRONG;
    } else if (inet_pton(AF_INET, argument, &address4) == 1) {
        fault->mode = SIM_WRONG;
        fault->wrong4 = address4;
    } else if (inet_pton(AF_INET6, argument, &address6) == 1) {
        fault->mode = SIM_WRONG;
        fault->wrong6 = address6;
    } else {
        return "wrong takes an IPv4 or IPv6 address, or nothing";
    }
    return NULL;
}

static const char *set_mode(struct sim_fault *fault, const struct mode_word *word,
                            enum sim_target target, const char *argument)
{
    if ((word->targets & 1u << target) == 0) {
        return "that is a fault of dns only";
    }
    if (word->mode == SIM_FLAP) {
        return set_flap(fault, argument);
    }
    if (word->mode == SIM_WRONG) {
        return set_wrong(fault, argument);
    }
    if (argument != NULL) {
        return "that fault takes no argument";
    }
    fault->mode = word->mode;
    return NULL;
}

static const char *set_status(struct sim_fault *fault, const char *argument)
{
    uint32_t status;
    if (!sim_fault_parse_number(argument, 599, &status) || status < 200) {
        return "status needs a number from 200 to 599";
    }
    fault->status = status;
    return NULL;
}

static const char *set_body(struct sim_fault *fault, const char *argument)
{
    if (argument != NULL && strlen(argument) >= sizeof fault->body) {
        return "body is longer than 511 bytes";
    }
    fault->body[0] = '\0';
    if (argument != NULL) {
        strcpy(fault->body, argument);
    }
    return NULL;
}

static const char *set_shape(struct sim_fault *fault, enum sim_target target, const char *name,
                             const char *argument)
{
    if (strcmp(name, "slow") == 0) {
        return sim_fault_parse_ms(argument, &fault->slow_ms) ? NULL : "slow needs milliseconds";
    }
    if (strcmp(name, "lossy") == 0) {
        bool good = sim_fault_parse_number(argument, 100, &fault->lossy_percent);
        return good ? NULL : "lossy needs a percentage from 0 to 100";
    }
    bool is_status = strcmp(name, "status") == 0;
    if (!is_status && strcmp(name, "body") != 0) {
        return "unknown fault";
    }
    if (target != SIM_HTTP) {
        return "that is a fault of http only";
    }
    return is_status ? set_status(fault, argument) : set_body(fault, argument);
}

const char *sim_fault_set(struct sim_fault *fault, enum sim_target target, const char *name,
                          const char *argument)
{
    if (strcmp(name, "heal") == 0) {
        if (argument != NULL) {
            return "heal takes no argument";
        }
        clear(fault);
        return NULL;
    }
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (strcmp(name, modes[i].name) == 0) {
            return set_mode(fault, &modes[i], target, argument);
        }
    }
    return set_shape(fault, target, name, argument);
}

enum sim_reach sim_fault_reach(const struct sim_fault *fault)
{
    if (fault->mode == SIM_DIE || (fault->mode == SIM_FLAP && fault->flap_down)) {
        return SIM_REFUSING;
    }
    return fault->mode == SIM_BLACKHOLE ? SIM_SILENT : SIM_OPEN;
}

/*
 * A 64-bit counter stepped by an odd constant (2^64 divided by the golden
 * ratio) and stirred twice. Small, and the same on every machine.
 */
uint64_t sim_fault_random(struct sim_fault *fault)
{
    uint64_t x = fault->random += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    x = (x ^ x >> 32) * 0xd6e8feb86659fd93u;
    return x ^ x >> 32;
}

bool sim_fault_loses(struct sim_fault *fault)
{
    return fault->lossy_percent > 0 && sim_fault_random(fault) % 100 < fault->lossy_percent;
}

size_t sim_fault_garbage(struct sim_fault *fault, uint8_t *bytes, size_t max)
{
    size_t size = 1 + (size_t)(sim_fault_random(fault) % max);
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(sim_fault_random(fault) & 0xff);
    }
    return size;
}

static const char *mode_name(enum sim_mode mode)
{
    for (size_t i = 0; i < MODE_COUNT; i++) {
        if (modes[i].mode == mode) {
            return modes[i].name;
        }
    }
    return "healthy";
}

void sim_fault_format(const struct sim_fault *fault, char *text, size_t size)
{
    char slow[32] = "";
    char lossy[32] = "";
    char status[32] = "";
    if (fault->slow_ms > 0) {
        (void)snprintf(slow, sizeof slow, ",slow=%u", fault->slow_ms);
    }
    if (fault->lossy_percent > 0) {
        (void)snprintf(lossy, sizeof lossy, ",lossy=%u", fault->lossy_percent);
    }
    if (fault->status > 0) {
        (void)snprintf(status, sizeof status, ",status=%u", fault->status);
    }
    (void)snprintf(text, size, "%s%s%s%s%s", mode_name(fault->mode), slow, lossy, status,
                   fault->body[0] != '\0' ? ",body" : "");
}
