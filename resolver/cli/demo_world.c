#include "resolver/cli/demo_world.h"

#include <errno.h>
#include <ftw.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "resolver/cli/cli_http.h"
#include "resolver/cli/demo_process.h"

#define REGION_PROGRAM   "leeward-region"
#define READY_TIMEOUT_MS 20000u
#define LISTEN_ADDRESS   "127.77.0.1"
#define START_TRIES      3   /* a free port may be taken before the server has it */
#define FOLDER_MAX       40u /* of TMPDIR; socket paths have little room */

static const struct demo_world_region plan[DEMO_WORLD_REGIONS] = {
    { .name = "seoul", .title = "Seoul", .address = "127.77.1.1" },
    { .name = "tokyo", .title = "Tokyo", .address = "127.77.2.1" },
    { .name = "singapore", .title = "Singapore", .address = "127.77.3.1" },
};

/* ---- the folder ---- */

static int make_folder(struct demo_world *world, struct error *err)
{
    const char *base = getenv("TMPDIR");

    if (base == NULL || base[0] != '/' || strlen(base) > FOLDER_MAX) {
        base = "/tmp";
    }
    (void)snprintf(world->folder, sizeof(world->folder), "%s/leeward-demo-XXXXXX", base);
    if (mkdtemp(world->folder) == NULL) {
        int code = -errno;
        (void)error_set(err, code, "%s: %s", world->folder, strerror(-code));
        world->folder[0] = '\0';
        return code;
    }
    (void)snprintf(world->socket_path, sizeof(world->socket_path), "%s/leeward.sock",
                   world->folder);
    (void)snprintf(world->config_path, sizeof(world->config_path), "%s/leeward.yaml",
                   world->folder);
    (void)snprintf(world->log_path, sizeof(world->log_path), "%s/log", world->folder);
    for (unsigned i = 0; i < DEMO_WORLD_REGIONS; i++) {
        (void)snprintf(world->regions[i].control, sizeof(world->regions[i].control), "%s/%s.sock",
                       world->folder, world->regions[i].name);
    }
    return 0;
}

static int remove_entry(const char *path, const struct stat *file, int kind, struct FTW *walk)
{
    (void)file;
    (void)kind;
    (void)walk;
    (void)remove(path);
    return 0;
}

/* ---- the regions ---- */

/* By its path rather than by /proc, so that lists of processes show its name. */
void demo_world_server_program(struct text *out)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    self[length > 0 ? length : 0] = '\0';
    text_put(out, access(self, X_OK) == 0 ? self : "/proc/self/exe");
}

void demo_world_region_program(struct text *out)
{
    char self[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    if (length > 0) {
        self[length] = '\0';
        text_printf(out, "%s/" REGION_PROGRAM, dirname(self));
        if (access(text_string(out), X_OK) == 0) {
            return;
        }
        text_fini(out);
    }
    text_put(out, REGION_PROGRAM);
}

/* Is a program of this name in one of PATH's folders? */
static bool is_in_path(const char *name)
{
    const char *at = getenv("PATH");
    char path[PATH_MAX];

    while (at != NULL && *at != '\0') {
        int length = (int)strcspn(at, ":");
        (void)snprintf(path, sizeof(path), "%.*s/%s", length, at, name);
        if (access(path, X_OK) == 0) {
            return true;
        }
        at += length + (at[length] == ':');
    }
    return false;
}

/* Without leeward-region there is nothing to play: say where it was looked for. */
static int find_region_program(struct error *err)
{
    char self[PATH_MAX];
    struct text program = { 0 };
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

    demo_world_region_program(&program);
    bool found = strchr(text_string(&program), '/') != NULL || is_in_path(REGION_PROGRAM);
    text_fini(&program);
    if (found) {
        return 0;
    }
    self[length > 0 ? length : 0] = '\0';
    (void)error_set(err, -ENOENT,
                    "the simulated regions need the program " REGION_PROGRAM
                    ", which is neither %.120s/" REGION_PROGRAM " nor in PATH (%.150s)",
                    dirname(self), getenv("PATH") != NULL ? getenv("PATH") : "");
    error_hint(err, "it is built with this program: copy it from the build folder to beside "
                    "this program");
    return -ENOENT;
}

static uint16_t read_port(const char *line, const char *key)
{
    const char *at = strstr(line, key);
    unsigned long port = at != NULL ? strtoul(at + strlen(key), NULL, 10) : 0;
    return port <= UINT16_MAX ? (uint16_t)port : 0;
}

static int start_region(struct demo_world *world, unsigned number, struct error *err)
{
    struct demo_world_region *region = &world->regions[number];
    struct text program = { 0 };
    char index[16];
    char line[512] = "";
    int fd = -1;
    char *argv[] = { REGION_PROGRAM,
                     "--name",
                     (char *)region->name,
                     "--index",
                     index,
                     "--address",
                     (char *)region->address,
                     "--control",
                     region->control,
                     "--with-parent",
                     NULL };

    (void)snprintf(index, sizeof(index), "%u", number + 1);
    demo_world_region_program(&program);
    region->pid = demo_process_start(text_string(&program), argv, world->log_path, &fd, err);
    if (region->pid < 0) {
        int code = (int)region->pid;
        region->pid = 0;
        text_fini(&program);
        return code;
    }
    int rc = demo_process_read_line(fd, READY_TIMEOUT_MS, line, sizeof(line));
    (void)close(fd);
    region->dns_port = read_port(line, " dns=");
    region->http_port = read_port(line, " http=");
    if (rc < 0 || region->dns_port == 0 || region->http_port == 0) {
        rc = error_set(err, -ECHILD, "%s does not start for region %s", text_string(&program),
                       region->name);
        error_hint(err, "what it said stands above");
    }
    text_fini(&program);
    return rc;
}

int demo_world_command(const struct demo_world *world, unsigned region, const char *command,
                       struct error *err)
{
    const char *path = world->regions[region].control;
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct timeval timeout = { .tv_sec = 5 };
    char reply[256] = "";
    char line[128];

    memcpy(address.sun_path, path, strlen(path) + 1);
    int length = snprintf(line, sizeof(line), "%s\n", command);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return error_set(err, -errno, "%s: %s", path, strerror(errno));
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    int rc = 0;
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        send(fd, line, (size_t)length, MSG_NOSIGNAL) != length) {
        rc = error_set(err, -errno, "%s: %s", path, strerror(errno));
    } else {
        rc = demo_process_read_line(fd, 5000, reply, sizeof(reply));
        if (rc < 0 || strcmp(reply, "ok") != 0) {
            rc = error_set(err, -EPROTO, "%s: '%s' is answered with '%s'",
                           world->regions[region].name, command, reply);
        }
    }
    (void)close(fd);
    return rc;
}

