#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/channel/channel_parts.h"
#include "tests/unit/channel_peer.h"

enum {
    ROUNDS = 4000, /* of a loop that ends when its state is there: some 20 s when it never is */
    ROUND_MS = 3,
    LAST_BYTES = 64
};

/* A controller's channel with an owner that notes what it is told. */
struct stage {
    struct channel_server *server;
    struct keys *keys;
    enum channel_admission answer[CHANNEL_PORT_N];
    size_t asked_n[CHANNEL_PORT_N];
    struct keys_public asked_key;
    char asked_from[LAST_BYTES];
    size_t frame_n;
    size_t offence_n;
    struct channel_frame last; /* bytes in last_text */
    char last_text[LAST_BYTES];
    size_t last_size;
    struct keys_public offence_key;
};

static enum channel_admission stage_admit(void *context,
                                          enum channel_port port,
                                          const struct keys_public *key,
                                          const char *address)
{
    struct stage *stage = context;
    stage->asked_n[port]++;
    stage->asked_key = *key;
    (void)snprintf(stage->asked_from, sizeof stage->asked_from, "%s", address);
    return stage->answer[port];
}

static void stage_receive(void *context, const struct channel_frame *frame)
{
    struct stage *stage = context;
    stage->frame_n++;
    stage->last = *frame;
    stage->last_size = frame->bytes.size;
    (void)snprintf(stage->last_text,
                   sizeof stage->last_text,
                   "%.*s",
                   (int)(frame->bytes.size < LAST_BYTES ? frame->bytes.size : 0),
                   frame->bytes.data);
}

static void stage_offence(void *context, const struct channel_frame *frame)
{
    struct stage *stage = context;
    stage->offence_n++;
    stage->offence_key = frame->key;
    EXPECT_UINT_EQ(0, frame->bytes.size);
}

static void stage_serve(struct stage *stage)
{
    struct cas_why why = {""};
    EXPECT_OK(channel_serve(stage->server, ROUND_MS, 1000, stage_receive, stage, &why), &why);
}

static enum cas_err
stage_listen(struct stage *stage, const char *agents, const char *operators, struct cas_why *why)
{
    struct channel_listen listen = {
        .keys = stage->keys,
        .endpoint = {[CHANNEL_AGENTS] = agents, [CHANNEL_OPERATORS] = operators},
        .io_threads = 1,
        .admit = stage_admit,
        .offence = stage_offence,
        .context = stage,
    };
    return channel_server_open(&listen, &stage->server, why);
}

static void stage_free(struct stage *stage)
{
    if (stage == NULL)
        return;
    channel_server_free(stage->server);
    keys_free(stage->keys);
    free(stage);
}
CAS_AUTO_DEFINE(stage);

static struct stage *stage_open(enum channel_admission answer)
{
    struct cas_why why = {""};
    EXPECT_OK(keys_start(&why), &why);
    struct stage *stage = calloc(1, sizeof *stage);
    CAS_ASSERT(stage != NULL);
    EXPECT_OK(keys_make(KEYS_CURVE, &stage->keys), NULL);
    stage->answer[CHANNEL_AGENTS] = answer;
    stage->answer[CHANNEL_OPERATORS] = answer;
    EXPECT_OK(stage_listen(stage, "tcp://127.0.0.1:*", "tcp://127.0.0.1:*", &why), &why);
    return stage;
}

static struct keys_public stage_key(const struct stage *stage)
{
    return keys_public_of(stage->keys);
}

static struct channel_counts stage_counts(const struct stage *stage)
{
    return channel_server_counts(stage->server);
}

static const char *stage_endpoint(const struct stage *stage, enum channel_port port)
{
    return channel_server_endpoint(stage->server, port);
}

/* A client of the room, and what it was told. */
struct caller {
    struct keys *keys;
    struct channel_client *client;
    size_t frame_n;
    char last_text[LAST_BYTES];
    struct keys_public last_key;
};

static void caller_receive(void *context, const struct channel_frame *frame)
{
    struct caller *caller = context;
    caller->frame_n++;
    caller->last_key = frame->key;
    (void)snprintf(caller->last_text,
                   sizeof caller->last_text,
                   "%.*s",
                   (int)(frame->bytes.size < LAST_BYTES ? frame->bytes.size : 0),
                   frame->bytes.data);
}

static void caller_free(struct caller *caller)
{
    if (caller == NULL)
        return;
    channel_client_free(caller->client);
    keys_free(caller->keys);
    free(caller);
}
CAS_AUTO_DEFINE(caller);

