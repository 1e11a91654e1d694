/*
 * Databases of tests/data/geo, whole and damaged, read by a process that is
 * this test's own binary, and found in as their networks were written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/file.h"
#include "policy/geo.h"
#include "policy/geo_reader.h"
#include "policy/model.h"
#include "policy/places.h"
#include "tests/unit/scratch.h"

enum { SEOUL, TOKYO, TAIPEI, FRANKFURT };

static const uint32_t korea[] = { SEOUL, TOKYO };
static const uint32_t korea_too[] = { SEOUL, TOKYO };
static const uint32_t japan[] = { TOKYO, SEOUL };
static const uint32_t europe[] = { FRANKFURT };

/* What geo_find says: 1 + the entry. */
enum { NOBODY, KR, JP, AS, EU, DE };

static struct model_country entries[] = {
    { .code = "KR", .regions = korea, .region_count = 2 },
    { .code = "JP", .regions = japan, .region_count = 2 },
    { .code = "AS", .is_continent = true, .regions = (const uint32_t[]){ TAIPEI },
      .region_count = 1 },
    { .code = "EU", .is_continent = true, .regions = europe, .region_count = 1 },
    { .code = "DE", .regions = (const uint32_t[]){ FRANKFURT, SEOUL }, .region_count = 2 },
};

/* As write.pl has them, later ones over earlier ones. */
struct network {
    const char *prefix;
    uint32_t value;
};

static const struct network networks[] = {
    { "127.1.0.0/16", KR },          { "127.2.0.0/16", JP },
    { "127.3.0.0/16", AS },          { "127.4.0.0/16", EU },
    { "127.5.0.0/25", KR },          { "127.5.0.128/25", JP },
    { "10.1.0.0/16", KR },           { "10.2.0.0/15", JP },
    { "10.2.64.0/18", KR },          { "192.0.2.0/24", DE },
    { "198.51.100.77/32", KR },      { "2001:db8:1::/48", KR },
    { "2001:db8:2::/48", JP },       { "2001:db8:2:8000::/49", EU },
    { "2001:db8:3:4::/64", AS },     { "fd00:1::/32", KR },
};
#define NETWORKS (sizeof(networks) / sizeof(networks[0]))

struct world {
    struct arena *arena;
    struct scratch scratch;
    char data[512]; /* the directory of the databases */
};

/* Beside this file, whose path is of the build directory, two above the program. */
static void find_data(char *out, size_t cap)
{
    char exe[256], source[] = __FILE__;
    ssize_t size = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

    assert_true(size > 0);
    exe[size] = '\0';
    const char *folder = dirname(source);
    if (folder[0] == '/') {
        (void)snprintf(out, cap, "%s/../data/geo", folder);
    } else {
        (void)snprintf(out, cap, "%s/../../%s/../data/geo", dirname(exe), folder);
    }
}

static int set_up(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_non_null(w);
    w->arena = arena_new();
    scratch_init(&w->scratch);
    find_data(w->data, sizeof(w->data));
    *state = w;
    return 0;
}

static int tear_down(void **state)
{
    struct world *w = *state;

    arena_free(w->arena);
    scratch_fini(&w->scratch);
    free(w);
    return 0;
}

static char *data_path(const struct world *w, const char *name)
{
    return arena_printf(w->arena, "%s/%s", w->data, name);
}

static struct model_geo model_of(const char *path)
{
    return (struct model_geo){ .file = path,
                               .countries = entries,
                               .country_count = sizeof(entries) / sizeof(entries[0]) };
}

static const struct geo *read_good(struct world *w, const char *path)
{
    struct model_geo *model = arena_alloc(w->arena, sizeof(*model));
    const struct geo *geo = NULL;
    struct error err = { 0 };

    *model = model_of(path);
    int rc = geo_read(model, NULL, w->arena, &geo, &err);
    if (rc < 0) {
        fail_msg("%s: %s", path, err.message);
    }
    return geo;
}

static struct addr address(const char *text)
{
    struct addr addr;
    struct error err;

    assert_int_equal(addr_parse(text, 0, &addr, &err), 0);
    return addr;
}

