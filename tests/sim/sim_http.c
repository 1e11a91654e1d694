#include "sim_http.h"

#include "sim_net.h"
#include "sim_region.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define GARBAGE_MAX 512

/* What of a request decides about the answer. */
struct request {
    bool well_formed;
    bool has_body; /* which is not read: the connection ends */
    bool keep;
    char method[8];
};

static struct sim_fault *fault_of(struct sim_conn *conn)
{
    const struct sim_http *http = conn->listen->owner;
    return &http->region->faults[SIM_HTTP];
}

/* Length of the request's head with its empty line, 0 while that is missing. */
static size_t head_size(const struct sim_conn *conn)
{
    const char *text = (const char *)conn->input;
    const char *crlf = memmem(text, conn->input_size, "\r\n\r\n", 4);
    const char *lf = memmem(text, conn->input_size, "\n\n", 2);
    if (crlf != NULL && (lf == NULL || crlf < lf)) {
        return (size_t)(crlf - text) + 4;
    }
    return lf != NULL ? (size_t)(lf - text) + 2 : 0;
}

static void read_field(struct request *request, const char *line)
{
    if (strncasecmp(line, "connection:", 11) == 0) {
        if (strcasestr(line + 11, "close") != NULL) {
            request->keep = false;
        } else if (strcasestr(line + 11, "keep-alive") != NULL) {
            request->keep = true;
        }
    } else if (strncasecmp(line, "transfer-encoding:", 18) == 0) {
        request->has_body = true;
    } else if (strncasecmp(line, "content-length:", 15) == 0) {
        request->has_body = strspn(line + 15, " \t0") != strlen(line + 15);
    }
}

static void read_request_line(struct request *request, const char *line)
{
    char target[4096];
    int minor = -1;
    int read = sscanf(line, "%7[A-Z] %4095s HTTP/1.%1d", request->method, target, &minor);
    request->well_formed = read == 3 && (minor == 0 || minor == 1);
    request->keep = minor == 1;
}

static struct request read_request(const uint8_t *bytes, size_t size)
{
    struct request request = { 0 };
    char head[SIM_LISTEN_INPUT + 1];
    char *rest = head;
    memcpy(head, bytes, size);
    head[size] = '\0';
    for (int i = 0; rest != NULL && *rest != '\0'; i++) {
        char *line = strsep(&rest, "\n");
        line[strcspn(line, "\r")] = '\0';
        if (i == 0) {
            read_request_line(&request, line);
        } else {
            read_field(&request, line);
        }
    }
    request.keep = request.keep && request.well_formed && !request.has_body;
    return request;
}

static const char *reason(uint32_t status)
{
    static const struct {
        uint32_t status;
        const char *text;
    } reasons[] = {
        { 200, "OK" },
        { 204, "No Content" },
        { 301, "Moved Permanently" },
        { 302, "Found" },
        { 400, "Bad Request" },
        { 401, "Unauthorized" },
        { 403, "Forbidden" },
        { 404, "Not Found" },
        { 405, "Method Not Allowed" },
        { 429, "Too Many Requests" },
        { 500, "Internal Server Error" },
        { 502, "Bad Gateway" },
        { 503, "Service Unavailable" },
        { 504, "Gateway Timeout" },
    };
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0]; i++) {
        if (reasons[i].status == status) {
            return reasons[i].text;
        }
    }
    return "Status";
}

static uint32_t status_of(const struct sim_fault *fault, const struct request *request)
{
    if (!request->well_formed) {
        return 400;
    }
    if (strcmp(request->method, "GET") != 0 && strcmp(request->method, "HEAD") != 0) {
        return 405;
    }
    return fault->status != 0 ? fault->status : 200;
}

static void send_response(struct sim_conn *conn, const struct request *request, uint32_t delay_ms)
{
    const struct sim_http *http = conn->listen->owner;
    const struct sim_fault *fault = fault_of(conn);
    uint32_t status = status_of(fault, request);
    char body[640];
    char response[1536];
    if (fault->body[0] != '\0') {
        (void)snprintf(body, sizeof body, "%s\n", fault->body);
    } else {
        (void)snprintf(body, sizeof body, "%s region=%s\n", status < 400 ? "ok" : "error",
                       http->region->name);
    }
    bool bodiless = status == 204 || status == 304;
    bool sends_body = !bodiless && strcmp(request->method, "HEAD") != 0;
    char length[48] = "";
    if (!bodiless) {
        (void)snprintf(length, sizeof length, "Content-Length: %zu\r\n", strlen(body));
    }
    int size = snprintf(response, sizeof response,
                        "HTTP/1.1 %u %s\r\nContent-Type: text/plain\r\n%sConnection: %s\r\n\r\n%s",
                        status, reason(status), length, request->keep ? "keep-alive" : "close",
                        sends_body ? body : "");
    sim_listen_send(conn, delay_ms, response, (size_t)size, !request->keep, true);
}

static void send_garbage(struct sim_conn *conn, uint32_t delay_ms)
{
    uint8_t bytes[GARBAGE_MAX];
    size_t size = sim_fault_garbage(fault_of(conn), bytes, sizeof bytes);
    sim_listen_send(conn, delay_ms, bytes, size, true, true);
}

static void answer(struct sim_conn *conn, const struct request *request)
{
    const struct sim_http *http = conn->listen->owner;
    struct sim_region *region = http->region;
    struct sim_fault *fault = fault_of(conn);
    region->stats.http_requests++;
    sim_region_log(region, "http request method=%s", request->method);
    if (conn->mute || conn->listen->reach != SIM_OPEN || fault->mode == SIM_HANG ||
        sim_fault_loses(fault)) {
        /* Later requests on this connection stand behind one never answered. */
        conn->mute = true;
        region->stats.dropped++;
        return;
    }
    uint32_t delay_ms = region->delay_ms + fault->slow_ms;
    if (fault->mode == SIM_GARBAGE) {
        send_garbage(conn, delay_ms);
    } else {
        send_response(conn, request, delay_ms);
    }
}

static void on_bytes(struct sim_conn *conn)
{
    size_t size = head_size(conn);
    while (size > 0 && !conn->closing && !conn->busy && !conn->ending) {
        struct request request = read_request(conn->input, size);
        sim_listen_take(conn, size);
        answer(conn, &request);
        size = head_size(conn);
    }
}

int sim_http_start(struct sim_http *http, struct sim_region *region,
                   const struct sockaddr_storage *address)
{
    http->region = region;
    http->address = *address;
    int fd = sim_net_port(address) != 0 ? sim_net_bind(&http->address, SOCK_STREAM)
                                        : sim_net_bind_free(&http->address, SOCK_STREAM);
    if (fd < 0) {
        return fd;
    }
    http->listen.owner = http;
    http->listen.on_bytes = on_bytes;
    return sim_listen_start(&http->listen, &region->later, fd);
}