static struct caller *
caller_open(const char *endpoint, struct keys_public server, int64_t redial_ms)
{
    struct cas_why why = {""};
    struct caller *caller = calloc(1, sizeof *caller);
    CAS_ASSERT(caller != NULL);
    EXPECT_OK(keys_make(KEYS_CURVE, &caller->keys), NULL);
    struct channel_dial dial = {caller->keys, server, endpoint, redial_ms};
    EXPECT_OK(channel_client_open(&dial, &caller->client, &why), &why);
    return caller;
}

static void caller_serve(struct caller *caller)
{
    struct cas_why why = {""};
    EXPECT_OK(
        channel_client_serve(caller->client, ROUND_MS, clock_now(), caller_receive, caller, &why),
        &why);
}

static bool caller_is(const struct caller *caller, enum channel_state state)
{
    return channel_client_state(caller->client) == state;
}

/* Serves both sides until the caller is in the state. */
static void until_state(struct stage *stage, struct caller *caller, enum channel_state state)
{
    for (int i = 0; i < ROUNDS && !caller_is(caller, state); i++) {
        stage_serve(stage);
        caller_serve(caller);
    }
    EXPECT_INT_EQ(state, channel_client_state(caller->client));
}

static void until_frames(struct stage *stage, size_t frame_n)
{
    for (int i = 0; i < ROUNDS && stage->frame_n < frame_n; i++)
        stage_serve(stage);
    EXPECT_UINT_EQ(frame_n, stage->frame_n);
}

static void until_heard(struct stage *stage, struct caller *caller, size_t frame_n)
{
    for (int i = 0; i < ROUNDS && caller->frame_n < frame_n; i++) {
        stage_serve(stage);
        caller_serve(caller);
    }
    EXPECT_UINT_EQ(frame_n, caller->frame_n);
}

static void say(struct caller *caller, const char *text)
{
    EXPECT_OK(channel_client_send(caller->client, cas_slice_of(text)), NULL);
}

static struct peer *peer_of(const struct stage *stage, const struct keys *keys, struct cas_slice id)
{
    struct peer_dial dial = {
        .endpoint = stage_endpoint(stage, CHANNEL_AGENTS),
        .keys = keys,
        .server = stage_key(stage),
        .routing_id = id,
    };
    return peer_open(&dial);
}

static unsigned port_of(const char *endpoint)
{
    const char *colon = strrchr(endpoint, ':');
    CAS_ASSERT(colon != NULL);
    return (unsigned)strtoul(colon + 1, NULL, 10);
}

static const struct cas_slice no_id = {"", 0};

/* Why: everything rests on knowing whose frame this is. */
TEST(channel, frames_carry_the_authenticated_key_and_answers_go_back)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(caller)
    caller = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 0);
    until_state(stage, caller, CHANNEL_UP);
    EXPECT_UINT_EQ(1, channel_client_connects(caller->client));
    struct keys_public key = keys_public_of(caller->keys);
    EXPECT_TRUE(keys_same(&key, &stage->asked_key));
    EXPECT_TEXT_EQ("127.0.0.1", stage->asked_from);

    say(caller, "hello");
    until_frames(stage, 1);
    EXPECT_TEXT_EQ("hello", stage->last_text);
    EXPECT_TRUE(keys_same(&key, &stage->last.key));
    EXPECT_INT_EQ(CHANNEL_AGENTS, stage->last.route.port);

    struct cas_slice answer = cas_slice_of("welcome");
    EXPECT_OK(channel_server_send(stage->server, stage->last.route, answer), NULL);
    until_heard(stage, caller, 1);
    EXPECT_TEXT_EQ("welcome", caller->last_text);
    struct keys_public server = stage_key(stage);
    EXPECT_TRUE(keys_same(&server, &caller->last_key));

    struct channel_counts counts = stage_counts(stage);
    EXPECT_UINT_EQ(1, counts.frames_in);
    EXPECT_UINT_EQ(5, counts.bytes_in);
    EXPECT_UINT_EQ(1, counts.frames_out);
    EXPECT_UINT_EQ(7, counts.bytes_out);
    EXPECT_UINT_EQ(1, counts.handshakes_ok);
    EXPECT_UINT_EQ(0, counts.handshakes_refused); /* the self-test's are not counted */
}

/* Why: operators and agents use different keys; the owner must know at which door somebody knocks.
 */
