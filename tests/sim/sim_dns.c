#include "sim_dns.h"

#include "sim_net.h"
#include "sim_region.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATAGRAMS_PER_TURN 64
#define TCP_LIMIT          65535
#define GARBAGE_MAX        512

struct datagram {
    struct sim_dns *dns;
    bool stray;
    struct sockaddr_storage peer;
    size_t size;
    uint8_t bytes[];
};

static struct sim_fault *fault_of(struct sim_dns *dns)
{
    return &dns->region->faults[SIM_DNS];
}

static uint32_t delay_ms(struct sim_dns *dns)
{
    return dns->region->delay_ms + fault_of(dns)->slow_ms;
}

static void note(struct sim_dns *dns, const struct sim_query *query, bool over_tcp)
{
    char name[256] = "?";
    if (query->question_size > 0) {
        sim_stats_count(&dns->region->stats, query->qname.bytes, query->qname.size, query->type);
    }
    if (dns->region->log) {
        sim_wire_format_dname(&query->qname, name);
        sim_region_log(dns->region, "dns query transport=%s name=%s type=%u",
                       over_tcp ? "tcp" : "udp", name, query->type);
    }
}

/* Turn the query into another one, which is then answered honestly. */
static void change_question(struct sim_query *query)
{
    (void)sim_wire_parse_dname("wrong.question.invalid", &query->qname);
    memcpy(query->question, query->qname.bytes, query->qname.size);
    uint8_t *end = query->question + query->qname.size;
    end[0] = (uint8_t)(query->type >> 8);
    end[1] = (uint8_t)(query->type & 0xff);
    end[2] = 0;
    end[3] = 1;
    query->question_size = query->qname.size + 4;
}

static void put_answer(struct sim_dns *dns, const struct sim_query *query)
{
    const struct sim_data *data = &dns->region->data;
    const struct sim_fault *fault = fault_of(dns);
    switch (fault->mode) {
    case SIM_SERVFAIL:
        dns->packet.rcode = SIM_RCODE_SERVFAIL;
        break;
    case SIM_REFUSED:
        dns->packet.rcode = SIM_RCODE_REFUSED;
        break;
    case SIM_NXDOMAIN:
        sim_data_deny(data, &query->qname, SIM_RCODE_NXDOMAIN, &dns->packet);
        break;
    case SIM_NODATA:
        sim_data_deny(data, &query->qname, SIM_RCODE_NOERROR, &dns->packet);
        break;
    case SIM_WRONG:
        sim_data_answer_wrong(data, &query->qname, query->type, &fault->wrong4, &fault->wrong6,
                              &dns->packet);
        break;
    default:
        sim_data_answer(data, &query->qname, query->type, &dns->packet);
        break;
    }
    if (fault->mode == SIM_POISON) {
        sim_data_poison(data, &dns->packet);
    }
}

static size_t udp_limit(const struct sim_query *query)
{
    return query->udp_size < SIM_EDNS_SIZE ? query->udp_size : SIM_EDNS_SIZE;
}

static void build(struct sim_dns *dns, struct sim_query *query, uint16_t rcode, bool over_tcp)
{
    enum sim_mode mode = fault_of(dns)->mode;
    if (mode == SIM_WRONGQUESTION && rcode == SIM_RCODE_NOERROR) {
        change_question(query);
    }
    if (mode == SIM_WRONGID) {
        query->id ^= 0x5555;
    }
    sim_wire_start(&dns->packet, query);
    if (rcode == SIM_RCODE_NOERROR) {
        put_answer(dns, query);
    } else {
        dns->packet.rcode = rcode;
    }
    sim_wire_finish(&dns->packet, query, over_tcp ? TCP_LIMIT : udp_limit(query),
                    mode == SIM_TRUNCATE && !over_tcp);
}

/* Build the reply to one message in dns->packet; false when it gets none. */
static bool reply(struct sim_dns *dns, const uint8_t *bytes, size_t size, bool over_tcp)
{
    struct sim_fault *fault = fault_of(dns);
    struct sim_stats *stats = &dns->region->stats;
    struct sim_query query;
    stats->dns_queries++;
    stats->dns_tcp += over_tcp ? 1 : 0;
    int rcode = sim_wire_parse(bytes, size, &query);
    note(dns, &query, over_tcp);
    if (rcode < 0 || dns->reach != SIM_OPEN || fault->mode == SIM_HANG || sim_fault_loses(fault)) {
        stats->dropped++;
        return false;
    }
    if (fault->mode == SIM_GARBAGE) {
        dns->packet.size = sim_fault_garbage(fault, dns->packet.bytes, GARBAGE_MAX);
    } else {
        build(dns, &query, (uint16_t)rcode, over_tcp);
    }
    return true;
}

/* Sends only while the resolver is reachable: a dead one has no late answers. */
static void fire(void *data)
{
    const struct datagram *datagram = data;
    const struct sim_dns *dns = datagram->dns;
    if (dns->reach == SIM_OPEN) {
        (void)sendto(datagram->stray ? dns->stray : dns->udp, datagram->bytes, datagram->size, 0,
                     (const struct sockaddr *)&datagram->peer, sim_net_size(&datagram->peer));
    }
}

