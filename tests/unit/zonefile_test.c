#include "zones/zonefile.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <ldns/ldns.h>
#include <cmocka.h>

#include "base/text.h"
#include "tests/unit/scratch.h"
#include "zones/name.h"
#include "zones/wire.h"

static struct scratch scratch;
static uint8_t origin[NAME_MAX_BYTES];

static int set_up(void **state)
{
    struct error err;

    (void)state;
    scratch_init(&scratch);
    return name_parse("example.com", origin, &err) > 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    scratch_fini(&scratch);
    return 0;
}

/* A record as ldns, who did not see our wire code, prints it: "owner TTL type data\n". */
static int print_record(void *user, const struct zonefile_record *record, struct error *err)
{
    static uint8_t wire[NAME_MAX_BYTES + 10 + 65535];
    struct text *out = user;
    size_t at = name_length(record->owner);
    size_t position = 0;
    ldns_rr *rr;

    (void)err;
    memcpy(wire, record->owner, at);
    wire_put16(wire + at, record->type);
    wire_put16(wire + at + 2, record->class);
    wire_put32(wire + at + 4, record->ttl_s);
    wire_put16(wire + at + 8, record->rdata_length);
    memcpy(wire + at + 10, record->rdata, record->rdata_length);
    assert_int_equal(
        ldns_wire2rr(&rr, wire, at + 10 + record->rdata_length, &position, LDNS_SECTION_ANSWER),
        LDNS_STATUS_OK);
    char *text = ldns_rr2str(rr);
    for (char *c = text; *c != '\0'; c++) {
        *c = *c == '\t' ? ' ' : *c;
    }
    text_put(out, text);
    free(text);
    ldns_rr_free(rr);
    return 0;
}

static void expect_records(const char *zone, const char *records)
{
    struct text out = { 0 };
    struct error err = { 0 };
    const char *path = scratch_write(&scratch, "zone", zone);

    int rc = zonefile_read(path, origin, print_record, &out, &err);
    if (rc != 0) {
        print_message("%s:%u:%u: %s\n", err.path, err.line, err.col, err.message);
    }
    assert_int_equal(rc, 0);
    assert_string_equal(text_string(&out), records);
    text_fini(&out);
}

/* `place` is "line:col"; message and hint are compared with what they begin with. */
static void expect_error_bytes(const void *zone, size_t size, const char *place,
                               const char *message, const char *hint)
{
    struct text out = { 0 };
    struct error err = { 0 };
    char is_at[32];
    const char *path = scratch_write_bytes(&scratch, "zone", zone, size);

    int rc = zonefile_read(path, origin, print_record, &out, &err);
    assert_true(rc < 0);
    assert_int_equal(rc, err.code);
    assert_string_equal(err.path, path);
    (void)snprintf(is_at, sizeof(is_at), "%u:%u", err.line, err.col);
    if (strncmp(err.message, message, strlen(message)) != 0) {
        assert_string_equal(err.message, message);
    }
    assert_string_equal(is_at, place);
    if (hint != NULL && strncmp(err.hint, hint, strlen(hint)) != 0) {
        assert_string_equal(err.hint, hint);
    }
    text_fini(&out);
}

static void expect_error(const char *zone, const char *place, const char *message, const char *hint)
{
    expect_error_bytes(zone, strlen(zone), place, message, hint);
}

/* ---- what is read ---- */

