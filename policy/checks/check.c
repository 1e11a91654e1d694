#include "policy/checks/check.h"

#include "base/error.h"

static const struct check_kind *const kinds[MODEL_CHECK_KINDS] = {
    [MODEL_CHECK_DNS] = &check_dns_kind,
    [MODEL_CHECK_TCP] = &check_tcp_kind,
    [MODEL_CHECK_HTTP] = &check_http_kind,
};

const struct check_kind *check_kind_of(enum model_check_kind kind)
{
    REQUIRE(kind < MODEL_CHECK_KINDS && kinds[kind] != NULL);
    return kinds[kind];
}
