#include "policy/model.h"

#include "base/arena.h"

void model_free(struct model *model)
{
    if (model != NULL) {
        arena_free(model->arena);
    }
}

uint32_t model_minimum_count(struct model_minimum minimum, uint32_t total)
{
    if (!minimum.percent) {
        return minimum.value;
    }
    return (uint32_t)(((uint64_t)minimum.value * total + 99) / 100);
}

const char *model_check_word(const struct model_check *check)
{
    static const char *const words[MODEL_CHECK_KINDS] = {
        [MODEL_CHECK_DNS] = "dns",   [MODEL_CHECK_TCP] = "tcp",   [MODEL_CHECK_HTTP] = "http",
        [MODEL_CHECK_TLS] = "tls",   [MODEL_CHECK_ICMP] = "icmp", [MODEL_CHECK_EXEC] = "exec",
        [MODEL_CHECK_PUSH] = "push", [MODEL_CHECK_FILE] = "file",
    };

    return check->kind == MODEL_CHECK_HTTP && check->tls != NULL ? "https" : words[check->kind];
}

static uint32_t longest_of(const struct model_check *checks, size_t count, uint32_t longest)
{
    for (size_t i = 0; i < count; i++) {
        longest = checks[i].timing.timeout_ms > longest ? checks[i].timing.timeout_ms : longest;
    }
    return longest;
}

uint32_t model_longest_timeout(const struct model *model)
{
    uint32_t longest = 0;

    for (size_t i = 0; i < model->region_count; i++) {
        longest = longest_of(model->regions[i].checks, model->regions[i].check_count, longest);
    }
    for (size_t i = 0; i < model->service_count; i++) {
        longest = longest_of(model->services[i].checks, model->services[i].check_count, longest);
    }
    return longest;
}
