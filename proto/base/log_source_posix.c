#include "proto/base/log_source.h"

enum cas_err log_source_start(struct cas_why *why)
{
    return cas_fail(why, CAS_ERR_UNSUPPORTED, "this system has no event log to write to");
}

void log_source_stop(void)
{
}

enum cas_err log_source_register(const char *program, struct cas_why *why)
{
    return cas_fail(why,
                    CAS_ERR_UNSUPPORTED,
                    "%s: this system has no event log to be known in",
                    program);
}

enum cas_err log_source_remove(struct cas_why *why)
{
    (void)why;
    return CAS_OK;
}

void log_source_tell(const struct log_event_row *row, const char *words)
{
    (void)row;
    (void)words;
}
