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
 * and "-" when it is away, "?" when it is suspect, "!" when it is so for long or "$"
 * when it may not be asked more often:
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
    bool has_stale;
    bool is_unprobed; /* suspects are asked in their turn only */
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
            c.suspect = c.suspect || *candidates == '!' || *candidates == '?';
            c.spent = c.spent || *candidates == '$';
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

    memset(&play->choice, 0, sizeof(*play) - offsetof(struct play, choice));
    memset(play->asked_ms, 0xff, sizeof(play->asked_ms));
    choice_init(&play->choice, hedge_ms, DEADLINE_MS);
    play->choice.has_stale = play->has_stale;
    add_all(play, script->candidates);
    choice_start(&play->choice);
    until_ms = play_steps(play, 0);
    for (uint32_t i = 0; i < play->choice.count && !play->is_unprobed; i++) {
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

static void check(const struct script *scripts, size_t count, bool has_stale)
{
    for (size_t i = 0; i < count; i++) {
        struct play play = { .has_stale = has_stale };
        play_script(&scripts[i], HEDGE_MS, &play);
        if (strcmp(play.asked, scripts[i].asked) != 0 || strcmp(play.end, scripts[i].end) != 0) {
            fail_msg("%s: asked %s, end %s", scripts[i].title, play.asked, play.end);
        }
    }
}

#define CHECK(scripts)       check(scripts, sizeof(scripts) / sizeof((scripts)[0]), false)
#define CHECK_STALE(scripts) check(scripts, sizeof(scripts) / sizeof((scripts)[0]), true)

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
        { "not after a negative answer", "o1 t2 p9", "b5-", "a0 b100 a105", "b-200" },
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

static void when_all_are_down_their_silence_is_soon_believed(void **state)
{
    static const struct script scripts[] = {
        { "one alone", "o1!", "", "a0 a400", "x600" },
        { "two", "o1! t2!", "", "a0 b?0 a400", "x600" },
        { "one is back in time", "o1! t2!", "b590+", "a0 b?0 a400", "b+590" },
        { "one that is only suspect is waited for", "o1! t2?", "", "a0 b?0 a400 a800 a1200 a1600",
          "x1800" },
        { "and one that lives", "o1! t2", "b1700+", "b0 a?0 b400 b800 b1200 b1600", "b+1700" },
        { "public is asked before", "o1! p9", "b5+", "b0 a?0", "b+5" },
    };

    (void)state;
    CHECK(scripts);
}

static void a_negative_answer_of_a_lesser_class_waits(void **state)
{
    static const struct script scripts[] = {
        { "the best class says yes", "o1 t2", "a150+ b5-", "a0 b100 a105", "a+150" },
        { "the best class says no", "o1 t2", "a150- b5-", "a0 b100 a105", "a-150" },
        { "the best class fails", "o1 t2", "a150s b5-", "a0 b100 a105", "b-150" },
        { "it failed before", "o1 t2", "a20s b5-", "a0 b20", "b-25" },
        { "it stays silent", "o1 t2", "b5-", "a0 b100 a105", "b-200" },
        { "not for another of a silent region", "o1 o1 t2", "c5-", "a0 c100 a105", "c-200" },
        { "another of a failed one is", "o1 o1 t2", "a105s b9+ c2-", "a0 c100 a102 b105", "b+114" },
        { "TCP is waited for", "o1 t2", "a50~ a240+ b5-", "a0 b100", "a+240" },
        { "but not until the end", "o1 t2", "a50~ b5-", "a0 b100", "b-250" },
        { "a third region is not", "o1 t2 t3", "a101s b40- c1+", "a0 b100", "b-140" },
        { "a region believed down is no authority", "o1- t2 t3", "b5s a5- c5+", "b0 c5", "c+10" },
        { "unless nobody else is", "o1- t2", "b5s a5-", "b0 a5", "a-10" },
    };

    (void)state;
    CHECK(scripts);
}

static void what_may_not_be_asked_more_stands_behind_the_living(void **state)
{
    static const struct script scripts[] = {
        { "it spills to the next region", "o1$ t2", "b5+", "b0", "b+5" },
        { "that one's negative answer counts", "o1$ t2", "b5-", "b0", "b-5" },
        { "it is asked when nobody else is left", "o1$ t2", "a5+ b5s", "b0 a5", "a+10" },
        { "before one believed down", "o1? t2$", "b5+", "b0 a?0", "b+5" },
        { "and before public", "o1$ p9", "a5+ b5+", "a0", "a+5" },
        { "all of them: in order", "o1$ t2$", "a5+", "a0", "a+5" },
    };

    (void)state;
    CHECK(scripts);
}

static void an_older_answer_is_better_than_a_lesser_negative_one(void **state)
{
    static const struct script scripts[] = {
        { "of another region", "o1 t2", "a5s b5-", "a0 b5", "x10" },
        { "while a better one is silent", "o1 t2", "a150- b5-", "a0 b100", "a-150" },
        { "not than one of the best", "o1 t2", "a5-", "a0", "a-5" },
        { "nor when the best is down", "o1! t2", "b5-", "b0 a?0", "b-5" },
        { "nor than a positive one", "o1 t2", "a5s b5+", "a0 b5", "b+10" },
    };

    (void)state;
    CHECK_STALE(scripts);
}
// clang-format on

static void without_hedging_silence_goes_on_late(void **state)
{
    static const struct script script = { "", "o1 t2", "b5+", "", "" };
    struct play play = { .has_stale = false };

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

static struct choice_candidate candidate_of(enum forward_class class, uint32_t region)
{
    return (struct choice_candidate){ .class = class, .region = region };
}

static void each_is_given_its_own_time(void **state)
{
    struct choice choice;
    struct choice_candidate own = candidate_of(FORWARD_OWN, 1);
    struct choice_candidate other = candidate_of(FORWARD_OTHER, 2);
    struct choice_candidate third = candidate_of(FORWARD_OTHER, 3);

    (void)state;
    own.hedge_ms = 10;
    other.hedge_ms = 30;
    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    assert_true(choice_add(&choice, &own) && choice_add(&choice, &other) &&
                choice_add(&choice, &third));
    choice_start(&choice);
    choice_asked(&choice, 0, false, 0);
    assert_int_equal(choice_next(&choice, 9).until_ms, 10);
    assert_int_equal(choice_next(&choice, 10).candidate, 1);
    assert_true(choice_next(&choice, 10).extra);
    choice_asked(&choice, 1, false, 10);
    assert_int_equal(choice_next(&choice, 39).until_ms, 40);
    assert_int_equal(choice_next(&choice, 40).candidate, 2);
    choice_asked(&choice, 2, false, 40);
    assert_int_equal(choice_next(&choice, 139).action, CHOICE_WAIT);
    /* nobody is left: the silent are asked again, quickly at first */
    struct choice_step step = choice_next(&choice, 140);
    assert_int_equal(step.action, CHOICE_RESEND);
    assert_int_equal(step.candidate, 0);
    choice_asked(&choice, 0, false, 140);
    assert_int_equal(choice_next(&choice, 140).candidate, 1);
    choice_asked(&choice, 1, false, 140);
    assert_int_equal(choice_next(&choice, 219).action, CHOICE_WAIT);
    assert_int_equal(choice_next(&choice, 220).candidate, 0); /* then after twice as long */
}

static void extra_packets_wait_for_leave_but_not_for_ever(void **state)
{
    struct choice choice;
    struct choice_candidate own = candidate_of(FORWARD_OWN, 1);
    struct choice_candidate other = candidate_of(FORWARD_OTHER, 2);

    (void)state;
    own.hedge_ms = 10;
    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    assert_true(choice_add(&choice, &own) && choice_add(&choice, &other));
    choice_start(&choice);
    choice_asked(&choice, 0, false, 0);
    for (uint64_t now_ms = 10; now_ms < CHOICE_RESEND_MS; now_ms += 25) {
        assert_true(choice_next(&choice, now_ms).extra);
        choice_hold(&choice, now_ms + 25);
        struct choice_step step = choice_next(&choice, now_ms);
        assert_int_equal(step.action, CHOICE_WAIT);
        assert_true(step.until_ms <= now_ms + 25);
    }
    struct choice_step step = choice_next(&choice, CHOICE_RESEND_MS);
    assert_int_equal(step.action, CHOICE_ASK);
    assert_true(step.hedge);
    assert_false(step.extra);
}

static void nothing_is_extra_after_a_failure(void **state)
{
    struct choice choice;
    struct choice_candidate own = candidate_of(FORWARD_OWN, 1);
    struct choice_candidate other = candidate_of(FORWARD_OTHER, 2);

    (void)state;
    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    assert_true(choice_add(&choice, &own) && choice_add(&choice, &other));
    choice_start(&choice);
    choice_asked(&choice, 0, false, 0);
    choice_failed(&choice, 0, true, "SERVFAIL");
    choice_hold(&choice, 1000);
    assert_int_equal(choice_next(&choice, 1).candidate, 1);
    assert_false(choice_next(&choice, 1).extra);
    assert_false(choice_next(&choice, 1).hedge);
}

static void a_dying_one_is_not_waited_for(void **state)
{
    struct choice choice;
    struct choice_candidate own = candidate_of(FORWARD_OWN, 1);
    struct choice_candidate other = candidate_of(FORWARD_OTHER, 2);

    (void)state;
    own.hedge_ms = 10;
    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    assert_true(choice_add(&choice, &own) && choice_add(&choice, &other));
    choice_start(&choice);
    choice_asked(&choice, 0, false, 0);
    choice_asked(&choice, 1, false, 10);
    assert_int_equal(choice_answered(&choice, 1, false), CHOICE_KEEP);
    assert_int_equal(choice_next(&choice, 21).action, CHOICE_RESEND); /* it may be lost */
    choice.candidates[0].dying = true;
    assert_int_equal(choice_next(&choice, 21).action, CHOICE_TAKE_KEPT);
}

static void a_doubtful_one_is_confirmed_and_given_up_in_time(void **state)
{
    static const struct {
        uint32_t hedge_ms;
        uint64_t taken_ms;
    } cases[] = { { 10, 60 }, { 20, CHOICE_DOUBT_MS }, { 75, 86 } };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct choice choice;
        struct choice_candidate own = candidate_of(FORWARD_OWN, 1);
        struct choice_candidate other = candidate_of(FORWARD_OTHER, 2);
        uint64_t now_ms = cases[i].hedge_ms + 11;

        own.hedge_ms = cases[i].hedge_ms;
        own.usual_ms = 50;
        choice_init(&choice, HEDGE_MS, DEADLINE_MS);
        assert_true(choice_add(&choice, &own) && choice_add(&choice, &other));
        choice_start(&choice);
        choice_asked(&choice, 0, false, 0);
        choice_asked(&choice, 1, false, own.hedge_ms);
        assert_int_equal(choice_answered(&choice, 1, false), CHOICE_KEEP);
        choice.candidates[0].doubtful = true;
        for (; choice_next(&choice, now_ms).action != CHOICE_TAKE_KEPT; now_ms++) {
            if (choice_next(&choice, now_ms).action == CHOICE_RESEND) {
                choice_asked(&choice, 0, false, now_ms);
            }
        }
        assert_int_equal(now_ms, cases[i].taken_ms);
    }
}

static void a_lost_answer_is_asked_for_again_while_a_lesser_one_waits(void **state)
{
    struct choice choice;
    struct choice_candidate own = candidate_of(FORWARD_OWN, 1);
    struct choice_candidate other = candidate_of(FORWARD_OTHER, 2);
    unsigned resent = 0;

    (void)state;
    own.hedge_ms = 10;
    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    assert_true(choice_add(&choice, &own) && choice_add(&choice, &other));
    choice_start(&choice);
    choice_asked(&choice, 0, false, 0);
    choice_asked(&choice, 1, false, 10);
    assert_int_equal(choice_answered(&choice, 1, false), CHOICE_KEEP);
    for (uint64_t now_ms = 21; now_ms < CHOICE_PATIENCE_MS; now_ms++) {
        if (choice_next(&choice, now_ms).action == CHOICE_RESEND) {
            choice_asked(&choice, 0, false, now_ms);
            resent++;
            assert_true(now_ms <= 70);
        }
    }
    assert_int_equal(resent, CHOICE_CONFIRMS);
    assert_int_equal(choice_next(&choice, CHOICE_PATIENCE_MS).action, CHOICE_TAKE_KEPT);
}

static void one_that_loses_many_is_confirmed_and_then_given_up(void **state)
{
    struct choice choice;
    struct choice_candidate own = candidate_of(FORWARD_OWN, 1);
    struct choice_candidate other = candidate_of(FORWARD_OTHER, 2);

    (void)state;
    own.hedge_ms = 10;
    own.ailing = true;
    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    assert_true(choice_add(&choice, &own) && choice_add(&choice, &other));
    choice_start(&choice);
    choice_asked(&choice, 0, false, 0);
    choice_asked(&choice, 1, false, 10);
    assert_int_equal(choice_answered(&choice, 1, false), CHOICE_KEEP);
    assert_int_equal(choice_next(&choice, 21).action, CHOICE_RESEND);
    choice_asked(&choice, 0, false, 21);
    assert_int_equal(choice_next(&choice, 59).action, CHOICE_RESEND);
    assert_int_equal(choice_next(&choice, 60).action, CHOICE_TAKE_KEPT);
}

/* In which order regions stand whose distances are these; 0: unknown. */
static void check_distances(uint32_t b, uint32_t c, uint32_t d, const char *order)
{
    const uint32_t distances[] = { 0, b, c, d };
    struct choice choice;
    char got[5] = "";

    choice_init(&choice, HEDGE_MS, DEADLINE_MS);
    for (uint32_t i = 0; i < 4; i++) {
        struct choice_candidate candidate = candidate_of(i == 0 ? FORWARD_OWN : FORWARD_OTHER, i);
        candidate.distance_us = distances[i];
        candidate.usual_ms = i; /* who it is */
        assert_true(choice_add(&choice, &candidate));
    }
    choice_start(&choice);
    for (uint32_t i = 0; i < 4; i++) {
        got[i] = (char)('a' + choice.candidates[i].usual_ms);
    }
    assert_string_equal(got, order);
}

static void other_regions_stand_by_their_distance(void **state)
{
    (void)state;
    check_distances(0, 0, 0, "abcd");
    check_distances(30000, 20000, 10000, "adcb");
    check_distances(10000, 20000, 30000, "abcd");
    check_distances(12000, 11000, 10500, "abcd"); /* near-equals stay as written */
    check_distances(3000, 1500, 1200, "abcd");    /* and so do those that are near */
    check_distances(30000, 0, 10000, "abcd");     /* it stands behind one that is unknown */
    check_distances(30000, 10000, 0, "acbd");
}

/* ---- the order of what counts, against the order as it is written ---- */

enum kind {
    POSITIVE,
    NEGATIVE,
    SERVFAIL,
    SILENT,
    KINDS,
};

struct row {
    enum forward_class class;
    bool away, suspect, down;
    enum kind kind;
};

static bool is_living(const struct row *row)
{
    return !row->away && !row->suspect;
}

/* Lower is better; a suspect that has answered is back. */
static unsigned rank_of(const struct row *row, bool has_answered)
{
    bool behind = row->away || (row->suspect && !has_answered);

    return (behind ? 3 : 0) + (unsigned)row->class;
}

/* Is there a better one than this, which has answered, of those not `left_out`? */
static bool is_lesser(const struct row *rows, const bool *left_out, unsigned count,
                      const struct row *row)
{
    for (unsigned i = 0; i < count; i++) {
        if (!left_out[i] && rank_of(&rows[i], false) < rank_of(row, true)) {
            return true;
        }
    }
    return false;
}

/* The one to be asked next of those that were not: see the head of choice.h. */
static unsigned next_of(const struct row *rows, const bool *asked, unsigned count)
{
    bool public_due = true;
    unsigned found = count;

    for (unsigned i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        public_due =
            public_due && (row->class == FORWARD_PUBLIC || row->away || row->down || asked[i]);
    }
    for (unsigned i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        if (asked[i] || (row->class == FORWARD_PUBLIC && !public_due)) {
            continue;
        }
        if (found == count || (is_living(row) && !is_living(&rows[found])) ||
            (is_living(row) == is_living(&rows[found]) && row->class < rows[found].class)) {
            found = i;
        }
    }
    return found;
}

/* Who wins when everybody answers within his time; `count`: nobody. */
static unsigned winner_of(const struct row *rows, unsigned count, bool has_stale)
{
    static const bool none[8];
    bool asked[8] = { false };
    unsigned kept = count;

    for (;;) {
        unsigned i = next_of(rows, asked, count);
        if (i == count || (kept != count && !is_lesser(rows, asked, count, &rows[kept]))) {
            return kept;
        }
        asked[i] = true;
        bool is_no = rows[i].kind == NEGATIVE;
        if (rows[i].kind == POSITIVE || (is_no && !is_lesser(rows, none, count, &rows[i]))) {
            return i;
        }
        if (is_no && !has_stale &&
            (kept == count || rank_of(&rows[i], true) < rank_of(&rows[kept], true))) {
            kept = i;
        }
    }
}

static unsigned draw(unsigned *random, unsigned below)
{
    *random = *random * 1664525u + 1013904223u;
    return (*random >> 16) % below;
}

static unsigned make_rows(struct row *rows, unsigned *random, bool may_be_silent)
{
    unsigned count = 1 + draw(random, 5);

    for (unsigned i = 0; i < count; i++) {
        unsigned mark = draw(random, 6);
        rows[i] = (struct row){
            .class = (enum forward_class)draw(random, 3),
            .away = mark == 3,
            .suspect = mark >= 4,
            .down = mark == 5,
            .kind = (enum kind)draw(random, may_be_silent ? KINDS : SILENT),
        };
    }
    return count;
}

static void play_rows(const struct row *rows, unsigned count, unsigned *random, bool has_stale,
                      struct play *play)
{
    static const char classes[] = "otp";
    char candidates[64] = "", replies[64] = "";

    for (unsigned i = 0; i < count; i++) {
        char *end = candidates + strlen(candidates);
        (void)snprintf(end, 16, "%s%c%u%s%s", i > 0 ? " " : "", classes[rows[i].class], i + 1,
                       rows[i].away ? "-" : "",
                       rows[i].down      ? "!"
                       : rows[i].suspect ? "?"
                                         : "");
        end = replies + strlen(replies);
        if (rows[i].kind != SILENT) {
            (void)snprintf(end, 16, "%s%c%u%c", end > replies ? " " : "", (char)('a' + i),
                           1 + draw(random, HEDGE_MS - 2), "+-s"[rows[i].kind]);
        }
    }
    struct script script = { "", candidates, replies, "", "" };
    play->has_stale = has_stale;
    play->is_unprobed = true;
    play_script(&script, HEDGE_MS, play);
}

static void the_written_order_decides_who_wins(void **state)
{
    unsigned random = 7;

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        struct row rows[8];
        struct play play;
        bool has_stale = draw(&random, 2) == 1;
        unsigned count = make_rows(rows, &random, false);
        unsigned winner = winner_of(rows, count, has_stale);
        play_rows(rows, count, &random, has_stale, &play);
        char wanted = winner == count ? 'x' : (char)('a' + winner);
        if (play.end[0] != wanted) {
            char text[128] = "";
            for (unsigned i = 0; i < count; i++) {
                char *end = text + strlen(text);
                (void)snprintf(end, 16, " %c%s%s%s=%c", "otp"[rows[i].class],
                               rows[i].away ? "-" : "", rows[i].suspect ? "?" : "",
                               rows[i].down ? "!" : "", "+-s"[rows[i].kind]);
            }
            fail_msg("%s, stale %d: %c should win; asked %s, end %s", text, has_stale, wanted,
                     play.asked, play.end);
        }
    }
}