static void every_usual_type_is_read(void **state)
{
    (void)state;
    expect_records("$TTL 300\n"
                   "@ IN SOA ns1 hostmaster 2018112201 1h 15m 1w 60\n"
                   "@ NS ns1\n"
                   "@ MX 10 mail.example.net.\n"
                   "ns1 A 192.0.2.1\n"
                   "ns1 AAAA 2001:db8::1\n"
                   "www CNAME @\n"
                   "_sip._tcp SRV 1 2 5060 ns1\n"
                   "txt TXT \"a b\" c\n"
                   "ptr PTR host.example.org.\n"
                   "caa CAA 0 issue letsencrypt.org\n"
                   "https HTTPS 1 . alpn=\"h2,h3\" port=8443\n"
                   "naptr NAPTR 100 10 \"U\" \"E2U+sip\" \"!^.*$!sip:a@example.com!\" .\n"
                   "info HINFO \"a b\" c\n",
                   "example.com. 300 IN SOA ns1.example.com. hostmaster.example.com. 2018112201 "
                   "3600 900 604800 60\n"
                   "example.com. 300 IN NS ns1.example.com.\n"
                   "example.com. 300 IN MX 10 mail.example.net.\n"
                   "ns1.example.com. 300 IN A 192.0.2.1\n"
                   "ns1.example.com. 300 IN AAAA 2001:db8::1\n"
                   "www.example.com. 300 IN CNAME example.com.\n"
                   "_sip._tcp.example.com. 300 IN SRV 1 2 5060 ns1.example.com.\n"
                   "txt.example.com. 300 IN TXT \"a b\" \"c\"\n"
                   "ptr.example.com. 300 IN PTR host.example.org.\n"
                   "caa.example.com. 300 IN CAA 0 issue \"letsencrypt.org\"\n"
                   "https.example.com. 300 IN HTTPS 1 . alpn=h2,h3 port=8443\n"
                   "naptr.example.com. 300 IN NAPTR 100 10 \"U\" \"E2U+sip\" "
                   "\"!^.*$!sip:a@example.com!\" .\n"
                   "info.example.com. 300 IN HINFO \"a b\" \"c\"\n");
}

static void owner_ttl_and_class_are_inherited(void **state)
{
    (void)state;
    expect_records("a 60 IN A 192.0.2.1\n"
                   "  A 192.0.2.2\n"
                   "\tIN 90 A 192.0.2.3\n"
                   "b A 192.0.2.4\n"
                   "$TTL 1h30m\n"
                   "c A 192.0.2.5\n"
                   "c 5 A 192.0.2.6\n"
                   "c A 192.0.2.7\n",
                   "a.example.com. 60 IN A 192.0.2.1\n"
                   "a.example.com. 60 IN A 192.0.2.2\n"
                   "a.example.com. 90 IN A 192.0.2.3\n"
                   "b.example.com. 90 IN A 192.0.2.4\n"
                   "c.example.com. 5400 IN A 192.0.2.5\n"
                   "c.example.com. 5 IN A 192.0.2.6\n"
                   "c.example.com. 5400 IN A 192.0.2.7\n");
}

static void a_relative_origin_is_below_the_one_before(void **state)
{
    (void)state;
    expect_records("$TTL 1\n"
                   "$ORIGIN sub\n"
                   "a A 192.0.2.1\n"
                   "$ORIGIN deep\n"
                   "@ A 192.0.2.2\n"
                   "$ORIGIN example.net.\n"
                   "a CNAME b\n"
                   "$ORIGIN .\n"
                   "a CNAME b\n",
                   "a.sub.example.com. 1 IN A 192.0.2.1\n"
                   "deep.sub.example.com. 1 IN A 192.0.2.2\n"
                   "a.example.net. 1 IN CNAME b.example.net.\n"
                   "a. 1 IN CNAME b.\n");
}

static void parentheses_quotes_and_comments_are_understood(void **state)
{
    (void)state;
    expect_records("; a comment ( that opens nothing\n"
                   "$TTL 1 ; another\r\n"
                   "\n"
                   "   ; only white space and a comment\n"
                   "@ SOA ns1 host ( ; begins\n"
                   "  1 ; serial )\n"
                   "  2 3\n"
                   "\n"
                   "  4 5 )\n"
                   "a TXT ( \"semi;colon\" \"paren(\" ) ; end\n"
                   "b TXT \"quote \\\" backslash \\\\\" \\;plain\n"
                   "c(TXT)x(y)z\n"
                   "d TXT \"\" \"\\065\\200\"",
                   "example.com. 1 IN SOA ns1.example.com. host.example.com. 1 2 3 4 5\n"
                   "a.example.com. 1 IN TXT \"semi;colon\" \"paren(\"\n"
                   "b.example.com. 1 IN TXT \"quote \\\" backslash \\\\\" \";plain\"\n"
                   "c.example.com. 1 IN TXT \"x\" \"y\" \"z\"\n"
                   "d.example.com. 1 IN TXT \"\" \"A\\200\"\n");
}

