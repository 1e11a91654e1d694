#pragma once
/*
 * questions - what bench-load asks, ready for the wire
 *
 * Read once, then only read from.
 */
#include <stddef.h>
#include <stdint.h>

enum {
    QUESTION_MAX = 255 + 4, /* a name, a type, a class */
};

/* What a right answer is. */
enum expect {
    EXPECT_NOERROR, /* with records */
    EXPECT_NODATA,  /* without */
    EXPECT_NXDOMAIN,
    EXPECT_SERVFAIL,
    EXPECT_REFUSED,
};

struct question {
    uint8_t wire[QUESTION_MAX]; /* what stands behind the header */
    uint16_t size;
    uint8_t expect; /* enum expect */
};

struct questions {
    struct question *list;
    size_t count;
};

/*
 * Read the file at `path`, one `NAME TYPE [EXPECTED]` a line, into `questions`,
 * which must be zeroed. Ends the program with file and line when that fails.
 * questions_free gives the memory back.
 */
void questions_read(struct questions *questions, const char *path);

/* Puts them into another order, the same for the same seed on every machine. */
void questions_shuffle(struct questions *questions, uint64_t seed);

/* Does nothing to a zeroed object. */
void questions_free(struct questions *questions);
