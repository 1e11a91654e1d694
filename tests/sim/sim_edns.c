#include "sim_edns.h"

#include <netinet/in.h>
#include <string.h>

#define CLIENT_SIZE       8
#define SERVER_SIZE       16
#define OPTION_ECS        8  /* RFC 7871 */
#define OPTION_COOKIE     10 /* RFC 7873 */
#define OPTION_KEEPALIVE  11 /* RFC 7828 */
#define OPTION_PRIVATE    65002
#define OPT_DO            0x8000u
#define KEEPALIVE_UNIT_MS 100
#define BAD_OPTION_LENGTH 200

static void put(struct sim_opt *opt, const void *bytes, size_t size)
{
    memcpy(opt->bytes + opt->size, bytes, size);
    opt->size += size;
}

static void put16(struct sim_opt *opt, uint32_t number)
{
    uint8_t bytes[2] = { (uint8_t)(number >> 8 & 0xff), (uint8_t)(number & 0xff) };
    put(opt, bytes, sizeof bytes);
}

static void put_option(struct sim_opt *opt, uint32_t code, const void *bytes, size_t size)
{
    put16(opt, code);
    put16(opt, (uint32_t)size);
    put(opt, bytes, size);
}

/* The client's address without its port: that may change from query to query. */
static uint32_t address_hash(const struct sockaddr_storage *peer)
{
    if (peer->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)peer;
        return sim_wire_hash((const uint8_t *)&v4->sin_addr, sizeof v4->sin_addr);
    }
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)peer;
    return sim_wire_hash((const uint8_t *)&v6->sin6_addr, sizeof v6->sin6_addr);
}

/* No secret worth the name: nobody attacks a simulator. */
static void make_server_cookie(uint32_t secret, const uint8_t client[CLIENT_SIZE],
                               const struct sockaddr_storage *peer, uint8_t out[SERVER_SIZE])
{
    uint8_t seed[CLIENT_SIZE + 9];
    uint32_t address = address_hash(peer);
    memcpy(seed, client, CLIENT_SIZE);
    memcpy(seed + CLIENT_SIZE, &secret, 4);
    memcpy(seed + CLIENT_SIZE + 4, &address, 4);
    for (uint8_t i = 0; i < SERVER_SIZE / 4; i++) {
        seed[CLIENT_SIZE + 8] = i;
        uint32_t hash = sim_wire_hash(seed, sizeof seed);
        memcpy(out + 4u * i, &hash, 4);
    }
}

/* The secret changes with the argument of the trick; there is one when it is off, too. */
static uint32_t secret_of(const struct sim_tricks *tricks)
{
    return sim_trick_number(tricks, SIM_TRICK_COOKIES);
}

enum sim_cookie sim_edns_cookie(const struct sim_tricks *tricks, const struct sim_query *query,
                                const struct sockaddr_storage *peer)
{
    uint8_t server[SERVER_SIZE];
    size_t size = query->cookie_size;
    if (size == 0) {
        return SIM_COOKIE_NONE;
    }
    if (size != CLIENT_SIZE && (size < CLIENT_SIZE + 8 || size > CLIENT_SIZE + 32)) {
        return SIM_COOKIE_MALFORMED;
    }
    make_server_cookie(secret_of(tricks), query->cookie, peer, server);
    bool good = size == CLIENT_SIZE + SERVER_SIZE &&
                memcmp(query->cookie + CLIENT_SIZE, server, SERVER_SIZE) == 0;
    return good ? SIM_COOKIE_GOOD : SIM_COOKIE_CLIENT;
}

static void put_cookie(struct sim_tricks *tricks, struct sim_asked *asked,
                       const struct sockaddr_storage *peer, uint16_t rcode, struct sim_opt *opt)
{
    const struct sim_query *query = asked->query;
    uint8_t cookie[CLIENT_SIZE + SERVER_SIZE];
    if (query->cookie_size < CLIENT_SIZE) {
        return;
    }
    if (!sim_trick_use(tricks, SIM_TRICK_COOKIES, asked) && rcode != SIM_RCODE_BADCOOKIE) {
        return;
    }
    if (sim_trick_use(tricks, SIM_TRICK_COOKIEABSENT, asked)) {
        return;
    }
    memcpy(cookie, query->cookie, CLIENT_SIZE);
    make_server_cookie(secret_of(tricks), query->cookie, peer, cookie + CLIENT_SIZE);
    if (sim_trick_use(tricks, SIM_TRICK_COOKIEWRONG, asked)) {
        cookie[0] ^= 0x55;
    }
    bool is_short = sim_trick_use(tricks, SIM_TRICK_COOKIESHORT, asked);
    put_option(opt, OPTION_COOKIE, cookie, is_short ? CLIENT_SIZE - 3 : sizeof cookie);
}

