#include "agent/service.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

enum {
    EXIT_FAILED = 1
};

static volatile sig_atomic_t is_ending;

static void end(int number)
{
    (void)number;
    is_ending = 1;
}

void service_prepare(void)
{
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

void service_started(void)
{
}

bool service_is_managed(void)
{
    return false;
}

void service_wait(int64_t wait_ms)
{
    struct timespec span = {.tv_sec = wait_ms / 1000, .tv_nsec = wait_ms % 1000 * 1000000};
    (void)nanosleep(&span, NULL);
}

/* ---- systemd has its own words ---- */

static enum cas_err unsupported(struct cas_why *why)
{
    return cas_fail(why, CAS_ERR_UNSUPPORTED, "systemd is the service manager here: use systemctl");
}

bool service_has_manager(void)
{
    return false;
}

enum cas_err service_may_manage(struct cas_why *why)
{
    return unsupported(why);
}

enum cas_err service_may_install(service_tell *tell, void *context, struct cas_why *why)
{
    (void)tell;
    (void)context;
    return unsupported(why);
}

enum cas_err service_config_find(char ret_config[OPTIONS_PATH_BYTES], struct cas_why *why)
{
    (void)ret_config;
    return unsupported(why);
}

enum cas_err
service_full_path(const char *path, char ret_path[OPTIONS_PATH_BYTES], struct cas_why *why)
{
    (void)path;
    (void)ret_path;
    return unsupported(why);
}

enum cas_err service_install(const struct service_plan *plan,
                             service_tell *tell,
                             void *context,
                             struct cas_why *why)
{
    (void)plan;
    (void)tell;
    (void)context;
    return unsupported(why);
}

enum cas_err service_delete(service_tell *tell, void *context, struct cas_why *why)
{
    (void)tell;
    (void)context;
    return unsupported(why);
}

enum cas_err service_start(int64_t wait_ms, service_tell *tell, void *context, struct cas_why *why)
{
    (void)wait_ms;
    return service_delete(tell, context, why);
}

enum cas_err service_stop(int64_t wait_ms, service_tell *tell, void *context, struct cas_why *why)
{
    (void)wait_ms;
    return service_delete(tell, context, why);
}

bool service_ask(const char *question)
{
    (void)question;
    return false;
}

enum cas_err service_remove_files(const char *folder,
                                  const char *const *name,
                                  size_t name_n,
                                  struct cas_why *why)
{
    (void)folder;
    (void)name;
    (void)name_n;
    return unsupported(why);
}
