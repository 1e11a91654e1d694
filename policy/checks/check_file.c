/*
 * check_file - what stands in a file about the target?
 *
 * The file is somebody's word: a deploy script's, an operator's. It must be
 * there. Its first word decides, in any case of letters: "down" (the rest of
 * the line is the reason), "degraded" or "warning"; anything else, also
 * nothing, is up. It is read in the control loop at each interval, so it should
 * lie on a disk of this machine; what is no regular file (a FIFO would wait for
 * its writer) is not read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "policy/checks/attempt.h"
#include "policy/checks/check_file.h"
#include "policy/checks/plugin_output.h"

struct check_file {
    struct check_attempt attempt; /* first: the two are one object */
    uv_timer_t timer;             /* never started: an attempt needs a handle to close */
};

/* Does `text` begin with the word? Then `*rest` is behind it and what separates it. */
static bool take_word(const char *text, const char *word, const char **rest)
{
    size_t length = strlen(word);

    if (strncasecmp(text, word, length) != 0 ||
        (text[length] != '\0' && strchr(" \t\r\n:,;.-", text[length]) == NULL)) {
        return false;
    }
    *rest = text + length + strspn(text + length, " \t:,;.-");
    return true;
}

enum detect_outcome check_file_judge(const char *bytes, size_t size, char *out, size_t cap)
{
    char text[CHECK_FILE_BYTES + 1];
    struct plugin_verdict shown;
    const char *rest = "";
    enum detect_outcome outcome = DETECT_PASS;
    const char *usual = "up";

    size = size < CHECK_FILE_BYTES ? size : CHECK_FILE_BYTES;
    memcpy(text, bytes, size);
    text[size] = '\0';
    const char *start = text + strspn(text, " \t\r\n");
    if (take_word(start, "down", &rest)) {
        outcome = DETECT_STRONG;
        usual = "the file says down";
    } else if (take_word(start, "degraded", &rest) || take_word(start, "warning", &rest)) {
        outcome = DETECT_WARNING;
        usual = "the file says degraded";
    }
    size_t length = strcspn(rest, "\r\n");
    if (length == 0) {
        (void)snprintf(out, cap, "%s", usual);
        return outcome;
    }
    plugin_output_show(rest, length, shown.reason);
    (void)snprintf(out, cap, "%s: %s", usual, shown.reason);
    return outcome;
}

/* Read the beginning. Its size, or -errno; -EINVAL: no regular file. */
static ssize_t read_beginning(const char *path, char bytes[CHECK_FILE_BYTES])
{
    struct stat stat;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);

    if (fd < 0) {
        return -errno;
    }
    ssize_t size = -EINVAL;
    if (fstat(fd, &stat) == 0 && S_ISREG(stat.st_mode)) {
        size = read(fd, bytes, CHECK_FILE_BYTES);
        size = size < 0 ? -errno : size;
    }
    (void)close(fd);
    return size;
}

static void look(struct check_attempt *attempt, int code, const char *bytes, size_t size)
{
    char reason[CHECK_REASON_MAX];
    enum detect_outcome outcome;

    switch (code) {
    case 0:
        outcome = check_file_judge(bytes, size, reason, sizeof(reason));
        attempt_decide(attempt, outcome, false, reason);
        break;
    case -ENOENT:
    case -ENOTDIR:
        attempt_decide(attempt, DETECT_STRONG, false, "no file");
        break;
    case -EINVAL:
        attempt_decide(attempt, DETECT_VOID, false, "not a regular file");
        break;
    default: /* it may say anything, but not to us */
        (void)snprintf(reason, sizeof(reason), "cannot read the file: %s", strerror(-code));
        attempt_decide(attempt, DETECT_VOID, false, reason);
        break;
    }
}

static struct check_attempt *start(uv_loop_t *loop, const struct health_probe *probe,
                                   check_done *done, void *user, int *out_error)
{
    struct check_file *file = calloc(1, sizeof(*file));
    char bytes[CHECK_FILE_BYTES];

    if (file == NULL) {
        *out_error = UV_ENOMEM;
        return NULL;
    }
    attempt_begin(&file->attempt, &check_file_kind, loop, probe, done, user);
    (void)uv_timer_init(loop, &file->timer);
    attempt_hold(&file->attempt, (uv_handle_t *)&file->timer);
    ssize_t size = read_beginning(probe->check->file, bytes);
    if (size == -EMFILE || size == -ENFILE || size == -ENOMEM) {
        attempt_cancel(&file->attempt);
        *out_error = (int)size;
        return NULL;
    }
    look(&file->attempt, size < 0 ? (int)size : 0, bytes, size < 0 ? 0 : (size_t)size);
    return &file->attempt;
}

static void release(struct check_attempt *attempt)
{
    free(attempt);
}

const struct check_kind check_file_kind = {
    .name = "file",
    .start = start,
    .cancel = attempt_cancel,
    .release = release,
};
