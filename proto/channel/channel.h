/* channel.h - encrypted frames between casfleet's programs, each with the authenticated key it came
 * from.
 *
 * CURVE on every socket, ZAP allow-list enforced, exactly the socket profile of channel_curve.c.
 * All sockets are made once, at start: on Windows a socket made later may fail when ports are used
 * up. libzmq lives behind this door. One thread. Used by the programs' main files only; rooms see
 * frames and keys. */
#ifndef PROTO_CHANNEL_CHANNEL_H
#define PROTO_CHANNEL_CHANNEL_H

#include "proto/base/clock.h"
#include "proto/trust/keys.h"

enum channel_port {
    CHANNEL_AGENTS,
    CHANNEL_OPERATORS,
    CHANNEL_PORT_N
};

/* What the owner says of a key that shakes hands. */
enum channel_admission {
    CHANNEL_ADMIT,  /* ZAP 200 */
    CHANNEL_WAIT,   /* ZAP 300: unknown or pending; the peer tries again after HANDSHAKE_IVL */
    CHANNEL_REFUSE, /* ZAP 400: revoked; libzmq's client gives up for good */
};
/* Called while channel_server_open (others may shake hands during its self-test) and channel_serve
 * run; port is where the peer knocks, address its IP as text. */
typedef enum channel_admission channel_admit(void *context,
                                             enum channel_port port,
                                             const struct keys_public *key,
                                             const char *address);

/* A connection at the controller. Only self-made routing ids of ZeroMQ are taken (5 bytes, first
 * 0); never reused within one run. */
struct channel_route {
    enum channel_port port;
    uint32_t id;
};
struct channel_frame {
    struct channel_route route; /* at the controller */
    struct keys_public
        key; /* authenticated: from User-Id of the frame (controller), the pinned key (client) */
    struct cas_slice bytes; /* one payload frame; borrowed until the call returns */
};
typedef void channel_receive(void *context, const struct channel_frame *frame);

struct channel_counts { /* since start */
    uint64_t frames_in, frames_out, bytes_in, bytes_out;
    uint64_t dropped_parts;  /* messages of more or less than one payload frame */
    uint64_t dropped_route;  /* routing id not of ZeroMQ's making */
    uint64_t dropped_nobody; /* no User-Id */
    uint64_t dropped_muted;  /* of a connection that broke the rules three times */
    uint64_t send_failed;    /* peer gone or its queue full */
    uint64_t handshakes_ok, handshakes_wait, handshakes_refused,
        handshakes_bad; /* ok, wait, refused: the owner's
                         * answers; bad: never got so far */
};

/* ---- the controller's side ---- */
struct channel_server;
struct channel_listen {
    const struct keys *keys; /* borrowed for the server's life */
    const char
        *endpoint[CHANNEL_PORT_N]; /* "tcp://127.0.0.1:5670"; port * lets the system choose */
    int io_threads;                /* 1 */
    channel_admit *admit;
    channel_receive *offence; /* may be NULL: told of each dropped message whose key is known; its
                                 bytes are empty */
    void *context;            /* for admit and offence */
};
/* Binds the ZAP handler before all else, sets and checks option 93, binds both ports, then connects
 * to itself with a random key and requires to be refused (self-test): CAS_ERR_BUG "the ZAP
 * self-test was let in" otherwise. CAS_ERR_VERSION libzmq older than 4.3.4, without CURVE or
 * without option 93; CAS_ERR_CONFIG an endpoint that is not tcp://...; CAS_ERR_IO one that cannot
 * be bound. */
CAS_CHECK enum cas_err channel_server_open(const struct channel_listen *listen,
                                           struct channel_server **ret_server,
                                           struct cas_why *why);
void channel_server_free(struct channel_server *server);
CAS_AUTO_DEFINE(channel_server);
/* The endpoint really bound. Borrowed. */
const char *channel_server_endpoint(const struct channel_server *server, enum channel_port port);
/* Takes what is there; waits up to wait_ms only when that is nothing. Answers handshakes by admit,
 * hands at most frame_most frames to receive, in turns of both ports, then returns; a signal ends
 * the wait. frame.key is checked against nothing here: the owner looks it up at every message.
 * CAS_ERR_BUG: the ZAP handler is gone; the program must end. */
CAS_CHECK enum cas_err channel_serve(struct channel_server *server,
                                     int64_t wait_ms,
                                     size_t frame_most,
                                     channel_receive *receive,
                                     void *context,
                                     struct cas_why *why);
/* One frame to one connection. CAS_ERR_UNREACHABLE gone or muted, CAS_ERR_AGAIN its queue is full,
 * CAS_ERR_TOO_LONG above WIRE_FRAME_BYTES. Never blocks. */
CAS_CHECK enum cas_err channel_server_send(struct channel_server *server,
                                           struct channel_route route,
                                           struct cas_slice bytes);
struct channel_counts channel_server_counts(const struct channel_server *server);

/* ---- the agent's and the operator's side ---- */
struct channel_client;
enum channel_state {
    CHANNEL_CONNECTING,
    CHANNEL_UP,
    CHANNEL_WAITING,   /* handshake reached the controller, our key is not approved (ZAP 300) or was
                        * refused (400); a   peer that takes the connection and says nothing for 5 s
                        * looks the same */
    CHANNEL_WRONG_KEY, /* the controller has not the key we pinned, or is none: cut off three times
                          in a row */
};
struct channel_dial {
    const struct keys *keys;   /* borrowed for the client's life */
    struct keys_public server; /* pinned */
    const char
        *endpoint; /* "tcp://host:5670", with a fixed source port "tcp://0.0.0.0:5671;host:5670" */
    int64_t
        redial_ms; /* slow timer for disconnect + connect on the same socket; 0: 60 s + jitter */
};
/* What channel_client_open takes as an endpoint; CAS_ERR_CONFIG with the form that is expected. */
CAS_CHECK enum cas_err channel_endpoint_check(const char *endpoint, struct cas_why *why);
/* CAS_ERR_VERSION as the server; CAS_ERR_CONFIG an endpoint that is not tcp://... or cannot be
 * read. A name is looked up later and again at each try. */
CAS_CHECK enum cas_err channel_client_open(const struct channel_dial *dial,
                                           struct channel_client **ret_client,
                                           struct cas_why *why);
void channel_client_free(struct channel_client *client);
CAS_AUTO_DEFINE(channel_client);
/* Takes what is there; waits up to wait_ms for frames when that is nothing; watches the monitor;
 * redials on its slow timer after a refused handshake. */
CAS_CHECK enum cas_err channel_client_serve(struct channel_client *client,
                                            int64_t wait_ms,
                                            struct cas_now now,
                                            channel_receive *receive,
                                            void *context,
                                            struct cas_why *why);
/* CAS_ERR_UNREACHABLE unless CHANNEL_UP, CAS_ERR_AGAIN the queue is full, CAS_ERR_TOO_LONG. Never
 * blocks. */
CAS_CHECK enum cas_err channel_client_send(struct channel_client *client, struct cas_slice bytes);
enum channel_state channel_client_state(const struct channel_client *client);
uint64_t channel_client_connects(
    const struct channel_client *client); /* grows at each new CHANNEL_UP: send HELLO */
/* How far the tries have come since channel_client_open, for a person who asks why not. */
struct channel_progress {
    uint64_t failed_n; /* tries that ended before TCP stood */
    bool is_named;     /* the endpoint's name became an address at least once */
    bool is_connected; /* somebody took the connection at least once */
    bool is_refused;   /* the last handshake: the controller said no for good (ZAP 400) */
};
struct channel_progress channel_client_progress(const struct channel_client *client);

#endif
