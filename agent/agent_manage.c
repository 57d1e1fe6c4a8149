#include "agent/agent_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/host/host.h"
#include "agent/place.h"
#include "agent/service.h"
#include "proto/base/file.h"

enum {
    SERVICE_WAIT_MS = 60000,
    OLDER_LOGS = 99, /* log_files at most */
};

/* What the service leaves in its state folder. */
static const char *const state_files[] = {
    "agent.key",
    "agent.ini",
    "agent.lock",
    "agent.log",
    "controller.pub",
    "hold",
    "ledger.db",
    "ledger.db-shm",
    "ledger.db-wal",
    "outbox.db",
    "outbox.db-shm",
    "outbox.db-wal",
};

static const char new_config[] =
    "; What casfleet-agent is told. casfleet-agent --help lists every option; casfleet-agent "
    "check\r\n"
    "; says whether this file is good and whether the controller can be reached.\r\n"
    "; Needed: where the controller listens, and its public keys (the file controller.pub that\r\n"
    "; casfleet-controller wrote; it holds no secret).\r\n"
    "; controller = tcp://HOST:5670\r\n"
    "; controller_keys = controller.pub\r\n";

static void tell(void *context, const char *line)
{
    (void)context;
    (void)printf("%s\n", line);
}

static int failed(enum cas_err err, const struct cas_why *why)
{
    agent_say(err, why);
    return err == CAS_ERR_DENIED   ? AGENT_EXIT_DENIED
           : err == CAS_ERR_CONFIG ? AGENT_EXIT_REFUSED
                                   : AGENT_EXIT_FAILED;
}

/* ---- install: folder, configuration, service ---- */

struct install {
    const struct agent_call *call;
    char config[OPTIONS_PATH_BYTES];
    char state[OPTIONS_PATH_BYTES];
    bool is_given[OPTIONS_ROWS];
    struct agent_options wanted; /* the flags, with full paths */
};

/* The file as named, else the one that the service there reads, else the usual one: an upgrade does
 * not move a service from its file. */
static enum cas_err
config_find(const struct agent_call *call, char ret_config[OPTIONS_PATH_BYTES], struct cas_why *why)
{
    struct cas_why missing = {.text = ""};
    if (call->ask.config[0] != '\0')
        return cas_slice_copy(cas_slice_of(call->ask.config), ret_config, OPTIONS_PATH_BYTES);
    enum cas_err err = service_config_find(ret_config, &missing);
    if (err == CAS_ERR_NOT_FOUND)
        return cas_slice_copy(cas_slice_of(place_here()->config), ret_config, OPTIONS_PATH_BYTES);
    return err == CAS_OK ? CAS_OK
                         : cas_fail(why,
                                    err,
                                    "which file the service reads cannot be told: %s; name it with "
                                    "--config",
                                    missing.text[0] != '\0' ? missing.text : cas_err_words(err));
}

/* In a file a relative path starts at the file's folder, on the command line at the current one. */
static enum cas_err paths_fill(struct install *install, struct cas_why *why)
{
    const struct options_program *program = agent_program();
    install->wanted = *install->call->options;
    for (size_t i = 0; i < program->row_n; i++) {
        const struct options_row *row = &program->row[i];
        char *path = (char *)&install->wanted + row->offset;
        install->is_given[i] = install->call->is_given[i];
        if (!install->is_given[i] || row->kind != OPTIONS_PATH || path[0] == '\0')
            continue;
        char full[OPTIONS_PATH_BYTES];
        enum cas_err err = service_full_path(path, full, why);
        if (err != CAS_OK)
            return err;
        memcpy(path, full, sizeof full);
    }
    char config[OPTIONS_PATH_BYTES];
    enum cas_err err = config_find(install->call, config, why);
    return err == CAS_OK ? service_full_path(config, install->config, why) : err;
}

