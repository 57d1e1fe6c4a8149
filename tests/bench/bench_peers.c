#include "tests/bench/bench.h"

#include <stdlib.h>
#include <string.h>

#include <zmq.h>

/* One ROUTER holds all connections: each was made with a key and a routing id of its own, so that
 * the server sees N clients, while this side needs N descriptors and one poll. Socket options are
 * those of an agent's DEALER, but for its PINGs (one in ten seconds): libzmq walks along the timers
 * of all connections of a thread at each PONG and each handshake, which is nothing to an agent's
 * one connection and would be most of the work here. For the same reason there are several threads.
 */
enum {
    ID_BYTES = 5,
    IO_THREADS = 4,
    CONNECTING_MOST = 1000, /* handshakes at once, where the time is not measured */
    WINDOW = 4,             /* reports of a peer under way at a fixed rate */
    TURN_FRAMES = 20000,
    AGAIN_US = 3000000, /* without an answer it is said again */
    CONNECT_US = 60000000,
    LOST_US = 20000000
};

static void id_of(size_t at, uint8_t ret_id[ID_BYTES])
{
    ret_id[0] = 'P';
    for (size_t i = 1; i < ID_BYTES; i++)
        ret_id[i] = (uint8_t)(at >> (8 * (ID_BYTES - 1 - i)) & 0xff);
}

static void need(bool is_fine, const char *what)
{
    if (!is_fine)
        bench_die("%s: %s", what, zmq_strerror(zmq_errno()));
}

static void set(void *socket, int option, int value)
{
    need(zmq_setsockopt(socket, option, &value, sizeof value) == 0, "a socket option");
}

void bench_peers_open(struct bench_peers *peers, size_t n)
{
    *peers = (struct bench_peers){.n = n};
    peers->peer = calloc(n, sizeof *peers->peer);
    struct cas_why why = {.text = "no memory"};
    if (peers->peer == NULL)
        bench_die("no memory for %zu peers", n);
    bench_check(cas_arena_open(WIRE_ARENA_BYTES, &peers->arena), &why);
    for (size_t i = 0; i < n; i++) {
        CAS_AUTO(keys) keys = NULL;
        uint8_t seed[CAS_KEY_BYTES] = {'b', (uint8_t)(i >> 8 & 0xff), (uint8_t)(i & 0xff)};
        bench_check(keys_make_from(KEYS_CURVE, seed, &keys), &why);
        peers->peer[i].public = keys_public_of(keys);
        memcpy(peers->peer[i].secret, keys_secret_of(keys), CAS_KEY_BYTES);
        peers->peer[i].seq = peers->peer[i].acked = BENCH_SEQ_FIRST;
    }
    const uint8_t spool_id[CAS_ID_BYTES] = {'s'};
    bench_report_make(spool_id, &peers->report);
}

void bench_peers_close(struct bench_peers *peers)
{
    if (peers->watch != NULL) {
        (void)zmq_socket_monitor(peers->socket, NULL, 0);
        (void)zmq_close(peers->watch);
    }
    if (peers->socket != NULL)
        (void)zmq_close(peers->socket);
    if (peers->context != NULL)
        (void)zmq_ctx_term(peers->context);
    cas_arena_free(peers->arena);
    free(peers->peer);
    *peers = (struct bench_peers){.n = 0};
}

static void socket_open(struct bench_peers *peers, const struct keys_public *server)
{
    peers->context = zmq_ctx_new();
    need(zmq_ctx_set(peers->context, ZMQ_IO_THREADS, IO_THREADS) == 0, "threads");
    peers->socket = zmq_socket(peers->context, ZMQ_ROUTER);
    need(peers->socket != NULL, "the peers' socket");
    set(peers->socket, ZMQ_LINGER, 0);
    set(peers->socket, ZMQ_ROUTER_MANDATORY, 1);
    set(peers->socket, ZMQ_HANDSHAKE_IVL, 5000);
    set(peers->socket, ZMQ_RECONNECT_IVL, 1000);
    set(peers->socket, ZMQ_RECONNECT_IVL_MAX, 60000);
    set(peers->socket, ZMQ_SNDHWM, 64);
    set(peers->socket, ZMQ_RCVHWM, 256);
    need(zmq_setsockopt(peers->socket, ZMQ_CURVE_SERVERKEY, server->byte, CAS_KEY_BYTES) == 0,
         "the server's key");
    need(zmq_socket_monitor(peers->socket, "inproc://bench.watch", ZMQ_EVENT_DISCONNECTED) == 0,
         "a monitor");
    peers->watch = zmq_socket(peers->context, ZMQ_PAIR);
    need(peers->watch != NULL, "a monitor's socket");
    set(peers->watch, ZMQ_RCVHWM, 0);
    need(zmq_connect(peers->watch, "inproc://bench.watch") == 0, "a monitor's socket");
}

