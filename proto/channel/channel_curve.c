#include "proto/channel/channel_parts.h"

#include <errno.h>
#include <string.h>

#include <zmq.h>

/* Hidden in zmq.h unless draft parts are asked for, but part of the released library. Without it
 * libzmq lets everybody in when the ZAP handler is missing. */
#ifndef ZMQ_ZAP_ENFORCE_DOMAIN
#define ZMQ_ZAP_ENFORCE_DOMAIN 93
#endif

#define ZAP_DOMAIN "casfleet"

enum {
    LEAST_VERSION = 40304,
    BACKLOG = 4096,
    /* Frames in a queue, one connection and direction; 64 KiB each at most. An answer of the
     * largest document is 140 frames. */
    ROUTER_RECEIVE_FRAMES = 64,
    ROUTER_AGENT_FRAMES = 64,
    ROUTER_OPERATOR_FRAMES = 256,
    DEALER_SEND_FRAMES = 64,
    DEALER_RECEIVE_FRAMES = 256
};

struct option_row {
    const char *name;
    int option;
    int value;
};
#define OPTION(name, value)        \
    {                              \
#name, ZMQ_##name, (value) \
    }

static const struct option_row both_options[] = {
    OPTION(LINGER, 0),
    OPTION(HANDSHAKE_IVL, CHANNEL_HANDSHAKE_MS),
};
/* A dead connection is found by TCP itself: what is sent and not confirmed for 30 s ends it, and
 * the TICKs see to it that something is sent. Not by ZMTP's PING: libzmq keeps the timers of all
 * connections in one row and walks along it at each PONG and each PING with a TTL, which at 10,000
 * connections took a whole processor. Agents, with one connection, do send PINGs, without a TTL. */
static const struct option_row router_options[] = {
    OPTION(CURVE_SERVER, 1),
    OPTION(ZAP_ENFORCE_DOMAIN, 1),
    OPTION(ROUTER_MANDATORY, 1),
    OPTION(ROUTER_HANDOVER, 0),
    OPTION(BACKLOG, BACKLOG),
    OPTION(RCVHWM, ROUTER_RECEIVE_FRAMES),
    OPTION(TCP_MAXRT, 30000),
    OPTION(TCP_KEEPALIVE, 1),
    OPTION(TCP_KEEPALIVE_IDLE, 15),
    OPTION(TCP_KEEPALIVE_INTVL, 5),
    OPTION(TCP_KEEPALIVE_CNT, 3),
};
/* libzmq adds jitter to the reconnect interval by itself. */
static const struct option_row dealer_options[] = {
    OPTION(IMMEDIATE, 1),
    OPTION(HEARTBEAT_IVL, 10000),
    OPTION(HEARTBEAT_TIMEOUT, 30000),
    OPTION(RECONNECT_IVL, 1000),
    OPTION(RECONNECT_IVL_MAX, 60000),
    OPTION(SNDHWM, DEALER_SEND_FRAMES),
    OPTION(RCVHWM, DEALER_RECEIVE_FRAMES),
};

const char *channel_words(void)
{
    return zmq_strerror(zmq_errno());
}

static enum cas_err check_library(struct cas_why *why)
{
    int major = 0;
    int minor = 0;
    int patch = 0;
    zmq_version(&major, &minor, &patch);
    if (major * 10000 + minor * 100 + patch < LEAST_VERSION)
        return cas_fail(why,
                        CAS_ERR_VERSION,
                        "libzmq is %d.%d.%d, needed is 4.3.4 or later",
                        major,
                        minor,
                        patch);
    if (zmq_has("curve") != 1)
        return cas_fail(why,
                        CAS_ERR_VERSION,
                        "libzmq %d.%d.%d is built without CURVE",
                        major,
                        minor,
                        patch);
    return CAS_OK;
}

enum cas_err
channel_context_open(int io_threads, int sockets, void **ret_context, struct cas_why *why)
{
    enum cas_err err = check_library(why);
    if (err != CAS_OK)
        return err;
    void *context = zmq_ctx_new();
    if (context == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "libzmq: no context: %s", channel_words());
    if (zmq_ctx_set(context, ZMQ_IO_THREADS, io_threads) != 0 ||
        zmq_ctx_set(context, ZMQ_MAX_SOCKETS, sockets) != 0 ||
        zmq_ctx_set(context, ZMQ_BLOCKY, 0) != 0) {
        err = cas_fail(why,
                       CAS_ERR_CONFIG,
                       "libzmq: refused %d I/O threads and %d sockets: %s",
                       io_threads,
                       sockets,
                       channel_words());
        channel_context_free(context);
        return err;
    }
    *ret_context = context;
    return CAS_OK;
}

void channel_context_free(void *context)
{
    if (context == NULL)
        return;
    while (zmq_ctx_term(context) != 0 && zmq_errno() == EINTR) {
    }
}

void channel_socket_free(void *socket)
{
    if (socket != NULL)
        (void)zmq_close(socket);
}

static enum cas_err
set_bytes(void *socket, int option, const char *name, struct cas_slice value, struct cas_why *why)
{
    if (zmq_setsockopt(socket, option, value.data, value.size) == 0)
        return CAS_OK;
    return cas_fail(why,
                    CAS_ERR_VERSION,
                    "libzmq refused option ZMQ_%s: %s",
                    name,
                    channel_words());
}

