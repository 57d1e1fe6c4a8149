#include "proto/channel/channel_parts.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <zmq.h>

enum {
    SERVER_SOCKETS = 32, /* handler, two ports, a monitor pair each, the self-test and some room */
    TURN_HANDSHAKES = 64,
    TURN_FRAMES = 64,
    TURN_EVENTS = 1024
};

struct channel_server {
    void *context;
    struct channel_zap zap;
    struct channel_hall hall[CHANNEL_PORT_N];
    void *watch[CHANNEL_PORT_N];
    char endpoint[CHANNEL_PORT_N][CHANNEL_ENDPOINT_BYTES];
    struct channel_counts counts;
};

void channel_server_free(struct channel_server *server)
{
    if (server == NULL)
        return;
    for (size_t i = 0; i < CHANNEL_PORT_N; i++) {
        channel_watch_free(server->hall[i].socket, server->watch[i]);
        channel_socket_free(server->hall[i].socket);
        free(server->hall[i].slots);
    }
    channel_socket_free(server->zap.socket);
    channel_context_free(server->context);
    free(server);
}

static enum cas_err bind_port(struct channel_server *server,
                              const struct channel_listen *listen,
                              enum channel_port port,
                              struct cas_why *why)
{
    struct channel_hall *hall = &server->hall[port];
    const char *endpoint = listen->endpoint[port];
    if (strncmp(endpoint, "tcp://", 6) != 0)
        return cas_fail(why, CAS_ERR_CONFIG, "\"%s\": an endpoint is tcp://address:port", endpoint);
    hall->port = port;
    hall->counts = &server->counts;
    hall->offence = listen->offence;
    hall->offence_context = listen->context;
    hall->slots = calloc(CHANNEL_ROUTES, sizeof *hall->slots);
    if (hall->slots == NULL)
        return cas_fail(why,
                        CAS_ERR_NOMEM,
                        "%s: no memory for %d routes",
                        endpoint,
                        CHANNEL_ROUTES);

    enum cas_err err =
        channel_router_open(server->context, port, listen->keys, endpoint, &hall->socket, why);
    if (err == CAS_OK)
        err = channel_watch_open(server->context,
                                 hall->socket,
                                 CHANNEL_WATCH_BAD,
                                 &server->watch[port],
                                 why);
    if (err != CAS_OK)
        return err;
    if (zmq_bind(hall->socket, endpoint) != 0) {
        err = zmq_errno() == EINVAL ? CAS_ERR_CONFIG : CAS_ERR_IO;
        return cas_fail(why, err, "%s: cannot listen there: %s", endpoint, channel_words());
    }
    size_t size = sizeof server->endpoint[port];
    if (zmq_getsockopt(hall->socket, ZMQ_LAST_ENDPOINT, server->endpoint[port], &size) != 0)
        return cas_fail(why, CAS_ERR_IO, "%s: bound, but where: %s", endpoint, channel_words());
    return CAS_OK;
}

/* A stranger must be refused at each port, and by us: libzmq lets everybody in when its ZAP set-up
 * is wrong, and nobody when it finds no handler. */
static enum cas_err
test_ports(struct channel_server *server, const struct keys *keys, struct cas_why *why)
{
    CAS_AUTO(keys) stranger = NULL;
    enum cas_err err = keys_make(KEYS_CURVE, &stranger);
    if (err != CAS_OK)
        return cas_fail(why, err, "no memory for the self-test's key");
    struct keys_public key = keys_public_of(stranger);
    server->zap.stranger = &key;
    for (size_t i = 0; i < CHANNEL_PORT_N && err == CAS_OK; i++) {
        struct channel_self self = {server->context,
                                    server->endpoint[i],
                                    stranger,
                                    keys_public_of(keys)};
        uint64_t refused = server->counts.handshakes_refused;
        err = channel_self_test(&self, &server->zap, why);
        if (err == CAS_OK && server->counts.handshakes_refused == refused)
            err = cas_fail(why,
                           CAS_ERR_BUG,
                           "%s: the ZAP handler was not asked about the self-test's key in %d ms",
                           self.endpoint,
                           CHANNEL_SELF_MS);
        server->counts.handshakes_refused = refused;
    }
    server->zap.stranger = NULL;
    return err;
}

