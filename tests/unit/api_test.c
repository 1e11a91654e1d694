/* The api's pages and its socket, with and without the HTTP library. */
#include "api_world.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>

static void it_says_that_it_is_alive(void **state)
{
    struct cli_http_reply reply = ask(*state, "GET", "/healthz");

    assert_int_equal(reply.status, 200);
    assert_string_equal(text_string(&reply.body), "alive\n");
    text_fini(&reply.body);
}

static void readiness_says_what_is_waited_for(void **state)
{
    struct fixture *f = *state;

    f->control.ready = false;
    f->control.warning = "leeward.yaml:3:1: no such key";
    struct cli_http_reply reply = ask(f, "GET", "/readyz");
    assert_int_equal(reply.status, 503);
    assert_string_equal(text_string(&reply.body), "not ready: 4 checks have no result yet\n"
                                                  "warning: leeward.yaml:3:1: no such key\n");
    text_fini(&reply.body);
    f->control.ready = true;
    f->control.warning = "";
    reply = ask(f, "GET", "/readyz");
    assert_int_equal(reply.status, 200);
    assert_string_equal(text_string(&reply.body), "ready\n");
    text_fini(&reply.body);
}

static void status_holds_regions_services_and_counters(void **state)
{
    json_t *root = ask_json(*state, "GET", "/api/v1/status", 200);
    const json_t *region = json_array_get(json_object_get(root, "regions"), 0);
    const json_t *service = json_array_get(json_object_get(root, "services"), 0);
    const json_t *answer = json_object_get(json_object_get(service, "answer"), "A");
    const json_t *queries = json_object_get(root, "queries");

    assert_string_equal(string(root, "node"), "app-17");
    assert_int_equal(json_integer_value(json_object_get(root, "generation")), 3);
    assert_true(json_integer_value(json_object_get(root, "uptime_ms")) >= 5000);
    assert_int_equal(json_integer_value(json_object_get(queries, "total")), 12);
    assert_int_equal(
        json_integer_value(json_object_get(json_object_get(queries, "by_rcode"), "NXDOMAIN")), 2);
    assert_string_equal(string(region, "name"), "seoul");
    assert_string_equal(string(region, "state"), "in");
    assert_int_equal(json_array_size(json_object_get(region, "checks")), 1);
    assert_string_equal(string(service, "name"), "api.svc.example.com");
    assert_int_equal(json_integer_value(json_object_get(answer, "rung")), 1);
    assert_int_equal(json_array_size(json_object_get(answer, "addresses")), 2);
    assert_true(json_is_null(json_object_get(json_object_get(service, "answer"), "AAAA")));
    assert_int_equal(json_array_size(json_object_get(service, "pools")), 2);
    json_decref(root);
}

static void a_brief_status_counts_services_of_which_there_is_nothing_to_tell(void **state)
{
    json_t *root = ask_json(*state, "GET", "/api/v1/status?brief=1", 200);
    const json_t *services = json_object_get(root, "services");

    /* api: nothing is known of its endpoints; near and its views: all is well */
    assert_int_equal(json_array_size(services), 1);
    assert_string_equal(string(json_array_get(services, 0), "name"), "api.svc.example.com");
    assert_int_equal(json_integer_value(json_object_get(root, "services_left_out")), 1);
    json_decref(root);
    root = ask_json(*state, "GET", "/api/v1/status?brief=2", 200);
    assert_int_equal(json_array_size(json_object_get(root, "services")), 2);
    assert_int_equal(json_integer_value(json_object_get(root, "services_left_out")), 0);
    json_decref(root);
    assert_error(*state, "GET", "/api/v1/status?brief=few", 400, "bad_brief", "number");
}

static void what_is_said_by_hand_is_told_briefly_too(void **state)
{
    json_decref(send_json(*state, "POST", "/api/v1/overrides",
                          "{\"target\":\"tokyo/near\",\"state\":\"drain\","
                          "\"reason\":\"upkeep\",\"force\":true}",
                          200));
    json_t *root = ask_json(*state, "GET", "/api/v1/status?brief=0", 200);

    assert_int_equal(json_array_size(json_object_get(root, "services")), 2);
    json_decref(root);
}

static void a_service_is_found_in_any_letter_case(void **state)
{
    json_t *root = ask_json(*state, "GET", "/api/v1/services/API.svc.example.com.", 200);
    const json_t *pool = json_array_get(json_object_get(root, "pools"), 0);
    const json_t *endpoint = json_array_get(json_object_get(pool, "endpoints"), 0);

    assert_string_equal(string(root, "name"), "api.svc.example.com");
    assert_string_equal(string(endpoint, "address"), "203.0.113.10");
    assert_string_equal(string(endpoint, "state"), "unknown");
    assert_int_equal(json_array_size(json_object_get(endpoint, "checks")), 1);
    json_decref(root);
}

