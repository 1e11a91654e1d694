#include "sim_stats.h"

#include <stdlib.h>
#include <string.h>

struct sim_stats_question {
    struct sim_stats_question *next;
    uint64_t by_over[SIM_OVERS];
    uint16_t type;
    size_t size;
    uint8_t dname[]; /* wire form, lower case */
};

static uint32_t bucket_of(const struct sim_dname *name)
{
    return sim_wire_hash(name->bytes, name->size) % SIM_STATS_BUCKETS;
}

static bool is_of(const struct sim_stats_question *question, const struct sim_dname *name)
{
    return question->size == name->size && memcmp(question->dname, name->bytes, name->size) == 0;
}

static struct sim_stats_question *find(const struct sim_stats *stats, const struct sim_query *query)
{
    struct sim_stats_question *question = stats->buckets[bucket_of(&query->qname)];
    while (question != NULL && (question->type != query->type || !is_of(question, &query->qname))) {
        question = question->next;
    }
    return question;
}

static struct sim_stats_question *add(struct sim_stats *stats, const struct sim_query *query)
{
    size_t size = query->qname.size;
    struct sim_stats_question *question =
        stats->question_count < SIM_STATS_QUESTIONS ? calloc(1, sizeof *question + size) : NULL;
    if (question == NULL) {
        return NULL;
    }
    uint32_t bucket = bucket_of(&query->qname);
    memcpy(question->dname, query->qname.bytes, size);
    question->size = size;
    question->type = query->type;
    question->next = stats->buckets[bucket];
    stats->buckets[bucket] = question;
    stats->question_count++;
    return question;
}

static void count_contents(struct sim_stats_queries *queries, const struct sim_query *query)
{
    queries->rd += sim_wire_has_rd(query) ? 1 : 0;
    queries->ad += sim_wire_has_ad(query) ? 1 : 0;
    queries->cd += sim_wire_has_cd(query) ? 1 : 0;
    queries->dnssec_ok += query->dnssec_ok ? 1 : 0;
    queries->mixed_case += query->mixed_case ? 1 : 0;
    queries->edns += query->edns ? 1 : 0;
    queries->ecs += query->ecs ? 1 : 0;
    queries->cookies += query->cookie_size > 0 ? 1 : 0;
}

void sim_stats_count(struct sim_stats *stats, const struct sim_query *query, enum sim_over over)
{
    stats->queries.by_over[over]++;
    count_contents(&stats->queries, query);
    struct sim_stats_question *question = find(stats, query);
    if (question == NULL) {
        question = add(stats, query);
    }
    if (question != NULL) {
        question->by_over[over]++;
    }
}

void sim_stats_sum(const struct sim_stats *stats, const struct sim_dname *name, uint16_t type,
                   uint64_t by_over[SIM_OVERS])
{
    memset(by_over, 0, SIM_OVERS * sizeof by_over[0]);
    const struct sim_stats_question *question = stats->buckets[bucket_of(name)];
    for (; question != NULL; question = question->next) {
        if ((type == 0 || question->type == type) && is_of(question, name)) {
            for (unsigned i = 0; i < SIM_OVERS; i++) {
                by_over[i] += question->by_over[i];
            }
        }
    }
}

void sim_stats_reset(struct sim_stats *stats)
{
    for (size_t i = 0; i < SIM_STATS_BUCKETS; i++) {
        while (stats->buckets[i] != NULL) {
            struct sim_stats_question *question = stats->buckets[i];
            stats->buckets[i] = question->next;
            free(question);
        }
    }
    *stats = (struct sim_stats){ 0 };
}
