#pragma once
/*
 * check_pattern - regular expressions that probes look for, compiled once
 *
 * Compiling takes longer than many a probe, so the ones in use are kept: the
 * last thousand. Control loop only.
 */
#include <stddef.h>

/*
 * Does `pattern`, POSIX extended, match somewhere in the `size` bytes at
 * `bytes`? Zero bytes among them end nothing; one must stand behind them, for
 * memory checkers take regexec(3) at its word. "." matches line ends too, "^"
 * and "$" only the ends of it all. 1 or 0; -ENOMEM when memory is out, -EINVAL
 * when it is no pattern.
 */
int check_pattern_match(const char *pattern, const char *bytes, size_t size);

/* Forget them all. */
void check_pattern_clear(void);
