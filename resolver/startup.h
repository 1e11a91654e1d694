#pragma once
/*
 * startup - which configuration a start runs
 *
 * The file's, or the last accepted one where the file does not load or is an
 * older plan than that. Control thread.
 */
#include "resolver/control.h"

struct config_report;
struct model;

/* The file to take: the one named, else the first that is there; NULL: none. */
const char *startup_find(const struct control_options *options);

/* Read the file. -errno, and then the report says why. */
int startup_read(struct control *control, struct model **out, struct config_report *report);

/* Load what the start runs. -errno when there is nothing; already told then. */
int startup_load(struct control *control, struct model **out);

/* Write a report to stderr. */
void startup_print(const struct config_report *report);
