#pragma once
/*
 * dns_data - the data of an answer's records, as text
 *
 * As zone files have it (RFC 1035, section 5.1), names with their last dot:
 * "10.1.2.3", "10 mail.example.com.", "\"v=spf1 -all\"". Control loop only.
 */
#include <stddef.h>
#include <stdint.h>

#define DNS_DATA_SHOWN 48

/* Is there a record whose data matches a pattern, and if not, what is there? */
struct dns_data {
    int found;                  /* 1 or 0; -ENOMEM when memory is out */
    char first[DNS_DATA_SHOWN]; /* the first record's data, shortened; "" when there is none */
};

/*
 * Look through the answer section of a message, which begins at `at`, for a
 * record of class IN whose data as text matches `pattern` (see
 * check_pattern.h). Records that are damaged match nothing.
 */
void dns_data_match(const uint8_t *message, size_t length, size_t at, const char *pattern,
                    struct dns_data *out);
