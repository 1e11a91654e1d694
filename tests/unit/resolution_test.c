#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "resolver/edns.h"
#include "resolver/hosts.h"
#include "resolver/publication.h"
#include "resolver/resolution.h"
#include "tests/unit/world.h"

#define QUESTIONS_MAX 64

/* ---- a forwarder that answers when the test says so ---- */

struct asked {
    struct forward_question question;
    uint8_t name[NAME_MAX_BYTES];
    forward_done *done;
    void *user;
};

struct forwarder {
    struct asked asked[QUESTIONS_MAX];
    unsigned count;
    unsigned waiting;
    unsigned forgotten; /* trees */
    bool down;
    forward_answered *answered;
    void *answered_user;
};

static struct forwarder fake;

struct forwarder *forwarder_new(uv_loop_t *loop)
{
    (void)loop;
    memset(&fake, 0, sizeof(fake));
    return &fake;
}

void forwarder_on_answer(struct forwarder *forwarder, forward_answered *answered, void *user)
{
    forwarder->answered = answered;
    forwarder->answered_user = user;
}

void forwarder_adopt(struct forwarder *forwarder, const struct snapshot *snapshot)
{
    (void)forwarder;
    (void)snapshot;
}

void forwarder_forget(struct forwarder *forwarder, const uint8_t *tree)
{
    (void)tree;
    forwarder->forgotten++;
}

bool forwarder_is_down(struct forwarder *forwarder, const struct forward_rule *rule)
{
    (void)rule;
    return forwarder->down;
}

bool forwarder_is_loop(struct forwarder *forwarder, const uint8_t *dname)
{
    (void)forwarder;
    (void)dname;
    return false;
}

unsigned forwarder_waiting(const struct forwarder *forwarder)
{
    return forwarder->waiting;
}

void forwarder_ask(struct forwarder *forwarder, const struct forward_rule *rule,
                   const struct forward_question *question, forward_done *done, void *user)
{
    struct asked *asked = &forwarder->asked[forwarder->count++];

    (void)rule;
    assert_true(forwarder->count <= QUESTIONS_MAX);
    asked->question = *question;
    memcpy(asked->name, question->name, question->name_length);
    asked->question.name = asked->name;
    asked->done = done;
    asked->user = user;
}

void forwarder_close(struct forwarder *forwarder, void (*closed)(void *user), void *user)
{
    (void)forwarder;
    closed(user);
}

/* ---- the world ---- */

static struct world world;
static struct publication publication;
static struct cache *cache;
static struct resolution *resolution;
static uv_loop_t loop;

/* What the last question came to. */
static struct {
    unsigned count;
    unsigned rcode;
    unsigned answers;
    uint32_t ttl_s;
    uint32_t soa_ttl_s;
    uint8_t last; /* byte of the address */
    uint16_t ede;
    bool has_message;
} told;

static void awake(void *user)
{
    (void)user;
}

static void on_closed(void *user)
{
    *(bool *)user = true;
}

static int set_up(void **state)
{
    (void)state;
    assert_true(world_init(&world, "regions: {seoul: {minimum_healthy: 0}}\n"
                                   "cache: {stale_wait: 20ms, persist: false}\n"
                                   "access: {in_flight: 64}\n"
                                   "forward: {\".\": {upstreams: [127.0.0.2]},\n"
                                   "          corp.example: {upstreams: [127.0.0.3]}}\n"));
    publication_init(&publication);
    assert_int_equal(publication_start(&publication), 0);
    publication_put(&publication, world.snapshot);
    cache = cache_new(&world.snapshot->model->cache, publication_reclaimer(&publication));
    assert_int_equal(uv_loop_init(&loop), 0);
    const struct resolution_host host = {
        .loop = &loop,
        .publication = &publication,
        .cache = cache,
        .awake = awake,
    };
    resolution = resolution_new(&host);
    resolution_adopt(resolution, world.snapshot);
    memset(&told, 0, sizeof(told));
    return 0;
}

static int tear_down(void **state)
{
    bool closed = false;
    (void)state;

    resolution_close(resolution, on_closed, &closed);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_true(closed);
    assert_int_equal(uv_loop_close(&loop), 0);
    assert_ptr_equal(publication_stop(&publication), world.snapshot);
    cache_free(cache);
    publication_fini(&publication);
    world_fini(&world);
    return 0;
}

