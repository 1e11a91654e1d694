#pragma once
/*
 * rebinding - keeps private addresses out of answers for public names
 *
 * A stranger's name that resolves to an address of our own network lets his
 * page talk to what stands there (DNS rebinding). For rules that ask for it,
 * addresses of loopback, private, link-local, shared and unspecified networks,
 * also as IPv4 mapped into IPv6, are taken out of the answer. Pure, any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum rebinding_verdict {
    REBINDING_CLEAN, /* nothing of the kind was in it */
    REBINDING_LESS,  /* some addresses are left */
    REBINDING_EMPTY, /* none is left: NODATA */
};

/*
 * Take private addresses out of `message`, an answer as scrub makes it, in
 * place. What is left is no longer signed: the records' signatures go too, and
 * so does the AD bit. When memory is out, nothing is left.
 */
enum rebinding_verdict rebinding_filter(uint8_t *message, size_t *length);

/* Is the address of `size` bytes (4 or 16) one that strangers' names should not have? */
bool rebinding_is_private(const uint8_t *address, size_t size);
