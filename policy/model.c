#include "policy/model.h"

#include <string.h>

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

uint32_t model_region_find(const struct model *model, const char *name)
{
    for (size_t i = 0; i < model->region_count; i++) {
        if (strcmp(model->regions[i].name, name) == 0) {
            return (uint32_t)i;
        }
    }
    return MODEL_NONE;
}
