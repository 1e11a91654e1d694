#include "sim_trick.h"

#include "sim_fault.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define ALL_OVERS (1u << SIM_OVER_UDP | 1u << SIM_OVER_TCP | 1u << SIM_OVER_TLS)
#define STREAMS   (1u << SIM_OVER_TCP | 1u << SIM_OVER_TLS)
#define UDP_ONLY  (1u << SIM_OVER_UDP)
#define TLS_ONLY  (1u << SIM_OVER_TLS)

enum argument {
    ARG_NONE,
    ARG_NUMBER,
    ARG_MS,
    ARG_WORD
};

struct trick_word {
    const char *name;
    enum argument argument;
    uint32_t usual; /* when no argument is given */
    uint32_t max;
    const char *words; /* ARG_WORD: "one|two"; the first is the usual one */
    unsigned over;     /* where it can be played */
    bool ability;      /* of the server, no lie: honest answers have it too */
    bool standing;     /* the kernel plays it: no next=, name= or type= */
};

/* The rcodes with a name; others are given as numbers. */
struct rcode_word {
    const char *name;
    uint16_t rcode;
};

static const struct trick_word table[SIM_TRICKS] = {
    [SIM_TRICK_WRONGID] = { "wrongid", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_WRONGNAME] = { "wrongname", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_WRONGTYPE] = { "wrongtype", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_FOLDCASE] = { "foldcase", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_NOQUESTION] = { "noquestion", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_NOREPLYBIT] = { "noreplybit", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_WRONGPORT] = { "wrongport", ARG_NONE, .over = UDP_ONLY },
    [SIM_TRICK_WRONGADDRESS] = { "wrongaddress", ARG_NONE, .over = UDP_ONLY },
    [SIM_TRICK_PREVIOUS] = { "previous", ARG_WORD, .words = "instead|also", .over = ALL_OVERS },
    [SIM_TRICK_DUPLICATE] = { "duplicate", ARG_MS, 100, .over = ALL_OVERS },
    [SIM_TRICK_GUESSES] = { "guesses", ARG_NUMBER, 20, 1000, .over = UDP_ONLY },
    [SIM_TRICK_HONEST] = { "honest", ARG_MS, 0, .over = ALL_OVERS },
    [SIM_TRICK_DELAY] = { "delay", ARG_MS, 500, .over = ALL_OVERS },
    [SIM_TRICK_LOSE] = { "lose", ARG_NUMBER, 50, 100, .over = ALL_OVERS },
    [SIM_TRICK_SILENCE] = { "silence", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_RCODE] = { "rcode", ARG_NUMBER, SIM_RCODE_SERVFAIL, 4095, .over = ALL_OVERS },
    [SIM_TRICK_NXDOMAIN] = { "nxdomain", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_NODATA] = { "nodata", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_NOSOA] = { "nosoa", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_MINIMUM] = { "minimum", ARG_NUMBER, 0, UINT32_MAX, .over = ALL_OVERS },
    [SIM_TRICK_TTL] = { "ttl", ARG_NUMBER, 0, UINT32_MAX, .over = ALL_OVERS },
    [SIM_TRICK_CHAIN] = { "chain", ARG_NUMBER, 20, 500, .over = ALL_OVERS },
    [SIM_TRICK_UNFINISHED] = { "unfinished", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_LOOP] = { "loop", ARG_NUMBER, 2, 500, .over = ALL_OVERS },
    [SIM_TRICK_DNAME] = { "dname", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_MANY] = { "many", ARG_NUMBER, 200, 4000, .over = ALL_OVERS },
    [SIM_TRICK_TEXT] = { "text", ARG_NUMBER, 60, 63, .over = ALL_OVERS },
    [SIM_TRICK_FOREIGN] = { "foreign", ARG_WORD, .words = "all|answer|authority|additional",
                            .over = ALL_OVERS },
    [SIM_TRICK_TRUNCATE] = { "truncate", ARG_WORD, .words = "empty|full", .over = ALL_OVERS },
    [SIM_TRICK_OVERSIZE] = { "oversize", ARG_NONE, .over = UDP_ONLY },
    [SIM_TRICK_GARBAGE] = { "garbage", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_EMPTY] = { "empty", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_HEADER] = { "header", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_MALFORMED] = { "malformed", ARG_WORD,
                              .words = "cut|counts|pointer|rdlength|trailing", .over = ALL_OVERS },
    [SIM_TRICK_NOOPT] = { "noopt", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_STRAYOPT] = { "strayopt", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_TWOOPTS] = { "twoopts", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_BADOPT] = { "badopt", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_OPTNAME] = { "optname", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_OPTSIZE] = { "optsize", ARG_NUMBER, 65535, 65535, .over = ALL_OVERS },
    [SIM_TRICK_OPTVERSION] = { "optversion", ARG_NUMBER, 1, 255, .over = ALL_OVERS },
    [SIM_TRICK_OPTION] = { "option", ARG_NUMBER, 65001, 65535, .over = ALL_OVERS },
    [SIM_TRICK_ECS] = { "ecs", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_KEEPALIVE] = { "keepalive", ARG_MS, 2000, .over = ALL_OVERS, .ability = true },
    [SIM_TRICK_EDNSFORMERR] = { "ednsformerr", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_EDNSBADVERS] = { "ednsbadvers", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_EDNSSILENCE] = { "ednssilence", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_COOKIES] = { "cookies", ARG_NUMBER, 1, UINT32_MAX, .over = ALL_OVERS,
                            .ability = true },
    [SIM_TRICK_COOKIEWRONG] = { "cookiewrong", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_COOKIEABSENT] = { "cookieabsent", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_COOKIESHORT] = { "cookieshort", ARG_NONE, .over = ALL_OVERS },
    [SIM_TRICK_BADCOOKIE] = { "badcookie", ARG_WORD, .words = "once|always", .over = ALL_OVERS },
    [SIM_TRICK_REFUSE] = { "refuse", ARG_NONE, .over = STREAMS, .standing = true },
    [SIM_TRICK_NOCONNECT] = { "noconnect", ARG_NONE, .over = STREAMS, .standing = true },
    [SIM_TRICK_CLOSEACCEPT] = { "closeaccept", ARG_WORD, .words = "close|reset", .over = STREAMS },
    [SIM_TRICK_CLOSEQUERY] = { "closequery", ARG_WORD, .words = "close|reset", .over = STREAMS },
    [SIM_TRICK_HALF] = { "half", ARG_WORD, .words = "close|reset|silence", .over = STREAMS },
    [SIM_TRICK_TRICKLE] = { "trickle", ARG_MS, 1, .over = STREAMS },
    [SIM_TRICK_REORDER] = { "reorder", ARG_NUMBER, 2, 64, .over = STREAMS },
    [SIM_TRICK_CLOSEAFTER] = { "closeafter", ARG_NUMBER, 1, 100000, .over = STREAMS },
    [SIM_TRICK_IDLE] = { "idle", ARG_MS, 100, .over = STREAMS },
    [SIM_TRICK_CERTIFICATE] = { "certificate", ARG_WORD,
                                .words = "good|expired|future|wrongname|selfsigned",
                                .over = TLS_ONLY },
    [SIM_TRICK_TLSSILENCE] = { "tlssilence", ARG_NONE, .over = TLS_ONLY },
    [SIM_TRICK_TLSGARBAGE] = { "tlsgarbage", ARG_NONE, .over = TLS_ONLY },
    [SIM_TRICK_TLSVERSION] = { "tlsversion", ARG_WORD, .words = "1.2|1.3", .over = TLS_ONLY },
    [SIM_TRICK_NORESUME] = { "noresume", ARG_NONE, .over = TLS_ONLY },
};

