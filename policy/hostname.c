#include "policy/hostname.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define FEWER_LEAST    3     /* heard in ten minutes: with less there is no "far fewer" */
#define FEWER_OF_ALL   3     /* a third of them */
#define FEWER_OF_USUAL 2     /* and half of the largest answer */
#define AGAIN_MS       5000  /* after silence */
#define AGAIN_MOST_MS  30000 /* doubled up to here */
#define BARE_MS        1000  /* the same while nothing is known at all */
#define BARE_MOST_MS   5000

void hostname_init(struct hostname *hostname, bool keep, uint64_t now_ms)
{
    memset(hostname, 0, sizeof(*hostname));
    hostname->keep = keep;
    hostname->ask_ms = now_ms;
    hostname->window_ms = now_ms;
}

const char *hostname_kind_name(enum hostname_kind kind)
{
    static const char *const names[] = {
        [HOSTNAME_UNASKED] = "not asked yet", [HOSTNAME_POSITIVE] = "positive",
        [HOSTNAME_NXDOMAIN] = "NXDOMAIN",     [HOSTNAME_NODATA] = "NODATA",
        [HOSTNAME_SILENT] = "no answer",
    };

    return names[kind];
}

static void copy_source(char out[HOSTNAME_SOURCE_BYTES], const char *source)
{
    (void)snprintf(out, HOSTNAME_SOURCE_BYTES, "%s", source == NULL ? "" : source);
}

/* ---- the addresses ---- */

static struct hostname_address *find(struct hostname *h, const struct addr *address)
{
    for (size_t i = 0; i < h->address_count; i++) {
        if (addr_same_host(&h->addresses[i].address, address)) {
            return &h->addresses[i];
        }
    }
    return NULL;
}

static void take_out(struct hostname *h, struct hostname_address *a)
{
    if (a->in_set) {
        a->in_set = false;
        a->kept_ms = 0;
        h->version++;
    }
}

static size_t count_set(const struct hostname *h)
{
    size_t count = 0;

    for (size_t i = 0; i < h->address_count; i++) {
        count += h->addresses[i].in_set;
    }
    return count;
}

/* The one that is missed least: gone already, or left out the longest. NULL: all are needed. */
static struct hostname_address *find_dispensable(struct hostname *h, bool in_set)
{
    struct hostname_address *found = NULL;

    for (size_t i = 0; i < h->address_count; i++) {
        struct hostname_address *a = &h->addresses[i];
        if (a->in_set == in_set && (!in_set || a->missing_ms != 0) &&
            (found == NULL || a->seen_ms < found->seen_ms)) {
            found = a;
        }
    }
    return found;
}

/* A place for one more, or NULL. */
static struct hostname_address *make_room(struct hostname *h)
{
    if (h->address_count < HOSTNAME_REMEMBERED) {
        return &h->addresses[h->address_count++];
    }
    return find_dispensable(h, false);
}

/* An answer has this address. */
static void see(struct hostname *h, const struct addr *address, uint64_t now_ms)
{
    struct hostname_address *a = find(h, address);

    if (a == NULL || !a->in_set) {
        if (count_set(h) >= HOSTNAME_MOST) {
            struct hostname_address *other = find_dispensable(h, true);
            if (other == NULL) {
                return;
            }
            take_out(h, other);
        }
        a = a != NULL ? a : make_room(h);
        if (a == NULL) {
            return;
        }
        *a = (struct hostname_address){ .address = *address, .in_set = true };
        a->address.port = 0;
        h->version++;
    }
    a->seen_ms = now_ms;
    a->seen_turn = h->turn;
    a->missing_ms = 0;
    a->kept_ms = 0;
}

static bool is_in(const struct hostname_answer *answer, const struct addr *address)
{
    for (size_t i = 0; i < answer->count; i++) {
        if (addr_same_host(&answer->addresses[i], address)) {
            return true;
        }
    }
    return false;
}

/* Drop from memory what was seen too long ago. */
static void forget(struct hostname *h, uint64_t now_ms)
{
    for (size_t i = 0; i < h->address_count;) {
        struct hostname_address *a = &h->addresses[i];
        if (!a->in_set && now_ms - a->seen_ms > HOSTNAME_UNION_MS) {
            *a = h->addresses[--h->address_count];
        } else {
            i++;
        }
    }
}

/* ---- how many there usually are ---- */

