#include "resolver/api/mhd.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#define LIBRARY "libmicrohttpd.so.12" /* the ABI of the header we are compiled with */
#define HINT    "install libmicrohttpd 0.9.75 or later (Debian 12: libmicrohttpd12)"

static const struct {
    const char *name;
    size_t offset; /* in struct mhd */
} symbols[] = {
    { "MHD_start_daemon", offsetof(struct mhd, start_daemon) },
    { "MHD_stop_daemon", offsetof(struct mhd, stop_daemon) },
    { "MHD_get_daemon_info", offsetof(struct mhd, get_daemon_info) },
    { "MHD_get_connection_info", offsetof(struct mhd, get_connection_info) },
    { "MHD_get_timeout", offsetof(struct mhd, get_timeout) },
    { "MHD_run", offsetof(struct mhd, run) },
    { "MHD_suspend_connection", offsetof(struct mhd, suspend_connection) },
    { "MHD_resume_connection", offsetof(struct mhd, resume_connection) },
    { "MHD_lookup_connection_value", offsetof(struct mhd, lookup_connection_value) },
    { "MHD_create_response_from_buffer", offsetof(struct mhd, create_response_from_buffer) },
    { "MHD_add_response_header", offsetof(struct mhd, add_response_header) },
    { "MHD_queue_response", offsetof(struct mhd, queue_response) },
    { "MHD_destroy_response", offsetof(struct mhd, destroy_response) },
};

static void *library; /* never closed: TLS libraries do not unload cleanly */
static struct mhd functions;
static bool is_complete;

static int find_symbols(struct error *err)
{
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (symbol == NULL) {
            (void)error_set(err, -ENOSYS, "%s has no %s", LIBRARY, symbols[i].name);
            error_hint(err, HINT);
            return err->code;
        }
        /* ISO C converts no pointer to data into one to a function; POSIX's have one size. */
        memcpy((char *)&functions + symbols[i].offset, &symbol, sizeof(symbol));
    }
    is_complete = true;
    return 0;
}

int mhd_load(const struct mhd **out, struct error *err)
{
    if (library == NULL) {
        library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);
    }
    if (library == NULL) {
        const char *reason = dlerror();
        (void)error_set(err, -ELIBACC, "cannot load the HTTP server: %s",
                        reason != NULL ? reason : LIBRARY);
        error_hint(err, HINT);
        return err->code;
    }
    if (!is_complete) {
        int rc = find_symbols(err);
        if (rc < 0) {
            return rc;
        }
    }
    *out = &functions;
    return 0;
}
