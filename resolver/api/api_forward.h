#pragma once
/*
 * api_forward - what `status` says of names that are not ours: cache, questions, upstreams
 *
 * The service loop tells its numbers while the control thread waits for it.
 */
struct control;
struct json_writer;

/*
 * Add "cache", "forward" and "upstreams" to an open object; see docs/api.md.
 * Control thread.
 */
void api_forward_put(struct control *control, struct json_writer *json);