static uint32_t find(const struct geo *geo, const struct addr *client, uint8_t *out_scope)
{
    return geo_find(geo, client, client->family == ADDR_V4 ? 32 : 128, out_scope);
}

static uint32_t find_text(const struct geo *geo, const char *text)
{
    struct addr client = address(text);
    uint8_t scope;

    return find(geo, &client, &scope);
}

/* ---- what is found ---- */

static void a_country_counts_before_its_continent(void **state)
{
    const struct geo *geo = read_good(*state, data_path(*state, "country.mmdb"));

    assert_int_equal(find_text(geo, "127.1.200.3"), KR);
    assert_int_equal(find_text(geo, "127.2.0.1"), JP);
    assert_int_equal(find_text(geo, "127.3.0.1"), AS); /* Taiwan has no entry, Asia has */
    assert_int_equal(find_text(geo, "127.4.0.1"), EU); /* of no country */
    assert_int_equal(find_text(geo, "192.0.2.1"), DE);
}

static void of_whom_nothing_is_said_nothing_is_found(void **state)
{
    const struct geo *geo = read_good(*state, data_path(*state, "country.mmdb"));

    assert_int_equal(find_text(geo, "127.6.0.1"), NOBODY); /* neither US nor NA has an entry */
    assert_int_equal(find_text(geo, "203.0.113.1"), NOBODY);
    assert_int_equal(find_text(geo, "0.0.0.0"), NOBODY);
    assert_int_equal(find_text(geo, "255.255.255.255"), NOBODY);
    assert_int_equal(find_text(geo, "::"), NOBODY);
    assert_int_equal(find_text(geo, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), NOBODY);
}

static void an_ipv6_network_is_told_by_its_upper_half(void **state)
{
    const struct geo *geo = read_good(*state, data_path(*state, "country.mmdb"));

    assert_int_equal(find_text(geo, "2001:db8:1::1"), KR);
    assert_int_equal(find_text(geo, "2001:db8:2:7fff:ffff::"), JP);
    assert_int_equal(find_text(geo, "2001:db8:2:8000::"), EU);
    assert_int_equal(find_text(geo, "2001:db8:3:4:5:6:7:8"), AS);
    assert_int_equal(find_text(geo, "2001:db8:3:5::"), NOBODY);
    /* a part of a /64 is not told apart: what its first address has counts */
    assert_int_equal(find_text(geo, "2001:db8:4:4:1::1"), NOBODY);
}

static void ipv4_within_an_ipv6_tree_is_not_found_as_ipv6(void **state)
{
    const struct geo *geo = read_good(*state, data_path(*state, "country.mmdb"));

    assert_int_equal(find_text(geo, "2002:7f01:0001::1"), NOBODY); /* 6to4: an alias */
    assert_int_equal(find_text(geo, "::ffff:0:0"), NOBODY);
}

static bool is_in(const struct network *network, const struct addr *client)
{
    struct addr_prefix prefix;
    struct error err;

    assert_int_equal(addr_prefix_parse(network->prefix, &prefix, &err), 0);
    return prefix.base.family == client->family && addr_prefix_contains(&prefix, client);
}

static uint32_t written(const struct addr *client)
{
    uint32_t value = NOBODY;

    for (size_t i = 0; i < NETWORKS; i++) {
        value = is_in(&networks[i], client) ? networks[i].value : value;
    }
    return value;
}

/* Near to the edges of networks, where mistakes are. */
static struct addr random_client(unsigned *seed)
{
    struct addr_prefix prefix;
    struct error err;

    assert_int_equal(addr_prefix_parse(networks[(size_t)rand_r(seed) % NETWORKS].prefix, &prefix,
                                       &err),
                     0);
    size_t size = addr_size_bytes(&prefix.base);
    unsigned from = (unsigned)rand_r(seed) % 64;
    for (size_t bit = from; bit < size * 8; bit++) {
        unsigned fill = from % 3; /* all zeroes, all ones, or anything */
        unsigned value = fill == 2 ? (unsigned)rand_r(seed) >> 7 & 1 : fill;
        prefix.base.bytes[bit / 8] =
            (uint8_t)((prefix.base.bytes[bit / 8] & ~(0x80 >> bit % 8)) |
                      (value != 0 ? 0x80 >> bit % 8 : 0));
    }
    return prefix.base;
}

