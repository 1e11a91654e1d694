#include "sim_data.h"

#include "sim_fault.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CNAME_HOPS 8

struct sim_record {
    struct sim_record *next;
    struct sim_dname owner;
    uint16_t type;
    bool has_ttl; /* its own */
    uint32_t ttl_s;
    size_t size;
    uint8_t data[512];
};

struct sim_mark {
    struct sim_mark *next;
    struct sim_dname name;
    uint16_t rcode;
};

/* There are no zone cuts in an invented world: the last two labels are the apex. */
static struct sim_dname apex_of(const struct sim_dname *name)
{
    return sim_wire_suffix(name, 2);
}

static void put_under(struct sim_packet *packet, const char *label, const struct sim_dname *apex)
{
    uint8_t length = (uint8_t)strlen(label);
    sim_wire_put(packet, &length, 1);
    sim_wire_put(packet, label, length);
    sim_wire_put_dname(packet, apex);
}

static void put_soa(const struct sim_data *data, enum sim_section section,
                    const struct sim_dname *apex, struct sim_packet *packet)
{
    size_t mark = sim_wire_begin(packet, section, apex, SIM_TYPE_SOA, data->ttl_s);
    put_under(packet, "ns", apex);
    put_under(packet, "hostmaster", apex);
    sim_wire_put32(packet, 2018112201); /* serial */
    sim_wire_put32(packet, 7200);       /* refresh */
    sim_wire_put32(packet, 900);        /* retry */
    sim_wire_put32(packet, 1209600);    /* expire */
    sim_wire_put32(packet, data->has_minimum ? data->minimum_s : data->ttl_s);
    sim_wire_end(packet, mark);
}

void sim_data_deny(const struct sim_data *data, const struct sim_dname *name, uint16_t rcode,
                   struct sim_packet *packet)
{
    struct sim_dname apex = apex_of(name);
    packet->rcode = rcode;
    if (!data->no_soa) {
        put_soa(data, SIM_AUTHORITY, &apex, packet);
    }
}

static void put_data(const struct sim_data *data, const struct sim_dname *name, uint16_t type,
                     const void *bytes, size_t size, struct sim_packet *packet)
{
    size_t mark = sim_wire_begin(packet, SIM_ANSWER, name, type, data->ttl_s);
    sim_wire_put(packet, bytes, size);
    sim_wire_end(packet, mark);
}

static void put_record(const struct sim_data *data, const struct sim_record *record,
                       struct sim_packet *packet)
{
    bool own = record->has_ttl && !data->one_ttl;
    size_t mark = sim_wire_begin(packet, SIM_ANSWER, &record->owner, record->type,
                                 own ? record->ttl_s : data->ttl_s);
    sim_wire_put(packet, record->data, record->size);
    sim_wire_end(packet, mark);
}

static void put_a(const struct sim_data *data, const struct sim_dname *name,
                  struct sim_packet *packet)
{
    uint32_t hash = sim_wire_hash(name->bytes, name->size);
    uint8_t address[4] = { 10, data->index, (uint8_t)(hash >> 8),
                           (uint8_t)(1 + (hash & 0xff) % 254) };
    put_data(data, name, SIM_TYPE_A, address, sizeof address, packet);
}

static void put_aaaa(const struct sim_data *data, const struct sim_dname *name,
                     struct sim_packet *packet)
{
    uint32_t hash = sim_wire_hash(name->bytes, name->size);
    uint8_t address[16] = { 0xfd };
    address[7] = data->index;
    address[14] = (uint8_t)(hash >> 8);
    address[15] = (uint8_t)(1 + (hash & 0xff) % 254);
    put_data(data, name, SIM_TYPE_AAAA, address, sizeof address, packet);
}

static void put_string(struct sim_packet *packet, const char *text, size_t size)
{
    uint8_t length = (uint8_t)size;
    sim_wire_put(packet, &length, 1);
    sim_wire_put(packet, text, size);
}