TEST(channel, admission_knows_the_port)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_REFUSE);
    stage->answer[CHANNEL_OPERATORS] = CHANNEL_ADMIT;
    CAS_AUTO(caller)
    agent = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 0);
    CAS_AUTO(caller)
    person = caller_open(stage_endpoint(stage, CHANNEL_OPERATORS), stage_key(stage), 0);
    until_state(stage, agent, CHANNEL_WAITING);
    until_state(stage, person, CHANNEL_UP);
    EXPECT_UINT_EQ(1, stage->asked_n[CHANNEL_AGENTS]);
    EXPECT_UINT_EQ(1, stage->asked_n[CHANNEL_OPERATORS]);
    say(person, "status");
    until_frames(stage, 1);
    EXPECT_INT_EQ(CHANNEL_OPERATORS, stage->last.route.port);
}

/* Why: an agent is started before anybody approves its key, and must come in by itself afterwards.
 * How: the owner answers "wait" until the client knows it waits (5 s, libzmq's handshake timer). */
TEST(channel, unknown_key_waits_unheard_and_gets_in_once_approved)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_WAIT);
    CAS_AUTO(caller)
    caller = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 0);
    EXPECT_ERR(CAS_ERR_UNREACHABLE, channel_client_send(caller->client, cas_slice_of("early")));
    until_state(stage, caller, CHANNEL_WAITING);
    EXPECT_ERR(CAS_ERR_UNREACHABLE, channel_client_send(caller->client, cas_slice_of("early")));
    EXPECT_UINT_EQ(0, stage->frame_n);
    EXPECT_TRUE(stage_counts(stage).handshakes_wait >= 1);

    stage->answer[CHANNEL_AGENTS] = CHANNEL_ADMIT;
    until_state(stage, caller, CHANNEL_UP);
    say(caller, "hello");
    until_frames(stage, 1);
}

/* Why: libzmq's client gives up for good when refused; a key approved again must come back. */
TEST(channel, refused_key_redials_and_gets_in_when_approved_again)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_REFUSE);
    CAS_AUTO(caller)
    caller = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 20);
    until_state(stage, caller, CHANNEL_WAITING);
    for (int i = 0; i < ROUNDS && stage->asked_n[CHANNEL_AGENTS] < 3; i++) {
        stage_serve(stage);
        caller_serve(caller);
    }
    EXPECT_UINT_EQ(3, stage->asked_n[CHANNEL_AGENTS]);
    EXPECT_TRUE(caller_is(caller, CHANNEL_WAITING));
    EXPECT_UINT_EQ(3, stage_counts(stage).handshakes_refused);

    stage->answer[CHANNEL_AGENTS] = CHANNEL_ADMIT;
    until_state(stage, caller, CHANNEL_UP);
    say(caller, "back");
    until_frames(stage, 1);
}

/* Why: the handshake is asked about once; a connection outlives the approval of its key. The owner
 * must be able to see, at each message, whose it is. */
TEST(channel, key_is_told_with_every_frame_after_its_approval_ended)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(caller)
    caller = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 0);
    struct keys_public key = keys_public_of(caller->keys);
    until_state(stage, caller, CHANNEL_UP);
    say(caller, "one");
    until_frames(stage, 1);
    stage->answer[CHANNEL_AGENTS] = CHANNEL_REFUSE;
    memset(&stage->last.key, 0, sizeof stage->last.key);
    say(caller, "two");
    until_frames(stage, 2);
    EXPECT_TRUE(keys_same(&key, &stage->last.key));
    EXPECT_UINT_EQ(1, stage->asked_n[CHANNEL_AGENTS]);
}

/* Why: one message of many parts cost 690 MB; a peer that sends such is not talked to after the
 * third. */
