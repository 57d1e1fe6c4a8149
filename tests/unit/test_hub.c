#include "controller/hub/hub.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/test.h"

static struct keys_public key_of(uint32_t number)
{
    struct keys_public key = {{0}};
    for (size_t i = 0; i < 4; i++)
        key.byte[28 + i] = (uint8_t)(number >> (8 * i));
    return key;
}

static struct channel_frame frame_of(uint32_t number, enum channel_port port, uint32_t route)
{
    return (struct channel_frame){.key = key_of(number), .route = {.port = port, .id = route}};
}

static struct cas_now at(int64_t ms)
{
    return (struct cas_now){.wall_ms = 1000000 + ms, .mono_ms = ms};
}

static struct hub *hub_make(void)
{
    struct hub *hub = NULL;
    EXPECT_OK(hub_open(&hub), NULL);
    return hub;
}

static enum hub_verdict
receive(struct hub *hub, uint32_t number, enum channel_port port, int64_t ms)
{
    struct channel_frame frame = frame_of(number, port, 100 + number);
    struct hub_peer *peer = NULL;
    return hub_receive(hub, &frame, at(ms), &peer);
}

/* Why (I7): what a key may do is decided at every message and every send, not once at its
 * handshake. */
TEST(hub, a_revoked_key_is_out_at_its_next_frame_and_send)
{
    CAS_AUTO(hub) hub = hub_make();
    struct keys_public key = key_of(1);
    EXPECT_INT_EQ(CHANNEL_WAIT, hub_handshake(hub, &key, "10.0.0.1", at(0)));
    EXPECT_INT_EQ(HUB_DROP_UNKNOWN, receive(hub, 1, CHANNEL_AGENTS, 0));
    EXPECT_OK(hub_admit_server(hub, 7, key.byte), NULL);
    EXPECT_INT_EQ(CHANNEL_ADMIT, hub_handshake(hub, &key, "10.0.0.1", at(1)));
    EXPECT_NULL(hub_route(hub, 7));
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 1, CHANNEL_AGENTS, 2));
    EXPECT_NOT_NULL(hub_route(hub, 7));
    EXPECT_UINT_EQ(101, hub_route(hub, 7)->id);
    hub_revoke_server(hub, 7);
    EXPECT_INT_EQ(HUB_DROP_UNKNOWN, receive(hub, 1, CHANNEL_AGENTS, 3));
    EXPECT_NULL(hub_route(hub, 7));
    EXPECT_INT_EQ(CHANNEL_REFUSE, hub_handshake(hub, &key, "10.0.0.1", at(4)));
    EXPECT_OK(hub_admit_server(hub, 7, key.byte), NULL);
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 1, CHANNEL_AGENTS, 5));
}

/* Why: a server's new key takes its place; the old one must not linger as a second door. */
TEST(hub, a_new_key_shuts_the_old_one_out)
{
    CAS_AUTO(hub) hub = hub_make();
    struct keys_public first = key_of(1), second = key_of(2);
    EXPECT_OK(hub_admit_server(hub, 7, first.byte), NULL);
    EXPECT_OK(hub_admit_server(hub, 7, second.byte), NULL);
    EXPECT_INT_EQ(HUB_DROP_UNKNOWN, receive(hub, 1, CHANNEL_AGENTS, 1));
    EXPECT_INT_EQ(CHANNEL_REFUSE, hub_handshake(hub, &first, "a", at(1)));
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 2, CHANNEL_AGENTS, 1));
    EXPECT_ERR(CAS_ERR_EXISTS, hub_admit_server(hub, 8, second.byte));
}

/* Why: 40 at once and 20 a second are allowed, the 41st is not; at the edge. */
TEST(hub, the_rate_is_a_bucket_of_its_own_for_each_key)
{
    CAS_AUTO(hub) hub = hub_make();
    EXPECT_OK(hub_admit_server(hub, 1, key_of(1).byte), NULL);
    EXPECT_OK(hub_admit_server(hub, 2, key_of(2).byte), NULL);
    for (int i = 0; i < PEER_RATE_BURST; i++)
        EXPECT_INT_EQ(HUB_PASS, receive(hub, 1, CHANNEL_AGENTS, 1000));
    EXPECT_INT_EQ(HUB_DROP_RATE, receive(hub, 1, CHANNEL_AGENTS, 1000));
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 2, CHANNEL_AGENTS, 1000));
    EXPECT_INT_EQ(HUB_DROP_RATE, receive(hub, 1, CHANNEL_AGENTS, 1049));
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 1, CHANNEL_AGENTS, 1050)); /* 20 a second: one in 50 ms */
    EXPECT_INT_EQ(HUB_DROP_RATE, receive(hub, 1, CHANNEL_AGENTS, 1050));
    int passed = 0;
    for (int64_t ms = 1051; ms <= 11050; ms++)
        passed += receive(hub, 1, CHANNEL_AGENTS, ms) == HUB_PASS ? 1 : 0;
    EXPECT_INT_EQ(10 * PEER_RATE_PER_S, passed);
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 1, CHANNEL_AGENTS, INT64_C(1) << 50));
}

