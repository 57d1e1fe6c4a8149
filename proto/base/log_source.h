/* log_source.h - what of the log does the system's own log get?
 *
 * Windows: the Application log, source casfleet-agent; errors, warnings, start and stop. The texts
 * are a message table in the program, made of events.def by agent/windows/events_mc.py; an event's
 * id is its number there, with the severity in the two highest bits. Elsewhere nothing: what starts
 * the program keeps its stderr. Used by log.c, and by the program that is installed as a service.
 */
#ifndef PROTO_BASE_LOG_SOURCE_H
#define PROTO_BASE_LOG_SOURCE_H

#include "proto/base/log.h"

#define LOG_SOURCE_NAME "casfleet-agent"

/* From here on the system's log is told. On Windows without a registered source the lines come with
 * a note of the viewer that their text was not found. CAS_ERR_UNSUPPORTED elsewhere. */
CAS_CHECK enum cas_err log_source_start(struct cas_why *why);
void log_source_stop(void);

/* Makes the source known; program is the path of the one whose message table has the texts. Needs
 * the rights of an administrator: CAS_ERR_DENIED. Doing it again is fine. */
CAS_CHECK enum cas_err log_source_register(const char *program, struct cas_why *why);
/* Fine when there is none. */
CAS_CHECK enum cas_err log_source_remove(struct cas_why *why);

/* For log.c: one line, its facts without time, level and name. Never fails to the caller: the line
 * goes to the file too. */
void log_source_tell(const struct log_event_row *row, const char *words);
/* In log.c, the same everywhere: */
uint32_t log_source_id(const struct log_event_row *row);
bool log_source_is_wanted(const struct log_event_row *row);

#endif
