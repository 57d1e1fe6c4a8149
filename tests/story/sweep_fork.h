/* sweep_fork.h - how is a farm that stands played on, and what if it ends the program? In a child
 * process that begins where the parent stands, and whose end, even a crash, is the parent's to see.
 */
#ifndef TESTS_STORY_SWEEP_FORK_H
#define TESTS_STORY_SWEEP_FORK_H

#include "proto/base/cas.h"

/* Memory that children and their parent see alike, zeroed. Never given back. */
void *fork_shared(size_t size);
typedef void fork_body(void *context);
/* Runs body in a child, which then ends. Returns the child. */
long fork_begin(fork_body *body, void *context);
/* In the child: one that turns in circles ends as one that crashed, minutes from now. */
void fork_alarm(void);
/* Waits until it has ended. False: of a signal, or saying that something is wrong. */
bool fork_end(long child);
/* Seconds of a clock that only goes on. */
double fork_seconds(void);

#endif