static void turn_windows(struct hostname *h, uint64_t now_ms)
{
    if (now_ms - h->window_ms < HOSTNAME_UNION_MS) {
        return;
    }
    bool far = now_ms - h->window_ms >= 2 * (uint64_t)HOSTNAME_UNION_MS;
    h->largest[1] = far ? 0 : h->largest[0];
    h->largest[0] = 0;
    h->window_ms = now_ms;
}

static size_t largest_lately(const struct hostname *h)
{
    size_t largest = h->largest[0] > h->largest[1] ? h->largest[0] : h->largest[1];

    return h->doubt.open && h->doubt.largest > largest ? h->doubt.largest : largest;
}

static bool is_far_fewer(const struct hostname *h, size_t count, uint64_t now_ms)
{
    size_t heard = 0;

    for (size_t i = 0; i < h->address_count; i++) {
        const struct hostname_address *a = &h->addresses[i];
        heard += a->kept_ms != 0 || now_ms - a->seen_ms <= HOSTNAME_UNION_MS;
    }
    return heard >= FEWER_LEAST && count * FEWER_OF_ALL <= heard &&
           count * FEWER_OF_USUAL <= largest_lately(h);
}

/* ---- answers that are believed ---- */

static void see_all(struct hostname *h, const struct hostname_answer *answer, uint64_t now_ms)
{
    for (size_t i = 0; i < answer->count; i++) {
        see(h, &answer->addresses[i], now_ms);
    }
}

/* The set is what the answer says, and for a while what it leaves out. */
static void believe(struct hostname *h, const struct hostname_answer *answer, uint64_t now_ms)
{
    for (size_t i = 0; i < h->address_count; i++) {
        struct hostname_address *a = &h->addresses[i];
        if (!a->in_set || is_in(answer, &a->address)) {
            continue;
        }
        a->kept_ms = 0;
        if (a->missing_ms == 0) {
            a->missing_ms = now_ms;
        }
        if (!h->keep) {
            take_out(h, a);
        }
    }
    see_all(h, answer, now_ms);
    if (answer->count > h->largest[0]) {
        h->largest[0] = answer->count;
    }
}

/* ---- answers that are not ---- */

static void open_doubt(struct hostname *h, const struct hostname_answer *answer, uint64_t now_ms)
{
    struct hostname_doubt *d = &h->doubt;

    if (!d->open) {
        size_t largest = largest_lately(h);
        *d = (struct hostname_doubt){ .open = true, .since_ms = now_ms, .largest = largest };
    }
    d->kind = answer->kind;
    d->count = answer->count;
    copy_source(d->source, answer->source);
    see_all(h, answer, now_ms);
}

static uint64_t later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* What the set has beyond what was said stays, against what was said. */
static void keep_rest(struct hostname *h)
{
    for (size_t i = 0; i < h->address_count; i++) {
        struct hostname_address *a = &h->addresses[i];
        if (a->in_set && a->kept_ms == 0 && a->missing_ms == 0 && a->seen_turn != h->turn) {
            a->kept_ms = later(h->doubt.since_ms, a->seen_ms);
        }
    }
}

static void hear_second(struct hostname *h, const struct hostname_answer *answer, uint64_t now_ms)
{
    struct hostname_doubt *d = &h->doubt;

    if (!d->open) {
        return;
    }
    d->confirmed = false;
    d->overruled = false;
    copy_source(d->second, answer->kind == HOSTNAME_SILENT ? "" : answer->source);
    if (answer->kind == HOSTNAME_POSITIVE && !answer->expired && answer->count > d->count &&
        !is_far_fewer(h, answer->count, now_ms)) {
        d->overruled = true;
        believe(h, answer, now_ms);
        return;
    }
    d->confirmed = answer->kind != HOSTNAME_SILENT && !answer->expired;
    if (answer->kind == HOSTNAME_POSITIVE) {
        see_all(h, answer, now_ms);
    }
    keep_rest(h);
}

/* ---- hearing ---- */

static void hear_silence(struct hostname *h, uint64_t now_ms)
{
    bool bare = !hostname_has_any(h);
    uint64_t wait_ms = bare ? BARE_MS : AGAIN_MS;
    uint64_t most_ms = bare ? BARE_MOST_MS : AGAIN_MOST_MS;

    for (unsigned i = 0; i < h->silent_count && wait_ms < most_ms; i++) {
        wait_ms *= 2;
    }
    if (h->silent_count++ == 0) {
        h->silent_ms = now_ms;
    }
    h->ask_ms = now_ms + (wait_ms < most_ms ? wait_ms : most_ms);
}