TEST(channel, message_of_two_parts_is_dropped_and_the_third_mutes_its_connection)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(keys) keys = NULL;
    EXPECT_OK(keys_make(KEYS_CURVE, &keys), NULL);
    CAS_AUTO(peer) peer = peer_of(stage, keys, no_id);
    peer_send(peer, 1, 3);
    peer_send(peer, 2, 10);
    peer_send(peer, 300, 10);
    peer_send(peer, 1, 4);
    until_frames(stage, 2);
    EXPECT_UINT_EQ(4, stage->last_size);
    EXPECT_UINT_EQ(2, stage_counts(stage).dropped_parts);
    EXPECT_UINT_EQ(2, stage->offence_n);
    struct keys_public key = keys_public_of(keys);
    EXPECT_TRUE(keys_same(&key, &stage->offence_key));
    EXPECT_OK(channel_server_send(stage->server, stage->last.route, cas_slice_of("still")), NULL);

    peer_send(peer, 3, 10);
    peer_send(peer, 1, 5);
    for (int i = 0; i < ROUNDS && stage_counts(stage).dropped_muted < 1; i++)
        stage_serve(stage);
    EXPECT_UINT_EQ(3, stage_counts(stage).dropped_parts);
    EXPECT_UINT_EQ(1, stage_counts(stage).dropped_muted);
    EXPECT_UINT_EQ(2, stage->frame_n);
    EXPECT_ERR(CAS_ERR_UNREACHABLE,
               channel_server_send(stage->server, stage->last.route, cas_slice_of("no")));

    CAS_AUTO(caller)
    other = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 0);
    until_state(stage, other, CHANNEL_UP);
    say(other, "fine");
    until_frames(stage, 3);
}

/* Why: routing ids are the peer's to choose, so they identify nobody. How: an approved key names
 * itself. */
TEST(channel, peer_with_a_routing_id_of_its_own_is_not_heard)
{
    static const struct cas_slice ids[] = {{"LON-CAS01", 9}, {"\001abcd", 5}, {"\0abcde", 6}};
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(keys) keys = NULL;
    EXPECT_OK(keys_make(KEYS_CURVE, &keys), NULL);
    for (size_t n = 0; n < CAS_COUNT(ids); n++) {
        CAS_AUTO(peer) peer = peer_of(stage, keys, ids[n]);
        peer_send(peer, 1, 5);
        for (int i = 0; i < ROUNDS && stage_counts(stage).dropped_route < n + 1; i++)
            stage_serve(stage);
        EXPECT_UINT_EQ(n + 1, stage_counts(stage).dropped_route);
    }
    EXPECT_UINT_EQ(0, stage->frame_n);
    EXPECT_UINT_EQ(3, stage->offence_n);
}

static struct cas_slice route_bytes(struct channel_route route, char ret_bytes[5])
{
    ret_bytes[0] = 0;
    for (int i = 0; i < 4; i++)
        ret_bytes[1 + i] = (char)(unsigned char)(route.id >> (24 - 8 * i));
    return (struct cas_slice){ret_bytes, 5};
}

/* Why: nobody may take over another's connection, nor get what is meant for it after it left.
 * How: a thief with an approved key of its own claims the victim's routing id, while and after it
 * is there. */
TEST(channel, squatter_on_anothers_routing_id_gets_nothing)
{
    char id[5];
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(caller)
    victim = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 0);
    CAS_AUTO(keys) keys = NULL;
    EXPECT_OK(keys_make(KEYS_CURVE, &keys), NULL);
    until_state(stage, victim, CHANNEL_UP);
    say(victim, "mine");
    until_frames(stage, 1);
    struct channel_route route = stage->last.route;

    CAS_AUTO(peer) thief = peer_of(stage, keys, route_bytes(route, id));
    peer_send(thief, 1, 5);
    for (int i = 0; i < ROUNDS && stage_counts(stage).handshakes_ok < 2; i++)
        stage_serve(stage);
    EXPECT_OK(channel_server_send(stage->server, route, cas_slice_of("secret")), NULL);
    until_heard(stage, victim, 1);
    EXPECT_UINT_EQ(1, stage->frame_n);
    EXPECT_UINT_EQ(0, peer_receive(thief));

    channel_client_free(CAS_TAKE(victim->client));
    enum cas_err err = CAS_OK;
    for (int i = 0; i < ROUNDS && err != CAS_ERR_UNREACHABLE; i++) {
        stage_serve(stage);
        err = channel_server_send(stage->server, route, cas_slice_of("lost"));
    }
    EXPECT_ERR(CAS_ERR_UNREACHABLE, err);
    CAS_AUTO(peer) heir = peer_of(stage, keys, route_bytes(route, id));
    peer_send(heir, 1, 6);
    for (int i = 0; i < ROUNDS && stage_counts(stage).dropped_route < 1; i++)
        stage_serve(stage);
    EXPECT_UINT_EQ(1, stage_counts(stage).dropped_route);
    EXPECT_ERR(CAS_ERR_UNREACHABLE,
               channel_server_send(stage->server, route, cas_slice_of("secret")));
    EXPECT_UINT_EQ(1, stage->frame_n);
    EXPECT_UINT_EQ(0, peer_receive(heir));
}