static void every_client_is_found_as_written(void **state)
{
    static const char *const names[] = { "country.mmdb", "country32.mmdb", "country4.mmdb" };
    unsigned seed = 4711;

    for (size_t n = 0; n < 3; n++) {
        const struct geo *geo = read_good(*state, data_path(*state, names[n]));
        for (unsigned i = 0; i < 4000; i++) {
            struct addr client = random_client(&seed);
            uint8_t scope;
            uint32_t wanted = n == 2 && client.family == ADDR_V6 ? NOBODY : written(&client);
            assert_int_equal(find(geo, &client, &scope), wanted);
        }
    }
}

/* All with the same first `scope` bits are the same, and with one bit fewer some are not. */
static void check_scope(const struct geo *geo, const struct addr *client, unsigned *seed)
{
    uint8_t scope, ignored;
    uint32_t value = find(geo, client, &scope);
    size_t told = client->family == ADDR_V4 ? 32 : 64;

    assert_true(scope <= told);
    for (unsigned i = 0; i < 40; i++) {
        struct addr other = *client;
        unsigned fill = (unsigned)rand_r(seed) % 3;
        for (size_t bit = scope; bit < told; bit++) {
            unsigned on = fill == 2 ? (unsigned)rand_r(seed) >> 9 & 1 : fill;
            unsigned mask = 0x80u >> bit % 8;
            other.bytes[bit / 8] =
                (uint8_t)((other.bytes[bit / 8] & ~mask) | (on != 0 ? mask : 0));
        }
        assert_int_equal(find(geo, &other, &ignored), value);
    }
}

static void the_scope_is_of_one_answer_as_a_whole(void **state)
{
    static const char *const names[] = { "country.mmdb", "country4.mmdb" };
    unsigned seed = 815;

    for (size_t n = 0; n < 2; n++) {
        const struct geo *geo = read_good(*state, data_path(*state, names[n]));
        for (unsigned i = 0; i < 1500; i++) {
            struct addr client = random_client(&seed);
            check_scope(geo, &client, &seed);
        }
    }
}

static void the_scope_is_as_short_as_can_be_and_no_longer_than_what_is_known(void **state)
{
    const struct geo *geo = read_good(*state, data_path(*state, "country.mmdb"));
    struct addr client = address("127.5.0.77");
    uint8_t scope;

    (void)find(geo, &client, &scope);
    assert_int_equal(scope, 25); /* not 121, as its depth in an IPv6 tree is */
    assert_int_equal(geo_find(geo, &client, 24, &scope), KR);
    assert_int_equal(scope, 24);
    client = address("198.51.100.77");
    (void)find(geo, &client, &scope);
    assert_int_equal(scope, 32);
    client = address("fd00:1::99");
    (void)find(geo, &client, &scope);
    assert_int_equal(scope, 32);
    client = address("200.0.0.1");
    (void)find(geo, &client, &scope);
    assert_int_equal(scope, 5); /* 200.0.0.0/5 holds nothing of 198.51.100.77 */
}

static void many_ranges_are_found_through_an_index(void **state)
{
    const struct geo *geo = read_good(*state, data_path(*state, "many.mmdb"));
    unsigned seed = 99;

    for (unsigned i = 0; i < 20000; i++) {
        struct addr client = address("10.0.0.0");
        uint8_t scope;
        client.bytes[0] = i % 100 == 0 ? (uint8_t)rand_r(&seed) : 10;
        client.bytes[1] = (uint8_t)(rand_r(&seed) >> 3);
        client.bytes[2] = (uint8_t)(rand_r(&seed) >> 3);
        client.bytes[3] = (uint8_t)(rand_r(&seed) >> 3);
        bool inside = client.bytes[0] == 10 && client.bytes[2] < 64 && client.bytes[2] % 4 < 2;
        uint32_t wanted = !inside ? NOBODY : client.bytes[2] / 4 % 2 != 0 ? KR : JP;
        assert_int_equal(find(geo, &client, &scope), wanted);
        if (inside) {
            assert_int_equal(scope, 23);
        }
    }
}

