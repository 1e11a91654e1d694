#include "resolver/webhook.h"

#include <curl/curl.h>
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"

#define LIBRARY         "libcurl.so.4" /* the ABI of the header we are compiled with */
#define CHUNK           16384
#define INPUT_MAX       (1024u * 1024u)
#define USUAL_LIMIT_MS  10000L
#define CONNECT_MOST_MS 5000L

/* What is used of libcurl. */
struct curl {
    CURLcode (*global_init)(long flags);
    CURL *(*easy_init)(void);
    CURLcode (*easy_setopt)(CURL *handle, CURLoption option, ...);
    CURLcode (*easy_perform)(CURL *handle);
    CURLcode (*easy_getinfo)(CURL *handle, CURLINFO info, ...);
    void (*easy_cleanup)(CURL *handle);
    const char *(*easy_strerror)(CURLcode code);
    struct curl_slist *(*slist_append)(struct curl_slist *list, const char *text);
    void (*slist_free_all)(struct curl_slist *list);
};

static const struct {
    const char *name;
    size_t offset; /* in struct curl */
} symbols[] = {
    { "curl_global_init", offsetof(struct curl, global_init) },
    { "curl_easy_init", offsetof(struct curl, easy_init) },
    { "curl_easy_setopt", offsetof(struct curl, easy_setopt) },
    { "curl_easy_perform", offsetof(struct curl, easy_perform) },
    { "curl_easy_getinfo", offsetof(struct curl, easy_getinfo) },
    { "curl_easy_cleanup", offsetof(struct curl, easy_cleanup) },
    { "curl_easy_strerror", offsetof(struct curl, easy_strerror) },
    { "curl_slist_append", offsetof(struct curl, slist_append) },
    { "curl_slist_free_all", offsetof(struct curl, slist_free_all) },
};

static __attribute__((format(printf, 1, 2))) int complain(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    return 1;
}

/* The library is never closed: the process ends soon. */
static bool load(struct curl *out)
{
    void *library = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL);

    if (library == NULL) {
        const char *reason = dlerror();
        (void)complain("webhooks need libcurl (Debian 12: libcurl4): %s",
                       reason != NULL ? reason : LIBRARY);
        return false;
    }
    for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
        void *symbol = dlsym(library, symbols[i].name);
        if (symbol == NULL) {
            (void)complain("%s has no %s", LIBRARY, symbols[i].name);
            return false;
        }
        /* ISO C converts no pointer to data into one to a function; POSIX's have one size. */
        memcpy((char *)out + symbols[i].offset, &symbol, sizeof(symbol));
    }
    return true;
}

bool webhook_is_ready(void)
{
    return dlopen(LIBRARY, RTLD_LAZY | RTLD_LOCAL) != NULL;
}

/* All of stdin. False: it cannot be read, or is no event of ours. */
static bool read_input(struct text *out)
{
    static char chunk[CHUNK];
    size_t length;

    while ((length = fread(chunk, 1, sizeof(chunk), stdin)) > 0 && out->length <= INPUT_MAX) {
        text_put_bytes(out, chunk, length);
    }
    return ferror(stdin) == 0 && !text_failed(out) && out->length <= INPUT_MAX;
}

/* What the other side answers beside its status is of no interest. */
static size_t on_body(char *bytes, size_t size, size_t count, void *user)
{
    (void)bytes;
    (void)user;
    return size * count;
}

static long time_limit(void)
{
    const char *text = getenv(WEBHOOK_TIMEOUT);
    long ms = text == NULL ? 0 : strtol(text, NULL, 10);

    return ms > 0 ? ms : USUAL_LIMIT_MS;
}

static void set_options(const struct curl *curl, CURL *handle, const char *url,
                        struct curl_slist *headers, const struct text *input, char *reason)
{
    long limit_ms = time_limit();

    (void)curl->easy_setopt(handle, CURLOPT_URL, url);
    (void)curl->easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl->easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
    (void)curl->easy_setopt(handle, CURLOPT_PROXY, "");    /* none, whatever the environment says */
    (void)curl->easy_setopt(handle, CURLOPT_CAPATH, NULL); /* the bundle is enough, and quicker */
    (void)curl->easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
    (void)curl->easy_setopt(handle, CURLOPT_TIMEOUT_MS, limit_ms);
    (void)curl->easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS,
                            limit_ms < CONNECT_MOST_MS ? limit_ms : CONNECT_MOST_MS);
    (void)curl->easy_setopt(handle, CURLOPT_USERAGENT, "leeward/" LEEWARD_VERSION);
    (void)curl->easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
    (void)curl->easy_setopt(handle, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl->easy_setopt(handle, CURLOPT_ERRORBUFFER, reason);
    (void)curl->easy_setopt(handle, CURLOPT_POST, 1L);
    (void)curl->easy_setopt(handle, CURLOPT_POSTFIELDS, text_string(input));
    (void)curl->easy_setopt(handle, CURLOPT_POSTFIELDSIZE, (long)input->length);
}

static int judge(const struct curl *curl, CURL *handle, CURLcode code, const char *reason)
{
    long status = 0;

    if (code != CURLE_OK) {
        return complain("%s", reason[0] != '\0' ? reason : curl->easy_strerror(code));
    }
    (void)curl->easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &status);
    if (status / 100 == 2) {
        return 0;
    }
    return complain("status %ld%s", status,
                    status / 100 == 3 ? " (redirects are not followed)" : "");
}

static int send_input(const struct curl *curl, const char *url, const struct text *input)
{
    char reason[CURL_ERROR_SIZE] = "";
    CURL *handle = curl->global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? curl->easy_init() : NULL;

    if (handle == NULL) {
        return complain("%s cannot be used", LIBRARY);
    }
    struct curl_slist *headers = curl->slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = curl->slist_append(headers, "Expect:"); /* no wait for a 100 */
    int exit_code = 1;
    if (headers == NULL || more == NULL) {
        (void)complain("out of memory");
    } else {
        set_options(curl, handle, url, headers, input, reason);
        exit_code = judge(curl, handle, curl->easy_perform(handle), reason);
    }
    curl->slist_free_all(headers);
    curl->easy_cleanup(handle);
    return exit_code;
}

int webhook_run(void)
{
    const char *url = getenv(WEBHOOK_URL);
    struct text input = { 0 };
    struct curl curl;
    int exit_code = 1;

    if (url == NULL) {
        return complain("no URL in " WEBHOOK_URL);
    }
    if (!read_input(&input)) {
        (void)complain("the events cannot be read");
    } else if (load(&curl)) {
        exit_code = send_input(&curl, url, &input);
    }
    text_fini(&input);
    return exit_code;
}
