#pragma once
/*
 * zonecut - which zone every loaded name belongs to
 *
 * Between loading and compiling: a name belongs to the nearest zone of ours
 * above it. What the file of a zone above says about a zone below (its NS set
 * and glue) is dropped, what it may not say is refused, and the names between
 * get nodes. One thread.
 */
#include "base/error.h"

struct namespace;

/* 0, or -EINVAL, explained with its place. */
int zonecut_settle(struct namespace *ns, struct error *err);
