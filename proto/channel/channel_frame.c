#include "proto/channel/channel_parts.h"

#include <errno.h>
#include <string.h>

#include <zmq.h>

/* False when the socket has nothing for us; *ret_is_gone when it never will have. */
static bool take_part(void *socket, zmq_msg_t *part, bool *ret_is_gone)
{
    if (zmq_msg_recv(part, socket, ZMQ_DONTWAIT) >= 0)
        return true;
    *ret_is_gone = zmq_errno() != EAGAIN && zmq_errno() != EINTR;
    return false;
}

/* Reads the rest of a message away. True when there was one. */
static bool drop_rest(void *socket, zmq_msg_t *part)
{
    bool is_gone = false;
    bool has_rest = false;
    while (zmq_msg_more(part) != 0 && take_part(socket, part, &is_gone))
        has_rest = true;
    return has_rest;
}

/* The key the ZAP handler wrote down at the handshake. libzmq gives it with body frames only. */
static bool key_of(zmq_msg_t *body, struct keys_public *ret_key)
{
    const char *user = zmq_msg_gets(body, "User-Id");
    if (user == NULL)
        return false;
    return cas_unhex(cas_slice_of(user), ret_key->byte, sizeof ret_key->byte) == CAS_OK;
}

/* A peer may choose its own routing id; those libzmq makes are five bytes and begin with 0. */
static bool route_id_of(zmq_msg_t *part, uint32_t *ret_id)
{
    const uint8_t *byte = zmq_msg_data(part);
    if (zmq_msg_size(part) != CHANNEL_ROUTE_BYTES || byte[0] != 0)
        return false;
    *ret_id = (uint32_t)byte[1] << 24 | (uint32_t)byte[2] << 16 | (uint32_t)byte[3] << 8 | byte[4];
    return true;
}

static struct channel_slot *slot_of(const struct channel_hall *hall, uint32_t id)
{
    return &hall->slots[id & (CHANNEL_ROUTES - 1)];
}

static bool is_muted(const struct channel_slot *slot, uint32_t id)
{
    return slot->is_known && slot->id == id && slot->strike_n >= CHANNEL_STRIKES;
}

/* A route keeps the key it began with: the same route under another key is a peer that made up the
 * routing id of one that left. It is muted at once, so that nothing meant for the other is sent. */
static bool is_route_of(struct channel_slot *slot, uint32_t id, const struct keys_public *key)
{
    if (!slot->is_known || slot->id != id) {
        *slot = (struct channel_slot){.id = id, .is_known = true, .key = *key};
        return true;
    }
    if (memcmp(&slot->key, key, sizeof *key) == 0)
        return true;
    slot->strike_n = CHANNEL_STRIKES;
    return false;
}

/* Counts what is wrong with a message of known key; true when nothing is. */
static bool is_fair(struct channel_hall *hall, const struct channel_frame *frame, bool has_one_part)
{
    struct channel_slot *slot = slot_of(hall, frame->route.id);
    if (!is_route_of(slot, frame->route.id, &frame->key)) {
        hall->counts->dropped_route++;
        return false;
    }
    if (!has_one_part) {
        hall->counts->dropped_parts++;
        slot->strike_n =
            (uint8_t)(slot->strike_n < CHANNEL_STRIKES ? slot->strike_n + 1 : CHANNEL_STRIKES);
        return false;
    }
    if (is_muted(slot, frame->route.id)) {
        hall->counts->dropped_muted++;
        return false;
    }
    return true;
}

static void judge(struct channel_hall *hall,
                  zmq_msg_t *id,
                  zmq_msg_t *body,
                  channel_receive *receive,
                  void *context)
{
    struct channel_frame frame = {.route = {.port = hall->port}};
    bool has_key = key_of(body, &frame.key);
    bool has_route = route_id_of(id, &frame.route.id);
    size_t size = zmq_msg_size(body);
    frame.bytes = (struct cas_slice){zmq_msg_data(body), size};
    bool has_one_part = !drop_rest(hall->socket, body);
    if (!has_key) {
        hall->counts->dropped_nobody++;
        return;
    }
    bool is_good = has_route && is_fair(hall, &frame, has_one_part);
    hall->counts->dropped_route += has_route ? 0 : 1;
    if (is_good) {
        hall->counts->frames_in++;
        hall->counts->bytes_in += size;
        receive(context, &frame);
    } else if (hall->offence != NULL) {
        frame.bytes = (struct cas_slice){"", 0};
        hall->offence(hall->offence_context, &frame);
    }
}