static const struct rcode_word rcodes[] = {
    { "noerror", SIM_RCODE_NOERROR },   { "formerr", SIM_RCODE_FORMERR },
    { "servfail", SIM_RCODE_SERVFAIL }, { "nxdomain", SIM_RCODE_NXDOMAIN },
    { "notimp", SIM_RCODE_NOTIMP },     { "refused", SIM_RCODE_REFUSED },
    { "badvers", SIM_RCODE_BADVERS },   { "badcookie", SIM_RCODE_BADCOOKIE },
};

enum sim_trick_kind sim_trick_find(const char *name)
{
    unsigned kind = 0;
    while (kind < SIM_TRICKS && strcmp(table[kind].name, name) != 0) {
        kind++;
    }
    return (enum sim_trick_kind)kind;
}

/* The index of `word` among "one|two|three"; false when it is none of them. */
static bool parse_word(const char *words, const char *word, uint32_t *out_index)
{
    size_t length = strlen(word);
    for (uint32_t index = 0; *words != '\0'; index++) {
        size_t next = strcspn(words, "|");
        if (next == length && memcmp(words, word, length) == 0) {
            *out_index = index;
            return true;
        }
        words += next;
        words += *words == '|' ? 1 : 0;
    }
    return false;
}

static bool parse_rcode(const char *word, uint32_t *out_rcode)
{
    for (size_t i = 0; i < sizeof rcodes / sizeof rcodes[0]; i++) {
        if (strcmp(word, rcodes[i].name) == 0) {
            *out_rcode = rcodes[i].rcode;
            return true;
        }
    }
    return false;
}