static uint32_t clamp_ttl(uint32_t ttl_s, uint32_t most_s)
{
    uint32_t least = ttl_s < HOSTNAME_TTL_LEAST_S ? HOSTNAME_TTL_LEAST_S : ttl_s;

    return least < most_s ? least : most_s;
}

static bool is_doubtful(const struct hostname *h, const struct hostname_answer *answer,
                        uint64_t now_ms)
{
    if (!h->keep || !hostname_has_any(h)) {
        return false;
    }
    return answer->kind != HOSTNAME_POSITIVE || is_far_fewer(h, answer->count, now_ms);
}

static enum hostname_wish hear_first(struct hostname *h, const struct hostname_answer *answer,
                                     uint64_t now_ms)
{
    h->silent_count = 0;
    h->turn++;
    h->heard_ms = now_ms;
    h->last = answer->kind;
    h->ttl_s = clamp_ttl(answer->expired ? 0 : answer->ttl_s, HOSTNAME_TTL_MOST_S);
    copy_source(h->source, answer->source);
    if (is_doubtful(h, answer, now_ms)) {
        h->ttl_s = clamp_ttl(answer->ttl_s, HOSTNAME_DOUBT_MOST_S);
        h->ask_ms = now_ms + h->ttl_s * UINT64_C(1000);
        open_doubt(h, answer, now_ms);
        return HOSTNAME_WANTS_SECOND;
    }
    if (answer->kind == HOSTNAME_NXDOMAIN) {
        h->ttl_s = clamp_ttl(answer->ttl_s, HOSTNAME_ABSENT_MOST_S);
    }
    h->ask_ms = now_ms + h->ttl_s * UINT64_C(1000);
    h->doubt.open = false;
    believe(h, answer, now_ms);
    return HOSTNAME_CONTENT;
}

enum hostname_wish hostname_hear(struct hostname *hostname, const struct hostname_answer *answer,
                                 uint64_t now_ms)
{
    struct hostname *h = hostname;
    bool useless = answer->expired &&
                   (answer->kind != HOSTNAME_POSITIVE || hostname_has_any(h));

    turn_windows(h, now_ms);
    forget(h, now_ms);
    if (answer->second) {
        hear_second(h, answer, now_ms);
        hostname_tick(h, now_ms);
        return HOSTNAME_CONTENT;
    }
    if (answer->kind == HOSTNAME_SILENT || useless) {
        hear_silence(h, now_ms);
        return HOSTNAME_CONTENT;
    }
    return hear_first(h, answer, now_ms);
}

/* ---- proofs and time ---- */

void hostname_prove(struct hostname *hostname, const struct addr *address,
                    enum hostname_proof proof, uint64_t look, uint64_t now_ms)
{
    struct hostname_address *a = find(hostname, address);

    if (a == NULL || (a->look == look && proof < a->proof)) {
        return;
    }
    a->proof = proof;
    a->look = look;
    if (proof == HOSTNAME_PROVEN) {
        a->proven_ms = now_ms;
    }
}

/* How long what is left out of answers stays. */
static uint64_t left_out_ms(const struct hostname *h)
{
    uint64_t ms = h->ttl_s * UINT64_C(1500);

    if (ms < HOSTNAME_LEFT_OUT_MS) {
        return HOSTNAME_LEFT_OUT_MS;
    }
    return ms < HOSTNAME_LEFT_OUT_MOST_MS ? ms : HOSTNAME_LEFT_OUT_MOST_MS;
}

/* When an address of the set goes, if nothing happens; UINT64_MAX: it stays. */
static uint64_t end_ms(const struct hostname *h, const struct hostname_address *a)
{
    if (a->kept_ms != 0) {
        if (a->proof == HOSTNAME_DISPROVEN) {
            return 0;
        }
        return a->proof == HOSTNAME_PROVEN ? UINT64_MAX
                                           : later(a->kept_ms, a->proven_ms) + HOSTNAME_KEPT_MS;
    }
    return a->missing_ms != 0 ? a->missing_ms + left_out_ms(h) : UINT64_MAX;
}

