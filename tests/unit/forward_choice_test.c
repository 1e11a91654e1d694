#include "resolver/forward/choice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define HEDGE_MS    100
#define DEADLINE_MS 1800
#define NEVER       UINT64_MAX

/*
 * One question, played out in simulated time. Candidates are named a, b, c in
 * the order written, and described by class (o own, t other, p public), region
 * and "-" when it is away, "?" when it is suspect or "!" when it is so for long:
 * "o1 t2- p9". What they do:
 * who, ms after it was asked first, and "+" positive, "-" negative, "s"
 * SERVFAIL, "r" refused, "~" sends us to TCP: "a10s b5+". Expected: who is
 * asked when ("?" marks a probe), and how it ends: whose answer of which kind
 * is taken, or "x" for nobody's, and when.
 */
struct script {
    const char *title;
    const char *candidates;
    const char *replies;
    const char *asked;
    const char *end;
};

struct play {
    struct choice choice;
    uint64_t asked_ms[26]; /* by name */
    char kept_kind;
    char asked[256];
    char end[16];
};

static char tags[26];

static char name_at(const struct play *play, uint32_t candidate)
{
    return (char)('a' + ((char *)play->choice.candidates[candidate].upstream - tags));
}

static uint32_t find(const struct play *play, char name)
{
    for (uint32_t i = 0; i < play->choice.count; i++) {
        if (name_at(play, i) == name) {
            return i;
        }
    }
    fail_msg("no candidate %c", name);
    return 0;
}

static void add_all(struct play *play, const char *candidates)
{
    for (unsigned i = 0; *candidates != '\0'; i++) {
        struct choice_candidate c = { .upstream = (struct upstream *)(void *)&tags[i] };
        c.class = *candidates == 'o'   ? FORWARD_OWN
                  : *candidates == 't' ? FORWARD_OTHER
                                       : FORWARD_PUBLIC;
        c.region = (uint32_t)(candidates[1] - '0');
        for (candidates += 2; *candidates != ' ' && *candidates != '\0'; candidates++) {
            c.away = c.away || *candidates == '-';
            c.down = c.down || *candidates == '!';
            c.suspect = c.suspect || *candidates != '-';
        }
        candidates += *candidates == ' ';
        assert_true(choice_add(&play->choice, &c));
    }
}

static void note(struct play *play, uint32_t candidate, bool probe, uint64_t now_ms)
{
    size_t used = strlen(play->asked);
    char name = name_at(play, candidate);

    (void)snprintf(play->asked + used, sizeof(play->asked) - used, "%s%c%s%llu",
                   used > 0 ? " " : "", name, probe ? "?" : "", (unsigned long long)now_ms);
    if (play->asked_ms[name - 'a'] == NEVER) {
        play->asked_ms[name - 'a'] = now_ms;
    }
    choice_asked(&play->choice, candidate, probe, now_ms);
}

static void end_play(struct play *play, char name, char kind, uint64_t now_ms)
{
    (void)snprintf(play->end, sizeof(play->end), "%c%.1s%llu", name, kind == 0 ? "" : &kind,
                   (unsigned long long)now_ms);
}

static void reply(struct play *play, char name, char kind, uint64_t now_ms)
{
    uint32_t candidate = find(play, name);

    switch (kind) {
    case 's':
        choice_failed(&play->choice, candidate, true, "SERVFAIL");
        return;
    case 'r':
        choice_failed(&play->choice, candidate, false, "refused");
        return;
    case '~':
        choice_streaming(&play->choice, candidate);
        choice_asked(&play->choice, candidate, false, now_ms);
        return;
    default:
        if (choice_answered(&play->choice, candidate, kind == '+') == CHOICE_TAKE) {
            end_play(play, name, kind, now_ms);
        }
    }
}

/* What the replies bring at this very moment. True when there was something. */
static bool play_replies(struct play *play, const char *replies, uint64_t now_ms)
{
    bool any = false;

    while (*replies != '\0' && play->end[0] == '\0') {
        char name = *replies;
        char *rest;
        uint64_t after_ms = strtoull(replies + 1, &rest, 10);
        uint64_t asked_ms = play->asked_ms[name - 'a'];
        if (asked_ms != NEVER && asked_ms + after_ms == now_ms) {
            reply(play, name, *rest, now_ms);
            any = true;
        }
        replies = rest + 1;
        replies += *replies == ' ';
    }
    return any;
}

