#include "zones/zonescan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES 65536
#define END         (-1) /* of the file */
#define BROKEN      (-2) /* the error is explained */

struct zonescan {
    int fd;
    char *path;
    uint64_t *budget;
    struct error *err; /* of the call under way */

    unsigned char chunk[CHUNK_BYTES];
    size_t chunk_at;
    size_t chunk_end;
    bool ended;
    size_t line_bytes; /* read of this line */
    unsigned line;     /* of the next byte */
    unsigned col;

    char *text; /* the entry's tokens, one behind the other */
    size_t text_length;
    size_t text_capacity;
    struct zonescan_token *tokens; /* their texts are set when the entry is whole */
    size_t *starts;                /* of each token in `text` */
    size_t token_count;
    size_t token_capacity;

    bool indented;
    unsigned depth; /* of parentheses */
    unsigned open_line;
    unsigned open_col;
};

static int fail(struct zonescan *scan, unsigned line, unsigned col, const char *what)
{
    (void)error_set_at(scan->err, -EINVAL, scan->path, line, col, "%s", what);
    return BROKEN;
}

static int fail_errno(struct zonescan *scan, int code)
{
    (void)error_set_at(scan->err, code, scan->path, scan->line, 0, "cannot read: %s",
                       strerror(-code));
    return BROKEN;
}

static int open_regular(const char *path, uint64_t budget, struct error *err)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not hold us */

    if (fd < 0) {
        return error_set_at(err, -errno, path, 0, 0, "cannot open: %s", strerror(errno));
    }
    int rc = 0;
    if (fstat(fd, &st) != 0) {
        rc = error_set_at(err, -errno, path, 0, 0, "cannot read: %s", strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        rc = error_set_at(err, -EINVAL, path, 0, 0, "is not a regular file");
    } else if ((uint64_t)st.st_size > budget) {
        rc = error_set_at(err, -EFBIG, path, 0, 0,
                          "a zone file and what it includes may hold at most 1 GiB");
    }
    if (rc < 0) {
        (void)close(fd);
        return rc;
    }
    return fd;
}

int zonescan_open(struct zonescan **out_scan, const char *path, uint64_t *budget, struct error *err)
{
    int fd = open_regular(path, *budget, err);

    if (fd < 0) {
        return fd;
    }
    struct zonescan *scan = calloc(1, sizeof(*scan));
    char *copy = strdup(path);
    if (scan == NULL || copy == NULL) {
        free(scan);
        free(copy);
        (void)close(fd);
        return error_set_at(err, -ENOMEM, path, 0, 0, "out of memory");
    }
    scan->fd = fd;
    scan->path = copy;
    scan->budget = budget;
    scan->line = 1;
    scan->col = 1;
    *out_scan = scan;
    return 0;
}

void zonescan_close(struct zonescan *scan)
{
    if (scan == NULL) {
        return;
    }
    (void)close(scan->fd);
    free(scan->path);
    free(scan->text);
    free(scan->tokens);
    free(scan->starts);
    free(scan);
}

/* ---- bytes ---- */

static int refill(struct zonescan *scan)
{
    ssize_t got;

    if (scan->ended) {
        return END;
    }
    do {
        got = read(scan->fd, scan->chunk, sizeof(scan->chunk));
    } while (got < 0 && errno == EINTR);
    if (got < 0) {
        return fail_errno(scan, -errno);
    }
    if ((uint64_t)got > *scan->budget) {
        return fail(scan, scan->line, scan->col,
                    "a zone file and what it includes may hold at most 1 GiB");
    }
    *scan->budget -= (uint64_t)got;
    scan->ended = got == 0;
    scan->chunk_at = 0;
    scan->chunk_end = (size_t)got;
    return got == 0 ? END : 0;
}

/* The next byte, which stays; or END or BROKEN. */
static int peek(struct zonescan *scan)
{
    if (scan->chunk_at == scan->chunk_end) {
        int rc = refill(scan);
        if (rc != 0) {
            return rc;
        }
    }
    int c = scan->chunk[scan->chunk_at];
    if (c == '\0') {
        return fail(scan, scan->line, scan->col, "a NUL byte; this is no text file");
    }
    if (c != '\n' && scan->line_bytes == ZONESCAN_LINE_MAX) {
        return fail(scan, scan->line, scan->col, "a line of more than 64 KiB");
    }
    return c;
}

/* Step over the byte that `peek` returned. */
static void step(struct zonescan *scan, int c)
{
    scan->chunk_at++;
    if (c == '\n') {
        scan->line++;
        scan->col = 1;
        scan->line_bytes = 0;
        return;
    }
    scan->line_bytes++;
    if ((c & 0xc0) != 0x80) { /* not inside a UTF-8 character */
        scan->col++;
    }
}

static bool is_blank(int c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\v' || c == '\f';
}

static int skip_comment(struct zonescan *scan)
{
    int c;

    while ((c = peek(scan)) >= 0 && c != '\n') {
        step(scan, c);
    }
    return c;
}

/* ---- tokens ---- */

static bool reserve_text(struct zonescan *scan)
{
    if (scan->text_length < scan->text_capacity) {
        return true;
    }
    size_t capacity = scan->text_capacity == 0 ? 1024 : scan->text_capacity * 2;
    char *text = realloc(scan->text, capacity);
    if (text == NULL) {
        return false;
    }
    scan->text = text;
    scan->text_capacity = capacity;
    return true;
}

static bool put_byte(struct zonescan *scan, int c)
{
    if (scan->text_length == ZONESCAN_ENTRY_MAX) {
        (void)fail(scan, scan->line, scan->col, "an entry of more than 512 KiB");
        return false;
    }
    if (!reserve_text(scan)) {
        (void)fail_errno(scan, -ENOMEM);
        return false;
    }
    scan->text[scan->text_length++] = (char)c;
    return true;
}

