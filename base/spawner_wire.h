#pragma once
/*
 * spawner_wire - the messages between the server and the spawner's helper
 *
 * Both ends are one binary, so the structs go as they are.
 */
#include <stdint.h>

enum spawner_verb {
    SPAWNER_RUN,
    SPAWNER_CANCEL,
};

/* Followed by the arguments, then the environment, each terminated; then the input. */
struct spawner_request {
    uint32_t verb; /* enum spawner_verb */
    uint32_t id;
    uint32_t timeout_ms;
    uint32_t argument_count;
    uint32_t environment_count;
    uint32_t input_size;
};

/* Followed by the output, then the complaint. */
struct spawner_reply {
    uint32_t id;
    uint32_t end; /* enum spawner_end */
    int32_t value;
    uint32_t output_size;
    uint32_t complaint_size;
};
