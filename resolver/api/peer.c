#include "resolver/api/peer.h"

#include <pwd.h>
#include <stdio.h>
#include <sys/socket.h>

#define PASSWD_FILE  "/etc/passwd"
#define LINES_MAX    10000 /* what is looked through for a name */
#define LINE_BYTES   1024

/* The name of a user; "" when the file has none. */
static void find_name(uid_t uid, char *out, size_t cap)
{
    FILE *file = fopen(PASSWD_FILE, "re");
    struct passwd entry;
    struct passwd *found;
    char line[LINE_BYTES];

    out[0] = '\0';
    if (file == NULL) {
        return;
    }
    for (unsigned i = 0;
         i < LINES_MAX && fgetpwent_r(file, &entry, line, sizeof(line), &found) == 0; i++) {
        if (entry.pw_uid == uid) {
            (void)snprintf(out, cap, "%s", entry.pw_name);
            break;
        }
    }
    (void)fclose(file);
}

void peer_describe(int fd, char *out, size_t cap)
{
    struct ucred peer;
    socklen_t length = sizeof(peer);
    char name[32];

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 || length != sizeof(peer) ||
        peer.uid == (uid_t)-1) {
        (void)snprintf(out, cap, "somebody");
        return;
    }
    find_name(peer.uid, name, sizeof(name));
    if (name[0] == '\0') {
        (void)snprintf(out, cap, "uid %u", (unsigned)peer.uid);
    } else {
        (void)snprintf(out, cap, "%s (uid %u)", name, (unsigned)peer.uid);
    }
}