static void send_datagram(struct sim_dns *dns, const struct sockaddr_storage *peer)
{
    struct datagram *datagram = malloc(sizeof *datagram + dns->packet.size);
    if (datagram == NULL) {
        dns->region->stats.dropped++;
        return;
    }
    datagram->dns = dns;
    datagram->stray = fault_of(dns)->mode == SIM_WRONGSOURCE;
    datagram->peer = *peer;
    datagram->size = dns->packet.size;
    memcpy(datagram->bytes, dns->packet.bytes, dns->packet.size);
    if (!sim_later_do(&dns->region->later, delay_ms(dns), fire, datagram)) {
        dns->region->stats.dropped++;
    }
}

static void on_udp(uv_poll_t *poll, int status, int events)
{
    struct sim_dns *dns = poll->data;
    uint8_t bytes[4096];
    (void)status; /* an error is fetched, and so cleared, by reading */
    (void)events;
    for (int i = 0; i < DATAGRAMS_PER_TURN; i++) {
        struct sockaddr_storage peer = { 0 };
        socklen_t peer_size = sizeof peer;
        ssize_t size =
            recvfrom(dns->udp, bytes, sizeof bytes, 0, (struct sockaddr *)&peer, &peer_size);
        if (size < 0) {
            return;
        }
        if (reply(dns, bytes, (size_t)size, false)) {
            send_datagram(dns, &peer);
        }
    }
}

/* Messages over TCP carry their length in front. RFC 1035, section 4.2.2 */
static void send_framed(struct sim_dns *dns, struct sim_conn *conn)
{
    uint8_t frame[2 + SIM_PACKET_MAX];
    frame[0] = (uint8_t)(dns->packet.size >> 8);
    frame[1] = (uint8_t)(dns->packet.size & 0xff);
    memcpy(frame + 2, dns->packet.bytes, dns->packet.size);
    sim_listen_send(conn, delay_ms(dns), frame, 2 + dns->packet.size, false, false);
}

static void on_tcp_bytes(struct sim_conn *conn)
{
    struct sim_dns *dns = conn->listen->owner;
    while (!conn->closing && conn->input_size >= 2) {
        size_t size = (size_t)conn->input[0] << 8 | conn->input[1];
        if (conn->input_size < 2 + size) {
            return;
        }
        bool answered = reply(dns, conn->input + 2, size, true);
        sim_listen_take(conn, 2 + size);
        if (answered) {
            send_framed(dns, conn);
        }
    }
}

/* A second socket at the same address, with another port. */
static int open_stray(const struct sockaddr_storage *address)
{
    struct sockaddr_storage other = *address;
    sim_net_set_port(&other, 0);
    return sim_net_bind(&other, SOCK_DGRAM);
}

static int start_polling(struct sim_dns *dns)
{
    int rc = uv_poll_init(dns->region->later.loop, &dns->poll, dns->udp);
    dns->poll.data = dns;
    return rc != 0 ? rc : uv_poll_start(&dns->poll, UV_READABLE, on_udp);
}

int sim_dns_start(struct sim_dns *dns, struct sim_region *region,
                  const struct sockaddr_storage *address)
{
    int tcp;
    dns->region = region;
    dns->address = *address;
    dns->reach = SIM_OPEN;
    int rc = sim_net_bind_pair(&dns->address, &dns->udp, &tcp);
    if (rc != 0) {
        return rc;
    }
    dns->stray = open_stray(address);
    rc = dns->stray < 0 ? dns->stray : start_polling(dns);
    if (rc != 0) {
        return rc;
    }
    dns->tcp.owner = dns;
    dns->tcp.on_bytes = on_tcp_bytes;
    return sim_listen_start(&dns->tcp, &region->later, tcp);
}

/*
 * A UDP socket plays dead by being connected to its own address: the kernel
 * then has nobody for other senders' datagrams and refuses them with ICMP,
 * while the port stays ours.
 */
static int udp_set_refusing(struct sim_dns *dns, bool refusing)
{
    struct sockaddr none = { .sa_family = AF_UNSPEC };
    const struct sockaddr *peer = refusing ? (const struct sockaddr *)&dns->address : &none;
    socklen_t size = refusing ? sim_net_size(&dns->address) : (socklen_t)sizeof none;
    return connect(dns->udp, peer, size) == 0 ? 0 : -errno;
}

int sim_dns_set_reach(struct sim_dns *dns, enum sim_reach reach)
{
    int rc = 0;
    if ((reach == SIM_REFUSING) != (dns->reach == SIM_REFUSING)) {
        rc = udp_set_refusing(dns, reach == SIM_REFUSING);
    }
    if (rc == 0) {
        dns->reach = reach;
        rc = sim_listen_set_reach(&dns->tcp, reach);
    }
    return rc;
}

static void on_poll_closed(uv_handle_t *handle)
{
    const struct sim_dns *dns = handle->data;
    close(dns->udp);
    close(dns->stray);
}

void sim_dns_close(struct sim_dns *dns)
{
    uv_close((uv_handle_t *)&dns->poll, on_poll_closed);
    sim_listen_close(&dns->tcp);
}