static enum cas_err gone(const char *whose, struct cas_why *why)
{
    return cas_fail(why, CAS_ERR_BUG, "the %s socket is gone: %s", whose, channel_words());
}

enum cas_err channel_hall_take(struct channel_hall *hall,
                               channel_receive *receive,
                               void *context,
                               bool *ret_is_empty,
                               struct cas_why *why)
{
    bool is_gone = false;
    zmq_msg_t id;
    (void)zmq_msg_init(&id);
    bool has_id = take_part(hall->socket, &id, &is_gone);
    if (has_id && zmq_msg_more(&id) != 0) {
        zmq_msg_t body;
        (void)zmq_msg_init(&body);
        if (take_part(hall->socket, &body, &is_gone))
            judge(hall, &id, &body, receive, context);
        (void)zmq_msg_close(&body);
    } else if (has_id) {
        hall->counts->dropped_parts++;
    }
    enum cas_err err = is_gone ? gone(channel_zap_port_name(hall->port), why) : CAS_OK;
    (void)zmq_msg_close(&id);
    if (err == CAS_OK)
        *ret_is_empty = !has_id;
    return err;
}

static enum cas_err send_part(void *socket, struct cas_slice part, int flags)
{
    flags |= ZMQ_DONTWAIT;
    int rc = zmq_send(socket, part.data, part.size, flags);
    if (rc < 0 && zmq_errno() == EAGAIN) {
        /* libzmq may not have looked for a millisecond whether the queue has room again; asking for
         * events makes it look. */
        int events = 0;
        size_t size = sizeof events;
        (void)zmq_getsockopt(socket, ZMQ_EVENTS, &events, &size);
        rc = zmq_send(socket, part.data, part.size, flags);
    }
    if (rc >= 0)
        return CAS_OK;
    return zmq_errno() == EAGAIN ? CAS_ERR_AGAIN : CAS_ERR_UNREACHABLE;
}

enum cas_err channel_dealer_send(void *socket, struct cas_slice bytes)
{
    return bytes.size > WIRE_FRAME_BYTES ? CAS_ERR_TOO_LONG : send_part(socket, bytes, 0);
}

enum cas_err channel_hall_send(struct channel_hall *hall, uint32_t id, struct cas_slice bytes)
{
    const uint8_t route[CHANNEL_ROUTE_BYTES] = {0,
                                                (uint8_t)(id >> 24),
                                                (uint8_t)(id >> 16),
                                                (uint8_t)(id >> 8),
                                                (uint8_t)id};
    if (bytes.size > WIRE_FRAME_BYTES)
        return CAS_ERR_TOO_LONG;
    if (is_muted(slot_of(hall, id), id)) {
        hall->counts->send_failed++;
        return CAS_ERR_UNREACHABLE;
    }
    /* With ROUTER_MANDATORY the first part says whether the peer is there and has room. */
    struct cas_slice first = {(const char *)route, sizeof route};
    enum cas_err err = send_part(hall->socket, first, ZMQ_SNDMORE);
    if (err == CAS_OK)
        err = send_part(hall->socket, bytes, 0);
    if (err != CAS_OK) {
        hall->counts->send_failed++;
        return err;
    }
    hall->counts->frames_out++;
    hall->counts->bytes_out += bytes.size;
    return CAS_OK;
}

enum cas_err channel_dealer_take(void *socket,
                                 const struct keys_public *key,
                                 channel_receive *receive,
                                 void *context,
                                 bool *ret_is_empty,
                                 struct cas_why *why)
{
    bool is_gone = false;
    zmq_msg_t body;
    (void)zmq_msg_init(&body);
    bool has_body = take_part(socket, &body, &is_gone);
    if (is_gone) {
        (void)zmq_msg_close(&body);
        return gone("client's", why);
    }
    if (has_body && zmq_msg_more(&body) != 0) {
        (void)drop_rest(socket, &body);
    } else if (has_body) {
        struct channel_frame frame = {.key = *key};
        frame.bytes = (struct cas_slice){zmq_msg_data(&body), zmq_msg_size(&body)};
        receive(context, &frame);
    }
    (void)zmq_msg_close(&body);
    *ret_is_empty = !has_body;
    return CAS_OK;
}