static void an_ipv4_database_knows_nothing_of_ipv6(void **state)
{
    const struct geo *geo = read_good(*state, data_path(*state, "country4.mmdb"));
    struct addr client = address("2001:db8:1::1");
    uint8_t scope = 77;

    assert_int_equal(find(geo, &client, &scope), NOBODY);
    assert_int_equal(scope, 0);
}

static void entries_with_the_same_regions_are_one(void **state)
{
    static struct model_country same[] = {
        { .code = "KR", .regions = korea, .region_count = 2 },
        { .code = "AS", .is_continent = true, .regions = korea_too, .region_count = 2 },
    };
    struct world *w = *state;
    struct model_geo model = { .file = data_path(w, "country4.mmdb"),
                               .countries = same,
                               .country_count = 2 };
    const struct geo *geo = NULL;
    struct addr client = address("127.5.0.1");
    struct error err;
    uint8_t scope;

    assert_int_equal(geo_read(&model, NULL, w->arena, &geo, &err), 0);
    assert_int_equal(find_text(geo, "127.3.0.1"), 1);
    assert_int_equal(find(geo, &client, &scope), 1);
    assert_int_equal(scope, 24); /* Korea's and Japan's half are the same now */
}

/* ---- files ---- */

static void refuse(struct world *w, const char *path, const char *reason)
{
    struct model_geo model = model_of(path);
    const struct geo *geo = NULL;
    struct error err = { 0 };

    assert_true(geo_read(&model, NULL, w->arena, &geo, &err) < 0);
    assert_null(geo);
    assert_non_null(strstr(err.message, path));
    if (strstr(err.message, reason) == NULL) {
        fail_msg("'%s' does not say '%s'", err.message, reason);
    }
    assert_true(err.hint[0] != '\0');
}

static void what_is_no_database_is_refused_with_file_and_reason(void **state)
{
    struct world *w = *state;

    refuse(w, "/nonexistent/x.mmdb", "No such file");
    refuse(w, w->scratch.dir, "it is not a file");
    refuse(w, "/dev/null", "it is not a file");
    refuse(w, scratch_write(&w->scratch, "text.mmdb", "a text"), "MaxMind DB");
    refuse(w, scratch_write(&w->scratch, "empty.mmdb", ""), "");
    refuse(w, data_path(w, "provider.mmdb"), "no country and no continent (it is a Test-ASN)");
}

static void a_pipe_in_its_place_does_not_hold_anybody_up(void **state)
{
    struct world *w = *state;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/pipe", w->scratch.dir);
    assert_int_equal(mkfifo(path, 0600), 0);
    refuse(w, path, "it is not a file");
}

