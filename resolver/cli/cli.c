#include "resolver/cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define OPTIONS_MAX  32
#define COMMANDS_MAX 64

/* Codes above every letter, below those of subcommands (which begin at 512). */
enum {
    OPTION_SOCKET = 256,
    OPTION_COLOR,
    OPTION_VERSION,
};

static const char common_shorts[] = "c:qvh";
static const struct option common_longs[] = {
    { "config", required_argument, NULL, 'c' },
    { "socket", required_argument, NULL, OPTION_SOCKET },
    { "color", required_argument, NULL, OPTION_COLOR },
    { "quiet", no_argument, NULL, 'q' },
    { "verbose", no_argument, NULL, 'v' },
    { "help", no_argument, NULL, 'h' },
    { "version", no_argument, NULL, OPTION_VERSION },
};
#define COMMON_COUNT (sizeof(common_longs) / sizeof(common_longs[0]))

static const char common_help[] =
    "  -c, --config FILE    the configuration (./leeward.yaml, /etc/leeward/leeward.yaml)\n"
    "      --socket PATH    where the server listens (api.socket of the configuration)\n"
    "      --color WHEN     auto, always or never\n"
    "  -q, --quiet          less text\n"
    "  -v, --verbose        more text\n"
    "  -h, --help           this text\n";

/* ---- help ---- */

static void print_help(const struct cli *cli, FILE *stream)
{
    (void)fputs("leeward: a DNS server that answers with the healthiest region\n\n"
                "usage: leeward [OPTION...] COMMAND [ARGUMENT...]\n\n",
                stream);
    for (const struct cli_command *c = cli->commands; c->name != NULL; c++) {
        if (c->run != NULL) {
            (void)fprintf(stream, "  %-10s %s\n", c->name, c->summary);
        }
    }
    (void)fprintf(stream, "\n%s\nleeward help COMMAND tells more about one of them.\n",
                  common_help);
}

static void print_command_help(const struct cli_command *command, FILE *stream)
{
    (void)fprintf(stream, "usage: leeward %s\n\n%s\n", command->usage, command->help);
    (void)fputs(common_help, stream);
}

static const struct cli_command *find_command(const struct cli *cli, const char *name)
{
    for (const struct cli_command *c = cli->commands; c->name != NULL; c++) {
        if (strcmp(c->name, name) == 0) {
            return c;
        }
    }
    return NULL;
}

static int unknown_command(const struct cli *cli, const char *name)
{
    const char *names[COMMANDS_MAX];
    size_t count = 0;

    for (const struct cli_command *c = cli->commands; c->name != NULL && count < COMMANDS_MAX;
         c++) {
        names[count++] = c->name;
    }
    const char *near = text_nearest(name, names, count);
    (void)fprintf(stderr, "leeward: no command named '%s'%s%s%s\n", name,
                  near != NULL ? "; did you mean '" : "", near != NULL ? near : "",
                  near != NULL ? "'?" : "");
    (void)fputs("leeward --help lists the commands\n", stderr);
    return CLI_USAGE;
}

/* `leeward help [COMMAND]` */
static int run_help(const struct cli *cli, int argc, char **argv)
{
    if (argc < 2) {
        print_help(cli, stdout);
        return CLI_DONE;
    }
    const struct cli_command *command = find_command(cli, argv[1]);
    if (command == NULL) {
        return unknown_command(cli, argv[1]);
    }
    if (command->run == NULL) {
        (void)fprintf(stderr, "leeward: '%s' is not available yet\n", command->name);
        return CLI_USAGE;
    }
    print_command_help(command, stdout);
    return CLI_DONE;
}

int cli_wrong_usage(const struct cli *cli, const char *format, ...)
{
    va_list args;

    (void)fputs("leeward: ", stderr);
    if (cli->command != NULL) {
        (void)fprintf(stderr, "%s: ", cli->command->name);
    }
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    if (cli->command != NULL) {
        (void)fprintf(stderr, "\nleeward %s --help tells more\n", cli->command->name);
    } else {
        (void)fputs("\nleeward --help tells more\n", stderr);
    }
    return CLI_USAGE;
}