static void on_told(void *user, const struct forward_reply *reply)
{
    (void)user;
    told.count++;
    told.ede = reply->ede_code;
    told.has_message = reply->message != NULL;
    if (reply->message != NULL) {
        told.rcode = wire_get16(reply->message + 2) & WIRE_RCODE;
        told.answers = wire_get16(reply->message + 6);
        told.last = reply->message[reply->length - 1];
        told.soa_ttl_s = told.answers > 0 ? 0 : wire_get32(reply->message + reply->length - 28);
        told.ttl_s = told.answers > 0 ? wire_get32(reply->message + reply->length - 10) : 0;
    }
}

static struct forward_question question_of(const char *text, uint8_t *name)
{
    struct error err;
    int length = name_parse(text, name, &err);

    assert_true(length > 0);
    return (struct forward_question){
        .name = name, .name_length = (uint8_t)length, .type = WIRE_A, .class = WIRE_IN
    };
}

static void ask(const char *text)
{
    uint8_t name[NAME_MAX_BYTES];
    const struct forward_question question = question_of(text, name);

    resolution_ask(resolution, world.snapshot, &question, on_told, NULL);
}

/* An answer to the question as upstreams send it: one address, or NXDOMAIN with a SOA. */
static size_t make(const struct forward_question *question, unsigned rcode, uint8_t last,
                   uint32_t ttl_s, uint8_t *out)
{
    static const uint8_t names[2] = { 0, 0 };
    size_t length = wire_query_build(out, 0, (uint16_t)(WIRE_QR | WIRE_RD | WIRE_RA | rcode),
                                     question->name, WIRE_A, WIRE_IN, 0, false);

    wire_put16(out + length, 0xc00c);
    wire_put16(out + length + 2, rcode == WIRE_NOERROR ? WIRE_A : WIRE_SOA);
    wire_put16(out + length + 4, WIRE_IN);
    wire_put32(out + length + 6, ttl_s);
    if (rcode == WIRE_NOERROR) {
        const uint8_t address[] = { 192, 0, 2, last };
        wire_put16(out + 6, 1);
        wire_put16(out + length + 10, 4);
        memcpy(out + length + 12, address, 4);
        return length + 16;
    }
    wire_put16(out + 8, 1);
    wire_put16(out + length + 10, 22);
    memcpy(out + length + 12, names, 2);
    memset(out + length + 14, 0, 20);
    wire_put32(out + length + 30, ttl_s);
    return length + 34;
}

/* The upstream of question `index` says this. */
static void answer(unsigned index, unsigned rcode, uint8_t last, bool lesser)
{
    const struct asked asked = fake.asked[index];
    uint8_t message[1024];
    struct forward_reply reply = {
        .message = message,
        .length = make(&asked.question, rcode, last, 60, message),
        .ede_text = "",
        .upstream = "",
        .origin = lesser ? FORWARD_OTHER : FORWARD_OWN,
        .positive = rcode == WIRE_NOERROR,
        .lesser = lesser,
    };

    fake.answered(fake.answered_user, &asked.question, asked.name, &reply);
    if (asked.done != NULL) {
        asked.done(asked.user, &reply);
    }
}

/* Nobody answers question `index`. */
static void fail_question(unsigned index)
{
    const struct asked asked = fake.asked[index];
    struct forward_reply reply = {
        .ede_code = EDNS_NO_REACHABLE_AUTHORITY, .ede_text = "nobody", .upstream = ""
    };

    fake.answered(fake.answered_user, &asked.question, asked.name, &reply);
    if (asked.done != NULL) {
        asked.done(asked.user, &reply);
    }
}

/* It was answered so long ago, with a TTL of a minute. */
static void remember(const char *text, unsigned rcode, uint8_t last, int64_t ago_s)
{
    uint8_t name[NAME_MAX_BYTES];
    uint8_t message[1024];
    const struct forward_question question = question_of(text, name);
    const struct cache_key key = {
        .dname = name, .length = question.name_length, .type = WIRE_A, .class = WIRE_IN
    };
    const struct cache_answer kept = {
        .message = message,
        .length = make(&question, rcode, last, 60, message),
        .origin = FORWARD_OWN,
        .stored_ms = (int64_t)clock_now_ms() - ago_s * 1000,
    };

    assert_true(cache_store(cache, &key, &kept));
}