static bool frame_send(struct bench_peers *peers, size_t at, const uint8_t *bytes, size_t size)
{
    uint8_t id[ID_BYTES];
    id_of(at, id);
    if (zmq_send(peers->socket, id, sizeof id, ZMQ_SNDMORE | ZMQ_DONTWAIT) < 0 ||
        zmq_send(peers->socket, bytes, size, ZMQ_DONTWAIT) < 0) {
        peers->lost_n++;
        return false;
    }
    return true;
}

static void message_send(struct bench_peers *peers, size_t at, const struct message *message)
{
    struct bench_frame frame;
    bench_frame_make(message, &frame);
    (void)frame_send(peers, at, frame.byte, frame.size);
}

static void hello_send(struct bench_peers *peers, size_t at)
{
    const struct bench_peer *peer = &peers->peer[at];
    struct message message = {.type = MESSAGE_hello};
    message.as.hello = (struct message_hello){.agent_ver = cas_slice_of("bench"),
                                              .boot_id = {'b'},
                                              .epoch_max = peer->epoch,
                                              .journal_head = peer->journal_head,
                                              .spool_id = {'s'},
                                              .spool_lo = BENCH_SEQ_FIRST + 1,
                                              .spool_hi = peer->seq + 1,
                                              .wall_ms = clock_now().wall_ms};
    message_send(peers, at, &message);
}

static void hb_send(struct bench_peers *peers, size_t at)
{
    struct bench_peer *peer = &peers->peer[at];
    struct record_worker worker = {.pid = 14120, .start_ms = clock_now().wall_ms - 86400000};
    struct message message = {.type = MESSAGE_hb};
    message.as.hb = (struct message_hb){.boot_id = {'b'},
                                        .echo = peer->tick,
                                        .epoch = peer->epoch,
                                        .journal_head = peer->journal_head,
                                        .tail = &peer->tail,
                                        .tail_n = peer->has_tail ? 1 : 0,
                                        .health = HEALTH_GOOD,
                                        .workers = &worker,
                                        .workers_n = 1,
                                        .has_active_requests = true,
                                        .active_requests = 212,
                                        .wall_ms = clock_now().wall_ms,
                                        .is_journal_writable = true,
                                        .probe_seq = ++peer->probe_seq};
    message_send(peers, at, &message);
    peers->hb_n++;
}

void bench_peers_connect(struct bench_peers *peers,
                         const char *endpoint,
                         const struct keys_public *server)
{
    socket_open(peers, server);
    int64_t until_us = bench_now_us() + CONNECT_US;
    for (size_t i = 0; i < peers->n; i++) {
        const struct bench_peer *peer = &peers->peer[i];
        uint8_t id[ID_BYTES];
        id_of(i, id);
        need(zmq_setsockopt(peers->socket, ZMQ_CURVE_PUBLICKEY, peer->public.byte, CAS_KEY_BYTES) ==
                     0 &&
                 zmq_setsockopt(peers->socket, ZMQ_CURVE_SECRETKEY, peer->secret, CAS_KEY_BYTES) ==
                     0 &&
                 zmq_setsockopt(peers->socket, ZMQ_CONNECT_ROUTING_ID, id, sizeof id) == 0 &&
                 zmq_connect(peers->socket, endpoint) == 0,
             endpoint);
        hello_send(peers, i);
        while (i + 1 - peers->welcome_n >= CONNECTING_MOST && bench_now_us() < until_us)
            bench_peers_serve(peers, 10);
    }
    while (peers->welcome_n < peers->n && bench_now_us() < until_us)
        bench_peers_serve(peers, 10);
    if (peers->welcome_n < peers->n)
        bench_die("%zu of %zu peers were let in", peers->welcome_n, peers->n);
}

/* ---- what comes ---- */

void bench_report_send(struct bench_peers *peers, size_t at)
{
    struct bench_peer *peer = &peers->peer[at];
    int64_t now_us = bench_now_us();
    /* What was not acknowledged for long comes again from its first one on. */
    if (peer->seq != peer->acked && now_us - peer->sent_us > AGAIN_US) {
        peers->again_n += peer->seq - peer->acked;
        peer->seq = peer->acked;
    }
    bench_frame_seq(&peers->report, peer->seq + 1);
    if (!frame_send(peers, at, peers->report.byte, peers->report.size))
        return;
    peer->seq++;
    peer->sent_us = now_us;
    peers->report_n++;
}

