/* clock.h - what time is it? Called by loops and programs only; rooms take struct cas_now as a
 * value. */
#ifndef PROTO_BASE_CLOCK_H
#define PROTO_BASE_CLOCK_H

#include <stdint.h>

struct cas_now {
    int64_t wall_ms; /* UTC since 1970; may jump */
    int64_t mono_ms; /* never goes back; start is arbitrary */
};

struct cas_now clock_now(void);
int64_t clock_cpu_us(void); /* CPU time used by this process, for measurements */

#endif
