/* hold.h - may this server be touched now, or have its own people said no?
 *
 * A small file in the agent's state folder: casfleet-agent hold and release write it, the running
 * agent reads it at every look and before every promise. It beats every plan. Touches that one file
 * and nothing else. Used by the agent's loop and by the two words of the command line. */
#ifndef AGENT_HOLD_HOLD_H
#define AGENT_HOLD_HOLD_H

#include "proto/base/cas.h"

#define HOLD_FILE "hold" /* its name in the state folder */

struct hold {
    bool is_held;              /* false: never held, or released */
    char reason[REASON_BYTES]; /* the words of whoever held it; "" once released */
    char by[CAS_NAME_BYTES];   /* the system's user who said it last */
    int64_t since_ms;          /* wall clock; 0 not known */
};

/* No file: not held. A file that cannot be read or understood counts as held, and reason says what
 * is wrong with it: a veto does not end by an accident. Never fails. */
void hold_read(const char *path, struct hold *ret_hold);
/* The same for a file's text, as found at path. */
void hold_parse(const char *path, struct cas_slice text, struct hold *ret_hold);
/* Plain text, 1 to REASON_BYTES - 1 bytes, not blank. CAS_ERR_MISSING, CAS_ERR_TOO_LONG,
 * CAS_ERR_FORMAT. */
CAS_CHECK enum cas_err hold_check_reason(struct cas_slice reason, struct cas_why *why);
/* Old or new content, never half, on disk when it returns. Errors of hold_check_reason when held,
 * and of file_write. */
CAS_CHECK enum cas_err hold_write(const char *path, const struct hold *hold, struct cas_why *why);
/* "held by alice: replacing a fan", for the NACK and for people. */
void hold_words(const struct hold *hold, struct cas_text *text);

#endif