static void a_view_is_listed_within_its_service(void **state)
{
    json_t *root = ask_json(*state, "GET", "/api/v1/status", 200);
    const json_t *services = json_object_get(root, "services");
    const json_t *near = json_array_get(services, 1);
    const json_t *view = json_array_get(json_object_get(near, "views"), 0);

    assert_int_equal(json_array_size(services), 2);
    assert_string_equal(string(near, "name"), "near.svc.example.com");
    assert_string_equal(string(near, "steer"), "nearest");
    assert_true(json_is_null(json_object_get(near, "view")));
    assert_string_equal(string(view, "view"), "apps");
    assert_true(json_is_object(json_object_get(root, "probing")));
    assert_true(json_is_null(json_object_get(json_object_get(root, "guards"), "isolated")));
    json_decref(root);
}

static void what_is_unknown_suggests_the_nearest(void **state)
{
    assert_error(*state, "GET", "/api/v1/services/apo.svc.example.com", 404, "unknown_service",
                 "did you mean 'api.svc.example.com'?");
    assert_error(*state, "GET", "/api/v1/statsu", 404, "unknown_path",
                 "did you mean '/api/v1/status'?");
    assert_error(*state, "GET", "/%ff%0a", 404, "unknown_path", "nothing at");
}

static void methods_and_pages_to_come_are_told_apart(void **state)
{
    assert_error(*state, "GET", "/api/v1/reload", 405, "wrong_method", "use POST");
    assert_error(*state, "POST", "/api/v1/status", 405, "wrong_method", "use GET");
    assert_error(*state, "GET", "/metrics", 501, "not_available", "not available yet");
}

static void the_configuration_is_shown_as_it_is_in_effect(void **state)
{
    struct cli_http_reply reply = ask(*state, "GET", "/api/v1/config");

    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(text_string(&reply.body), "api.svc.example.com"));
    text_fini(&reply.body);
}

/* ---- reload ---- */

static void a_reload_is_waited_for(void **state)
{
    struct fixture *f = *state;

    f->reload_ends = true;
    f->reload_ok = true;
    json_t *root = ask_json(f, "POST", "/api/v1/reload", 200);
    assert_int_equal(json_integer_value(json_object_get(root, "generation")), 3);
    assert_string_equal(string(root, "report"), "generation 4");
    assert_string_equal(string(root, "config"), "/etc/leeward/leeward.yaml");
    assert_int_equal(json_integer_value(json_object_get(root, "services")), 2);
    json_decref(root);
}

static void a_reload_may_end_at_once(void **state)
{
    struct fixture *f = *state;

    f->control.reload_at_once = true;
    json_t *root = ask_json(f, "POST", "/api/v1/reload", 200);
    assert_string_equal(string(root, "report"), "nothing changed");
    json_decref(root);
}

static void a_refused_reload_carries_the_report(void **state)
{
    struct fixture *f = *state;

    f->reload_ends = true;
    f->reload_ok = false;
    assert_error(f, "POST", "/api/v1/reload", 409, "refused", "leeward.yaml:3:1: no such key");
}

static void closing_does_not_wait_for_a_reload(void **state)
{
    struct fixture *f = *state;
    struct call call = {
        .path = f->socket, .method = "POST", .target = "/api/v1/reload", .ended = &f->ended
    };
    pthread_t thread;

    f->call_ended = false;
    assert_int_equal(pthread_create(&thread, NULL, run_call, &call), 0);
    assert_int_equal(uv_timer_start(&f->patience, on_patience, PATIENCE_MS, 0), 0);
    while (f->control.done == NULL) {
        (void)uv_run(&f->loop, UV_RUN_ONCE);
    }
    close_api(f);
    turn_until_ended(f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    text_fini(&call.reply.body);
    assert_true(call.rc < 0);
    f->control.done(f->control.user, true, "too late");
}

/* ---- the socket ---- */

static int open_second(struct fixture *f, const char *path, struct error *err)
{
    struct api *second = NULL;
    int rc = api_open(&f->loop, &f->control, path, &second, err);

    if (rc == 0) {
        f->api_closed = false;
        api_close(second, on_api_closed, f);
        while (!f->api_closed) {
            (void)uv_run(&f->loop, UV_RUN_ONCE);
        }
        f->api_closed = false;
    }
    return rc;
}

static void a_live_socket_is_not_taken_over(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };

    assert_int_equal(open_second(f, f->socket, &err), -EADDRINUSE);
    assert_non_null(strstr(err.message, "another server listens there"));
    struct cli_http_reply reply = ask(f, "GET", "/healthz");
    assert_int_equal(reply.status, 200);
    text_fini(&reply.body);
}

