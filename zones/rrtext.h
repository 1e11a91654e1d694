#pragma once
/*
 * rrtext - the text of a record's type, TTL and data into wire form
 *
 * ldns knows the formats of all types. In front of it stand our own checks of
 * every field that is one token: ldns takes 70000 for a 16-bit number, loses
 * bytes of generic rdata and cannot say which field is wrong. Control thread.
 */
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "zones/zonescan.h"

#define RRTEXT_RDATA_MAX 65535
#define RRTEXT_TTL_MAX   2147483647u /* RFC 2181, section 8 */

struct rrtext;

/* NULL when memory is out. */
struct rrtext *rrtext_new(void);
void rrtext_free(struct rrtext *rrtext);

/* The number of a type by its name or as TYPEnnn (RFC 3597, section 5); 0: unknown. */
uint16_t rrtext_type(const char *text);

/* The name nearest to an unknown type's, or NULL. */
const char *rrtext_type_nearest(const char *text);

enum rrtext_ttl {
    RRTEXT_TTL_OK,
    RRTEXT_TTL_NONE,    /* not the text of a TTL */
    RRTEXT_TTL_TOO_BIG, /* more than RRTEXT_TTL_MAX */
};

/* Seconds from "300", "5m" or "1h30m". */
enum rrtext_ttl rrtext_ttl(const char *text, uint32_t *out_s);

/*
 * Parse the tokens behind the type token `tokens[0]`, names relative to
 * `origin` (a dname), into `out`, which holds RRTEXT_RDATA_MAX bytes. Returns
 * the length or -EINVAL, explained with its place in `path`.
 */
int rrtext_rdata(struct rrtext *rrtext, uint16_t type, const uint8_t *origin,
                 const struct zonescan_token *tokens, size_t count, const char *path, uint8_t *out,
                 struct error *err);
