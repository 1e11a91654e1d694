#pragma once
/*
 * peer - who is at the other end of a Unix socket
 *
 * By the kernel's word (SO_PEERCRED), not the client's. Any thread.
 */
#include <stddef.h>

#define PEER_TEXT_MAX 80

/*
 * Write "alice (uid 1000)", or "uid 1000" where /etc/passwd knows no name for
 * it (other sources of names may hang in an outage and are not asked), or
 * "somebody" for a socket that has no credentials.
 */
void peer_describe(int fd, char *out, size_t cap);
