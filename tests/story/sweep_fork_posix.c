#include "tests/story/sweep_fork.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    CHILD_S = 300
};

void *fork_shared(size_t size)
{
    void *bytes = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CAS_ASSERT(bytes != MAP_FAILED);
    return bytes;
}

long fork_begin(fork_body *body, void *context)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    CAS_ASSERT(pid >= 0);
    if (pid == 0) {
        fork_alarm();
        body(context);
        _exit(0);
    }
    return (long)pid;
}

void fork_alarm(void)
{
    (void)alarm(CHILD_S);
}

bool fork_end(long child)
{
    int status = 0;
    return waitpid((pid_t)child, &status, 0) == (pid_t)child && status == 0;
}

double fork_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
