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