static void put_txt(const struct sim_data *data, const struct sim_dname *name,
                    struct sim_packet *packet)
{
    size_t mark = sim_wire_begin(packet, SIM_ANSWER, name, SIM_TYPE_TXT, data->ttl_s);
    put_string(packet, data->region, strlen(data->region));
    sim_wire_end(packet, mark);
}

/* Twelve records of 200 bytes: more than any UDP answer carries. */
static void put_big_txt(const struct sim_data *data, const struct sim_dname *name,
                        struct sim_packet *packet)
{
    char filler[200];
    put_txt(data, name, packet);
    for (int i = 0; i < 12; i++) {
        memset(filler, 'a' + i, sizeof filler);
        size_t mark = sim_wire_begin(packet, SIM_ANSWER, name, SIM_TYPE_TXT, data->ttl_s);
        put_string(packet, filler, sizeof filler);
        sim_wire_end(packet, mark);
    }
}

static void put_ns(const struct sim_data *data, const struct sim_dname *apex,
                   struct sim_packet *packet)
{
    size_t mark = sim_wire_begin(packet, SIM_ANSWER, apex, SIM_TYPE_NS, data->ttl_s);
    put_under(packet, "ns", apex);
    sim_wire_end(packet, mark);
}

/* Invent an answer; false when this type does not exist at this name. */
static bool put_invented(const struct sim_data *data, const struct sim_dname *name, uint16_t type,
                         struct sim_packet *packet)
{
    bool is_apex = sim_wire_labels(name) <= 2;
    bool is_big = sim_wire_first_label_is(name, "big");
    if (type == SIM_TYPE_TXT) {
        (is_big ? put_big_txt : put_txt)(data, name, packet);
    } else if ((type == SIM_TYPE_A || type == SIM_TYPE_ANY) && name->size > 1) {
        put_a(data, name, packet);
    } else if (type == SIM_TYPE_AAAA && name->size > 1) {
        put_aaaa(data, name, packet);
    } else if (type == SIM_TYPE_SOA && is_apex) {
        put_soa(data, SIM_ANSWER, name, packet);
    } else if (type == SIM_TYPE_NS && is_apex) {
        put_ns(data, name, packet);
    } else {
        return false;
    }
    return true;
}

static const struct sim_mark *find_mark(const struct sim_data *data, const struct sim_dname *name)
{
    const struct sim_mark *mark = data->marks;
    while (mark != NULL && !sim_wire_same(&mark->name, name)) {
        mark = mark->next;
    }
    return mark;
}

static const struct sim_record *find_record(const struct sim_data *data,
                                            const struct sim_dname *name, uint16_t type)
{
    const struct sim_record *record = data->records;
    while (record != NULL && !(sim_wire_same(&record->owner, name) &&
                               (type == SIM_TYPE_ANY || record->type == type))) {
        record = record->next;
    }
    return record;
}

/* Put the records of this name and type; false when there are none. */
static bool put_records(const struct sim_data *data, const struct sim_dname *name, uint16_t type,
                        struct sim_packet *packet)
{
    bool any = false;
    for (const struct sim_record *r = data->records; r != NULL; r = r->next) {
        if (sim_wire_same(&r->owner, name) && (type == SIM_TYPE_ANY || r->type == type)) {
            put_record(data, r, packet);
            any = true;
        }
    }
    return any;
}

static bool is_denied(const struct sim_data *data, const struct sim_dname *name,
                      uint16_t *out_rcode)
{
    const struct sim_mark *mark = find_mark(data, name);
    if (mark != NULL) {
        *out_rcode = mark->rcode;
    } else if (sim_wire_first_label_is(name, "nx")) {
        *out_rcode = SIM_RCODE_NXDOMAIN;
    } else if (sim_wire_first_label_is(name, "nodata")) {
        *out_rcode = SIM_RCODE_NOERROR;
    } else {
        return false;
    }
    return true;
}

/*
 * One step along a chain of aliases. Returns the CNAME that leads on, or
 * NULL when the answer is complete.
 */