static void set_time(const char *path, const struct stat *to)
{
    const struct timespec times[2] = { to->st_atim, to->st_mtim };

    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

/* A copy of a database in the scratch directory, of which `size` bytes are good. */
static const char *copy_of(struct world *w, const char *name, size_t good)
{
    struct error err;
    size_t size;
    char *bytes;

    assert_int_equal(file_read(data_path(w, name), 1u << 20, &bytes, &size, &err), 0);
    memset(bytes + (good < size ? good : size), 0xee, good < size ? size - good : 0);
    const char *path = scratch_write_bytes(&w->scratch, name, bytes, size);
    free(bytes);
    return path;
}

static void a_file_that_has_not_changed_is_not_read_again(void **state)
{
    struct world *w = *state;
    const char *path = copy_of(w, "country.mmdb", SIZE_MAX);
    struct model_geo model = model_of(path);
    const struct geo *before = read_good(w, path), *geo = NULL;
    struct error err;
    struct stat seen;

    assert_int_equal(stat(path, &seen), 0);
    (void)copy_of(w, "country.mmdb", 100);
    set_time(path, &seen); /* as if nothing had been */
    assert_int_equal(geo_read(&model, before, w->arena, &geo, &err), 0);
    assert_int_equal(find_text(geo, "127.1.0.1"), KR);
    assert_int_equal(find_text(geo, "2001:db8:1::"), KR);
}

static void a_file_that_has_changed_is_read_again(void **state)
{
    struct world *w = *state;
    const char *path = copy_of(w, "country.mmdb", SIZE_MAX);
    struct model_geo model = model_of(path);
    const struct geo *before = read_good(w, path), *geo = NULL;
    struct error err;

    (void)unlink(path);
    (void)scratch_write(&w->scratch, "country.mmdb", "cut");
    assert_true(geo_read(&model, before, w->arena, &geo, &err) < 0);
    geo = geo_keep(&model, before, w->arena);
    assert_non_null(geo);
    assert_int_equal(find_text(geo, "127.2.0.1"), JP);
    model.country_count = 2;
    assert_null(geo_keep(&model, before, w->arena)); /* other things are distinguished now */
    assert_null(geo_keep(&model, NULL, w->arena));
}

/* Read it: it is refused, or what is found in it is something. */
static void survive(struct world *w, const char *path)
{
    static const char *const clients[] = { "0.0.0.0", "127.5.0.200", "255.255.255.255", "::",
                                           "2001:db8:2:8000::", "ffff::" };
    struct model_geo model = model_of(path);
    const struct geo *geo = NULL;
    struct error err = { 0 };

    if (geo_read(&model, NULL, w->arena, &geo, &err) < 0) {
        assert_non_null(strstr(err.message, path));
        return;
    }
    for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
        assert_in_range(find_text(geo, clients[i]), NOBODY, DE);
    }
}

static void wherever_it_is_cut_nobody_dies(void **state)
{
    struct world *w = *state;
    struct error err;
    size_t size;
    char *bytes;

    assert_int_equal(file_read(data_path(w, "country.mmdb"), 1u << 20, &bytes, &size, &err), 0);
    for (size_t step = 0; step < 16; step++) {
        survive(w, scratch_write_bytes(&w->scratch, "cut.mmdb", bytes, size * step / 16));
        /* without its beginning: the tree is not where the end says */
        size_t left = size * step / 16;
        survive(w, scratch_write_bytes(&w->scratch, "cut.mmdb", bytes + left, size - left));
    }
    for (size_t cut = 1; cut < 24; cut += 2) {
        survive(w, scratch_write_bytes(&w->scratch, "cut.mmdb", bytes, size - cut));
    }
    free(bytes);
}

static void whichever_bits_are_others_nobody_dies(void **state)
{
    struct world *w = *state;
    struct error err;
    size_t size;
    char *bytes;
    unsigned seed = 1234;

    assert_int_equal(file_read(data_path(w, "country.mmdb"), 1u << 20, &bytes, &size, &err), 0);
    /* the tree, the data and what describes them: each its share, and all that describes */
    for (size_t at = 0; at < size; at += at > size - 220 ? 7 : 61) {
        char kept = bytes[at];
        bytes[at] = (char)(at % 2 == 0 ? ~kept : kept ^ 1 << rand_r(&seed) % 8);
        survive(w, scratch_write_bytes(&w->scratch, "flipped.mmdb", bytes, size));
        bytes[at] = kept;
    }
    free(bytes);
}

/* ---- places ---- */

static struct model_clients clients_of(const char *prefix, const uint32_t *regions, size_t count)
{
    struct model_clients clients = { .regions = regions, .region_count = count };
    struct error err;

    assert_int_equal(addr_prefix_parse(prefix, &clients.prefix, &err), 0);
    return clients;
}

/* The first region of a client, UINT32_MAX when it has none. */
static uint32_t region_of(const struct places *places, const char *text, uint8_t *out_scope)
{
    struct addr client = address(text);
    size_t count;
    const uint32_t *regions =
        places_regions(places, places_find(places, &client, 32, out_scope), &count);

    return count == 0 ? UINT32_MAX : regions[0];
}

