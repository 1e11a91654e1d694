/*
 * Any bytes as a plugin's output: its words are bounded, on one line, and can
 * be shown. The first byte is the exit code, the second tells where the
 * complaint begins.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/checks/check_file.h"
#include "policy/checks/plugin_output.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shown(const char *reason)
{
    for (; *reason != '\0'; reason++) {
        REQUIRE((unsigned char)*reason >= 0x20 && *reason != 0x7f);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct plugin_verdict verdict;
    char reason[160];

    if (size < 2) {
        return 0;
    }
    /* copies as long as they are, so that reading behind them is seen */
    size_t output_size = data[1] < size - 2 ? data[1] : size - 2;
    size_t complaint_size = size - 2 - output_size;
    char *output = malloc(output_size == 0 ? 1 : output_size);
    char *complaint = malloc(complaint_size == 0 ? 1 : complaint_size);
    REQUIRE(output != NULL && complaint != NULL);
    memcpy(output, data + 2, output_size);
    memcpy(complaint, data + 2 + output_size, complaint_size);
    plugin_output_judge(data[0], output, output_size, complaint, complaint_size, &verdict);
    REQUIRE(strlen(verdict.reason) > 0 && strlen(verdict.reason) < PLUGIN_REASON_MAX);
    check_shown(verdict.reason);
    (void)check_file_judge(output, output_size, reason, sizeof(reason));
    check_shown(reason);
    free(output);
    free(complaint);
    return 0;
}
