#include "policy/checks/check.h"

#include "base/error.h"
#include "policy/checks/check_pattern.h"
#include "policy/checks/check_trust.h"

static const struct check_kind *const kinds[MODEL_CHECK_KINDS] = {
    [MODEL_CHECK_DNS] = &check_dns_kind,
    [MODEL_CHECK_TCP] = &check_tcp_kind,
    [MODEL_CHECK_HTTP] = &check_http_kind,
    [MODEL_CHECK_TLS] = &check_tls_kind,
    [MODEL_CHECK_ICMP] = &check_icmp_kind,
    [MODEL_CHECK_EXEC] = &check_exec_kind,
    [MODEL_CHECK_PUSH] = &check_push_kind,
    [MODEL_CHECK_FILE] = &check_file_kind,
};

const struct check_kind *check_kind_of(enum model_check_kind kind)
{
    REQUIRE(kind < MODEL_CHECK_KINDS && kinds[kind] != NULL);
    return kinds[kind];
}

void check_shutdown(void)
{
    check_pattern_clear();
    check_trust_clear();
}
