/* quote.h - how do arguments become one command line that the program takes apart into the same
 * ones?
 *
 * Windows hands a program one line of text; each program cuts it itself. What is made here reads
 * the same to CommandLineToArgvW and to the start of a C program, old and new runtimes alike. It is
 * nothing for a command shell, and none of ours starts one. Pure. Used by host_windows_tool.c. */
#ifndef AGENT_HOST_QUOTE_H
#define AGENT_HOST_QUOTE_H

#include "proto/base/cas.h"

enum {
    QUOTE_LINE_UNITS = 32767,                /* CreateProcessW: UTF-16 units with the ending one */
    QUOTE_LINE_BYTES = 3 * QUOTE_LINE_UNITS, /* as UTF-8: three bytes a unit at most */
};

/* program is the full path of an .exe on a drive, so that neither a search path nor a command shell
 * (which takes .cmd and .bat) comes into play. argument ends with NULL; UTF-8 without control
 * characters. Source of the rules: Microsoft, "Parsing C command-line arguments", and R. Chen,
 * devblogs.microsoft.com/oldnewthing/20100917-00, both read 2026-11.
 * CAS_ERR_FORMAT    a path that is not full, no .exe or has a quote in it; text that is no clean
 *                   UTF-8
 * CAS_ERR_TOO_LONG  above QUOTE_LINE_UNITS or cap */
CAS_CHECK enum cas_err quote_line(const char *program,
                                  const char *const *argument,
                                  char *ret_line,
                                  size_t cap,
                                  struct cas_why *why);

#endif
