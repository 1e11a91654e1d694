/* Checks over TLS, of every kind, against servers with good certificates and bad ones. */
#include "check_world.h"
#include "tls_identity.h"

#define NAME "www.example.com"

struct tls_fixture {
    struct fixture f; /* first: the two are one object */
    struct tls_settings settings;
    SSL_CTX *context;
    SSL *ssl;            /* of the connection, until it is closed */
    BIO *input, *output; /* the SSL's */
    char name[64];       /* that it was asked for */
    char protocols[64];  /* that it was offered */
    bool refuses_protocol;
    bool greeted;
    bool resumed;
};

static struct scratch scratch;
static char authority_path[256];
static char other_path[256];
static struct identity authority, other_authority;
static struct identity good, soon, today, expired, early, elsewhere, alone;

/* ---- certificates ---- */

static int make_all(void **state)
{
    (void)state;
    scratch_init(&scratch);
    identity_make(&authority, NULL, "authority", NULL, -DAY_S, 30 * DAY_S);
    identity_make(&other_authority, NULL, "another", NULL, -DAY_S, 30 * DAY_S);
    identity_make(&good, &authority, "good", "DNS:" NAME, -DAY_S, 20 * DAY_S + DAY_S / 2);
    identity_make(&soon, &authority, "soon", "DNS:" NAME, -DAY_S, 5 * DAY_S + DAY_S / 2);
    identity_make(&today, &authority, "today", "DNS:" NAME, -DAY_S, DAY_S / 2);
    identity_make(&expired, &authority, "expired", "DNS:" NAME, -2 * DAY_S, -DAY_S);
    identity_make(&early, &authority, "early", "DNS:" NAME, DAY_S, 2 * DAY_S);
    identity_make(&elsewhere, &authority, "elsewhere", "DNS:www.example.net", -DAY_S, DAY_S);
    identity_make(&alone, NULL, "alone", "DNS:" NAME, -DAY_S, DAY_S);
    identity_write(&scratch, "authority.pem", authority.certificate, authority_path);
    identity_write(&scratch, "other.pem", other_authority.certificate, other_path);
    return 0;
}

static int free_all(void **state)
{
    struct identity *all[] = { &authority, &other_authority, &good,      &soon, &today,
                               &expired,   &early,           &elsewhere, &alone };

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        identity_free(all[i]);
    }
    scratch_fini(&scratch);
    return 0;
}

/* ---- the server's layer of TLS ---- */

static struct tls_fixture *tls_of(struct fixture *f)
{
    return (struct tls_fixture *)f;
}

static int on_protocols(SSL *ssl, const uint8_t **out, uint8_t *out_length, const uint8_t *in,
                        unsigned in_length, void *arg)
{
    struct tls_fixture *t = arg;

    (void)ssl;
    (void)snprintf(t->protocols, sizeof(t->protocols), "%.*s", (int)in_length - 1,
                   (const char *)in + 1);
    *out = in + 1;
    *out_length = in[0];
    return t->refuses_protocol ? SSL_TLSEXT_ERR_ALERT_FATAL : SSL_TLSEXT_ERR_OK;
}

struct sent {
    uv_write_t request;
    char bytes[];
};

static void on_sent(uv_write_t *request, int status)
{
    (void)status;
    free(request);
}

/* What TLS wants sent. */
static void flush(struct tls_fixture *t)
{
    char *bytes = NULL;
    long size = BIO_get_mem_data(t->output, &bytes);

    if (size <= 0 || uv_is_closing((uv_handle_t *)&t->f.peer)) {
        return;
    }
    struct sent *sent = malloc(sizeof(*sent) + (size_t)size);
    assert_non_null(sent);
    memcpy(sent->bytes, bytes, (size_t)size);
    uv_buf_t buf = uv_buf_init(sent->bytes, (unsigned)size);
    if (uv_write(&sent->request, (uv_stream_t *)&t->f.peer, &buf, 1, on_sent) < 0) {
        free(sent);
    }
    (void)BIO_reset(t->output);
}

static void layer_open(struct fixture *f)
{
    struct tls_fixture *t = tls_of(f);

    t->ssl = SSL_new(t->context);
    t->input = BIO_new(BIO_s_mem());
    t->output = BIO_new(BIO_s_mem());
    assert_non_null(t->ssl);
    SSL_set_bio(t->ssl, t->input, t->output);
    SSL_set_accept_state(t->ssl);
    t->greeted = false;
}