static void escapes_in_names_are_bytes_of_labels(void **state)
{
    (void)state;
    expect_records("$TTL 1\n"
                   "a\\.b A 192.0.2.1\n"
                   "UPPER CNAME MiXeD.Example.ORG.\n"
                   "\\$x A 192.0.2.2\n"
                   "s\\032p PTR x\\.y\n",
                   "a\\.b.example.com. 1 IN A 192.0.2.1\n"
                   "upper.example.com. 1 IN CNAME mixed.example.org.\n"
                   "$x.example.com. 1 IN A 192.0.2.2\n"
                   "s\\032p.example.com. 1 IN PTR x\\.y.example.com.\n");
}

static void generic_types_and_data_are_read(void **state)
{
    (void)state;
    expect_records("$TTL 1\n"
                   "a TYPE65280 \\# 4 0a00 0001\n"
                   "b A \\# 4 c0000201\n"
                   "c TYPE1 192.0.2.1\n"
                   "d type65280 \\# 0\n"
                   "e txt \\# 3 026869\n",
                   "a.example.com. 1 IN TYPE65280 \\# 4 0a000001\n"
                   "b.example.com. 1 IN A 192.0.2.1\n"
                   "c.example.com. 1 IN A 192.0.2.1\n"
                   "d.example.com. 1 IN TYPE65280 \\# 0\n"
                   "e.example.com. 1 IN TXT \"hi\"\n");
}

static void generate_makes_a_range_of_records(void **state)
{
    (void)state;
    expect_records("$TTL 1\n"
                   "$GENERATE 1-3 h$ A 192.0.2.$\n"
                   "$GENERATE 0-4/2 h${10,3} 60 IN A 192.0.2.${-0}\n"
                   "$GENERATE 10-10 ${0,0,x}.${0,2,X}.${0,3,o} TXT \"$$ \\$ $\"\n"
                   "$GENERATE 18-18 ${0,4,n} PTR ${8,7,N}\n",
                   "h1.example.com. 1 IN A 192.0.2.1\n"
                   "h2.example.com. 1 IN A 192.0.2.2\n"
                   "h3.example.com. 1 IN A 192.0.2.3\n"
                   "h010.example.com. 60 IN A 192.0.2.0\n"
                   "h012.example.com. 60 IN A 192.0.2.2\n"
                   "h014.example.com. 60 IN A 192.0.2.4\n"
                   "a.0a.012.example.com. 1 IN TXT \"$ $ 10\"\n"
                   "2.1.example.com. 1 IN PTR a.1.0.0.example.com.\n");
}

static void a_byte_order_mark_is_skipped(void **state)
{
    (void)state;
    expect_records("\xef\xbb\xbf$TTL 1\na A 192.0.2.1\n", "a.example.com. 1 IN A 192.0.2.1\n");
}

static void an_empty_file_has_no_records(void **state)
{
    (void)state;
    expect_records("", "");
    expect_records("\n \n;x", "");
}

/* ---- $INCLUDE ---- */

