#include "sim_dns.h"

#include "sim_net.h"
#include "sim_region.h"
#include "sim_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DATAGRAMS_PER_TURN 64

struct datagram {
    struct sim_dns *dns;
    int fd;
    struct sockaddr_storage peer;
    size_t size;
    uint8_t bytes[];
};

/* Sends only while the resolver is reachable: a dead one has no late answers. */
static void fire(void *data)
{
    const struct datagram *datagram = data;
    const struct sim_dns *dns = datagram->dns;
    if (dns->reach == SIM_OPEN) {
        (void)sendto(datagram->fd, datagram->bytes, datagram->size, 0,
                     (const struct sockaddr *)&datagram->peer, sim_net_size(&datagram->peer));
    }
}

static int socket_of(const struct sim_dns *dns, enum sim_source source)
{
    if (source == SIM_SOURCE_ADDRESS) {
        return dns->elsewhere;
    }
    return source == SIM_SOURCE_PORT ? dns->stray : dns->udp;
}

static void send_datagram(struct sim_dns *dns, const struct sockaddr_storage *peer,
                          const struct sim_part *part, const uint16_t *id)
{
    size_t size = part->packet->size;
    struct datagram *datagram = malloc(sizeof *datagram + size);
    if (datagram == NULL) {
        dns->region->stats.dropped++;
        return;
    }
    datagram->dns = dns;
    datagram->fd = socket_of(dns, part->source);
    datagram->peer = *peer;
    datagram->size = size;
    memcpy(datagram->bytes, part->packet->bytes, size);
    if (id != NULL) {
        datagram->bytes[0] = (uint8_t)(*id >> 8);
        datagram->bytes[1] = (uint8_t)(*id & 0xff);
    }
    if (!sim_later_do(&dns->region->later, part->delay_ms, fire, datagram)) {
        dns->region->stats.dropped++;
    }
}

static void send_part(struct sim_dns *dns, const struct sockaddr_storage *peer,
                      const struct sim_part *part)
{
    if (part->guesses == 0) {
        send_datagram(dns, peer, part, NULL);
        return;
    }
    for (uint32_t i = 0; i < part->guesses; i++) {
        uint16_t id = (uint16_t)(dns->answer.query.id + 1 + i);
        send_datagram(dns, peer, part, &id);
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
        sim_answer_make(&dns->answer, bytes, (size_t)size, SIM_OVER_UDP, &peer);
        for (unsigned part = 0; part < dns->answer.part_count; part++) {
            send_part(dns, &peer, &dns->answer.parts[part]);
        }
    }
}

static void on_tcp_open(struct sim_conn *conn)
{
    (void)sim_stream_open(conn->listen->owner, conn, SIM_OVER_TCP);
}

static void on_tcp_bytes(struct sim_conn *conn)
{
    while (!conn->closing && conn->input_size > 0) {
        sim_listen_take(conn, sim_stream_take(conn->attached, conn->input, conn->input_size));
    }
}

static void on_tcp_close(struct sim_conn *conn)
{
    sim_stream_free(conn->attached);
}

/* A second socket at the same address, with another port. */
static int open_stray(const struct sockaddr_storage *address)
{
    struct sockaddr_storage other = *address;
    sim_net_set_port(&other, 0);
    return sim_net_bind(&other, SOCK_DGRAM);
}

/* The same port at another address, 127.*.x.y for 127.0.x.y; -1 when there is none. */
static int open_elsewhere(const struct sockaddr_storage *address)
{
    struct sockaddr_storage other = *address;
    if (other.ss_family != AF_INET) {
        return -1;
    }
    struct sockaddr_in *v4 = (struct sockaddr_in *)&other;
    if (ntohl(v4->sin_addr.s_addr) >> 24 != IN_LOOPBACKNET) {
        return -1;
    }
    v4->sin_addr.s_addr ^= htonl(0x00ff0000);
    int fd = sim_net_bind(&other, SOCK_DGRAM);
    return fd < 0 ? -1 : fd;
}

static int start_polling(struct sim_dns *dns)
{
    int rc = uv_poll_init(dns->region->later.loop, &dns->poll, dns->udp);
    dns->poll.data = dns;
    return rc != 0 ? rc : uv_poll_start(&dns->poll, UV_READABLE, on_udp);
}

static int start_streams(struct sim_dns *dns, int tcp)
{
    struct sim_region *region = dns->region;
    dns->tcp.owner = dns;
    dns->tcp.on_open = on_tcp_open;
    dns->tcp.on_bytes = on_tcp_bytes;
    dns->tcp.on_close = on_tcp_close;
    return sim_listen_start(&dns->tcp, &region->later, tcp);
}

int sim_dns_start(struct sim_dns *dns, struct sim_region *region,
                  const struct sockaddr_storage *address)
{
    int tcp;
    dns->region = region;
    dns->answer.region = region;
    dns->address = *address;
    dns->reach = SIM_OPEN;
    int rc = sim_net_bind_pair(&dns->address, &dns->udp, &tcp);
    if (rc != 0) {
        return rc;
    }
    dns->elsewhere = open_elsewhere(&dns->address);
    dns->stray = open_stray(address);
    rc = dns->stray < 0 ? dns->stray : start_polling(dns);
    return rc != 0 ? rc : start_streams(dns, tcp);
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

/* What the tricks make of a listening socket while the resolver is reachable. */
static enum sim_reach stream_reach(const struct sim_dns *dns, enum sim_over over)
{
    struct sim_asked asked = { .over = over };
    const struct sim_tricks *tricks = &dns->region->tricks;
    if (dns->reach != SIM_OPEN) {
        return dns->reach;
    }
    if (sim_trick_fits(tricks, SIM_TRICK_REFUSE, &asked)) {
        return SIM_REFUSING;
    }
    return sim_trick_fits(tricks, SIM_TRICK_NOCONNECT, &asked) ? SIM_SILENT : SIM_OPEN;
}

int sim_dns_apply_tricks(struct sim_dns *dns)
{
    int rc = sim_listen_set_reach(&dns->tcp, stream_reach(dns, SIM_OVER_TCP));
    if (rc == 0 && dns->has_tls) {
        rc = sim_listen_set_reach(&dns->tls.listen, stream_reach(dns, SIM_OVER_TLS));
    }
    return rc;
}

int sim_dns_set_reach(struct sim_dns *dns, enum sim_reach reach)
{
    int rc = 0;
    if ((reach == SIM_REFUSING) != (dns->reach == SIM_REFUSING)) {
        rc = udp_set_refusing(dns, reach == SIM_REFUSING);
    }
    if (rc == 0) {
        dns->reach = reach;
        rc = sim_dns_apply_tricks(dns);
    }
    return rc;
}

static void on_poll_closed(uv_handle_t *handle)
{
    const struct sim_dns *dns = handle->data;
    close(dns->udp);
    close(dns->stray);
    if (dns->elsewhere >= 0) {
        close(dns->elsewhere);
    }
}

void sim_dns_close(struct sim_dns *dns)
{
    uv_close((uv_handle_t *)&dns->poll, on_poll_closed);
    sim_listen_close(&dns->tcp);
    if (dns->has_tls) {
        sim_tls_close(&dns->tls);
    }
}