/* Why: a script asks as fast as it starts programs, about 70 a second; a question dropped there
 * reads as a controller that is down. */
TEST(hub, an_operator_may_ask_ten_times_as_fast_as_an_agent_speaks)
{
    CAS_AUTO(hub) hub = hub_make();
    struct cas_why why = {""};
    char line[160], key[KEYS_TEXT_BYTES];
    struct keys_public operator_key = key_of(9);
    keys_text(&operator_key, key);
    (void)snprintf(line, sizeof line, "ops.a viewer %s\n", key);
    EXPECT_OK(hub_operators_take(hub, "operators", cas_slice_of(line), &why), &why);
    for (int i = 0; i < OPERATOR_RATE_BURST; i++)
        EXPECT_INT_EQ(HUB_PASS, receive(hub, 9, CHANNEL_OPERATORS, 1000));
    EXPECT_INT_EQ(HUB_DROP_RATE, receive(hub, 9, CHANNEL_OPERATORS, 1000));
    EXPECT_INT_EQ(HUB_DROP_RATE, receive(hub, 9, CHANNEL_OPERATORS, 1004));
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 9, CHANNEL_OPERATORS, 1005));
    EXPECT_INT_EQ(HUB_DROP_RATE, receive(hub, 9, CHANNEL_OPERATORS, 1005));
}

TEST(hub, three_violations_in_a_minute_are_a_minute_of_silence)
{
    CAS_AUTO(hub) hub = hub_make();
    struct hub_peer *peer = NULL;
    struct channel_frame frame = frame_of(1, CHANNEL_AGENTS, 5);
    EXPECT_OK(hub_admit_server(hub, 1, key_of(1).byte), NULL);
    EXPECT_INT_EQ(HUB_PASS, hub_receive(hub, &frame, at(0), &peer));
    EXPECT_FALSE(hub_violation(hub, peer, at(0)));
    EXPECT_FALSE(hub_violation(hub, peer, at(1)));
    EXPECT_FALSE(hub_violation(hub, peer, at(60000))); /* another minute */
    EXPECT_FALSE(hub_violation(hub, peer, at(60001)));
    EXPECT_TRUE(hub_violation(hub, peer, at(60002)));
    EXPECT_INT_EQ(HUB_DROP_QUARANTINE,
                  receive(hub, 1, CHANNEL_AGENTS, 60002 + PEER_QUARANTINE_MS - 1));
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 1, CHANNEL_AGENTS, 60002 + PEER_QUARANTINE_MS));
}

/* Why (W13): the right key at the wrong port is known, and still may nothing. */
TEST(hub, a_key_speaks_at_its_own_port_only)
{
    CAS_AUTO(hub) hub = hub_make();
    char text[128], hex[KEYS_TEXT_BYTES];
    struct keys_public operator_key = key_of(9);
    keys_text(&operator_key, hex);
    (void)snprintf(text, sizeof text, "ops.a viewer %s\n", hex);
    EXPECT_OK(hub_operators_take(hub, "f", cas_slice_of(text), NULL), NULL);
    EXPECT_OK(hub_admit_server(hub, 1, key_of(1).byte), NULL);
    struct hub_peer *peer = NULL;
    struct channel_frame frame = frame_of(1, CHANNEL_OPERATORS, 5);
    EXPECT_INT_EQ(HUB_DROP_WRONG_PORT, hub_receive(hub, &frame, at(0), &peer));
    EXPECT_UINT_EQ(1, peer->server_id);
    EXPECT_NULL(hub_route(hub, 1));
    frame = frame_of(9, CHANNEL_AGENTS, 6);
    EXPECT_INT_EQ(HUB_DROP_WRONG_PORT, hub_receive(hub, &frame, at(0), &peer));
    EXPECT_TRUE(peer->is_operator);
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 9, CHANNEL_OPERATORS, 0));
    EXPECT_ERR(CAS_ERR_EXISTS, hub_admit_server(hub, 2, operator_key.byte));
}

static enum cas_err
take(struct hub *hub, const char *first, const char *second, struct cas_why *why)
{
    char text[1024], hex1[KEYS_TEXT_BYTES], hex2[KEYS_TEXT_BYTES];
    struct keys_public one = key_of(1), two = key_of(2);
    keys_text(&one, hex1);
    keys_text(&two, hex2);
    (void)snprintf(text, sizeof text, "# who may ask\n\n%s%s\n%s%s", first, hex1, second, hex2);
    return hub_operators_take(hub, "operators", cas_slice_of(text), why);
}

