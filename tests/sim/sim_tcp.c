#include "sim_tcp.h"

#include "sim_net.h"
#include "sim_region.h"

#include <stdio.h>

#define GARBAGE_MAX 256

static void on_open(struct sim_conn *conn)
{
    const struct sim_tcp *tcp = conn->listen->owner;
    struct sim_region *region = tcp->region;
    struct sim_fault *fault = &region->faults[SIM_TCP];
    char banner[GARBAGE_MAX];
    region->stats.tcp_accepts++;
    sim_region_log(region, "tcp accept");
    if (conn->listen->reach != SIM_OPEN || fault->mode == SIM_HANG || sim_fault_loses(fault)) {
        region->stats.dropped++;
        return;
    }
    size_t size;
    if (fault->mode == SIM_GARBAGE) {
        size = sim_fault_garbage(fault, (uint8_t *)banner, sizeof banner);
    } else {
        size = (size_t)snprintf(banner, sizeof banner, "leeward-region %s\n", region->name);
    }
    sim_listen_send(conn, region->delay_ms + fault->slow_ms, banner, size, false, false);
}

/* Whatever the peer says is of no interest. */
static void on_bytes(struct sim_conn *conn)
{
    sim_listen_take(conn, conn->input_size);
}

int sim_tcp_start(struct sim_tcp *tcp, struct sim_region *region,
                  const struct sockaddr_storage *address)
{
    tcp->region = region;
    tcp->address = *address;
    int fd = sim_net_port(address) != 0 ? sim_net_bind(&tcp->address, SOCK_STREAM)
                                        : sim_net_bind_free(&tcp->address, SOCK_STREAM);
    if (fd < 0) {
        return fd;
    }
    tcp->listen.owner = tcp;
    tcp->listen.on_open = on_open;
    tcp->listen.on_bytes = on_bytes;
    return sim_listen_start(&tcp->listen, &region->later, fd);
}
