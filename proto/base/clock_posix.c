#include "proto/base/clock.h"

#include <time.h>

#include "proto/base/cas.h"

static int64_t read_us(clockid_t clock)
{
    struct timespec at = {0};
    CAS_ASSERT(clock_gettime(clock, &at) == 0);
    return (int64_t)at.tv_sec * 1000000 + at.tv_nsec / 1000;
}

struct cas_now clock_now(void)
{
    return (struct cas_now){.wall_ms = read_us(CLOCK_REALTIME) / 1000,
                            .mono_ms = read_us(CLOCK_MONOTONIC) / 1000};
}

int64_t clock_cpu_us(void)
{
    return read_us(CLOCK_PROCESS_CPUTIME_ID);
}