/* Do as told until told to wait or to end. Returns until when. */
static uint64_t play_steps(struct play *play, uint64_t now_ms)
{
    for (unsigned steps = 0; steps < 100; steps++) {
        struct choice_step step = choice_next(&play->choice, now_ms);
        switch (step.action) {
        case CHOICE_ASK:
        case CHOICE_RESEND:
            note(play, step.candidate, false, now_ms);
            break;
        case CHOICE_WAIT:
            assert_true(step.until_ms > now_ms);
            return step.until_ms;
        case CHOICE_TAKE_KEPT:
            end_play(play, name_at(play, play->choice.kept), '-', now_ms);
            return NEVER;
        case CHOICE_GIVE_UP:
            end_play(play, 'x', 0, now_ms);
            return NEVER;
        }
    }
    fail_msg("choice never says to wait");
    return 0;
}

static void play_script(const struct script *script, uint32_t hedge_ms, struct play *play)
{
    uint64_t until_ms;

    memset(play, 0, sizeof(*play));
    memset(play->asked_ms, 0xff, sizeof(play->asked_ms));
    choice_init(&play->choice, hedge_ms, DEADLINE_MS);
    add_all(play, script->candidates);
    choice_start(&play->choice);
    until_ms = play_steps(play, 0);
    for (uint32_t i = 0; i < play->choice.count; i++) {
        if (choice_may_probe(&play->choice, i)) {
            note(play, i, true, 0);
        }
    }
    for (uint64_t now_ms = 0; play->end[0] == '\0'; now_ms++) {
        assert_true(now_ms <= DEADLINE_MS);
        bool event = play_replies(play, script->replies, now_ms);
        if (play->end[0] == '\0' && (event || now_ms >= until_ms)) {
            until_ms = play_steps(play, now_ms);
        }
    }
}

static void check(const struct script *scripts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct play play;
        play_script(&scripts[i], HEDGE_MS, &play);
        if (strcmp(play.asked, scripts[i].asked) != 0 || strcmp(play.end, scripts[i].end) != 0) {
            fail_msg("%s: asked %s, end %s", scripts[i].title, play.asked, play.end);
        }
    }
}

#define CHECK(scripts) check(scripts, sizeof(scripts) / sizeof((scripts)[0]))

// clang-format off
static void silence_is_hedged_and_failure_goes_on_at_once(void **state)
{
    static const struct script scripts[] = {
        { "the first answers", "o1 t2 t3", "a20+", "a0", "a+20" },
        { "its negative answer is as good", "o1 t2", "a20-", "a0", "a-20" },
        { "another region after hedge_ms", "o1 t2 t3", "b10+", "a0 b100", "b+110" },
        { "the region after that", "o1 t2 t3", "c10+", "a0 b100 c200", "c+210" },
        { "the first may still win", "o1 t2", "a150+", "a0 b100", "a+150" },
        { "another region before a second of the same", "o1 o1 t2", "c10+", "a0 c100", "c+110" },
        { "then the second of the same", "o1 o1 t2", "b10+", "a0 c100 b200", "b+210" },
        { "SERVFAIL: the next of the class", "o1 o1 t2", "a10s b5+", "a0 b10", "b+15" },
        { "a dead socket: the next", "o1 t2", "a0r b5+", "a0 b0", "b+5" },
        { "a younger try is given its time", "o1 t2 t3", "a105s b40+", "a0 b100", "b+140" },
        { "the younger one fails", "o1 t2 t3", "b5s c9+", "a0 b100 c105", "c+114" },
        { "all fail", "o1 t2 p3", "a1s b2r c3s", "a0 b1 c3", "x6" },
    };

    (void)state;
    CHECK(scripts);
}

static void the_silent_are_asked_again_until_the_deadline(void **state)
{
    static const struct script scripts[] = {
        { "one alone", "o1", "", "a0 a400 a800 a1200 a1600", "x1800" },
        { "one alone, late", "o1", "a900+", "a0 a400 a800", "a+900" },
        { "two", "o1 t2", "", "a0 b100 a400 b500 a800 b900 a1200 b1300 a1600 b1700", "x1800" },
        { "not while its answer comes over TCP", "o1", "a50~", "a0", "x1800" },
    };

    (void)state;
    CHECK(scripts);
}

