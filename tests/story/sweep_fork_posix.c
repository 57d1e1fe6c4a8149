#include "tests/story/sweep_fork.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    CHILD_S = 300
};

static void write_all(int to, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(to, bytes, size);
        if (n <= 0)
            _exit(3);
        bytes += n;
        size -= (size_t)n;
    }
}

struct fork_child fork_begin(fork_body *body, void *context)
{
    int ends[2];
    (void)fflush(NULL);
    CAS_ASSERT(pipe(ends) == 0);
    pid_t pid = fork();
    CAS_ASSERT(pid >= 0);
    if (pid == 0) {
        (void)close(ends[0]);
        struct fork_home home = {.pipe = ends[1]};
        fork_alarm();
        body(context, &home);
        _exit(0);
    }
    (void)close(ends[1]);
    return (struct fork_child){.pid = pid, .pipe = ends[0]};
}

void fork_alarm(void)
{
    (void)alarm(CHILD_S);
}

void fork_send(const struct fork_home *home, const void *bytes, size_t size)
{
    write_all(home->pipe, bytes, size);
}

bool fork_take(const struct fork_child *child, void *ret_bytes, size_t size)
{
    uint8_t *at = ret_bytes;
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(child->pipe, at + got, size - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    return got == size;
}

void fork_end(struct fork_child *child)
{
    (void)close(child->pipe);
    int status = 0;
    (void)waitpid((pid_t)child->pid, &status, 0);
}

double fork_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
