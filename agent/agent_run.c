#include "agent/agent_program.h"

#include <string.h>

#include "agent/agent_loop.h"
#include "agent/place.h"
#include "agent/service.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/channel/channel.h"

enum {
    WAIT_MOST_MS = 1000,
    TELL_MS = 60000,     /* between lines that say the same */
    STOP_WAIT_MS = 10000 /* for an act under way, when told to end */
};

/* Owned by agent_run, in the order they are opened. */
struct run {
    const struct agent_options *options;
    struct agent_paths paths;
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
                                      .hold_path = run->paths.hold,
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

/* Not before the lock is ours: a file has one writer. A service has no standard error. */
static enum cas_err run_log(struct run *run, struct cas_why *why)
{
    char path[OPTIONS_PATH_BYTES];
    struct cas_text text = CAS_TEXT(path);
    cas_text_clear(&text);
    cas_text_add(&text, "%s", run->options->log);
    if (path[0] == '\0' && service_is_managed())
        agent_path_in(run->options->state, "agent.log", path);
    return path[0] != '\0' ? log_open(path, why) : CAS_OK;
}

static enum cas_err lock_take(struct run *run, struct cas_why *why)
{
    struct cas_why held = {.text = ""};
    enum cas_err err = file_lock_take(run->paths.lock, &run->lock, &held);
    if (err == CAS_OK)
        return CAS_OK;
    return cas_fail(why,
                    err,
                    "%s%s",
                    held.text,
                    err == CAS_ERR_LOCKED ? "; another agent runs already: stop it first" : "");
}

static enum cas_err run_open(struct run *run, struct cas_why *why)
{
    const struct agent_options *options = run->options;
    agent_paths_of(options, &run->paths);
    enum cas_err err = agent_config_check(options, &run->controller, why);
    if (err == CAS_OK)
        err = place_state_make(options->state, why);
    if (err == CAS_OK)
        err = lock_take(run, why);
    if (err == CAS_OK)
        err = run_log(run, why);
    if (err == CAS_OK)
        err = agent_key_open(options, &run->paths, &run->keys, why);
    if (err == CAS_OK)
        err = agent_host_make(options, &run->host, why);
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

static int run_body(struct run *run)
{
    struct cas_why why = {.text = ""};
    enum cas_err err = run_open(run, &why);
    if (err != CAS_OK) {
        bool is_locked = run->lock != NULL;
        run_close(run);
        return is_locked ? agent_refused(&why) : agent_not_started(&why);
    }
    service_started();
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
        if (service_is_ending() && end_ms == INT64_MAX)
            agent_give_up_waiting(run->agent, clock_now());
        if (service_is_ending() && !agent_is_acting(run->agent))
            end_ms = INT64_MIN;
        else if (service_is_ending() && end_ms == INT64_MAX)
            end_ms = clock_now().mono_ms + STOP_WAIT_MS;
    }
    bool is_acting = agent_is_acting(run->agent);
    run_close(run);
    if (err != CAS_OK) {
        log_event(EVENT_REFUSED, "%s", why.text);
        return AGENT_EXIT_FAILED;
    }
    log_event(EVENT_STOP,
              "%s",
              is_acting ? "an act is under way and is settled by the next start"
                        : "nothing is under way");
    return AGENT_EXIT_FINE;
}

int agent_run(const struct agent_call *call)
{
    static struct run run;
    const struct agent_options *options = call->options;
    enum log_level level = LOG_INFO;
    /* A word that is none is refused with the rest of the configuration. */
    if (log_level_from(cas_slice_of(options->log_level), &level) != CAS_OK)
        level = LOG_INFO;
    log_set_level(level);
    log_set_limits(options->log_bytes, (unsigned)options->log_files);
    run.options = options;
    int code = run_body(&run);
    log_close();
    return code;
}
