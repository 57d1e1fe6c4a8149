/* rights_windows.h - can administrators alone change what lies at a path? Included by *_windows*.c
 * of the program only. */
#ifndef AGENT_RIGHTS_WINDOWS_H
#define AGENT_RIGHTS_WINDOWS_H

#include "agent/rights.h"

/* The file with its folder, or the folder, and what is above up to the root of the drive: owners,
 * rights, no links. path is absolute. CAS_ERR_MODE names the place and whom it is open to. What
 * Wine tells is made of Unix' bits: not to be relied on there. */
CAS_CHECK enum cas_err
rights_check(const wchar_t *path, enum rights_place place, struct cas_why *why);

#endif
