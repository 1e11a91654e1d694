#include "sim_stream.h"

#include "sim_region.h"

#include <stdlib.h>
#include <string.h>

#define TRICKLE_PIECES  4096 /* a longer message is said in pieces of more than a byte */
#define REORDER_WAIT_MS 300  /* when no more queries come, what is held is given */

struct sim_held {
    struct sim_held *next;
    uint32_t delay_ms;
    size_t size;
    uint8_t frame[];
};

/* Something to do on a connection later, should it still be there. */
struct appointment {
    struct sim_listen *listen;
    uint64_t conn_id;
    unsigned query_count;
};

static struct sim_tricks *tricks_of(const struct sim_stream *stream)
{
    return &stream->dns->region->tricks;
}

static void say_goodbye(struct sim_stream *stream, enum sim_goodbye goodbye)
{
    stream->mute = true;
    if (goodbye == SIM_GOODBYE_CLOSE) {
        sim_listen_send(stream->conn, 0, NULL, 0, true, false);
    } else if (goodbye == SIM_GOODBYE_RESET) {
        sim_listen_drop(stream->conn, true);
    }
}

struct sim_stream *sim_stream_open(struct sim_dns *dns, struct sim_conn *conn, enum sim_over over)
{
    struct sim_asked asked = { .over = over };
    struct sim_tricks *tricks = &dns->region->tricks;
    dns->region->stats.connections[over]++;
    if (sim_trick_use(tricks, SIM_TRICK_CLOSEACCEPT, &asked)) {
        bool reset = sim_trick_number(tricks, SIM_TRICK_CLOSEACCEPT) == SIM_GOODBYE_RESET;
        sim_listen_drop(conn, reset);
        return NULL;
    }
    struct sim_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL) {
        sim_listen_drop(conn, true);
        return NULL;
    }
    stream->dns = dns;
    stream->conn = conn;
    stream->over = over;
    conn->attached = stream;
    return stream;
}

static void free_held(struct sim_stream *stream)
{
    while (stream->held != NULL) {
        struct sim_held *held = stream->held;
        stream->held = held->next;
        free(held);
    }
    stream->held_count = 0;
}

void sim_stream_free(struct sim_stream *stream)
{
    if (stream != NULL) {
        free_held(stream);
        free(stream);
    }
}

static uint64_t now_ms(struct sim_stream *stream)
{
    uv_loop_t *loop = stream->dns->region->later.loop;
    uv_update_time(loop);
    return uv_now(loop);
}

/* What is still being said comes first: frames must not run into one another. */
static uint32_t after_what_is_said(struct sim_stream *stream, uint32_t delay_ms)
{
    uint64_t now = now_ms(stream);
    if (now + delay_ms >= stream->clear_at_ms) {
        return delay_ms;
    }
    return (uint32_t)(stream->clear_at_ms - now);
}

static void send_trickling(struct sim_stream *stream, uint32_t delay_ms, const uint8_t *frame,
                           size_t size, bool end)
{
    uint32_t pause_ms = sim_trick_number(tricks_of(stream), SIM_TRICK_TRICKLE);
    size_t piece = 1 + size / TRICKLE_PIECES;
    for (size_t at = 0; at < size; at += piece) {
        size_t left = size - at;
        size_t length = left < piece ? left : piece;
        delay_ms += pause_ms;
        sim_listen_send(stream->conn, delay_ms, frame + at, length, end && length == left, false);
    }
    stream->clear_at_ms = now_ms(stream) + delay_ms + 1;
}

static void send_half(struct sim_stream *stream, uint32_t delay_ms, const uint8_t *frame,
                      size_t size)
{
    enum sim_goodbye goodbye =
        (enum sim_goodbye)sim_trick_number(tricks_of(stream), SIM_TRICK_HALF);
    sim_listen_send(stream->conn, delay_ms, frame, size / 2, goodbye == SIM_GOODBYE_CLOSE, false);
    if (goodbye == SIM_GOODBYE_RESET) {
        sim_listen_drop(stream->conn, true);
    }
    stream->mute = true;
}

static void send_frame(struct sim_stream *stream, struct sim_asked *asked, uint32_t delay_ms,
                       const uint8_t *frame, size_t size)
{
    struct sim_tricks *tricks = tricks_of(stream);
    uint32_t at_ms = after_what_is_said(stream, delay_ms);
    bool end = stream->query_count >= sim_trick_number(tricks, SIM_TRICK_CLOSEAFTER) &&
               sim_trick_use(tricks, SIM_TRICK_CLOSEAFTER, asked);
    if (sim_trick_use(tricks, SIM_TRICK_HALF, asked)) {
        send_half(stream, at_ms, frame, size);
    } else if (sim_trick_use(tricks, SIM_TRICK_TRICKLE, asked)) {
        send_trickling(stream, at_ms, frame, size, end);
    } else {
        sim_listen_send(stream->conn, at_ms, frame, size, end, false);
    }
    stream->mute = stream->mute || end;
}

static struct sim_stream *keep_appointment(const struct appointment *appointment)
{
    struct sim_conn *conn = sim_listen_find(appointment->listen, appointment->conn_id);
    return conn != NULL && !conn->ending ? conn->attached : NULL;
}

