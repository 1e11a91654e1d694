/*
 * leeward-region - a simulated region for tests and the demo
 *
 * A small DNS resolver, an HTTP and a TCP endpoint on one address, whose
 * faults are switched at run time. README.md beside this file lists the
 * commands.
 */
#include "sim_net.h"
#include "sim_region.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#define EXIT_USAGE 2

static const char usage[] =
    "usage: leeward-region --name NAME --address ADDRESS [OPTION]...\n"
    "       leeward-region control PATH COMMAND...\n"
    "\n"
    "  --dns-port N, --http-port N, --tcp-port N   default 0: a free one\n"
    "  --tls-dir FOLDER           serve DNS over TLS; writes ca.pem and pin there\n"
    "  --tls-port N               default 0: a free one\n"
    "  --tls-name NAME            in the certificates, default dns.leeward.test\n"
    "  --control PATH             Unix socket that takes commands\n"
    "  --record NAME TYPE DATA    A, AAAA, CNAME, NS, TXT or MX; may be repeated\n"
    "  --index N                  second byte of the addresses answered, 0 to 255\n"
    "  --ttl DURATION             of all records, default 60s\n"
    "  --delay DURATION           before every answer, default 0ms\n"
    "  --seed N                   of random choices, default 1\n"
    "  --with-parent              end when the parent ends\n"
    "  --log                      write what arrives to stderr\n";

struct options {
    struct sockaddr_storage address;
    const char *address_text;
    const char *control;
    uint16_t ports[SIM_TARGETS];
    bool with_parent;
};

enum option_code {
    OPT_NAME = 256,
    OPT_ADDRESS,
    OPT_DNS_PORT,
    OPT_HTTP_PORT,
    OPT_TCP_PORT,
    OPT_TLS_DIR,
    OPT_TLS_PORT,
    OPT_TLS_NAME,
    OPT_CONTROL,
    OPT_RECORD,
    OPT_INDEX,
    OPT_TTL,
    OPT_DELAY,
    OPT_SEED,
    OPT_WITH_PARENT,
    OPT_LOG,
    OPT_HELP,
};

static const struct option names[] = {
    { "name", required_argument, NULL, OPT_NAME },
    { "address", required_argument, NULL, OPT_ADDRESS },
    { "dns-port", required_argument, NULL, OPT_DNS_PORT },
    { "http-port", required_argument, NULL, OPT_HTTP_PORT },
    { "tcp-port", required_argument, NULL, OPT_TCP_PORT },
    { "tls-dir", required_argument, NULL, OPT_TLS_DIR },
    { "tls-port", required_argument, NULL, OPT_TLS_PORT },
    { "tls-name", required_argument, NULL, OPT_TLS_NAME },
    { "control", required_argument, NULL, OPT_CONTROL },
    { "record", required_argument, NULL, OPT_RECORD },
    { "index", required_argument, NULL, OPT_INDEX },
    { "ttl", required_argument, NULL, OPT_TTL },
    { "delay", required_argument, NULL, OPT_DELAY },
    { "seed", required_argument, NULL, OPT_SEED },
    { "with-parent", no_argument, NULL, OPT_WITH_PARENT },
    { "log", no_argument, NULL, OPT_LOG },
    { "help", no_argument, NULL, OPT_HELP },
    { NULL, 0, NULL, 0 },
};

static bool parse_name(const char *text, struct sim_region *region)
{
    size_t length = strlen(text);
    region->name = text;
    region->data.region = text;
    return length > 0 && length < 64 &&
           strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") ==
               length;
}

/* Goes into the certificates as it is, so that nothing else can be slipped in. */
static bool parse_tls_name(const char *text, struct sim_region *region)
{
    struct sim_dname name;
    region->tls_name = text;
    return strpbrk(text, ",:/ \n") == NULL && sim_wire_parse_dname(text, &name);
}

static bool parse_port(const char *text, uint16_t *out_port)
{
    uint32_t number;
    if (!sim_fault_parse_number(text, 65535, &number)) {
        return false;
    }
    *out_port = (uint16_t)number;
    return true;
}

