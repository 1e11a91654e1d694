#include "resolver/cli/cli_api.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_find.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_json.h"

/* The message of {"error": {"message": ...}}, or the body as it is. */
static void print_refusal(const struct cli_http_reply *reply)
{
    const char *body = text_string(&reply->body);
    json_t *root = json_loadb(body, reply->body.length, JSON_REJECT_DUPLICATES, NULL);
    const char *message =
        json_string_value(json_object_get(json_object_get(root, "error"), "message"));

    if (message != NULL) {
        (void)fprintf(stderr, "leeward: %s%s", message,
                      message[0] != '\0' && message[strlen(message) - 1] == '\n' ? "" : "\n");
    } else {
        (void)fprintf(stderr, "leeward: the server answered with status %u: %.500s\n",
                      reply->status, body);
    }
    json_decref(root);
}

int cli_api_call(const struct cli *cli, const char *method, const char *target, unsigned timeout_ms,
                 struct text *body)
{
    return cli_api_send(cli, method, target, NULL, timeout_ms, body);
}

int cli_api_send(const struct cli *cli, const char *method, const char *target,
                 const struct text *sent, unsigned timeout_ms, struct text *body)
{
    struct cli_http_reply reply = { 0 };
    struct text socket = { 0 };
    struct error err = { 0 };
    int code = CLI_DONE;

    if (!cli_find_socket(cli, &socket)) {
        (void)fputs("leeward: the configuration says api.socket: off\n", stderr);
        text_fini(&socket);
        return CLI_NO_SERVER;
    }
    if (cli_http(text_string(&socket), method, target, sent, timeout_ms, &reply, &err) < 0) {
        cli_print_error(&err);
        code = CLI_NO_SERVER;
    } else if (reply.status != 200) {
        print_refusal(&reply);
        code = CLI_NO;
    } else {
        text_put_bytes(body, text_string(&reply.body), reply.body.length);
    }
    text_fini(&socket);
    text_fini(&reply.body);
    return code;
}

int cli_api_show(const struct cli *cli, const struct text *body, bool json,
                 int (*put)(const struct cli *cli, const json_t *reply, struct text *out))
{
    struct text out = { 0 };
    json_t *reply = cli_json_read(body);

    if (reply == NULL) {
        return CLI_NO;
    }
    int found = put(cli, reply, &out);
    int written = cli_write(stdout, json ? body : &out);
    text_fini(&out);
    json_decref(reply);
    return written == CLI_DONE ? found : written;
}
