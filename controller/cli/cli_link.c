#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/cli/cli.h"
#include "proto/channel/channel.h"

enum {
    SLICE_MS = 50,
    FRAME_BYTES = WIRE_FRAME_BYTES
};

struct cli_link {
    struct keys *keys;
    struct channel_client *client;
    int64_t wait_ms;
    uint64_t last_id;
    char endpoint[OPTIONS_TEXT_BYTES];
    /* the answer being put together */
    struct cli_answer *answer;
    struct cas_arena *arena;
    uint64_t next_part;
    bool is_whole;
    enum cas_err err;
    struct cas_why *why;
};

void cli_link_free(struct cli_link *link)
{
    if (link == NULL)
        return;
    channel_client_free(link->client);
    keys_free(link->keys);
    cas_arena_free(link->arena);
    free(link);
}

enum cas_err
cli_link_open(const struct cli_options *options, struct cli_link **ret_link, struct cas_why *why)
{
    CAS_AUTO(cli_link) link = calloc(1, sizeof *link);
    if (link == NULL)
        return CAS_ERR_NOMEM;
    link->wait_ms = options->wait_ms;
    struct cas_text endpoint = CAS_TEXT(link->endpoint);
    cas_text_add(&endpoint, "%s", options->controller);
    enum cas_err err = keys_start(why);
    if (err == CAS_OK)
        err = cas_arena_open(WIRE_ARENA_BYTES, &link->arena);
    struct keys_controller controller;
    if (err == CAS_OK)
        err = keys_controller_load(options->controller_keys, &controller, why);
    if (err == CAS_OK)
        err = keys_load(options->key, KEYS_CURVE, &link->keys, why);
    if (err != CAS_OK)
        return err;
    struct channel_dial dial = {.keys = link->keys,
                                .server = controller.curve,
                                .endpoint = link->endpoint};
    err = channel_client_open(&dial, &link->client, why);
    if (err != CAS_OK)
        return err;
    *ret_link = CAS_TAKE(link);
    return CAS_OK;
}

static void keep_part(struct cli_link *link, const struct message_answer *part)
{
    struct cli_answer *answer = link->answer;
    if (part->part != link->next_part) {
        link->err = cas_fail(link->why,
                             CAS_ERR_FORMAT,
                             "part %llu of the answer is missing",
                             (unsigned long long)link->next_part);
        return;
    }
    if (answer->size + part->document.size > WIRE_DOCUMENT_TOTAL) {
        link->err = cas_fail(link->why,
                             CAS_ERR_TOO_LONG,
                             "the answer is above %d bytes",
                             WIRE_DOCUMENT_TOTAL);
        return;
    }
    char *grown = realloc(answer->document, answer->size + part->document.size + 1);
    if (grown == NULL) {
        link->err = CAS_ERR_NOMEM;
        return;
    }
    memcpy(grown + answer->size, part->document.data, part->document.size);
    answer->document = grown;
    answer->size += part->document.size;
    answer->document[answer->size] = '\0';
    answer->exit = (enum cli_exit)part->exit;
    if (part->has_error)
        snprintf(answer->error,
                 sizeof answer->error,
                 "%.*s",
                 (int)part->error.size,
                 part->error.data);
    link->next_part++;
    link->is_whole = !part->is_more;
}

static void on_frame(void *context, const struct channel_frame *frame)
{
    struct cli_link *link = context;
    if (link->answer == NULL || link->is_whole || link->err != CAS_OK)
        return;
    cas_arena_clear(link->arena);
    struct message message;
    enum cas_err err = message_decode(frame->bytes, link->arena, &message, link->why);
    if (err != CAS_OK) {
        link->err = err;
        return;
    }
    if (message.type == MESSAGE_answer && message.as.answer.id == link->last_id)
        keep_part(link, &message.as.answer);
}

