#include "proto/channel/channel_parts.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <zmq.h>

#include "proto/base/failpoint.h"

/* One request, in the order of ZAP 1.0 (ZeroMQ RFC 27), measured with libzmq 4.3.4: the fifth part
 * is the routing id our own socket was given. */
enum {
    PART_VERSION,
    PART_REQUEST,
    PART_DOMAIN,
    PART_ADDRESS,
    PART_PORT,
    PART_MECHANISM,
    PART_KEY,
    PART_N,
    ADDRESS_BYTES = 64
};

static const char *const port_names[CHANNEL_PORT_N] = {
    [CHANNEL_AGENTS] = "casfleet-agents",
    [CHANNEL_OPERATORS] = "casfleet-operators",
};

const char *channel_zap_port_name(enum channel_port port)
{
    return port_names[port];
}

enum cas_err channel_zap_open(void *zmq_context, void **ret_socket, struct cas_why *why)
{
    void *socket = zmq_socket(zmq_context, ZMQ_REP);
    int zero = 0;
    bool is_unbound = CAS_FAILPOINT("channel.zap_bind") != CAS_OK;
    if (socket == NULL || zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero) != 0 ||
        (!is_unbound && zmq_bind(socket, "inproc://zeromq.zap.01") != 0)) {
        enum cas_err err =
            cas_fail(why, CAS_ERR_BUG, "libzmq: no ZAP handler: %s", channel_words());
        channel_socket_free(socket);
        return err;
    }
    *ret_socket = socket;
    return CAS_OK;
}

static struct cas_slice part_slice(zmq_msg_t *part)
{
    return (struct cas_slice){zmq_msg_data(part), zmq_msg_size(part)};
}

/* All parts of one request; more of them than PART_N are read and forgotten. */
static size_t take_parts(void *socket, zmq_msg_t parts[PART_N])
{
    size_t part_n = 1;
    for (zmq_msg_t *last = &parts[0]; zmq_msg_more(last) != 0; part_n++) {
        last = &parts[part_n < PART_N ? part_n : PART_N - 1];
        if (zmq_msg_recv(last, socket, 0) < 0)
            break;
    }
    return part_n;
}

static enum channel_admission
decide(const struct channel_zap *zap, zmq_msg_t parts[PART_N], struct keys_public *ret_key)
{
    struct cas_slice key = part_slice(&parts[PART_KEY]);
    if (!cas_slice_is(part_slice(&parts[PART_MECHANISM]), "CURVE") || key.size != CAS_KEY_BYTES)
        return CHANNEL_REFUSE;
    memcpy(ret_key->byte, key.data, CAS_KEY_BYTES);
    if (zap->stranger != NULL && keys_same(zap->stranger, ret_key))
        return CHANNEL_REFUSE;

    char address[ADDRESS_BYTES];
    if (cas_slice_copy(part_slice(&parts[PART_ADDRESS]), address, sizeof address) != CAS_OK)
        return CHANNEL_REFUSE;
    for (size_t i = 0; i < CHANNEL_PORT_N; i++) {
        if (cas_slice_is(part_slice(&parts[PART_PORT]), port_names[i]))
            return zap->admit(zap->context, (enum channel_port)i, ret_key, address);
    }
    return CHANNEL_REFUSE;
}

/* Sends after the first do not fail apart: libzmq keeps the parts of a message together. */
static bool answer(void *socket, zmq_msg_t *request, const char *status, const char *user)
{
    struct cas_slice number = part_slice(request);
    return zmq_send(socket, "1.0", 3, ZMQ_SNDMORE) == 3 &&
           zmq_send(socket, number.data, number.size, ZMQ_SNDMORE) >= 0 &&
           zmq_send(socket, status, strlen(status), ZMQ_SNDMORE) >= 0 &&
           zmq_send(socket, "", 0, ZMQ_SNDMORE) >= 0 &&
           zmq_send(socket, user, strlen(user), ZMQ_SNDMORE) >= 0 &&
           zmq_send(socket, "", 0, 0) >= 0;
}

static bool answer_request(struct channel_zap *zap, zmq_msg_t parts[PART_N], size_t part_n)
{
    enum channel_admission admission = CHANNEL_REFUSE;
    struct keys_public key = {{0}};
    char user[KEYS_TEXT_BYTES] = "";
    if (part_n == PART_N)
        admission = decide(zap, parts, &key);
    switch (admission) {
    case CHANNEL_ADMIT:
        zap->counts->handshakes_ok++;
        keys_text(&key, user);
        return answer(zap->socket, &parts[PART_REQUEST], "200", user);
    case CHANNEL_WAIT:
        zap->counts->handshakes_wait++;
        return answer(zap->socket, &parts[PART_REQUEST], "300", user);
    case CHANNEL_REFUSE:
        break;
    }
    zap->counts->handshakes_refused++;
    return answer(zap->socket, &parts[PART_REQUEST], "400", user);
}

enum cas_err
channel_zap_serve(struct channel_zap *zap, size_t most, size_t *ret_n, struct cas_why *why)
{
    size_t done = 0;
    bool is_gone = CAS_FAILPOINT("channel.zap") != CAS_OK;
    zmq_msg_t parts[PART_N];
    for (size_t i = 0; i < PART_N; i++)
        (void)zmq_msg_init(&parts[i]);
    while (done < most && !is_gone) {
        if (zmq_msg_recv(&parts[0], zap->socket, ZMQ_DONTWAIT) < 0) {
            is_gone = zmq_errno() != EAGAIN && zmq_errno() != EINTR;
            break;
        }
        size_t part_n = take_parts(zap->socket, parts);
        is_gone = !answer_request(zap, parts, part_n);
        done++;
    }
    if (is_gone)
        (void)cas_fail(why, CAS_ERR_BUG, "the ZAP handler is gone: %s", channel_words());
    for (size_t i = 0; i < PART_N; i++)
        (void)zmq_msg_close(&parts[i]);
    if (is_gone)
        return CAS_ERR_BUG;
    *ret_n = done;
    return CAS_OK;
}