/* The file as it is, or a new one. Caller frees. */
static enum cas_err
config_read(const char *path, char **ret_text, size_t *ret_size, struct cas_why *why)
{
    if (file_exists(path))
        return file_read(path, CONFIG_BYTES, FILE_PUBLIC, ret_text, ret_size, why);
    char *text = malloc(sizeof new_config);
    if (text == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for its text", path);
    memcpy(text, new_config, sizeof new_config);
    *ret_text = text;
    *ret_size = sizeof new_config - 1;
    return CAS_OK;
}

/* The controller's keys are copied to where only administrators write: who can change them can
 * become this agent's controller. */
static enum cas_err keys_copy(struct install *install, struct cas_why *why)
{
    char *path = install->wanted.controller_keys;
    char own[OPTIONS_PATH_BYTES];
    agent_path_in(install->state, "controller.pub", own);
    if (path[0] == '\0' || strcmp(path, own) == 0)
        return CAS_OK;
    struct keys_controller keys;
    enum cas_err err = keys_controller_load(path, &keys, why);
    if (err != CAS_OK)
        return err;
    char *text = NULL;
    size_t size = 0;
    err = file_read(path, KEY_FILE_BYTES, FILE_PUBLIC, &text, &size, why);
    if (err != CAS_OK)
        return err;
    err = file_write(own, (struct cas_slice){text, size}, FILE_PUBLIC, why);
    free(text);
    if (err == CAS_OK)
        (void)printf("keys        of the controller copied to %s\n", own);
    memcpy(path, own, sizeof own);
    return err;
}

/* Writes only what was read back and found good. */
static enum cas_err config_write(struct install *install, struct cas_why *why)
{
    static char data[CONFIG_BYTES + 1];
    static struct agent_options checked;
    struct cas_text merged = CAS_TEXT(data);
    cas_text_clear(&merged);
    char *old = NULL;
    size_t old_bytes = 0;
    bool is_new = !file_exists(install->config);
    enum cas_err err = config_read(install->config, &old, &old_bytes, why);
    if (err != CAS_OK)
        return err;
    err = options_merge(agent_program(),
                        install->config,
                        (struct cas_slice){old, old_bytes},
                        &install->wanted,
                        install->is_given,
                        &merged,
                        why);
    bool is_same = !is_new && old_bytes == merged.used && memcmp(old, data, old_bytes) == 0;
    free(old);
    struct cas_slice text = {data, merged.used};
    if (err == CAS_OK)
        err = options_parse(agent_program(), install->config, text, &checked, why);
    if (err == CAS_OK && !is_same)
        err = file_write(install->config, text, FILE_PUBLIC, why);
    if (err != CAS_OK)
        return err;
    (void)printf("settings    %s%s\n",
                 install->config,
                 is_new    ? " written"
                 : is_same ? " as it was"
                           : " brought up to date");
    if (!is_same && !is_new)
        (void)printf(
            "next        a service that runs has read the old ones: casfleet-agent stop, then\n"
            "            casfleet-agent start\n");
    if (checked.controller[0] == '\0' || checked.controller_keys[0] == '\0')
        (void)printf("next        write controller and controller_keys into it, then\n"
                     "            casfleet-agent check\n");
    return CAS_OK;
}

/* The folder of the state: as given now, else as the file has it, else the system's. */
static enum cas_err state_find(struct install *install, struct cas_why *why)
{
    static struct agent_options before;
    const struct options_program *program = agent_program();
    const char *state = install->wanted.state;
    for (size_t i = 0; i < program->row_n; i++) {
        bool is_state = strcmp(program->row[i].name, "state") == 0;
        if (!is_state || install->is_given[i] || !file_exists(install->config))
            continue;
        char *text = NULL;
        size_t size = 0;
        enum cas_err err = file_read(install->config, CONFIG_BYTES, FILE_PUBLIC, &text, &size, why);
        if (err != CAS_OK)
            return err;
        err = options_parse(program, install->config, (struct cas_slice){text, size}, &before, why);
        free(text);
        if (err != CAS_OK)
            return err;
        state = before.state;
    }
    return cas_slice_copy(cas_slice_of(state), install->state, sizeof install->state);
}

int agent_install(const struct agent_call *call)
{
    static struct install install;
    struct cas_why why = {.text = ""};
    install.call = call;
    enum cas_err err = service_may_manage(&why);
    if (err == CAS_OK)
        err = service_may_install(tell, NULL, &why);
    if (err == CAS_OK)
        err = keys_start(&why);
    if (err == CAS_OK)
        err = paths_fill(&install, &why);
    if (err == CAS_OK)
        err = state_find(&install, &why);
    if (err == CAS_OK)
        err = place_state_make(install.state, &why);
    if (err == CAS_OK) {
        (void)printf("state       %s, for SYSTEM and administrators alone\n", install.state);
        err = keys_copy(&install, &why);
    }
    if (err == CAS_OK)
        err = config_write(&install, &why);
    struct service_plan plan = {.config = install.config};
    if (err == CAS_OK)
        err = service_install(&plan, tell, NULL, &why);
    return err == CAS_OK ? AGENT_EXIT_FINE : failed(err, &why);
}

/* ---- uninstall ---- */

/* The folder, and above it the one that installation made for it. */
static enum cas_err files_remove(const char *state, struct cas_why *why)
{
    char log[OLDER_LOGS][sizeof "agent.log.99"];
    const char *name[OLDER_LOGS];
    for (int i = 0; i < OLDER_LOGS; i++) {
        struct cas_text text = CAS_TEXT(log[i]);
        cas_text_clear(&text);
        cas_text_add(&text, "agent.log.%d", i + 1);
        name[i] = log[i];
    }
    char parent[OPTIONS_PATH_BYTES];
    const struct place *here = place_here();
    const char *last = strrchr(here->state, here->separator);
    enum cas_err err = service_remove_files(state, name, OLDER_LOGS, why);
    if (err == CAS_OK)
        err = service_remove_files(state, state_files, CAS_COUNT(state_files), why);
    /* The lock lies in the usual folder whatever the state's is. */
    static const char *const lock[] = {"agent.lock"};
    if (err == CAS_OK && strcmp(state, here->state) != 0)
        err = service_remove_files(here->state, lock, CAS_COUNT(lock), why);
    if (err != CAS_OK || last == NULL)
        return err;
    (void)snprintf(parent, sizeof parent, "%.*s", (int)(last - here->state), here->state);
    return service_remove_files(parent, NULL, 0, why);
}

static int state_remove(const struct agent_call *call, const char *state)
{
    char question[OPTIONS_PATH_BYTES + 128];
    (void)snprintf(question,
                   sizeof question,
                   "Delete key, journal and unsent reports in %s? They cannot be brought back.",
                   state);
    bool is_wanted = call->options->remove_state || (file_exists(state) && service_ask(question));
    if (!is_wanted) {
        (void)printf("state       %s stays as it is\n", state);
        return AGENT_EXIT_FINE;
    }
    struct cas_why why = {.text = ""};
    enum cas_err err = files_remove(state, &why);
    if (err != CAS_OK)
        return failed(err, &why);
    (void)printf("state       %s deleted\n", state);
    return AGENT_EXIT_FINE;
}

/* Nobody else would end a drain of this agent's. What cannot be ended does not keep the service
 * here, but is said where nobody misses it. */
static void drain_end(void)
{
    char said[REASON_BYTES] = "";
    struct cas_why why = {.text = ""};
    if (host_windows_release(clock_now(), said, &why) != CAS_OK)
        (void)fprintf(stderr,
                      "casfleet-agent: ActiveSyncProxy MAY STAY OUT OF SERVICE, as this agent\n"
                      "drained it and cannot undrain it. In the Exchange Management Shell:\n"
                      "  %s\n",
                      why.text);
    else if (said[0] != '\0')
        (void)printf("undrained   %s\n", said);
}

int agent_uninstall(const struct agent_call *call)
{
    static struct agent_options loaded;
    struct options_ask ask;
    struct cas_why why = {.text = ""};
    enum cas_err err = service_may_manage(&why);
    if (err != CAS_OK)
        return failed(err, &why);
    /* A file that cannot be read must not keep the service here: its folder stays then. */
    char config[OPTIONS_PATH_BYTES];
    struct options_program program = *agent_program();
    program.config = config;
    bool is_read = config_find(call, config, &why) == CAS_OK &&
                   options_load(&program, call->argc, call->argv, &loaded, &ask, &why) == CAS_OK;
    if (!is_read)
        (void)printf("settings    %s; the state folder is not looked for\n", why.text);
    err = service_stop(SERVICE_WAIT_MS, tell, NULL, &why);
    if (err == CAS_OK || err == CAS_ERR_NOT_FOUND) {
        drain_end();
        err = service_delete(tell, NULL, &why);
    }
    if (err != CAS_OK)
        return failed(err, &why);
    return is_read ? state_remove(call, loaded.state) : AGENT_EXIT_FINE;
}

/* ---- start, stop ---- */

int agent_start(const struct agent_call *call)
{
    (void)call;
    struct cas_why why = {.text = ""};
    enum cas_err err = service_start(SERVICE_WAIT_MS, tell, NULL, &why);
    return err == CAS_OK ? AGENT_EXIT_FINE : failed(err, &why);
}

int agent_stop(const struct agent_call *call)
{
    (void)call;
    struct cas_why why = {.text = ""};
    enum cas_err err = service_stop(SERVICE_WAIT_MS, tell, NULL, &why);
    return err == CAS_OK ? AGENT_EXIT_FINE : failed(err, &why);
}
