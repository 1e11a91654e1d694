#include "resolver/privileges.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"

void privileges_give(const char *path, const char *user)
{
    struct error err;

    if (user == NULL || geteuid() != 0 || path[0] == '\0' || access(path, F_OK) == 0) {
        return;
    }
    const struct passwd *entry = getpwnam(user);
    if (entry != NULL && file_make_directory(path, &err) == 0 &&
        chown(path, entry->pw_uid, entry->pw_gid) < 0) {
        log_event(LOG_WARNING, "cannot give a directory away", "path=%s user=%s error=%s", path,
                  user, strerror(errno));
    }
}

int privileges_drop(const char *user, struct error *err)
{
    if (geteuid() != 0) {
        return 0;
    }
    if (user == NULL) {
        log_event(LOG_WARNING, "running as root", "hint=%s", "set node.user");
        return 0;
    }
    errno = 0;
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL) {
        int rc = error_set(err, errno == 0 ? -ENOENT : -errno, "node.user: no user named '%s'",
                           user);
        error_hint(err, "useradd --system %s, or leave node.user out", user);
        return rc;
    }
    if (initgroups(user, entry->pw_gid) < 0 ||
        setresgid(entry->pw_gid, entry->pw_gid, entry->pw_gid) < 0 ||
        setresuid(entry->pw_uid, entry->pw_uid, entry->pw_uid) < 0) {
        return error_set(err, -errno, "cannot become user '%s': %s", user, strerror(errno));
    }
    return 0;
}
