#pragma once
/*
 * mhd - libmicrohttpd, loaded when it is needed
 *
 * Nothing is linked with it: it brings a TLS library that the api never uses,
 * which most servers would load, and hold in memory, without ever being asked.
 * Control thread.
 */
#include <microhttpd.h>

#include "base/error.h"

/* What we use of it, by the names it has there without "MHD_". */
struct mhd {
    __typeof__(MHD_start_daemon) *start_daemon;
    __typeof__(MHD_stop_daemon) *stop_daemon;
    __typeof__(MHD_get_daemon_info) *get_daemon_info;
    __typeof__(MHD_get_connection_info) *get_connection_info;
    __typeof__(MHD_get_timeout) *get_timeout;
    __typeof__(MHD_run) *run;
    __typeof__(MHD_suspend_connection) *suspend_connection;
    __typeof__(MHD_resume_connection) *resume_connection;
    __typeof__(MHD_lookup_connection_value) *lookup_connection_value;
    __typeof__(MHD_create_response_from_buffer) *create_response_from_buffer;
    __typeof__(MHD_add_response_header) *add_response_header;
    __typeof__(MHD_queue_response) *queue_response;
    __typeof__(MHD_destroy_response) *destroy_response;
};

/*
 * Load the library, once: it stays until the program ends, and later calls
 * return the same table. May read some MiB from disk. -errno, explained, when
 * it is not installed or is another one; trying again is allowed.
 */
int mhd_load(const struct mhd **out, struct error *err);
