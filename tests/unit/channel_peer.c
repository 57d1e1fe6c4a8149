#include "tests/unit/channel_peer.h"

#include <stdlib.h>
#include <string.h>

#include <zmq.h>

enum {
    ENDPOINT_BYTES = 64
};

struct peer {
    void *context;
    void *socket;
};

static void set_int(void *socket, int option, int value)
{
    CAS_ASSERT(zmq_setsockopt(socket, option, &value, sizeof value) == 0);
}

static void set_bytes(void *socket, int option, const void *value, size_t size)
{
    CAS_ASSERT(zmq_setsockopt(socket, option, value, size) == 0);
}

static struct peer *peer_make(int type)
{
    struct peer *peer = calloc(1, sizeof *peer);
    CAS_ASSERT(peer != NULL);
    peer->context = zmq_ctx_new();
    peer->socket = zmq_socket(peer->context, type);
    CAS_ASSERT(peer->socket != NULL);
    set_int(peer->socket, ZMQ_LINGER, 0);
    return peer;
}

struct peer *peer_open(const struct peer_dial *dial)
{
    struct peer *peer = peer_make(ZMQ_DEALER);
    if (dial->keys != NULL) {
        struct keys_public own = keys_public_of(dial->keys);
        set_bytes(peer->socket, ZMQ_CURVE_SERVERKEY, dial->server.byte, CAS_KEY_BYTES);
        set_bytes(peer->socket, ZMQ_CURVE_PUBLICKEY, own.byte, CAS_KEY_BYTES);
        set_bytes(peer->socket, ZMQ_CURVE_SECRETKEY, keys_secret_of(dial->keys), CAS_KEY_BYTES);
    }
    if (dial->routing_id.size > 0)
        set_bytes(peer->socket, ZMQ_ROUTING_ID, dial->routing_id.data, dial->routing_id.size);
    set_int(peer->socket, ZMQ_RECONNECT_IVL, 20);
    CAS_ASSERT(zmq_connect(peer->socket, dial->endpoint) == 0);
    return peer;
}

void peer_send(struct peer *peer, size_t part_n, size_t size)
{
    char *part = malloc(size + 1);
    CAS_ASSERT(part != NULL);
    memset(part, 'x', size);
    for (size_t i = 0; i < part_n; i++) {
        int more = i + 1 < part_n ? ZMQ_SNDMORE : 0;
        CAS_ASSERT(zmq_send(peer->socket, part, size, more | ZMQ_DONTWAIT) >= 0);
    }
    free(part);
}

size_t peer_receive(struct peer *peer)
{
    char part[256];
    size_t n = 0;
    while (zmq_recv(peer->socket, part, sizeof part, ZMQ_DONTWAIT) >= 0)
        n++;
    return n;
}

void peer_free(struct peer *peer)
{
    if (peer == NULL)
        return;
    (void)zmq_close(peer->socket);
    (void)zmq_ctx_term(peer->context);
    free(peer);
}

void peer_bind(void *socket, char *ret_endpoint)
{
    size_t size = ENDPOINT_BYTES;
    CAS_ASSERT(zmq_bind(socket, "tcp://127.0.0.1:*") == 0);
    CAS_ASSERT(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, ret_endpoint, &size) == 0);
}

struct peer *peer_listen_without_handler(const struct keys *keys, char *ret_endpoint)
{
    struct peer *peer = peer_make(ZMQ_ROUTER);
    set_int(peer->socket, ZMQ_CURVE_SERVER, 1);
    set_bytes(peer->socket, ZMQ_CURVE_SECRETKEY, keys_secret_of(keys), CAS_KEY_BYTES);
    set_bytes(peer->socket, ZMQ_ZAP_DOMAIN, "casfleet", 8);
    peer_bind(peer->socket, ret_endpoint);
    return peer;
}