static bool parse_index(const char *text, uint8_t *out_index)
{
    uint32_t number;
    if (!sim_fault_parse_number(text, 255, &number)) {
        return false;
    }
    *out_index = (uint8_t)number;
    return true;
}

/* A TTL without a unit is in seconds, unlike the delays. */
static bool parse_ttl(const char *text, uint32_t *out_ttl_s)
{
    uint32_t ms;
    if (sim_fault_parse_number(text, 0x7fffffff, out_ttl_s)) {
        return true;
    }
    if (!sim_fault_parse_ms(text, &ms) || ms % 1000 != 0) {
        return false;
    }
    *out_ttl_s = ms / 1000;
    return true;
}

static bool parse_seed(const char *text, uint64_t *out_seed)
{
    uint32_t number;
    if (!sim_fault_parse_number(text, UINT32_MAX, &number)) {
        return false;
    }
    *out_seed = number;
    return true;
}

static bool parse_address(const char *text, struct options *options)
{
    options->address_text = text;
    return sim_net_parse(text, &options->address);
}

/* The option's own argument is NAME; TYPE and DATA are the two words behind it. */
static bool parse_record(int argc, char **argv, struct sim_region *region)
{
    const char *name = optarg;
    if (argc - optind < 2) {
        (void)fprintf(stderr, "leeward-region: --record needs NAME TYPE DATA\n");
        return false;
    }
    const char *wrong = sim_data_record(&region->data, name, NULL, argv[optind], argv[optind + 1]);
    optind += 2;
    if (wrong != NULL) {
        (void)fprintf(stderr, "leeward-region: --record %s: %s\n", name, wrong);
    }
    return wrong == NULL;
}

/* Take one option with an argument; false when the argument is no good. */
static bool take_value(int option, const char *value, struct options *options,
                       struct sim_region *region)
{
    switch (option) {
    case OPT_NAME:
        return parse_name(value, region);
    case OPT_ADDRESS:
        return parse_address(value, options);
    case OPT_DNS_PORT:
        return parse_port(value, &options->ports[SIM_DNS]);
    case OPT_HTTP_PORT:
        return parse_port(value, &options->ports[SIM_HTTP]);
    case OPT_TCP_PORT:
        return parse_port(value, &options->ports[SIM_TCP]);
    case OPT_TLS_DIR:
        region->tls_folder = value;
        return *value != '\0';
    case OPT_TLS_PORT:
        return parse_port(value, &region->tls_port);
    case OPT_TLS_NAME:
        return parse_tls_name(value, region);
    case OPT_CONTROL:
        options->control = value;
        return *value != '\0';
    case OPT_INDEX:
        return parse_index(value, &region->data.index);
    case OPT_TTL:
        return parse_ttl(value, &region->data.ttl_s);
    case OPT_DELAY:
        return sim_fault_parse_ms(value, &region->delay_ms);
    default:
        return parse_seed(value, &region->seed);
    }
}

static int wrong_usage(const char *text)
{
    (void)fprintf(stderr, "leeward-region: %s\n%s", text, usage);
    return EXIT_USAGE;
}

/* Returns 0, or the exit code of a process that has nothing more to do. */
static int parse_options(int argc, char **argv, struct options *options, struct sim_region *region)
{
    int option;
    int index = 0;
    while ((option = getopt_long(argc, argv, "+", names, &index)) != -1) {
        if (option == OPT_RECORD) {
            if (!parse_record(argc, argv, region)) {
                return EXIT_USAGE;
            }
        } else if (option == OPT_WITH_PARENT) {
            options->with_parent = true;
        } else if (option == OPT_LOG) {
            region->log = true;
        } else if (option < OPT_NAME || option == OPT_HELP) {
            (void)fputs(usage, stderr);
            return EXIT_USAGE;
        } else if (!take_value(option, optarg, options, region)) {
            (void)fprintf(stderr, "leeward-region: --%s does not take \"%s\"\n", names[index].name,
                          optarg);
            return EXIT_USAGE;
        }
    }
    if (optind < argc) {
        return wrong_usage("there are words that belong to no option");
    }
    if (region->name == NULL || options->address_text == NULL) {
        return wrong_usage("--name and --address are needed");
    }
    return 0;
}