/* Why: libzmq takes frames of any length unless told, before it knows who sends them. */
TEST(channel, largest_frame_passes_and_one_byte_more_disconnects)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(keys) keys = NULL;
    EXPECT_OK(keys_make(KEYS_CURVE, &keys), NULL);
    CAS_AUTO(peer) peer = peer_of(stage, keys, no_id);
    peer_send(peer, 1, WIRE_FRAME_BYTES);
    until_frames(stage, 1);
    EXPECT_UINT_EQ(WIRE_FRAME_BYTES, stage->last_size);
    EXPECT_UINT_EQ(1, stage_counts(stage).handshakes_ok);

    peer_send(peer, 1, WIRE_FRAME_BYTES + 1);
    for (int i = 0; i < ROUNDS && stage_counts(stage).handshakes_ok < 2; i++)
        stage_serve(stage);
    EXPECT_TRUE(stage_counts(stage).handshakes_ok >= 2); /* it was cut off and came again */
    EXPECT_UINT_EQ(1, stage->frame_n);
}

TEST(channel, frame_above_the_limit_is_not_sent)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(caller)
    caller = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 0);
    char *bytes = calloc(1, WIRE_FRAME_BYTES + 1);
    CAS_ASSERT(bytes != NULL);
    struct cas_slice most = {bytes, WIRE_FRAME_BYTES};
    struct cas_slice more = {bytes, WIRE_FRAME_BYTES + 1};
    until_state(stage, caller, CHANNEL_UP);
    enum cas_err long_err = channel_client_send(caller->client, more);
    enum cas_err most_err = channel_client_send(caller->client, most);
    until_frames(stage, 1);
    enum cas_err back_err = channel_server_send(stage->server, stage->last.route, more);
    free(bytes);
    EXPECT_ERR(CAS_ERR_TOO_LONG, long_err);
    EXPECT_OK(most_err, NULL);
    EXPECT_UINT_EQ(WIRE_FRAME_BYTES, stage->last_size);
    EXPECT_ERR(CAS_ERR_TOO_LONG, back_err);
}

/* Why: without encryption there is no key, and without a key there is nobody. */
TEST(channel, peer_without_encryption_is_not_let_in)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(peer) peer = peer_of(stage, NULL, no_id);
    peer_send(peer, 1, 5);
    for (int i = 0; i < ROUNDS && stage_counts(stage).handshakes_bad < 1; i++)
        stage_serve(stage);
    EXPECT_TRUE(stage_counts(stage).handshakes_bad >= 1);
    EXPECT_UINT_EQ(0, stage->asked_n[CHANNEL_AGENTS]);
    EXPECT_UINT_EQ(0, stage->frame_n);
    EXPECT_UINT_EQ(0, peer_receive(peer));
}

/* Why: an agent must not speak to a controller it was not told to trust, nor hammer it for ever. */
TEST(channel, wrong_server_key_is_named_and_not_tried_every_second)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(keys) pinned = NULL;
    EXPECT_OK(keys_make(KEYS_CURVE, &pinned), NULL);
    const char *endpoint = stage_endpoint(stage, CHANNEL_AGENTS);
    CAS_AUTO(caller) caller = caller_open(endpoint, keys_public_of(pinned), 3600000);
    until_state(stage, caller, CHANNEL_WRONG_KEY);
    EXPECT_ERR(CAS_ERR_UNREACHABLE, channel_client_send(caller->client, cas_slice_of("hello")));
    for (int i = 0; i < ROUNDS && stage_counts(stage).handshakes_bad < 3; i++)
        stage_serve(stage);
    EXPECT_UINT_EQ(3, stage_counts(stage).handshakes_bad);
    EXPECT_UINT_EQ(0, stage->asked_n[CHANNEL_AGENTS]);
    EXPECT_UINT_EQ(0, channel_client_connects(caller->client));
}

/* Why: libzmq lets everybody in when nobody answers for it (measured); the program must notice at
 * start. How: a server with CURVE and a domain, but no handler and without option 93, as libzmq has
 * it. */
