#pragma once
/*
 * sim_command - one line of control, executed
 *
 * Loop thread only.
 */
#include <stddef.h>

struct sim_region;

/*
 * Execute `line` (changed in the process) and write the one-line reply,
 * without newline, to `reply`: "ok", numbers, or "error: ...".
 */
void sim_command_execute(struct sim_region *region, char *line, char *reply, size_t size);
