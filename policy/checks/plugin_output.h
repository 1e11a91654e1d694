#pragma once
/*
 * plugin_output - what a monitoring plugin's exit code and output mean
 *
 * After the Monitoring Plugins Development Guidelines, section "Plugin Return
 * Codes": 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN. UNKNOWN is for wrong
 * arguments and trouble of the plugin itself, so it is no evidence about the
 * target, neither bad nor good: DETECT_VOID. (DETECT_NEUTRAL would lift a
 * suspicion, as after an answer.) The same holds for a plugin that a signal
 * ends, and for 126 and 127, with which a shell says that it could not run one.
 * Any other code counts as failure, as it does for monitoring systems. Pure.
 */
#include <stddef.h>

#include "policy/detect.h"

#define PLUGIN_REASON_MAX 120

struct plugin_verdict {
    enum detect_outcome outcome;
    char reason[PLUGIN_REASON_MAX]; /* its words, printable; or "exit code 2" without any */
};

/*
 * Judge an exit. The words are the first line of `output` up to its
 * performance data ("|"); when there is none, the first line of `complaint`,
 * which came on stderr.
 */
void plugin_output_judge(int exit_code, const char *output, size_t output_size,
                         const char *complaint, size_t complaint_size, struct plugin_verdict *out);

/* Copy `words` as they can be shown: whole characters, a '?' for each byte that is none. */
void plugin_output_show(const char *words, size_t size, char out[PLUGIN_REASON_MAX]);
