/*
 * Any bytes as the answer to a dns probe: the verdict comes with words, and the
 * data of its records is read within bounds. The first byte picks what is
 * expected; the id and the question are made to fit, so that more than the
 * header is looked at.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "policy/checks/dns_reply.h"
#include "zones/wire.h"

#define QNAME "\6canary\4corp\7example"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_verdict(enum dns_reply reply, const struct dns_reply_verdict *verdict,
                          bool may_retry)
{
    if (reply == DNS_REPLY_DECIDED) {
        REQUIRE(verdict->outcome == DETECT_PASS || verdict->outcome == DETECT_STRONG);
        REQUIRE(!verdict->misconfigured || verdict->outcome == DETECT_STRONG);
        REQUIRE(verdict->reason[0] != '\0' &&
                memchr(verdict->reason, '\0', sizeof(verdict->reason)) != NULL);
    }
    REQUIRE(reply != DNS_REPLY_TRUNCATED || may_retry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct addr expected = { .family = ADDR_V4, .bytes = { 10, 1, 2, 3 } };
    static const uint16_t types[] = { WIRE_A, WIRE_TXT, WIRE_MX, WIRE_ANY };
    struct dns_reply_verdict verdict = { 0 };
    uint8_t query[WIRE_HEADER_BYTES + WIRE_QUESTION_BYTES + WIRE_OPT_BYTES];

    if (size < 1) {
        return 0;
    }
    struct model_check check = { .kind = MODEL_CHECK_DNS, .query_name = "canary.corp.example" };
    check.query_type = types[data[0] & 3];
    check.expect_addresses = &expected;
    check.expect_address_count = (data[0] & 4) != 0;
    check.expect_pattern = (data[0] & 8) != 0 ? "^(10\\.|\"ok)" : NULL;
    check.expect_rcode_given = (data[0] & 16) != 0;
    bool may_retry = (data[0] & 32) != 0;
    size_t length = wire_query_build(query, 1, WIRE_RD, (const uint8_t *)QNAME, check.query_type,
                                     WIRE_IN, 0, false);
    /* a copy as long as it is, so that reading behind it is seen */
    uint8_t *message = malloc(size);
    REQUIRE(message != NULL);
    memcpy(message, data + 1, size - 1);
    if (size - 1 >= length && (data[0] & 64) != 0) {
        memcpy(message, query, 2);
        memcpy(message + WIRE_HEADER_BYTES, query + WIRE_HEADER_BYTES, length - WIRE_HEADER_BYTES);
    }
    enum dns_reply reply =
        dns_reply_judge(&check, query, length, message, size - 1, may_retry, &verdict);
    check_verdict(reply, &verdict, may_retry);
    free(message);
    return 0;
}
