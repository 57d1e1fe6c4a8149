#include "agent/service.h"

#include <windows.h>

static volatile LONG is_ending;

/* Called on a thread of the system's. */
static BOOL WINAPI end(DWORD what)
{
    (void)what;
    (void)InterlockedExchange(&is_ending, 1);
    return TRUE;
}

int service_run(service_body *body, void *context)
{
    (void)SetConsoleCtrlHandler(end, TRUE);
    return body(context);
}

bool service_is_ending(void)
{
    return InterlockedCompareExchange(&is_ending, 0, 0) != 0;
}
