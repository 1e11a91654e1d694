/* Streams over TLS, to upstreams with good certificates and bad ones. */
#include "upstream_streams.h"

#include "base/tls.h"
#include "tls_identity.h"

static struct scratch scratch;
static char authority_path[256];
static char other_path[256];
static struct identity authority, other_authority;
static struct identity good, expired, early, elsewhere, alone, numbered;

/* ---- certificates ---- */

static int make_all(void **state)
{
    (void)state;
    scratch_init(&scratch);
    identity_make(&authority, NULL, "authority", NULL, -DAY_S, DAY_S);
    identity_make(&other_authority, NULL, "another", NULL, -DAY_S, DAY_S);
    identity_make(&good, &authority, "good", "DNS:dns.example.com", -DAY_S, DAY_S);
    identity_make(&expired, &authority, "expired", "DNS:dns.example.com", -2 * DAY_S, -DAY_S);
    identity_make(&early, &authority, "early", "DNS:dns.example.com", DAY_S, 2 * DAY_S);
    identity_make(&elsewhere, &authority, "elsewhere", "DNS:dns.example.net", -DAY_S, DAY_S);
    identity_make(&alone, NULL, "alone", "DNS:dns.example.com", -DAY_S, DAY_S);
    identity_make(&numbered, &authority, "numbered", "IP:127.0.0.1", -DAY_S, DAY_S);
    identity_write(&scratch, "authority.pem", authority.certificate, authority_path);
    identity_write(&scratch, "other.pem", other_authority.certificate, other_path);
    return 0;
}

static int free_all(void **state)
{
    struct identity *all[] = { &authority, &other_authority, &good,  &expired,
                               &early,     &elsewhere,       &alone, &numbered };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        identity_free(all[i]);
    }
    scratch_fini(&scratch);
    return 0;
}

/* ---- the upstream ---- */

struct server {
    SSL_CTX *context;
    SSL *ssl; /* of the newest connection */
    int fd;
    char name[64]; /* that it was asked for */
    char protocol[16];
};

static struct server server;

