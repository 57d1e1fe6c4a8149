/* sweep_heap.h - how does a process go back to where it stood, to play on from there once more?
 *
 * What a program remembers is on its heap and in the variables of its own and of its libraries.
 * Both are kept at a mark and put back: some megabytes, or what of them was written, where the
 * kernel tells. A child process a seed costs ten times that in pages touched for the first time.
 * libc's own variables stay as they are: what it keeps on the heap beyond a call (the buffer of
 * stdout, the zone of the clock) is made before the first mark. Memory mapped by somebody else
 * (keys under guard) stays as it is too. */
#ifndef TESTS_STORY_SWEEP_HEAP_H
#define TESTS_STORY_SWEEP_HEAP_H

#include "proto/base/cas.h"

/* Once, before anything worth keeping. False: this build cannot (sanitizers have a heap of their
 * own). */
bool heap_begin(void);
/* Memory that heap_back leaves alone, zeroed: marks, and pages of disks that nobody writes over.
 * Never given back; all of it together has a bound. */
void *heap_outside(size_t size);

struct heap_mark;
/* As it is now. Of heap_outside. */
struct heap_mark *heap_mark(void);
/* All pointers into what was made since are void, and the caller's own variables on the stack are
 * as he left them. */
void heap_back(const struct heap_mark *mark);
/* In a child process that will go back to one mark many times: the kernel (6.7 and later) notes
 * which pages are written, and only these are put back from then on. Where it cannot, all are. */
void heap_watch(void);

#endif
