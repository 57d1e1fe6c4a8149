#include "agent/service.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

enum {
    EXIT_FAILED = 1
};

static volatile sig_atomic_t is_ending;

static void end(int number)
{
    (void)number;
    is_ending = 1;
}

int service_run(service_body *body, void *context)
{
    /* Without SA_RESTART: the wait for frames ends at once. */
    struct sigaction ending = {.sa_handler = end};
    struct sigaction ignored = {.sa_handler = SIG_IGN};
    bool is_taken = sigemptyset(&ending.sa_mask) == 0 && sigemptyset(&ignored.sa_mask) == 0 &&
                    sigaction(SIGTERM, &ending, NULL) == 0 &&
                    sigaction(SIGINT, &ending, NULL) == 0 &&
                    sigaction(SIGPIPE, &ignored, NULL) == 0;
    if (!is_taken) {
        (void)fputs("the system does not let signals be handled\n", stderr);
        return EXIT_FAILED;
    }
    (void)umask(S_IRWXG | S_IRWXO);
    return body(context);
}

bool service_is_ending(void)
{
    return is_ending != 0;
}