static void an_include_is_relative_to_its_file_and_ends_with_its_settings(void **state)
{
    char sub[128];

    (void)state;
    (void)snprintf(sub, sizeof(sub), "%s/sub", scratch.dir);
    assert_int_equal(mkdir(sub, 0700), 0);
    scratch_write(&scratch, "sub/one", "$INCLUDE two\na A 192.0.2.1\n$ORIGIN x.\n$TTL 9\n");
    scratch_write(&scratch, "sub/two", "b A 192.0.2.2\n");
    expect_records("$TTL 1\n"
                   "z A 192.0.2.9\n"
                   "$INCLUDE \"sub/one\" inner\n"
                   "  A 192.0.2.3\n"
                   "$INCLUDE sub/two\n",
                   "z.example.com. 1 IN A 192.0.2.9\n"
                   "b.inner.example.com. 1 IN A 192.0.2.2\n"
                   "a.inner.example.com. 1 IN A 192.0.2.1\n"
                   "z.example.com. 1 IN A 192.0.2.3\n"
                   "b.example.com. 1 IN A 192.0.2.2\n");
    (void)snprintf(sub, sizeof(sub), "%s/sub/one", scratch.dir);
    (void)remove(sub);
    (void)snprintf(sub, sizeof(sub), "%s/sub/two", scratch.dir);
    (void)remove(sub);
}

static void a_file_that_includes_itself_is_an_error(void **state)
{
    (void)state;
    expect_error("$TTL 1\n$INCLUDE zone\n", "2:10", "$INCLUDE nested more than 16 deep", NULL);
}

static void a_missing_include_is_shown_where_it_is_asked_for(void **state)
{
    (void)state;
    expect_error("$TTL 1\n$INCLUDE none\n", "2:10", scratch.dir, NULL);
}

static void an_error_in_an_include_has_the_place_there(void **state)
{
    struct text out = { 0 };
    struct error err;
    char inner[256];

    (void)state;
    (void)snprintf(inner, sizeof(inner), "%s",
                   scratch_write(&scratch, "inner", "a A 192.0.2.1\nb FOO x\n"));
    const char *path = scratch_write(&scratch, "zone", "$TTL 1\n$INCLUDE inner\n");
    assert_int_equal(zonefile_read(path, origin, print_record, &out, &err), -EINVAL);
    assert_string_equal(err.path, inner);
    assert_int_equal(err.line, 2);
    assert_int_equal(err.col, 3);
    text_fini(&out);
}

/* ---- what is refused, and where ---- */

