#pragma once
/*
 * sim_fault - what is wrong with one endpoint of the region
 *
 * Plain data without sockets. An endpoint has at most one mode (dead,
 * silent, lying, ...); slowness, loss and the shape of HTTP answers are
 * kept beside it and add to it. `heal` clears them all.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum sim_target {
    SIM_DNS,
    SIM_HTTP,
    SIM_TCP,
    SIM_TARGETS
};

enum sim_mode {
    SIM_HEALTHY,
    SIM_DIE,       /* sockets refuse */
    SIM_BLACKHOLE, /* sockets are silent, TCP does not even connect */
    SIM_FLAP,      /* dies and heals by turns */
    SIM_HANG,      /* TCP connects, nothing is answered */
    SIM_GARBAGE,   /* random bytes instead of an answer */
    SIM_SERVFAIL,
    SIM_REFUSED,
    SIM_NXDOMAIN,
    SIM_NODATA,
    SIM_WRONG,         /* another address than the right one */
    SIM_WRONGID,       /* another message id */
    SIM_WRONGQUESTION, /* the answer to another question */
    SIM_WRONGSOURCE,   /* the answer comes from another port */
    SIM_POISON,        /* records nobody asked for are added */
    SIM_TRUNCATE,      /* TC in every UDP answer */
};

/* How the sockets of an endpoint meet a stranger. */
enum sim_reach {
    SIM_OPEN,
    SIM_REFUSING,
    SIM_SILENT
};

struct sim_fault {
    enum sim_mode mode;
    bool flap_down;         /* SIM_FLAP: in its dead half */
    uint32_t flap_ms;       /* SIM_FLAP: length of each half */
    uint32_t slow_ms;       /* added to every answer */
    uint32_t lossy_percent; /* share of answers that is not given */
    uint32_t status;        /* HTTP status, 0: 200 */
    char body[512];         /* HTTP body, "": the usual one */
    struct in_addr wrong4;  /* SIM_WRONG: what A says */
    struct in6_addr wrong6; /* SIM_WRONG: what AAAA says */
    uint64_t random;        /* state of the generator, survives healing */
};

/* A healthy endpoint; `seed` fixes all its random choices to come. */
void sim_fault_init(struct sim_fault *fault, uint64_t seed);

/*
 * Change the fault of `target` as said by the word `name` and its argument
 * (NULL: none). Returns NULL or a sentence on what is wrong with the words;
 * then nothing has changed.
 */
const char *sim_fault_set(struct sim_fault *fault, enum sim_target target, const char *name,
                          const char *argument);

/* How the sockets behave under this fault at this moment. */
enum sim_reach sim_fault_reach(const struct sim_fault *fault);

/* Decide whether the answer about to be given is lost. Draws a number only under `lossy`. */
bool sim_fault_loses(struct sim_fault *fault);

/* The next number of the endpoint's generator. */
uint64_t sim_fault_random(struct sim_fault *fault);

/* Fill `bytes` with between 1 and `max` random bytes; returns how many. */
size_t sim_fault_garbage(struct sim_fault *fault, uint8_t *bytes, size_t max);

/* Write a word such as "healthy", "blackhole,slow=200" for people to read. */
void sim_fault_format(const struct sim_fault *fault, char *text, size_t size);

/* Parse "250", "250ms" or "2s" to milliseconds, at most a day. */
bool sim_fault_parse_ms(const char *text, uint32_t *out_ms);

/* Parse a decimal number of at most `max`, with nothing after it. */
bool sim_fault_parse_number(const char *text, uint32_t max, uint32_t *out_number);

/* "dns", "http" or "tcp". */
const char *sim_fault_target_name(enum sim_target target);
