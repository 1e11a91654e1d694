#include "sim_answer.h"

#include "sim_forge.h"
#include "sim_region.h"

#include <string.h>

#define STREAM_LIMIT 65535
#define UDP_MAX      65507 /* what a datagram over IPv4 holds */
#define GARBAGE_MAX  512
#define HEADER_SIZE  12
#define FLAG_QR      0x80 /* in the third byte */
#define FLAG_TC      0x02

/* What one message is made from: honest and forged ones share the builder. */
struct build {
    struct sim_answer *answer;
    struct sim_asked *asked;
    struct sim_query query; /* that is answered; lies may have changed it */
    struct sim_data data;   /* the region's, seen through tricks; its lists are shared */
    enum sim_mode mode;
    bool no_opt; /* whatever the query had */
    const struct sockaddr_storage *peer;
    struct sim_packet *packet;
};

static struct sim_tricks *tricks_of(struct sim_answer *answer)
{
    return &answer->region->tricks;
}

static bool fits(struct build *build, enum sim_trick_kind kind)
{
    return sim_trick_fits(tricks_of(build->answer), kind, build->asked);
}

static bool use(struct build *build, enum sim_trick_kind kind)
{
    return sim_trick_use(tricks_of(build->answer), kind, build->asked);
}

static uint32_t number(const struct build *build, enum sim_trick_kind kind)
{
    return sim_trick_number(&build->answer->region->tricks, kind);
}

static void set_question(struct sim_query *query)
{
    memcpy(query->question, query->qname.bytes, query->qname.size);
    uint8_t *end = query->question + query->qname.size;
    end[0] = (uint8_t)(query->type >> 8);
    end[1] = (uint8_t)(query->type & 0xff);
    end[2] = 0;
    end[3] = 1;
    query->question_size = query->qname.size + 4;
}

/* Turn the query into another one, which is then answered honestly. */
static void bend_query(struct build *build)
{
    struct sim_query *query = &build->query;
    if (build->mode == SIM_WRONGID || use(build, SIM_TRICK_WRONGID)) {
        query->id ^= 0x5555;
    }
    if (query->question_size == 0) {
        return;
    }
    if (build->mode == SIM_WRONGQUESTION || use(build, SIM_TRICK_WRONGNAME)) {
        (void)sim_wire_parse_dname("wrong.question.invalid", &query->qname);
        set_question(query);
    }
    if (use(build, SIM_TRICK_WRONGTYPE)) {
        query->type = query->type == SIM_TYPE_A ? SIM_TYPE_AAAA : SIM_TYPE_A;
        set_question(query);
    }
    if (query->mixed_case && use(build, SIM_TRICK_FOLDCASE)) {
        set_question(query);
    }
    if (use(build, SIM_TRICK_NOQUESTION)) {
        query->question_size = 0;
    }
}

static void bend_data(struct build *build)
{
    struct sim_data *data = &build->data;
    if (use(build, SIM_TRICK_TTL)) {
        data->has_minimum = true; /* the TTL alone is a lie */
        data->minimum_s = data->ttl_s;
        data->ttl_s = number(build, SIM_TRICK_TTL);
        data->one_ttl = true;
    }
    if (use(build, SIM_TRICK_MINIMUM)) {
        data->has_minimum = true;
        data->minimum_s = number(build, SIM_TRICK_MINIMUM);
    }
    data->no_soa = use(build, SIM_TRICK_NOSOA);
}

/* The records of a trick; false when none fits. */
static bool put_tricky(struct build *build)
{
    const struct sim_query *query = &build->query;
    if (use(build, SIM_TRICK_NXDOMAIN)) {
        sim_data_deny(&build->data, &query->qname, SIM_RCODE_NXDOMAIN, build->packet);
    } else if (use(build, SIM_TRICK_NODATA)) {
        sim_data_deny(&build->data, &query->qname, SIM_RCODE_NOERROR, build->packet);
    } else if (use(build, SIM_TRICK_CHAIN)) {
        sim_forge_chain(&build->data, query, number(build, SIM_TRICK_CHAIN),
                        use(build, SIM_TRICK_UNFINISHED), build->packet);
    } else if (use(build, SIM_TRICK_LOOP)) {
        sim_forge_loop(&build->data, query, number(build, SIM_TRICK_LOOP), build->packet);
    } else if (use(build, SIM_TRICK_DNAME)) {
        sim_forge_dname(&build->data, query, use(build, SIM_TRICK_UNFINISHED), build->packet);
    } else if (use(build, SIM_TRICK_MANY)) {
        sim_forge_many(&build->data, query, number(build, SIM_TRICK_MANY), build->packet);
    } else if (use(build, SIM_TRICK_TEXT)) {
        sim_forge_text(&build->data, query, number(build, SIM_TRICK_TEXT), build->packet);
    } else {
        return false;
    }
    return true;
}

