/* agent_program.h - what do the words of casfleet-agent's command line share?
 *
 * Options, paths in the state folder, keys, the host; each word is one function, which returns the
 * program's exit code. Included by agent_*.c of the program only. */
#ifndef AGENT_AGENT_PROGRAM_H
#define AGENT_AGENT_PROGRAM_H

#include "agent/host/host.h"
#include "proto/base/options.h"
#include "proto/trust/keys.h"

/* A contract; the same numbers as casfleet's. */
enum agent_exit {
    AGENT_EXIT_FINE = 0,
    AGENT_EXIT_FAILED = 1,      /* while running; or something needs attention */
    AGENT_EXIT_REFUSED = 2,     /* not started: words, configuration, keys, state folder */
    AGENT_EXIT_UNREACHABLE = 3, /* nobody answers */
    AGENT_EXIT_DENIED = 4,      /* not allowed */
};
enum {
    AGENT_SHOW_BYTES = 16384
};

struct agent_options {
#define OPTION(name, kind, preset, least, most, words) OPTIONS_MEMBER_##kind(name)
#include "agent/agent_options.def"
#undef OPTION
};
struct agent_paths {
    char key[OPTIONS_PATH_BYTES];
    char ledger[OPTIONS_PATH_BYTES];
    char outbox[OPTIONS_PATH_BYTES];
    char lock[OPTIONS_PATH_BYTES];
    char hold[OPTIONS_PATH_BYTES];
};
/* What main found out before a word begins. */
struct agent_call {
    int argc;
    char **argv;
    struct agent_options *options;
    struct options_ask ask;
    const bool *is_given; /* per option: a flag on the command line */
};

/* The table with this system's presets. */
const struct options_program *agent_program(void);
void agent_path_in(const char *folder, const char *name, char ret_path[OPTIONS_PATH_BYTES]);
void agent_paths_of(const struct agent_options *options, struct agent_paths *ret_paths);
/* Endpoint, keys of the controller, host: what --check and every start look at. */
CAS_CHECK enum cas_err agent_config_check(const struct agent_options *options,
                                          struct keys_controller *ret_keys,
                                          struct cas_why *why);
CAS_CHECK enum cas_err agent_host_check(const struct agent_options *options, struct cas_why *why);
CAS_CHECK enum cas_err
agent_host_make(const struct agent_options *options, struct host **ret_host, struct cas_why *why);
/* The agent's own key, made when it is missing. */
CAS_CHECK enum cas_err agent_key_open(const struct agent_options *options,
                                      const struct agent_paths *paths,
                                      struct keys **ret_keys,
                                      struct cas_why *why);
/* The public key and its fingerprint, as an operator compares them. */
void agent_key_show(const struct keys *keys);
/* To standard error, for a word that is typed. */
void agent_say(enum cas_err err, const struct cas_why *why);
/* Logs the reason; returns AGENT_EXIT_REFUSED. */
int agent_refused(const struct cas_why *why);
/* The same before the log is open: a service, which has no console, tells its usual file. */
int agent_not_started(const struct cas_why *why);

/* ---- the words ---- */

/* agent_run.c; context is a struct agent_call whose options are loaded. */
int agent_run(const struct agent_call *call);
/* agent_check.c: --check, and the word, which also goes to the controller. */
int agent_check_config(const struct agent_call *call);
int agent_check(const struct agent_call *call);
/* agent_selftest.c */
int agent_selftest(const struct agent_call *call);
/* agent_hold.c: the veto of the server's own people */
int agent_hold(const struct agent_call *call);
int agent_release(const struct agent_call *call);
/* agent_manage.c; the options of these are the flags alone, no file is read yet. */
int agent_install(const struct agent_call *call);
int agent_uninstall(const struct agent_call *call);
int agent_start(const struct agent_call *call);
int agent_stop(const struct agent_call *call);

#endif
