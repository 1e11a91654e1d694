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