TEST(channel, self_test_notices_a_server_that_lets_everybody_in)
{
    struct cas_why why = {""};
    char endpoint[64];
    EXPECT_OK(keys_start(&why), &why);
    CAS_AUTO(keys) keys = NULL;
    CAS_AUTO(keys) stranger = NULL;
    EXPECT_OK(keys_make(KEYS_CURVE, &keys), NULL);
    EXPECT_OK(keys_make(KEYS_CURVE, &stranger), NULL);
    CAS_AUTO(peer) open_house = peer_listen_without_handler(keys, endpoint);
    EXPECT_NOT_NULL(open_house);
    void *context = NULL;
    EXPECT_OK(channel_context_open(1, 16, &context, &why), &why);
    struct channel_self self = {context, endpoint, stranger, keys_public_of(keys)};
    struct channel_zap nobody = {0};
    enum cas_err err = channel_self_test(&self, &nobody, &why);
    channel_context_free(context);
    EXPECT_ERR(CAS_ERR_BUG, err);
    EXPECT_TEXT_HAS("the ZAP self-test was let in", why.text);
    EXPECT_TEXT_HAS(endpoint, why.text);
}

/* Why: should the handler die, our own profile must keep everybody out. How: our socket, no handler
 * at all. */
TEST(channel, our_socket_lets_nobody_in_without_a_handler)
{
    struct cas_why why = {""};
    char endpoint[64];
    EXPECT_OK(keys_start(&why), &why);
    CAS_AUTO(keys) keys = NULL;
    CAS_AUTO(keys) stranger = NULL;
    EXPECT_OK(keys_make(KEYS_CURVE, &keys), NULL);
    EXPECT_OK(keys_make(KEYS_CURVE, &stranger), NULL);
    void *context = NULL;
    void *socket = NULL;
    EXPECT_OK(channel_context_open(1, 16, &context, &why), &why);
    EXPECT_OK(channel_router_open(context, CHANNEL_AGENTS, keys, "tcp://", &socket, &why), &why);
    peer_bind(socket, endpoint);
    struct channel_self self = {context, endpoint, stranger, keys_public_of(keys)};
    struct channel_zap nobody = {0};
    enum cas_err err = channel_self_test(&self, &nobody, &why);
    channel_socket_free(socket);
    channel_context_free(context);
    EXPECT_OK(err, &why);
}

/* Why: agents find a restarted controller by themselves, and say HELLO again. */
TEST(channel, client_comes_back_after_the_server_restarted)
{
    struct cas_why why = {""};
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    char endpoint[64];
    (void)snprintf(endpoint, sizeof endpoint, "%s", stage_endpoint(stage, CHANNEL_AGENTS));
    CAS_AUTO(caller) caller = caller_open(endpoint, stage_key(stage), 0);
    until_state(stage, caller, CHANNEL_UP);
    channel_server_free(CAS_TAKE(stage->server));
    for (int i = 0; i < ROUNDS && caller_is(caller, CHANNEL_UP); i++)
        caller_serve(caller);
    EXPECT_TRUE(caller_is(caller, CHANNEL_CONNECTING));
    EXPECT_ERR(CAS_ERR_UNREACHABLE, channel_client_send(caller->client, cas_slice_of("lost")));

    EXPECT_OK(stage_listen(stage, endpoint, "tcp://127.0.0.1:*", &why), &why);
    until_state(stage, caller, CHANNEL_UP);
    EXPECT_UINT_EQ(2, channel_client_connects(caller->client));
}

/* Why: sending to an agent that left must be seen at once, not believed. */
TEST(channel, sending_to_a_connection_that_is_gone_says_so)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    struct channel_route nobody = {CHANNEL_AGENTS, 12345};
    EXPECT_ERR(CAS_ERR_UNREACHABLE,
               channel_server_send(stage->server, nobody, cas_slice_of("hello?")));
    EXPECT_UINT_EQ(1, stage_counts(stage).send_failed);
}

/* Why: a full queue must be told, not waited for: one slow peer would stop the controller. */
TEST(channel, sending_to_a_peer_that_does_not_read_never_blocks)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(caller)
    caller = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 0);
    static char bytes[WIRE_FRAME_BYTES];
    struct cas_slice large = {bytes, sizeof bytes};
    until_state(stage, caller, CHANNEL_UP);
    say(caller, "hello");
    until_frames(stage, 1);
    enum cas_err err = CAS_OK;
    for (int i = 0; i < 10000 && err == CAS_OK; i++)
        err = channel_server_send(stage->server, stage->last.route, large);
    EXPECT_ERR(CAS_ERR_AGAIN, err);
    EXPECT_UINT_EQ(1, stage_counts(stage).send_failed);
}