static int choose_protocol(SSL *ssl, const uint8_t **out, uint8_t *out_length, const uint8_t *in,
                           unsigned in_length, void *unused)
{
    (void)ssl;
    (void)unused;
    assert_true(in_length == 4);
    memcpy(server.protocol, in + 1, 3);
    *out = in + 1;
    *out_length = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static void serve_as(const struct identity *identity, int version)
{
    server = (struct server){ .context = SSL_CTX_new(TLS_server_method()), .fd = -1 };
    assert_non_null(server.context);
    assert_int_equal(SSL_CTX_use_certificate(server.context, identity->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(server.context, identity->key), 1);
    SSL_CTX_set_alpn_select_cb(server.context, choose_protocol, NULL);
    if (version != 0) {
        (void)SSL_CTX_set_min_proto_version(server.context, TLS1_VERSION);
        (void)SSL_CTX_set_max_proto_version(server.context, version);
        SSL_CTX_set_security_level(server.context, 0);
    }
}

/* Done, or to be tried again after a turn of the loop. */
static bool is_done(int result)
{
    if (result > 0) {
        return true;
    }
    assert_int_equal(SSL_get_error(server.ssl, result), SSL_ERROR_WANT_READ);
    turn();
    return false;
}

static void hang_up(void)
{
    SSL_free(server.ssl);
    server.ssl = NULL;
    if (server.fd >= 0) {
        (void)close(server.fd);
    }
    server.fd = -1;
}

static void stop_serving(void)
{
    hang_up();
    SSL_CTX_free(server.context);
    server.context = NULL;
}

static void greet(void)
{
    server.fd = accept_one();
    server.ssl = SSL_new(server.context);
    assert_int_equal(SSL_set_fd(server.ssl, server.fd), 1);
    SSL_set_accept_state(server.ssl);
}

static void accept_tls(void)
{
    greet();
    do {
        ERR_clear_error();
    } while (!is_done(SSL_do_handshake(server.ssl)));
    const char *name = SSL_get_servername(server.ssl, TLSEXT_NAMETYPE_host_name);
    (void)snprintf(server.name, sizeof(server.name), "%s", name != NULL ? name : "");
}

static void read_tls(void *out, int size)
{
    int got = 0;

    while (got < size) {
        ERR_clear_error();
        int some = SSL_read(server.ssl, (char *)out + got, size - got);
        if (is_done(some)) {
            got += some;
        }
    }
}

/* Read one question, and answer it by repeating it. */
static void answer_one(void)
{
    uint8_t frame[2 + QUERY_BYTES];

    read_tls(frame, sizeof(frame));
    ERR_clear_error();
    assert_int_equal(SSL_write(server.ssl, frame, sizeof(frame)), sizeof(frame));
}

/* A handshake that comes to nothing. */
static void fail_handshake(const struct asked *asked)
{
    greet();
    while (asked->outcome == WAITING) {
        ERR_clear_error();
        (void)SSL_do_handshake(server.ssl);
        turn();
    }
}

static struct tls_settings named(const char *name)
{
    return (struct tls_settings){ .name = name, .ca_file = authority_path, .protocol = "dot" };
}

/* `pins`: 32 bytes each. */
static void pin(struct tls_settings *tls, const void *pins, size_t count)
{
    tls->pins = (const uint8_t(*)[32])pins;
    tls->pin_count = count;
}

/* No name: the key decides. */
static struct tls_settings pinned(const struct identity *identity)
{
    struct tls_settings tls = { 0 };

    pin(&tls, identity->pin, 1);
    return tls;
}

/* ---- certificates that are accepted ---- */

static void serves(const struct identity *identity, struct tls_settings tls)
{
    serve_as(identity, 0);
    target.tls = &tls;
    struct asked *asked = ask_number(1);
    memset(&tls, 0, sizeof(tls)); /* it was copied */
    accept_tls();
    answer_one();
    assert_answered(asked);
    stop_serving();
}

static void a_good_certificate_is_accepted(void **state)
{
    (void)state;
    serves(&good, named("dns.example.com"));
    assert_string_equal(server.name, "dns.example.com");
    assert_string_equal(server.protocol, "dot");
}

static void a_dot_at_the_end_of_the_name_means_nothing(void **state)
{
    (void)state;
    serves(&good, named("dns.example.com."));
    assert_string_equal(server.name, "dns.example.com");
}

static void an_address_may_be_the_name(void **state)
{
    (void)state;
    serves(&numbered, named("127.0.0.1"));
    assert_string_equal(server.name, "");
}

static void a_pinned_key_needs_no_authority(void **state)
{
    (void)state;
    serves(&alone, pinned(&alone));
}

static void a_pinned_key_needs_no_name_and_no_date(void **state)
{
    (void)state;
    serves(&expired, pinned(&expired));
}

static void one_of_several_pins_is_enough(void **state)
{
    struct tls_settings tls = { 0 };
    uint8_t pins[2][32];

    (void)state;
    memcpy(pins[0], alone.pin, sizeof(pins[0]));
    memcpy(pins[1], good.pin, sizeof(pins[1]));
    pin(&tls, pins, 2);
    serves(&good, tls);
}

static void the_key_of_the_authority_may_be_pinned(void **state)
{
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    pin(&tls, authority.pin, 1);
    serves(&good, tls);
}

static void a_certificate_that_the_operator_names_is_trusted(void **state)
{
    char path[256];

    (void)state;
    identity_write(&scratch, "alone.pem", alone.certificate, path);
    serves(&alone, (struct tls_settings){ .name = "dns.example.com", .ca_file = path });
}

static void tls_1_2_is_enough(void **state)
{
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    serve_as(&good, TLS1_2_VERSION);
    target.tls = &tls;
    struct asked *asked = ask_number(1);
    accept_tls();
    answer_one();
    assert_answered(asked);
    stop_serving();
}

/* ---- and those that are not ---- */

static void refuses(const struct identity *identity, struct tls_settings tls, const char *text)
{
    serve_as(identity, 0);
    target.tls = &tls;
    struct asked *asked = ask_number(1);
    struct asked *other = ask_number(2);
    fail_handshake(asked);
    assert_failed(asked, -EKEYREJECTED, text);
    assert_failed(other, -EKEYREJECTED, text);
    assert_int_equal(counted(&connection_counters(set)->opened), 1);
    stop_serving();
}

static void an_expired_certificate_is_refused(void **state)
{
    (void)state;
    refuses(&expired, named("dns.example.com"), "certificate has expired");
}

static void an_early_certificate_is_refused(void **state)
{
    (void)state;
    refuses(&early, named("dns.example.com"), "certificate is not valid yet");
}

static void one_for_another_name_is_refused(void **state)
{
    (void)state;
    refuses(&elsewhere, named("dns.example.com"), "certificate is for another name");
}

static void one_for_another_address_is_refused(void **state)
{
    (void)state;
    refuses(&numbered, named("127.0.0.2"), "certificate is for another name");
}

static void one_signed_by_itself_is_refused(void **state)
{
    (void)state;
    refuses(&alone, named("dns.example.com"), "certificate is not signed by a trusted authority");
}

static void one_of_another_authority_is_refused(void **state)
{
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    tls.ca_file = other_path;
    refuses(&good, tls, "certificate is not signed by a trusted authority");
}

static void the_systems_authorities_do_not_know_ours(void **state)
{
    (void)state;
    refuses(&good, (struct tls_settings){ .name = "dns.example.com" },
            "certificate is not signed by a trusted authority");
}

static void a_key_that_is_not_pinned_is_refused(void **state)
{
    (void)state;
    refuses(&good, pinned(&alone), "public key is not pinned");
}

static void a_good_name_does_not_make_up_for_the_pin(void **state)
{
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    pin(&tls, alone.pin, 1);
    refuses(&good, tls, "public key is not pinned");
}

static void a_pin_does_not_make_up_for_the_name(void **state)
{
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    pin(&tls, elsewhere.pin, 1);
    refuses(&elsewhere, tls, "certificate is for another name");
}

static void tls_1_1_is_not_enough(void **state)
{
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    serve_as(&good, TLS1_1_VERSION);
    target.tls = &tls;
    struct asked *asked = ask_number(1);
    fail_handshake(asked);
    assert_int_equal(asked->code, -EPROTO);
    stop_serving();
}

static void one_that_speaks_no_tls_is_named(void **state)
{
    static const uint8_t junk[] = "HTTP/1.1 400 Bad Request\r\n\r\n";
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    target.tls = &tls;
    struct asked *asked = ask_number(1);
    int fd = accept_one();
    assert_int_equal(send(fd, junk, sizeof(junk), MSG_NOSIGNAL), sizeof(junk));
    assert_failed(asked, -EPROTO, "it does not speak TLS there");
    (void)close(fd);
}

static void a_close_in_the_handshake_is_told_at_once(void **state)
{
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    target.tls = &tls;
    struct asked *asked = ask_number(1);
    (void)close(accept_one());
    turn_until_over(asked);
    assert_int_equal(asked->outcome, FAILED);
    assert_int_equal(counted(&connection_counters(set)->opened), 1);
}

static void authorities_that_cannot_be_read_are_explained(void **state)
{
    struct tls_settings tls = named("dns.example.com");
    const char *text;

    (void)state;
    tls.ca_file = "/nonexistent/authority.pem";
    target.tls = &tls;
    assert_int_equal(try_ask(1, &text), -ENOENT);
    assert_non_null(strstr(text, "/nonexistent/authority.pem"));
}

/* ---- sessions ---- */

/* Ask and answer on a stream that is opened for it and closed then. */
static void serve_stream(unsigned number, bool polite)
{
    struct asked *asked = ask_number(number);

    accept_tls();
    answer_one();
    assert_answered(asked);
    if (polite) {
        ERR_clear_error();
        (void)SSL_shutdown(server.ssl);
    }
    hang_up();
    for (unsigned i = 0; i < 5; i++) {
        turn();
    }
}

static void sessions_resume(int version, bool polite)
{
    struct tls_settings tls = named("dns.example.com");

    serve_as(&good, version);
    target.tls = &tls;
    for (unsigned i = 0; i < 4; i++) {
        serve_stream(i, polite);
        assert_int_equal(counted(&connection_counters(set)->resumed), i);
    }
    assert_int_equal(counted(&connection_counters(set)->opened), 4);
    stop_serving();
}

static void sessions_are_resumed(void **state)
{
    (void)state;
    sessions_resume(0, true);
}

static void sessions_are_resumed_after_a_rude_close(void **state)
{
    (void)state;
    sessions_resume(0, false);
}

static void sessions_of_tls_1_2_are_resumed(void **state)
{
    (void)state;
    sessions_resume(TLS1_2_VERSION, false);
}

static void another_name_shares_no_session(void **state)
{
    struct tls_settings tls = named("dns.example.com");
    struct tls_settings other = pinned(&good);

    (void)state;
    serve_as(&good, 0);
    target.tls = &tls;
    serve_stream(1, true);
    target.tls = &other;
    serve_stream(2, true);
    assert_int_equal(counted(&connection_counters(set)->resumed), 0);
    stop_serving();
}

static void a_session_that_the_upstream_forgot_does_no_harm(void **state)
{
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    target.tls = &tls;
    for (unsigned i = 0; i < 2; i++) {
        serve_as(&good, 0); /* with other keys for its tickets */
        serve_stream(i, true);
        stop_serving();
    }
    assert_int_equal(counted(&connection_counters(set)->resumed), 0);
}

/* ---- streams that close ---- */

static void questions_of_a_closed_tls_stream_are_asked_again(void **state)
{
    struct tls_settings tls = named("dns.example.com");
    uint8_t frame[2 + QUERY_BYTES];

    (void)state;
    serve_as(&good, 0);
    target.tls = &tls;
    struct asked *asked = ask_number(1);
    accept_tls();
    read_tls(frame, sizeof(frame));
    hang_up();
    accept_tls();
    answer_one();
    assert_answered(asked);
    assert_int_equal(counted(&connection_counters(set)->reopened), 1);
    stop_serving();
}

static void damaged_records_end_the_stream(void **state)
{
    static const uint8_t junk[64] = { 0x17, 3, 3, 0, 59, 1, 2, 3 };
    struct tls_settings tls = named("dns.example.com");
    uint8_t frame[2 + QUERY_BYTES];

    (void)state;
    serve_as(&good, 0);
    target.tls = &tls;
    struct asked *asked = ask_number(1);
    for (unsigned i = 0; i < 2; i++) {
        accept_tls();
        read_tls(frame, sizeof(frame));
        assert_int_equal(send(server.fd, junk, sizeof(junk), MSG_NOSIGNAL), sizeof(junk));
        while (asked->outcome == WAITING && counted(&connection_counters(set)->reopened) <= i) {
            turn();
        }
        hang_up();
    }
    assert_int_equal(asked->outcome, FAILED);
    assert_int_equal(asked->code, -EPROTO);
    stop_serving();
}

static void a_long_answer_comes_in_several_records(void **state)
{
    static uint8_t frame[2 + 60000];
    struct tls_settings tls = named("dns.example.com");

    (void)state;
    serve_as(&good, 0);
    target.tls = &tls;
    struct asked *asked = ask_number(1);
    accept_tls();
    read_tls(frame, 2 + QUERY_BYTES);
    wire_put16(frame, 60000);
    int written = 0;
    do {
        ERR_clear_error();
        written = SSL_write(server.ssl, frame, sizeof(frame));
        if (written <= 0) {
            turn();
        }
    } while (written <= 0);
    assert_answered(asked);
    assert_int_equal(asked->answer_length, 60000);
    stop_serving();
}

/* ---- authorities that change ---- */

static void a_replaced_file_of_authorities_is_read_after_a_minute(void **state)
{
    struct tls_contexts contexts = { 0 };
    struct tls_context *first, *second;
    struct tls_settings tls = named("dns.example.com");
    struct error err;

    (void)state;
    assert_int_equal(tls_context_find(&contexts, &tls, 0, &first, &err), 0);
    assert_int_equal(tls_context_find(&contexts, &tls, 23 * 3600 * 1000, &second, &err), 0);
    assert_ptr_equal(first, second);
    tls_context_unref(second);
    assert_int_equal(tls_context_find(&contexts, &tls, 24 * 3600 * 1000, &second, &err), 0);
    assert_ptr_not_equal(first, second);
    tls_context_unref(first);
    tls_context_unref(second);
    assert_null(contexts.first);
}

#define CLAIM(f) cmocka_unit_test_setup_teardown(f, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_good_certificate_is_accepted),
        CLAIM(a_dot_at_the_end_of_the_name_means_nothing),
        CLAIM(an_address_may_be_the_name),
        CLAIM(a_pinned_key_needs_no_authority),
        CLAIM(a_pinned_key_needs_no_name_and_no_date),
        CLAIM(one_of_several_pins_is_enough),
        CLAIM(the_key_of_the_authority_may_be_pinned),
        CLAIM(a_certificate_that_the_operator_names_is_trusted),
        CLAIM(tls_1_2_is_enough),
        CLAIM(an_expired_certificate_is_refused),
        CLAIM(an_early_certificate_is_refused),
        CLAIM(one_for_another_name_is_refused),
        CLAIM(one_for_another_address_is_refused),
        CLAIM(one_signed_by_itself_is_refused),
        CLAIM(one_of_another_authority_is_refused),
        CLAIM(the_systems_authorities_do_not_know_ours),
        CLAIM(a_key_that_is_not_pinned_is_refused),
        CLAIM(a_good_name_does_not_make_up_for_the_pin),
        CLAIM(a_pin_does_not_make_up_for_the_name),
        CLAIM(tls_1_1_is_not_enough),
        CLAIM(one_that_speaks_no_tls_is_named),
        CLAIM(a_close_in_the_handshake_is_told_at_once),
        CLAIM(authorities_that_cannot_be_read_are_explained),
        CLAIM(sessions_are_resumed),
        CLAIM(sessions_are_resumed_after_a_rude_close),
        CLAIM(sessions_of_tls_1_2_are_resumed),
        CLAIM(another_name_shares_no_session),
        CLAIM(a_session_that_the_upstream_forgot_does_no_harm),
        CLAIM(questions_of_a_closed_tls_stream_are_asked_again),
        CLAIM(damaged_records_end_the_stream),
        CLAIM(a_long_answer_comes_in_several_records),
        CLAIM(a_replaced_file_of_authorities_is_read_after_a_minute),
    };

    return cmocka_run_group_tests(tests, make_all, free_all);
}