static void shake_hands(struct tls_fixture *t)
{
    bool done = SSL_do_handshake(t->ssl) == 1;
    const char *name = SSL_get_servername(t->ssl, TLSEXT_NAMETYPE_host_name);

    (void)snprintf(t->name, sizeof(t->name), "%s", name != NULL ? name : "");
    if (done) {
        t->greeted = true;
        t->resumed = SSL_session_reused(t->ssl) == 1;
        if (t->f.first_word) {
            answer_stream(&t->f);
        }
    }
}

static void layer_receive(struct fixture *f, const char *bytes, size_t size)
{
    struct tls_fixture *t = tls_of(f);
    char plain[4096];
    int got;

    ERR_clear_error();
    assert_int_equal(BIO_write(t->input, bytes, (int)size), (int)size);
    if (!t->greeted) {
        shake_hands(t);
    }
    flush(t);
    while (t->ssl != NULL && t->greeted && (got = SSL_read(t->ssl, plain, sizeof(plain))) > 0) {
        take_request(f, plain, (size_t)got);
    }
    if (t->ssl != NULL) {
        flush(t);
    }
}

static void layer_send(struct fixture *f, const char *bytes, size_t size)
{
    struct tls_fixture *t = tls_of(f);

    ERR_clear_error();
    if (size > 0) {
        assert_int_equal(SSL_write(t->ssl, bytes, (int)size), (int)size);
    }
    flush(t);
}

static void layer_close(struct fixture *f)
{
    struct tls_fixture *t = tls_of(f);

    ERR_clear_error();
    if (t->greeted) {
        (void)SSL_shutdown(t->ssl);
        flush(t);
    }
    SSL_free(t->ssl);
    t->ssl = NULL;
}

/* ---- the fixture ---- */

static int set_up_over_tls(void **state, enum model_check_kind kind)
{
    (void)set_up(state, kind, sizeof(struct tls_fixture));
    struct tls_fixture *t = *state;
    t->settings = (struct tls_settings){ .name = NAME, .ca_file = authority_path };
    t->f.check.tls = &t->settings;
    t->context = SSL_CTX_new(TLS_server_method());
    assert_non_null(t->context);
    SSL_CTX_set_alpn_select_cb(t->context, on_protocols, t);
    t->f.layer_open = layer_open;
    t->f.layer_receive = layer_receive;
    t->f.layer_send = layer_send;
    t->f.layer_close = layer_close;
    return 0;
}

static int set_up_tls(void **state)
{
    return set_up_over_tls(state, MODEL_CHECK_TLS);
}

static int set_up_https(void **state)
{
    return set_up_over_tls(state, MODEL_CHECK_HTTP);
}

static int set_up_tcp(void **state)
{
    return set_up_over_tls(state, MODEL_CHECK_TCP);
}

static int set_up_dot(void **state)
{
    (void)set_up_over_tls(state, MODEL_CHECK_DNS);
    struct tls_fixture *t = *state;
    t->settings.protocol = "dot";
    t->f.check.query_name = "canary.corp.example";
    t->f.check.query_type = WIRE_A;
    return 0;
}

static int tear_down_tls(void **state)
{
    struct tls_fixture *t = *state;

    SSL_free(t->ssl);
    SSL_CTX_free(t->context);
    return tear_down(state);
}

static void serve_as(struct tls_fixture *t, const struct identity *identity, enum manner manner,
                     bool closes, const char *reply)
{
    assert_int_equal(SSL_CTX_use_certificate(t->context, identity->certificate), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(t->context, identity->key), 1);
    serve_stream(&t->f, manner, closes, reply);
}

/* A server that speaks no TLS: what it is told to say goes out as it is. */
static void serve_plain(struct tls_fixture *t, enum manner manner, bool closes, const char *reply)
{
    t->f.layer_open = NULL;
    t->f.layer_receive = NULL;
    t->f.layer_send = NULL;
    t->f.layer_close = NULL;
    serve_stream(&t->f, manner, closes, reply);
}

/* ---- certificates ---- */

