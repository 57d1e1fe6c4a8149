/* test_heap.h - how much heap does a call take at most?
 *
 * Counts what malloc, calloc and realloc give out in the whole program, libraries included, between
 * watch and seen. One watch at a time; from glibc, or from the address sanitizer when it is in. */
#ifndef TESTS_UNIT_TEST_HEAP_H
#define TESTS_UNIT_TEST_HEAP_H

#include <stddef.h>

struct test_heap {
    size_t most_bytes;    /* taken and not given back, at its highest */
    size_t biggest_bytes; /* the largest single piece asked for */
    size_t left_bytes;    /* taken and never given back */
    size_t piece_n;
};

void test_heap_watch(void);
struct test_heap test_heap_seen(void); /* ends the watch */

#endif
