#pragma once
/*
 * cli_edns - what the OPT record of an answer says: upper rcode bits, errors
 *
 * RFC 6891 and RFC 8914. Pure functions on a message. Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CLI_EDNS_ERRORS 8 /* shown at most */

/* An extended error; `text` is not terminated and may hold any bytes. */
struct cli_edns_error {
    uint16_t code;
    uint16_t text_length;
    const char *text; /* in the message */
};

struct cli_edns {
    bool present;        /* the message has an OPT record */
    unsigned rcode_high; /* bits 4 to 11 of the rcode */
    size_t error_count;
    struct cli_edns_error errors[CLI_EDNS_ERRORS];
};

/* Read the OPT record of `message`, which has a header at least; broken parts are left out. */
void cli_edns_read(const uint8_t *message, size_t length, struct cli_edns *out);

/* The name of an info code, "unassigned" where RFC 8914 has none. */
const char *cli_edns_error_name(uint16_t code);
