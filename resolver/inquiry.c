#include "resolver/inquiry.h"

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "resolver/edns.h"
#include "resolver/query.h"
#include "resolver/resolution.h"
#include "resolver/server.h"
#include "resolver/snapshot.h"

struct inquiry_desk {
    pthread_mutex_t lock;
    unsigned refs; /* inquiries, and the loop's */
    bool open;     /* `arrived` may be sent */
    struct inquiry *answered;
    struct inquiry **answered_end;
    uv_async_t arrived;
    inquiry_done *done;
    void *user;
};

static void unref(struct inquiry_desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    bool last = --desk->refs == 0;
    pthread_mutex_unlock(&desk->lock);
    if (last) {
        pthread_mutex_destroy(&desk->lock);
        free(desk);
    }
}

static void inquiry_free(struct inquiry *inquiry)
{
    struct inquiry_desk *desk = inquiry->desk;

    free(inquiry);
    unref(desk);
}

/* ---- in the service loop ---- */

static void deliver(struct inquiry *inquiry)
{
    struct inquiry_desk *desk = inquiry->desk;

    inquiry->answer.addresses = inquiry->addresses;
    inquiry->answer.source = inquiry->source;
    inquiry->answer.second = inquiry->second;
    pthread_mutex_lock(&desk->lock);
    bool open = desk->open;
    if (open) {
        *desk->answered_end = inquiry;
        desk->answered_end = &inquiry->next;
        (void)uv_async_send(&desk->arrived);
    }
    pthread_mutex_unlock(&desk->lock);
    if (!open) {
        inquiry_free(inquiry);
    }
}

static void fail(struct inquiry *inquiry, const char *why)
{
    inquiry->answer = (struct hostname_answer){ .kind = HOSTNAME_SILENT };
    (void)snprintf(inquiry->source, sizeof(inquiry->source), "%s", why);
    deliver(inquiry);
}

static uint16_t type_of(const struct inquiry *inquiry)
{
    return inquiry->family == ADDR_V4 ? WIRE_A : WIRE_AAAA;
}

/* 0.0.0.0, :: and the like are no addresses of anything; nor is what is mapped. */
static bool is_usable(const struct addr *address)
{
    return !addr_is_any(address) && (address->family == ADDR_V6 || address->bytes[0] < 224) &&
           (address->family == ADDR_V4 || address->bytes[0] != 0xff);
}

static void take_address(struct inquiry *inquiry, const uint8_t *rdata)
{
    struct hostname_answer *answer = &inquiry->answer;
    struct addr address = { .family = (uint8_t)inquiry->family };

    memcpy(address.bytes, rdata, addr_size_bytes(&address));
    if (is_usable(&address) && answer->count < HOSTNAME_MOST) {
        inquiry->addresses[answer->count++] = address;
    }
}

/* How long the message may be used: the lowest TTL, of a negative one the SOA's minimum too. */
static void read_records(struct inquiry *inquiry, struct wire_reader *reader)
{
    struct hostname_answer *answer = &inquiry->answer;
    unsigned answers = wire_get16(reader->message + 6);
    unsigned authorities = wire_get16(reader->message + 8);
    struct wire_record record;
    uint16_t type = type_of(inquiry);
    size_t size = inquiry->family == ADDR_V4 ? 4 : 16;

    answer->ttl_s = UINT32_MAX;
    for (unsigned i = 0; i < answers + authorities && wire_read_record(reader, &record); i++) {
        const uint8_t *rdata = reader->message + record.rdata_at;
        if (i >= answers && (record.type != WIRE_SOA || record.rdata_length < 22)) {
            continue;
        }
        answer->ttl_s = record.ttl_s < answer->ttl_s ? record.ttl_s : answer->ttl_s;
        if (i >= answers) {
            uint32_t minimum = wire_get32(rdata + record.rdata_length - 4);
            answer->ttl_s = minimum < answer->ttl_s ? minimum : answer->ttl_s;
        } else if (record.type == type && record.rdata_length == size) {
            take_address(inquiry, rdata);
        }
    }
    answer->ttl_s = answer->ttl_s == UINT32_MAX ? 0 : answer->ttl_s;
}

/* What the message says; its rcode may be any. */
static void read_message(struct inquiry *inquiry, const uint8_t *message, size_t length)
{
    struct hostname_answer *answer = &inquiry->answer;
    unsigned rcode = wire_get16(message + 2) & WIRE_RCODE;
    struct wire_reader reader;
    uint8_t name[NAME_MAX_BYTES];

    *answer = (struct hostname_answer){ .kind = HOSTNAME_SILENT };
    wire_reader_init(&reader, message, length);
    reader.at = WIRE_QUESTION;
    (void)wire_read_name(&reader, name);
    (void)wire_read32(&reader);
    if (reader.failed || (rcode != WIRE_NOERROR && rcode != WIRE_NXDOMAIN)) {
        return;
    }
    read_records(inquiry, &reader);
    answer->kind = answer->count > 0        ? HOSTNAME_POSITIVE
                   : rcode == WIRE_NXDOMAIN ? HOSTNAME_NXDOMAIN
                                            : HOSTNAME_NODATA;
}