/* 203.0.113.0/24 with a scope, which nobody asked for. */
static void put_ecs(struct sim_opt *opt)
{
    static const uint8_t subnet[] = { 0, 1, 24, 24, 203, 0, 113 };
    put_option(opt, OPTION_ECS, subnet, sizeof subnet);
}

static void put_options(struct sim_tricks *tricks, struct sim_asked *asked,
                        const struct sockaddr_storage *peer, uint16_t rcode, struct sim_opt *opt)
{
    put_cookie(tricks, asked, peer, rcode, opt);
    if (sim_trick_use(tricks, SIM_TRICK_OPTION, asked)) {
        put_option(opt, sim_trick_number(tricks, SIM_TRICK_OPTION), "unknown", 7);
    }
    if (sim_trick_use(tricks, SIM_TRICK_ECS, asked)) {
        put_ecs(opt);
    }
    /* RFC 7828, section 3.2.1: never over UDP */
    if (asked->over != SIM_OVER_UDP && sim_trick_use(tricks, SIM_TRICK_KEEPALIVE, asked)) {
        uint32_t units = sim_trick_number(tricks, SIM_TRICK_KEEPALIVE) / KEEPALIVE_UNIT_MS;
        uint8_t timeout[2] = { (uint8_t)(units >> 8 & 0xff), (uint8_t)(units & 0xff) };
        put_option(opt, OPTION_KEEPALIVE, timeout, sizeof timeout);
    }
    if (sim_trick_use(tricks, SIM_TRICK_BADOPT, asked)) {
        put16(opt, OPTION_PRIVATE);
        put16(opt, BAD_OPTION_LENGTH);
    }
}

/* Everything up to the options' length. */
static void put_fixed(struct sim_tricks *tricks, struct sim_asked *asked, uint16_t rcode,
                      struct sim_opt *opt)
{
    uint32_t size = SIM_EDNS_SIZE;
    uint32_t version = 0;
    if (sim_trick_use(tricks, SIM_TRICK_OPTNAME, asked)) {
        put(opt, "\3opt", 5);
    } else {
        put(opt, "", 1);
    }
    if (sim_trick_use(tricks, SIM_TRICK_OPTSIZE, asked)) {
        size = sim_trick_number(tricks, SIM_TRICK_OPTSIZE);
    }
    if (sim_trick_use(tricks, SIM_TRICK_OPTVERSION, asked)) {
        version = sim_trick_number(tricks, SIM_TRICK_OPTVERSION);
    }
    put16(opt, SIM_TYPE_OPT);
    put16(opt, size);
    put16(opt, (uint32_t)(rcode >> 4) << 8 | version);
    put16(opt, asked->query->dnssec_ok ? OPT_DO : 0);
}

static void set_length(struct sim_opt *opt, size_t at, size_t length)
{
    opt->bytes[at] = (uint8_t)(length >> 8);
    opt->bytes[at + 1] = (uint8_t)(length & 0xff);
}

void sim_edns_build(struct sim_tricks *tricks, struct sim_asked *asked,
                    const struct sockaddr_storage *peer, uint16_t rcode, struct sim_opt *out_opt)
{
    out_opt->size = 0;
    out_opt->count = 0;
    bool lacks = asked->query->edns ? sim_trick_use(tricks, SIM_TRICK_NOOPT, asked)
                                    : !sim_trick_use(tricks, SIM_TRICK_STRAYOPT, asked);
    if (lacks) {
        return;
    }
    bool past_end = sim_trick_fits(tricks, SIM_TRICK_BADOPT, asked);
    put_fixed(tricks, asked, rcode, out_opt);
    size_t at = out_opt->size;
    put16(out_opt, 0);
    put_options(tricks, asked, peer, rcode, out_opt);
    set_length(out_opt, at, out_opt->size - at - 2 + (past_end ? BAD_OPTION_LENGTH : 0));
    out_opt->count = 1;
    if (sim_trick_use(tricks, SIM_TRICK_TWOOPTS, asked)) {
        size_t size = out_opt->size;
        put(out_opt, out_opt->bytes, size);
        out_opt->count = 2;
    }
}
