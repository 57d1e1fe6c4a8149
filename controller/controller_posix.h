/* controller_posix.h - what does the controller ask of the system it runs on?
 *
 * Signals and a nap; the controller runs on POSIX systems only. Used by controller_main.c. */
#ifndef CONTROLLER_CONTROLLER_POSIX_H
#define CONTROLLER_CONTROLLER_POSIX_H

#include <stdbool.h>
#include <stdint.h>

/* From here on SIGTERM and SIGINT ask for an end, SIGHUP for the operators file to be read again, a
 * closed pipe does not end the program, and files made are for its user alone. false: the system
 * does not let signals be handled. */
bool controller_signals_take(void);
bool controller_is_ending(void);
/* true once for any number of SIGHUPs since the last call. */
bool controller_wants_reload(void);
/* As many descriptors as the system allows this process: each agent takes one, and the usual limit
 * is 1,024. */
void controller_files_raise(void);
/* Memory freed by one thread is used by the other again: frames are made in libzmq's thread and
 * freed in ours. */
void controller_memory_share(void);
/* Sleeps so long, or until a signal. */
void controller_nap(int64_t nap_ms);

#endif
