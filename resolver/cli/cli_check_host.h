#pragma once
/*
 * cli_check_host - what of a sound configuration this machine is not ready for
 *
 * The user to become, what that user must be able to write, the right to send
 * ICMP, and the library of webhooks. Modes of files are looked at, nothing is made. Main thread.
 */
#include "base/text.h"
#include "policy/model.h"

/*
 * Append a line "PATH: warning: ..." with a hint for each. Without node.user
 * only who starts the server decides, so nothing is said but of ICMP, as this
 * user, and of webhooks.
 */
void cli_check_host_put(const char *path, const struct model *model, struct text *out);