static const struct sim_record *answer_step(const struct sim_data *data,
                                            const struct sim_dname *name, uint16_t type,
                                            struct sim_packet *packet)
{
    uint16_t rcode;
    if (is_denied(data, name, &rcode)) {
        sim_data_deny(data, name, rcode, packet);
        return NULL;
    }
    if (find_record(data, name, SIM_TYPE_ANY) == NULL) {
        if (!put_invented(data, name, type, packet)) {
            sim_data_deny(data, name, SIM_RCODE_NOERROR, packet);
        }
        return NULL;
    }
    if (put_records(data, name, type, packet)) {
        return NULL;
    }
    const struct sim_record *alias = find_record(data, name, SIM_TYPE_CNAME);
    if (alias == NULL) {
        sim_data_deny(data, name, SIM_RCODE_NOERROR, packet);
        return NULL;
    }
    put_record(data, alias, packet);
    return alias;
}

void sim_data_answer(const struct sim_data *data, const struct sim_dname *name, uint16_t type,
                     struct sim_packet *packet)
{
    struct sim_dname at = *name;
    for (int hop = 0; hop < CNAME_HOPS; hop++) {
        const struct sim_record *alias = answer_step(data, &at, type, packet);
        if (alias == NULL) {
            return;
        }
        at.size = alias->size;
        memcpy(at.bytes, alias->data, alias->size);
    }
    packet->rcode = SIM_RCODE_SERVFAIL; /* a loop, or as good as one */
}

void sim_data_answer_wrong(const struct sim_data *data, const struct sim_dname *name, uint16_t type,
                           const void *address4, const void *address6, struct sim_packet *packet)
{
    if (type == SIM_TYPE_A) {
        put_data(data, name, type, address4, 4, packet);
    } else if (type == SIM_TYPE_AAAA) {
        put_data(data, name, type, address6, 16, packet);
    } else {
        sim_data_answer(data, name, type, packet);
    }
}

static bool parse_name_data(struct sim_record *record, const char *text, size_t at)
{
    struct sim_dname target;
    if (!sim_wire_parse_dname(text, &target)) {
        return false;
    }
    memcpy(record->data + at, target.bytes, target.size);
    record->size = at + target.size;
    return true;
}

static bool parse_mx(struct sim_record *record, const char *text)
{
    char digits[8] = "";
    uint32_t preference;
    size_t length = strcspn(text, " ");
    if (length >= sizeof digits || text[length] != ' ') {
        return false;
    }
    memcpy(digits, text, length);
    if (!sim_fault_parse_number(digits, 65535, &preference)) {
        return false;
    }
    record->data[0] = (uint8_t)(preference >> 8);
    record->data[1] = (uint8_t)(preference & 0xff);
    return parse_name_data(record, text + length + 1, 2);
}

static bool parse_txt(struct sim_record *record, const char *text)
{
    size_t size = strlen(text);
    if (size > 255) {
        return false;
    }
    record->data[0] = (uint8_t)size;
    memcpy(record->data + 1, text, size);
    record->size = 1 + size;
    return true;
}

/* "PRIORITY WEIGHT PORT TARGET", RFC 2782 */
static bool parse_srv(struct sim_record *record, const char *text)
{
    char target[256];
    unsigned numbers[3];
    if (sscanf(text, "%5u %5u %5u %255s", &numbers[0], &numbers[1], &numbers[2], target) != 4) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        if (numbers[i] > 65535) {
            return false;
        }
        record->data[2 * i] = (uint8_t)(numbers[i] >> 8);
        record->data[2 * i + 1] = (uint8_t)(numbers[i] & 0xff);
    }
    return parse_name_data(record, target, 6);
}

