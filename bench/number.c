#include "bench/number.h"

#include <stdlib.h>

#include "bench/die.h"

unsigned long number_read(const char *text, unsigned long least, unsigned long most)
{
    char *end;
    unsigned long value = strtoul(text, &end, 10);

    if (*text < '0' || *text > '9' || *end != '\0' || value < least || value > most) {
        die("%s is not a number from %lu to %lu", text, least, most);
    }
    return value;
}
