/*
 * bench-load - asks a DNS server on loopback as fast as it answers
 *
 * A closed window: `window` queries are in flight over `sockets` connected UDP
 * sockets, and every answer is followed by the next query. Queries and answers
 * move in batches (sendmmsg, recvmmsg), so that the generator is not the limit
 * long before the server is. With --rate it keeps to a fixed rate instead.
 *
 * Every answer is compared with the query that its slot sent: id, QR, the
 * question byte for byte (letter case too), rcode, and whether there are
 * records; with --hashed the address too. A fast wrong server shows as wrong.
 * For every query exactly one of answered, wrong, empty, badrcode or lost is
 * counted.
 *
 * One thread, no library. It reads a file of questions and prints one JSON
 * object on a line.
 */
#include "bench/die.h"
#include "bench/hashed.h"
#include "bench/options.h"
#include "bench/questions.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    HEADER_BYTES = 12, /* RFC 1035, section 4.1.1 */
    QUERY_MAX = HEADER_BYTES + QUESTION_MAX,
    ANSWER_MAX = 1500,
    HIST_SUB = 32, /* buckets for each power of two: 3% wide */
    HIST_BUCKETS = 64 * HIST_SUB,
    TICKS_PER_TIMEOUT = 8, /* how finely lost queries are noticed */
    TYPE_A = 1,
    FRESH_DIGITS = 8,
    FRESH_BITS = 22, /* numbers of fresh names for each seed */
};

static const uint64_t SECOND_NS = 1000000000;
/* Spin for this long before sleeping: a sleeping generator would make the
 * server pay for waking it up. */
static const uint64_t SPIN_NS = 100000;
static const uint64_t NAP_NS = 1000000;

struct slot {
    uint64_t sent_ns; /* 0: nothing in flight */
    uint16_t generation;
    uint16_t owed; /* queries given up as lost, whose answers may still come */
    uint16_t size;
    uint8_t expect;
    uint8_t query[QUERY_MAX];
};

/* One socket and its share of the window. */
struct lane {
    int fd;
    uint16_t slot_count;
    uint16_t free_count;
    struct slot *slots;
    uint16_t *free;
    struct mmsghdr *in;
    struct mmsghdr *out;
    struct iovec *in_parts;
    struct iovec *out_parts;
    uint8_t *answers; /* ANSWER_MAX for each slot */
};

struct tally {
    uint64_t sent;
    uint64_t answered;
    uint64_t lost;
    uint64_t wrong;
    uint64_t empty;
    uint64_t badrcode;
    uint64_t late;
    uint64_t stray;
    uint64_t max_ns;
    uint64_t hist[HIST_BUCKETS];
};

struct run {
    const struct options *options;
    struct questions questions;
    size_t next_question;
    struct lane lanes[OPTIONS_SOCKETS_MAX];
    unsigned lane_count;
    unsigned id_bits; /* low bits of an id: the slot; the rest: its generation */
    uint64_t in_flight;
    uint64_t started_ns;
    struct tally tally;
};

/* How long this thread has stood in line for its core, in ns; 0 when the kernel
 * does not tell. */
static uint64_t waited_ns(void)
{
    FILE *file = fopen("/proc/self/schedstat", "r");
    uint64_t ran_ns = 0;
    uint64_t waited = 0;

    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%" SCNu64 " %" SCNu64, &ran_ns, &waited) != 2) {
        waited = 0;
    }
    fclose(file);
    return waited;
}

static void *allocate(size_t count, size_t size_bytes)
{
    void *memory = calloc(count, size_bytes);

    if (memory == NULL) {
        die("out of memory");
    }
    return memory;
}

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