static const char *parse_argument(enum sim_trick_kind kind, const char *word, uint32_t *out_number)
{
    const struct trick_word *trick = &table[kind];
    if (kind == SIM_TRICK_RCODE && parse_rcode(word, out_number)) {
        return NULL;
    }
    switch (trick->argument) {
    case ARG_NUMBER:
        return sim_fault_parse_number(word, trick->max, out_number) ? NULL
                                                                    : "that trick takes a number";
    case ARG_MS:
        return sim_fault_parse_ms(word, out_number) ? NULL : "that trick takes milliseconds";
    case ARG_WORD:
        return parse_word(trick->words, word, out_number) ? NULL
                                                          : "that trick has no such argument";
    default:
        return "that trick takes no argument";
    }
}

static bool parse_over(char *text, unsigned *out_over)
{
    char *state = NULL;
    unsigned over = 0;
    for (char *word = strtok_r(text, ",", &state); word != NULL;
         word = strtok_r(NULL, ",", &state)) {
        uint32_t index;
        if (!parse_word("udp|tcp|tls", word, &index)) {
            return false;
        }
        over |= 1u << index;
    }
    *out_over = over;
    return over != 0;
}

/* Take one "key=value". */
static const char *parse_condition(struct sim_trick *trick, char *word)
{
    char *value = strchr(word, '=') + 1;
    value[-1] = '\0';
    if (strcmp(word, "next") == 0) {
        trick->limited = true;
        bool good = sim_fault_parse_number(value, UINT32_MAX, &trick->left) && trick->left > 0;
        return good ? NULL : "next needs a number";
    }
    if (strcmp(word, "over") == 0) {
        return parse_over(value, &trick->over) ? NULL : "over takes udp, tcp, tls";
    }
    if (strcmp(word, "name") == 0) {
        return sim_wire_parse_dname(value, &trick->name) ? NULL : "name needs a domain name";
    }
    if (strcmp(word, "type") == 0) {
        return sim_wire_parse_type(value, &trick->type) ? NULL : "type needs a record type";
    }
    return "the conditions are next=, over=, name= and type=";
}

static const char *parse_rest(enum sim_trick_kind kind, struct sim_trick *trick, char **state)
{
    bool any = false;
    for (char *word = strtok_r(NULL, " \t", state); word != NULL;
         word = strtok_r(NULL, " \t", state)) {
        const char *wrong;
        if (strchr(word, '=') != NULL) {
            wrong = parse_condition(trick, word);
        } else {
            wrong = any ? "a trick takes one argument" : parse_argument(kind, word, &trick->number);
            any = true;
        }
        if (wrong != NULL) {
            return wrong;
        }
    }
    return NULL;
}

const char *sim_trick_set(struct sim_tricks *tricks, char *words)
{
    char *state = NULL;
    char *name = strtok_r(words, " \t", &state);
    enum sim_trick_kind kind = name != NULL ? sim_trick_find(name) : SIM_TRICKS;
    if (kind == SIM_TRICKS) {
        return "there is no such trick";
    }
    struct sim_trick trick = { .on = true, .over = table[kind].over };
    trick.number = table[kind].usual;
    trick.used = tricks->slots[kind].used;
    const char *wrong = parse_rest(kind, &trick, &state);
    if (wrong != NULL) {
        return wrong;
    }
    trick.over &= table[kind].over;
    if (trick.over == 0) {
        return "that trick cannot be played there";
    }
    if (table[kind].standing && (trick.limited || trick.name.size > 0 || trick.type > 0)) {
        return "that trick knows no condition but over=";
    }
    tricks->slots[kind] = trick;
    return NULL;
}

void sim_trick_off(struct sim_tricks *tricks, enum sim_trick_kind kind)
{
    tricks->slots[kind].on = false;
}

void sim_trick_clear(struct sim_tricks *tricks)
{
    for (unsigned i = 0; i < SIM_TRICKS; i++) {
        tricks->slots[i].on = false;
    }
}

