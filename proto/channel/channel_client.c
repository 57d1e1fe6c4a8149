#include "proto/channel/channel_parts.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

enum {
    CLIENT_SOCKETS = 8,
    CLIENT_FRAMES = 64,       /* at most these in one call */
    CLIENT_REDIAL_MS = 60000, /* and up to a quarter more, so that a fleet does not come at once */
    /* A handshake cut sooner was cut by the other side; one that lasted was waiting for approval.
     */
    CLIENT_QUICK_MS = CHANNEL_HANDSHAKE_MS * 3 / 4,
    CLIENT_QUICK_MOST = 3
};

struct channel_client {
    void *context;
    void *socket;
    void *watch;
    void *stopwatch; /* real time, for the length of handshakes; redial goes by the owner's clock */
    struct keys_public server;
    char endpoint[CHANNEL_ENDPOINT_BYTES];
    int64_t redial_ms;
    int64_t redial_at_ms; /* when not dialled */
    bool is_dialled;
    unsigned long connected_us; /* when we heard of it, */
    unsigned long before_us;    /* and when there was nothing to hear yet: it began between */
    unsigned long quiet_us;     /* all that was to hear had been heard */
    unsigned quick_n;           /* handshakes cut at once, in a row */
    enum channel_state state;
    uint64_t connects;
    struct channel_progress progress;
};

void channel_client_free(struct channel_client *client)
{
    if (client == NULL)
        return;
    channel_watch_free(client->socket, client->watch);
    channel_socket_free(client->socket);
    channel_context_free(client->context);
    if (client->stopwatch != NULL)
        (void)zmq_stopwatch_stop(client->stopwatch);
    free(client);
}

static enum cas_err dial_now(struct channel_client *client, struct cas_why *why)
{
    if (zmq_connect(client->socket, client->endpoint) != 0) {
        enum cas_err err = zmq_errno() == EINVAL ? CAS_ERR_CONFIG : CAS_ERR_IO;
        return cas_fail(why, err, "%s: cannot connect: %s", client->endpoint, channel_words());
    }
    client->is_dialled = true;
    client->quick_n = 0;
    return CAS_OK;
}

/* host:port, a host of any kind: libzmq looks at it. */
static bool is_place(const char *text, size_t size, int64_t least_port)
{
    size_t at = size;
    int64_t port = 0;
    while (at > 0 && text[at - 1] != ':')
        at--;
    struct cas_slice digits = {text + at, size - at};
    return at > 1 && digits.size > 0 && digits.data[0] >= '0' && digits.data[0] <= '9' &&
           cas_parse_i64(digits, least_port, UINT16_MAX, &port, NULL) == CAS_OK;
}

/* libzmq takes a source without port, or with one that is none, and then tries for ever. Port 0 of
 * a source: any. */
static bool is_endpoint(const char *endpoint)
{
    static const char head[] = "tcp://";
    if (strncmp(endpoint, head, strlen(head)) != 0)
        return false;
    const char *target = endpoint + strlen(head);
    const char *mark = strchr(target, ';');
    if (mark != NULL) {
        if (!is_place(target, (size_t)(mark - target), 0))
            return false;
        target = mark + 1;
    }
    return is_place(target, strlen(target), 1);
}

enum cas_err channel_endpoint_check(const char *endpoint, struct cas_why *why)
{
    if (is_endpoint(endpoint))
        return CAS_OK;
    return cas_fail(why,
                    CAS_ERR_CONFIG,
                    "\"%s\": an endpoint is tcp://host:port, or with a source of its own "
                    "tcp://0.0.0.0:port;host:port; a port is 1 to 65535",
                    endpoint);
}