static void a_good_certificate_passes(void **state)
{
    struct tls_fixture *t = *state;

    serve_as(t, &good, STAY_SILENT, false, "");
    assert_probe(&t->f, DETECT_PASS, "certificate good for 20 days");
    assert_string_equal(t->name, NAME);
    assert_string_equal(t->protocols, "");
}

static void each_bad_certificate_is_told_apart(void **state)
{
    static const struct {
        const struct identity *identity;
        const char *reason;
    } cases[] = {
        { &expired, "certificate has expired" },
        { &early, "certificate is not valid yet" },
        { &elsewhere, "certificate is for another name" },
        { &alone, "certificate is not signed by a trusted authority" },
    };
    struct tls_fixture *t = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        serve_as(t, cases[i].identity, STAY_SILENT, false, "");
        assert_probe(&t->f, DETECT_STRONG, cases[i].reason);
        assert_false(t->greeted);
    }
    t->settings.ca_file = other_path;
    serve_as(t, &good, STAY_SILENT, false, "");
    assert_probe(&t->f, DETECT_STRONG, "certificate is not signed by a trusted authority");
    t->settings.ca_file = NULL; /* the system's */
    assert_probe(&t->f, DETECT_STRONG, "certificate is not signed by a trusted authority");
}

static void without_verification_any_certificate_passes(void **state)
{
    const struct identity *identities[] = { &expired, &early, &elsewhere, &alone };
    struct tls_fixture *t = *state;

    t->settings.unverified = true;
    for (size_t i = 0; i < sizeof(identities) / sizeof(identities[0]); i++) {
        memset(t->name, 0, sizeof(t->name));
        serve_as(t, identities[i], STAY_SILENT, false, "");
        probe_once(&t->f);
        assert_int_equal(t->f.outcome, DETECT_PASS);
        assert_string_equal(t->name, NAME); /* told, though not judged */
    }
    serve_as(t, &expired, STAY_SILENT, false, "");
    assert_probe(&t->f, DETECT_PASS, "handshake complete");
}

static void a_certificate_that_expires_soon_is_a_warning(void **state)
{
    struct tls_fixture *t = *state;

    serve_as(t, &soon, STAY_SILENT, false, "");
    t->f.check.days_left = 5;
    assert_probe(&t->f, DETECT_PASS, "certificate good for 5 days");
    t->f.check.days_left = 6;
    assert_probe(&t->f, DETECT_WARNING, "certificate expires in 5 days");
    serve_as(t, &today, STAY_SILENT, false, "");
    assert_probe(&t->f, DETECT_WARNING, "certificate expires within a day");
    serve_as(t, &expired, STAY_SILENT, false, "");
    assert_probe(&t->f, DETECT_STRONG, "certificate has expired");
    t->settings.unverified = true;
    assert_probe(&t->f, DETECT_WARNING, "certificate has expired");
}

static void tls_1_2_is_enough_and_1_1_is_not(void **state)
{
    struct tls_fixture *t = *state;

    (void)SSL_CTX_set_max_proto_version(t->context, TLS1_2_VERSION);
    serve_as(t, &good, STAY_SILENT, false, "");
    assert_probe(&t->f, DETECT_PASS, "certificate good for 20 days");
    (void)SSL_CTX_set_min_proto_version(t->context, TLS1_VERSION);
    (void)SSL_CTX_set_max_proto_version(t->context, TLS1_1_VERSION);
    SSL_CTX_set_security_level(t->context, 0);
    probe_once(&t->f);
    assert_int_equal(t->f.outcome, DETECT_STRONG);
    assert_memory_equal(t->f.reason, "tls: ", 5);
}

static void each_probe_shakes_hands_anew(void **state)
{
    struct tls_fixture *t = *state;

    t->f.check.expect = "hello"; /* behind it the tickets have come, too */
    t->f.first_word = true;
    serve_as(t, &good, SEND_AT_ONCE, false, "hello");
    for (unsigned i = 0; i < 3; i++) {
        assert_probe(&t->f, DETECT_PASS, "reply as expected");
        assert_true(t->greeted);
        assert_false(t->resumed);
    }
    serve_as(t, &expired, SEND_AT_ONCE, false, "hello");
    assert_probe(&t->f, DETECT_STRONG, "certificate has expired");
}

/* ---- handshakes that come to nothing ---- */