static void on_reply(void *user, const struct forward_reply *reply)
{
    struct inquiry *inquiry = user;

    if (reply->message == NULL) {
        fail(inquiry, reply->ede_text);
        return;
    }
    read_message(inquiry, reply->message, reply->length);
    inquiry->answer.expired =
        reply->ede_code == EDNS_STALE_ANSWER || reply->ede_code == EDNS_STALE_NXDOMAIN;
    (void)snprintf(inquiry->source, sizeof(inquiry->source), "%s",
                   reply->upstream[0] != '\0' ? reply->upstream : "the cache");
    deliver(inquiry);
}

/* A name in our own zones, as a client would be told. */
static void answer_ourselves(struct inquiry *inquiry, const struct snapshot *snapshot)
{
    const struct sockaddr_in source = { .sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    const struct query_client client = {
        .source = (const struct sockaddr *)&source,
        .local_is_loopback = true,
        .stream = true,
    };
    struct server_counters counters = { 0 }; /* not a question of a client: not counted */
    struct query_thread thread;
    uint8_t *message = malloc(WIRE_MESSAGE_MAX);
    size_t length;

    if (message == NULL) {
        fail(inquiry, "out of memory");
        return;
    }
    query_thread_init(&thread, &counters);
    length = wire_query_build(message, 0, WIRE_RD, inquiry->dname, type_of(inquiry), WIRE_IN, 0,
                              false);
    if (query_answer(&thread, snapshot, &client, message, length, WIRE_MESSAGE_MAX, &length) ==
        QUERY_SEND) {
        read_message(inquiry, message, length);
    }
    free(message);
    (void)snprintf(inquiry->source, sizeof(inquiry->source), "our own zone");
    deliver(inquiry);
}

static bool is_ours(const struct snapshot *snapshot, const struct node *node, const uint8_t *dname)
{
    return node != NULL || namespace_encloser(snapshot->ns, dname, name_length(dname),
                                              name_labels(dname)) != NULL;
}

static void ask(void *user, struct resolution *resolution, struct cache *cache)
{
    struct inquiry *inquiry = user;

    (void)cache;
    if (resolution == NULL) {
        inquiry_free(inquiry);
        return;
    }
    const struct snapshot *snapshot = resolution_snapshot(resolution);
    const uint8_t *dname = inquiry->dname;
    const struct node *node = namespace_find(snapshot->ns, dname, name_length(dname));
    if (is_ours(snapshot, node, dname)) {
        const struct answer *answer =
            node == NULL ? NULL : namespace_answer(node, type_of(inquiry));
        if (answer == NULL || answer->outside == NULL) {
            answer_ourselves(inquiry, snapshot);
            return;
        }
        dname = answer->outside; /* our aliases lead to a name of others */
    }
    if (!snapshot_resolves(snapshot, dname)) {
        fail(inquiry, "no forward rule is for it");
        return;
    }
    const struct forward_question question = {
        .name = dname,
        .name_length = (uint8_t)name_length(dname),
        .type = type_of(inquiry),
        .class = WIRE_IN,
        .anew = inquiry->anew,
        .second_opinion = inquiry->second,
        .apart_from = inquiry->apart_from,
    };
    resolution_ask(resolution, snapshot, &question, on_reply, inquiry);
}

/* ---- in the loop that asks ---- */

static void on_arrived(uv_async_t *async)
{
    struct inquiry_desk *desk = async->data;

    pthread_mutex_lock(&desk->lock);
    struct inquiry *inquiry = desk->answered;
    desk->answered = NULL;
    desk->answered_end = &desk->answered;
    pthread_mutex_unlock(&desk->lock);
    while (inquiry != NULL) {
        struct inquiry *next = inquiry->next;
        desk->done(desk->user, inquiry);
        inquiry_free(inquiry);
        inquiry = next;
    }
}

struct inquiry_desk *inquiry_desk_new(uv_loop_t *loop, inquiry_done *done, void *user)
{
    struct inquiry_desk *desk = calloc(1, sizeof(*desk));

    if (desk == NULL) {
        return NULL;
    }
    if (uv_async_init(loop, &desk->arrived, on_arrived) < 0) {
        free(desk);
        return NULL;
    }
    desk->arrived.data = desk;
    pthread_mutex_init(&desk->lock, NULL);
    desk->refs = 1;
    desk->open = true;
    desk->answered_end = &desk->answered;
    desk->done = done;
    desk->user = user;
    return desk;
}

struct inquiry *inquiry_new(struct inquiry_desk *desk)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));

    if (inquiry != NULL) {
        inquiry->desk = desk;
        pthread_mutex_lock(&desk->lock);
        desk->refs++;
        pthread_mutex_unlock(&desk->lock);
    }
    return inquiry;
}

bool inquiry_send(struct inquiry *inquiry, struct server *server)
{
    if (server != NULL && server_post(server, ask, inquiry)) {
        return true;
    }
    inquiry_free(inquiry);
    return false;
}

static void on_closed(uv_handle_t *handle)
{
    struct inquiry_desk *desk = handle->data;
    struct inquiry *inquiry = desk->answered;

    desk->answered = NULL;
    while (inquiry != NULL) {
        struct inquiry *next = inquiry->next;
        inquiry_free(inquiry);
        inquiry = next;
    }
    unref(desk);
}

void inquiry_desk_close(struct inquiry_desk *desk)
{
    if (desk == NULL) {
        return;
    }
    pthread_mutex_lock(&desk->lock);
    desk->open = false;
    pthread_mutex_unlock(&desk->lock);
    uv_close((uv_handle_t *)&desk->arrived, on_closed);
}
