/* channel_parts.h - what the files of this room share. Included by channel_*.c (and the room's own
 * test) only.
 *
 * Contexts and sockets are void pointers, as libzmq hands them out. */
#ifndef PROTO_CHANNEL_CHANNEL_PARTS_H
#define PROTO_CHANNEL_CHANNEL_PARTS_H

#include "proto/channel/channel.h"

enum {
    /* CURVE wraps a frame in a name, a nonce, a MAC and a flag byte, and ZMQ_MAXMSGSIZE looks at
     * the wrapped one (measured with libzmq 4.3.4: a limit of 65,536 refuses a payload of 65,504).
     */
    CHANNEL_SEAL_BYTES = 33,
    CHANNEL_ENDPOINT_BYTES = 256,
    CHANNEL_HANDSHAKE_MS = 5000,
    CHANNEL_ROUTE_BYTES = 5,
    CHANNEL_STRIKES =
        3, /* malformed messages of one connection, then it is not talked to any more */
    CHANNEL_ROUTES = 16384, /* connections remembered a port: a power of two, at least PEER_MAX */
    CHANNEL_SELF_MS = 5000, /* the self-test waits at most so long for an answer */
};

/* ---- channel_curve.c: the socket profile ---- */

/* CAS_ERR_VERSION, CAS_ERR_NOMEM, CAS_ERR_IO. */
CAS_CHECK enum cas_err
channel_context_open(int io_threads, int sockets, void **ret_context, struct cas_why *why);
void channel_context_free(void *context); /* all its sockets must be closed */
/* Every option set and its return code checked; closed again when one is refused. */
CAS_CHECK enum cas_err channel_router_open(void *context,
                                           enum channel_port port,
                                           const struct keys *keys,
                                           const char *endpoint,
                                           void **ret_socket,
                                           struct cas_why *why);
CAS_CHECK enum cas_err channel_dealer_open(void *context,
                                           const struct keys *keys,
                                           const struct keys_public *server,
                                           const char *endpoint,
                                           void **ret_socket,
                                           struct cas_why *why);
void channel_socket_free(void *socket);
/* The words for libzmq's last error. */
const char *channel_words(void);

/* ---- channel_watch.c: what libzmq tells of handshakes, and the self-test ---- */

enum channel_event {
    CHANNEL_EVENT_NONE,
    CHANNEL_EVENT_OTHER,
    CHANNEL_EVENT_DELAYED,   /* the name became an address; TCP is asked for */
    CHANNEL_EVENT_RETRIED,   /* a try ended before TCP stood; another one follows */
    CHANNEL_EVENT_CONNECTED, /* TCP stands; the handshake begins */
    CHANNEL_EVENT_CLOSED,    /* TCP was refused */
    CHANNEL_EVENT_UP,        /* handshake done */
    CHANNEL_EVENT_REFUSED,   /* the ZAP handler said 400 */
    CHANNEL_EVENT_PROTOCOL,  /* another protocol or mechanism, or bytes that do not decrypt */
    CHANNEL_EVENT_CUT,       /* ended during the handshake, without a word */
    CHANNEL_EVENT_DISCONNECTED,
};
enum channel_watch {
    CHANNEL_WATCH_ALL,
    CHANNEL_WATCH_BAD /* PROTOCOL and CUT only */
};
/* A socket that hears of what happens to another. */
CAS_CHECK enum cas_err channel_watch_open(void *context,
                                          void *socket,
                                          enum channel_watch watch,
                                          void **ret_watch,
                                          struct cas_why *why);
/* To be called before the watched socket is closed: libzmq's own threads wait for ever to tell a
 * watch that is closed. Either may be NULL. */
void channel_watch_free(void *socket, void *watch);
/* The next event; never waits. */
enum channel_event channel_watch_next(void *watch);

/* ---- channel_zap.c: who may come in ---- */

struct channel_zap {
    void *socket;
    channel_admit *admit;
    void *context;
    struct channel_counts *counts;
    const struct keys_public *stranger; /* the self-test's key while it runs: refused */
};
/* Bound before any other socket of the context. */
CAS_CHECK enum cas_err channel_zap_open(void *zmq_context, void **ret_socket, struct cas_why *why);
/* Answers what waits, at most most; *ret_n says how many. CAS_ERR_BUG: the handler is gone. */
CAS_CHECK enum cas_err
channel_zap_serve(struct channel_zap *zap, size_t most, size_t *ret_n, struct cas_why *why);
/* The routing id a server's socket carries so that ZAP requests tell its port. */
const char *channel_zap_port_name(enum channel_port port);

/* Connects to endpoint with the key zap->stranger names and requires not to be let in. zap may have
 * no socket: then nobody answers. CAS_ERR_BUG: let in. */
struct channel_self {
    void *context;
    const char *endpoint; /* as bound */
    const struct keys *stranger;
    struct keys_public server;
};
CAS_CHECK enum cas_err
channel_self_test(const struct channel_self *self, struct channel_zap *zap, struct cas_why *why);

/* ---- channel_frame.c: one payload frame a message ---- */

struct channel_slot {
    uint32_t id;
    bool is_known;
    uint8_t strike_n;
    struct keys_public key; /* of the first frame that came over this route */
};
struct channel_hall {
    void *socket;
    enum channel_port port;
    struct channel_counts *counts;
    channel_receive *offence; /* may be NULL */
    void *offence_context;
    struct channel_slot *slots; /* [CHANNEL_ROUTES], by the route's low bits */
};
/* Takes the next message, if there is one; hands it to receive unless it is malformed.
 * *ret_is_empty: there was none. CAS_ERR_BUG when the socket is gone. */
CAS_CHECK enum cas_err channel_hall_take(struct channel_hall *hall,
                                         channel_receive *receive,
                                         void *context,
                                         bool *ret_is_empty,
                                         struct cas_why *why);
CAS_CHECK enum cas_err
channel_hall_send(struct channel_hall *hall, uint32_t id, struct cas_slice bytes);
/* The client's: frames bear key, the pinned one. */
CAS_CHECK enum cas_err channel_dealer_take(void *socket,
                                           const struct keys_public *key,
                                           channel_receive *receive,
                                           void *context,
                                           bool *ret_is_empty,
                                           struct cas_why *why);
CAS_CHECK enum cas_err channel_dealer_send(void *socket, struct cas_slice bytes);

#endif
