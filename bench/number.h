#pragma once
/*
 * number - what stands on the command line of a bench program
 */

/* A whole number from `least` to `most`; dies when it is none. */
unsigned long number_read(const char *text, unsigned long least, unsigned long most);