void sim_trick_reset(struct sim_tricks *tricks)
{
    for (unsigned i = 0; i < SIM_TRICKS; i++) {
        tricks->slots[i].used = 0;
    }
}

static bool is_below(const struct sim_dname *name, const struct sim_dname *parent)
{
    struct sim_dname suffix = sim_wire_suffix(name, sim_wire_labels(parent));
    return sim_wire_same(&suffix, parent);
}

bool sim_trick_fits(const struct sim_tricks *tricks, enum sim_trick_kind kind,
                    const struct sim_asked *asked)
{
    const struct sim_trick *trick = &tricks->slots[kind];
    if (!trick->on || (trick->over & 1u << asked->over) == 0) {
        return false;
    }
    if (asked->honest && !table[kind].ability) {
        return false;
    }
    if (trick->name.size == 0 && trick->type == 0) {
        return true;
    }
    if (asked->query == NULL || asked->query->question_size == 0) {
        return false;
    }
    return (trick->type == 0 || trick->type == asked->query->type) &&
           (trick->name.size == 0 || is_below(&asked->query->qname, &trick->name));
}

bool sim_trick_use(struct sim_tricks *tricks, enum sim_trick_kind kind, struct sim_asked *asked)
{
    struct sim_trick *trick = &tricks->slots[kind];
    if (!sim_trick_fits(tricks, kind, asked)) {
        return false;
    }
    trick->used++;
    asked->used += table[kind].ability ? 0 : 1;
    if (trick->limited && --trick->left == 0) {
        trick->on = false;
    }
    return true;
}

uint32_t sim_trick_number(const struct sim_tricks *tricks, enum sim_trick_kind kind)
{
    return tricks->slots[kind].number;
}

struct sentence {
    char *text;
    size_t size;
    size_t used;
};

__attribute__((format(printf, 2, 3))) static void say(struct sentence *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int wrote = vsnprintf(out->text + out->used, out->size - out->used, format, arguments);
    va_end(arguments);
    if (wrote > 0) {
        size_t left = out->size - out->used - 1;
        out->used += (size_t)wrote < left ? (size_t)wrote : left;
    }
}

static void say_argument(struct sentence *out, enum sim_trick_kind kind, uint32_t number)
{
    const char *words = table[kind].words;
    if (table[kind].argument == ARG_NUMBER || table[kind].argument == ARG_MS) {
        say(out, " %u", number);
    } else if (table[kind].argument == ARG_WORD) {
        for (; number > 0; number--) {
            words = strchr(words, '|') + 1;
        }
        say(out, " %.*s", (int)strcspn(words, "|"), words);
    }
}

static void say_trick(struct sentence *out, enum sim_trick_kind kind, const struct sim_trick *trick)
{
    static const char *const overs[SIM_OVERS] = { "udp", "tcp", "tls" };
    char name[256];
    say(out, "%s%s", out->used > 0 ? ", " : "", table[kind].name);
    say_argument(out, kind, trick->number);
    if (trick->limited) {
        say(out, " next=%u", trick->left);
    }
    const char *before = " over=";
    for (unsigned i = 0; trick->over != table[kind].over && i < SIM_OVERS; i++) {
        if ((trick->over & 1u << i) != 0) {
            say(out, "%s%s", before, overs[i]);
            before = ",";
        }
    }
    if (trick->name.size > 0) {
        sim_wire_format_dname(&trick->name, name);
        say(out, " name=%s", name);
    }
    if (trick->type > 0) {
        say(out, " type=TYPE%u", trick->type);
    }
}

void sim_trick_format(const struct sim_tricks *tricks, char *text, size_t size)
{
    struct sentence out = { .text = text, .size = size };
    for (unsigned i = 0; i < SIM_TRICKS; i++) {
        if (tricks->slots[i].on) {
            say_trick(&out, (enum sim_trick_kind)i, &tricks->slots[i]);
        }
    }
    if (out.used == 0) {
        say(&out, "none");
    }
}

void sim_trick_format_used(const struct sim_tricks *tricks, char *text, size_t size)
{
    struct sentence out = { .text = text, .size = size };
    for (unsigned i = 0; i < SIM_TRICKS; i++) {
        if (tricks->slots[i].used > 0) {
            say(&out, "%s%s=%llu", out.used > 0 ? " " : "", table[i].name,
                (unsigned long long)tricks->slots[i].used);
        }
    }
    if (out.used == 0) {
        say(&out, "none");
    }
}
