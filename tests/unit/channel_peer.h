/* channel_peer.h - how does somebody speak to us who does not keep to our rules?
 *
 * A bare libzmq peer: any mechanism, any routing id, any number of parts. Used by test_channel
 * only. */
#ifndef TESTS_UNIT_CHANNEL_PEER_H
#define TESTS_UNIT_CHANNEL_PEER_H

#include "proto/trust/keys.h"

struct peer;
struct peer_dial {
    const char *endpoint;
    const struct keys *keys; /* NULL: without encryption */
    struct keys_public server;
    struct cas_slice routing_id; /* empty: none of its own */
};
struct peer *peer_open(const struct peer_dial *dial);
/* Parts of one message, each size bytes of 'x'; queued until connected. */
void peer_send(struct peer *peer, size_t part_n, size_t size);
/* Parts taken out of what has arrived; never waits. */
size_t peer_receive(struct peer *peer);
void peer_free(struct peer *peer);
CAS_AUTO_DEFINE(peer);

/* A CURVE server with a ZAP domain but nobody to ask, as libzmq has it by default. Bound to
 * loopback; ret_endpoint[64]. */
struct peer *peer_listen_without_handler(const struct keys *keys, char *ret_endpoint);
/* Binds a socket of ours, to be closed with the room's means; ret_endpoint[64]. */
void peer_bind(void *socket, char *ret_endpoint);

#endif