static void on_tick(struct bench_peers *peers, size_t at, const struct message_tick *tick)
{
    struct bench_peer *peer = &peers->peer[at];
    peer->tick = tick->tick;
    peer->epoch = tick->epoch;
    if (tick->is_welcome && !peer->is_welcome) {
        peer->is_welcome = true;
        peers->welcome_n++;
        peers->welcome_us = bench_now_us();
    }
    if (!peers->is_bare)
        hb_send(peers, at);
}

static void on_ack(struct bench_peers *peers, size_t at, const struct message_ack *ack)
{
    struct bench_peer *peer = &peers->peer[at];
    if (ack->has_cmd_id) {
        peers->done_n++;
        peers->done_us = bench_now_us();
    }
    if (!ack->has_upto_seq || ack->upto_seq <= peer->acked || ack->upto_seq > peer->seq)
        return;
    peers->ack_n += ack->upto_seq - peer->acked;
    peer->acked = (uint32_t)ack->upto_seq;
    if (peers->is_chain && peer->acked == peer->seq)
        bench_report_send(peers, at);
}

static void on_offer(struct bench_peers *peers, size_t at, const struct message_offer *offer)
{
    struct message message = {.type = MESSAGE_claim};
    memcpy(message.as.claim.cmd_id, offer->cmd_id, CAS_ID_BYTES);
    keys_random(message.as.claim.nonce, CAS_ID_BYTES);
    peers->peer[at].tail =
        (struct record_tail){.state = COMMAND_DONE, .seq = peers->peer[at].journal_head + 1};
    memcpy(peers->peer[at].tail.cmd_id, offer->cmd_id, CAS_ID_BYTES);
    if (peers->offer_n == 0)
        peers->offer_us = bench_now_us();
    peers->offer_n++;
    message_send(peers, at, &message);
    peers->claim_us = bench_now_us();
}

static void on_grant(struct bench_peers *peers, size_t at)
{
    struct bench_peer *peer = &peers->peer[at];
    int64_t now_ms = clock_now().wall_ms;
    peers->grant_n++;
    peers->grant_us = bench_now_us();
    peer->has_tail = true;
    peer->journal_head = peer->tail.seq;
    struct message message = {.type = MESSAGE_result};
    message.as.result = (struct message_result){.state = COMMAND_DONE,
                                                .seq = peer->tail.seq,
                                                .pid_before = 14120,
                                                .start_before_ms = now_ms - 86400000,
                                                .pid_after = 14120,
                                                .start_after_ms = now_ms - 86400000,
                                                .intent_ms = now_ms};
    memcpy(message.as.result.cmd_id, peer->tail.cmd_id, CAS_ID_BYTES);
    message_send(peers, at, &message);
}

/* The same bytes each time but for the position at their end: no need to decode all of them. */
static bool ack_is_short(const uint8_t *bytes, size_t size, struct message_ack *ret_ack)
{
    enum {
        HEAD = 3 + 1 + 3 + CAS_ID_BYTES + 1
    };
    if (size != HEAD + 5 || bytes[3] != 0x82 || bytes[4] != 0x01 || bytes[HEAD] != 0xce)
        return false;
    const uint8_t *seq = &bytes[HEAD + 1];
    ret_ack->has_upto_seq = true;
    ret_ack->upto_seq =
        (uint64_t)seq[0] << 24 | (uint64_t)seq[1] << 16 | (uint64_t)seq[2] << 8 | (uint64_t)seq[3];
    return true;
}

static void on_frame(struct bench_peers *peers, size_t at, const uint8_t *bytes, size_t size)
{
    unsigned type = bench_type_of(bytes, size);
    struct message_ack ack = {.has_upto_seq = false};
    if (type == MESSAGE_grant) {
        on_grant(peers, at);
        return;
    }
    if (type == MESSAGE_ack && ack_is_short(bytes, size, &ack)) {
        on_ack(peers, at, &ack);
        return;
    }
    struct message message;
    struct cas_why why = {.text = ""};
    cas_arena_clear(peers->arena);
    bench_check(
        message_decode((struct cas_slice){(const char *)bytes, size}, peers->arena, &message, &why),
        &why);
    if (type == MESSAGE_tick)
        on_tick(peers, at, &message.as.tick);
    else if (type == MESSAGE_ack)
        on_ack(peers, at, &message.as.ack);
    else if (type == MESSAGE_offer)
        on_offer(peers, at, &message.as.offer);
}