static void mistakes_are_shown_at_their_place(void **state)
{
    static const struct {
        const char *zone;
        const char *place;
        const char *message;
        const char *hint;
    } cases[] = {
        { "a A 192.0.2.1\n", "1:3", "a record without a TTL, and no $TTL", "write $TTL 300" },
        { "$TTL 1\n  A 192.0.2.1\n", "2:3", "a record that inherits its owner", NULL },
        { "$TTL 1\na AAA ::1\n", "2:3", "unknown record type 'AAA'", "did you mean A" },
        { "$TTL 1\na\n", "2:1", "a record without a type", NULL },
        { "a 1 IN\n", "1:5", "a record without a type", NULL },
        { "a 1 CH TXT x\n", "1:5", "class CH; only IN", NULL },
        { "a 1 CLASS3 TXT x\n", "1:5", "class CLASS3; only IN", NULL },
        { "a 2147483648 A 192.0.2.1\n", "1:3", "the TTL 2147483648 is more than 2147483647", NULL },
        { "a 99999999999999999999w A 192.0.2.1\n", "1:3", "the TTL 999999", NULL },
        { "$TTL soon\n", "1:6", "'soon' is not a TTL", NULL },
        { "$TTL\n", "1:1", "$TTL with 0 fields", "write $TTL 300" },
        { "$TTL 1 2\n", "1:8", "$TTL with 2 fields", NULL },
        { "$ORIGN x\n", "1:1", "unknown directive '$ORIGN'", "did you mean $ORIGIN?" },
        { "$FOO x\n", "1:1", "unknown directive '$FOO'", "there are" },
        { "a 1 A 192.0.2.1\n $TTL 5\n", "2:2", "unknown record type '$TTL'", "a directive" },
        { "a 1 A 192.0.2\n", "1:7", "A: '192.0.2' is not an IPv4 address", NULL },
        { "a 1 A\n", "1:5", "A needs 1 field and has 0", NULL },
        { "a 1 A 192.0.2.1 192.0.2.2\n", "1:17", "A takes 1 field; '192.0.2.2' is one too", NULL },
        { "a 1 AAAA 192.0.2.1\n", "1:10", "AAAA: '192.0.2.1' is not an IPv6 address", NULL },
        { "a 1 MX 70000 b\n", "1:8", "MX: '70000' is not a number from 0 to 65535", NULL },
        { "a 1 MX -1 b\n", "1:8", "MX: '-1' is not a number", NULL },
        { "a 1 MX 10\n", "1:8", "MX needs 2 fields and has 1", NULL },
        { "a 1 SRV 1 2 99999 b\n", "1:13", "SRV: '99999' is not a number", NULL },
        { "a 1 SOA b c 1 2 (\n 3x\n 4 5 )\n", "2:2", "SOA: '3x' is not a time", NULL },
        { "a 1 SOA b c 4294967296 2 3 4 5\n", "1:13", "SOA: '4294967296' is not a number", NULL },
        { "a 1 CNAME b..c\n", "1:11", "CNAME: 'b..c' has an empty label", NULL },
        { "a 1 CNAME \"b\"\n", "1:11", "CNAME: a name stands without quotes", NULL },
        { "a..b 1 A 192.0.2.1\n", "1:1", "'a..b' has an empty label", NULL },
        { "\"a\" 1 A 192.0.2.1\n", "1:1", "a name stands without quotes", NULL },
        { "a\\400 1 A 192.0.2.1\n", "1:1", "'a\\400' has a broken escape", NULL },
        { "a 1 TXT \"open\nb 1 A 192.0.2.1\n", "1:9", "a quote that is not closed", NULL },
        { "a 1 TXT \"x\\300\"\n", "1:9", "TXT: a broken escape", NULL },
        { "a 1 TXT x\"y\"\n", "1:9", "TXT: a quote inside a string", NULL },
        { "a 1 TXT ( x\nb 1 A 192.0.2.1\n", "1:9", "'(' that is never closed", NULL },
        { "a 1 TXT x )\n", "1:11", "')' without '('", NULL },
        { "a 1 TXT x\\\n", "1:11", "a backslash at the end", NULL },
        { "a 1 A \\# 5 c000020101\n", "1:7", "A: this is not data of the type", NULL },
        { "a 1 A \\# 4 c00002\n", "1:10", "A: less data than the length 4", NULL },
        { "a 1 A \\# 4 c000020102\n", "1:12", "A: more data than the length", NULL },
        { "a 1 A \\# 4 c00002zz\n", "1:12", "A: 'c00002zz' is not hexadecimal", NULL },
        { "a 1 A \\#\n", "1:7", "A: \\# needs a length", NULL },
        { "a 1 A \\# 70000 00\n", "1:10", "A: '70000' is not a length", NULL },
        { "a 1 NS \\# 2 c00c\n", "1:8", "NS: this is not data", NULL },
        { "a 1 TXT \\# 0\n", "1:9", "TXT: this is not data", NULL },
        { "a 1 TYPE70000 \\# 0\n", "1:5", "unknown record type 'TYPE70000'", NULL },
        { "a 1 TYPE65280 abc\n", "1:15", "TYPE65280: ", NULL },
        { "a 1 LOC nowhere\n", "1:9", "LOC: ", NULL },
        { "$GENERATE 5-1 a$ A 192.0.2.$\n", "1:11", "'5-1' is not a range", "write 1-254" },
        { "$GENERATE 1-5/0 a$ A 192.0.2.$\n", "1:11", "'1-5/0' is not a range", NULL },
        { "$GENERATE 0-65536 a$ 1 TXT x\n", "1:11", "$GENERATE makes at most 65536", NULL },
        { "$GENERATE 1-2 a${0,1 1 TXT x\n", "1:15", "'a${0,1' has a broken", NULL },
        { "$GENERATE 1-2 a${-5} 1 TXT x\n", "1:15", "'a${-5}' has a broken", NULL },
        { "$GENERATE 1-2 a${0,0,q} 1 TXT x\n", "1:15", "'a${0,0,q}' has a broken", NULL },
        { "$GENERATE 1-300 a$ 1 A 192.0.2.$\n", "1:24", "A: '192.0.2.256' is not", NULL },
        { "$GENERATE 1-2 a$\n", "1:15", "$GENERATE with 2 fields", "write $GENERATE" },
        { "; \xc3\xa4\xc3\xb6\n\xc3\xa4 1 A x\n", "2:7", "A: 'x' is not an IPv4 address", NULL },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        expect_error(cases[i].zone, cases[i].place, cases[i].message, cases[i].hint);
    }
}