/* Why: the loop has other work; it says how much it takes at a time, and nothing is lost by that.
 */
TEST(channel, no_more_frames_are_handed_out_than_asked_for)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(caller)
    caller = caller_open(stage_endpoint(stage, CHANNEL_AGENTS), stage_key(stage), 0);
    struct cas_why why = {""};
    until_state(stage, caller, CHANNEL_UP);
    for (int i = 0; i < 10; i++)
        say(caller, "hello");
    for (int i = 0; i < ROUNDS && stage->frame_n < 10; i++) {
        size_t before = stage->frame_n;
        EXPECT_OK(channel_serve(stage->server, ROUND_MS, 3, stage_receive, stage, &why), &why);
        EXPECT_TRUE(stage->frame_n - before <= 3);
    }
    EXPECT_UINT_EQ(10, stage->frame_n);
}

/* Why: when a server has used up its ports, an agent with a port of its own still gets through. */
TEST(channel, endpoint_may_name_its_source)
{
    char endpoint[128];
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    const char *target = stage_endpoint(stage, CHANNEL_AGENTS) + strlen("tcp://");
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:0;%s", target);
    CAS_AUTO(caller) caller = caller_open(endpoint, stage_key(stage), 20);
    stage->answer[CHANNEL_AGENTS] = CHANNEL_REFUSE;
    until_state(stage, caller, CHANNEL_WAITING);
    stage->answer[CHANNEL_AGENTS] = CHANNEL_ADMIT;
    until_state(stage, caller, CHANNEL_UP);
}

/* Why: with a reserved port of its own the agent tells of port exhaustion while it lasts; the very
 * same port must do again after the controller was restarted.
 * How: a port that was free a moment ago; the controller ends and comes back at its address. */
TEST(channel, fixed_source_port_serves_every_connection)
{
    struct cas_why why = {""};
    char endpoint[64];
    char dialled[128];
    CAS_AUTO(stage) other = stage_open(CHANNEL_ADMIT);
    unsigned port = port_of(stage_endpoint(other, CHANNEL_OPERATORS));
    stage_free(CAS_TAKE(other));
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    (void)snprintf(endpoint, sizeof endpoint, "%s", stage_endpoint(stage, CHANNEL_AGENTS));
    (void)
        snprintf(dialled, sizeof dialled, "tcp://0.0.0.0:%u;%s", port, endpoint + strlen("tcp://"));
    CAS_AUTO(caller) caller = caller_open(dialled, stage_key(stage), 20);
    until_state(stage, caller, CHANNEL_UP);

    channel_server_free(CAS_TAKE(stage->server));
    for (int i = 0; i < ROUNDS && caller_is(caller, CHANNEL_UP); i++)
        caller_serve(caller);
    EXPECT_OK(stage_listen(stage, endpoint, "tcp://127.0.0.1:*", &why), &why);
    until_state(stage, caller, CHANNEL_UP);
    EXPECT_UINT_EQ(2, channel_client_connects(caller->client));
    say(caller, "again");
    until_frames(stage, 1);
}

/* Why: libzmq takes these and then tries for ever, without a word to anybody. */
TEST(channel, source_that_is_none_is_refused)
{
    static const char *const bad[] = {
        "tcp://0.0.0.0;127.0.0.1:5670",
        "tcp://0.0.0.0:;127.0.0.1:5670",
        "tcp://:5671;127.0.0.1:5670",
        "tcp://0.0.0.0:65536;127.0.0.1:5670",
        "tcp://0.0.0.0:-1;127.0.0.1:5670",
        "tcp://0.0.0.0:abc;127.0.0.1:5670",
        "tcp://0.0.0.0:5671;",
        "tcp://0.0.0.0:5671;127.0.0.1",
        "tcp://0.0.0.0:5671;127.0.0.1:0",
        "tcp://0.0.0.0:5671;127.0.0.1:65536",
        "tcp://0.0.0.0:5671;127.0.0.1:5670;",
        "tcp://127.0.0.1:99999",
        "tcp://:5670",
    };
    static const char *const good[] = {
        "tcp://127.0.0.1:65535",
        "tcp://[::1]:1",
        "tcp://lon-ctl01.example.test:5670",
        "tcp://0.0.0.0:65535;127.0.0.1:5670",
        "tcp://[::]:1;[::1]:5670",
    };
    struct cas_why why = {""};
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        struct channel_client *client = NULL;
        struct channel_dial dial = {stage->keys, stage_key(stage), bad[i], 0};
        EXPECT_ERR(CAS_ERR_CONFIG, channel_client_open(&dial, &client, &why));
        EXPECT_TEXT_HAS(bad[i], why.text);
    }
    for (size_t i = 0; i < CAS_COUNT(good); i++) {
        struct channel_client *client = NULL;
        struct channel_dial dial = {stage->keys, stage_key(stage), good[i], 0};
        EXPECT_OK(channel_client_open(&dial, &client, &why), &why);
        channel_client_free(client);
    }
}

