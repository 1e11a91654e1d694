#include "policy/checks/push_board.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <uthash.h>

#define FORGET_MS 3600000u /* what expired so long ago makes room when there is none */

struct entry {
    UT_hash_handle hh;
    enum push_state state;
    bool reported;
    uint64_t at_ms; /* of the report, or of the first look */
    uint64_t until_ms;
    char message[PUSH_BOARD_MESSAGE_MAX];
    char name[];
};

struct push_board {
    struct entry *entries;
    void (*listener)(void *user, const char *target);
    void *user;
};

static const char *const state_names[] = {
    [PUSH_UP] = "up",
    [PUSH_DEGRADED] = "degraded",
    [PUSH_DOWN] = "down",
};

const char *push_state_name(enum push_state state)
{
    return state_names[state];
}

bool push_state_parse(const char *word, enum push_state *out)
{
    for (unsigned i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++) {
        if (strcmp(word, state_names[i]) == 0) {
            *out = (enum push_state)i;
            return true;
        }
    }
    return false;
}

struct push_board *push_board_new(void)
{
    return calloc(1, sizeof(struct push_board));
}

static void remove_entry(struct push_board *board, struct entry *entry)
{
    HASH_DEL(board->entries, entry);
    free(entry);
}

void push_board_free(struct push_board *board)
{
    struct entry *entry;
    struct entry *next;

    if (board == NULL) {
        return;
    }
    HASH_ITER(hh, board->entries, entry, next)
    {
        remove_entry(board, entry);
    }
    free(board);
}

void push_board_listen(struct push_board *board, void (*listener)(void *user, const char *target),
                       void *user)
{
    board->listener = listener;
    board->user = user;
}

static struct entry *find(const struct push_board *board, const char *name)
{
    struct entry *entry;

    HASH_FIND_STR(board->entries, name, entry);
    return entry;
}

/* Forget what nobody has reported or asked for in a long time. */
static void make_room(struct push_board *board, uint64_t now_ms)
{
    struct entry *entry;
    struct entry *next;

    HASH_ITER(hh, board->entries, entry, next)
    {
        if (entry->until_ms + FORGET_MS <= now_ms) {
            remove_entry(board, entry);
        }
    }
}

/* -errno: see push_board_report. */
static int add(struct push_board *board, const char *name, uint64_t now_ms, struct entry **out)
{
    size_t length = strlen(name);

    if (length >= PUSH_BOARD_NAME_MAX) {
        return -ENAMETOOLONG;
    }
    if (HASH_COUNT(board->entries) >= PUSH_BOARD_TARGETS_MAX) {
        make_room(board, now_ms);
    }
    if (HASH_COUNT(board->entries) >= PUSH_BOARD_TARGETS_MAX) {
        return -ENOSPC;
    }
    struct entry *entry = calloc(1, sizeof(*entry) + length + 1);
    if (entry == NULL) {
        return -ENOMEM;
    }
    memcpy(entry->name, name, length + 1);
    HASH_ADD_STR(board->entries, name, entry);
    *out = entry;
    return 0;
}

int push_board_report(struct push_board *board, const char *target, enum push_state state,
                      uint32_t ttl_ms, const char *message, uint64_t now_ms)
{
    struct entry *entry = find(board, target);

    if (entry == NULL) {
        int rc = add(board, target, now_ms, &entry);
        if (rc < 0) {
            return rc;
        }
    }
    entry->reported = true;
    entry->state = state;
    entry->at_ms = now_ms;
    entry->until_ms = now_ms + ttl_ms;
    (void)snprintf(entry->message, sizeof(entry->message), "%s", message);
    if (board->listener != NULL) {
        board->listener(board->user, target);
    }
    return 0;
}

/* The newest of the two that was reported: the endpoint's own goes first while it holds. */
static const struct entry *find_report(const struct push_board *board, const char *name,
                                       const char *address, uint64_t now_ms)
{
    char own_name[PUSH_BOARD_NAME_MAX];
    const struct entry *whole = find(board, name);
    const struct entry *own = NULL;

    if (address != NULL) {
        int length = snprintf(own_name, sizeof(own_name), "%s/%s", name, address);
        if (length > 0 && (size_t)length < sizeof(own_name)) {
            own = find(board, own_name);
        }
    }
    if (whole != NULL && !whole->reported) {
        whole = NULL;
    }
    if (own == NULL || whole == NULL) {
        return own == NULL ? whole : own;
    }
    return now_ms < own->until_ms || own->until_ms >= whole->until_ms ? own : whole;
}

/* Never reported: the wait began with the first look. */
static void look_in_vain(struct push_board *board, const char *name, uint32_t ttl_ms,
                         uint64_t now_ms, struct push_view *out)
{
    struct entry *entry = find(board, name);

    if (entry == NULL && add(board, name, now_ms, &entry) == 0) {
        entry->at_ms = now_ms;
    }
    if (entry != NULL) {
        entry->until_ms = now_ms > entry->at_ms + ttl_ms ? now_ms : entry->at_ms + ttl_ms;
    }
    out->age_ms = entry == NULL ? 0 : now_ms - entry->at_ms;
    /* one for which there is no room is not blamed for it */
    out->standing = entry == NULL || out->age_ms < ttl_ms ? PUSH_AWAITED : PUSH_MISSING;
    out->state = PUSH_UP;
    out->message = "";
}

void push_board_look(struct push_board *board, const char *name, const char *address,
                     uint32_t ttl_ms, uint64_t now_ms, struct push_view *out)
{
    const struct entry *entry = find_report(board, name, address, now_ms);

    if (entry == NULL) {
        look_in_vain(board, name, ttl_ms, now_ms, out);
        return;
    }
    out->standing = now_ms < entry->until_ms ? PUSH_REPORTED : PUSH_EXPIRED;
    out->state = entry->state;
    out->age_ms = now_ms - entry->at_ms;
    out->message = entry->message;
}