/* With silent ones among them the time decides too, but this holds. */
static void nobody_better_is_overheard_before_his_time(void **state)
{
    static const bool none[8];
    unsigned random = 11;

    (void)state;
    for (unsigned n = 0; n < 20000; n++) {
        struct row rows[8];
        struct play play;
        unsigned count = make_rows(rows, &random, true);
        bool any = false, is_waited_for = false;
        play_rows(rows, count, &random, false, &play);
        for (unsigned i = 0; i < count; i++) {
            any = any || rows[i].kind < SERVFAIL;
        }
        assert_int_equal(play.end[0] != 'x', any);
        if (!any || play.end[1] != '-') {
            continue;
        }
        const struct row *winner = &rows[play.end[0] - 'a'];
        for (unsigned i = 0; i < count; i++) {
            is_waited_for =
                is_waited_for || (rows[i].kind == SILENT && rows[i].class != FORWARD_PUBLIC &&
                                  is_living(&rows[i]) && rows[i].class < winner->class);
        }
        if (is_waited_for && is_lesser(rows, none, count, winner)) {
            assert_true(strtoull(play.end + 2, NULL, 10) >= CHOICE_PATIENCE_MS);
        }
    }
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
            (void)snprintf(candidates + used, sizeof(candidates) - used, "%s%c%u%.*s",
                           i > 0 ? " " : "", classes[code % 3], i + 1,
                           marks[code / 3 % 3] == ' ' ? 0 : 1, &marks[code / 3 % 3]);
            used = strlen(replies);
            if (what != ' ') {
                (void)snprintf(replies + used, sizeof(replies) - used, "%s%c%u%c",
                               used > 0 ? " " : "", (char)('a' + i), 30 * i + 10, what);
            }
        }
        struct script script = { "", candidates, replies, "", "" };
        struct play play = { .has_stale = false };
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
        cmocka_unit_test(when_all_are_down_their_silence_is_soon_believed),
        cmocka_unit_test(a_negative_answer_of_a_lesser_class_waits),
        cmocka_unit_test(what_may_not_be_asked_more_stands_behind_the_living),
        cmocka_unit_test(an_older_answer_is_better_than_a_lesser_negative_one),
        cmocka_unit_test(without_hedging_silence_goes_on_late),
        cmocka_unit_test(a_usually_slow_upstream_is_given_more_time),
        cmocka_unit_test(the_better_of_two_negative_answers_is_kept),
        cmocka_unit_test(more_candidates_than_fit_are_left_out),
        cmocka_unit_test(each_is_given_its_own_time),
        cmocka_unit_test(extra_packets_wait_for_leave_but_not_for_ever),
        cmocka_unit_test(nothing_is_extra_after_a_failure),
        cmocka_unit_test(a_dying_one_is_not_waited_for),
        cmocka_unit_test(a_doubtful_one_is_confirmed_and_given_up_in_time),
        cmocka_unit_test(a_lost_answer_is_asked_for_again_while_a_lesser_one_waits),
        cmocka_unit_test(one_that_loses_many_is_confirmed_and_then_given_up),
        cmocka_unit_test(other_regions_stand_by_their_distance),
        cmocka_unit_test(the_written_order_decides_who_wins),
        cmocka_unit_test(nobody_better_is_overheard_before_his_time),
        cmocka_unit_test(no_upstream_is_left_unasked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