enum cas_err channel_client_open(const struct channel_dial *dial,
                                 struct channel_client **ret_client,
                                 struct cas_why *why)
{
    enum cas_err err = channel_endpoint_check(dial->endpoint, why);
    if (err != CAS_OK)
        return err;
    CAS_AUTO(channel_client) client = calloc(1, sizeof *client);
    if (client == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the channel");
    client->server = dial->server;
    client->redial_ms = dial->redial_ms > 0 ? dial->redial_ms : CLIENT_REDIAL_MS;
    client->state = CHANNEL_CONNECTING;
    err = cas_slice_copy(cas_slice_of(dial->endpoint), client->endpoint, sizeof client->endpoint);
    if (err != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "%.80s...: an endpoint has at most %d bytes",
                        dial->endpoint,
                        CHANNEL_ENDPOINT_BYTES - 1);
    client->stopwatch = zmq_stopwatch_start();
    err = channel_context_open(1, CLIENT_SOCKETS, &client->context, why);
    if (err == CAS_OK)
        err = channel_dealer_open(client->context,
                                  dial->keys,
                                  &dial->server,
                                  client->endpoint,
                                  &client->socket,
                                  why);
    if (err == CAS_OK)
        err = channel_watch_open(client->context,
                                 client->socket,
                                 CHANNEL_WATCH_ALL,
                                 &client->watch,
                                 why);
    if (err == CAS_OK)
        err = dial_now(client, why);
    if (err != CAS_OK)
        return err;
    *ret_client = CAS_TAKE(client);
    return CAS_OK;
}

/* libzmq would give up for good, or try every second for ever; we try again on a slow timer. */
static void redial_later(struct channel_client *client, enum channel_state state, int64_t mono_ms)
{
    uint32_t dice = 0;
    keys_random((uint8_t *)&dice, sizeof dice);
    /* Fails when libzmq has dropped the connection by itself: it is gone either way. */
    (void)zmq_disconnect(client->socket, client->endpoint);
    client->is_dialled = false;
    client->state = state;
    client->redial_at_ms = mono_ms + client->redial_ms + dice % (client->redial_ms / 4 + 1);
}

/* A controller that has another key cuts at once, one that waits for approval when its time is up.
 * Whoever hears of both ends together, after a pause of his own, cannot tell them apart. */
static void note_cut(struct channel_client *client, int64_t mono_ms)
{
    unsigned long now_us = zmq_stopwatch_intermediate(client->stopwatch);
    if ((now_us - client->connected_us) / 1000 >= CLIENT_QUICK_MS) {
        client->state = CHANNEL_WAITING;
        client->quick_n = 0;
        return;
    }
    if ((now_us - client->before_us) / 1000 >= CLIENT_QUICK_MS)
        return;
    if (++client->quick_n >= CLIENT_QUICK_MOST)
        redial_later(client, CHANNEL_WRONG_KEY, mono_ms);
}

static void note_event(struct channel_client *client, enum channel_event event, int64_t mono_ms)
{
    switch (event) {
    case CHANNEL_EVENT_DELAYED:
        client->progress.is_named = true;
        break;
    case CHANNEL_EVENT_RETRIED:
        client->progress.failed_n++;
        break;
    case CHANNEL_EVENT_CONNECTED:
        client->progress.is_named = true;
        client->progress.is_connected = true;
        client->progress.is_refused = false;
        client->connected_us = zmq_stopwatch_intermediate(client->stopwatch);
        client->before_us = client->quiet_us;
        break;
    case CHANNEL_EVENT_UP:
        client->state = CHANNEL_UP;
        client->connects++;
        client->quick_n = 0;
        break;
    case CHANNEL_EVENT_REFUSED:
        client->progress.is_refused = true;
        redial_later(client, CHANNEL_WAITING, mono_ms);
        break;
    case CHANNEL_EVENT_PROTOCOL:
        redial_later(client, CHANNEL_WRONG_KEY, mono_ms);
        break;
    case CHANNEL_EVENT_CUT:
        note_cut(client, mono_ms);
        break;
    case CHANNEL_EVENT_DISCONNECTED:
        if (client->state == CHANNEL_UP)
            client->state = CHANNEL_CONNECTING;
        break;
    case CHANNEL_EVENT_CLOSED:
        client->progress.is_named = true; /* there was an address to connect to */
        client->state = CHANNEL_CONNECTING;
        break;
    case CHANNEL_EVENT_NONE:
    case CHANNEL_EVENT_OTHER:
        break;
    }
}

/* True when there was anything. What is still heard of a connection given up is old news. */
static bool take_events(struct channel_client *client, int64_t mono_ms)
{
    bool has_any = false;
    for (;;) {
        enum channel_event event = channel_watch_next(client->watch);
        if (event == CHANNEL_EVENT_NONE) {
            client->quiet_us = zmq_stopwatch_intermediate(client->stopwatch);
            return has_any;
        }
        has_any = true;
        if (client->is_dialled)
            note_event(client, event, mono_ms);
    }
}

static enum cas_err take_frames(struct channel_client *client,
                                channel_receive *receive,
                                void *context,
                                bool *ret_has_any,
                                struct cas_why *why)
{
    bool is_empty = false;
    size_t n = 0;
    for (; n < CLIENT_FRAMES && !is_empty; n++) {
        enum cas_err err =
            channel_dealer_take(client->socket, &client->server, receive, context, &is_empty, why);
        if (err != CAS_OK)
            return err;
    }
    *ret_has_any = n > 1 || !is_empty;
    return CAS_OK;
}

static int64_t
wait_until_redial(const struct channel_client *client, int64_t wait_ms, int64_t mono_ms)
{
    if (!client->is_dialled && client->redial_at_ms - mono_ms < wait_ms)
        wait_ms = client->redial_at_ms - mono_ms;
    return wait_ms < 0 ? 0 : wait_ms > INT_MAX ? INT_MAX : wait_ms;
}

enum cas_err channel_client_serve(struct channel_client *client,
                                  int64_t wait_ms,
                                  struct cas_now now,
                                  channel_receive *receive,
                                  void *context,
                                  struct cas_why *why)
{
    if (!client->is_dialled && now.mono_ms >= client->redial_at_ms) {
        enum cas_err err = dial_now(client, why);
        if (err != CAS_OK)
            return err;
    }
    bool has_event = take_events(client, now.mono_ms);
    bool has_frame = false;
    enum cas_err err = take_frames(client, receive, context, &has_frame, why);
    if (err != CAS_OK || has_event || has_frame)
        return err;

    zmq_pollitem_t items[] = {
        {client->socket, 0, ZMQ_POLLIN, 0},
        {client->watch, 0, ZMQ_POLLIN, 0},
    };
    long poll_ms = (long)wait_until_redial(client, wait_ms, now.mono_ms);
    if (zmq_poll(items, CAS_COUNT(items), poll_ms) < 0 && zmq_errno() != EINTR)
        return cas_fail(why, CAS_ERR_BUG, "the channel's sockets are gone: %s", channel_words());
    (void)take_events(client, now.mono_ms);
    return take_frames(client, receive, context, &has_frame, why);
}

enum cas_err channel_client_send(struct channel_client *client, struct cas_slice bytes)
{
    if (bytes.size > WIRE_FRAME_BYTES)
        return CAS_ERR_TOO_LONG;
    if (client->state != CHANNEL_UP)
        return CAS_ERR_UNREACHABLE;
    return channel_dealer_send(client->socket, bytes);
}

enum channel_state channel_client_state(const struct channel_client *client)
{
    return client->state;
}

uint64_t channel_client_connects(const struct channel_client *client)
{
    return client->connects;
}

struct channel_progress channel_client_progress(const struct channel_client *client)
{
    return client->progress;
}