static void public_comes_last(void **state)
{
    static const struct script scripts[] = {
        { "not as a hedge", "o1 p9", "a250+", "a0", "a+250" },
        { "after a long silence", "o1 p9", "b5+", "a0 b300", "b+305" },
        { "of everybody", "o1 t2 p9", "c5+", "a0 b100 c400", "c+405" },
        { "when all failed", "o1 t2 p9", "a1s b1s c5+", "a0 b1 c2", "c+7" },
        { "at once when all are down", "o1- t2! p9", "c5+", "c0 b?0", "c+5" },
        { "a suspicion is not enough", "o1? t2? p9", "c5+", "a0 b?0 c300", "c+305" },
        { "its negative answer, when all are down", "o1- t2- p9", "c5-", "c0", "c-5" },
        { "not after a negative answer", "o1 t2 p9", "b5-", "a0 b100", "b-200" },
        { "a silent one is given its time then", "o1 p9", "b5-", "a0 b300", "b-305" },
        { "a suspect public is not probed", "o1 p9?", "a5+", "a0", "a+5" },
        { "one behind a public that fails", "o1? p9", "a5r b5+", "a0 b5", "b+10" },
        { "but when it is all there is", "p8 p9?", "a5+", "a0 b?0", "a+5" },
    };

    (void)state;
    CHECK(scripts);
}

static void those_believed_down_come_after_the_living(void **state)
{
    static const struct script scripts[] = {
        { "away", "o1- t2 t3", "b5+", "b0", "b+5" },
        { "within the class", "o1- o2 t3", "b5+", "b0", "b+5" },
        { "away: not probed, but asked in the end", "o1- t2", "b5s a5+", "b0 a5", "a+10" },
        { "suspect: probed beside", "o1? t2", "b5+", "b0 a?0", "b+5" },
        { "the probe may win", "o1? t2", "a5+ b9+", "b0 a?0", "a+5" },
        { "with a negative answer too", "o1? t2", "a5- b9+", "b0 a?0", "a-5" },
        { "a failing probe changes nothing", "o1? t2", "a5r b9+", "b0 a?0", "b+9" },
        { "suspect and away: no probe", "o1?- t2", "b5+", "b0", "b+5" },
        { "all down: still in order", "o1- t2- t3-", "a5s b5s c5+", "a0 b5 c10", "c+15" },
        { "all down and silent", "o1- t2-", "b9+", "a0 b100", "b+109" },
        { "the probe is what is left", "o1? t2", "b5r", "b0 a?0 a400 a800 a1200 a1600", "x1800" },
        { "hopeless: the living say SERVFAIL", "o1? t2", "b5s", "b0 a?0", "x400" },
    };

    (void)state;
    CHECK(scripts);
}

static void a_negative_answer_of_a_lesser_class_waits(void **state)
{
    static const struct script scripts[] = {
        { "the best class says yes", "o1 t2", "a150+ b5-", "a0 b100", "a+150" },
        { "the best class says no", "o1 t2", "a150- b5-", "a0 b100", "a-150" },
        { "the best class fails", "o1 t2", "a150s b5-", "a0 b100", "b-150" },
        { "it failed before", "o1 t2", "a20s b5-", "a0 b20", "b-25" },
        { "it stays silent", "o1 t2", "b5-", "a0 b100", "b-200" },
        { "another of the silent region is not waited for", "o1 o1 t2", "c5-", "a0 c100", "c-200" },
        { "another of a failed one is", "o1 o1 t2", "a105s b9+ c2-", "a0 c100 b105", "b+114" },
        { "TCP is waited for", "o1 t2", "a50~ a240+ b5-", "a0 b100", "a+240" },
        { "but not until the end", "o1 t2", "a50~ b5-", "a0 b100", "b-250" },
        { "a third region is not", "o1 t2 t3", "a101s b40- c1+", "a0 b100", "b-140" },
        { "a region believed down is no authority", "o1- t2 t3", "b5s a5- c5+", "b0 c5", "c+10" },
        { "unless nobody else is", "o1- t2", "b5s a5-", "b0 a5", "a-10" },
    };

    (void)state;
    CHECK(scripts);
}
// clang-format on

static void without_hedging_silence_goes_on_late(void **state)
{
    static const struct script script = { "", "o1 t2", "b5+", "", "" };
    struct play play;

    (void)state;
    play_script(&script, 0, &play);
    assert_string_equal(play.asked, "a0 b500");
    assert_string_equal(play.end, "b+505");
}