static void prefixes_come_first_then_databases_in_their_order(void **state)
{
    struct world *w = *state;
    struct model_country asia = { .code = "AS", .is_continent = true, .regions = europe,
                                  .region_count = 1 };
    struct model_geo geos[2] = { model_of(data_path(w, "country4.mmdb")),
                                 model_of(data_path(w, "many.mmdb")) };
    struct model_clients clients[] = { clients_of("127.1.128.0/17", japan, 2) };
    uint32_t own = TAIPEI;
    struct model model = { .node_region = own,
                           .clients = clients,
                           .clients_count = 1,
                           .geos = geos,
                           .geo_count = 2 };
    const struct places *places = NULL;
    struct error err;
    uint8_t scope;

    geos[1].countries = &asia;
    geos[1].country_count = 1;
    assert_int_equal(places_read(&model, NULL, false, w->arena, &places, &err), 0);
    assert_int_equal(region_of(places, "127.1.200.1", &scope), TOKYO);
    assert_int_equal(scope, 17);
    assert_int_equal(region_of(places, "127.1.1.1", &scope), SEOUL);
    assert_int_equal(scope, 17); /* its other half is the prefix's */
    assert_int_equal(region_of(places, "10.1.0.1", &scope), SEOUL); /* both know it */
    assert_int_equal(region_of(places, "10.77.0.1", &scope), FRANKFURT);
    assert_int_equal(scope, 23);
    assert_int_equal(region_of(places, "10.77.200.1", &scope), TAIPEI); /* this node's */
    assert_int_equal(region_of(places, "203.0.113.1", &scope), TAIPEI);
}

static void without_one_database_the_others_are_used(void **state)
{
    struct world *w = *state;
    struct model_geo geos[2] = { model_of(scratch_write(&w->scratch, "bad.mmdb", "no")),
                                 model_of(data_path(w, "country4.mmdb")) };
    struct model model = { .node_region = MODEL_NONE, .geos = geos, .geo_count = 2 };
    const struct places *places = NULL, *again = NULL;
    struct error err;
    uint8_t scope;

    geos[0].place = (struct model_place){ .path = "leeward.yaml", .line = 7, .col = 3 };
    assert_true(places_read(&model, NULL, false, w->arena, &places, &err) < 0);
    assert_string_equal(err.path, "leeward.yaml");
    assert_int_equal(err.line, 7);
    assert_non_null(strstr(err.message, "bad.mmdb"));
    assert_int_equal(region_of(places, "127.1.1.1", &scope), SEOUL);
    assert_int_equal(region_of(places, "203.0.113.1", &scope), UINT32_MAX);
    /* nothing is read again when it is to be as it was */
    assert_int_equal(places_read(&model, places, true, w->arena, &again, &err), 0);
    assert_int_equal(region_of(again, "127.2.1.1", &scope), TOKYO);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_country_counts_before_its_continent),
        TEST(of_whom_nothing_is_said_nothing_is_found),
        TEST(an_ipv6_network_is_told_by_its_upper_half),
        TEST(ipv4_within_an_ipv6_tree_is_not_found_as_ipv6),
        TEST(every_client_is_found_as_written),
        TEST(the_scope_is_of_one_answer_as_a_whole),
        TEST(the_scope_is_as_short_as_can_be_and_no_longer_than_what_is_known),
        TEST(many_ranges_are_found_through_an_index),
        TEST(an_ipv4_database_knows_nothing_of_ipv6),
        TEST(entries_with_the_same_regions_are_one),
        TEST(what_is_no_database_is_refused_with_file_and_reason),
        TEST(a_pipe_in_its_place_does_not_hold_anybody_up),
        TEST(a_file_that_has_not_changed_is_not_read_again),
        TEST(a_file_that_has_changed_is_read_again),
        TEST(wherever_it_is_cut_nobody_dies),
        TEST(whichever_bits_are_others_nobody_dies),
        TEST(prefixes_come_first_then_databases_in_their_order),
        TEST(without_one_database_the_others_are_used),
#undef TEST
    };

    if (argc == 3 && strcmp(argv[1], GEO_COMMAND) == 0) {
        return geo_reader_run(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
