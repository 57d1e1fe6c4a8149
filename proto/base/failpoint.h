/* failpoint.h - what if the program died, or its disk failed, exactly here?
 *
 *     enum cas_err err = CAS_FAILPOINT("ledger.intent");
 *     if (err != CAS_OK)
 *         return err;
 *
 * Built in by CASFLEET_FAILPOINTS only (tests); otherwise the constant CAS_OK, which compiles to
 * nothing. The environment decides: CASFLEET_FAILPOINT=ledger.intent:3:kill[,NAME:N:WHAT...] - at
 * the third passage the process is killed; eio and enospc make the macro yield CAS_ERR_IO and
 * CAS_ERR_FULL. N+ means that passage and all later. A setting that cannot be read ends the
 * program: a test must not pass because nothing failed. */
#ifndef PROTO_BASE_FAILPOINT_H
#define PROTO_BASE_FAILPOINT_H

#include "proto/base/cas.h"

#ifdef CASFLEET_FAILPOINTS
#define CAS_FAILPOINT(name) failpoint_pass(name)
#else
#define CAS_FAILPOINT(name) CAS_OK
#endif

CAS_CHECK enum cas_err failpoint_pass(const char *name);
/* Reads this setting in place of the environment's; NULL for none. For tests. */
void failpoint_set(const char *setting);
/* How often a point of the setting was passed since it was read; 0 for one that is not in it. */
int64_t failpoint_passages(const char *name);
/* Ends the process at once, without clean-up. In failpoint_posix.c. */
void failpoint_kill(void) __attribute__((noreturn));

#endif