void bench_peers_serve(struct bench_peers *peers, int64_t wait_ms)
{
    zmq_pollitem_t item = {peers->socket, 0, ZMQ_POLLIN, 0};
    if (zmq_poll(&item, 1, (long)wait_ms) <= 0)
        return;
    zmq_msg_t id;
    zmq_msg_t body;
    (void)zmq_msg_init(&id);
    (void)zmq_msg_init(&body);
    for (size_t n = 0; n < TURN_FRAMES; n++) {
        if (zmq_msg_recv(&id, peers->socket, ZMQ_DONTWAIT) < 0)
            break;
        const uint8_t *byte = zmq_msg_data(&id);
        bool is_ours = zmq_msg_size(&id) == ID_BYTES && byte[0] == 'P';
        size_t at = is_ours ? (size_t)byte[1] << 24 | (size_t)byte[2] << 16 | (size_t)byte[3] << 8 |
                                  (size_t)byte[4]
                            : peers->n;
        need(zmq_msg_recv(&body, peers->socket, 0) >= 0, "a frame's body");
        if (at < peers->n)
            on_frame(peers, at, zmq_msg_data(&body), zmq_msg_size(&body));
    }
    (void)zmq_msg_close(&id);
    (void)zmq_msg_close(&body);
}

/* ---- what goes on for a while ---- */

static bool may_report(const struct bench_peer *peer, uint32_t window_n, int64_t now_us)
{
    return peer->seq - peer->acked < window_n || now_us - peer->sent_us > AGAIN_US;
}

void bench_peers_kick(struct bench_peers *peers)
{
    int64_t now_us = bench_now_us();
    for (size_t i = 0; i < peers->n; i++) {
        if (may_report(&peers->peer[i], 1, now_us))
            bench_report_send(peers, i);
    }
}

void bench_peers_for(struct bench_peers *peers, int64_t span_us)
{
    int64_t end_us = bench_now_us() + span_us;
    int64_t again_us = bench_now_us() + AGAIN_US;
    while (bench_now_us() < end_us) {
        bench_peers_serve(peers, 5);
        if (peers->is_chain && bench_now_us() > again_us) {
            bench_peers_kick(peers);
            again_us = bench_now_us() + AGAIN_US;
        }
    }
}

void bench_peers_rate(struct bench_peers *peers, double rate_per_s, int64_t span_us)
{
    int64_t start_us = bench_now_us();
    uint64_t sent = 0;
    for (int64_t now_us = start_us; now_us - start_us < span_us; now_us = bench_now_us()) {
        uint64_t due = (uint64_t)((double)(now_us - start_us) * rate_per_s / 1e6);
        for (; sent < due; sent++) {
            for (size_t tries = 0; tries < peers->n; tries++) {
                size_t at = peers->next;
                peers->next = (peers->next + 1) % peers->n;
                if (!may_report(&peers->peer[at], WINDOW, now_us))
                    continue;
                bench_report_send(peers, at);
                break;
            }
        }
        bench_peers_serve(peers, 1);
    }
}

void bench_peers_lost(struct bench_peers *peers)
{
    int64_t until_us = bench_now_us() + LOST_US;
    size_t lost_n = 0;
    while (lost_n < peers->n) {
        uint8_t bytes[8];
        char endpoint[256];
        zmq_pollitem_t item = {peers->watch, 0, ZMQ_POLLIN, 0};
        if (zmq_poll(&item, 1, 100) > 0 && zmq_recv(peers->watch, bytes, sizeof bytes, 0) > 0 &&
            zmq_recv(peers->watch, endpoint, sizeof endpoint, 0) >= 0)
            lost_n++;
        if (bench_now_us() > until_us)
            bench_die("%zu of %zu peers noticed that the server is gone", lost_n, peers->n);
    }
    bench_peers_serve(peers, 0);
    peers->welcome_n = 0;
    for (size_t i = 0; i < peers->n; i++) {
        peers->peer[i].is_welcome = false;
        peers->peer[i].sent_us = 0;
        hello_send(peers, i);
    }
}

void bench_peers_back(struct bench_peers *peers, int64_t until_us)
{
    int64_t again_us = bench_now_us() + 2 * AGAIN_US;
    while (peers->welcome_n < peers->n && bench_now_us() < until_us) {
        bench_peers_serve(peers, 10);
        if (bench_now_us() < again_us)
            continue;
        again_us = bench_now_us() + 2 * AGAIN_US;
        for (size_t i = 0; i < peers->n; i++) {
            if (!peers->peer[i].is_welcome)
                hello_send(peers, i);
        }
    }
}

void bench_peers_fan(struct bench_peers *peers)
{
    const uint8_t ask[] = {0x93, 0x01, BENCH_TYPE_FAN, 0x80};
    (void)frame_send(peers, 0, ask, sizeof ask);
}
