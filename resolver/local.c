#include "resolver/local.h"

#include <string.h>

#include "resolver/forward/builder.h"
#include "zones/name.h"
#include "zones/wire.h"

#define TTL_S 10800 /* RFC 6303, section 3 */

enum {
    TYPE_DS = 43,     /* RFC 4034 */
    TYPE_DNSKEY = 48, /* RFC 4034 */
};

enum kind {
    EMPTY,     /* the name exists, nothing below it does */
    ABSENT,    /* not even the name */
    LOCALHOST, /* and all below: this host */
    LOOPBACK4, /* 127.in-addr.arpa */
    LOOPBACK6, /* of ::1, the name itself */
};

struct tree {
    const char *dname; /* wire form; a string's own terminator is the root label */
    enum kind kind;
};

#define REVERSE6(digits) digits "\3ip6\4arpa"
#define ZEROS8           "\0010\0010\0010\0010\0010\0010\0010\0010"

static const struct tree trees[] = {
    { "\11localhost", LOCALHOST },                    /* RFC 6761, section 6.3 */
    { "\003127\7in-addr\4arpa", LOOPBACK4 },          /* RFC 6303, section 4.2 */
    { "\0010\7in-addr\4arpa", EMPTY },                /* likewise, to 255.255.255.255 */
    { "\003254\003169\7in-addr\4arpa", EMPTY },
    { "\0012\0010\003192\7in-addr\4arpa", EMPTY },
    { "\003100\00251\003198\7in-addr\4arpa", EMPTY },
    { "\003113\0010\003203\7in-addr\4arpa", EMPTY },
    { "\003255\003255\003255\003255\7in-addr\4arpa", EMPTY },
    { REVERSE6("\0011\0010\0010\0010\0010\0010\0010\0010" ZEROS8 ZEROS8 ZEROS8), /* 4.3 */
      LOOPBACK6 },
    { REVERSE6(ZEROS8 ZEROS8 ZEROS8 ZEROS8), EMPTY },
    { "\0018\1e\1f\3ip6\4arpa", EMPTY },              /* 4.5: link-local */
    { "\0019\1e\1f\3ip6\4arpa", EMPTY },
    { "\1a\1e\1f\3ip6\4arpa", EMPTY },
    { "\1b\1e\1f\3ip6\4arpa", EMPTY },
    { "\0018\1b\1d\0010\0011\0010\0010\0012\3ip6\4arpa", EMPTY }, /* 4.6: documentation */
    { "\10resolver\4arpa", EMPTY },                   /* RFC 9462, section 6.4 */
    { "\7invalid", ABSENT },                          /* RFC 6761, section 6.4 */
    { "\4test", ABSENT },                             /* 6.2 */
    { "\5local", ABSENT },                            /* RFC 6762, section 22.1 */
    { "\5onion", ABSENT },                            /* RFC 7686, section 2 */
    { "\3alt", ABSENT },                              /* RFC 9476 */
    { "\23use-application-dns\3net", ABSENT },        /* asked by browsers before they use DoH */
};

/* ---- writing ---- */

static void put_soa(struct builder *b, const struct tree *tree, uint32_t ttl_s)
{
    static const uint8_t nobody[] = "\6nobody\7invalid";
    static const uint32_t numbers[] = { 1, 3600, 1200, 604800, TTL_S };
    const uint8_t *owner = (const uint8_t *)tree->dname;
    uint8_t bytes[4];

    size_t mark = builder_begin_record(b, BUILDER_AUTHORITY, owner, WIRE_SOA, WIRE_IN, ttl_s);
    builder_put_name(b, owner, true);
    builder_put_name(b, nobody, true);
    for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        wire_put32(bytes, numbers[i]);
        builder_put_bytes(b, bytes, sizeof(bytes));
    }
    builder_end_record(b, mark);
}