static void a_dead_socket_is_replaced_and_another_file_is_not(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct stat file;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/dead.sock", f->scratch.dir);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(open_second(f, address.sun_path, &err), 0);
    assert_int_equal(stat(address.sun_path, &file), -1);
    assert_int_equal(open_second(f, scratch_write(&f->scratch, "plain", "precious"), &err),
                     -EADDRINUSE);
    assert_non_null(strstr(err.message, "no socket"));
    assert_int_equal(stat(f->scratch.path, &file), 0);
}

static void the_socket_is_for_owner_and_group_and_goes_with_the_server(void **state)
{
    struct fixture *f = *state;
    struct stat file;

    assert_int_equal(stat(f->socket, &file), 0);
    assert_int_equal(file.st_mode & 0777, 0660);
    close_api(f);
    assert_int_equal(stat(f->socket, &file), -1);
}

static void a_folder_that_is_missing_is_made(void **state)
{
    struct fixture *f = *state;
    struct error err = { 0 };
    char path[200];

    (void)snprintf(path, sizeof(path), "%s/run/api.sock", f->scratch.dir);
    assert_int_equal(open_second(f, path, &err), 0);
    (void)snprintf(path, sizeof(path), "%s/no/such/api.sock", f->scratch.dir);
    assert_int_equal(open_second(f, path, &err), -ENOENT);
    (void)memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    assert_int_equal(open_second(f, path, &err), -ENAMETOOLONG);
}

/* ---- without the HTTP library ---- */

static void assert_refused(struct fixture *f)
{
    assert_error(f, "GET", "/api/v1/status", 503, "no_http_server", "install libmicrohttpd");
}

/* What is loaded stays loaded, so these two come first. */
static void without_the_http_library_every_client_is_told_so(void **state)
{
    has_no_library = true;
    for (int i = 0; i < 20; i++) {
        assert_refused(*state);
    }
    has_no_library = false;
}

static void the_http_library_may_be_installed_later(void **state)
{
    struct fixture *f = *state;

    has_no_library = true;
    assert_refused(f);
    has_no_library = false;
    for (int i = 0; i < 2; i++) {
        struct cli_http_reply reply = ask(f, "GET", "/healthz");
        assert_int_equal(reply.status, 200);
        text_fini(&reply.body);
    }
}

static void what_never_had_a_client_closes(void **state)
{
    struct fixture *f = *state;
    struct stat file;

    close_api(f);
    assert_int_equal(stat(f->socket, &file), -1);
}

/* A client that says nothing, and one that says nonsense, hold nobody up. */
static void others_are_served_beside_a_silent_client(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int silent = socket(AF_UNIX, SOCK_STREAM, 0);
    int broken = socket(AF_UNIX, SOCK_STREAM, 0);

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", f->socket);
    assert_int_equal(connect(silent, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(connect(broken, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(write(silent, "GET /hea", 8), 8);
    assert_int_equal(write(broken, "\0\1\2\r\n\r\n", 7), 7);
    struct cli_http_reply reply = ask(f, "GET", "/healthz");
    assert_int_equal(reply.status, 200);
    text_fini(&reply.body);
    (void)close(silent);
    (void)close(broken);
}

int main(void)
{
#define API_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        API_TEST(without_the_http_library_every_client_is_told_so),
        API_TEST(the_http_library_may_be_installed_later),
        API_TEST(what_never_had_a_client_closes),
        API_TEST(it_says_that_it_is_alive),
        API_TEST(readiness_says_what_is_waited_for),
        API_TEST(status_holds_regions_services_and_counters),
        API_TEST(a_brief_status_counts_services_of_which_there_is_nothing_to_tell),
        API_TEST(what_is_said_by_hand_is_told_briefly_too),
        API_TEST(a_service_is_found_in_any_letter_case),
        API_TEST(what_is_unknown_suggests_the_nearest),
        API_TEST(methods_and_pages_to_come_are_told_apart),
        API_TEST(the_configuration_is_shown_as_it_is_in_effect),
        API_TEST(a_view_is_listed_within_its_service),
        API_TEST(a_reload_is_waited_for),
        API_TEST(a_reload_may_end_at_once),
        API_TEST(a_refused_reload_carries_the_report),
        API_TEST(closing_does_not_wait_for_a_reload),
        API_TEST(a_live_socket_is_not_taken_over),
        API_TEST(a_dead_socket_is_replaced_and_another_file_is_not),
        API_TEST(the_socket_is_for_owner_and_group_and_goes_with_the_server),
        API_TEST(a_folder_that_is_missing_is_made),
        API_TEST(others_are_served_beside_a_silent_client),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