static void put16(uint8_t *at, uint16_t value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static uint16_t read16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

/* ---- counting ----------------------------------------------------------- */

static unsigned hist_bucket(uint64_t value)
{
    if (value < HIST_SUB) {
        return (unsigned)value;
    }
    unsigned shift = 63U - (unsigned)__builtin_clzll(value) - 5U; /* 2^5 == HIST_SUB */

    return (shift + 1) * HIST_SUB + (unsigned)(value >> shift) - HIST_SUB;
}

/* The upper edge of a bucket. */
static uint64_t hist_value(unsigned bucket)
{
    if (bucket < HIST_SUB) {
        return bucket;
    }
    unsigned shift = bucket / HIST_SUB - 1;

    return ((uint64_t)(bucket % HIST_SUB + HIST_SUB + 1) << shift) - 1;
}

static void tally_latency(struct tally *tally, uint64_t latency_ns)
{
    tally->hist[hist_bucket(latency_ns)]++;
    if (latency_ns > tally->max_ns) {
        tally->max_ns = latency_ns;
    }
}

static double tally_percentile_us(const struct tally *tally, double share)
{
    uint64_t total = 0;
    uint64_t seen = 0;

    for (unsigned i = 0; i < HIST_BUCKETS; i++) {
        total += tally->hist[i];
    }
    for (unsigned i = 0; i < HIST_BUCKETS && total > 0; i++) {
        seen += tally->hist[i];
        if ((double)seen >= share * (double)total) {
            uint64_t edge = hist_value(i);

            return (double)(edge < tally->max_ns ? edge : tally->max_ns) / 1000.0;
        }
    }
    return 0;
}

/* ---- one socket --------------------------------------------------------- */

static void address_parse(const char *text, struct sockaddr_storage *out, socklen_t *out_size)
{
    char host[64];
    const char *colon = strrchr(text, ':');
    char *end = NULL;
    unsigned long port = colon != NULL ? strtoul(colon + 1, &end, 10) : 0;
    size_t length = colon != NULL ? (size_t)(colon - text) : 0;
    struct sockaddr_in *four = (struct sockaddr_in *)out;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)out;

    if (port == 0 || port > 65535 || *end != '\0' || length < 3 || length >= sizeof host) {
        die("--server %s: expected 127.0.0.1:PORT or [::1]:PORT", text);
    }
    memset(out, 0, sizeof *out);
    memcpy(host, text, length);
    host[length] = '\0';
    if (strncmp(host, "127.", 4) == 0 && inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons((uint16_t)port);
        *out_size = sizeof *four;
    } else if (strcmp(host, "[::1]") == 0) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons((uint16_t)port);
        six->sin6_addr = in6addr_loopback;
        *out_size = sizeof *six;
    } else {
        die("--server %s: only loopback addresses are asked", text);
    }
}

