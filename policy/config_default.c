#include "policy/config_default.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/addr.h"
#include "policy/config_print.h"
#include "policy/config_resolv.h"

#define LISTEN        "127.0.0.1:5300" /* 5353 belongs to mDNS (RFC 6762, section 3) */
#define RUN_DIRECTORY "/run/leeward"

/* Does the file name anybody but ourselves? */
static int check_resolvers(const char *path, struct error *err)
{
    struct config_resolv resolv;
    struct addr self;

    REQUIRE(addr_parse(LISTEN, 0, &self, err) == 0);
    int rc = config_resolv_read(path, &resolv, err);
    if (rc < 0) {
        return rc;
    }
    for (size_t i = 0; i < resolv.count; i++) {
        if (!addr_equal(&resolv.list[i], &self)) {
            return 0;
        }
    }
    error_set(err, -EINVAL, "%.200s names no resolver to forward to", path);
    error_hint(err, "write a leeward.yaml with forward: {\".\": {upstreams: [10.1.0.2]}}");
    return err->code;
}

/* Where the socket of the api can be made. */
static void put_socket(struct text *out)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct text path = { 0 };

    if (geteuid() == 0 || access(RUN_DIRECTORY, W_OK) == 0) {
        text_put(&path, RUN_DIRECTORY "/leeward.sock");
    } else if (runtime != NULL && runtime[0] == '/') {
        text_printf(&path, "%s/leeward.sock", runtime);
    } else {
        text_printf(&path, "/tmp/leeward-%u.sock", (unsigned)geteuid());
    }
    config_print_scalar(text_string(&path), out);
    text_fini(&path);
}

int config_default_build(const char *path, struct text *out, struct error *err)
{
    int rc = check_resolvers(path, err);

    if (rc < 0) {
        return rc;
    }
    text_printf(out, "listen: [%s]\napi:\n  socket: ", LISTEN);
    put_socket(out);
    text_put(out, "\nforward:\n  \".\":\n    from: ");
    config_print_scalar(path, out);
    text_put_char(out, '\n');
    return 0;
}
