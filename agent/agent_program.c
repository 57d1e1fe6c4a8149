#include "agent/agent_program.h"

#include <stdio.h>
#include <string.h>

#include "agent/hold/hold.h"
#include "agent/place.h"
#include "agent/service.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/channel/channel.h"

static struct options_row rows[] = {
#define OPTION(name, kind, preset, least, most, words) \
    OPTIONS_ROW(struct agent_options, name, kind, preset, least, most, words),
#include "agent/agent_options.def"
#undef OPTION
};

static void preset(const char *name, const char *value)
{
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        if (strcmp(rows[i].name, name) == 0)
            rows[i].preset = value;
    }
}

const struct options_program *agent_program(void)
{
    static struct options_program program = {
        .name = "casfleet-agent",
        .words = "reads one server and carries out what its controller grants",
        .usage = "[WORD] [OPTION...]",
        .row = rows,
        .row_n = CAS_COUNT(rows),
    };
    const struct place *here = place_here();
    program.config = here->config;
    preset("state", here->state);
    preset("host", here->host);
    return &program;
}

void agent_path_in(const char *folder, const char *name, char ret_path[OPTIONS_PATH_BYTES])
{
    struct cas_text text = {.data = ret_path, .cap = OPTIONS_PATH_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text, "%s%c%s", folder, place_here()->separator, name);
}

void agent_paths_of(const struct agent_options *options, struct agent_paths *ret_paths)
{
    agent_path_in(options->state, "agent.key", ret_paths->key);
    agent_path_in(options->state, "ledger.db", ret_paths->ledger);
    agent_path_in(options->state, "outbox.db", ret_paths->outbox);
    /* A Windows server is one server: a second agent with another state folder would act on the
     * same pools. The lock that counts lies where administrators alone get in, so nobody else can
     * hold it, and it names its holder. Elsewhere modelled servers live side by side. */
    const struct place *here = place_here();
    agent_path_in(here->is_one ? here->state : options->state, "agent.lock", ret_paths->lock);
    agent_path_in(options->state, HOLD_FILE, ret_paths->hold);
    if (options->key[0] != '\0') {
        struct cas_text text = CAS_TEXT(ret_paths->key);
        cas_text_clear(&text);
        cas_text_add(&text, "%s", options->key);
    }
}

/* ---- the host ---- */

static enum cas_err sim_settings(const struct agent_options *options,
                                 struct host_sim_settings *ret_settings,
                                 struct cas_why *why)
{
    host_sim_settings_init(ret_settings);
    if (options->host_settings[0] == '\0')
        return CAS_OK;
    return host_sim_settings_load(options->host_settings, ret_settings, why);
}

enum cas_err agent_host_check(const struct agent_options *options, struct cas_why *why)
{
    struct host_sim_settings settings;
    if (strcmp(options->host, "sim") == 0)
        return sim_settings(options, &settings, why);
    if (strcmp(options->host, "windows") == 0 && !place_here()->is_windows)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "host: windows: reads a Windows server from itself; here it is sim or "
                        "replay");
    if (strcmp(options->host, "windows") == 0)
        return CAS_OK;
    if (strcmp(options->host, "replay") != 0)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "host: %s: not one of windows, sim, replay",
                        options->host);
    if (options->host_settings[0] == '\0')
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "host_settings: missing; replay needs the folder of a capture");
    return CAS_OK;
}

enum cas_err
agent_host_make(const struct agent_options *options, struct host **ret_host, struct cas_why *why)
{
    struct cas_now now = clock_now();
    if (strcmp(options->host, "sim") == 0) {
        struct host_sim_settings settings;
        enum cas_err err = sim_settings(options, &settings, why);
        return err == CAS_OK ? host_sim_open(&settings, now, ret_host, why) : err;
    }
    if (strcmp(options->host, "windows") == 0) {
        struct host_windows_settings settings = {.pool = ""};
        if (cas_slice_copy(cas_slice_of(options->pools.item[0]),
                           settings.pool,
                           sizeof settings.pool) != CAS_OK)
            return cas_fail(why,
                            CAS_ERR_CONFIG,
                            "pools: %s: longer than %d bytes",
                            options->pools.item[0],
                            POOL_BYTES - 1);
        return host_windows_open(&settings, now, ret_host, why);
    }
    struct host_replay_settings settings = {.speed = (double)options->replay_speed,
                                            .is_held = options->replay_hold};
    enum cas_err err = cas_slice_copy(cas_slice_of(options->host_settings),
                                      settings.folder,
                                      sizeof settings.folder);
    if (err == CAS_OK)
        err = cas_slice_copy(cas_slice_of(options->pools.item[0]),
                             settings.pool,
                             sizeof settings.pool);
    if (err != CAS_OK)
        return cas_fail(why,
                        err,
                        "host_settings: longer than %zu bytes",
                        sizeof settings.folder - 1);
    return host_replay_open(&settings, now, ret_host, why);
}

/* ---- what --check and every start look at ---- */

enum cas_err agent_config_check(const struct agent_options *options,
                                struct keys_controller *ret_keys,
                                struct cas_why *why)
{
    enum log_level level = LOG_INFO;
    if (log_level_from(cas_slice_of(options->log_level), &level) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "log_level: %s: not one of error, warn, info, debug",
                        options->log_level);
    struct cas_why endpoint = {.text = ""};
    if (channel_endpoint_check(options->controller, &endpoint) != CAS_OK)
        return cas_fail(why, CAS_ERR_CONFIG, "controller: %s", endpoint.text);
    if (options->controller_keys[0] == '\0')
        return cas_fail(why, CAS_ERR_CONFIG, "controller_keys: missing");
    enum cas_err err = agent_host_check(options, why);
    if (err != CAS_OK)
        return err;
    return keys_controller_load(options->controller_keys, ret_keys, why);
}

void agent_key_show(const struct keys *keys)
{
    struct keys_public self = keys_public_of(keys);
    char text[KEYS_TEXT_BYTES];
    char fingerprint[KEYS_FINGERPRINT_BYTES];
    keys_text(&self, text);
    keys_fingerprint(&self, fingerprint);
    (void)printf("key          %s\nfingerprint  %s\n", text, fingerprint);
}

void agent_say(enum cas_err err, const struct cas_why *why)
{
    (void)fprintf(stderr,
                  "casfleet-agent: %s\n",
                  why->text[0] != '\0' ? why->text : cas_err_words(err));
}

int agent_refused(const struct cas_why *why)
{
    log_event(EVENT_REFUSED, "%s", why->text);
    return AGENT_EXIT_REFUSED;
}

int agent_not_started(const struct cas_why *why)
{
    char path[OPTIONS_PATH_BYTES];
    struct cas_why log_why = {.text = ""};
    agent_path_in(place_here()->state, "agent.log", path);
    if (service_is_managed()) {
        /* A folder of somebody else's gets no line: the event log has it. */
        enum cas_err err = place_state_make(place_here()->state, &log_why);
        if (err == CAS_OK)
            err = log_open(path, &log_why);
        if (err != CAS_OK)
            log_event(EVENT_LOG_FAILED, "%s", log_why.text);
    }
    return agent_refused(why);
}

enum cas_err agent_key_open(const struct agent_options *options,
                            const struct agent_paths *paths,
                            struct keys **ret_keys,
                            struct cas_why *why)
{
    bool is_new = false;
    enum cas_err err = options->key[0] == '\0' ? place_state_make(options->state, why) : CAS_OK;
    return err == CAS_OK ? keys_load_or_make(paths->key, KEYS_CURVE, ret_keys, &is_new, why) : err;
}
