#pragma once
/*
 * reload_step - what of a reload is done beside the control loop
 *
 * Reading a file, comparing it, building its generation with the databases it
 * names and keeping it on disk take seconds where there are very many services
 * or a database does not let itself be read; the checks go on meanwhile. A
 * step runs on a thread of the loop's pool, one at a time. While it does it has
 * the members of `reload` that it fills for itself, and the generation in
 * force stays in force. `after` is called on the loop. Control thread.
 */
struct control;

typedef void reload_step_after(struct control *control);

/* Read the file, or of a rebuild the text in force: `model` or `report`, by `rc`. */
void reload_step_read(struct control *control, reload_step_after *after);

/* What `model` would change by what the inquiry has seen: `review`, NULL when memory is out. */
void reload_step_compare(struct control *control, reload_step_after *after);

/* Build the snapshot of `model` and `binding`: `fresh` or `err`, by `rc`. */
void reload_step_build(struct control *control, reload_step_after *after);

/* Keep `saved`, which is in force, as what was accepted last. */
void reload_step_save(struct control *control, reload_step_after *after);