static void make_appointment(struct sim_stream *stream, uint32_t delay_ms, void (*fire)(void *))
{
    struct appointment *appointment = malloc(sizeof *appointment);
    if (appointment == NULL) {
        return;
    }
    appointment->listen = stream->conn->listen;
    appointment->conn_id = stream->conn->id;
    appointment->query_count = stream->query_count;
    (void)sim_later_do(&stream->dns->region->later, delay_ms, fire, appointment);
}

/* Give what is held, the last first. */
static void release(struct sim_stream *stream)
{
    struct sim_asked asked = { .over = stream->over };
    if (stream->held_count > 1) {
        (void)sim_trick_use(tricks_of(stream), SIM_TRICK_REORDER, &asked);
    }
    for (const struct sim_held *held = stream->held; held != NULL && !stream->conn->closing;
         held = held->next) {
        send_frame(stream, &asked, held->delay_ms, held->frame, held->size);
    }
    free_held(stream);
}

static void on_reorder_wait(void *data)
{
    const struct appointment *appointment = data;
    struct sim_stream *stream = keep_appointment(appointment);
    if (stream != NULL && stream->query_count == appointment->query_count) {
        release(stream);
    }
}

/* True when the frame was kept back to be given in another order. */
static bool hold(struct sim_stream *stream, const struct sim_asked *asked, uint32_t delay_ms,
                 const uint8_t *frame, size_t size)
{
    struct sim_tricks *tricks = tricks_of(stream);
    struct sim_held *held = NULL;
    if (sim_trick_fits(tricks, SIM_TRICK_REORDER, asked)) {
        held = malloc(sizeof *held + size);
    }
    if (held == NULL) {
        return false;
    }
    held->delay_ms = delay_ms;
    held->size = size;
    memcpy(held->frame, frame, size);
    held->next = stream->held;
    stream->held = held;
    stream->held_count++;
    if (stream->held_count >= sim_trick_number(tricks, SIM_TRICK_REORDER)) {
        release(stream);
    } else {
        make_appointment(stream, REORDER_WAIT_MS, on_reorder_wait);
    }
    return true;
}

/* Messages over a stream carry their length in front. RFC 1035, section 4.2.2 */
static void send_part(struct sim_stream *stream, struct sim_asked *asked,
                      const struct sim_part *part)
{
    uint8_t frame[2 + SIM_PACKET_MAX];
    size_t size = part->packet->size;
    frame[0] = (uint8_t)(size >> 8);
    frame[1] = (uint8_t)(size & 0xff);
    memcpy(frame + 2, part->packet->bytes, size);
    if (!hold(stream, asked, part->delay_ms, frame, 2 + size)) {
        send_frame(stream, asked, part->delay_ms, frame, 2 + size);
    }
}

static void on_idle(void *data)
{
    const struct appointment *appointment = data;
    struct sim_stream *stream = keep_appointment(appointment);
    if (stream == NULL || stream->query_count != appointment->query_count) {
        return;
    }
    struct sim_asked asked = { .over = stream->over };
    if (sim_trick_use(tricks_of(stream), SIM_TRICK_IDLE, &asked)) {
        say_goodbye(stream, SIM_GOODBYE_CLOSE);
    }
}

static void answer_message(struct sim_stream *stream, const uint8_t *bytes, size_t size)
{
    struct sim_answer *answer = &stream->dns->answer;
    struct sim_tricks *tricks = tricks_of(stream);
    stream->query_count++;
    sim_answer_make(answer, bytes, size, stream->over, &stream->conn->peer);
    if (sim_trick_use(tricks, SIM_TRICK_CLOSEQUERY, &answer->asked)) {
        bool reset = sim_trick_number(tricks, SIM_TRICK_CLOSEQUERY) == SIM_GOODBYE_RESET;
        say_goodbye(stream, reset ? SIM_GOODBYE_RESET : SIM_GOODBYE_CLOSE);
        return;
    }
    for (unsigned i = 0; i < answer->part_count && !stream->mute; i++) {
        send_part(stream, &answer->asked, &answer->parts[i]);
    }
    if (!stream->mute && sim_trick_fits(tricks, SIM_TRICK_IDLE, &answer->asked)) {
        make_appointment(stream, sim_trick_number(tricks, SIM_TRICK_IDLE), on_idle);
    }
}

/* Answer every whole message that has arrived. */
static void answer_all(struct sim_stream *stream)
{
    size_t at = 0;
    while (!stream->mute && !stream->conn->closing && stream->size - at >= 2) {
        size_t size = (size_t)stream->input[at] << 8 | stream->input[at + 1];
        if (stream->size - at < 2 + size) {
            break;
        }
        answer_message(stream, stream->input + at + 2, size);
        at += 2 + size;
    }
    if (stream->mute) {
        at = stream->size;
    }
    stream->size -= at;
    memmove(stream->input, stream->input + at, stream->size);
}

size_t sim_stream_take(struct sim_stream *stream, const uint8_t *bytes, size_t size)
{
    size_t room = sizeof stream->input - stream->size;
    size_t taken = size < room ? size : room;
    memcpy(stream->input + stream->size, bytes, taken);
    stream->size += taken;
    answer_all(stream);
    if (stream->size == sizeof stream->input && !stream->conn->closing) {
        sim_listen_drop(stream->conn, true); /* more than any query may have */
    }
    return taken;
}