static void names_that_are_too_long_are_refused_wherever_they_stand(void **state)
{
    char label[65];
    char zone[1024];

    (void)state;
    memset(label, 'a', 64);
    label[64] = '\0';
    (void)snprintf(zone, sizeof(zone), "$TTL 1\n%s A 192.0.2.1\n", label);
    expect_error(zone, "2:1", "'aaaa", NULL);
    label[60] = '\0';
    (void)snprintf(zone, sizeof(zone), "$TTL 1\nx CNAME %s.%s.%s.%s\n", label, label, label, label);
    expect_error(zone, "2:9", "CNAME: 'aaaa", NULL);
    (void)snprintf(zone, sizeof(zone), "$TTL 1\nx CNAME %s.%s.%s.%s.\n", label, label, label,
                   label);
    struct text out = { 0 };
    struct error err;
    assert_int_equal(
        zonefile_read(scratch_write(&scratch, "zone", zone), origin, print_record, &out, &err), 0);
    text_fini(&out);
}

static void a_string_of_256_bytes_is_refused_and_255_are_taken(void **state)
{
    char string[257];
    char zone[600];
    struct text expected = { 0 };

    (void)state;
    memset(string, 's', 256);
    string[256] = '\0';
    (void)snprintf(zone, sizeof(zone), "a 1 TXT \"%s\"\n", string);
    expect_error(zone, "1:9", "TXT: a string of 256 bytes", "a string holds at most 255");
    string[255] = '\0';
    (void)snprintf(zone, sizeof(zone), "a 1 TXT \"%s\"\n", string);
    text_printf(&expected, "a.example.com. 1 IN TXT \"%s\"\n", string);
    expect_records(zone, text_string(&expected));
    text_fini(&expected);
}

static void a_nul_byte_is_refused(void **state)
{
    static const char zone[] = "$TTL 1\na A 192\0.0.2.1\n";

    (void)state;
    expect_error_bytes(zone, sizeof(zone) - 1, "2:8", "a NUL byte", NULL);
}

static void a_line_of_more_than_64_kib_is_refused(void **state)
{
    char *zone = malloc(70000);

    (void)state;
    assert_non_null(zone);
    memset(zone, ' ', 70000);
    memcpy(zone, "$TTL 1\n", 7);
    expect_error_bytes(zone, 70000, "2:65537", "a line of more than 64 KiB", NULL);
    struct text out = { 0 };
    struct error err;
    const char *path = scratch_write_bytes(&scratch, "zone", zone, 7 + 65536);
    assert_int_equal(zonefile_read(path, origin, print_record, &out, &err), 0);
    text_fini(&out);
    free(zone);
}

static void an_endless_entry_is_refused(void **state)
{
    struct text zone = { 0 };
    struct error err;
    struct text out = { 0 };

    (void)state;
    text_put(&zone, "a 1 TXT (\n");
    for (int i = 0; i < 90000; i++) {
        text_put(&zone, "abcdef\n");
    }
    text_put(&zone, ")\n");
    const char *path = scratch_write(&scratch, "zone", text_string(&zone));
    assert_int_equal(zonefile_read(path, origin, print_record, &out, &err), -EINVAL);
    assert_string_equal(err.message, "an entry of more than 512 KiB");
    text_fini(&zone);
    text_fini(&out);
}

