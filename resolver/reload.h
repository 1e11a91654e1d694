#pragma once
/*
 * reload - one generation after another
 *
 * A file taken again, or the same configuration with other addresses of its
 * host names. Both go the same way: addresses of new names are waited for, new
 * targets are probed, and when their first results are in, or their time is
 * up, the new generation replaces the old one; or it does not, and the old one
 * goes on. The part of control that control_reload begins. Control thread.
 */
struct control;
struct model;

/* The first generation answers: wait for its first results, then be ready. */
void reload_wait_at_start(struct control *control);

/* Addresses have changed: take them soon. */
void reload_addresses(struct control *control);

/* The file has changed, or somebody who need not be told wants it taken. */
void reload_file(struct control *control);

/* The server stops: what is on its way comes to nothing, and who asked for it hears so. */
void reload_abandon(struct control *control);
