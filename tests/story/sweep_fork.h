/* sweep_fork.h - how is a farm that stands played on, and what if it ends the program? In a child
 * process that begins where the parent stands, and whose end, even a crash, is the parent's to see.
 */
#ifndef TESTS_STORY_SWEEP_FORK_H
#define TESTS_STORY_SWEEP_FORK_H

#include "proto/base/cas.h"

struct fork_home { /* the parent, to the child */
    int pipe;
};
struct fork_child {
    long pid;
    int pipe;
};
typedef void fork_body(void *context, const struct fork_home *home);
/* Runs body in a child, which then ends. */
struct fork_child fork_begin(fork_body *body, void *context);
/* In the child: so many bytes for one fork_take. Waits while the parent has some 64 KiB to take. */
void fork_send(const struct fork_home *home, const void *bytes, size_t size);
/* In the child: one that turns in circles ends as one that crashed, minutes from now. */
void fork_alarm(void);
/* Waits for it. False: the child has ended before it sent them all. */
bool fork_take(const struct fork_child *child, void *ret_bytes, size_t size);
void fork_end(struct fork_child *child);
/* Seconds of a clock that only goes on. */
double fork_seconds(void);

#endif