/* ---- the server ---- */

/* A port that is free for UDP and TCP just now. */
static int find_port(struct addr *listen, struct error *err)
{
    struct sockaddr_storage address;

    (void)addr_parse(LISTEN_ADDRESS, 0, listen, err);
    for (int i = 0; i < 20; i++) {
        listen->port = 0;
        socklen_t length = addr_to_sockaddr(listen, &address);
        int udp = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
        int tcp = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        bool ok = udp >= 0 && tcp >= 0 && bind(udp, (struct sockaddr *)&address, length) == 0 &&
                  getsockname(udp, (struct sockaddr *)&address, &length) == 0 &&
                  bind(tcp, (struct sockaddr *)&address, length) == 0;
        if (udp >= 0) {
            (void)close(udp);
        }
        if (tcp >= 0) {
            (void)close(tcp);
        }
        if (ok) {
            (void)addr_from_sockaddr((struct sockaddr *)&address, listen);
            return 0;
        }
    }
    return error_set(err, -EADDRINUSE, "no free port on " LISTEN_ADDRESS);
}

static void put_region(const struct demo_world_region *region, struct text *out)
{
    text_printf(out, "  %s:\n    minimum_healthy: 1\n    checks:\n", region->name);
    text_printf(out,
                "      - {dns: {server: \"%s:%u\", name: \"{random}.canary.example\"}, "
                "hold_down: " DEMO_WORLD_HOLD_DOWN "}\n",
                region->address, region->dns_port);
}

static void put_config(const struct demo_world *world, struct text *out)
{
    char listen[ADDR_TEXT_MAX];

    addr_format_port(&world->listen, listen, sizeof(listen));
    text_put(out, "# what `leeward demo` serves\n"
                  "node: {name: demo, region: seoul, state_directory: state}\n");
    text_printf(out, "listen: [\"%s\"]\n\nregions:\n", listen);
    for (unsigned i = 0; i < DEMO_WORLD_REGIONS; i++) {
        put_region(&world->regions[i], out);
    }
    text_put(out, "\nchecks:\n  web:\n"
                  "    http: {port: 80, path: /healthz, expect: {status: 200-299, body: ok}}\n"
                  "    hold_down: " DEMO_WORLD_HOLD_DOWN "\n"
                  "\nservices:\n  " DEMO_WORLD_SERVICE ":\n"
                  "    order: [seoul, tokyo, singapore]\n"
                  "    ttl: {normal: 30s, suspect: 5s}\n"
                  "    check: web\n    minimum_healthy: 1\n    max_failover: 2s\n"
                  "    endpoints:\n");
    for (unsigned i = 0; i < DEMO_WORLD_REGIONS; i++) {
        const struct demo_world_region *region = &world->regions[i];
        text_printf(out, "      %s: [\"%s:%u\"]\n", region->name, region->address,
                    region->http_port);
    }
    text_put(out, "\nforward:\n  \".\":\n    upstreams:\n");
    for (unsigned i = 0; i < DEMO_WORLD_REGIONS; i++) {
        const struct demo_world_region *region = &world->regions[i];
        text_printf(out, "      - {region: %s, address: \"%s:%u\"}\n", region->name,
                    region->address, region->dns_port);
    }
    text_put(out, "\napi: {socket: leeward.sock}\n");
}

