#pragma once
/*
 * sim_data - what the region's resolver knows
 *
 * Every name exists and has addresses computed from it, unless a record, a
 * deletion or its first label says otherwise. Loop thread only.
 */
#include "sim_wire.h"

/* Records, and names deleted or emptied, that one region holds at most. */
#define SIM_DATA_MAX 1024

struct sim_record;
struct sim_mark;

struct sim_data {
    const char *region; /* its name, for TXT; not owned */
    uint8_t index;      /* second byte of its addresses */
    uint32_t ttl_s;
    bool one_ttl;       /* ttl_s is that of records with their own, too */
    bool has_minimum;   /* minimum_s is that of the SOA, else ttl_s was meant */
    bool no_soa;        /* negative answers lack it */
    uint32_t minimum_s; /* RFC 2308, section 4 */
    unsigned count;
    struct sim_record *records;
    struct sim_mark *marks;
};

/* Write rcode and records for `name` and `type` into a packet just started. */
void sim_data_answer(const struct sim_data *data, const struct sim_dname *name, uint16_t type,
                     struct sim_packet *packet);

/* The same, but every address is the one given: four and sixteen bytes. */
void sim_data_answer_wrong(const struct sim_data *data, const struct sim_dname *name, uint16_t type,
                           const void *address4, const void *address6, struct sim_packet *packet);

/* A negative answer with the SOA of the name's apex. */
void sim_data_deny(const struct sim_data *data, const struct sim_dname *name, uint16_t rcode,
                   struct sim_packet *packet);

/*
 * Add a record given as text; `ttl_s` NULL means that of all. TYPE is A,
 * AAAA, CNAME, NS, PTR, TXT, MX, SRV or TYPEn with its data in hexadecimal
 * digits. Returns NULL or a sentence on what is wrong.
 */
const char *sim_data_record(struct sim_data *data, const char *name, const uint32_t *ttl_s,
                            const char *type, const char *text);

/* Remove the records of `name`; false when there were none. */
bool sim_data_unrecord(struct sim_data *data, const struct sim_dname *name);

/*
 * Make `name` answer with `rcode` and no data: NXDOMAIN deletes it, NOERROR
 * empties it. False when there is no room for more such names.
 */
bool sim_data_mark(struct sim_data *data, const struct sim_dname *name, uint16_t rcode);

/* Take the mark of `name` away; false when it had none. */
bool sim_data_unmark(struct sim_data *data, const struct sim_dname *name);

/* Free everything. */
void sim_data_fini(struct sim_data *data);
