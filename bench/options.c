#include "bench/options.h"

#include "bench/die.h"

#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static const char usage[] =
    "usage: bench-load --server ADDRESS:PORT --names FILE [options]\n"
    "\n"
    "  --server A:P      the server, on loopback: 127.0.0.1:5300 or [::1]:5300\n"
    "  --names FILE      one `NAME TYPE [EXPECTED]` a line; EXPECTED is NOERROR (with\n"
    "                    records, the default), NODATA, NXDOMAIN, SERVFAIL or REFUSED\n"
    "  --seconds T       how long to ask (default 3)\n"
    "  --count N         stop after N queries, if that comes first\n"
    "  --window W        queries in flight (default 120)\n"
    "  --sockets S       spread over S sockets, source ports (default 8)\n"
    "  --rate R          R queries a second, in place of as many as are answered\n"
    "  --timeout MS      a query unanswered for so long is lost (default 200)\n"
    "  --seed N          another order of the questions (default 1)\n"
    "  --cpu N           run on core N only\n"
    "  --any-rcode       only id and question are compared (for a canned answer)\n"
    "  --fresh           each query's first label, of eight characters or more, begins\n"
    "                    with a number of its own, so that no cache knows the name\n"
    "  --hashed          the address in an answer must be the one that bench-upstream\n"
    "                    gives the name\n"
    "  --rd              ask for recursion\n";

static unsigned long number_parse(const char *option, const char *text, unsigned long min,
                                  unsigned long max)
{
    char *end = NULL;

    errno = 0;
    unsigned long value = strtoul(text, &end, 10);

    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || value < min || value > max) {
        die("--%s %s: expected a number from %lu to %lu", option, text, min, max);
    }
    return value;
}

static double seconds_parse(const char *text)
{
    char *end = NULL;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value > 0 && value <= 3600)) {
        die("--seconds %s: expected seconds up to 3600", text);
    }
    return value;
}

static void option_take(struct options *options, int option, const char *name, const char *value)
{
    switch (option) {
    case 's':
        options->server = value;
        break;
    case 'n':
        options->names = value;
        break;
    case 't':
        options->seconds = seconds_parse(value);
        break;
    case 'c':
        options->count = number_parse(name, value, 1, ULONG_MAX);
        break;
    case 'w':
        options->window = number_parse(name, value, 1, OPTIONS_WINDOW_MAX);
        break;
    case 'S':
        options->sockets = number_parse(name, value, 1, OPTIONS_SOCKETS_MAX);
        break;
    case 'r':
        options->rate = number_parse(name, value, 1, 10000000);
        break;
    case 'T':
        options->timeout_ms = number_parse(name, value, 1, 60000);
        break;
    case 'e':
        options->seed = number_parse(name, value, 0, ULONG_MAX);
        break;
    case 'p':
        options->cpu = (int)number_parse(name, value, 0, CPU_SETSIZE - 1);
        break;
    case 'a':
        options->any_rcode = true;
        break;
    case 'f':
        options->fresh = true;
        break;
    case 'H':
        options->hashed = true;
        break;
    case 'R':
        options->recursion_desired = true;
        break;
    case 'h':
        fputs(usage, stdout);
        exit(0);
    default:
        fputs(usage, stderr);
        exit(2);
    }
}

void options_parse(struct options *options, int argc, char **argv)
{
    static const struct option known[] = {
        { "server", required_argument, NULL, 's' },  { "names", required_argument, NULL, 'n' },
        { "seconds", required_argument, NULL, 't' }, { "count", required_argument, NULL, 'c' },
        { "window", required_argument, NULL, 'w' },  { "sockets", required_argument, NULL, 'S' },
        { "rate", required_argument, NULL, 'r' },    { "timeout", required_argument, NULL, 'T' },
        { "seed", required_argument, NULL, 'e' },    { "cpu", required_argument, NULL, 'p' },
        { "any-rcode", no_argument, NULL, 'a' },     { "rd", no_argument, NULL, 'R' },
        { "fresh", no_argument, NULL, 'f' },         { "hashed", no_argument, NULL, 'H' },
        { "help", no_argument, NULL, 'h' },          { NULL, 0, NULL, 0 },
    };
    int index = 0;
    int option;

    *options = (struct options){
        .window = 120, .sockets = 8, .timeout_ms = 200, .seconds = 3, .seed = 1, .cpu = -1
    };
    while ((option = getopt_long(argc, argv, "h", known, &index)) != -1) {
        option_take(options, option, known[index].name, optarg);
    }
    if (optind != argc || options->server == NULL || options->names == NULL) {
        fputs(usage, stderr);
        exit(2);
    }
    if (options->window < options->sockets) {
        die("--window %lu: fewer than the %lu sockets", options->window, options->sockets);
    }
}
