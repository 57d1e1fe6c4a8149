#include "tests/unit/test.h"

#include "proto/channel/channel_parts.h"
#include "tests/unit/channel_peer.h"

enum {
    ROUND_MS = 20,
    CUTS_MS = 6000 /* libzmq's third attempt comes within 5 s */
};

static void no_frame(void *context, const struct channel_frame *frame)
{
    (void)context;
    (void)frame;
    test_fail(TEST_PLACE("no_frame"), "a frame of a server that has another key");
}

static void serve(struct channel_client *client)
{
    struct cas_why why = {""};
    EXPECT_OK(channel_client_serve(client, ROUND_MS, clock_now(), no_frame, NULL, &why), &why);
}

/* Why: an agent that stood still, in a virtual machine or behind a slow disk, hears all at once
 * that it was connected and cut; how long the handshake lasted it cannot know, and "wrong key"
 * would send people to look for what is not there.
 * How: two clients with the same wrong key. One listens and names it at its third cut; the other
 * listens when its own third is long over. */
TEST(channel, late_listener_does_not_call_a_cut_a_wrong_key)
{
    struct cas_why why = {""};
    char endpoint[64];
    CAS_AUTO(keys) own = NULL;
    CAS_AUTO(keys) theirs = NULL;
    CAS_AUTO(keys) pinned = NULL;
    CAS_AUTO(channel_client) prompt = NULL;
    CAS_AUTO(channel_client) late = NULL;
    EXPECT_OK(keys_start(&why), &why);
    EXPECT_OK(keys_make(KEYS_CURVE, &own), NULL);
    EXPECT_OK(keys_make(KEYS_CURVE, &theirs), NULL);
    EXPECT_OK(keys_make(KEYS_CURVE, &pinned), NULL);
    CAS_AUTO(peer) server = peer_listen_without_handler(theirs, endpoint);
    struct channel_dial dial = {own, keys_public_of(pinned), endpoint, 3600000};
    EXPECT_OK(channel_client_open(&dial, &prompt, &why), &why);
    EXPECT_OK(channel_client_open(&dial, &late, &why), &why);
    int64_t from_ms = clock_now().mono_ms;
    bool is_named = false;
    while (clock_now().mono_ms - from_ms < (is_named ? CUTS_MS : 4 * CUTS_MS)) {
        serve(prompt);
        is_named = channel_client_state(prompt) == CHANNEL_WRONG_KEY;
    }
    EXPECT_INT_EQ(CHANNEL_WRONG_KEY, channel_client_state(prompt));
    serve(late);
    EXPECT_TRUE(channel_client_progress(late).is_connected);
    EXPECT_INT_EQ(CHANNEL_CONNECTING, channel_client_state(late));
}
