#include "proto/base/clock.h"

#include <windows.h>

#include "proto/base/cas.h"

enum {
    TICKS_PER_US = 10 /* a FILETIME counts 100 ns */
};
static const int64_t epoch_ticks = 116444736000000000; /* from 1601 to 1970 */

static int64_t ticks_of(FILETIME time)
{
    return (int64_t)((uint64_t)time.dwHighDateTime << 32 | time.dwLowDateTime);
}

/* Unbiased: without the time a machine sleeps, as CLOCK_MONOTONIC counts on Linux. It moves with
 * the system's tick, every 1 to 16 ms, which is what waiting is rounded to as well. */
struct cas_now clock_now(void)
{
    FILETIME wall;
    ULONGLONG mono = 0;
    GetSystemTimePreciseAsFileTime(&wall);
    CAS_ASSERT(QueryUnbiasedInterruptTime(&mono) != 0);
    return (struct cas_now){.wall_ms = (ticks_of(wall) - epoch_ticks) / TICKS_PER_US / 1000,
                            .mono_ms = (int64_t)mono / TICKS_PER_US / 1000};
}

int64_t clock_cpu_us(void)
{
    FILETIME made, ended, kernel, user;
    CAS_ASSERT(GetProcessTimes(GetCurrentProcess(), &made, &ended, &kernel, &user) != 0);
    return (ticks_of(kernel) + ticks_of(user)) / TICKS_PER_US;
}
