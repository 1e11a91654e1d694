#pragma once
/*
 * config_check_parts - what several kinds of checks have in common
 *
 * Control thread.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policy/config_context.h"
#include "policy/config_table.h"

/* ---- where a probe goes ---- */

/* Read `server` of the map `kind`. Returns false, reported, when it is wrong. */
bool config_check_read_server(struct config_context *context, const struct config_item *kind,
                              uint16_t default_port, struct model_check *check);

/* The port of a kind that has no usual one: it must be given, or stand behind the server. */
void config_check_settle_port(struct config_context *context, const struct config_item *kind,
                              uint16_t port, bool good, struct model_check *check);

/* ---- what comes back ---- */

/* Read a text of any characters, of 1 to `max` bytes; NULL when the key is not there. */
const char *config_check_read_text(struct config_context *context, const struct config_item *map,
                                   const char *key, size_t max);

/* Read a POSIX extended regular expression likewise. */
const char *config_check_read_pattern(struct config_context *context, const struct config_item *map,
                                      const char *key);

/* ---- how a stream is secured ---- */

/* As it is written; embedded in what a table is read into. */
struct config_check_tls {
    struct tls_settings settings;
    bool verify;
    uint32_t days_left;
};

/* The rows of a table for it; `type` has it as its member `tls`. */
#define CONFIG_CHECK_TLS_AT(type, member)                                                          \
    (offsetof(type, tls) + offsetof(struct config_check_tls, member))
#define CONFIG_CHECK_TLS_ROWS(type)                                                                \
    { "verify",                                                                                    \
      CONFIG_BOOL,                                                                                 \
      CONFIG_CHECK_TLS_AT(type, verify),                                                           \
      0,                                                                                           \
      0,                                                                                           \
      "on",                                                                                        \
      .help = "Whether the certificate decides; `off`: any will do." },                            \
        { "name",                                                                                  \
          CONFIG_TEXT,                                                                             \
          CONFIG_CHECK_TLS_AT(type, settings.name),                                                \
          1,                                                                                       \
          253,                                                                                     \
          NULL,                                                                                    \
          .help = "The name to ask for (SNI), which must be in the certificate.",                  \
          .usual = "the host, or the service's name; with pins none" },                            \
        { "pins",                                                                                  \
          CONFIG_PART,                                                                             \
          0,                                                                                       \
          0,                                                                                       \
          0,                                                                                       \
          NULL,                                                                                    \
          .help =                                                                                  \
              "SHA-256 of public keys, base64 or hexadecimal; with a name one of them must be "    \
              "in its chain of certificates, without one they alone decide and one must be its "   \
              "own.",                                                                              \
          .usual = "none",                                                                         \
          .forms = CONFIG_FORM_TEXT | CONFIG_FORM_LIST,                                            \
          .forms_help = "a pin or a list of them" },                                               \
        { "ca_file",                                                                               \
          CONFIG_PATH,                                                                             \
          CONFIG_CHECK_TLS_AT(type, settings.ca_file),                                             \
          1,                                                                                       \
          0,                                                                                       \
          NULL,                                                                                    \
          .help = "The authorities that are trusted, PEM.",                                        \
          .usual = "the system's" },                                                               \
    {                                                                                              \
        "days_left", CONFIG_COUNT, CONFIG_CHECK_TLS_AT(type, days_left), 0, 3650, "14",            \
            .help =                                                                                \
                "A certificate that expires in fewer days makes its target degraded; 0: never.",   \
            .usual = "14; with verify: off 0"                                                      \
    }

/* What `tls:` of a dns or tcp check may hold. */
extern const struct config_table config_check_tls_table;

/* Secure the check as `written` in the map `item`. */
void config_check_settle_tls(struct config_context *context, const struct config_item *item,
                             const struct config_check_tls *written, const char *protocol,
                             struct model_check *check);

/* Read `tls:` itself: on, off, a name or a map. */
void config_check_read_tls(struct config_context *context, const struct config_item *item,
                           const char *protocol, struct model_check *check);

/* Secure it with nothing said of how. */
void config_check_set_tls(struct config_context *context, const char *protocol,
                          struct model_check *check);

/*
 * The name for a certificate that nobody gave: the check's host, which must be
 * settled. Returns false, reported at `item`, when there is none.
 */
bool config_check_default_name(struct config_context *context, const struct config_item *item,
                               struct model_check *check);

/* That name, of at most `cap` bytes; false when there is none. */
bool config_check_host_name(const char *host, char *out, size_t cap);
