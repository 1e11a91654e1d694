#include "policy/checks/check_quote.h"

#include <string.h>

#define SHOWN 40

const char *check_quote(const char *bytes, size_t size, char out[CHECK_QUOTE_MAX])
{
    size_t shown = size < SHOWN ? size : SHOWN;

    /* back to the beginning of the letter that would be cut */
    while (shown < size && shown > 0 && ((unsigned char)bytes[shown] & 0xc0) == 0x80) {
        shown--;
    }
    for (size_t i = 0; i < shown; i++) {
        unsigned char c = (unsigned char)bytes[i];
        out[i] = c < ' ' || c == 0x7f ? '.' : bytes[i];
    }
    memcpy(out + shown, "...", 4);
    if (shown == size) {
        out[shown] = '\0';
    }
    return out;
}