static void a_usually_slow_upstream_is_given_more_time(void **state)
{
    struct choice choice;
    struct choice_candidate own = { .class = FORWARD_OWN, .region = 1, .usual_ms = 200 };
    struct choice_candidate other = { .class = FORWARD_OTHER, .region = 2 };

    (void)state;
    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    assert_true(choice_add(&choice, &own));
    assert_true(choice_add(&choice, &other));
    choice_start(&choice);
    choice_asked(&choice, 0, false, 0);
    choice_asked(&choice, 1, false, 100);
    assert_int_equal(choice_answered(&choice, 1, false), CHOICE_KEEP);
    assert_int_equal(choice_next(&choice, 599).action, CHOICE_RESEND);
    assert_int_equal(choice_next(&choice, 600).action, CHOICE_TAKE_KEPT);
}

static void the_better_of_two_negative_answers_is_kept(void **state)
{
    struct choice choice;
    static const enum forward_class classes[] = { FORWARD_OWN, FORWARD_OTHER, FORWARD_PUBLIC };

    (void)state;
    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    for (unsigned i = 0; i < 3; i++) {
        struct choice_candidate c = { .class = classes[i], .region = i };
        assert_true(choice_add(&choice, &c));
        choice_asked(&choice, i, false, 0);
    }
    choice_start(&choice);
    assert_int_equal(choice_answered(&choice, 2, false), CHOICE_KEEP);
    assert_int_equal(choice_answered(&choice, 1, false), CHOICE_KEEP);
    assert_int_equal(choice.kept, 1);
    choice.candidates[2].state = CHOICE_ASKED;
    assert_int_equal(choice_answered(&choice, 2, false), CHOICE_DROP);
}

static void more_candidates_than_fit_are_left_out(void **state)
{
    struct choice choice;
    struct choice_candidate c = { .class = FORWARD_OWN };

    (void)state;
    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    for (unsigned i = 0; i < CHOICE_MOST; i++) {
        assert_true(choice_add(&choice, &c));
    }
    assert_false(choice_add(&choice, &c));
    assert_int_equal(choice.count, CHOICE_MOST);
}

/*
 * Whatever the candidates are and do: everybody is asked before nobody's
 * answer is the answer (but public ones behind a silent company), a positive
 * answer that came is taken, and the end comes by the deadline.
 */
static void no_upstream_is_left_unasked(void **state)
{
    static const char classes[] = { 'o', 't', 'p' };
    static const char marks[] = { ' ', '-', '?' };
    static const char kinds[] = { 's', 'r', ' ' };

    (void)state;
    for (unsigned n = 0; n < 27 * 27 * 27; n++) {
        char candidates[32] = "", replies[32] = "";
        unsigned code = n;
        for (unsigned i = 0; i < 3; i++, code /= 27) {
            char what = kinds[code / 9 % 3];
            size_t used = strlen(candidates);
            (void)snprintf(candidates + used, sizeof(candidates) - used, "%s%c%u%.1s",
                           i > 0 ? " " : "", classes[code % 3], i + 1,
                           marks[code / 3 % 3] == ' ' ? "" : &marks[code / 3 % 3]);
            used = strlen(replies);
            if (what != ' ') {
                (void)snprintf(replies + used, sizeof(replies) - used, "%s%c%u%c",
                               used > 0 ? " " : "", (char)('a' + i), 30 * i + 10, what);
            }
        }
        struct script script = { "", candidates, replies, "", "" };
        struct play play;
        play_script(&script, HEDGE_MS, &play);
        assert_int_equal(play.end[0], 'x');
        for (unsigned i = 0; i < 3; i++) {
            if (play.asked_ms[i] == NEVER) {
                fail_msg("%s, %s: %c is never asked: %s, end %s", candidates, replies,
                         (char)('a' + i), play.asked, play.end);
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_is_hedged_and_failure_goes_on_at_once),
        cmocka_unit_test(the_silent_are_asked_again_until_the_deadline),
        cmocka_unit_test(public_comes_last),
        cmocka_unit_test(those_believed_down_come_after_the_living),
        cmocka_unit_test(a_negative_answer_of_a_lesser_class_waits),
        cmocka_unit_test(without_hedging_silence_goes_on_late),
        cmocka_unit_test(a_usually_slow_upstream_is_given_more_time),
        cmocka_unit_test(the_better_of_two_negative_answers_is_kept),
        cmocka_unit_test(more_candidates_than_fit_are_left_out),
        cmocka_unit_test(no_upstream_is_left_unasked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
