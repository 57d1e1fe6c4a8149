#include "proto/base/failpoint.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void failpoint_kill(void)
{
    (void)kill(getpid(), SIGKILL);
    abort(); /* not reached */
}
