#include "sim_forge.h"

#include <stdio.h>
#include <string.h>

#define HEADER_SIZE 12

static struct sim_dname name_of(const char *format, unsigned number)
{
    char text[64];
    struct sim_dname name = { 0 };
    (void)snprintf(text, sizeof text, format, number);
    (void)sim_wire_parse_dname(text, &name);
    return name;
}

static void put_name_record(const struct sim_data *data, const struct sim_dname *owner,
                            uint16_t type, const struct sim_dname *target,
                            struct sim_packet *packet)
{
    size_t mark = sim_wire_begin(packet, SIM_ANSWER, owner, type, data->ttl_s);
    sim_wire_put_dname(packet, target);
    sim_wire_end(packet, mark);
}

void sim_forge_chain(const struct sim_data *data, const struct sim_query *query, uint32_t hops,
                     bool unfinished, struct sim_packet *packet)
{
    struct sim_dname at = query->qname;
    for (uint32_t i = 1; i <= hops; i++) {
        struct sim_dname next = name_of("hop%u.chain.example", i);
        put_name_record(data, &at, SIM_TYPE_CNAME, &next, packet);
        at = next;
    }
    if (!unfinished) {
        sim_data_answer(data, &at, query->type, packet);
    }
}

void sim_forge_loop(const struct sim_data *data, const struct sim_query *query, uint32_t hops,
                    struct sim_packet *packet)
{
    struct sim_dname at = query->qname;
    for (uint32_t i = 1; i < hops; i++) {
        struct sim_dname next = name_of("hop%u.loop.example", i);
        put_name_record(data, &at, SIM_TYPE_CNAME, &next, packet);
        at = next;
    }
    put_name_record(data, &at, SIM_TYPE_CNAME, &query->qname, packet);
}

void sim_forge_dname(const struct sim_data *data, const struct sim_query *query, bool unfinished,
                     struct sim_packet *packet)
{
    struct sim_dname moved = name_of("moved.example", 0);
    unsigned labels = sim_wire_labels(&query->qname);
    struct sim_dname parent = sim_wire_suffix(&query->qname, labels > 0 ? labels - 1 : 0);
    struct sim_dname target = { .size = query->qname.size - parent.size };
    memcpy(target.bytes, query->qname.bytes, target.size);
    memcpy(target.bytes + target.size, moved.bytes, moved.size);
    target.size += moved.size;
    put_name_record(data, &parent, SIM_TYPE_DNAME, &moved, packet);
    put_name_record(data, &query->qname, SIM_TYPE_CNAME, &target, packet);
    if (!unfinished) {
        sim_data_answer(data, &target, query->type, packet);
    }
}

void sim_forge_many(const struct sim_data *data, const struct sim_query *query, uint32_t count,
                    struct sim_packet *packet)
{
    uint8_t address[16] = { 10, data->index };
    bool is_long = query->type == SIM_TYPE_AAAA;
    address[0] = is_long ? 0xfd : 10;
    for (uint32_t i = 0; i < count; i++) {
        size_t mark = sim_wire_begin(packet, SIM_ANSWER, &query->qname,
                                     is_long ? SIM_TYPE_AAAA : SIM_TYPE_A, data->ttl_s);
        uint8_t *end = address + (is_long ? 16 : 4);
        end[-2] = (uint8_t)(i >> 8);
        end[-1] = (uint8_t)(i & 0xff);
        sim_wire_put(packet, address, is_long ? 16 : 4);
        sim_wire_end(packet, mark);
    }
}

void sim_forge_text(const struct sim_data *data, const struct sim_query *query, uint32_t kib,
                    struct sim_packet *packet)
{
    uint8_t string[256];
    memset(string, 't', sizeof string);
    string[0] = 255;
    size_t mark = sim_wire_begin(packet, SIM_ANSWER, &query->qname, SIM_TYPE_TXT, data->ttl_s);
    for (uint32_t i = 0; i < 4 * kib; i++) {
        sim_wire_put(packet, string, sizeof string);
    }
    sim_wire_end(packet, mark);
}

static void put_attack(const struct sim_data *data, enum sim_section section, const char *owner,
                       struct sim_packet *packet)
{
    static const uint8_t address[4] = { 192, 0, 2, 66 };
    struct sim_dname name;
    (void)sim_wire_parse_dname(owner, &name);
    size_t mark = sim_wire_begin(packet, section, &name, SIM_TYPE_A, data->ttl_s);
    sim_wire_put(packet, address, sizeof address);
    sim_wire_end(packet, mark);
}

void sim_forge_foreign(const struct sim_data *data, enum sim_foreign where,
                       struct sim_packet *packet)
{
    bool all = where == SIM_FOREIGN_ALL;
    /* Sections come in order: an answer that has an authority section is beyond its answers. */
    if ((all || where == SIM_FOREIGN_ANSWER) && packet->counts[SIM_AUTHORITY] == 0) {
        put_attack(data, SIM_ANSWER, "www.bank.example", packet);
    }
    if (all || where == SIM_FOREIGN_AUTHORITY) {
        struct sim_dname owner = name_of("bank.example", 0);
        struct sim_dname server = name_of("ns.attacker.example", 0);
        size_t mark = sim_wire_begin(packet, SIM_AUTHORITY, &owner, SIM_TYPE_NS, data->ttl_s);
        sim_wire_put_dname(packet, &server);
        sim_wire_end(packet, mark);
    }
    if (all || where == SIM_FOREIGN_ADDITIONAL) {
        put_attack(data, SIM_ADDITIONAL, "ns.attacker.example", packet);
        put_attack(data, SIM_ADDITIONAL, "www.bank.example", packet);
    }
}

static bool malform_record(enum sim_malformed how, const struct sim_query *query,
                           struct sim_packet *packet)
{
    size_t at = HEADER_SIZE + query->question_size;
    if (packet->counts[SIM_ANSWER] == 0) {
        return false;
    }
    if (how == SIM_MALFORMED_POINTER) {
        packet->bytes[at] = (uint8_t)(0xc0 | at >> 8);
        packet->bytes[at + 1] = (uint8_t)(at & 0xff);
        return true;
    }
    while (packet->bytes[at] != 0 && packet->bytes[at] < 0xc0) {
        at += 1u + packet->bytes[at];
    }
    at += (packet->bytes[at] == 0 ? 1 : 2) + 8u;
    packet->bytes[at] = 0xff;
    packet->bytes[at + 1] = 0xff;
    return true;
}

bool sim_forge_malform(enum sim_malformed how, const struct sim_query *query,
                       struct sim_packet *packet)
{
    switch (how) {
    case SIM_MALFORMED_CUT:
        packet->size -= (packet->size - HEADER_SIZE) / 2;
        return true;
    case SIM_MALFORMED_COUNTS:
        packet->bytes[6] = 0xff;
        return true;
    case SIM_MALFORMED_TRAILING:
        sim_wire_put(packet, "garbage", 7);
        return true;
    default:
        return malform_record(how, query, packet);
    }
}