static void more_text_than_ldns_reads_is_refused_and_not_cut(void **state)
{
    struct text zone = { 0 };
    struct text out = { 0 };
    struct error err;

    (void)state;
    text_put(&zone, "a 1 TXT (\n");
    for (int i = 0; i < 300; i++) {
        for (int j = 0; j < 250; j++) {
            text_put_char(&zone, 'x');
        }
        text_put_char(&zone, '\n');
    }
    text_put(&zone, ")\n");
    const char *path = scratch_write(&scratch, "zone", text_string(&zone));
    assert_int_equal(zonefile_read(path, origin, print_record, &out, &err), -EINVAL);
    assert_int_equal(err.line, 2);
    assert_int_equal(err.col, 1);
    assert_string_equal(err.message, "TXT: more than 64 KiB of text");
    text_fini(&zone);
    text_fini(&out);
}

static void what_is_no_regular_file_is_refused_at_once(void **state)
{
    struct error err;
    char fifo[128];

    (void)state;
    assert_int_equal(zonefile_read(scratch.dir, origin, print_record, NULL, &err), -EINVAL);
    assert_string_equal(err.message, "is not a regular file");
    (void)snprintf(fifo, sizeof(fifo), "%s/fifo", scratch.dir);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(zonefile_read(fifo, origin, print_record, NULL, &err), -EINVAL);
    assert_int_equal(zonefile_read("/nonexistent/zone", origin, print_record, NULL, &err), -ENOENT);
    assert_string_equal(err.path, "/nonexistent/zone");
}

static void a_file_over_1_gib_is_refused_unread(void **state)
{
    struct error err;
    const char *path = scratch_write(&scratch, "big", "");

    (void)state;
    assert_int_equal(truncate(path, ((off_t)1 << 30) + 1), 0);
    assert_int_equal(zonefile_read(path, origin, print_record, NULL, &err), -EFBIG);
}

static int stop_at_second(void *user, const struct zonefile_record *record, struct error *err)
{
    int *seen = user;

    assert_int_equal(record->line, *seen + 1);
    return ++*seen == 2 ? error_set(err, -ECANCELED, "enough") : 0;
}

static void the_sink_ends_the_reading(void **state)
{
    struct error err;
    int seen = 0;
    const char *path =
        scratch_write(&scratch, "zone", "a 1 A 192.0.2.1\nb A 192.0.2.2\nc A 192.0.2.3\n");

    (void)state;
    assert_int_equal(zonefile_read(path, origin, stop_at_second, &seen, &err), -ECANCELED);
    assert_int_equal(seen, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_usual_type_is_read),
        cmocka_unit_test(owner_ttl_and_class_are_inherited),
        cmocka_unit_test(a_relative_origin_is_below_the_one_before),
        cmocka_unit_test(parentheses_quotes_and_comments_are_understood),
        cmocka_unit_test(escapes_in_names_are_bytes_of_labels),
        cmocka_unit_test(generic_types_and_data_are_read),
        cmocka_unit_test(generate_makes_a_range_of_records),
        cmocka_unit_test(a_byte_order_mark_is_skipped),
        cmocka_unit_test(an_empty_file_has_no_records),
        cmocka_unit_test(an_include_is_relative_to_its_file_and_ends_with_its_settings),
        cmocka_unit_test(a_file_that_includes_itself_is_an_error),
        cmocka_unit_test(a_missing_include_is_shown_where_it_is_asked_for),
        cmocka_unit_test(an_error_in_an_include_has_the_place_there),
        cmocka_unit_test(mistakes_are_shown_at_their_place),
        cmocka_unit_test(names_that_are_too_long_are_refused_wherever_they_stand),
        cmocka_unit_test(a_string_of_256_bytes_is_refused_and_255_are_taken),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(a_line_of_more_than_64_kib_is_refused),
        cmocka_unit_test(an_endless_entry_is_refused),
        cmocka_unit_test(more_text_than_ldns_reads_is_refused_and_not_cut),
        cmocka_unit_test(what_is_no_regular_file_is_refused_at_once),
        cmocka_unit_test(a_file_over_1_gib_is_refused_unread),
        cmocka_unit_test(the_sink_ends_the_reading),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
