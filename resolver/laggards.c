#include "resolver/laggards.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "resolver/chosen.h"
#include "resolver/reclaimer.h"
#include "zones/name.h"

#define BUCKET_ENTRIES 8 /* looked at for one client */
#define FNV_BASIS      UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME      UINT64_C(0x100000001b3)
#define GOLDEN         UINT64_C(0x9e3779b97f4a7c15)

/* The words of an entry. */
enum {
    CLIENT_HIGH,
    CLIENT_LOW,
    SERVICE,
    REGIONS,
    ASKED,
    TTL,  /* the view above it */
    KIND, /* the client's family, its bits, the family answered; 0: free */
    WORDS,
};

/*
 * One cache line. Who writes makes `version` odd first and even last; each word
 * is released, so that who has read a new word also sees the odd version.
 */
struct entry {
    _Alignas(64) _Atomic uint64_t version;
    _Atomic uint64_t words[WORDS];
};

struct laggards {
    struct retired retired;
    uint32_t buckets;
    struct entry *entries;
};

struct laggards *laggards_new(uint32_t clients)
{
    struct laggards *laggards = calloc(1, sizeof(*laggards));
    uint32_t buckets = clients / BUCKET_ENTRIES + (clients % BUCKET_ENTRIES != 0);
    size_t bytes = (size_t)buckets * BUCKET_ENTRIES * sizeof(struct entry);

    if (laggards == NULL) {
        return NULL;
    }
    laggards->buckets = buckets;
    laggards->entries = bytes == 0 ? NULL : aligned_alloc(_Alignof(struct entry), bytes);
    if (laggards->entries == NULL) {
        free(laggards);
        return NULL;
    }
    memset(laggards->entries, 0, bytes);
    return laggards;
}

void laggards_free(struct laggards *laggards)
{
    if (laggards != NULL) {
        free(laggards->entries);
        free(laggards);
    }
}

static void release(struct retired *retired)
{
    laggards_free((struct laggards *)((char *)retired - offsetof(struct laggards, retired)));
}

void laggards_retire(struct laggards *laggards, struct reclaimer *reclaimer)
{
    laggards->retired.release = release;
    reclaimer_retire(reclaimer, &laggards->retired);
}

/* ---- what stands for what ---- */

uint64_t laggards_key(const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    uint64_t key = FNV_BASIS;

    for (size_t i = 0; i < length; i++) {
        key = (key ^ at[i]) * FNV_PRIME;
    }
    return key;
}

static uint64_t region_key(const struct steer_pool *pool)
{
    return laggards_key(pool->region_name, strlen(pool->region_name));
}

uint64_t laggards_regions(const struct steer_service *service, const struct steer_choice *choice)
{
    uint64_t sum = 0;

    if (choice->result != STEER_ADDRESSES) {
        return choice->result == STEER_FALLBACK ? 1 : 0;
    }
    if (!choice->several) {
        return region_key(&service->pools[choice->pool]);
    }
    for (uint32_t i = 0; i < service->pool_count; i++) {
        sum += choice->bits_of[i] == 0 ? 0 : region_key(&service->pools[i]);
    }
    return sum;
}

/* ---- writing ---- */

static void pack(const struct laggards_answer *answer, uint64_t words[WORDS])
{
    memcpy(&words[CLIENT_HIGH], answer->client.bytes, sizeof(uint64_t));
    memcpy(&words[CLIENT_LOW], answer->client.bytes + sizeof(uint64_t), sizeof(uint64_t));
    words[SERVICE] = answer->service;
    words[REGIONS] = answer->regions;
    words[ASKED] = answer->asked_ms;
    words[TTL] = (uint64_t)answer->view << 32 | answer->ttl_s;
    words[KIND] = 1u | (uint64_t)answer->client.family << 8 | (uint64_t)answer->known_bits << 16 |
                  (uint64_t)answer->family << 24;
}

static uint64_t read_word(const struct entry *entry, unsigned word)
{
    return atomic_load_explicit(&entry->words[word], memory_order_acquire);
}

static bool is_same(const struct entry *entry, const uint64_t words[WORDS])
{
    return read_word(entry, CLIENT_HIGH) == words[CLIENT_HIGH] &&
           read_word(entry, CLIENT_LOW) == words[CLIENT_LOW] &&
           read_word(entry, SERVICE) == words[SERVICE] && read_word(entry, KIND) == words[KIND];
}