static void put_by_mode(struct build *build)
{
    const struct sim_query *query = &build->query;
    const struct sim_fault *fault = &build->answer->region->faults[SIM_DNS];
    switch (build->mode) {
    case SIM_SERVFAIL:
        build->packet->rcode = SIM_RCODE_SERVFAIL;
        break;
    case SIM_REFUSED:
        build->packet->rcode = SIM_RCODE_REFUSED;
        break;
    case SIM_NXDOMAIN:
        sim_data_deny(&build->data, &query->qname, SIM_RCODE_NXDOMAIN, build->packet);
        break;
    case SIM_NODATA:
        sim_data_deny(&build->data, &query->qname, SIM_RCODE_NOERROR, build->packet);
        break;
    case SIM_WRONG:
        sim_data_answer_wrong(&build->data, &query->qname, query->type, &fault->wrong4,
                              &fault->wrong6, build->packet);
        break;
    default:
        sim_data_answer(&build->data, &query->qname, query->type, build->packet);
        break;
    }
}

static void put_records(struct build *build)
{
    bend_data(build);
    if (!put_tricky(build)) {
        put_by_mode(build);
    }
    if (build->mode == SIM_POISON) {
        sim_forge_foreign(&build->data, SIM_FOREIGN_ALL, build->packet);
    }
    if (use(build, SIM_TRICK_FOREIGN)) {
        sim_forge_foreign(&build->data, (enum sim_foreign)number(build, SIM_TRICK_FOREIGN),
                          build->packet);
    }
}

/* True when cookies are the reason for an rcode of their own. RFC 7873, section 5.2 */
static bool has_cookie_rcode(struct build *build, uint16_t *out_rcode)
{
    enum sim_cookie cookie = sim_edns_cookie(tricks_of(build->answer), &build->query, build->peer);
    if (cookie == SIM_COOKIE_MALFORMED && fits(build, SIM_TRICK_COOKIES)) {
        *out_rcode = SIM_RCODE_FORMERR;
        return true;
    }
    bool always = number(build, SIM_TRICK_BADCOOKIE) == SIM_BADCOOKIE_ALWAYS;
    /* Over TCP the client's address is proved already. */
    bool wants = cookie == SIM_COOKIE_CLIENT && build->asked->over == SIM_OVER_UDP;
    if (cookie < SIM_COOKIE_CLIENT || (!wants && !always) || !use(build, SIM_TRICK_BADCOOKIE)) {
        return false;
    }
    *out_rcode = SIM_RCODE_BADCOOKIE;
    return true;
}

/* An rcode without records that a trick gives instead of an answer. */
static bool has_trick_rcode(struct build *build, uint16_t *out_rcode)
{
    if (build->query.edns && use(build, SIM_TRICK_EDNSFORMERR)) {
        build->no_opt = true; /* as a server that never heard of it */
        *out_rcode = SIM_RCODE_FORMERR;
    } else if (build->query.edns && use(build, SIM_TRICK_EDNSBADVERS)) {
        *out_rcode = SIM_RCODE_BADVERS;
    } else if (use(build, SIM_TRICK_RCODE)) {
        *out_rcode = (uint16_t)number(build, SIM_TRICK_RCODE);
    } else {
        return has_cookie_rcode(build, out_rcode);
    }
    return true;
}

static size_t limit_of(struct build *build)
{
    if (build->asked->over != SIM_OVER_UDP) {
        return STREAM_LIMIT;
    }
    size_t size = build->query.udp_size;
    size_t limit = size < SIM_EDNS_SIZE ? size : SIM_EDNS_SIZE;
    bool is_long = build->packet->size > limit;
    return is_long && use(build, SIM_TRICK_OVERSIZE) ? UDP_MAX : limit;
}