/* ---- options ---- */

static bool take_color(struct cli *cli, const char *word)
{
    static const char *const words[] = {
        [CLI_AUTO] = "auto",
        [CLI_ALWAYS] = "always",
        [CLI_NEVER] = "never",
    };

    for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (strcmp(word, words[i]) == 0) {
            cli->color = (enum cli_when)i;
            return true;
        }
    }
    cli->exit_code = cli_wrong_usage(cli, "--color is auto, always or never, not '%s'", word);
    return false;
}

/* The common options, then the command's own. */
static void merge(const char *shorts, const struct option *longs, char *all_shorts,
                  size_t shorts_cap, struct option all_longs[OPTIONS_MAX])
{
    size_t count = COMMON_COUNT;

    memcpy(all_longs, common_longs, sizeof(common_longs));
    for (; longs != NULL && longs->name != NULL; longs++) {
        REQUIRE(count + 1 < OPTIONS_MAX);
        all_longs[count++] = *longs;
    }
    memset(&all_longs[count], 0, sizeof(all_longs[count]));
    /* ":" tells a missing argument from an unknown option */
    (void)snprintf(all_shorts, shorts_cap, "%s:%s%s", shorts[0] == '+' ? "+" : "",
                   shorts + (shorts[0] == '+'), common_shorts);
}

static const char *long_name(const struct option *longs, int code)
{
    for (; longs->name != NULL; longs++) {
        if (longs->val == code) {
            return longs->name;
        }
    }
    return "?";
}

static void complain_unknown(struct cli *cli, const char *word, const struct option *longs)
{
    const char *names[OPTIONS_MAX];
    size_t count = 0;
    char bare[64];

    for (; longs->name != NULL; longs++) {
        names[count++] = longs->name;
    }
    (void)snprintf(bare, sizeof(bare), "%s", word + strspn(word, "-"));
    bare[strcspn(bare, "=")] = '\0';
    const char *near = text_nearest(bare, names, count);
    if (near != NULL) {
        cli->exit_code = cli_wrong_usage(cli, "no option '%s'; did you mean '--%s'?", word, near);
    } else {
        cli->exit_code = cli_wrong_usage(cli, "no option '%s'", word);
    }
}

/* getopt_long said ':' or '?'. */
static void complain(struct cli *cli, int said, char **argv, const struct option *longs)
{
    if (said == ':' && optopt >= 256) {
        cli->exit_code = cli_wrong_usage(cli, "--%s needs an argument", long_name(longs, optopt));
    } else if (said == ':') {
        cli->exit_code = cli_wrong_usage(cli, "-%c needs an argument", optopt);
    } else if (optopt != 0 && strncmp(argv[optind - 1], "--", 2) == 0) {
        cli->exit_code = cli_wrong_usage(cli, "--%s takes no argument", long_name(longs, optopt));
    } else if (optopt != 0) {
        cli->exit_code = cli_wrong_usage(cli, "no option '-%c'", optopt);
    } else {
        complain_unknown(cli, argv[optind - 1], longs);
    }
}

/* True when it was a common option; `*done` tells whether to leave. */
static bool take_common(struct cli *cli, int option, bool *done)
{
    switch (option) {
    case 'c':
        cli->config_path = optarg;
        return true;
    case 'q':
        cli->quiet = true;
        return true;
    case 'v':
        cli->verbose = true;
        return true;
    case 'h':
        cli->help = true;
        return true;
    case OPTION_SOCKET:
        cli->socket_path = optarg;
        return true;
    case OPTION_COLOR:
        *done = !take_color(cli, optarg);
        return true;
    case OPTION_VERSION:
        (void)printf("leeward %s\n", LEEWARD_VERSION);
        cli->exit_code = CLI_DONE;
        *done = true;
        return true;
    default:
        return false;
    }
}

