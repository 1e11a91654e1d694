#pragma once
/*
 * check_push - the board that push checks read, and what they are called there
 *
 * A process has one board: reports outlive configurations. Control thread.
 */
#include "policy/checks/push_board.h"
#include "policy/health.h"

/* The board, made at the first call; NULL when memory is out. */
struct push_board *check_push_board(void);

/*
 * The name that `probe` is reported by: its check's, or of one written in a
 * service the service's. NULL when the probe is no push check or has none.
 */
const char *check_push_name(const struct health_probe *probe);

/* Is a report for `target`, NAME or NAME/ADDRESS, about this probe? */
bool check_push_is_about(const struct health_probe *probe, const char *target);
