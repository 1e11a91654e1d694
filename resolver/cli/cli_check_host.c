#include "resolver/cli/cli_check_host.h"

#include <errno.h>
#include <grp.h>
#include <libgen.h>
#include <limits.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "policy/checks/icmp_socket.h"
#include "resolver/webhook.h"

#define GROUPS_MAX    256
#define WRITE_ENTER   3u /* of a folder: make files in it */
#define ENTER         1u
#define CA_FILES_MOST 32 /* so many different ones are looked at */

struct identity {
    const char *name;
    uid_t uid;
    gid_t groups[GROUPS_MAX];
    int group_count;
};

static bool find_identity(const char *name, struct identity *out)
{
    const struct passwd *entry = getpwnam(name);

    if (entry == NULL) {
        return false;
    }
    out->name = name;
    out->uid = entry->pw_uid;
    out->group_count = GROUPS_MAX;
    if (getgrouplist(name, entry->pw_gid, out->groups, &out->group_count) < 0) {
        out->group_count = GROUPS_MAX; /* in more groups than are looked at */
    }
    return true;
}

static bool is_member(const struct identity *who, gid_t group)
{
    for (int i = 0; i < who->group_count; i++) {
        if (who->groups[i] == group) {
            return true;
        }
    }
    return false;
}

static bool may(const struct identity *who, const struct stat *file, unsigned wanted)
{
    unsigned shift = file->st_uid == who->uid ? 6 : is_member(who, file->st_gid) ? 3 : 0;
    return who->uid == 0 || (file->st_mode >> shift & wanted) == wanted;
}

/* May the folder be entered, that is all above it too? What cannot be seen is believed. */
static bool may_reach(const struct identity *who, const char *folder)
{
    char path[PATH_MAX];
    struct stat file;

    if (realpath(folder, path) == NULL) {
        return true;
    }
    for (;;) {
        if (stat(path, &file) == 0 && !may(who, &file, ENTER)) {
            return false;
        }
        if (strcmp(path, "/") == 0) {
            return true;
        }
        char *slash = strrchr(path, '/');
        slash[slash == path ? 1 : 0] = '\0';
    }
}

/*
 * Can files be made in `folder`? Where it is missing, could it be made: with as
 * many of the folders above it as `missing_most`.
 */
static bool may_write(const struct identity *who, const char *folder, unsigned missing_most)
{
    char path[PATH_MAX];
    struct stat file;

    (void)snprintf(path, sizeof(path), "%s", folder);
    for (; stat(path, &file) < 0; missing_most--) {
        if (errno != ENOENT) {
            return errno == EACCES; /* not to be seen from here */
        }
        if (missing_most == 0 || strcmp(path, "/") == 0 || strcmp(path, ".") == 0) {
            return false;
        }
        char above[PATH_MAX];
        (void)snprintf(above, sizeof(above), "%s", path);
        (void)snprintf(path, sizeof(path), "%s", dirname(above));
    }
    return S_ISDIR(file.st_mode) && may(who, &file, WRITE_ENTER) && may_reach(who, path);
}

static void put(struct text *out, const char *path, const char *what, const char *hint)
{
    text_printf(out, "%s: warning: %s\n   hint: %s\n", path, what, hint);
}

static bool has_icmp(const struct model_check *checks, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (checks[i].kind == MODEL_CHECK_ICMP) {
            return true;
        }
    }
    return false;
}

static bool uses_icmp(const struct model *model)
{
    for (size_t i = 0; i < model->region_count; i++) {
        if (has_icmp(model->regions[i].checks, model->regions[i].check_count)) {
            return true;
        }
    }
    for (size_t i = 0; i < model->service_count; i++) {
        if (has_icmp(model->services[i].checks, model->services[i].check_count)) {
            return true;
        }
    }
    return false;
}

/* With node.user the server starts as root, and opens its sockets before it is that user. */
static void put_icmp(const char *path, const struct model *model, struct text *out)
{
    struct error err;

    if (uses_icmp(model) && icmp_socket_ready(ADDR_V4, &err) < 0) {
        char what[sizeof(err.message) + 128];
        (void)snprintf(what, sizeof(what), "icmp: %s, as this user: these checks decide nothing",
                       err.message);
        put(out, path, what, err.hint);
    }
}

