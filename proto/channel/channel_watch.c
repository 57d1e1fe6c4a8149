#include "proto/channel/channel_parts.h"

#include <stdio.h>
#include <string.h>

#include <zmq.h>

enum {
    WATCH_FRAMES = 100000, /* libzmq's own thread waits when more than these are unread */
    EVENT_BYTES = 6,       /* 16 bits of event, 32 of value */
    SELF_POLL_MS = 20
};

enum cas_err channel_watch_open(void *context,
                                void *socket,
                                enum channel_watch watch,
                                void **ret_watch,
                                struct cas_why *why)
{
    /* Stopping would wait for room to tell of it: for ever, when nobody listens. */
    int events = ZMQ_EVENT_ALL & ~ZMQ_EVENT_MONITOR_STOPPED;
    if (watch == CHANNEL_WATCH_BAD)
        events = ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL | ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL;
    char name[64];
    (void)snprintf(name, sizeof name, "inproc://casfleet.watch.%p", socket);

    /* Our end first: without it nothing must begin to tell. */
    void *pair = zmq_socket(context, ZMQ_PAIR);
    int most = WATCH_FRAMES;
    if (pair == NULL || zmq_setsockopt(pair, ZMQ_RCVHWM, &most, sizeof most) != 0 ||
        zmq_socket_monitor(socket, name, events) != 0) {
        enum cas_err err = cas_fail(why, CAS_ERR_IO, "libzmq: no monitor: %s", channel_words());
        channel_socket_free(pair);
        return err;
    }
    if (zmq_connect(pair, name) != 0) {
        enum cas_err err = cas_fail(why, CAS_ERR_IO, "libzmq: no monitor: %s", channel_words());
        (void)zmq_socket_monitor(socket, NULL, 0);
        channel_socket_free(pair);
        return err;
    }
    *ret_watch = pair;
    return CAS_OK;
}

void channel_watch_free(void *socket, void *watch)
{
    if (watch == NULL)
        return;
    (void)zmq_socket_monitor(socket, NULL, 0);
    (void)zmq_close(watch);
}

static enum channel_event event_of(uint16_t number)
{
    switch (number) {
    case ZMQ_EVENT_CONNECT_DELAYED:
        return CHANNEL_EVENT_DELAYED;
    case ZMQ_EVENT_CONNECT_RETRIED:
        return CHANNEL_EVENT_RETRIED;
    case ZMQ_EVENT_CONNECTED:
        return CHANNEL_EVENT_CONNECTED;
    case ZMQ_EVENT_CLOSED:
        return CHANNEL_EVENT_CLOSED;
    case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
        return CHANNEL_EVENT_UP;
    case ZMQ_EVENT_HANDSHAKE_FAILED_AUTH:
        return CHANNEL_EVENT_REFUSED;
    case ZMQ_EVENT_HANDSHAKE_FAILED_PROTOCOL:
        return CHANNEL_EVENT_PROTOCOL;
    case ZMQ_EVENT_HANDSHAKE_FAILED_NO_DETAIL:
        return CHANNEL_EVENT_CUT;
    case ZMQ_EVENT_DISCONNECTED:
        return CHANNEL_EVENT_DISCONNECTED;
    default:
        return CHANNEL_EVENT_OTHER;
    }
}

enum channel_event channel_watch_next(void *watch)
{
    uint8_t bytes[EVENT_BYTES];
    int size = zmq_recv(watch, bytes, sizeof bytes, ZMQ_DONTWAIT);
    if (size < 0)
        return CHANNEL_EVENT_NONE;
    char endpoint[CHANNEL_ENDPOINT_BYTES];
    (void)zmq_recv(watch, endpoint, sizeof endpoint, ZMQ_DONTWAIT);
    if (size != EVENT_BYTES)
        return CHANNEL_EVENT_OTHER;
    uint16_t number = 0;
    memcpy(&number, bytes, sizeof number);
    return event_of(number);
}

/* Where a socket bound to every address is reached on this machine. */
static enum cas_err
near_endpoint(const char *bound, char ret_text[CHANNEL_ENDPOINT_BYTES], struct cas_why *why)
{
    static const struct {
        const char *every;
        const char *near;
    } rows[] = {
        {"tcp://0.0.0.0:", "tcp://127.0.0.1:"},
        {"tcp://[::]:", "tcp://[::1]:"},
    };
    const char *head = "";
    const char *tail = bound;
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        size_t size = strlen(rows[i].every);
        if (strncmp(bound, rows[i].every, size) == 0) {
            head = rows[i].near;
            tail = bound + size;
        }
    }
    int size = snprintf(ret_text, CHANNEL_ENDPOINT_BYTES, "%s%s", head, tail);
    if (size < 0 || size >= CHANNEL_ENDPOINT_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%.80s...: an endpoint has at most %d bytes",
                        bound,
                        CHANNEL_ENDPOINT_BYTES - 1);
    return CAS_OK;
}

/* Refused, cut off or kept waiting are all well: only coming in is not. */
static enum cas_err self_wait(const struct channel_self *self,
                              struct channel_zap *zap,
                              void *watch,
                              void *stopwatch,
                              struct cas_why *why)
{
    while (zmq_stopwatch_intermediate(stopwatch) / 1000 < CHANNEL_SELF_MS) {
        zmq_pollitem_t items[] = {{watch, 0, ZMQ_POLLIN, 0}, {zap->socket, 0, ZMQ_POLLIN, 0}};
        (void)zmq_poll(items, zap->socket != NULL ? 2 : 1, SELF_POLL_MS);
        if (zap->socket != NULL) {
            size_t answer_n = 0;
            enum cas_err err = channel_zap_serve(zap, 1, &answer_n, why);
            if (err != CAS_OK)
                return err;
        }
        enum channel_event event = channel_watch_next(watch);
        if (event == CHANNEL_EVENT_REFUSED || event == CHANNEL_EVENT_CUT)
            return CAS_OK;
        if (event == CHANNEL_EVENT_UP)
            return cas_fail(why,
                            CAS_ERR_BUG,
                            "%s: the ZAP self-test was let in with a key nobody knows",
                            self->endpoint);
    }
    return CAS_OK;
}

enum cas_err
channel_self_test(const struct channel_self *self, struct channel_zap *zap, struct cas_why *why)
{
    char endpoint[CHANNEL_ENDPOINT_BYTES];
    enum cas_err err = near_endpoint(self->endpoint, endpoint, why);
    if (err != CAS_OK)
        return err;
    void *socket = NULL;
    void *watch = NULL;
    err = channel_dealer_open(self->context, self->stranger, &self->server, endpoint, &socket, why);
    if (err == CAS_OK)
        err = channel_watch_open(self->context, socket, CHANNEL_WATCH_ALL, &watch, why);
    if (err == CAS_OK && zmq_connect(socket, endpoint) != 0)
        err = cas_fail(why,
                       CAS_ERR_IO,
                       "%s: the self-test cannot connect: %s",
                       endpoint,
                       channel_words());
    if (err == CAS_OK) {
        void *stopwatch = zmq_stopwatch_start();
        err = self_wait(self, zap, watch, stopwatch, why);
        (void)zmq_stopwatch_stop(stopwatch);
    }
    channel_watch_free(socket, watch);
    channel_socket_free(socket);
    return err;
}
