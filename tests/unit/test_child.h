/* test_child.h - what if the process dies right here? For tests only. */
#ifndef TESTS_UNIT_TEST_CHILD_H
#define TESTS_UNIT_TEST_CHILD_H

/* Runs it in a process of its own and waits: 0 .. 255 the exit code (0 when run returns), 256 + the
 * signal that ended it. */
int test_child(void (*run)(void *context), void *context);

#endif