static void lane_open(struct lane *lane, uint16_t slot_count, const char *server)
{
    struct sockaddr_storage address;
    socklen_t address_size = 0;

    address_parse(server, &address, &address_size);
    lane->fd = socket(address.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (lane->fd < 0 || connect(lane->fd, (struct sockaddr *)&address, address_size) < 0) {
        die("socket to %s: %s", server, strerror(errno));
    }
    lane->slot_count = slot_count;
    lane->free_count = slot_count;
    lane->slots = allocate(slot_count, sizeof *lane->slots);
    lane->free = allocate(slot_count, sizeof *lane->free);
    lane->in = allocate(slot_count, sizeof *lane->in);
    lane->out = allocate(slot_count, sizeof *lane->out);
    lane->in_parts = allocate(slot_count, sizeof *lane->in_parts);
    lane->out_parts = allocate(slot_count, sizeof *lane->out_parts);
    lane->answers = allocate(slot_count, ANSWER_MAX);
    for (uint16_t i = 0; i < slot_count; i++) {
        lane->free[i] = i;
        lane->in_parts[i].iov_base = lane->answers + (size_t)i * ANSWER_MAX;
        lane->in_parts[i].iov_len = ANSWER_MAX;
        lane->in[i].msg_hdr.msg_iov = &lane->in_parts[i];
        lane->in[i].msg_hdr.msg_iovlen = 1;
        lane->out[i].msg_hdr.msg_iov = &lane->out_parts[i];
        lane->out[i].msg_hdr.msg_iovlen = 1;
    }
}

static void lane_close(struct lane *lane)
{
    close(lane->fd);
    free(lane->slots);
    free(lane->free);
    free(lane->in);
    free(lane->out);
    free(lane->in_parts);
    free(lane->out_parts);
    free(lane->answers);
}

static void slot_release(struct run *run, struct lane *lane, uint16_t index)
{
    lane->slots[index].sent_ns = 0;
    lane->free[lane->free_count++] = index;
    run->in_flight--;
}

/* Whether the first record behind the question, is an A record with the address
 * of the name that `slot` asked for; its owner is written in full or compressed. */
static bool answer_is_hashed(const struct slot *slot, const uint8_t *message, size_t size)
{
    size_t name_size = (size_t)slot->size - HEADER_BYTES - 4;
    const uint8_t *name = slot->query + HEADER_BYTES;
    const uint8_t *at = message + slot->size;
    size_t left = size - slot->size;
    size_t owner = left > 0 && at[0] >= 0xc0 ? 2 : name_size;

    if (left < owner + 14 || read16(at + owner) != TYPE_A || read16(at + owner + 8) != 4) {
        return false;
    }
    at += owner + 10;
    return ((uint32_t)read16(at) << 16 | read16(at + 2)) == hashed_address(name, name_size);
}

/* Counts the answer `message`, whose id belongs to `slot`, under exactly one head. */
static void answer_judge(struct run *run, const struct slot *slot, const uint8_t *message,
                         size_t size)
{
    static const uint8_t rcodes[] = {
        [EXPECT_NOERROR] = 0,  [EXPECT_NODATA] = 0,  [EXPECT_NXDOMAIN] = 3,
        [EXPECT_SERVFAIL] = 2, [EXPECT_REFUSED] = 5,
    };
    struct tally *tally = &run->tally;
    bool has_records = read16(message + 6) != 0;

    if (size < slot->size || (message[2] & 0xf8) != 0x80 || read16(message + 4) != 1 ||
        memcmp(message + HEADER_BYTES, slot->query + HEADER_BYTES,
               (size_t)slot->size - HEADER_BYTES) != 0) {
        tally->wrong++;
    } else if (run->options->any_rcode) {
        tally->answered++;
    } else if ((message[3] & 0x0f) != rcodes[slot->expect]) {
        tally->badrcode++;
    } else if (slot->expect == EXPECT_NOERROR && !has_records) {
        tally->empty++;
    } else if (slot->expect != EXPECT_NOERROR && has_records) {
        tally->wrong++;
    } else if (run->options->hashed && has_records && !answer_is_hashed(slot, message, size)) {
        tally->wrong++;
    } else {
        tally->answered++;
    }
}

static void answer_take(struct run *run, struct lane *lane, const struct mmsghdr *received,
                        uint64_t now_ns)
{
    const uint8_t *message = received->msg_hdr.msg_iov->iov_base;
    size_t size = received->msg_len;

    if (size < HEADER_BYTES || (received->msg_hdr.msg_flags & MSG_TRUNC) != 0) {
        run->tally.stray++;
        return;
    }
    unsigned id = read16(message);
    unsigned index = id & ((1U << run->id_bits) - 1);

    if (index >= lane->slot_count) {
        run->tally.stray++;
        return;
    }
    struct slot *slot = &lane->slots[index];

    if (slot->sent_ns == 0 || id >> run->id_bits != slot->generation) {
        if (slot->owed > 0) {
            slot->owed--;
            run->tally.late++;
        } else {
            run->tally.stray++;
        }
        return;
    }
    answer_judge(run, slot, message, size);
    tally_latency(&run->tally, now_ns > slot->sent_ns ? now_ns - slot->sent_ns : 0);
    slot_release(run, lane, (uint16_t)index);
}

/* Takes what has arrived. Returns how many messages that were. */
static unsigned lane_receive(struct run *run, struct lane *lane, uint64_t *out_now_ns)
{
    int count = recvmmsg(lane->fd, lane->in, lane->slot_count, MSG_DONTWAIT, NULL);

    if (count <= 0) {
        return 0; /* nothing there, or a refused port, which shows as lost */
    }
    *out_now_ns = clock_ns(CLOCK_MONOTONIC);
    for (int i = 0; i < count; i++) {
        answer_take(run, lane, &lane->in[i], *out_now_ns);
    }
    return (unsigned)count;
}

/* Writes the number of a query that nobody has sent yet over the name's first letters. */
static void slot_freshen(const struct run *run, struct slot *slot, uint64_t number)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t *label = slot->query + HEADER_BYTES;
    uint32_t value = (uint32_t)(run->options->seed << FRESH_BITS | number % (1U << FRESH_BITS));

    if (label[0] < FRESH_DIGITS) {
        die("--fresh: the first label of every name must have %d characters", (int)FRESH_DIGITS);
    }
    for (unsigned i = FRESH_DIGITS; i > 0; i--, value >>= 4) {
        label[i] = (uint8_t)digits[value & 0xf];
    }
}

static void slot_fill(struct run *run, struct slot *slot, unsigned index, size_t question_index)
{
    const struct question *question = &run->questions.list[question_index];
    unsigned generations = 1U << (16 - run->id_bits);

    slot->generation = (uint16_t)((slot->generation + 1U) & (generations - 1));
    put16(slot->query, (uint16_t)((unsigned)slot->generation << run->id_bits | index));
    slot->query[2] = run->options->recursion_desired ? 1 : 0;
    slot->query[5] = 1; /* QDCOUNT; the header's other fields stay 0 */
    memcpy(slot->query + HEADER_BYTES, question->wire, question->size);
    slot->size = (uint16_t)(HEADER_BYTES + question->size);
    slot->expect = question->expect;
}

