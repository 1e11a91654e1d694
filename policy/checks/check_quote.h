#pragma once
/*
 * check_quote - a part of what was expected or came, fit for a reason
 *
 * Pure functions, any thread.
 */
#include <stddef.h>

#define CHECK_QUOTE_MAX 48

/*
 * The first 40 bytes of `size` at `bytes`, "..." behind them when there are
 * more; what is not printable becomes a dot, and no UTF-8 letter is cut.
 */
const char *check_quote(const char *bytes, size_t size, char out[CHECK_QUOTE_MAX]);