TEST(hub, an_operators_file_is_taken_whole_or_not_at_all)
{
    CAS_AUTO(hub) hub = hub_make();
    struct cas_why why = {0};
    EXPECT_OK(take(hub, "ops.a admin ", "ops.b \t viewer ", &why), &why);
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 2, CHANNEL_OPERATORS, 0));

    EXPECT_ERR(CAS_ERR_CONFIG, take(hub, "ops.a admin ", "ops.b god ", &why));
    EXPECT_TEXT_HAS("operators:4: \"god\" is not a role", why.text);
    EXPECT_ERR(CAS_ERR_CONFIG, take(hub, "ops.a admin ", "ops.a viewer ", &why));
    EXPECT_TEXT_HAS("operators:4: operator ops.a once more", why.text);
    EXPECT_ERR(CAS_ERR_CONFIG, take(hub, "-ops admin ", "ops.a viewer ", &why));
    EXPECT_TEXT_HAS("operators:3:", why.text);
    EXPECT_ERR(CAS_ERR_CONFIG, take(hub, "ops.a admin ", "ops.b viewer x", &why));
    EXPECT_ERR(CAS_ERR_CONFIG, take(hub, "ops.a admin ", "ops.b admin more ", &why));
    EXPECT_INT_EQ(HUB_PASS, receive(hub, 2, CHANNEL_OPERATORS, 0)); /* those in force stayed */

    char hex[KEYS_TEXT_BYTES], line[128];
    struct keys_public one = key_of(1);
    keys_text(&one, hex);
    (void)snprintf(line, sizeof line, "ops.a viewer %s", hex);
    EXPECT_OK(hub_operators_take(hub, "operators", cas_slice_of(line), &why), &why);
    EXPECT_INT_EQ(HUB_DROP_UNKNOWN, receive(hub, 2, CHANNEL_OPERATORS, 0));
    struct keys_public two = key_of(2);
    EXPECT_INT_EQ(CHANNEL_REFUSE, hub_handshake(hub, &two, "a", at(0)));
}

/* Why: strangers come without end; what is kept of them is bounded, the oldest goes first. */
TEST(hub, waiting_keys_are_bounded_and_leave_when_approved)
{
    CAS_AUTO(hub) hub = hub_make();
    size_t n = 0;
    for (uint32_t i = 1; i <= PEER_PENDING_MAX + 1; i++) {
        struct keys_public key = key_of(i);
        EXPECT_INT_EQ(CHANNEL_WAIT, hub_handshake(hub, &key, "10.0.0.1", at(i)));
    }
    const struct view_waiting *waiting = hub_waiting(hub, &n);
    EXPECT_UINT_EQ(PEER_PENDING_MAX, n);
    EXPECT_BYTES_EQ(key_of(2).byte, waiting[0].key, CAS_KEY_BYTES);
    EXPECT_UINT_EQ(PEER_PENDING_MAX + 1, hub_refused_n(hub));
    struct keys_public key = key_of(2);
    EXPECT_INT_EQ(CHANNEL_WAIT, hub_handshake(hub, &key, "10.0.0.9", at(5000)));
    waiting = hub_waiting(hub, &n);
    EXPECT_UINT_EQ(2, waiting[0].tries);
    EXPECT_TEXT_EQ("10.0.0.9", waiting[0].address);
    EXPECT_OK(hub_admit_server(hub, 1, key.byte), NULL);
    waiting = hub_waiting(hub, &n);
    EXPECT_UINT_EQ(PEER_PENDING_MAX - 1, n);
    EXPECT_BYTES_EQ(key_of(3).byte, waiting[0].key, CAS_KEY_BYTES);
}

/* Why: TICKs go to each connected agent once a round. How: a full fleet, of which some are revoked
 * or gone. */
TEST(hub, a_full_fleet_is_walked_once_each)
{
    CAS_AUTO(hub) hub = hub_make();
    for (uint32_t i = 1; i <= PEER_MAX; i++) {
        EXPECT_OK(hub_admit_server(hub, i, key_of(i).byte), NULL);
        if (i % 2 == 0)
            EXPECT_INT_EQ(HUB_PASS, receive(hub, i, CHANNEL_AGENTS, 0));
    }
    hub_revoke_server(hub, 4);
    hub_forget_route(hub, 8);
    size_t next = 0, n = 0;
    uint32_t server_id = 0, before = 0;
    struct channel_route route;
    while (hub_next(hub, &next, &server_id, &route)) {
        EXPECT_TRUE(server_id > before && server_id % 2 == 0 && server_id != 4 && server_id != 8);
        EXPECT_UINT_EQ(100 + server_id, route.id);
        before = server_id;
        n++;
    }
    EXPECT_UINT_EQ(PEER_MAX / 2 - 2, n);
}