static int write_config(const struct demo_world *world, struct error *err)
{
    struct text config = { 0 };
    FILE *file = fopen(world->config_path, "we");
    int rc = 0;

    put_config(world, &config);
    if (file == NULL || fputs(text_string(&config), file) < 0) {
        rc = error_set(err, -errno, "%s: %s", world->config_path, strerror(errno));
    }
    if (file != NULL && fclose(file) != 0 && rc == 0) {
        rc = error_set(err, -errno, "%s: %s", world->config_path, strerror(errno));
    }
    text_fini(&config);
    return rc;
}

/* -EAGAIN when the server ended: perhaps its port was taken meanwhile. */
static int wait_until_ready(struct demo_world *world, struct error *err)
{
    uint64_t deadline_ms = clock_now_ms() + READY_TIMEOUT_MS;

    while (clock_now_ms() < deadline_ms) {
        struct cli_http_reply reply;
        struct error ignored = { 0 };
        int rc = cli_http(world->socket_path, "GET", "/readyz", NULL, 1000, &reply, &ignored);
        bool ready = rc == 0 && reply.status == 200;
        text_fini(&reply.body);
        if (ready) {
            return 0;
        }
        if (!demo_process_is_alive(world->server)) {
            world->server = 0;
            return error_set(err, -EAGAIN, "the server does not start");
        }
        (void)poll(NULL, 0, 10);
    }
    return error_set(err, -ETIMEDOUT, "the server is not ready after %u s",
                     READY_TIMEOUT_MS / 1000);
}

/* One try; -EAGAIN: perhaps the next has more luck with its port. */
static int try_server(struct demo_world *world, const char *program, struct error *err)
{
    char *argv[] = { "leeward", "run", "--strict", "-c", world->config_path, NULL };
    int rc = find_port(&world->listen, err);

    if (rc == 0) {
        rc = write_config(world, err);
    }
    if (rc < 0) {
        return rc;
    }
    world->server = demo_process_start(program, argv, world->log_path, NULL, err);
    if (world->server < 0) {
        rc = (int)world->server;
        world->server = 0;
        return rc;
    }
    return wait_until_ready(world, err);
}

static int start_server(struct demo_world *world, struct error *err)
{
    struct text program = { 0 };
    int rc = -EAGAIN;

    demo_world_server_program(&program);
    for (int i = 0; i < START_TRIES && rc == -EAGAIN; i++) {
        rc = try_server(world, text_string(&program), err);
    }
    text_fini(&program);
    return rc;
}

/* ---- all of it ---- */

/* The end of what the children wrote, so that a failure can be understood. */
static void show_log(const struct demo_world *world)
{
    char bytes[2048];
    FILE *file = fopen(world->log_path, "re");

    if (file == NULL) {
        return;
    }
    (void)fseek(file, 0, SEEK_END);
    long size = ftell(file);
    (void)fseek(file, size > (long)sizeof(bytes) ? size - (long)sizeof(bytes) : 0, SEEK_SET);
    size_t got = fread(bytes, 1, sizeof(bytes), file);
    (void)fwrite(bytes, 1, got, stderr);
    (void)fclose(file);
}

int demo_world_open(struct demo_world *world, struct error *err)
{
    memset(world, 0, sizeof(*world));
    memcpy(world->regions, plan, sizeof(plan));
    int rc = find_region_program(err);
    if (rc == 0) {
        rc = make_folder(world, err);
    }
    for (unsigned i = 0; rc == 0 && i < DEMO_WORLD_REGIONS; i++) {
        rc = start_region(world, i, err);
    }
    if (rc == 0) {
        rc = start_server(world, err);
    }
    if (rc < 0) {
        show_log(world);
        demo_world_close(world);
    }
    return rc;
}

void demo_world_close(struct demo_world *world)
{
    demo_process_stop(world->server);
    world->server = 0;
    for (unsigned i = 0; i < DEMO_WORLD_REGIONS; i++) {
        demo_process_stop(world->regions[i].pid);
        world->regions[i].pid = 0;
    }
    if (world->folder[0] != '\0') {
        (void)nftw(world->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
        world->folder[0] = '\0';
    }
}

bool demo_world_is_whole(struct demo_world *world)
{
    bool whole = true;

    if (!demo_process_is_alive(world->server)) {
        world->server = 0;
        whole = false;
    }
    for (unsigned i = 0; i < DEMO_WORLD_REGIONS; i++) {
        if (!demo_process_is_alive(world->regions[i].pid)) {
            world->regions[i].pid = 0;
            whole = false;
        }
    }
    return whole;
}

int demo_world_region_of(const struct demo_world *world, const struct addr *address)
{
    struct addr endpoint;
    struct error ignored = { 0 };

    for (unsigned i = 0; i < DEMO_WORLD_REGIONS; i++) {
        if (addr_parse(world->regions[i].address, 0, &endpoint, &ignored) == 0 &&
            addr_same_host(&endpoint, address)) {
            return (int)i;
        }
    }
    return -1;
}
