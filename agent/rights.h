/* rights.h - could somebody who is no administrator change what the service runs, or its state?
 *
 * Judges lists of rights that rights_windows.c reads, one row an entry. Pure. Used by
 * rights_windows.c. */
#ifndef AGENT_RIGHTS_H
#define AGENT_RIGHTS_H

#include "proto/base/cas.h"

/* What the list belongs to. */
enum rights_place {
    RIGHTS_FILE,
    RIGHTS_FOLDER, /* the file's own: whoever may put something there is loaded with it */
    RIGHTS_ABOVE   /* further up: what lies there must not be moved away or replaced */
};
enum rights_kind {
    RIGHTS_GRANT,
    RIGHTS_DENIAL,
    RIGHTS_UNKNOWN /* a rule this program does not read */
};
struct rights_row {
    enum rights_kind kind;
    bool is_for_heirs; /* says nothing of the object itself */
    uint32_t mask;     /* as Windows has it: ACCESS_MASK */
    const char *sid;   /* "S-1-5-18" */
};

/* SYSTEM, the administrators, TrustedInstaller: who may anything anyway. */
bool rights_is_trusted(const char *sid);
bool rights_row_is_loose(enum rights_place place, const struct rights_row *row);

#endif