static bool parse_hex(struct sim_record *record, const char *text)
{
    size_t digits = strlen(text);
    if (digits % 2 != 0 || digits / 2 > sizeof record->data ||
        strspn(text, "0123456789abcdefABCDEF") != digits) {
        return false;
    }
    for (size_t i = 0; i < digits / 2; i++) {
        char pair[3] = { text[2 * i], text[2 * i + 1], '\0' };
        record->data[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    record->size = digits / 2;
    return true;
}

static bool parse_data(struct sim_record *record, const char *text)
{
    switch (record->type) {
    case SIM_TYPE_A:
        record->size = 4;
        return inet_pton(AF_INET, text, record->data) == 1;
    case SIM_TYPE_AAAA:
        record->size = 16;
        return inet_pton(AF_INET6, text, record->data) == 1;
    case SIM_TYPE_TXT:
        return parse_txt(record, text);
    case SIM_TYPE_MX:
        return parse_mx(record, text);
    case SIM_TYPE_SRV:
        return parse_srv(record, text);
    case SIM_TYPE_CNAME:
    case SIM_TYPE_NS:
    case SIM_TYPE_PTR:
        return parse_name_data(record, text, 0);
    default:
        return parse_hex(record, text);
    }
}

static const char *record_parse(struct sim_record *record, const char *name, const char *type,
                                const char *text)
{
    if (!sim_wire_parse_dname(name, &record->owner)) {
        return "that is not a domain name";
    }
    if (!sim_wire_parse_type(type, &record->type)) {
        return "the type must be A, AAAA, CNAME, NS, PTR, TXT, MX, SRV or TYPEn";
    }
    return parse_data(record, text) ? NULL : "the data does not fit the type";
}

/* Append, so that records are answered in the order in which they were given. */
static void record_append(struct sim_data *data, struct sim_record *record)
{
    struct sim_record **end = &data->records;
    while (*end != NULL) {
        end = &(*end)->next;
    }
    *end = record;
    data->count++;
}

const char *sim_data_record(struct sim_data *data, const char *name, const uint32_t *ttl_s,
                            const char *type, const char *text)
{
    if (data->count >= SIM_DATA_MAX) {
        return "there is no room for more records";
    }
    struct sim_record *record = calloc(1, sizeof *record);
    if (record == NULL) {
        return "out of memory";
    }
    const char *wrong = record_parse(record, name, type, text);
    if (wrong != NULL) {
        free(record);
        return wrong;
    }
    record->has_ttl = ttl_s != NULL;
    record->ttl_s = ttl_s != NULL ? *ttl_s : 0;
    record_append(data, record);
    return NULL;
}

bool sim_data_unrecord(struct sim_data *data, const struct sim_dname *name)
{
    bool any = false;
    struct sim_record **at = &data->records;
    while (*at != NULL) {
        struct sim_record *record = *at;
        if (sim_wire_same(&record->owner, name)) {
            *at = record->next;
            free(record);
            data->count--;
            any = true;
        } else {
            at = &record->next;
        }
    }
    return any;
}

bool sim_data_mark(struct sim_data *data, const struct sim_dname *name, uint16_t rcode)
{
    (void)sim_data_unmark(data, name);
    struct sim_mark *mark = data->count < SIM_DATA_MAX ? calloc(1, sizeof *mark) : NULL;
    if (mark == NULL) {
        return false;
    }
    *mark = (struct sim_mark){ .next = data->marks, .name = *name, .rcode = rcode };
    data->marks = mark;
    data->count++;
    return true;
}

bool sim_data_unmark(struct sim_data *data, const struct sim_dname *name)
{
    struct sim_mark **at = &data->marks;
    while (*at != NULL && !sim_wire_same(&(*at)->name, name)) {
        at = &(*at)->next;
    }
    if (*at == NULL) {
        return false;
    }
    struct sim_mark *mark = *at;
    *at = mark->next;
    free(mark);
    data->count--;
    return true;
}

void sim_data_fini(struct sim_data *data)
{
    while (data->records != NULL) {
        struct sim_record *record = data->records;
        data->records = record->next;
        free(record);
    }
    while (data->marks != NULL) {
        struct sim_mark *mark = data->marks;
        data->marks = mark->next;
        free(mark);
    }
    data->count = 0;
}