static void finish(struct build *build)
{
    struct sim_packet *packet = build->packet;
    struct sim_opt opt = { 0 };
    bool over_udp = build->asked->over == SIM_OVER_UDP;
    bool keeps = number(build, SIM_TRICK_TRUNCATE) == SIM_TRUNCATE_FULL;
    bool tricked = (over_udp || keeps) && use(build, SIM_TRICK_TRUNCATE);
    bool empties = (tricked && !keeps) || (over_udp && build->mode == SIM_TRUNCATE);
    if (!build->no_opt) {
        sim_edns_build(tricks_of(build->answer), build->asked, build->peer, packet->rcode, &opt);
    }
    sim_wire_finish(packet, &build->query, &opt, limit_of(build), empties);
    if (tricked) {
        packet->bytes[2] |= FLAG_TC;
    }
    if (use(build, SIM_TRICK_NOREPLYBIT)) {
        packet->bytes[2] &= (uint8_t)~FLAG_QR;
    }
    if (fits(build, SIM_TRICK_MALFORMED) &&
        sim_forge_malform((enum sim_malformed)number(build, SIM_TRICK_MALFORMED), &build->query,
                          packet)) {
        (void)use(build, SIM_TRICK_MALFORMED);
    }
}

/* `rcode` is what the query itself has earned. */
static void build_message(struct build *build, uint16_t rcode)
{
    bend_query(build);
    uint16_t instead = rcode;
    bool has_rcode = rcode != SIM_RCODE_NOERROR || has_trick_rcode(build, &instead);
    sim_wire_start(build->packet, &build->query);
    if (has_rcode) {
        build->packet->rcode = instead;
    } else {
        put_records(build);
    }
    finish(build);
}

/* Bytes that are no message at all; false when no trick makes them. */
static bool put_rubbish(struct build *build)
{
    struct sim_packet *packet = build->packet;
    struct sim_fault *fault = &build->answer->region->faults[SIM_DNS];
    if (build->mode == SIM_GARBAGE || use(build, SIM_TRICK_GARBAGE)) {
        packet->size = sim_fault_garbage(fault, packet->bytes, GARBAGE_MAX);
    } else if (use(build, SIM_TRICK_EMPTY)) {
        packet->size = 0;
    } else if (use(build, SIM_TRICK_HEADER)) {
        build->query.question_size = 0;
        sim_wire_start(packet, &build->query);
    } else {
        return false;
    }
    return true;
}

static struct build begin(struct sim_answer *answer, struct sim_asked *asked,
                          const struct sockaddr_storage *peer, struct sim_packet *packet)
{
    return (struct build){
        .answer = answer,
        .asked = asked,
        .query = answer->query,
        .data = answer->region->data,
        .mode = answer->region->faults[SIM_DNS].mode,
        .peer = peer,
        .packet = packet,
    };
}

static struct sim_part *add_part(struct sim_answer *answer, const struct sim_packet *packet,
                                 uint32_t delay_ms)
{
    const struct sim_region *region = answer->region;
    struct sim_part *part = &answer->parts[answer->part_count++];
    *part = (struct sim_part){ .packet = packet };
    part->delay_ms = region->delay_ms + region->faults[SIM_DNS].slow_ms + delay_ms;
    return part;
}

/* What a healthy server would have said. */
static void add_honest(struct sim_answer *answer, const struct sockaddr_storage *peer,
                       uint16_t rcode, uint32_t delay_ms)
{
    struct sim_asked asked = answer->asked;
    asked.honest = true;
    struct build build = begin(answer, &asked, peer, &answer->honest);
    build.mode = SIM_HEALTHY;
    build_message(&build, rcode);
    add_part(answer, &answer->honest, delay_ms);
}

/* The answer of somebody who guesses ids: all is right but them and the address. */
static void add_guesses(struct sim_answer *answer, const struct sockaddr_storage *peer,
                        uint32_t count)
{
    struct sim_asked asked = answer->asked;
    asked.honest = true;
    struct build build = begin(answer, &asked, peer, &answer->forged);
    build.mode = SIM_WRONG;
    build_message(&build, SIM_RCODE_NOERROR);
    add_part(answer, &answer->forged, 0)->guesses = count;
}

static enum sim_source pick_source(struct build *build)
{
    if (build->mode == SIM_WRONGSOURCE || use(build, SIM_TRICK_WRONGPORT)) {
        return SIM_SOURCE_PORT;
    }
    return use(build, SIM_TRICK_WRONGADDRESS) ? SIM_SOURCE_ADDRESS : SIM_SOURCE_RIGHT;
}