static enum cas_err
set_rows(void *socket, const struct option_row *rows, size_t row_n, struct cas_why *why)
{
    for (size_t i = 0; i < row_n; i++) {
        struct cas_slice value = {(const char *)&rows[i].value, sizeof rows[i].value};
        enum cas_err err = set_bytes(socket, rows[i].option, rows[i].name, value, why);
        if (err != CAS_OK)
            return err;
    }
    return CAS_OK;
}

static enum cas_err set_both(void *socket, const char *endpoint, struct cas_why *why)
{
    enum cas_err err = set_rows(socket, both_options, CAS_COUNT(both_options), why);
    if (err != CAS_OK)
        return err;
    int64_t most = WIRE_FRAME_BYTES + CHANNEL_SEAL_BYTES;
    struct cas_slice value = {(const char *)&most, sizeof most};
    err = set_bytes(socket, ZMQ_MAXMSGSIZE, "MAXMSGSIZE", value, why);
    if (err != CAS_OK || strchr(endpoint, '[') == NULL)
        return err;
    const struct option_row six = OPTION(IPV6, 1);
    return set_rows(socket, &six, 1, why);
}

static enum cas_err set_secret(void *socket, const struct keys *keys, struct cas_why *why)
{
    CAS_ASSERT(keys_kind_of(keys) == KEYS_CURVE);
    struct cas_slice secret = {(const char *)keys_secret_of(keys), CAS_KEY_BYTES};
    return set_bytes(socket, ZMQ_CURVE_SECRETKEY, "CURVE_SECRETKEY", secret, why);
}

static enum cas_err set_router(void *socket,
                               enum channel_port port,
                               const struct keys *keys,
                               const char *endpoint,
                               struct cas_why *why)
{
    const struct option_row send =
        OPTION(SNDHWM, port == CHANNEL_OPERATORS ? ROUTER_OPERATOR_FRAMES : ROUTER_AGENT_FRAMES);
    struct cas_slice domain = cas_slice_of(ZAP_DOMAIN);
    struct cas_slice name = cas_slice_of(channel_zap_port_name(port));
    enum cas_err err = set_both(socket, endpoint, why);
    if (err == CAS_OK)
        err = set_bytes(socket, ZMQ_ZAP_DOMAIN, "ZAP_DOMAIN", domain, why);
    if (err == CAS_OK)
        err = set_rows(socket, router_options, CAS_COUNT(router_options), why);
    if (err == CAS_OK)
        err = set_rows(socket, &send, 1, why);
    if (err == CAS_OK)
        err = set_bytes(socket, ZMQ_ROUTING_ID, "ROUTING_ID", name, why);
    if (err == CAS_OK)
        err = set_secret(socket, keys, why);
    return err;
}

static enum cas_err set_dealer(void *socket,
                               const struct keys *keys,
                               const struct keys_public *server,
                               const char *endpoint,
                               struct cas_why *why)
{
    struct keys_public own = keys_public_of(keys);
    struct cas_slice own_key = {(const char *)own.byte, sizeof own.byte};
    struct cas_slice server_key = {(const char *)server->byte, sizeof server->byte};
    enum cas_err err = set_both(socket, endpoint, why);
    if (err == CAS_OK)
        err = set_rows(socket, dealer_options, CAS_COUNT(dealer_options), why);
    if (err == CAS_OK)
        err = set_bytes(socket, ZMQ_CURVE_SERVERKEY, "CURVE_SERVERKEY", server_key, why);
    if (err == CAS_OK)
        err = set_bytes(socket, ZMQ_CURVE_PUBLICKEY, "CURVE_PUBLICKEY", own_key, why);
    if (err == CAS_OK)
        err = set_secret(socket, keys, why);
    return err;
}

static enum cas_err socket_open(void *context, int type, void **ret_socket, struct cas_why *why)
{
    void *socket = zmq_socket(context, type);
    if (socket == NULL)
        return cas_fail(why, CAS_ERR_IO, "libzmq: no socket: %s", channel_words());
    *ret_socket = socket;
    return CAS_OK;
}

enum cas_err channel_router_open(void *context,
                                 enum channel_port port,
                                 const struct keys *keys,
                                 const char *endpoint,
                                 void **ret_socket,
                                 struct cas_why *why)
{
    void *socket = NULL;
    enum cas_err err = socket_open(context, ZMQ_ROUTER, &socket, why);
    if (err != CAS_OK)
        return err;
    err = set_router(socket, port, keys, endpoint, why);
    if (err != CAS_OK) {
        channel_socket_free(socket);
        return err;
    }
    *ret_socket = socket;
    return CAS_OK;
}

enum cas_err channel_dealer_open(void *context,
                                 const struct keys *keys,
                                 const struct keys_public *server,
                                 const char *endpoint,
                                 void **ret_socket,
                                 struct cas_why *why)
{
    void *socket = NULL;
    enum cas_err err = socket_open(context, ZMQ_DEALER, &socket, why);
    if (err != CAS_OK)
        return err;
    err = set_dealer(socket, keys, server, endpoint, why);
    if (err != CAS_OK) {
        channel_socket_free(socket);
        return err;
    }
    *ret_socket = socket;
    return CAS_OK;
}
