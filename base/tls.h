#pragma once
/*
 * tls - our end of a TLS stream, in memory (RFC 8446, RFC 7858)
 *
 * Bytes go in and come out; sending and receiving them is the caller's. The
 * certificate is judged before anything is asked: by the name and the trusted
 * authorities, by the public key (pins, RFC 7858, appendix A), or by both, or
 * not at all where the settings say so; TLS 1.2 is the least. The newest session
 * of a target may be kept and resumed. One thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/tls_settings.h"

struct tls_context; /* a set of trusted authorities, loaded; shared by what trusts them */
struct tls;         /* our end of one stream */

/* Those that are loaded. Zeroed at first. */
struct tls_contexts {
    struct tls_context *first;
    bool keeps; /* it owns what it lists, until tls_contexts_clear or a day without use */
};

/* The newest session of a target. Zeroed at first. */
struct tls_ticket {
    struct ssl_session_st *session;
};

/* ---- authorities ---- */

/*
 * The authorities that `settings` trusts; one more owner of it. The first time
 * the library and the authorities are loaded, which takes some 20 ms. They are
 * loaded anew after a day, and a minute after a certificate was not signed by
 * any of them, so that an operator need only replace the file. -errno,
 * explained.
 */
int tls_context_find(struct tls_contexts *contexts, const struct tls_settings *settings,
                     uint64_t now_ms, struct tls_context **out, struct error *err);

/* One owner less; the last frees it. NULL is fine. */
void tls_context_unref(struct tls_context *context);

/* Those that the list owns are given up; it is empty then. */
void tls_contexts_clear(struct tls_contexts *contexts);

/* ---- streams ---- */

/*
 * The beginning of a stream; its first bytes are there to be sent. `settings`
 * and `ticket` must outlive it. A ticket of NULL: the handshake is a whole one and
 * shows the certificate. NULL when memory is out.
 */
struct tls *tls_new(struct tls_context *context, const struct tls_settings *settings,
                    struct tls_ticket *ticket);
void tls_free(struct tls *tls);

/* Bytes from the upstream. 0 or -ENOMEM. What they mean is told by tls_read. */
int tls_feed(struct tls *tls, const uint8_t *bytes, size_t size);

/*
 * Go on with the handshake: 1 when it is complete, 0 when more must come first,
 * or why it failed, as tls_read. May be left to tls_read, too.
 */
int tls_handshake(struct tls *tls);

/*
 * Go on with what was fed. The number of bytes written to `out`, 0 when more
 * must come first, or why it ended: -ESHUTDOWN when the upstream closed it,
 * -EKEYREJECTED when the certificate is not accepted, -EPROTO for everything
 * else; tls_text says it in words. There may be bytes to send in any case.
 */
int tls_read(struct tls *tls, uint8_t *out, size_t cap);

/* Put bytes into the stream; it must be open. 0 or -EPROTO. */
int tls_write(struct tls *tls, const uint8_t *bytes, size_t size);

/* Bytes to be sent, until the next call about this stream; then forget them. */
size_t tls_output(struct tls *tls, const uint8_t **out);
void tls_output_sent(struct tls *tls);

/* Tell the upstream that nothing more will be sent; there is something to send then. */
void tls_shutdown(struct tls *tls);

/* The certificate was accepted and bytes may be written. */
bool tls_is_open(const struct tls *tls);

/* The upstream took the session of before / we offered one. */
bool tls_is_resumed(const struct tls *tls);
bool tls_offered_ticket(const struct tls *tls);

/*
 * How long the peer's own certificate is valid, judged or not, in seconds from
 * `now_s` of the civil time; below 0 when it has expired. False when none came.
 */
bool tls_seconds_left(const struct tls *tls, int64_t now_s, int64_t *out_s);

/* Why it ended, in a few words: "certificate has expired". Static. */
const char *tls_text(const struct tls *tls);

/* Forget the session. */
void tls_ticket_clear(struct tls_ticket *ticket);