/* ---- the claims ---- */

static void what_was_answered_is_known(void **state)
{
    (void)state;
    ask("www.example.com");
    assert_int_equal(fake.count, 1);
    answer(0, WIRE_NOERROR, 7, false);
    assert_int_equal(told.count, 1);
    ask("WWW.example.com");
    assert_int_equal(fake.count, 1);
    assert_int_equal(told.count, 2);
    assert_int_equal(told.last, 7);
    assert_in_range(told.ttl_s, 50, 60);
}

static void the_first_to_ask_gets_the_ttls_that_are_kept(void **state)
{
    (void)state;
    ask("nx.example.com");
    answer(0, WIRE_NXDOMAIN, 0, true); /* of one who is not the first to be asked */
    assert_int_equal(told.rcode, WIRE_NXDOMAIN);
    assert_int_equal(told.soa_ttl_s, 30);
}

static void upstreams_that_live_are_waited_for_a_while(void **state)
{
    (void)state;
    remember("www.example.com", WIRE_NOERROR, 7, 100);
    ask("www.example.com");
    assert_int_equal(fake.count, 1);
    assert_true(fake.asked[0].question.has_stale);
    assert_int_equal(told.count, 0);
    while (told.count == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    assert_int_equal(told.ede, EDNS_STALE_ANSWER);
    assert_int_equal(told.last, 7);
    assert_int_equal(told.ttl_s, 30);
    answer(0, WIRE_NOERROR, 8, false); /* late, but not lost */
    assert_int_equal(told.count, 1);
    ask("www.example.com");
    assert_int_equal(told.last, 8);
    assert_int_equal(told.ede, 0);
}

static void an_answer_in_time_is_given(void **state)
{
    (void)state;
    remember("www.example.com", WIRE_NOERROR, 7, 100);
    ask("www.example.com");
    answer(0, WIRE_NOERROR, 8, false);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.last, 8);
    assert_int_equal(told.ede, 0);
}

static void upstreams_that_are_down_are_not_waited_for(void **state)
{
    (void)state;
    remember("www.example.com", WIRE_NOERROR, 7, 100);
    fake.down = true;
    ask("www.example.com");
    assert_int_equal(told.count, 1);
    assert_int_equal(told.ede, EDNS_STALE_ANSWER);
    assert_int_equal(fake.count, 1); /* behind */
    assert_null(fake.asked[0].done);
    ask("www.example.com"); /* not again for a second */
    assert_int_equal(told.count, 2);
    assert_int_equal(fake.count, 1);
    answer(0, WIRE_NOERROR, 8, false);
    ask("www.example.com");
    assert_int_equal(told.last, 8);
}

static void the_dead_are_not_buried_in_questions(void **state)
{
    char name[32];
    (void)state;

    fake.down = true;
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof(name), "h%u.example.com", i);
        remember(name, WIRE_NOERROR, 7, 100);
    }
    int64_t begin_ms = (int64_t)clock_now_ms();
    for (unsigned i = 0; i < 50; i++) {
        (void)snprintf(name, sizeof(name), "h%u.example.com", i);
        ask(name);
    }
    int64_t took_ms = (int64_t)clock_now_ms() - begin_ms;
    assert_int_equal(told.count, 50);
    assert_in_range(fake.count, 1, took_ms / 50 + 1);
}

static void who_waited_in_vain_spares_the_others_the_wait(void **state)
{
    (void)state;
    remember("www.example.com", WIRE_NOERROR, 7, 100);
    remember("api.example.com", WIRE_NOERROR, 9, 100);
    ask("www.example.com");
    while (told.count == 0) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    ask("api.example.com");
    assert_int_equal(told.count, 2);
    assert_int_equal(told.last, 9);
    answer(1, WIRE_NOERROR, 10, false); /* somebody is there again */
    remember("mail.example.com", WIRE_NOERROR, 11, 100);
    ask("mail.example.com");
    assert_int_equal(told.count, 2);
    fail_question(0);
    fail_question(2);
    assert_int_equal(told.count, 3);
}

