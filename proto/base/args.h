/* args.h - what was typed after the program's name, and what does the environment say, as UTF-8?
 *
 * One door, one file a system: args_posix.c, args_windows.c. Used by the programs that run on both.
 */
#ifndef PROTO_BASE_ARGS_H
#define PROTO_BASE_ARGS_H

#include "proto/base/cas.h"

/* First of all in main: puts the arguments as UTF-8 in place of main's own where the system hands
 * main something else; they last as long as the process. Standard output and error then carry the
 * bytes as they are written: UTF-8, lines ending in a line feed alone, so that what a script reads
 * is the same everywhere. Standard output is to be flushed where a person waits for it.
 * CAS_ERR_NOMEM; CAS_ERR_TOO_LONG an argument; CAS_ERR_IO the system does not hand them over. */
CAS_CHECK enum cas_err args_utf8(int *argc, char ***argv, struct cas_why *why);

/* A variable of the environment as UTF-8; NULL when it is not set, or is longer than
 * ARGS_VALUE_BYTES. Borrowed until the next call. */
const char *args_environment(const char *name);

#endif