enum cas_err channel_server_open(const struct channel_listen *listen,
                                 struct channel_server **ret_server,
                                 struct cas_why *why)
{
    CAS_AUTO(channel_server) server = calloc(1, sizeof *server);
    if (server == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the channel");
    enum cas_err err =
        channel_context_open(listen->io_threads, SERVER_SOCKETS, &server->context, why);
    if (err != CAS_OK)
        return err;
    server->zap.admit = listen->admit;
    server->zap.context = listen->context;
    server->zap.counts = &server->counts;
    err = channel_zap_open(server->context, &server->zap.socket, why);
    for (size_t i = 0; i < CHANNEL_PORT_N && err == CAS_OK; i++)
        err = bind_port(server, listen, (enum channel_port)i, why);
    if (err == CAS_OK)
        err = test_ports(server, listen->keys, why);
    if (err != CAS_OK)
        return err;
    *ret_server = CAS_TAKE(server);
    return CAS_OK;
}

const char *channel_server_endpoint(const struct channel_server *server, enum channel_port port)
{
    return server->endpoint[port];
}

struct channel_counts channel_server_counts(const struct channel_server *server)
{
    return server->counts;
}

static void count_events(struct channel_server *server)
{
    for (size_t i = 0; i < CHANNEL_PORT_N; i++) {
        for (size_t n = 0; n < TURN_EVENTS; n++) {
            if (channel_watch_next(server->watch[i]) == CHANNEL_EVENT_NONE)
                break;
            server->counts.handshakes_bad++;
        }
    }
}

/* What one call of channel_serve may still do, and whom it tells. */
struct turn {
    size_t frame_left;
    size_t done; /* handshakes and frames */
    channel_receive *receive;
    void *context;
};

static enum cas_err take_frames(struct channel_hall *hall, struct turn *turn, struct cas_why *why)
{
    for (size_t n = 0; n < TURN_FRAMES && turn->frame_left > 0; n++) {
        bool is_empty = false;
        enum cas_err err = channel_hall_take(hall, turn->receive, turn->context, &is_empty, why);
        if (err != CAS_OK || is_empty)
            return err;
        turn->frame_left--;
        turn->done++;
    }
    return CAS_OK;
}

/* Handshakes first, then each port its share, round and round until all is quiet or the frames
 * asked for are out. */
static enum cas_err drain(struct channel_server *server, struct turn *turn, struct cas_why *why)
{
    size_t before = 0;
    enum cas_err err = CAS_OK;
    do {
        before = turn->done;
        size_t answer_n = 0;
        err = channel_zap_serve(&server->zap, TURN_HANDSHAKES, &answer_n, why);
        turn->done += answer_n;
        for (size_t i = 0; i < CHANNEL_PORT_N && err == CAS_OK; i++)
            err = take_frames(&server->hall[i], turn, why);
    } while (err == CAS_OK && turn->done > before && turn->frame_left > 0);
    return err;
}

enum cas_err channel_serve(struct channel_server *server,
                           int64_t wait_ms,
                           size_t frame_most,
                           channel_receive *receive,
                           void *context,
                           struct cas_why *why)
{
    struct turn turn = {.frame_left = frame_most, .receive = receive, .context = context};
    count_events(server);
    enum cas_err err = drain(server, &turn, why);
    if (err != CAS_OK || turn.done > 0 || wait_ms <= 0)
        return err;
    zmq_pollitem_t items[] = {
        {server->zap.socket, 0, ZMQ_POLLIN, 0},
        {server->hall[CHANNEL_AGENTS].socket, 0, ZMQ_POLLIN, 0},
        {server->hall[CHANNEL_OPERATORS].socket, 0, ZMQ_POLLIN, 0},
    };
    int ready_n = zmq_poll(items, CAS_COUNT(items), (long)(wait_ms > INT_MAX ? INT_MAX : wait_ms));
    if (ready_n < 0 && zmq_errno() != EINTR)
        return cas_fail(why, CAS_ERR_BUG, "the channel's sockets are gone: %s", channel_words());
    return ready_n > 0 ? drain(server, &turn, why) : CAS_OK;
}

enum cas_err channel_server_send(struct channel_server *server,
                                 struct channel_route route,
                                 struct cas_slice bytes)
{
    return channel_hall_send(&server->hall[route.port], route.id, bytes);
}
