#include "resolver/cli/cli_status.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "resolver/cli/cli.h"
#include "resolver/cli/cli_api.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/cli_json.h"
#include "resolver/cli/cli_status_text.h"

#define REFRESH_MS 1000

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
    (void)signal;
    interrupted = 1;
}

/* A new size of the terminal only has to end the wait. */
static void on_resize(int signal)
{
    (void)signal;
}

/* People are shown but some of many services; the rest is not asked for. */
static int fetch(const struct cli *cli, bool json, struct text *body)
{
    char brief[64];
    bool all = json || cli->verbose;

    (void)snprintf(brief, sizeof(brief), "/api/v1/status?brief=%u", CLI_STATUS_SERVICES);
    return cli_api_call(cli, "GET", all ? "/api/v1/status" : brief, CLI_HTTP_TIMEOUT_MS, body);
}

/* The text for people; CLI_NO when the body cannot be read. */
static int render(const struct cli *cli, const struct text *body, struct text *out)
{
    struct cli_status_view view = {
        .colored = cli_is_colored(cli, stdout),
        .all = cli->verbose,
        .width = cli_width(stdout),
    };
    json_t *status = cli_json_read(body);

    if (status == NULL) {
        return CLI_NO;
    }
    cli_status_text_put(status, &view, out);
    json_decref(status);
    return CLI_DONE;
}

static int show_once(const struct cli *cli, bool json)
{
    struct text body = { 0 };
    struct text out = { 0 };
    int code = fetch(cli, json, &body);

    if (code == CLI_DONE && json) {
        code = cli_write(stdout, &body);
    } else if (code == CLI_DONE) {
        code = render(cli, &body, &out);
        if (code == CLI_DONE) {
            code = cli_write(stdout, &out);
        }
    }
    text_fini(&body);
    text_fini(&out);
    return code;
}

/* ---- watching ---- */

static unsigned terminal_rows(void)
{
    struct winsize size;
    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

/* Write over what stands there: home, each line to its end, the rest cleared. */
static void repaint(const struct text *text)
{
    unsigned rows = terminal_rows();
    const char *line = text_string(text);

    (void)fputs("\033[H", stdout);
    for (unsigned row = 1; *line != '\0' && (rows == 0 || row < rows); row++) {
        size_t length = strcspn(line, "\n");
        (void)fwrite(line, 1, length, stdout);
        (void)fputs("\033[K\n", stdout);
        line += length + (line[length] == '\n');
    }
    (void)fputs("\033[J", stdout);
    (void)fflush(stdout);
}

static void watch_signals(void)
{
    struct sigaction interrupt = { .sa_handler = on_interrupt };
    struct sigaction resize = { .sa_handler = on_resize };

    (void)sigaction(SIGINT, &interrupt, NULL);
    (void)sigaction(SIGTERM, &interrupt, NULL);
    (void)sigaction(SIGWINCH, &resize, NULL);
}

/* One picture; a server that is gone is part of what is watched. */
static void show_again(const struct cli *cli, bool json, bool terminal)
{
    struct text body = { 0 };
    struct text out = { 0 };
    int code = fetch(cli, json, &body);

    if (code == CLI_DONE && json) {
        text_put(&out, text_string(&body));
    } else if (code == CLI_DONE) {
        (void)render(cli, &body, &out);
    }
    if (terminal && !json) {
        if (code != CLI_DONE) {
            text_put(&out, "no answer from the server; trying again every second\n");
        }
        repaint(&out);
    } else {
        text_put(&out, json ? "" : "\n");
        (void)cli_write(stdout, &out);
    }
    text_fini(&body);
    text_fini(&out);
}

/* Until Ctrl-C, or until nobody reads any more. */
static int watch(const struct cli *cli, bool json)
{
    bool terminal = isatty(STDOUT_FILENO) == 1;

    watch_signals();
    if (terminal && !json) {
        (void)fputs("\033[?1049h\033[?25l", stdout); /* alternate screen, no cursor */
    }
    while (!interrupted && !ferror(stdout)) {
        show_again(cli, json, terminal);
        (void)poll(NULL, 0, REFRESH_MS);
    }
    if (terminal && !json) {
        (void)fputs("\033[?25h\033[?1049l", stdout);
        (void)fflush(stdout);
    }
    return CLI_DONE;
}

int cli_status_run(struct cli *cli, int argc, char **argv)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { "watch", no_argument, NULL, 'w' },
        { NULL, 0, NULL, 0 },
    };
    bool json = false;
    bool watches = false;
    int option;

    while ((option = cli_option(cli, argc, argv, "jw", longs)) >= 0) {
        json = json || option == 'j';
        watches = watches || option == 'w';
    }
    if (option == CLI_OPTION_EXIT) {
        return cli->exit_code;
    }
    if (!cli_arguments(cli, argc, 0, 0)) {
        return CLI_USAGE;
    }
    return watches ? watch(cli, json) : show_once(cli, json);
}
