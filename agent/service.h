/* service.h - how does the system start this program, and how does it say stop?
 *
 * One door, two systems: service_posix.c takes signals, and systemd is left to itself.
 * service_windows.c answers Windows' service manager, service_windows_manager.c makes and deletes
 * the service there. Used by agent_main.c and the words of the command line. */
#ifndef AGENT_SERVICE_H
#define AGENT_SERVICE_H

#include "proto/base/cas.h"

/* First of all: from here on nothing is loaded from the program's or the current folder. */
void service_prepare(void);

/* The program's work; returns its exit code. */
typedef int service_body(void *context);

/* Runs body as the system wants a service run, and returns its exit code. Files made from here on
 * are for the program's user alone; a closed pipe does not end it. */
int service_run(service_body *body, void *context);
/* The system, or a person at the terminal, wants the program to end. To be asked once a second at
 * least: the system is told that the end is near as long as it is asked. */
bool service_is_ending(void);
/* From inside body: all is open, the work begins. */
void service_started(void);
/* From inside body: the service manager runs us, there is no console. */
bool service_is_managed(void);
/* Sleeps, for words that wait for something; ends early when the program is to end. */
void service_wait(int64_t wait_ms);

/* ---- the service manager; where service_has_manager is false all of these are
 * CAS_ERR_UNSUPPORTED ---- */

bool service_has_manager(void);
/* What was done, or could not be done and does no harm: a line for a person. */
typedef void service_tell(void *context, const char *line);
struct service_plan {
    const char *config; /* the file the service is to read; absolute */
};
/* CAS_ERR_DENIED: the caller is no elevated administrator; nothing was touched. */
CAS_CHECK enum cas_err service_may_manage(struct cas_why *why);
/* The program and all folders above it are the system's and administrators' alone, on a disk of
 * this server: the service would run what others put there. CAS_ERR_MODE; where the system's rights
 * are not Windows', as under Wine, a line instead. */
CAS_CHECK enum cas_err service_may_install(service_tell *tell, void *context, struct cas_why *why);
/* The file the service is told to read. CAS_ERR_NOT_FOUND: there is no service, or it names none.
 */
CAS_CHECK enum cas_err service_config_find(char ret_config[OPTIONS_PATH_BYTES],
                                           struct cas_why *why);
/* A path as the system would find it from the current folder. CAS_ERR_TOO_LONG, CAS_ERR_FORMAT. */
CAS_CHECK enum cas_err
service_full_path(const char *path, char ret_path[OPTIONS_PATH_BYTES], struct cas_why *why);
/* Makes the service of this program, or brings it up to date; event source too. */
CAS_CHECK enum cas_err service_install(const struct service_plan *plan,
                                       service_tell *tell,
                                       void *context,
                                       struct cas_why *why);
/* CAS_OK when there is none. It must have been stopped. */
CAS_CHECK enum cas_err service_delete(service_tell *tell, void *context, struct cas_why *why);
/* Wait until it runs, or has ended; CAS_ERR_AGAIN not within wait_ms, CAS_ERR_NOT_FOUND no such
 * service, CAS_ERR_IO it ended again, with its code. */
CAS_CHECK enum cas_err
service_start(int64_t wait_ms, service_tell *tell, void *context, struct cas_why *why);
CAS_CHECK enum cas_err
service_stop(int64_t wait_ms, service_tell *tell, void *context, struct cas_why *why);
/* A yes or no at the console; false without one. */
bool service_ask(const char *question);
/* Deletes these files of a folder, as far as they are there, then the folder when it is empty. */
CAS_CHECK enum cas_err service_remove_files(const char *folder,
                                            const char *const *name, /* [name_n] */
                                            size_t name_n,
                                            struct cas_why *why);

#endif
