#pragma once
/*
 * die - how a bench program ends when it cannot go on
 */

/* Prints the program's name and the message on standard error; exits with status 1. */
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
