/* place.h - where do things lie on this system, and what is read here by default?
 *
 * One door, one file a system: place_posix.c, place_windows.c. Used by the agent's program files.
 */
#ifndef AGENT_PLACE_H
#define AGENT_PLACE_H

#include "proto/base/options.h"

struct place {
    char config[OPTIONS_PATH_BYTES]; /* the file read when none is named */
    char state[OPTIONS_PATH_BYTES];  /* folder of key, journal, outbox and lock */
    const char *host;                /* what the server is read through */
    bool is_one;                     /* one agent a server: the lock lies in state above */
    bool is_windows;                 /* a Windows server can be read from here */
    char separator;                  /* between a folder and what is in it */
};
/* The same at every call. */
const struct place *place_here(void);
/* Makes the state folder, for this system's privileged users alone, and where is_one the default
 * one too; fine when it exists and is theirs. Folders above it are made where the system's default
 * has them. Errors of file_folder; CAS_ERR_MODE: others made it or could change what is in it. */
CAS_CHECK enum cas_err place_state_make(const char *path, struct cas_why *why);
/* Who runs this program, by the system's own list, as plain text: "alice", "root (sudo by alice)",
 * a domain and its user; cut where it is longer, a number or "unknown" where it has no name. */
void place_user(char ret_user[CAS_NAME_BYTES]);

#endif
