/* service_windows.h - what do the two files of the Windows service share? Included by
 * service_windows*.c only. */
#ifndef AGENT_SERVICE_WINDOWS_H
#define AGENT_SERVICE_WINDOWS_H

#include <windows.h>

#include "proto/base/cas.h"

#define SERVICE_NAME      L"casfleet-agent"
#define SERVICE_NAME_UTF8 "casfleet-agent"

/* "StartService: error 1058 (...); what to do". */
enum cas_err service_api_fail(struct cas_why *why, DWORD number, const char *api, const char *next);

#endif