void hostname_tick(struct hostname *hostname, uint64_t now_ms)
{
    struct hostname *h = hostname;
    bool kept = hostname_keeps_any(h);

    for (size_t i = 0; i < h->address_count; i++) {
        struct hostname_address *a = &h->addresses[i];
        if (a->in_set && now_ms >= end_ms(h, a)) {
            take_out(h, a);
        }
    }
    if (kept && !hostname_keeps_any(h) && !h->doubt.overruled) {
        h->doubt.open = false; /* what was said is believed now */
        h->largest[0] = h->doubt.count;
        h->largest[1] = 0;
        if (!hostname_has_any(h) && h->ask_ms > now_ms + AGAIN_MS) {
            h->ask_ms = now_ms + AGAIN_MS; /* nothing is left: see soon whether it is back */
        }
    }
}

uint64_t hostname_tick_ms(const struct hostname *hostname)
{
    uint64_t first = UINT64_MAX;

    for (size_t i = 0; i < hostname->address_count; i++) {
        const struct hostname_address *a = &hostname->addresses[i];
        uint64_t end = a->in_set ? end_ms(hostname, a) : UINT64_MAX;
        first = end < first ? end : first;
    }
    return first;
}

/* ---- reading ---- */

static int by_bytes(const void *a, const void *b)
{
    const struct addr *x = a, *y = b;
    int order = memcmp(x->bytes, y->bytes, sizeof(x->bytes));

    return order != 0 ? order : (x->scope > y->scope) - (x->scope < y->scope);
}

size_t hostname_list(const struct hostname *hostname, struct addr out[HOSTNAME_MOST])
{
    size_t count = 0;

    for (size_t i = 0; i < hostname->address_count && count < HOSTNAME_MOST; i++) {
        if (hostname->addresses[i].in_set) {
            out[count++] = hostname->addresses[i].address;
        }
    }
    qsort(out, count, sizeof(*out), by_bytes);
    return count;
}

bool hostname_has_any(const struct hostname *hostname)
{
    return count_set(hostname) > 0;
}

bool hostname_keeps_any(const struct hostname *hostname)
{
    return hostname_kept_ms(hostname) != 0;
}

const struct hostname_address *hostname_find(const struct hostname *hostname,
                                             const struct addr *address)
{
    for (size_t i = 0; i < hostname->address_count; i++) {
        const struct hostname_address *a = &hostname->addresses[i];
        if (a->in_set && addr_same_host(&a->address, address)) {
            return a;
        }
    }
    return NULL;
}

uint64_t hostname_kept_ms(const struct hostname *hostname)
{
    uint64_t first = 0;

    for (size_t i = 0; i < hostname->address_count; i++) {
        const struct hostname_address *a = &hostname->addresses[i];
        if (a->in_set && a->kept_ms != 0 && (first == 0 || a->kept_ms < first)) {
            first = a->kept_ms;
        }
    }
    return first;
}

static void explain_doubt(const struct hostname *h, uint64_t now_ms, struct text *out)
{
    const struct hostname_doubt *d = &h->doubt;

    if (d->kind == HOSTNAME_POSITIVE) {
        text_printf(out, "the upstream %s says %zu of %zu addresses", d->source, d->count,
                    d->largest);
    } else {
        text_printf(out, "the upstream %s says %s", d->source, hostname_kind_name(d->kind));
    }
    text_put(out, " since ");
    text_put_duration(out, now_ms - d->since_ms);
    if (d->overruled) {
        text_printf(out, "; %s has its addresses", d->second);
    } else if (d->confirmed) {
        text_printf(out, "; %s says so too", d->second);
    }
}

static void explain_kept(const struct hostname *h, struct text *out)
{
    size_t proven = 0, kept = 0;

    for (size_t i = 0; i < h->address_count; i++) {
        const struct hostname_address *a = &h->addresses[i];
        kept += a->in_set && a->kept_ms != 0;
        proven += a->in_set && a->kept_ms != 0 && a->proof == HOSTNAME_PROVEN;
    }
    if (kept > 0 && proven == kept) {
        text_printf(out, "; %s", kept == 1 ? "its check passes" : "their checks pass");
    } else if (proven > 0) {
        text_printf(out, "; the checks of %zu of %zu pass, the others stay at most an hour",
                    proven, kept);
    } else if (kept > 0) {
        text_put(out, "; no check proves whose they are: at most an hour");
    }
}

void hostname_explain(const struct hostname *hostname, uint64_t now_ms, struct text *out)
{
    if (hostname->doubt.open) {
        explain_doubt(hostname, now_ms, out);
        explain_kept(hostname, out);
    } else if (hostname->silent_count > 0) {
        text_put(out, "nobody answers since ");
        text_put_duration(out, now_ms - hostname->silent_ms);
    }
}