int cli_option(struct cli *cli, int argc, char **argv, const char *shorts,
               const struct option *longs)
{
    struct option all_longs[OPTIONS_MAX];
    char all_shorts[64];
    bool done = false;

    merge(shorts, longs, all_shorts, sizeof(all_shorts), all_longs);
    opterr = 0;
    for (;;) {
        int option = getopt_long(argc, argv, all_shorts, all_longs, NULL);
        if (option == -1) {
            break;
        }
        if (option == ':' || option == '?') {
            complain(cli, option, argv, all_longs);
            return CLI_OPTION_EXIT;
        }
        if (!take_common(cli, option, &done)) {
            return option;
        }
        if (done) {
            return CLI_OPTION_EXIT;
        }
    }
    if (cli->help && cli->command != NULL) {
        print_command_help(cli->command, stdout);
        cli->exit_code = CLI_DONE;
        return CLI_OPTION_EXIT;
    }
    return CLI_OPTION_END;
}

bool cli_arguments(const struct cli *cli, int argc, int least, int most)
{
    int count = argc - optind;

    if (count < least) {
        (void)cli_wrong_usage(cli, "an argument is missing: leeward %s", cli->command->usage);
        return false;
    }
    if (count > most) {
        (void)cli_wrong_usage(cli, "too many arguments: leeward %s", cli->command->usage);
        return false;
    }
    return true;
}

bool cli_json_option(struct cli *cli, int argc, char **argv, int least, int most, bool *out_json)
{
    static const struct option longs[] = {
        { "json", no_argument, NULL, 'j' },
        { NULL, 0, NULL, 0 },
    };
    bool json = false;
    int option;

    while ((option = cli_option(cli, argc, argv, "j", longs)) >= 0) {
        json = true;
    }
    if (option == CLI_OPTION_EXIT) {
        return false;
    }
    if (!cli_arguments(cli, argc, least, most)) {
        cli->exit_code = CLI_USAGE;
        return false;
    }
    *out_json = json;
    return true;
}

/* ---- dispatch ---- */

static int run_command(struct cli *cli, int argc, char **argv)
{
    if (strcmp(argv[0], "help") == 0) {
        return run_help(cli, argc, argv);
    }
    cli->command = find_command(cli, argv[0]);
    if (cli->command == NULL) {
        return unknown_command(cli, argv[0]);
    }
    if (cli->command->run == NULL) {
        (void)fprintf(stderr, "leeward: '%s' is not available yet\n", argv[0]);
        return CLI_USAGE;
    }
    optind = 0; /* begin anew: GNU getopt keeps state of its own */
    return cli->command->run(cli, argc, argv);
}

int cli_main(const struct cli_command *commands, int argc, char **argv)
{
    struct cli cli = { .commands = commands };

    /* "+": stop at the subcommand */
    if (cli_option(&cli, argc, argv, "+", NULL) == CLI_OPTION_EXIT) {
        return cli.exit_code;
    }
    if (optind < argc) {
        return run_command(&cli, argc - optind, argv + optind);
    }
    print_help(&cli, cli.help ? stdout : stderr);
    return cli.help ? CLI_DONE : CLI_USAGE;
}

/* ---- output ---- */

void cli_print_error(const struct error *err)
{
    char line[1024];

    (void)error_format(err, line, sizeof(line));
    (void)fprintf(stderr, "leeward: %s\n", line);
    if (err->hint[0] != '\0') {
        (void)fprintf(stderr, "   hint: %s\n", err->hint);
    }
}

bool cli_is_colored(const struct cli *cli, FILE *stream)
{
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");

    if (cli->color != CLI_AUTO) {
        return cli->color == CLI_ALWAYS;
    }
    return isatty(fileno(stream)) == 1 && (no_color == NULL || no_color[0] == '\0') &&
           (term == NULL || strcmp(term, "dumb") != 0);
}

unsigned cli_width(FILE *stream)
{
    struct winsize size;

    if (isatty(fileno(stream)) != 1 || ioctl(fileno(stream), TIOCGWINSZ, &size) < 0) {
        return 0;
    }
    return size.ws_col;
}

int cli_write(FILE *stream, const struct text *text)
{
    if (text_failed(text)) {
        (void)fputs("leeward: out of memory\n", stderr);
        return CLI_NO;
    }
    (void)fputs(text_string(text), stream);
    return fflush(stream) == 0 ? CLI_DONE : CLI_NO;
}
