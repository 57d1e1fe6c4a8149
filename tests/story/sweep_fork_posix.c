#include "tests/story/sweep_fork.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

enum {
    CHILD_S = 300,
    HEAP_LARGE_BYTES = 256 * 1024,
    HEAP_KEPT_BYTES = 256 * 1024 * 1024,
    HEAP_GROW_BYTES = 1024 * 1024
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

/* What is large comes fresh and is cleared where it is touched only; what is small stays where it
 * was: a page touched for the first time costs more than what is done with it. */
void fork_heap(void)
{
#ifdef __GLIBC__
    (void)mallopt(M_MMAP_THRESHOLD, HEAP_LARGE_BYTES);
    (void)mallopt(M_TRIM_THRESHOLD, HEAP_KEPT_BYTES);
    (void)mallopt(M_TOP_PAD, HEAP_GROW_BYTES);
#endif
}

struct fork_child fork_begin(fork_body *body, void *context, size_t size)
{
    int ends[2];
    (void)fflush(NULL);
    CAS_ASSERT(pipe(ends) == 0);
    pid_t pid = fork();
    CAS_ASSERT(pid >= 0);
    if (pid == 0) {
        void *result = calloc(1, size);
        CAS_ASSERT(result != NULL);
        (void)close(ends[0]);
        (void)alarm(CHILD_S); /* one that turns in circles ends as one that crashed */
        body(context, result);
        write_all(ends[1], result, size);
        _exit(0);
    }
    (void)close(ends[1]);
    return (struct fork_child){.pid = pid, .pipe = ends[0]};
}

bool fork_end(struct fork_child *child, void *ret_result, size_t size)
{
    uint8_t *at = ret_result;
    size_t got = 0;
    while (got < size) {
        ssize_t n = read(child->pipe, at + got, size - got);
        if (n <= 0)
            break;
        got += (size_t)n;
    }
    (void)close(child->pipe);
    int status = 0;
    (void)waitpid((pid_t)child->pid, &status, 0);
    return got == size;
}

double fork_seconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