static enum cas_err unreachable(const struct cli_link *link, struct cas_why *why)
{
    switch (channel_client_state(link->client)) {
    case CHANNEL_WAITING:
        return cas_fail(
            why,
            CAS_ERR_DENIED,
            "the controller at %s does not know your key: its operators file needs a line for it "
            "(casfleet key new printed one)",
            link->endpoint);
    case CHANNEL_WRONG_KEY:
        return cas_fail(why,
                        CAS_ERR_UNREACHABLE,
                        "what listens at %s has not the key of controller_keys: wrong host, or a "
                        "new controller",
                        link->endpoint);
    case CHANNEL_CONNECTING:
    case CHANNEL_UP:
        break;
    }
    char span[40];
    struct cas_text text = CAS_TEXT(span);
    cas_text_span(&text, link->wait_ms);
    return cas_fail(why,
                    CAS_ERR_UNREACHABLE,
                    "no answer from the controller at %s in %s",
                    link->endpoint,
                    span);
}

/* Until the channel takes the frame, the answer is whole, or time is up. */
static enum cas_err converse(struct cli_link *link, struct cas_slice frame, struct cas_why *why)
{
    struct cas_now now = clock_now();
    int64_t end_ms = now.mono_ms + link->wait_ms;
    bool is_sent = false;
    while (!link->is_whole && link->err == CAS_OK) {
        if (!is_sent && channel_client_state(link->client) == CHANNEL_UP)
            is_sent = channel_client_send(link->client, frame) == CAS_OK;
        enum cas_err err = channel_client_serve(link->client, SLICE_MS, now, on_frame, link, why);
        if (err != CAS_OK)
            return err;
        now = clock_now();
        enum channel_state state = channel_client_state(link->client);
        bool is_refused = state == CHANNEL_WAITING || state == CHANNEL_WRONG_KEY;
        if (is_refused || now.mono_ms >= end_ms)
            return unreachable(link, why);
    }
    return link->err;
}

enum cas_err cli_ask(struct cli_link *link,
                     const char *ask,
                     const struct record_argument *argument,
                     size_t argument_n,
                     struct cli_answer *ret_answer,
                     struct cas_why *why)
{
    uint8_t *frame = malloc(FRAME_BYTES);
    if (frame == NULL)
        return CAS_ERR_NOMEM;
    struct message message = {.type = MESSAGE_ask};
    message.as.ask.id = ++link->last_id;
    message.as.ask.verb = cas_slice_of(ask);
    message.as.ask.arguments = argument;
    message.as.ask.arguments_n = argument_n;
    size_t size = 0;
    enum cas_err err = message_encode(&message, frame, FRAME_BYTES, &size, why);
    *ret_answer = (struct cli_answer){0};
    link->answer = ret_answer;
    link->next_part = 0;
    link->is_whole = false;
    link->err = CAS_OK;
    link->why = why;
    if (err == CAS_OK)
        err = converse(link, (struct cas_slice){(const char *)frame, size}, why);
    link->answer = NULL;
    link->why = NULL;
    free(frame);
    if (err != CAS_OK) {
        cli_answer_done(ret_answer);
        return err;
    }
    if (ret_answer->size == 0) { /* a refusal: its words are in error */
        free(ret_answer->document);
        ret_answer->document = NULL;
    }
    return CAS_OK;
}

void cli_wait(struct cli_link *link, int64_t wait_ms)
{
    int64_t end_ms = clock_now().mono_ms + wait_ms;
    for (struct cas_now now = clock_now(); now.mono_ms < end_ms && !cli_term_is_interrupted();
         now = clock_now()) {
        int64_t left_ms = end_ms - now.mono_ms;
        int64_t slice_ms = left_ms < SLICE_MS ? left_ms : SLICE_MS;
        if (channel_client_serve(link->client, slice_ms, now, on_frame, link, NULL) != CAS_OK)
            return;
    }
}

void cli_answer_done(struct cli_answer *answer)
{
    free(answer->document);
    *answer = (struct cli_answer){0};
}
