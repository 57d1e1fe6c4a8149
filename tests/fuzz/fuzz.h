/* fuzz.h - what does a fuzz target look like?
 *
 * One function that takes any bytes and may not crash, leak or hang; libFuzzer, or
 * fuzz_replay_main, calls it. */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* The name is libFuzzer's. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