/* Keep what is said now for `previous`, and add what was said before. */
static bool add_previous(struct build *build, uint32_t delay_ms)
{
    struct sim_answer *answer = build->answer;
    answer->spare.size = answer->earlier.size;
    memcpy(answer->spare.bytes, answer->earlier.bytes, answer->earlier.size);
    answer->earlier.size = build->packet->size;
    memcpy(answer->earlier.bytes, build->packet->bytes, build->packet->size);
    if (answer->spare.size == 0 || !use(build, SIM_TRICK_PREVIOUS)) {
        return false;
    }
    add_part(answer, &answer->spare, delay_ms);
    return number(build, SIM_TRICK_PREVIOUS) == SIM_PREVIOUS_INSTEAD;
}

static void add_parts(struct build *build, uint16_t rcode)
{
    struct sim_answer *answer = build->answer;
    unsigned played = build->asked->used;
    bool is_rubbish = put_rubbish(build);
    if (!is_rubbish) {
        build_message(build, rcode);
    }
    enum sim_source source = pick_source(build);
    uint32_t delay_ms = 0;
    if (!is_rubbish && rcode == SIM_RCODE_NOERROR && use(build, SIM_TRICK_GUESSES)) {
        add_guesses(answer, build->peer, number(build, SIM_TRICK_GUESSES));
    }
    bool instead = add_previous(build, delay_ms);
    bool lied = build->asked->used != played;
    if (use(build, SIM_TRICK_DELAY)) {
        delay_ms = number(build, SIM_TRICK_DELAY);
    }
    if (!instead) {
        add_part(answer, build->packet, delay_ms)->source = source;
    }
    if (lied && use(build, SIM_TRICK_HONEST)) {
        add_honest(answer, build->peer, rcode, delay_ms + number(build, SIM_TRICK_HONEST));
    } else if (use(build, SIM_TRICK_DUPLICATE)) {
        uint32_t later_ms = delay_ms + number(build, SIM_TRICK_DUPLICATE);
        add_part(answer, build->packet, later_ms)->source = source;
    }
}

static bool loses(struct build *build)
{
    struct sim_fault *fault = &build->answer->region->faults[SIM_DNS];
    return fits(build, SIM_TRICK_LOSE) &&
           sim_fault_random(fault) % 100 < number(build, SIM_TRICK_LOSE) &&
           use(build, SIM_TRICK_LOSE);
}

static bool is_silent(struct build *build)
{
    struct sim_region *region = build->answer->region;
    return region->dns.reach != SIM_OPEN || build->mode == SIM_HANG ||
           sim_fault_loses(&region->faults[SIM_DNS]) || use(build, SIM_TRICK_SILENCE) ||
           (build->query.edns && use(build, SIM_TRICK_EDNSSILENCE)) || loses(build);
}

static void note(struct sim_answer *answer, const struct sockaddr_storage *peer)
{
    static const char *const overs[SIM_OVERS] = { "udp", "tcp", "tls" };
    const struct sim_query *query = &answer->query;
    struct sim_region *region = answer->region;
    char name[256] = "?";
    region->stats.dns_queries++;
    region->stats.dns_tcp += answer->asked.over == SIM_OVER_TCP ? 1 : 0;
    if (query->question_size > 0) {
        sim_stats_count(&region->stats, query, answer->asked.over);
    }
    if (sim_edns_cookie(&region->tricks, query, peer) == SIM_COOKIE_GOOD) {
        region->stats.queries.server_cookies++;
    }
    if (region->log) {
        sim_wire_format_dname(&query->qname, name);
        sim_region_log(region, "dns query transport=%s name=%s type=%u", overs[answer->asked.over],
                       name, query->type);
    }
}

void sim_answer_make(struct sim_answer *answer, const uint8_t *bytes, size_t size,
                     enum sim_over over, const struct sockaddr_storage *peer)
{
    int rcode = sim_wire_parse(bytes, size, &answer->query);
    answer->asked = (struct sim_asked){ .over = over, .query = &answer->query };
    answer->part_count = 0;
    note(answer, peer);
    struct build build = begin(answer, &answer->asked, peer, &answer->packet);
    if (rcode < 0 || is_silent(&build)) {
        answer->region->stats.dropped++;
        return;
    }
    add_parts(&build, (uint16_t)rcode);
}
