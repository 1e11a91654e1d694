#include "policy/health_note.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/health_region.h"
#include "policy/health_table.h"

#define CUT        "..."
#define WORDS      (sizeof(struct health_note) / sizeof(uint64_t))
#define LOOKS_MOST 4 /* at a note that is being rewritten */

_Static_assert(sizeof(struct health_note) % sizeof(uint64_t) == 0, "whole words");

/*
 * A note that is read while it is written (Lamport, 1977): its number is odd
 * while that goes on, and another one afterwards. It is made when there is
 * first something to say, and kept as long as what it is about.
 */
struct noted {
    _Atomic uint32_t number;
    _Atomic uint64_t words[WORDS];
};

/* ---- writing ---- */

/* Who reads one of these words sees that the number was odd before. */
static void write_words(struct noted *noted, const struct health_note *note)
{
    uint32_t number = atomic_load_explicit(&noted->number, memory_order_relaxed);
    uint64_t words[WORDS];

    memcpy(words, note, sizeof(words));
    atomic_store_explicit(&noted->number, number + 1, memory_order_relaxed);
    for (size_t i = 0; i < WORDS; i++) {
        atomic_store_explicit(&noted->words[i], words[i], memory_order_release);
    }
    atomic_store_explicit(&noted->number, number + 2, memory_order_release);
}

static void put_note(_Atomic(struct noted *) *place, const struct health_note *note)
{
    struct noted *noted = atomic_load_explicit(place, memory_order_relaxed);

    if (noted == NULL) {
        noted = health_table_get(1, sizeof(*noted));
        write_words(noted, note);
        atomic_store_explicit(place, noted, memory_order_release);
        return;
    }
    write_words(noted, note);
}

/* There is nothing to say (any more). */
static void clear_note(_Atomic(struct noted *) *place)
{
    static const struct health_note nothing;

    if (atomic_load_explicit(place, memory_order_relaxed) != NULL) {
        put_note(place, &nothing);
    }
}

/* Say so where the text was longer, and not in the middle of a character of UTF-8. */
static void end_cut(char *text, size_t cap, int length)
{
    if (length < 0 || (size_t)length < cap) {
        return;
    }
    size_t at = cap - sizeof(CUT);
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80) {
        at--;
    }
    memcpy(text + at, CUT, sizeof(CUT));
}

static int describe_verdict(const struct health_probe *probe, const struct health_event *event,
                            char *out, size_t cap)
{
    if (event->sum > 0) {
        return snprintf(out, cap, "%s: %s, %u in a row, evidence %u.%u of %u.%u", probe->label,
                        probe->reason, event->failed, event->sum / 10, event->sum % 10,
                        event->threshold / 10, event->threshold % 10);
    }
    if (event->needed <= 1) { /* it decided alone */
        return snprintf(out, cap, "%s: %s", probe->label, probe->reason);
    }
    return snprintf(out, cap, "%s: %s, %u of %u in a row", probe->label, probe->reason,
                    event->failed, event->needed);
}

void health_note_probe(struct probe_slot *slot, const struct health_event *event)
{
    const struct health_probe *probe = &slot->probe;
    const struct detect *d = &probe->detect;
    struct health_note note = { .since_ms = d->since_ms, .hold_ms = d->hold_now_ms };
    int length;

    if (d->state != DETECT_DOWN) {
        clear_note(&slot->noted);
        return;
    }
    if (d->held) {
        note.until_ms = d->hold_until_ms;
        length = snprintf(note.text, sizeof(note.text), "%s passes again", probe->label);
    } else {
        length = describe_verdict(probe, event, note.text, sizeof(note.text));
    }
    end_cut(note.text, sizeof(note.text), length);
    put_note(&slot->noted, &note);
}

/* ---- reading ---- */

/* False: there is none, or it does not keep still. */
static bool read_words(const _Atomic(struct noted *) *place, struct health_note *out)
{
    const struct noted *noted = atomic_load_explicit(place, memory_order_acquire);
    uint64_t words[WORDS];

    for (unsigned look = 0; noted != NULL && look < LOOKS_MOST; look++) {
        uint32_t before = atomic_load_explicit(&noted->number, memory_order_acquire);
        for (size_t i = 0; i < WORDS; i++) {
            words[i] = atomic_load_explicit(&noted->words[i], memory_order_acquire);
        }
        uint32_t after = atomic_load_explicit(&noted->number, memory_order_relaxed);
        if (before % 2 == 0 && before == after) {
            memcpy(out, words, sizeof(words));
            return true;
        }
    }
    return false;
}

static bool says_something(const struct health_note *note)
{
    return note->text[0] != '\0' || note->since_ms != 0;
}

bool health_note_region(const struct health_binding *binding, size_t region,
                        struct health_note *out)
{
    return read_words(&binding->regions[region]->noted, out) && says_something(out);
}

static const struct group_endpoint *find_endpoint(const struct group_slot *group, unsigned family,
                                                  unsigned bit)
{
    for (size_t i = 0; i < group->endpoint_count; i++) {
        const struct group_endpoint *e = &group->endpoints[i];
        if (e->address.family == family && e->bit == bit) {
            return e;
        }
    }
    return NULL;
}

bool health_note_endpoint(const struct health_binding *binding, size_t service, size_t pool,
                          unsigned family, unsigned bit, struct health_note *out)
{
    const struct group_endpoint *e =
        find_endpoint(binding->services[service].groups[pool], family, bit);
    bool found = false;

    for (size_t i = 0; e != NULL && i < e->probe_count; i++) {
        const struct probe_slot *slot = (const struct probe_slot *)e->probes[i];
        struct health_note note;
        if (!read_words(&slot->noted, &note) || !says_something(&note)) {
            continue;
        }
        if (!found || (out->until_ms != 0 && note.until_ms == 0)) {
            *out = note;
        }
        found = true;
    }
    return found;
}

/* ---- regions ---- */

/* What its checks say, and the worst of them. */
static void describe_region(const struct region_slot *region, const struct health_probe *worst,
                            struct health_note *note)
{
    struct health_note of_worst = { .text = "" };
    const struct probe_slot *slot = (const struct probe_slot *)worst;
    size_t words = strcspn(region->reason, ";");
    int length;

    if (worst == NULL) {
        return;
    }
    (void)read_words(&slot->noted, &of_worst);
    note->until_ms = of_worst.until_ms;
    note->hold_ms = of_worst.hold_ms;
    length = snprintf(note->text, sizeof(note->text), "%.*s; %s", (int)words, region->reason,
                      of_worst.text);
    end_cut(note->text, sizeof(note->text), length);
}

void health_note_write_region(struct region_slot *region, const struct health_probe *worst)
{
    struct health_note note = { .since_ms = region->since_ms };

    if (strcmp(region->told, "in") == 0) {
        clear_note(&region->noted);
        return;
    }
    describe_region(region, worst, &note);
    put_note(&region->noted, &note);
}

void health_note_free(struct noted *noted)
{
    free(noted);
}
