/* sweep_fork.h - how is a farm that stands played on many times? Each time in a child process that
 * begins where the parent stands, and whose end, even a crash, is the parent's to see. */
#ifndef TESTS_STORY_SWEEP_FORK_H
#define TESTS_STORY_SWEEP_FORK_H

#include "proto/base/cas.h"

/* Sets the heap up for many short lives; once, before the first farm stands. */
void fork_heap(void);
/* Fills ret_result[size] in the child. */
typedef void fork_body(void *context, void *ret_result);
struct fork_child {
    long pid;
    int pipe;
};
struct fork_child fork_begin(fork_body *body, void *context, size_t size);
/* Waits for it. False: it has ended without a result. */
bool fork_end(struct fork_child *child, void *ret_result, size_t size);
/* Seconds of a clock that only goes on. */
double fork_seconds(void);

#endif