static void a_refusal_is_no_matter_of_tls(void **state)
{
    struct tls_fixture *t = *state;

    bind_stream(&t->f);
    assert_probe(&t->f, DETECT_STRONG, "connection refused");
}

static void trouble_in_the_handshake_is_told_apart(void **state)
{
    struct tls_fixture *t = *state;

    serve_plain(t, RESET, false, "");
    assert_probe(&t->f, DETECT_STRONG, "tls: connection reset");
    serve_plain(t, HANG_UP, false, "");
    assert_probe(&t->f, DETECT_STRONG, "tls: closed within the handshake");
    serve_plain(t, SEND_AT_ONCE, true, "HTTP/1.1 400 Bad Request\r\n\r\n");
    assert_probe(&t->f, DETECT_STRONG, "tls: it does not speak TLS there");
    serve_plain(t, SEND_BY_BYTES, true, "220 mail.example ESMTP\r\n");
    assert_probe(&t->f, DETECT_STRONG, "tls: it does not speak TLS there");
}

static void a_silent_server_lacks_its_part_of_the_handshake(void **state)
{
    struct tls_fixture *t = *state;

    serve_plain(t, STAY_SILENT, false, "");
    assert_lacks(&t->f, "tls: no answer");
}

static void a_protocol_refused_is_told(void **state)
{
    struct tls_fixture *t = *state;

    t->settings.protocol = "dot";
    serve_as(t, &good, STAY_SILENT, false, "");
    assert_probe(&t->f, DETECT_PASS, "certificate good for 20 days");
    assert_string_equal(t->protocols, "dot");
    t->refuses_protocol = true;
    assert_probe(&t->f, DETECT_STRONG, "tls: it does not speak this protocol there");
}

/* ---- https ---- */

static void https_asks_and_reads_as_http_does(void **state)
{
    struct tls_fixture *t = *state;

    serve_as(t, &good, SEND_AT_ONCE, false, "HTTP/1.1 204 No\r\n\r\n");
    assert_probe(&t->f, DETECT_PASS, "status 204");
    assert_memory_equal(t->f.request, "GET / HTTP/1.1\r\n", 16);
    serve_as(t, &good, SEND_AT_ONCE, false, "HTTP/1.1 302 Elsewhere\r\nLocation: /\r\n\r\n");
    assert_probe(&t->f, DETECT_STRONG, "status 302");
    t->f.check.json_pointer = "/status";
    t->f.check.json_value = "ok";
    serve_as(t, &good, SEND_BY_BYTES, false,
             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
             "9\r\n{\"status\"\r\n6\r\n:\"ok\"}\r\n0\r\n\r\n");
    assert_probe(&t->f, DETECT_PASS, "body as expected");
    serve_as(t, &good, HANG_UP, false, "");
    assert_probe(&t->f, DETECT_STRONG, "closed without a reply");
}

static void https_reads_a_long_body(void **state)
{
    struct tls_fixture *t = *state;
    size_t size = 60000;
    char *reply = malloc(size + 1);

    assert_non_null(reply);
    memset(reply, 'x', size);
    memcpy(reply, "HTTP/1.1 200 OK\r\n\r\n", 19);
    memcpy(reply + size - 4, "well", 5);
    t->f.check.body = "well";
    serve_as(t, &good, SEND_AT_ONCE, true, reply);
    assert_probe(&t->f, DETECT_PASS, "body as expected");
    t->f.check.body = "ill";
    assert_probe(&t->f, DETECT_STRONG, "body does not contain 'ill'");
    free(reply);
}

static void https_warns_of_a_certificate_only_when_all_is_well(void **state)
{
    struct tls_fixture *t = *state;

    t->f.check.days_left = 14;
    serve_as(t, &soon, SEND_AT_ONCE, false, "HTTP/1.1 200 OK\r\n\r\n");
    assert_probe(&t->f, DETECT_WARNING, "certificate expires in 5 days");
    serve_as(t, &soon, SEND_AT_ONCE, false, "HTTP/1.1 503 Busy\r\n\r\n");
    assert_probe(&t->f, DETECT_STRONG, "status 503");
}

