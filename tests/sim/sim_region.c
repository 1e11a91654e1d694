#include "sim_region.h"

#include "sim_net.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>

void sim_region_log(const struct sim_region *region, const char *format, ...)
{
    if (!region->log) {
        return;
    }
    char line[512];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    (void)fprintf(stderr, "%s: %s\n", region->name, line);
}

static int set_reach(struct sim_region *region, enum sim_target target)
{
    enum sim_reach reach = sim_fault_reach(&region->faults[target]);
    switch (target) {
    case SIM_DNS:
        return sim_dns_set_reach(&region->dns, reach);
    case SIM_HTTP:
        return sim_listen_set_reach(&region->http.listen, reach);
    default:
        return sim_listen_set_reach(&region->tcp.listen, reach);
    }
}

static void on_flap(uv_timer_t *timer)
{
    struct sim_region *region = timer->data;
    enum sim_target target = (enum sim_target)(timer - region->flaps);
    region->faults[target].flap_down = !region->faults[target].flap_down;
    int rc = set_reach(region, target);
    if (rc != 0) {
        (void)fprintf(stderr, "%s: %s cannot flap: %s\n", region->name,
                      sim_fault_target_name(target), uv_strerror(rc));
    }
}

int sim_region_apply(struct sim_region *region, enum sim_target target)
{
    const struct sim_fault *fault = &region->faults[target];
    uv_timer_t *timer = &region->flaps[target];
    uv_timer_stop(timer);
    if (fault->mode == SIM_FLAP) {
        uv_update_time(timer->loop);
        uv_timer_start(timer, on_flap, fault->flap_ms, fault->flap_ms);
    }
    return set_reach(region, target);
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    sim_region_end(handle->data);
}

static int start_handles(struct sim_region *region, uv_loop_t *loop)
{
    static const int numbers[2] = { SIGTERM, SIGINT };
    for (int i = 0; i < SIM_TARGETS; i++) {
        uv_timer_init(loop, &region->flaps[i]);
        region->flaps[i].data = region;
        sim_fault_init(&region->faults[i], region->seed + (uint64_t)i);
    }
    for (int i = 0; i < 2; i++) {
        region->signals[i].data = region;
        int rc = uv_signal_init(loop, &region->signals[i]);
        if (rc == 0) {
            rc = uv_signal_start(&region->signals[i], on_signal, numbers[i]);
        }
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

/* A certificate names the address without its port. */
static int start_tls(struct sim_region *region, const struct sockaddr_storage *address)
{
    struct sim_tls *tls = &region->dns.tls;
    struct sockaddr_storage at = *address;
    char text[INET6_ADDRSTRLEN];
    sim_net_format(address, text);
    const char *wrong = sim_certs_init(&tls->certs, region->tls_folder, region->tls_name, text);
    if (wrong != NULL) {
        (void)fprintf(stderr, "%s: tls: %s\n", region->name, wrong);
        return UV_EINVAL;
    }
    sim_net_set_port(&at, region->tls_port);
    int rc = sim_tls_start(tls, &region->dns, &at);
    region->dns.has_tls = rc == 0;
    return rc;
}

static int start_endpoints(struct sim_region *region, const struct sockaddr_storage *address,
                           const uint16_t ports[SIM_TARGETS], const char **out_part)
{
    struct sockaddr_storage at = *address;
    *out_part = "dns";
    sim_net_set_port(&at, ports[SIM_DNS]);
    int rc = sim_dns_start(&region->dns, region, &at);
    if (rc != 0) {
        return rc;
    }
    if (region->tls_folder != NULL) {
        *out_part = "tls";
        rc = start_tls(region, address);
        if (rc != 0) {
            return rc;
        }
    }
    *out_part = "http";
    sim_net_set_port(&at, ports[SIM_HTTP]);
    rc = sim_http_start(&region->http, region, &at);
    if (rc != 0) {
        return rc;
    }
    *out_part = "tcp";
    sim_net_set_port(&at, ports[SIM_TCP]);
    return sim_tcp_start(&region->tcp, region, &at);
}

int sim_region_start(struct sim_region *region, uv_loop_t *loop,
                     const struct sockaddr_storage *address, const uint16_t ports[SIM_TARGETS],
                     const char *control_path, const char **out_part)
{
    sim_later_init(&region->later, loop);
    *out_part = "signals";
    int rc = start_handles(region, loop);
    if (rc == 0) {
        rc = start_endpoints(region, address, ports, out_part);
    }
    if (rc == 0 && control_path != NULL) {
        *out_part = "control";
        rc = sim_control_start(&region->control, region, loop, control_path);
    }
    return rc;
}

void sim_region_end(struct sim_region *region)
{
    if (region->ending) {
        return;
    }
    region->ending = true;
    for (int i = 0; i < SIM_TARGETS; i++) {
        uv_close((uv_handle_t *)&region->flaps[i], NULL);
    }
    for (int i = 0; i < 2; i++) {
        uv_close((uv_handle_t *)&region->signals[i], NULL);
    }
    sim_later_close(&region->later);
    sim_dns_close(&region->dns);
    sim_listen_close(&region->http.listen);
    sim_listen_close(&region->tcp.listen);
    sim_control_close(&region->control);
}