/*
 * The kernel signals the end of the thread that forked us, if it is still
 * there; when it had gone before, we have another parent by now.
 */
static bool bind_to_parent(void)
{
    pid_t parent = getppid();
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent;
}

static void say_ready(const struct sim_region *region, const struct options *options)
{
    char tls[16] = "";
    if (region->dns.has_tls) {
        (void)snprintf(tls, sizeof tls, " tls=%u", sim_net_port(&region->dns.tls.address));
    }
    (void)printf("ready name=%s address=%s dns=%u http=%u tcp=%u control=%s pid=%ld%s\n",
                 region->name, options->address_text, sim_net_port(&region->dns.address),
                 sim_net_port(&region->http.address), sim_net_port(&region->tcp.address),
                 options->control != NULL ? options->control : "-", (long)getpid(), tls);
    (void)fflush(stdout);
}

static int serve(struct sim_region *region, const struct options *options)
{
    uv_loop_t *loop = uv_default_loop();
    const char *part = "";
    int rc =
        sim_region_start(region, loop, &options->address, options->ports, options->control, &part);
    if (rc != 0) {
        (void)fprintf(stderr, "leeward-region: %s: %s: %s\n", region->name, part, uv_strerror(rc));
        return EXIT_FAILURE;
    }
    say_ready(region, options);
    uv_run(loop, UV_RUN_DEFAULT);
    uv_loop_close(loop);
    return EXIT_SUCCESS;
}

static int run(int argc, char **argv)
{
    /* Holds a packet buffer: too large for some stacks. */
    struct sim_region *region = calloc(1, sizeof *region);
    struct options options = { 0 };
    if (region == NULL) {
        return EXIT_FAILURE;
    }
    region->data.ttl_s = 60;
    region->seed = 1;
    region->tls_name = "dns.leeward.test";
    int rc = parse_options(argc, argv, &options, region);
    if (rc == 0 && options.with_parent && !bind_to_parent()) {
        rc = EXIT_FAILURE;
    }
    if (rc == 0) {
        rc = serve(region, &options);
    }
    sim_data_fini(&region->data);
    sim_stats_reset(&region->stats);
    sim_certs_fini(&region->dns.tls.certs);
    free(region);
    return rc;
}

/* Join the words of a command with blanks; false when they do not fit. */
static bool join(int count, char **words, char *line, size_t size)
{
    size_t used = 0;
    line[0] = '\0';
    for (int i = 0; i < count; i++) {
        int wrote = snprintf(line + used, size - used, "%s%s", i > 0 ? " " : "", words[i]);
        if (wrote < 0 || (size_t)wrote >= size - used) {
            return false;
        }
        used += (size_t)wrote;
    }
    return strchr(line, '\n') == NULL;
}

static int control(int argc, char **argv)
{
    char line[SIM_CONTROL_LINE];
    char reply[SIM_CONTROL_LINE];
    if (argc < 2 || !join(argc - 1, argv + 1, line, sizeof line)) {
        return wrong_usage("control needs PATH and one command");
    }
    int rc = sim_control_call(argv[0], line, reply, sizeof reply);
    if (rc != 0) {
        (void)fprintf(stderr, "leeward-region: %s: %s\n", argv[0], uv_strerror(rc));
        return EXIT_USAGE;
    }
    bool is_error = strncmp(reply, "error", 5) == 0;
    (void)fprintf(is_error ? stderr : stdout, "%s\n", reply);
    return is_error ? EXIT_FAILURE : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    if (argc > 1 && strcmp(argv[1], "control") == 0) {
        return control(argc - 2, argv + 2);
    }
    return run(argc, argv);
}
