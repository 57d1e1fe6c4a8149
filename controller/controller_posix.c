#include "controller/controller_posix.h"

#include <malloc.h>
#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

static volatile sig_atomic_t is_ending;
static volatile sig_atomic_t wants_reload;

static void end(int number)
{
    (void)number;
    is_ending = 1;
}

static void reload(int number)
{
    (void)number;
    wants_reload = 1;
}

bool controller_signals_take(void)
{
    /* Without SA_RESTART: the wait for frames ends at once. */
    struct sigaction ending = {.sa_handler = end};
    struct sigaction reloading = {.sa_handler = reload};
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    (void)umask(S_IRWXG | S_IRWXO);
    return sigemptyset(&ending.sa_mask) == 0 && sigemptyset(&reloading.sa_mask) == 0 &&
           sigemptyset(&ignored.sa_mask) == 0 && sigaction(SIGTERM, &ending, NULL) == 0 &&
           sigaction(SIGINT, &ending, NULL) == 0 && sigaction(SIGHUP, &reloading, NULL) == 0 &&
           sigaction(SIGPIPE, &ignored, NULL) == 0;
}

bool controller_is_ending(void)
{
    return is_ending != 0;
}

bool controller_wants_reload(void)
{
    if (wants_reload == 0)
        return false;
    wants_reload = 0;
    return true;
}

void controller_files_raise(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}

void controller_memory_share(void)
{
#ifdef M_ARENA_MAX
    (void)mallopt(M_ARENA_MAX, 1);
#endif
}

void controller_nap(int64_t nap_ms)
{
    struct timespec nap = {.tv_sec = (time_t)(nap_ms / 1000),
                           .tv_nsec = (long)(nap_ms % 1000) * 1000000L};
    (void)nanosleep(&nap, NULL);
}