/* The entry of this client, else a free one, else the oldest. */
static struct entry *find(struct entry *bucket, const uint64_t words[WORDS])
{
    struct entry *oldest = bucket;

    for (unsigned i = 0; i < BUCKET_ENTRIES; i++) {
        if (is_same(&bucket[i], words)) {
            return &bucket[i];
        }
        /* a free one is of time 0 */
        if (read_word(&bucket[i], ASKED) < read_word(oldest, ASKED)) {
            oldest = &bucket[i];
        }
    }
    return oldest;
}

static size_t bucket_of(const struct laggards *laggards, const uint64_t words[WORDS])
{
    uint64_t hash = words[CLIENT_HIGH] * GOLDEN;

    hash = (hash ^ hash >> 29 ^ words[CLIENT_LOW]) * GOLDEN;
    hash = (hash ^ hash >> 29 ^ words[SERVICE] ^ words[KIND]) * GOLDEN;
    return (size_t)((hash >> 32) * laggards->buckets >> 32) * BUCKET_ENTRIES;
}

void laggards_note(struct laggards *laggards, const struct laggards_answer *answer)
{
    uint64_t words[WORDS];

    pack(answer, words);
    struct entry *entry = find(&laggards->entries[bucket_of(laggards, words)], words);
    uint64_t version = atomic_load_explicit(&entry->version, memory_order_relaxed);
    atomic_store_explicit(&entry->version, version + 1, memory_order_relaxed);
    for (unsigned i = 0; i < WORDS; i++) {
        atomic_store_explicit(&entry->words[i], words[i], memory_order_release);
    }
    atomic_store_explicit(&entry->version, version + 2, memory_order_release);
}

void laggards_note_chosen(struct laggards *laggards, const struct chosen *chosen, uint64_t now_ms)
{
    const struct steer_service *service = chosen->service;
    const char *view = service->policy == NULL ? NULL : service->policy->view_name;
    struct laggards_answer answer = {
        .client = chosen->client.address,
        .known_bits = chosen->client.known_bits,
        .family = (uint8_t)chosen->family,
        .service = laggards_key(service->dname, name_length(service->dname)),
        .view = view == NULL ? 0 : (uint32_t)laggards_key(view, strlen(view)),
        .ttl_s = chosen->choice.short_ttl ? service->ttl_suspect_s : service->ttl_normal_s,
        .regions = laggards_regions(service, &chosen->choice),
        .asked_ms = now_ms,
    };

    answer.client.port = 0;
    laggards_note(laggards, &answer);
}

/* ---- reading ---- */

static void unpack(const uint64_t words[WORDS], struct laggards_answer *out)
{
    memset(out, 0, sizeof(*out));
    memcpy(out->client.bytes, &words[CLIENT_HIGH], sizeof(uint64_t));
    memcpy(out->client.bytes + sizeof(uint64_t), &words[CLIENT_LOW], sizeof(uint64_t));
    out->client.family = (uint8_t)(words[KIND] >> 8);
    out->known_bits = (uint8_t)(words[KIND] >> 16);
    out->family = (uint8_t)(words[KIND] >> 24);
    out->service = words[SERVICE];
    out->regions = words[REGIONS];
    out->asked_ms = words[ASKED];
    out->view = (uint32_t)(words[TTL] >> 32);
    out->ttl_s = (uint32_t)words[TTL];
}

void laggards_walk(const struct laggards *laggards, uint64_t service, laggards_visit *visit,
                   void *user)
{
    size_t count = (size_t)laggards->buckets * BUCKET_ENTRIES;

    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &laggards->entries[i];
        uint64_t version = atomic_load_explicit(&entry->version, memory_order_acquire);
        uint64_t words[WORDS];
        struct laggards_answer answer;
        if (version == 0 || version % 2 != 0 || read_word(entry, SERVICE) != service) {
            continue;
        }
        for (unsigned w = 0; w < WORDS; w++) {
            words[w] = read_word(entry, w);
        }
        if (atomic_load_explicit(&entry->version, memory_order_relaxed) == version) {
            unpack(words, &answer);
            visit(user, &answer);
        }
    }
}