/* Why: on Windows each socket takes ports at its making, and there may be none left; polling what
 * was not made would end the program.
 * How: a context with room for one, two and three sockets: the client's own, libzmq's end of the
 * monitor, ours. */
TEST(channel, socket_that_cannot_be_made_is_told)
{
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    struct keys_public key = stage_key(stage);
    for (int room = 1; room <= 3; room++) {
        struct cas_why why = {""};
        void *context = NULL;
        void *socket = NULL;
        void *more = NULL;
        void *watch = NULL;
        EXPECT_OK(channel_context_open(1, room, &context, &why), &why);
        enum cas_err err =
            channel_dealer_open(context, stage->keys, &key, "tcp://127.0.0.1:9", &socket, &why);
        enum cas_err watch_err =
            channel_watch_open(context, socket, CHANNEL_WATCH_ALL, &watch, &why);
        enum cas_err more_err =
            room < 3
                ? CAS_OK
                : channel_dealer_open(context, stage->keys, &key, "tcp://127.0.0.1:9", &more, &why);
        bool is_made = watch != NULL;
        channel_watch_free(socket, watch);
        channel_socket_free(more);
        channel_socket_free(socket);
        channel_context_free(context);
        EXPECT_OK(err, NULL);
        EXPECT_ERR(room < 3 ? CAS_ERR_IO : CAS_OK, watch_err);
        EXPECT_ERR(room < 3 ? CAS_OK : CAS_ERR_IO, more_err);
        EXPECT_TRUE(is_made == (room == 3));
        EXPECT_TEXT_HAS(room < 3 ? "no monitor" : "no socket", why.text);
    }
}

TEST(channel, endpoint_that_cannot_be_used_is_named)
{
    struct cas_why why = {""};
    CAS_AUTO(stage) stage = stage_open(CHANNEL_ADMIT);
    CAS_AUTO(stage) second = calloc(1, sizeof *second);
    CAS_ASSERT(second != NULL);
    EXPECT_OK(keys_make(KEYS_CURVE, &second->keys), NULL);
    const char *taken = stage_endpoint(stage, CHANNEL_AGENTS);
    EXPECT_ERR(CAS_ERR_IO, stage_listen(second, taken, "tcp://127.0.0.1:*", &why));
    EXPECT_TEXT_HAS(taken, why.text);
    EXPECT_ERR(CAS_ERR_CONFIG, stage_listen(second, "5670", "tcp://127.0.0.1:*", &why));
    EXPECT_TEXT_HAS("\"5670\"", why.text);
    EXPECT_ERR(CAS_ERR_CONFIG, stage_listen(second, "tcp://127.0.0.1:*", "tcp://127.0.0.1", &why));

    struct channel_client *client = NULL;
    struct channel_dial dial = {second->keys, stage_key(stage), "ipc:///tmp/x", 0};
    EXPECT_ERR(CAS_ERR_CONFIG, channel_client_open(&dial, &client, &why));
    dial.endpoint = "tcp://nowhere";
    EXPECT_ERR(CAS_ERR_CONFIG, channel_client_open(&dial, &client, &why));
    EXPECT_NULL(client);
}

/* Why: bound to every address, the self-test must still find its way in (and be refused). */
TEST(channel, every_address_can_be_listened_on)
{
    struct cas_why why = {""};
    EXPECT_OK(keys_start(&why), &why);
    CAS_AUTO(stage) stage = calloc(1, sizeof *stage);
    CAS_ASSERT(stage != NULL);
    EXPECT_OK(keys_make(KEYS_CURVE, &stage->keys), NULL);
    EXPECT_OK(stage_listen(stage, "tcp://0.0.0.0:*", "tcp://127.0.0.1:*", &why), &why);
    EXPECT_TEXT_HAS("tcp://0.0.0.0:", stage_endpoint(stage, CHANNEL_AGENTS));
    EXPECT_UINT_EQ(0, stage_counts(stage).handshakes_refused);
}