/* With TLS 1.3 the handshake is over when the server finds that we show no certificate. */
static void an_alert_behind_the_handshake_is_told(void **state)
{
    struct tls_fixture *t = *state;

    SSL_CTX_set_verify(t->context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    serve_as(t, &good, STAY_SILENT, false, "");
    probe_once(&t->f);
    assert_int_equal(t->f.outcome, DETECT_STRONG);
    assert_memory_equal(t->f.reason, "tls: ", 5);
    assert_non_null(strstr(t->f.reason, "certificate required"));
}

/* ---- tcp over TLS ---- */

static void tcp_over_tls_sends_and_expects(void **state)
{
    struct tls_fixture *t = *state;

    serve_as(t, &good, STAY_SILENT, false, "");
    assert_probe(&t->f, DETECT_PASS, "connected");
    t->f.check.send = "PING\r\n";
    t->f.check.send_size = 6;
    t->f.check.expect = "+PONG";
    serve_as(t, &good, SEND_BY_BYTES, false, "+PO+PONG\r\n");
    assert_probe(&t->f, DETECT_PASS, "reply as expected");
    assert_string_equal(t->f.request, "PING\r\n");
    serve_as(t, &good, SEND_AT_ONCE, true, "-ERR");
    assert_probe(&t->f, DETECT_STRONG, "'+PONG' is not in the reply: '-ERR'");
    serve_as(t, &good, SEND_AT_ONCE, false, "+PO");
    assert_lacks(&t->f, "reply not as expected");
}

/* ---- dns over TLS ---- */

static void dns_over_tls_is_answered(void **state)
{
    struct tls_fixture *t = *state;

    t->f.prepare = prepare_address;
    serve_as(t, &good, SEND_AT_ONCE, false, "");
    assert_probe(&t->f, DETECT_PASS, "NOERROR");
    assert_string_equal(t->protocols, "dot");
    assert_string_equal(t->name, NAME);
    serve_as(t, &good, SEND_BY_BYTES, false, "");
    assert_probe(&t->f, DETECT_PASS, "NOERROR");
    t->f.check.days_left = 30;
    assert_probe(&t->f, DETECT_WARNING, "certificate expires in 20 days");
}

static void dns_over_tls_tells_what_was_wrong(void **state)
{
    struct tls_fixture *t = *state;

    serve_as(t, &good, HANG_UP, false, "");
    assert_probe(&t->f, DETECT_STRONG, "tls: closed without an answer");
    serve_as(t, &good, SEND_BY_BYTES, true, "\1\1too short");
    assert_probe(&t->f, DETECT_STRONG, "tls: closed within the answer");
    serve_as(t, &good, SEND_AT_ONCE, false, "\1\1and no answer at all");
    t->f.reply[0] = '\0';
    t->f.reply[1] = 16;
    assert_probe(&t->f, DETECT_STRONG, "tls: answer to another question");
    t->f.prepare = prepare_address;
    serve_as(t, &expired, SEND_AT_ONCE, false, "");
    assert_probe(&t->f, DETECT_STRONG, "certificate has expired");
    serve_as(t, &good, STAY_SILENT, false, "");
    assert_lacks(&t->f, "no answer");
}

#define CLAIM(name, kind) cmocka_unit_test_setup_teardown(name, set_up_##kind, tear_down_tls)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLAIM(a_good_certificate_passes, tls),
        CLAIM(each_bad_certificate_is_told_apart, tls),
        CLAIM(without_verification_any_certificate_passes, tls),
        CLAIM(a_certificate_that_expires_soon_is_a_warning, tls),
        CLAIM(tls_1_2_is_enough_and_1_1_is_not, tls),
        CLAIM(each_probe_shakes_hands_anew, tcp),
        CLAIM(a_refusal_is_no_matter_of_tls, tls),
        CLAIM(trouble_in_the_handshake_is_told_apart, tls),
        CLAIM(a_silent_server_lacks_its_part_of_the_handshake, tls),
        CLAIM(a_protocol_refused_is_told, tls),
        CLAIM(https_asks_and_reads_as_http_does, https),
        CLAIM(https_reads_a_long_body, https),
        CLAIM(https_warns_of_a_certificate_only_when_all_is_well, https),
        CLAIM(an_alert_behind_the_handshake_is_told, https),
        CLAIM(tcp_over_tls_sends_and_expects, tcp),
        CLAIM(dns_over_tls_is_answered, dot),
        CLAIM(dns_over_tls_tells_what_was_wrong, dot),
    };

    return cmocka_run_group_tests(tests, make_all, free_all);
}
