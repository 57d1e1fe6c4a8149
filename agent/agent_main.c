#include <stdio.h>
#include <string.h>

#include "agent/agent_loop.h"
#include "agent/service.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/base/options.h"
#include "proto/channel/channel.h"

enum {
    EXIT_FINE = 0,
    EXIT_FAILED = 1,  /* while running */
    EXIT_REFUSED = 2, /* not started: configuration, keys, state folder */
    WAIT_MOST_MS = 1000,
    TELL_MS = 60000,      /* between lines that say the same */
    STOP_WAIT_MS = 10000, /* for an act under way, when told to end */
    SHOW_BYTES = 16384
};

struct agent_options {
#define OPTION(name, kind, preset, least, most, words) OPTIONS_MEMBER_##kind(name)
#include "agent/agent_options.def"
#undef OPTION
};
static const struct options_row rows[] = {
#define OPTION(name, kind, preset, least, most, words) \
    OPTIONS_ROW(struct agent_options, name, kind, preset, least, most, words),
#include "agent/agent_options.def"
#undef OPTION
};
static const struct options_program program = {
    .name = "casfleet-agent",
    .words = "reads one server and carries out what its controller grants",
    .usage = "[OPTION...]",
    .config = "/etc/casfleet/agent.ini",
    .row = rows,
    .row_n = CAS_COUNT(rows),
};

struct state_paths {
    char key[OPTIONS_PATH_BYTES];
    char ledger[OPTIONS_PATH_BYTES];
    char outbox[OPTIONS_PATH_BYTES];
    char lock[OPTIONS_PATH_BYTES];
};

/* Owned by main, in the order they are opened. */
struct run {
    const struct agent_options *options;
    struct state_paths paths;
    struct keys_controller controller;
    char fingerprint[KEYS_FINGERPRINT_BYTES];
    struct file_lock *lock;
    struct keys *keys;
    struct host *host;
    struct channel_client *client;
    struct agent *agent;
    uint64_t connects;
    enum channel_state state;
    int64_t told_ms;
    bool has_told;
};

static void path_in(const struct agent_options *options, const char *name, char *ret_path)
{
    struct cas_text text = {.data = ret_path, .cap = OPTIONS_PATH_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text, "%s/%s", options->state, name);
}

static struct state_paths paths_of(const struct agent_options *options)
{
    struct state_paths paths;
    path_in(options, "agent.key", paths.key);
    path_in(options, "ledger.db", paths.ledger);
    path_in(options, "outbox.db", paths.outbox);
    path_in(options, "agent.lock", paths.lock);
    if (options->key[0] != '\0') {
        struct cas_text text = CAS_TEXT(paths.key);
        cas_text_clear(&text);
        cas_text_add(&text, "%s", options->key);
    }
    return paths;
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

static enum cas_err host_check(const struct agent_options *options, struct cas_why *why)
{
    struct host_sim_settings settings;
    if (strcmp(options->host, "sim") == 0)
        return sim_settings(options, &settings, why);
    if (strcmp(options->host, "replay") != 0)
        return cas_fail(why, CAS_ERR_CONFIG, "host: %s: not one of sim, replay", options->host);
    if (options->host_settings[0] == '\0')
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "host_settings: missing; replay needs the folder of a capture");
    return CAS_OK;
}

