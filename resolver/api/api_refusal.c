#include "resolver/api/api_refusal.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "resolver/api/api_reply.h"

static void log_once(struct api_refusal *refusal, const char *path, const struct error *why)
{
    if (!refusal->is_logged) {
        refusal->is_logged = true;
        log_event(LOG_ERROR, "no api", "socket=%s error=%s hint=%s", path, why->message, why->hint);
    }
}

/* It fits any socket's buffer. A client that has gone misses it. */
static void send_answer(int fd, const struct error *why)
{
    struct api_reply reply = { 0 };
    struct text answer = { 0 };

    api_reply_error(&reply, 503, "no_http_server", "%s%s%s", why->message,
                    why->hint[0] != '\0' ? "; " : "", why->hint);
    text_printf(&answer,
                "HTTP/1.1 503 Service Unavailable\r\n"
                "Content-Type: %s\r\n"
                "Content-Length: %zu\r\n"
                "Cache-Control: no-store\r\n"
                "Connection: close\r\n\r\n%s",
                reply.content_type, reply.body.length, text_string(&reply.body));
    if (!text_failed(&answer)) {
        (void)send(fd, answer.bytes, answer.length, MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    (void)shutdown(fd, SHUT_WR); /* also without an answer: nobody is left hanging */
    text_fini(&answer);
    api_reply_fini(&reply);
}

/* Closed now, it would cut off a client that is still sending its request. */
static void hold(struct api_refusal *refusal, int fd)
{
    int *place = &refusal->held[refusal->count % API_REFUSAL_HELD];

    if (refusal->count >= API_REFUSAL_HELD) {
        (void)close(*place);
    }
    *place = fd;
    refusal->count++;
}

int api_refuse(struct api_refusal *refusal, int socket_fd, const char *path,
               const struct error *why)
{
    log_once(refusal, path, why);
    int fd = accept4(socket_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        return errno == EAGAIN || errno == EINTR || errno == ECONNABORTED ? 0 : -errno;
    }
    send_answer(fd, why);
    hold(refusal, fd);
    return 0;
}

void api_refusal_fini(struct api_refusal *refusal)
{
    for (unsigned i = 0; i < refusal->count && i < API_REFUSAL_HELD; i++) {
        (void)close(refusal->held[i]);
    }
    refusal->count = 0;
}