/* Sends up to `budget` queries from the free slots. Returns how many went out. */
static unsigned lane_send(struct run *run, struct lane *lane, uint64_t budget, uint64_t now_ns)
{
    unsigned count = lane->free_count < budget ? lane->free_count : (unsigned)budget;
    size_t question = run->next_question;

    if (count == 0) {
        return 0;
    }
    for (unsigned i = 0; i < count; i++) {
        uint16_t index = lane->free[lane->free_count - 1U - i];
        struct slot *slot = &lane->slots[index];

        slot_fill(run, slot, index, question);
        if (run->options->fresh) {
            slot_freshen(run, slot, run->tally.sent + i);
        }
        question = question + 1 == run->questions.count ? 0 : question + 1;
        lane->out_parts[i].iov_base = slot->query;
        lane->out_parts[i].iov_len = slot->size;
    }
    int sent = sendmmsg(lane->fd, lane->out, count, MSG_DONTWAIT);

    for (int i = 0; i < sent; i++) {
        lane->slots[lane->free[--lane->free_count]].sent_ns = now_ns;
        run->next_question =
            run->next_question + 1 == run->questions.count ? 0 : run->next_question + 1;
    }
    if (sent <= 0) {
        return 0; /* a full buffer or a pending ICMP error: the next sweep tries again */
    }
    run->in_flight += (unsigned)sent;
    run->tally.sent += (unsigned)sent;
    return (unsigned)sent;
}

static void lane_expire(struct run *run, struct lane *lane, uint64_t now_ns)
{
    uint64_t timeout_ns = run->options->timeout_ms * UINT64_C(1000000);

    for (uint16_t i = 0; i < lane->slot_count; i++) {
        struct slot *slot = &lane->slots[i];

        if (slot->sent_ns != 0 && now_ns > slot->sent_ns + timeout_ns) {
            run->tally.lost++;
            slot->owed++;
            slot_release(run, lane, i);
        }
    }
}

/* ---- the run ------------------------------------------------------------ */

/* How many queries may be sent now: the count and the rate bound it. */
static uint64_t run_budget(const struct run *run, uint64_t now_ns)
{
    const struct options *options = run->options;
    uint64_t budget = UINT64_MAX;

    if (options->count != 0) {
        budget = options->count - run->tally.sent;
    }
    if (options->rate != 0) {
        double elapsed_s = (double)(now_ns - run->started_ns) / (double)SECOND_NS;
        uint64_t due = (uint64_t)(elapsed_s * (double)options->rate) + 1;
        uint64_t behind = due > run->tally.sent ? due - run->tally.sent : 0;

        budget = behind < budget ? behind : budget;
    }
    return budget;
}

/* One visit to every socket: take the answers, send the next queries. The first
 * socket to be visited rotates, so that a fixed rate spreads over all of them.
 * Returns how many messages moved. */
static unsigned run_sweep(struct run *run, bool sending, unsigned first, uint64_t *now_ns)
{
    unsigned moved = 0;

    for (unsigned i = 0; i < run->lane_count; i++) {
        struct lane *lane = &run->lanes[(first + i) % run->lane_count];

        moved += lane_receive(run, lane, now_ns);
        if (sending) {
            moved += lane_send(run, lane, run_budget(run, *now_ns), *now_ns);
        }
    }
    return moved;
}

/* Sleeps until an answer is there, for at most a millisecond. */
static void run_nap(const struct run *run, uint64_t now_ns)
{
    struct pollfd fds[OPTIONS_SOCKETS_MAX];
    struct timespec nap = { .tv_nsec = (long)NAP_NS };

    if (run->options->rate != 0) {
        double due_s = (double)run->tally.sent / (double)run->options->rate;
        uint64_t due_ns = run->started_ns + (uint64_t)(due_s * (double)SECOND_NS);
        uint64_t wait_ns = due_ns > now_ns ? due_ns - now_ns : 0;

        nap.tv_nsec = (long)(wait_ns < NAP_NS ? wait_ns : NAP_NS);
    }
    for (unsigned i = 0; i < run->lane_count; i++) {
        fds[i].fd = run->lanes[i].fd;
        fds[i].events = POLLIN;
    }
    ppoll(fds, run->lane_count, &nap, NULL);
}