static void put_record(struct builder *b, const uint8_t *owner, uint16_t type, const void *rdata,
                       size_t length)
{
    size_t mark = builder_begin_record(b, BUILDER_ANSWER, owner, type, WIRE_IN, TTL_S);

    builder_put_bytes(b, rdata, length);
    builder_end_record(b, mark);
}

/* ---- deciding ---- */

static bool put_this_host(struct builder *b, const uint8_t *dname, uint16_t type)
{
    static const uint8_t v4[] = { 127, 0, 0, 1 };
    static const uint8_t v6[16] = { [15] = 1 };

    if (type == WIRE_A || type == WIRE_ANY) {
        put_record(b, dname, WIRE_A, v4, sizeof(v4));
    }
    if (type == WIRE_AAAA || type == WIRE_ANY) {
        put_record(b, dname, WIRE_AAAA, v6, sizeof(v6));
    }
    return b->records[BUILDER_ANSWER] > 0;
}

static bool put_its_name(struct builder *b, const uint8_t *dname, uint16_t type)
{
    static const uint8_t localhost[] = "\11localhost";

    if (type != WIRE_PTR && type != WIRE_ANY) {
        return false;
    }
    put_record(b, dname, WIRE_PTR, localhost, sizeof(localhost));
    return true;
}

/* Write what there is to say of `dname` in `tree`; `*out_exists`: does the name? */
static bool put_data(struct builder *b, const struct tree *tree, const uint8_t *dname,
                     uint16_t type, bool *out_exists)
{
    static const uint8_t this_host[] = "\0011\0010\0010\003127\7in-addr\4arpa";
    bool is_apex = name_equal(dname, (const uint8_t *)tree->dname);

    *out_exists = is_apex;
    switch (tree->kind) {
    case LOCALHOST:
        *out_exists = true;
        return put_this_host(b, dname, type);
    case LOOPBACK4:
        /* names between the apex and it exist, too: RFC 8020 */
        *out_exists = name_is_within(this_host, dname);
        return name_equal(dname, this_host) && put_its_name(b, dname, type);
    case LOOPBACK6:
        return is_apex && put_its_name(b, dname, type);
    case ABSENT:
        *out_exists = false;
        return false;
    case EMPTY:
        break;
    }
    return false;
}

static const struct tree *find_tree(const uint8_t *dname)
{
    for (size_t i = 0; i < sizeof(trees) / sizeof(trees[0]); i++) {
        if (name_is_within(dname, (const uint8_t *)trees[i].dname)) {
            return &trees[i];
        }
    }
    return NULL;
}

/* What only the root knows of a single label may be asked: validating clients need it. */
static bool is_single_label(const uint8_t *dname, uint16_t type)
{
    return name_labels(dname) == 1 && type != WIRE_NS && type != WIRE_SOA && type != TYPE_DS &&
           type != TYPE_DNSKEY;
}

size_t local_answer(const struct forward_question *question, const uint8_t *dname,
                    const uint8_t *rule, uint8_t *out)
{
    static const struct tree root = { "", EMPTY };
    const struct tree *tree = find_tree(dname);
    uint8_t asked[WIRE_QUESTION_BYTES];
    struct builder b;
    bool exists = false;

    if (tree == NULL && is_single_label(dname, question->type)) {
        tree = &root;
    }
    if (tree == NULL || question->class != WIRE_IN ||
        (rule[0] != 0 && name_is_within(rule, (const uint8_t *)tree->dname))) {
        return 0; /* the last: somebody has written a rule for just this */
    }
    memcpy(asked, question->name, question->name_length);
    wire_put16(asked + question->name_length, question->type);
    wire_put16(asked + question->name_length + 2, question->class);
    builder_init(&b, out, LOCAL_MESSAGE_MAX, asked, question->name_length + 4u);
    if (!put_data(&b, tree, dname, question->type, &exists)) {
        put_soa(&b, tree, TTL_S);
    }
    unsigned rcode = exists ? WIRE_NOERROR : WIRE_NXDOMAIN;
    return builder_finish(&b, (uint16_t)(WIRE_QR | WIRE_RD | WIRE_RA | rcode));
}
