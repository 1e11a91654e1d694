#pragma once
/*
 * notify - tells the service manager how the program stands (sd_notify's protocol)
 *
 * Without NOTIFY_SOCKET in the environment it does nothing.
 */

/* Send a state such as "READY=1". Failures are ignored: nobody is there to care. */
void notify_send(const char *state);