static void the_old_answer_serves_when_nobody_answers(void **state)
{
    (void)state;
    remember("www.example.com", WIRE_NOERROR, 7, 100);
    ask("www.example.com");
    fail_question(0);
    assert_int_equal(told.count, 1);
    assert_int_equal(told.ede, EDNS_STALE_ANSWER);
    assert_int_equal(told.last, 7);
    ask("www.example.com"); /* known for a moment: nobody is asked */
    assert_int_equal(told.count, 2);
    assert_int_equal(fake.count, 1);
}

static void a_stale_name_error_says_so(void **state)
{
    (void)state;
    remember("nx.example.com", WIRE_NXDOMAIN, 0, 100);
    ask("nx.example.com");
    assert_false(fake.asked[0].question.has_stale); /* no reason not to ask public ones */
    fail_question(0);
    assert_int_equal(told.rcode, WIRE_NXDOMAIN);
    assert_int_equal(told.ede, EDNS_STALE_NXDOMAIN);
}

static void a_failure_is_known_for_a_moment(void **state)
{
    (void)state;
    ask("www.example.com");
    fail_question(0);
    assert_false(told.has_message);
    assert_int_equal(told.ede, EDNS_NO_REACHABLE_AUTHORITY);
    ask("www.example.com");
    assert_int_equal(fake.count, 1);
    assert_int_equal(told.count, 2);
    assert_false(told.has_message);
    assert_int_equal(told.ede, EDNS_CACHED_ERROR);
}

static void a_lesser_no_is_worse_than_an_old_answer(void **state)
{
    (void)state;
    remember("www.example.com", WIRE_NOERROR, 7, 100);
    ask("www.example.com");
    answer(0, WIRE_NXDOMAIN, 0, true);
    assert_int_equal(told.rcode, WIRE_NOERROR);
    assert_int_equal(told.last, 7);
    assert_int_equal(told.ede, EDNS_STALE_ANSWER);
}

static void the_best_ones_no_replaces_an_old_answer(void **state)
{
    (void)state;
    remember("www.example.com", WIRE_NOERROR, 7, 100);
    ask("www.example.com");
    answer(0, WIRE_NXDOMAIN, 0, false);
    assert_int_equal(told.rcode, WIRE_NXDOMAIN);
    ask("www.example.com");
    assert_int_equal(fake.count, 1);
    assert_int_equal(told.rcode, WIRE_NXDOMAIN);
    assert_int_equal(told.ede, 0);
}

static void what_is_too_old_is_not_served(void **state)
{
    (void)state;
    remember("www.example.com", WIRE_NOERROR, 7, 60 + 3 * 86400 + 5);
    ask("www.example.com");
    assert_int_equal(fake.count, 1);
    fail_question(0);
    assert_false(told.has_message);
}

static void names_of_nobody_are_not_asked_for(void **state)
{
    (void)state;
    ask("localhost");
    assert_int_equal(told.answers, 1);
    ask("printer.local");
    assert_int_equal(told.rcode, WIRE_NXDOMAIN);
    ask("intranet");
    assert_int_equal(told.rcode, WIRE_NXDOMAIN);
    assert_int_equal(told.count, 3);
    assert_int_equal(fake.count, 0);
}

static void too_many_in_flight_are_turned_away(void **state)
{
    (void)state;
    remember("known.example.com", WIRE_NOERROR, 7, 10);
    fake.waiting = 64;
    ask("www.example.com");
    assert_int_equal(fake.count, 0);
    assert_int_equal(told.count, 1);
    assert_false(told.has_message);
    assert_int_equal(told.ede, EDNS_OTHER);
    ask("known.example.com");
    assert_int_equal(told.last, 7);
    remember("old.example.com", WIRE_NOERROR, 8, 100);
    ask("old.example.com"); /* what is at hand costs no place */
    assert_int_equal(fake.count, 0);
    assert_int_equal(told.last, 8);
    assert_int_equal(told.ede, EDNS_STALE_ANSWER);
}

/* Else what is asked but once would stay as long as what is asked often. */
static void storing_an_answer_is_no_visit(void **state)
{
    uint8_t name[NAME_MAX_BYTES];
    const struct forward_question question = question_of("www.example.com", name);
    const struct cache_key key = {
        .dname = name, .length = question.name_length, .type = WIRE_A, .class = WIRE_IN
    };
    (void)state;

    ask("www.example.com");
    answer(0, WIRE_NOERROR, 7, false);
    assert_int_equal(told.last, 7);
    const struct cache_entry *entry = cache_peek(cache, &key);
    assert_non_null(entry);
    assert_int_equal(entry->visits, 0);
    assert_int_equal(entry->asked, 0);
    ask("www.example.com");
    assert_int_equal(entry->visits, 1);
    assert_int_equal(entry->asked, 1);
}

