#include "tests/bench/bench.h"

#include <string.h>

#include <zmq.h>

#include "proto/base/file.h"

enum {
    ROUTE_BYTES = 5,
    ROUTES = 16384
};

static uint8_t routes[ROUTES][ROUTE_BYTES];
static size_t route_n;

/* Of the size of what the controller answers. */
struct answers {
    struct bench_frame tick, ack, done, offer, grant;
};

static void need(bool is_fine, const char *what)
{
    if (!is_fine)
        bench_die("bare server: %s: %s", what, zmq_strerror(zmq_errno()));
}

static void set(void *socket, int option, int value)
{
    need(zmq_setsockopt(socket, option, &value, sizeof value) == 0, "a socket option");
}

static void send_to(void *socket, const uint8_t *route, const struct bench_frame *frame)
{
    if (zmq_send(socket, route, ROUTE_BYTES, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0)
        (void)zmq_send(socket, frame->byte, frame->size, ZMQ_DONTWAIT);
}

/* The answer to a report carries its position, the report's first_seq, which stands behind the
 * spool: nothing else of it is read. */
static void answer(void *socket,
                   const uint8_t *route,
                   const uint8_t *bytes,
                   size_t size,
                   struct answers *answers)
{
    enum {
        SEQ_AT = 3 + 1 + 3 + CAS_ID_BYTES + 2
    };
    switch (bench_type_of(bytes, size)) {
    case MESSAGE_hello:
        if (route_n < ROUTES)
            memcpy(routes[route_n++], route, ROUTE_BYTES);
        send_to(socket, route, &answers->tick);
        return;
    case MESSAGE_report:
        if (size < SEQ_AT + 4)
            return;
        memcpy(&answers->ack.byte[answers->ack.seq_at[0]], &bytes[SEQ_AT], 4);
        send_to(socket, route, &answers->ack);
        return;
    case MESSAGE_claim:
        send_to(socket, route, &answers->grant);
        return;
    case MESSAGE_result:
        send_to(socket, route, &answers->done);
        return;
    case BENCH_TYPE_FAN:
        for (size_t i = 0; i < route_n; i++)
            send_to(socket, routes[i], &answers->offer);
        return;
    default:
        return;
    }
}

/* Who is let in is asked for each connection, as the controller does: libzmq then keeps a pair of
 * queues to the handler for as long as the connection lives. */
static void *zap_open(void *context)
{
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    need(socket != NULL, "the ZAP socket");
    need(zmq_bind(socket, "inproc://zeromq.zap.01") == 0, "the ZAP address");
    return socket;
}

/* Everybody. Frames of a request: routing id, empty, version, request id and more; of the answer:
 * the same four, status, text, user id, metadata. RFC 27. */
static void zap_serve(void *socket)
{
    enum {
        ECHO_N = 4,
        ANSWER_N = 8,
        FRAME_MOST = 255
    };
    static const char *const rest[ANSWER_N] = {[4] = "200", [5] = "OK", [6] = "", [7] = ""};
    char echo[ECHO_N][FRAME_MOST];
    char other[FRAME_MOST];
    for (;;) {
        int size[ECHO_N] = {0};
        int more = 1;
        for (size_t i = 0; more != 0; i++) {
            int got = zmq_recv(socket, i < ECHO_N ? echo[i] : other, FRAME_MOST, ZMQ_DONTWAIT);
            if (got < 0)
                return;
            if (i < ECHO_N)
                size[i] = got < FRAME_MOST ? got : FRAME_MOST;
            size_t more_size = sizeof more;
            need(zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &more_size) == 0, "a ZAP request");
        }
        for (size_t i = 0; i < ANSWER_N; i++) {
            const char *bytes = i < ECHO_N ? echo[i] : rest[i];
            size_t bytes_n = i < ECHO_N ? (size_t)size[i] : strlen(rest[i]);
            (void)zmq_send(socket, bytes, bytes_n, i + 1 < ANSWER_N ? ZMQ_SNDMORE : 0);
        }
    }
}

static void *socket_open(void *context, const char *endpoint, const struct keys *keys)
{
    void *socket = zmq_socket(context, ZMQ_ROUTER);
    need(socket != NULL, "its socket");
    set(socket, ZMQ_LINGER, 0);
    set(socket, ZMQ_CURVE_SERVER, 1);
    set(socket, ZMQ_ROUTER_MANDATORY, 1);
    set(socket, ZMQ_BACKLOG, 4096);
    set(socket, ZMQ_HANDSHAKE_IVL, 5000);
    set(socket, ZMQ_RCVHWM, 64);
    set(socket, ZMQ_SNDHWM, 64);
    need(zmq_setsockopt(socket, ZMQ_ZAP_DOMAIN, "bare", 4) == 0, "its ZAP domain");
    need(zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, keys_secret_of(keys), CAS_KEY_BYTES) == 0,
         "its key");
    need(zmq_bind(socket, endpoint) == 0, endpoint);
    return socket;
}

void bench_bare_run(const char *endpoint, const char *endpoint_path, const char *key_path)
{
    struct cas_why why = {.text = ""};
    struct keys *keys = NULL;
    struct keys *sign = NULL;
    static struct answers answers;
    const uint8_t spool_id[CAS_ID_BYTES] = {'s'};
    bool is_new = false;
    bench_check(keys_load_or_make(key_path, KEYS_CURVE, &keys, &is_new, &why), &why);
    bench_check(keys_make(KEYS_SIGN, &sign), &why);
    bench_tick_make(&answers.tick);
    bench_ack_make(spool_id, &answers.ack);
    bench_done_make(&answers.done);
    bench_offer_make(&answers.offer);
    bench_grant_make(sign, &answers.grant);
    void *context = zmq_ctx_new();
    void *zap = zap_open(context);
    void *socket = socket_open(context, endpoint, keys);
    char bound[256];
    size_t size = sizeof bound;
    need(zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size) == 0, "where it listens");
    bench_check(file_write(endpoint_path, cas_slice_of(bound), FILE_PUBLIC, &why), &why);

    zmq_msg_t id;
    zmq_msg_t body;
    (void)zmq_msg_init(&id);
    (void)zmq_msg_init(&body);
    for (;;) {
        zmq_pollitem_t items[] = {{zap, 0, ZMQ_POLLIN, 0}, {socket, 0, ZMQ_POLLIN, 0}};
        (void)zmq_poll(items, CAS_COUNT(items), -1);
        zap_serve(zap);
        while (zmq_msg_recv(&id, socket, ZMQ_DONTWAIT) >= 0) {
            need(zmq_msg_recv(&body, socket, 0) >= 0, "a frame's body");
            if (zmq_msg_size(&id) == ROUTE_BYTES)
                answer(socket,
                       zmq_msg_data(&id),
                       zmq_msg_data(&body),
                       zmq_msg_size(&body),
                       &answers);
        }
    }
}
