#include "proto/base/failpoint.h"

#include <stdlib.h>
#include <windows.h>

void failpoint_kill(void)
{
    (void)TerminateProcess(GetCurrentProcess(), 137); /* as a shell shows SIGKILL */
    abort();                                          /* not reached */
}