/* The answerers look into the cache before anybody looks into the hosts file. */
static void names_of_the_hosts_file_leave_the_cache(void **state)
{
    char path[] = "/tmp/leeward-hosts-XXXXXX";
    struct arena *arena = arena_new();
    uint8_t name[NAME_MAX_BYTES];
    struct error err;
    const struct forward_question question = question_of("db.example.com", name);
    const struct cache_key key = {
        .dname = name, .length = question.name_length, .type = WIRE_A, .class = WIRE_IN
    };
    (void)state;

    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "10.0.0.1 db.example.com\n") > 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(hosts_read(arena, path, &world.snapshot->hosts, &err), 0);
    assert_int_equal(unlink(path), 0);
    remember("db.example.com", WIRE_NOERROR, 7, 10);
    remember("www.example.com", WIRE_NOERROR, 8, 10);
    resolution_adopt(resolution, world.snapshot);
    assert_null(cache_peek(cache, &key));
    remember("db.example.com", WIRE_NOERROR, 7, 10); /* from disk, say */
    resolution_loaded(resolution);
    assert_null(cache_peek(cache, &key));
    ask("www.example.com");
    assert_int_equal(told.last, 8);
    world.snapshot->hosts = NULL;
    arena_free(arena);
}

static void a_refresh_asks_though_it_is_fresh(void **state)
{
    uint8_t name[NAME_MAX_BYTES];
    const struct forward_question question = question_of("www.example.com", name);
    (void)state;

    resolution_refresh(resolution, world.snapshot, &question);
    assert_int_equal(fake.count, 0); /* it has gone meanwhile: nobody misses it */
    remember("www.example.com", WIRE_NOERROR, 7, 58);
    resolution_refresh(resolution, world.snapshot, &question);
    assert_int_equal(fake.count, 1);
    assert_null(fake.asked[0].done);
    answer(0, WIRE_NOERROR, 8, false);
    ask("www.example.com");
    assert_int_equal(told.last, 8);
}

static void a_changed_rule_forgets_its_names(void **state)
{
    struct forward_rule rules[2];
    struct snapshot changed = *world.snapshot;
    struct forward_upstream upstream;
    (void)state;

    remember("db.corp.example", WIRE_NOERROR, 7, 10);
    remember("www.example.com", WIRE_NOERROR, 9, 10);
    memcpy(rules, world.snapshot->forwards, sizeof(rules));
    assert_string_equal(rules[0].name, "corp.example");
    upstream = rules[0].upstreams[0];
    upstream.address.port++;
    rules[0].upstreams = &upstream;
    changed.forwards = rules;
    resolution_adopt(resolution, &changed);
    ask("www.example.com");
    assert_int_equal(told.last, 9);
    assert_int_equal(fake.forgotten, 1 + 1); /* the new rule and the old one */
    ask("db.corp.example");
    assert_int_equal(fake.count, 1);
    resolution_adopt(resolution, world.snapshot);
    fail_question(0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_answered_is_known),
        TEST(the_first_to_ask_gets_the_ttls_that_are_kept),
        TEST(upstreams_that_live_are_waited_for_a_while),
        TEST(an_answer_in_time_is_given),
        TEST(upstreams_that_are_down_are_not_waited_for),
        TEST(the_dead_are_not_buried_in_questions),
        TEST(who_waited_in_vain_spares_the_others_the_wait),
        TEST(the_old_answer_serves_when_nobody_answers),
        TEST(a_stale_name_error_says_so),
        TEST(a_failure_is_known_for_a_moment),
        TEST(a_lesser_no_is_worse_than_an_old_answer),
        TEST(the_best_ones_no_replaces_an_old_answer),
        TEST(what_is_too_old_is_not_served),
        TEST(names_of_nobody_are_not_asked_for),
        TEST(too_many_in_flight_are_turned_away),
        TEST(storing_an_answer_is_no_visit),
        TEST(names_of_the_hosts_file_leave_the_cache),
        TEST(a_refresh_asks_though_it_is_fresh),
        TEST(a_changed_rule_forgets_its_names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
