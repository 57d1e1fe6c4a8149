#include <stdio.h>

#include "agent/agent_program.h"
#include "agent/agent_reach.h"
#include "proto/base/file.h"

enum {
    LOOK_MS = 100
};

/* Changes nothing: a key that is not there yet is made by the first start. *ret_keys is NULL then.
 */
static enum cas_err config_read(const struct agent_options *options,
                                struct keys_controller *ret_controller,
                                struct keys **ret_keys,
                                struct cas_why *why)
{
    struct agent_paths paths;
    agent_paths_of(options, &paths);
    enum cas_err err = agent_config_check(options, ret_controller, why);
    if (err == CAS_OK && file_exists(paths.key))
        err = keys_load(paths.key, KEYS_CURVE, ret_keys, why);
    return err;
}

static void config_show(const struct agent_options *options)
{
    static char shown[AGENT_SHOW_BYTES];
    struct cas_text text = CAS_TEXT(shown);
    cas_text_clear(&text);
    options_show(agent_program(), options, &text);
    (void)fputs(shown, stdout);
}

int agent_check_config(const struct agent_call *call)
{
    struct cas_why why = {.text = ""};
    struct keys_controller controller;
    CAS_AUTO(keys) keys = NULL;
    if (config_read(call->options, &controller, &keys, &why) != CAS_OK)
        return agent_refused(&why);
    config_show(call->options);
    return AGENT_EXIT_FINE;
}

/* The controller speaks first to those it lets in; it is not listened to. */
static void on_receive(void *context, const struct channel_frame *frame)
{
    (void)context;
    (void)frame;
}

/* Until something is decided, at most for the deadline. Only a handshake: no word is said. */
static enum cas_err look(struct channel_client *client,
                         int64_t deadline_ms,
                         bool has_key,
                         enum reach *ret_reach,
                         struct cas_why *why)
{
    struct cas_now now = clock_now();
    int64_t end_ms = now.mono_ms + deadline_ms;
    for (;;) {
        int64_t left_ms = end_ms - now.mono_ms;
        enum cas_err err = channel_client_serve(client,
                                                left_ms < LOOK_MS ? left_ms : LOOK_MS,
                                                now,
                                                on_receive,
                                                NULL,
                                                why);
        if (err != CAS_OK)
            return err;
        now = clock_now();
        struct reach_seen seen = {.state = channel_client_state(client),
                                  .progress = channel_client_progress(client),
                                  .has_key = has_key,
                                  .is_over = now.mono_ms >= end_ms};
        if (reach_of(&seen, ret_reach))
            return CAS_OK;
    }
}

static int reach_show(enum reach reach, const char *endpoint)
{
    const struct reach_row *row = reach_row(reach);
    (void)printf("controller   %s: %s\n", endpoint, row->sentence);
    (void)printf("next         %s\n", row->next);
    return row->exit;
}

int agent_check(const struct agent_call *call)
{
    const struct agent_options *options = call->options;
    struct cas_why why = {.text = ""};
    struct keys_controller controller;
    CAS_AUTO(keys) keys = NULL;
    enum cas_err err = config_read(options, &controller, &keys, &why);
    if (err != CAS_OK)
        return agent_refused(&why);
    config_show(options);
    (void)printf("\nsettings     %s\n",
                 call->ask.config[0] != '\0' ? call->ask.config : "no file; presets and flags");
    if (keys != NULL)
        agent_key_show(keys);
    (void)fflush(stdout);

    char endpoint[OPTIONS_TEXT_BYTES];
    reach_endpoint(options->controller, endpoint);
    /* Without a key one for this look alone, and it is not the controller's that it is meant for:
     * the handshake ends before the controller hears of a stranger. */
    CAS_AUTO(keys) passing = NULL;
    if (keys == NULL)
        err = keys_make(KEYS_CURVE, &passing);
    struct channel_dial dial = {.keys = keys != NULL ? keys : passing,
                                .server = keys != NULL      ? controller.curve
                                          : passing != NULL ? keys_public_of(passing)
                                                            : controller.curve,
                                .endpoint = endpoint,
                                .redial_ms = options->deadline_ms};
    static struct channel_client *client;
    if (err == CAS_OK)
        err = channel_client_open(&dial, &client, &why);
    enum reach reach = REACH_SILENT;
    if (err == CAS_OK)
        err = look(client, options->deadline_ms, keys != NULL, &reach, &why);
    /* To close it would wait for a name server that is silent: then it goes with the process. */
    if (client != NULL && channel_client_progress(client).is_named) {
        channel_client_free(client);
        client = NULL;
    }
    if (err != CAS_OK)
        return agent_refused(&why);
    return reach_show(reach, endpoint);
}