static void run_expire(struct run *run, uint64_t now_ns)
{
    for (unsigned i = 0; i < run->lane_count; i++) {
        lane_expire(run, &run->lanes[i], now_ns);
    }
}

/* Asks until the time or the count is over, then waits for what is in flight. */
static void run_loop(struct run *run)
{
    const struct options *options = run->options;
    uint64_t tick_ns = options->timeout_ms * UINT64_C(1000000) / TICKS_PER_TIMEOUT;
    uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
    uint64_t end_ns = now_ns + (uint64_t)(options->seconds * (double)SECOND_NS);
    uint64_t moved_ns = now_ns;
    uint64_t next_tick_ns = now_ns + tick_ns;
    bool sending = true;

    run->started_ns = now_ns;
    for (unsigned first = 0; sending || run->in_flight > 0; first++) {
        unsigned moved = run_sweep(run, sending, first, &now_ns);

        if (moved == 0 || options->rate != 0) {
            now_ns = clock_ns(CLOCK_MONOTONIC);
        }
        if (moved > 0) {
            moved_ns = now_ns;
        } else if (now_ns - moved_ns > SPIN_NS) {
            run_nap(run, now_ns);
            now_ns = clock_ns(CLOCK_MONOTONIC);
        }
        if (now_ns >= next_tick_ns) {
            run_expire(run, now_ns);
            next_tick_ns = now_ns + tick_ns;
        }
        if (now_ns >= end_ns || (options->count != 0 && run->tally.sent >= options->count)) {
            sending = false;
        }
    }
}

static void run_open(struct run *run, const struct options *options)
{
    run->options = options;
    questions_read(&run->questions, options->names);
    questions_shuffle(&run->questions, options->seed);
    run->lane_count = (unsigned)options->sockets;
    unsigned long share = (options->window + options->sockets - 1) / options->sockets;

    while ((1UL << run->id_bits) < share) {
        run->id_bits++;
    }
    unsigned long left = options->window;

    for (unsigned i = 0; i < run->lane_count; i++) {
        unsigned long slots = left / (run->lane_count - i);

        lane_open(&run->lanes[i], (uint16_t)slots, options->server);
        left -= slots;
    }
}

static void run_close(struct run *run)
{
    for (unsigned i = 0; i < run->lane_count; i++) {
        lane_close(&run->lanes[i]);
    }
    questions_free(&run->questions);
}

static void run_print(const struct run *run, double seconds, double cpu_us, double waited_s)
{
    const struct tally *tally = &run->tally;
    double answered = tally->answered > 0 ? (double)tally->answered : 1.0;

    printf("{\"sent\": %" PRIu64 ", \"answered\": %" PRIu64 ", \"seconds\": %.4f, \"qps\": %.0f, ",
           tally->sent, tally->answered, seconds, (double)tally->answered / seconds);
    printf("\"lost\": %" PRIu64 ", \"wrong\": %" PRIu64 ", \"empty\": %" PRIu64
           ", \"badrcode\": %" PRIu64 ", \"late\": %" PRIu64 ", \"stray\": %" PRIu64 ", ",
           tally->lost, tally->wrong, tally->empty, tally->badrcode, tally->late, tally->stray);
    printf("\"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f, ",
           tally_percentile_us(tally, 0.50), tally_percentile_us(tally, 0.99),
           (double)tally->max_ns / 1000.0);
    printf("\"cpu_us_per_answer\": %.3f, \"waited_seconds\": %.4f}\n", cpu_us / answered, waited_s);
}

/* ---- the program --------------------------------------------------------- */

static void pin(int cpu)
{
    cpu_set_t set;

    CPU_ZERO(&set);
    CPU_SET((size_t)cpu, &set);
    if (sched_setaffinity(0, sizeof set, &set) < 0) {
        die("--cpu %d: %s", cpu, strerror(errno));
    }
}

int main(int argc, char **argv)
{
    struct options options;

    options_parse(&options, argc, argv);
    if (options.cpu >= 0) {
        pin(options.cpu);
    }
    struct run *run = allocate(1, sizeof *run);

    run_open(run, &options);
    uint64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    uint64_t waited = waited_ns();

    run_loop(run);
    cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu_ns;
    waited = waited_ns() - waited;
    uint64_t elapsed_ns = clock_ns(CLOCK_MONOTONIC) - run->started_ns;

    run_print(run, (double)elapsed_ns / (double)SECOND_NS, (double)cpu_ns / 1000.0,
              (double)waited / (double)SECOND_NS);
    run_close(run);
    free(run);
    return 0;
}
