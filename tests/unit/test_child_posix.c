#include "tests/unit/test_child.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

int test_child(void (*run)(void *context), void *context)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    CAS_ASSERT(pid >= 0);
    if (pid == 0) {
        run(context);
        _exit(0);
    }
    int status = 0;
    CAS_ASSERT(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? 256 + WTERMSIG(status) : WEXITSTATUS(status);
}
