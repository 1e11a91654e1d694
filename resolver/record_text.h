#pragma once
/*
 * record_text - resource records and their types as people write them
 *
 * For `query` and `why`; never on the answering path. Any thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

/*
 * Read a type by its mnemonic in any letter case, or as TYPE123 (RFC 3597).
 * -EINVAL, explained with the nearest common one.
 */
int record_text_type(const char *text, uint16_t *out_type, struct error *err);

/* Append the mnemonic of a type, "TYPE123" when it has none. */
void record_text_put_type(struct text *out, uint16_t type);

/* One record of a message, to be shown. `line` is "name TTL CLASS TYPE data". */
typedef void record_text_each(void *user, unsigned section, uint16_t type, const char *line);

/*
 * Call `each` for every record of a message but OPT, in order; `section` is 0
 * for the answer, 1 for the authority, 2 for the additional section. False
 * when the message is broken (what could be read has been shown).
 */
bool record_text_walk(const uint8_t *message, size_t length, record_text_each *each, void *user);