static bool reserve_token(struct zonescan *scan)
{
    if (scan->token_count < scan->token_capacity) {
        return true;
    }
    size_t capacity = scan->token_capacity == 0 ? 16 : scan->token_capacity * 2;
    struct zonescan_token *tokens = realloc(scan->tokens, capacity * sizeof(*tokens));
    if (tokens == NULL) {
        return false;
    }
    scan->tokens = tokens;
    size_t *starts = realloc(scan->starts, capacity * sizeof(*starts));
    if (starts == NULL) {
        return false;
    }
    scan->starts = starts;
    scan->token_capacity = capacity;
    return true;
}

static int begin_token(struct zonescan *scan)
{
    if (!reserve_token(scan)) {
        return fail_errno(scan, -ENOMEM);
    }
    scan->starts[scan->token_count] = scan->text_length;
    scan->tokens[scan->token_count++] = (struct zonescan_token){
        .line = scan->line,
        .col = scan->col,
    };
    return 0;
}

/* The byte behind a backslash, whatever it is but the end of the line. */
static int read_escaped(struct zonescan *scan)
{
    int c = peek(scan);

    if (c == BROKEN) {
        return BROKEN;
    }
    if (c == END || c == '\n') {
        return fail(scan, scan->line, scan->col, "a backslash at the end of the line");
    }
    step(scan, c);
    return put_byte(scan, c) ? 0 : BROKEN;
}

/* From the opening quote to the closing one. */
static int read_quoted(struct zonescan *scan)
{
    unsigned line = scan->line;
    unsigned col = scan->col;
    int c = '"';

    do {
        step(scan, c);
        if (!put_byte(scan, c) || (c == '\\' && read_escaped(scan) != 0)) {
            return BROKEN;
        }
        c = peek(scan);
        if (c == END || c == '\n') {
            return fail(scan, line, col, "a quote that is not closed on its line");
        }
    } while (c >= 0 && c != '"');
    if (c < 0) {
        return BROKEN;
    }
    step(scan, c);
    return put_byte(scan, c) ? 0 : BROKEN;
}

static bool ends_token(int c)
{
    return c < 0 || is_blank(c) || c == '\n' || c == ';' || c == '(' || c == ')';
}

/* A token: a quoted string, or what stands between white space (key="a b" is one). */
static int read_token(struct zonescan *scan)
{
    int c = peek(scan);
    bool quoted = c == '"';

    if (begin_token(scan) != 0) {
        return BROKEN;
    }
    while (!ends_token(c)) {
        if (c == '"') {
            if (read_quoted(scan) != 0) {
                return BROKEN;
            }
        } else {
            step(scan, c);
            if (!put_byte(scan, c) || (c == '\\' && read_escaped(scan) != 0)) {
                return BROKEN;
            }
        }
        if (quoted) {
            break;
        }
        c = peek(scan);
    }
    return c == BROKEN || !put_byte(scan, '\0') ? BROKEN : 0;
}

/* ---- entries ---- */

static int read_parenthesis(struct zonescan *scan, int c)
{
    if (c == '(') {
        if (scan->depth++ == 0) {
            scan->open_line = scan->line;
            scan->open_col = scan->col;
        }
    } else if (scan->depth-- == 0) {
        return fail(scan, scan->line, scan->col, "')' without '('");
    }
    step(scan, c);
    return 0;
}

/* Read up to the end of the entry; 1 when there is one, 0 at the end of the file. */
static int read_entry(struct zonescan *scan)
{
    for (;;) {
        int c = peek(scan);
        int rc = 0;
        if (scan->line_bytes == 0 && scan->depth == 0) {
            scan->indented = is_blank(c);
        }
        if (c == ';') {
            rc = skip_comment(scan) == BROKEN ? BROKEN : 0;
        } else if (c == '(' || c == ')') {
            rc = read_parenthesis(scan, c);
        } else if (is_blank(c)) {
            step(scan, c);
        } else if (c == '\n') {
            step(scan, c);
            if (scan->depth == 0 && scan->token_count > 0) {
                return 1;
            }
        } else if (c == END) {
            return scan->depth > 0
                       ? fail(scan, scan->open_line, scan->open_col, "'(' that is never closed")
                       : scan->token_count > 0;
        } else {
            rc = c == BROKEN ? BROKEN : read_token(scan);
        }
        if (rc == BROKEN) {
            return BROKEN;
        }
    }
}

/* Some editors put U+FEFF in front of a file. */
static void skip_byte_order_mark(struct zonescan *scan)
{
    if (peek(scan) == 0xef && scan->chunk_end >= 3 && scan->chunk[1] == 0xbb &&
        scan->chunk[2] == 0xbf) {
        scan->chunk_at = 3;
    }
}

int zonescan_next(struct zonescan *scan, struct zonescan_entry *out, struct error *err)
{
    scan->err = err;
    scan->text_length = 0;
    scan->token_count = 0;
    if (scan->line == 1 && scan->line_bytes == 0 && scan->chunk_end == 0) {
        skip_byte_order_mark(scan);
    }
    int rc = read_entry(scan);
    if (rc < 0) {
        return err->code;
    }
    for (size_t i = 0; i < scan->token_count; i++) {
        scan->tokens[i].text = scan->text + scan->starts[i];
    }
    *out = (struct zonescan_entry){
        .tokens = scan->tokens,
        .count = scan->token_count,
        .indented = scan->indented,
    };
    return rc;
}