static enum cas_err
host_make(const struct agent_options *options, struct host **ret_host, struct cas_why *why)
{
    struct cas_now now = clock_now();
    if (strcmp(options->host, "sim") == 0) {
        struct host_sim_settings settings;
        enum cas_err err = sim_settings(options, &settings, why);
        return err == CAS_OK ? host_sim_open(&settings, now, ret_host, why) : err;
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

static enum cas_err config_check(const struct agent_options *options,
                                 struct keys_controller *ret_keys,
                                 struct cas_why *why)
{
    if (strncmp(options->controller, "tcp://", strlen("tcp://")) != 0)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "controller: \"%s\": an endpoint is needed, as tcp://10.0.0.5:5670",
                        options->controller);
    if (options->controller_keys[0] == '\0')
        return cas_fail(why, CAS_ERR_CONFIG, "controller_keys: missing");
    enum cas_err err = host_check(options, why);
    if (err != CAS_OK)
        return err;
    return keys_controller_load(options->controller_keys, ret_keys, why);
}

static int refused(const struct cas_why *why)
{
    log_event(EVENT_REFUSED, "%s", why->text);
    return EXIT_REFUSED;
}

/* Changes nothing: a key that is not there yet is made by the first start. */
static int check_run(const struct agent_options *options)
{
    struct cas_why why = {.text = ""};
    struct keys_controller controller;
    struct state_paths paths = paths_of(options);
    enum cas_err err = config_check(options, &controller, &why);
    if (err == CAS_OK && file_exists(paths.key)) {
        CAS_AUTO(keys) keys = NULL;
        err = keys_load(paths.key, KEYS_CURVE, &keys, &why);
    }
    if (err != CAS_OK)
        return refused(&why);
    char shown[SHOW_BYTES];
    struct cas_text text = CAS_TEXT(shown);
    cas_text_clear(&text);
    options_show(&program, options, &text);
    (void)fputs(shown, stdout);
    return EXIT_FINE;
}

static enum cas_err key_open(const struct agent_options *options,
                             const struct state_paths *paths,
                             struct keys **ret_keys,
                             struct cas_why *why)
{
    bool is_new = false;
    enum cas_err err = options->key[0] == '\0' ? file_folder(options->state, why) : CAS_OK;
    return err == CAS_OK ? keys_load_or_make(paths->key, KEYS_CURVE, ret_keys, &is_new, why) : err;
}

static int fingerprint_run(const struct agent_options *options)
{
    struct cas_why why = {.text = ""};
    struct state_paths paths = paths_of(options);
    CAS_AUTO(keys) keys = NULL;
    if (key_open(options, &paths, &keys, &why) != CAS_OK)
        return refused(&why);
    struct keys_public key = keys_public_of(keys);
    char text[KEYS_TEXT_BYTES];
    char fingerprint[KEYS_FINGERPRINT_BYTES];
    keys_text(&key, text);
    keys_fingerprint(&key, fingerprint);
    (void)printf("key          %s\nfingerprint  %s\n", text, fingerprint);
    return EXIT_FINE;
}

/* ---- running ---- */

static void on_send(void *context, struct cas_slice frame)
{
    struct run *run = context;
    /* What cannot go now is lost; all that matters comes again. */
    enum cas_err err = channel_client_send(run->client, frame);
    (void)err;
}

static void on_receive(void *context, const struct channel_frame *frame)
{
    struct run *run = context;
    agent_on_frame(run->agent, frame->bytes, clock_now());
}

static enum cas_err agent_make(struct run *run, struct cas_why *why)
{
    const struct agent_options *options = run->options;
    struct agent_settings settings = {.host = run->host,
                                      .self = keys_public_of(run->keys),
                                      .command = run->controller.command,
                                      .ledger_path = run->paths.ledger,
                                      .outbox_path = run->paths.outbox,
                                      .outbox_bytes = options->outbox_bytes,
                                      .sample_ms = options->sample_ms,
                                      .report_ms = options->report_ms,
                                      .pool_n = options->pools.item_n,
                                      .send = on_send,
                                      .context = run};
    for (size_t i = 0; i < options->pools.item_n && i < POOLS_ALLOWED; i++)
        settings.pool[i] = options->pools.item[i];
    memcpy(&settings.seed, settings.self.byte, sizeof settings.seed);
    return agent_open(&settings, clock_now(), &run->agent, why);
}

static enum cas_err run_open(struct run *run, struct cas_why *why)
{
    const struct agent_options *options = run->options;
    run->paths = paths_of(options);
    enum cas_err err = config_check(options, &run->controller, why);
    if (err == CAS_OK)
        err = file_folder(options->state, why);
    if (err == CAS_OK)
        err = file_lock_take(run->paths.lock, &run->lock, why);
    if (err == CAS_OK)
        err = key_open(options, &run->paths, &run->keys, why);
    if (err == CAS_OK)
        err = host_make(options, &run->host, why);
    if (err == CAS_OK)
        err = agent_make(run, why);
    if (err != CAS_OK)
        return err;
    struct keys_public self = keys_public_of(run->keys);
    keys_fingerprint(&self, run->fingerprint);
    struct channel_dial dial = {.keys = run->keys,
                                .server = run->controller.curve,
                                .endpoint = options->controller,
                                .redial_ms = options->redial_ms};
    return channel_client_open(&dial, &run->client, why);
}

static void run_close(struct run *run)
{
    channel_client_free(run->client);
    agent_free(run->agent);
    host_free(run->host);
    keys_free(run->keys);
    file_lock_free(run->lock);
}

/* The channel's state for people: a change at once, a lasting trouble once a minute. */
static void state_tell(struct run *run, struct cas_now now)
{
    enum channel_state state = channel_client_state(run->client);
    bool is_news = !run->has_told || state != run->state;
    run->state = state;
    if (!is_news && now.mono_ms - run->told_ms < TELL_MS)
        return;
    run->has_told = true;
    run->told_ms = now.mono_ms;
    switch (state) {
    case CHANNEL_CONNECTING:
    case CHANNEL_UP:
        break;
    case CHANNEL_WAITING:
        log_event(EVENT_HANDSHAKE_REFUSED,
                  "waiting for approval at %s; fingerprint=%s; casfleet agent approve NAME",
                  run->options->controller,
                  run->fingerprint);
        break;
    case CHANNEL_WRONG_KEY:
        log_event(EVENT_HANDSHAKE_REFUSED,
                  "the controller at %s has not the key in %s",
                  run->options->controller,
                  run->options->controller_keys);
        break;
    }
}

static enum cas_err run_once(struct run *run, struct cas_why *why)
{
    struct cas_now now = clock_now();
    int64_t wait_ms = agent_tick(run->agent, now) - now.mono_ms;
    if (wait_ms < 0)
        wait_ms = 0;
    if (wait_ms > WAIT_MOST_MS)
        wait_ms = WAIT_MOST_MS;
    enum cas_err err = channel_client_serve(run->client, wait_ms, now, on_receive, run, why);
    if (err != CAS_OK)
        return err;
    now = clock_now();
    uint64_t connects = channel_client_connects(run->client);
    if (connects != run->connects)
        agent_on_connected(run->agent, now);
    run->connects = connects;
    state_tell(run, now);
    log_tick();
    return CAS_OK;
}

static int run_body(void *context)
{
    struct run *run = context;
    struct cas_why why = {.text = ""};
    enum cas_err err = run_open(run, &why);
    if (err != CAS_OK) {
        run_close(run);
        return refused(&why);
    }
    log_event(EVENT_START,
              "version=%s fingerprint=%s controller=%s host=%s pool=%s",
              CASFLEET_VERSION,
              run->fingerprint,
              run->options->controller,
              run->options->host,
              run->options->pools.item[0]);
    int64_t end_ms = INT64_MAX;
    while (err == CAS_OK && clock_now().mono_ms < end_ms) {
        err = run_once(run, &why);
        if (service_is_ending() && !agent_is_acting(run->agent))
            end_ms = INT64_MIN;
        else if (service_is_ending() && end_ms == INT64_MAX)
            end_ms = clock_now().mono_ms + STOP_WAIT_MS;
    }
    bool is_acting = agent_is_acting(run->agent);
    run_close(run);
    if (err != CAS_OK) {
        log_event(EVENT_REFUSED, "%s", why.text);
        return EXIT_FAILED;
    }
    log_event(EVENT_STOP,
              "%s",
              is_acting ? "an act is under way and is settled by the next start"
                        : "nothing is under way");
    return EXIT_FINE;
}

static int wish_run(struct run *run, const struct options_ask *ask)
{
    struct cas_why why = {.text = ""};
    enum log_level level = LOG_INFO;
    if (ask->word_n > 0) {
        (void)cas_fail(&why, CAS_ERR_CONFIG, "%s: an option is expected here", ask->word[0]);
        return refused(&why);
    }
    if (log_level_from(cas_slice_of(run->options->log_level), &level) != CAS_OK) {
        (void)cas_fail(&why,
                       CAS_ERR_CONFIG,
                       "log_level: %s: not one of error, warn, info, debug",
                       run->options->log_level);
        return refused(&why);
    }
    if (keys_start(&why) != CAS_OK)
        return refused(&why);
    if (ask->wish == OPTIONS_CHECK)
        return check_run(run->options);
    if (run->options->fingerprint)
        return fingerprint_run(run->options);
    log_set_level(level);
    if (run->options->log[0] != '\0' && log_open(run->options->log, &why) != CAS_OK)
        return refused(&why);
    int code = service_run(run_body, run);
    log_close();
    return code;
}

static int help_print(void)
{
    static char help[OPTIONS_HELP_BYTES];
    struct cas_text text = CAS_TEXT(help);
    cas_text_clear(&text);
    options_help(&program, &text);
    (void)fputs(help, stdout);
    return EXIT_FINE;
}

int main(int argc, char **argv)
{
    static struct agent_options options;
    static struct run run;
    struct options_ask ask;
    struct cas_why why = {.text = ""};
    if (options_load(&program, argc, argv, &options, &ask, &why) != CAS_OK) {
        (void)fprintf(stderr, "casfleet-agent: %s\n", why.text);
        return EXIT_REFUSED;
    }
    run.options = &options;
    switch (ask.wish) {
    case OPTIONS_HELP:
        return help_print();
    case OPTIONS_VERSION:
        (void)printf("casfleet-agent %s\n", CASFLEET_VERSION);
        return EXIT_FINE;
    case OPTIONS_RUN:
    case OPTIONS_CHECK:
        break;
    }
    return wish_run(&run, &ask);
}
