#pragma once
/*
 * check_file - what the contents of a file say; pure
 */
#include <stddef.h>

#include "policy/detect.h"

#define CHECK_FILE_BYTES 256 /* of the beginning; more is not looked at */

/* Judge the beginning of a file: the outcome, and why in `out`, terminated. */
enum detect_outcome check_file_judge(const char *bytes, size_t size, char *out, size_t cap);