static void put_webhooks(const char *path, const struct model *model, struct text *out)
{
    for (size_t i = 0; i < model->hook_count; i++) {
        if (model->hooks[i].url != NULL && !webhook_is_ready()) {
            put(out, path, "notify: webhooks need libcurl: nobody would be told",
                "apt install libcurl4");
            return;
        }
    }
}

/* ---- authorities ---- */

/* Files that were looked at: one is mostly named by very many checks. */
struct seen {
    const char *files[CA_FILES_MOST];
    size_t count;
};

/* Is there a certificate in it, as text (PEM)? What cannot be read is told of elsewhere. */
static bool has_certificate(const char *file)
{
    char line[256];
    bool found = false;
    FILE *stream = fopen(file, "re");

    if (stream == NULL) {
        return true;
    }
    while (!found && fgets(line, sizeof(line), stream) != NULL) {
        found = strncmp(line, "-----BEGIN ", 11) == 0 && strstr(line, "CERTIFICATE-----") != NULL;
    }
    (void)fclose(stream);
    return found;
}

static void put_authority(const char *path, const struct tls_settings *tls, struct seen *seen,
                          struct text *out)
{
    char what[PATH_MAX + 256];

    if (tls == NULL || tls->ca_file == NULL) {
        return;
    }
    for (size_t i = 0; i < seen->count; i++) {
        if (strcmp(seen->files[i], tls->ca_file) == 0) {
            return;
        }
    }
    if (seen->count == CA_FILES_MOST) {
        return;
    }
    seen->files[seen->count++] = tls->ca_file;
    if (!has_certificate(tls->ca_file)) {
        (void)snprintf(what, sizeof(what),
                       "ca_file: there is no certificate in %s: nobody's would be believed",
                       tls->ca_file);
        put(out, path, what, "put those of the authorities there, as text (PEM)");
    }
}

static void put_authorities(const char *path, const struct model *model, struct text *out)
{
    struct seen seen = { .count = 0 };

    for (size_t i = 0; i < model->forward_count; i++) {
        for (size_t k = 0; k < model->forwards[i].upstream_count; k++) {
            put_authority(path, model->forwards[i].upstreams[k].tls, &seen, out);
        }
    }
    for (size_t i = 0; i < model->region_count; i++) {
        for (size_t k = 0; k < model->regions[i].check_count; k++) {
            put_authority(path, model->regions[i].checks[k].tls, &seen, out);
        }
    }
    for (size_t i = 0; i < model->service_count; i++) {
        for (size_t k = 0; k < model->services[i].check_count; k++) {
            put_authority(path, model->services[i].checks[k].tls, &seen, out);
        }
    }
}

void cli_check_host_put(const char *path, const struct model *model, struct text *out)
{
    struct identity who;
    char folder[PATH_MAX];
    char what[PATH_MAX + 256];
    char hint[PATH_MAX + 128];

    put_webhooks(path, model, out);
    put_authorities(path, model, out);
    if (model->node_user == NULL) {
        put_icmp(path, model, out);
        return;
    }
    if (!find_identity(model->node_user, &who)) {
        (void)snprintf(what, sizeof(what),
                       "node.user: no user named '%s' on this machine: started as root, the "
                       "server exits",
                       model->node_user);
        (void)snprintf(hint, sizeof(hint), "useradd --system %s, or leave node.user out",
                       model->node_user);
        put(out, path, what, hint);
        return;
    }
    if (!may_write(&who, model->state_directory, UINT_MAX)) {
        (void)snprintf(what, sizeof(what),
                       "node.state_directory: user '%s' cannot write to %s: the last accepted "
                       "configuration would not be kept",
                       who.name, model->state_directory);
        (void)snprintf(hint, sizeof(hint), "install -d -o %s %s", who.name, model->state_directory);
        put(out, path, what, hint);
    }
    if (model->api_socket == NULL) {
        return;
    }
    char socket_path[PATH_MAX];
    (void)snprintf(socket_path, sizeof(socket_path), "%s", model->api_socket);
    (void)snprintf(folder, sizeof(folder), "%s", dirname(socket_path));
    if (!may_write(&who, folder, 1)) { /* the server makes one folder */
        (void)snprintf(what, sizeof(what),
                       "api.socket: user '%s' cannot make files in %s: status, why and reload "
                       "would not work",
                       who.name, folder);
        (void)snprintf(hint, sizeof(hint), "install -d -o %s %s, or set api.socket", who.name,
                       folder);
        put(out, path, what, hint);
    }
}
