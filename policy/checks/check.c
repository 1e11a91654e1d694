#include "policy/checks/check.h"

#include "base/error.h"

const struct check_kind *check_kind_of(enum model_check_kind kind)
{
    switch (kind) {
    case MODEL_CHECK_DNS:
        return &check_dns_kind;
    case MODEL_CHECK_TCP:
        return &check_tcp_kind;
    case MODEL_CHECK_HTTP:
        return &check_http_kind;
    }
    error_required("a kind of check", __FILE__, __LINE__);
}
