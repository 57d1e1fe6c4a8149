#include "agent/agent_loop.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/journal/outbox.h"
#include "proto/base/log.h"
#include "proto/trust/order.h"
#include "tests/unit/power_disk.h"

#define POOL "MSExchangeSyncAppPool"

enum {
    SENT_MOST = 256,
    START_WALL_MS = 1000000000
};

/* ---- a server ---- */

struct fake {
    struct host host;
    struct host_pool pool;
    uint64_t event_n; /* logged so far; the bookmark is how many were seen */
    uint32_t recycled;
    size_t read_n;
    bool is_deaf; /* the event log cannot be read */
};

static enum cas_err fake_read(struct host *host,
                              struct cas_now now,
                              const char *pool,
                              struct host_reading *ret_reading,
                              size_t cap,
                              size_t *ret_n,
                              struct cas_why *why)
{
    (void)now;
    (void)pool;
    (void)why;
    ((struct fake *)host)->read_n++;
    EXPECT_TRUE(cap > 0);
    ret_reading[0] =
        (struct host_reading){.symptom = SYMPTOM_active_requests, .is_known = true, .value = 12};
    *ret_n = 1;
    return CAS_OK;
}

static enum cas_err fake_pool(struct host *host,
                              struct cas_now now,
                              const char *pool,
                              struct host_pool *ret_pool,
                              struct cas_why *why)
{
    struct fake *fake = (struct fake *)host;
    (void)now;
    (void)why;
    EXPECT_TEXT_EQ(POOL, pool);
    fake->pool.probe_seq++;
    *ret_pool = fake->pool;
    return CAS_OK;
}

static enum cas_err fake_events(struct host *host,
                                struct cas_now now,
                                const char *bookmark,
                                struct host_event *ret_event,
                                size_t cap,
                                size_t *ret_n,
                                char ret_bookmark[REASON_BYTES],
                                struct cas_why *why)
{
    struct fake *fake = (struct fake *)host;
    if (fake->is_deaf)
        return cas_fail(why, CAS_ERR_IO, "the event log is locked");
    uint64_t seen = strtoull(bookmark, NULL, 10);
    size_t n = 0;
    for (; seen < fake->event_n && n < cap; seen++)
        ret_event[n++] = (struct host_event){.at_ms = now.wall_ms,
                                             .id = 4227,
                                             .count = 1,
                                             .pid = (uint32_t)seen + 1,
                                             .provider = "Tcpip"};
    (void)snprintf(ret_bookmark, REASON_BYTES, "%llu", (unsigned long long)seen);
    *ret_n = n;
    return CAS_OK;
}

static enum cas_err fake_facts(struct host *host,
                               struct cas_now now,
                               struct host_fact *ret_fact,
                               size_t cap,
                               size_t *ret_n,
                               struct cas_why *why)
{
    (void)host;
    (void)now;
    (void)why;
    EXPECT_TRUE(cap > 0);
    ret_fact[0] = (struct host_fact){.key = "host.name", .is_known = true, .value = "LON-CAS01"};
    *ret_n = 1;
    return CAS_OK;
}

static enum cas_err fake_begin(struct host *host,
                               struct cas_now now,
                               enum verb verb,
                               const char *pool,
                               const uint8_t cmd_id[CAS_ID_BYTES],
                               int64_t deadline_ms,
                               struct cas_why *why)
{
    struct fake *fake = (struct fake *)host;
    (void)pool;
    (void)cmd_id;
    (void)deadline_ms;
    (void)why;
    EXPECT_INT_EQ(VERB_recycle, verb);
    fake->recycled++;
    fake->pool.worker[0] = (struct host_worker){.pid = 7788, .start_ms = now.wall_ms};
    return CAS_OK;
}

static enum cas_err
fake_poll(struct host *host, struct cas_now now, struct host_act *ret_act, struct cas_why *why)
{
    (void)host;
    (void)now;
    (void)why;
    *ret_act = (struct host_act){.state = HOST_ACT_DONE};
    return CAS_OK;
}

static const struct host_ops fake_ops = {.read = fake_read,
                                         .pool = fake_pool,
                                         .events = fake_events,
                                         .facts = fake_facts,
                                         .begin = fake_begin,
                                         .poll = fake_poll};

/* ---- the bench: an agent and what a controller sees of it ---- */

struct bench {
    struct fake fake;
    struct agent *agent;
    struct keys *command;
    struct keys_public self;
    struct cas_now now;
    int64_t sample_ms; /* 0: the usual pace */
    uint64_t tick;
    uint64_t epoch;
    size_t sent_n[64]; /* by message type */
    struct message_hello hello;
    struct message_hb hb;
    struct message_nack nack;
    char nack_text[301];
    struct message_claim claim;
    struct message_result result;
    struct message_report report; /* entries are not kept */
    uint64_t report_last;
    size_t kind_n[ENTRY_GAP + 1];
    uint8_t dice;
};

static void bench_send(void *context, struct cas_slice frame)
{
    struct bench *b = context;
    CAS_AUTO(cas_arena) arena = NULL;
    struct message message;
    struct cas_why why = {.text = ""};
    EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &arena), NULL);
    EXPECT_OK(message_decode(frame, arena, &message, &why), &why);
    b->sent_n[message.type]++;
    switch ((int)message.type) {
    case MESSAGE_hello:
        b->hello = message.as.hello;
        return;
    case MESSAGE_hb:
        b->hb = message.as.hb;
        return;
    case MESSAGE_nack:
        b->nack = message.as.nack;
        (void)snprintf(b->nack_text,
                       sizeof b->nack_text,
                       "%.*s",
                       (int)message.as.nack.text.size,
                       message.as.nack.text.data);
        return;
    case MESSAGE_claim:
        b->claim = message.as.claim;
        return;
    case MESSAGE_result:
        b->result = message.as.result;
        return;
    case MESSAGE_report:
        b->report = message.as.report;
        b->report_last = message.as.report.entries[message.as.report.entries_n - 1].seq;
        for (size_t i = 0; i < message.as.report.entries_n; i++)
            b->kind_n[message.as.report.entries[i].kind]++;
        return;
    default:
        test_fail(TEST_PLACE("bench_send"), "a %s is sent", message_name(message.type));
    }
}

static void bench_random(void *context, uint8_t *ret_bytes, size_t size)
{
    struct bench *b = context;
    memset(ret_bytes, ++b->dice, size);
}

static void bench_open(struct bench *b)
{
    struct cas_why why = {.text = ""};
    struct agent_settings settings = {.host = &b->fake.host,
                                      .self = b->self,
                                      .command = keys_public_of(b->command),
                                      .ledger_path = test_path("ledger.db"),
                                      .outbox_path = test_path("outbox.db"),
                                      .sample_ms = b->sample_ms,
                                      .pool = {POOL},
                                      .pool_n = 1,
                                      .send = bench_send,
                                      .random = bench_random,
                                      .context = b};
    EXPECT_OK(agent_open(&settings, b->now, &b->agent, &why), &why);
}

static void bench_init(struct bench *b)
{
    static const uint8_t seed[CAS_KEY_BYTES] = {7};
    *b = (struct bench){.fake = {.host = {.ops = &fake_ops}},
                        .self = {.byte = {1, 2, 3}},
                        .now = {.wall_ms = START_WALL_MS, .mono_ms = 5000},
                        .epoch = 10};
    b->fake.pool = (struct host_pool){.health = HEALTH_GOOD,
                                      .worker_n = 1,
                                      .worker = {{.pid = 4120, .start_ms = 500000}}};
    log_set_level(LOG_ERROR);
    EXPECT_OK(keys_start(NULL), NULL);
    EXPECT_OK(keys_make_from(KEYS_SIGN, seed, &b->command), NULL);
    bench_open(b);
}

static void bench_crash(struct bench *b)
{
    agent_free(b->agent);
    bench_open(b);
}

static void bench_done(struct bench *b)
{
    agent_free(b->agent);
    keys_free(b->command);
}

static void give(struct bench *b, const struct message *message)
{
    uint8_t frame[4096];
    size_t size = 0;
    struct cas_why why = {.text = ""};
    EXPECT_OK(message_encode(message, frame, sizeof frame, &size, &why), &why);
    agent_on_frame(b->agent, (struct cas_slice){(const char *)frame, size}, b->now);
}

static void tick_give(struct bench *b, bool is_welcome)
{
    struct message message = {.type = MESSAGE_tick};
    message.as.tick.epoch = b->epoch;
    message.as.tick.leader_id[0] = 5;
    message.as.tick.tick = ++b->tick;
    message.as.tick.is_welcome = is_welcome;
    message.as.tick.wall_ms = b->now.wall_ms;
    give(b, &message);
}

/* Time goes on as the agent wants to be called, with a TICK every 5 s when there is a controller.
 */
static void run_ms(struct bench *b, int64_t ms, bool has_controller)
{
    int64_t end_ms = b->now.mono_ms + ms;
    int64_t tick_ms = b->now.mono_ms + TICK_MS;
    size_t calls = 0;
    for (;;) {
        int64_t due_ms = agent_tick(b->agent, b->now);
        EXPECT_TRUE(calls++ < 1000 + (size_t)ms / 50);
        if (b->now.mono_ms >= end_ms)
            return;
        if (due_ms <= b->now.mono_ms)
            due_ms = b->now.mono_ms + 1;
        if (has_controller && due_ms >= tick_ms)
            due_ms = tick_ms;
        if (due_ms > end_ms)
            due_ms = end_ms;
        b->now.wall_ms += due_ms - b->now.mono_ms;
        b->now.mono_ms = due_ms;
        if (has_controller && b->now.mono_ms >= tick_ms) {
            tick_give(b, false);
            tick_ms += TICK_MS;
        }
    }
}

static void connect(struct bench *b)
{
    agent_on_connected(b->agent, b->now);
    tick_give(b, true);
}

static void ack_give(struct bench *b, uint64_t upto)
{
    struct message message = {.type = MESSAGE_ack};
    message.as.ack.has_spool_id = true;
    memcpy(message.as.ack.spool_id, b->report.spool_id, CAS_ID_BYTES);
    message.as.ack.has_upto_seq = true;
    message.as.ack.upto_seq = upto;
    give(b, &message);
}

/* ---- presence ---- */

/* Why: the first HELLO may be lost; without it the controller does not know from where to go on. */
TEST(agent_loop, hello_is_repeated_until_welcome)
{
    struct bench b;
    bench_init(&b);
    run_ms(&b, 20000, false);
    EXPECT_UINT_EQ(0, b.sent_n[MESSAGE_hello]);
    agent_on_connected(b.agent, b.now);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_hello]);
    run_ms(&b, RESEND_MS, false);
    EXPECT_UINT_EQ(2, b.sent_n[MESSAGE_hello]);
    EXPECT_UINT_EQ(0, b.sent_n[MESSAGE_report]); /* nobody has said welcome */
    tick_give(&b, true);
    run_ms(&b, 15000, true);
    EXPECT_UINT_EQ(2, b.sent_n[MESSAGE_hello]);
    EXPECT_TRUE(b.sent_n[MESSAGE_report] > 0);
    bench_done(&b);
}

/* Why: R10; health is as old as the TICK it echoes. */
TEST(agent_loop, each_tick_is_answered_with_its_echo_and_a_new_probe)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_hb]);
    EXPECT_UINT_EQ(b.tick, b.hb.echo);
    EXPECT_UINT_EQ(10, b.hb.epoch);
    EXPECT_INT_EQ(HEALTH_GOOD, b.hb.health);
    EXPECT_TRUE(b.hb.is_journal_writable);
    uint64_t probe = b.hb.probe_seq;
    b.now.mono_ms++;
    tick_give(&b, false);
    EXPECT_UINT_EQ(2, b.sent_n[MESSAGE_hb]);
    EXPECT_UINT_EQ(b.tick, b.hb.echo);
    EXPECT_TRUE(b.hb.probe_seq > probe);
    bench_done(&b);
}

/* Why: a sick server must not wait for the next TICK to be known; and one that flaps must not
 * flood. How: health changes at each probe for 10 s without a TICK. */
TEST(agent_loop, change_of_the_pool_is_told_at_once_but_not_more_than_once_a_second)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    run_ms(&b, 2000, false);
    size_t before = b.sent_n[MESSAGE_hb];
    b.fake.pool.health = HEALTH_BAD;
    run_ms(&b, 2600, false);
    EXPECT_UINT_EQ(before + 1, b.sent_n[MESSAGE_hb]);
    EXPECT_INT_EQ(HEALTH_BAD, b.hb.health);
    before = b.sent_n[MESSAGE_hb];
    for (int i = 0; i < 100; i++) {
        b.fake.pool.worker[0].pid++;
        run_ms(&b, 100, false);
    }
    EXPECT_TRUE(b.sent_n[MESSAGE_hb] - before >= 3);
    EXPECT_TRUE(b.sent_n[MESSAGE_hb] - before <= 10);
    bench_done(&b);
}

/* Why: I11. How: a TICK of an older term gets no heartbeat, and the NACK is not a flood. */
TEST(agent_loop, tick_of_an_older_epoch_is_not_answered)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    size_t before = b.sent_n[MESSAGE_hb];
    b.epoch = 9;
    tick_give(&b, true);
    tick_give(&b, true);
    EXPECT_UINT_EQ(before, b.sent_n[MESSAGE_hb]);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_nack]);
    EXPECT_UINT_EQ(NACK_STALE_EPOCH, b.nack.reason);
    EXPECT_UINT_EQ(10, b.nack.epoch_max);
    EXPECT_UINT_EQ(2, agent_counts(b.agent).ticks_stale);
    bench_done(&b);
}

/* Why: I12; a TICK is not signed. One that names an absurd epoch must not cost us our controller.
 * How: one such; the true one is heard again after the silence that counts as gone, or at once on a
 * new connection. */
TEST(agent_loop, absurd_epoch_of_a_tick_is_forgotten)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    b.epoch = UINT64_C(1) << 53;
    tick_give(&b, true);
    b.epoch = 10;
    size_t before = b.sent_n[MESSAGE_hb];
    run_ms(&b, 4 * TICK_MS, true);
    EXPECT_UINT_EQ(4, agent_counts(b.agent).ticks_stale);
    EXPECT_UINT_EQ(before, b.sent_n[MESSAGE_hb]);
    run_ms(&b, 2 * TICK_MS, true);
    EXPECT_UINT_EQ(10, b.hb.epoch);
    EXPECT_TRUE(b.sent_n[MESSAGE_hb] > before);
    EXPECT_UINT_EQ(10, b.hello.epoch_max);

    b.epoch = UINT64_C(1) << 53;
    tick_give(&b, true);
    b.epoch = 10;
    connect(&b);
    EXPECT_UINT_EQ(10, b.hb.epoch);
    bench_done(&b);
}

/* Why: a controller that was started again on the same connection does not know us. How: silence
 * for 20 s, then; and a TICK of another run that is no WELCOME. */
TEST(agent_loop, silence_or_another_leader_brings_a_hello)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    run_ms(&b, 4 * TICK_MS, false);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_hello]);
    run_ms(&b, 100, false);
    EXPECT_UINT_EQ(2, b.sent_n[MESSAGE_hello]);
    tick_give(&b, true);
    struct message message = {.type = MESSAGE_tick};
    message.as.tick.epoch = 11;
    message.as.tick.leader_id[0] = 6;
    message.as.tick.tick = 1;
    message.as.tick.wall_ms = b.now.wall_ms;
    give(&b, &message);
    (void)agent_tick(b.agent, b.now);
    EXPECT_UINT_EQ(3, b.sent_n[MESSAGE_hello]);
    EXPECT_UINT_EQ(11, b.hello.epoch_max);
    bench_done(&b);
}

/* Why: W20; bytes of any kind change nothing. */
TEST(agent_loop, frames_not_for_an_agent_change_nothing)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    struct test_dice dice = {.state = 3};
    for (int i = 0; i < 2000; i++) {
        char bytes[64];
        size_t size = (size_t)test_below(&dice, sizeof bytes);
        for (size_t at = 0; at < size; at++)
            bytes[at] = (char)test_throw(&dice);
        agent_on_frame(b.agent, (struct cas_slice){bytes, size}, b.now);
    }
    struct message message = {.type = MESSAGE_hello};
    message.as.hello = b.hello;
    message.as.hello.agent_ver = cas_slice_of("1");
    give(&b, &message);
    EXPECT_UINT_EQ(2001, agent_counts(b.agent).frames_bad);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_nack]);
    EXPECT_UINT_EQ(NACK_VERSION, b.nack.reason);
    EXPECT_UINT_EQ(0, agent_counts(b.agent).acts);
    bench_done(&b);
}

/* ---- reports ---- */

/* Why: I5; a report leaves the disk on its ACK only. How: one report in flight, resent after 10 s
 * with all that came since; wrong ACKs; then the right one. */
TEST(agent_loop, one_report_is_in_flight_until_its_ack)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    run_ms(&b, 5000, true);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_report]);
    EXPECT_UINT_EQ(1, b.report.first_seq);
    EXPECT_TRUE(b.kind_n[ENTRY_SAMPLE] > 0 && b.kind_n[ENTRY_FACT] > 0);
    uint64_t last = b.report_last;
    run_ms(&b, 4900, true);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_report]);
    ack_give(&b, 1000000);
    b.report.spool_id[0] ^= 1;
    ack_give(&b, last);
    b.report.spool_id[0] ^= 1;
    EXPECT_UINT_EQ(0, agent_counts(b.agent).records_acked);
    run_ms(&b, 200, true);
    EXPECT_UINT_EQ(2, b.sent_n[MESSAGE_report]);
    EXPECT_UINT_EQ(1, b.report.first_seq);
    ack_give(&b, b.report_last);
    uint64_t acked = b.report_last;
    EXPECT_UINT_EQ(acked, agent_counts(b.agent).records_acked);
    run_ms(&b, 61000, true);
    EXPECT_UINT_EQ(acked + 1, b.report.first_seq);
    bench_done(&b);
}

/* Why: I5; a server put back to an earlier day gives positions out a second time, and the
 * controller, which has those, would take the new records for the old ones. How: an ACK beyond all
 * that was ever written; it drops nothing, and all goes on under a new id. */
TEST(agent_loop, ack_beyond_the_outbox_gives_it_a_new_id)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    run_ms(&b, 5000, true);
    uint8_t old[CAS_ID_BYTES];
    memcpy(old, b.report.spool_id, CAS_ID_BYTES);
    size_t hello_n = b.sent_n[MESSAGE_hello];
    ack_give(&b, b.report_last + 1000);
    EXPECT_UINT_EQ(hello_n + 1, b.sent_n[MESSAGE_hello]);
    EXPECT_TRUE(memcmp(old, b.hello.spool_id, CAS_ID_BYTES) != 0);
    EXPECT_UINT_EQ(1, b.hello.spool_lo);
    run_ms(&b, 200, true);
    EXPECT_UINT_EQ(2, b.sent_n[MESSAGE_report]);
    EXPECT_UINT_EQ(1, b.report.first_seq);
    EXPECT_BYTES_EQ(b.hello.spool_id, b.report.spool_id, CAS_ID_BYTES);
    EXPECT_UINT_EQ(0, agent_counts(b.agent).records_acked);
    memcpy(b.report.spool_id, old, CAS_ID_BYTES);
    ack_give(&b, b.report_last);
    EXPECT_UINT_EQ(0, agent_counts(b.agent).records_acked);
    bench_done(&b);
}

/* Why: a server whose disk fails must not be asked without a pause. How: it fails with a report in
 * flight, for a minute and a half; run_ms counts the calls. */
TEST(agent_loop, report_that_cannot_be_read_is_tried_again_after_a_wait)
{
    struct test_dice dice = {.state = 3};
    struct bench b;
    power_disk_on(&dice);
    bench_init(&b);
    b.sample_ms = 1000;
    bench_crash(&b);
    connect(&b);
    run_ms(&b, 6000, true);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_report]);
    power_disk_break(true);
    run_ms(&b, 90000, true);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_report]);
    bench_done(&b);
    power_disk_off();
}

/* Why: L3; a night without the controller must be told within a minute, but not faster than the
 * controller takes. How: an hour alone, then each report acknowledged at once. */
TEST(agent_loop, backlog_flows_as_fast_as_it_is_acknowledged)
{
    struct bench b;
    bench_init(&b);
    run_ms(&b, 3600000, false);
    connect(&b);
    uint64_t acked = 0;
    int64_t begin_ms = b.now.mono_ms;
    for (int i = 0; i < 300 && agent_counts(b.agent).records_acked < 240; i++) {
        run_ms(&b, 20, false);
        if (b.sent_n[MESSAGE_report] > 0 && b.report_last > acked) {
            EXPECT_UINT_EQ(acked + 1, b.report.first_seq);
            acked = b.report_last;
            ack_give(&b, acked);
        }
    }
    EXPECT_TRUE(agent_counts(b.agent).records_acked >= 240);
    EXPECT_TRUE(b.sent_n[MESSAGE_report] >= 4);
    EXPECT_TRUE(b.now.mono_ms - begin_ms >= 300); /* PEER_RATE_PER_S is far away */
    EXPECT_TRUE(b.now.mono_ms - begin_ms <= 2000);
    bench_done(&b);
}

/* Why: events are kept at the server by their own log; a restart must neither lose nor repeat them.
 * How: three events, restart, two more. */
TEST(agent_loop, events_are_told_once_over_a_restart)
{
    struct bench b;
    bench_init(&b);
    b.fake.event_n = 3;
    run_ms(&b, 6000, false);
    bench_crash(&b);
    b.fake.event_n = 5;
    run_ms(&b, 6000, false);
    connect(&b);
    run_ms(&b, 6000, true);
    EXPECT_UINT_EQ(1, b.sent_n[MESSAGE_report]);
    EXPECT_UINT_EQ(5, b.kind_n[ENTRY_EVENT]);
    bench_done(&b);
}

/* Why: 4227 means users cannot connect; it must not wait a minute. */
TEST(agent_loop, ports_event_is_reported_at_once)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    run_ms(&b, 6000, true);
    ack_give(&b, b.report_last);
    size_t before = b.sent_n[MESSAGE_report];
    run_ms(&b, 1000, true);
    EXPECT_UINT_EQ(before, b.sent_n[MESSAGE_report]);
    b.fake.event_n = 1;
    run_ms(&b, TICK_MS + 200, true);
    EXPECT_UINT_EQ(before + 1, b.sent_n[MESSAGE_report]);
    EXPECT_UINT_EQ(1, b.kind_n[ENTRY_EVENT]);
    bench_done(&b);
}

/* Why: one source that fails must not take the others with it. */
TEST(agent_loop, samples_are_kept_when_the_event_log_cannot_be_read)
{
    struct bench b;
    bench_init(&b);
    b.fake.is_deaf = true;
    run_ms(&b, 60000, false);
    connect(&b);
    run_ms(&b, 6000, true);
    EXPECT_TRUE(b.kind_n[ENTRY_SAMPLE] >= 4);
    EXPECT_UINT_EQ(0, agent_counts(b.agent).samples_dropped);
    bench_done(&b);
}

/* ---- the power ---- */

/* Samples a loss of power now would leave. */
static size_t samples_safe(const char *path, const char *image)
{
    CAS_AUTO(outbox) outbox = NULL;
    CAS_AUTO(cas_arena) arena = NULL;
    struct record_entry *entry = NULL;
    struct cas_why why = {.text = ""};
    uint64_t at = 0;
    size_t sample_n = 0;
    size_t n = 1;
    power_disk_image(path, image, 0);
    EXPECT_OK(outbox_open(image, OUTBOX_BYTES, &outbox, &why), &why);
    EXPECT_OK(cas_arena_open(2 * WIRE_ARENA_BYTES, &arena), NULL);
    while (n > 0) {
        cas_arena_clear(arena);
        EXPECT_OK(outbox_read(outbox, at, arena, &entry, &n, &why), &why);
        for (size_t i = 0; i < n; i++)
            sample_n += entry[i].kind == ENTRY_SAMPLE ? 1 : 0;
        at = n > 0 ? entry[n - 1].seq : at;
    }
    return sample_n;
}

/* Why: what a server showed in its last seconds is what is asked for after it went down. How:
 * nobody is connected; at each second of two minutes, what the disk has is compared with what was
 * read. */
TEST(agent_loop, at_the_usual_pace_a_loss_of_power_takes_no_sample)
{
    struct test_dice dice = {.state = 1};
    const char *path = test_path("outbox.db"), *image = test_path("image.db");
    struct bench b;
    power_disk_on(&dice);
    bench_init(&b);
    for (int i = 0; i < 120; i += 3) {
        run_ms(&b, 3000, false);
        EXPECT_UINT_EQ(b.fake.read_n, samples_safe(path, image));
    }
    EXPECT_TRUE(b.fake.read_n >= 8);
    bench_done(&b);
    power_disk_off();
}

/* Why: waiting for the disk each second is a third of what the agent costs its server. How: as
 * above, a sample each second. */
TEST(agent_loop, each_second_a_loss_of_power_takes_samples_of_some_seconds_at_most)
{
    struct test_dice dice = {.state = 2};
    const char *path = test_path("outbox.db"), *image = test_path("image.db");
    struct bench b;
    power_disk_on(&dice);
    bench_init(&b);
    b.sample_ms = 1000;
    bench_crash(&b);
    run_ms(&b, 1000, false);
    uint64_t syncs = power_disk_syncs();
    run_ms(&b, 60000, false);
    EXPECT_TRUE(power_disk_syncs() - syncs <= 12);
    size_t most = 0;
    for (int i = 0; i < 40; i++) {
        run_ms(&b, 1000, false);
        size_t safe = samples_safe(path, image);
        EXPECT_TRUE(safe <= b.fake.read_n);
        most = b.fake.read_n - safe > most ? b.fake.read_n - safe : most;
    }
    EXPECT_TRUE(most > 0 && most <= 15);
    bench_done(&b);
    power_disk_off();
}

/* ---- a command through the loop ---- */

/* PLAN for one recycle; ret_order fits it but for nonce and audience. */
static void plan_give(struct bench *b, struct record_order *ret_order)
{
    struct record_plan_body plan = {.rollout_seq = 1,
                                    .verb = VERB_recycle,
                                    .pool = cas_slice_of(POOL),
                                    .until_ms = b->now.wall_ms + 3600000,
                                    .at_once = 1,
                                    .act_ms = 60000,
                                    .proof_ms = 1000,
                                    .healthy_n = 1,
                                    .stop_after = 1,
                                    .by = cas_slice_of("anna"),
                                    .steps = cas_slice_of("LON-CAS01")};
    uint8_t bytes[1024];
    size_t size = 0;
    struct cas_why why = {.text = ""};
    EXPECT_OK(record_encode(RECORD_plan_body, &plan, bytes, sizeof bytes, &size, &why), &why);
    struct message message = {.type = MESSAGE_plan};
    message.as.plan.bytes = (struct cas_slice){(const char *)bytes, size};
    *ret_order = (struct record_order){.cmd_id = {42},
                                       .verb = VERB_recycle,
                                       .pool = cas_slice_of(POOL),
                                       .act_ms = 60000,
                                       .epoch = 10,
                                       .rollout_seq = 1};
    sign_plan_hash(message.as.plan.bytes, ret_order->plan_hash);
    give(b, &message);
}

/* OFFER, CLAIM, GRANT. */
static void grant_give(struct bench *b, struct record_order *order)
{
    struct message message = {.type = MESSAGE_offer};
    message.as.offer = (struct message_offer){.epoch = 10,
                                              .cmd_id = {42},
                                              .verb = VERB_recycle,
                                              .pool = cas_slice_of(POOL)};
    give(b, &message);
    EXPECT_UINT_EQ(1, b->sent_n[MESSAGE_claim]);
    memcpy(order->nonce, b->claim.nonce, CAS_ID_BYTES);
    memcpy(order->audience, b->self.byte, CAS_KEY_BYTES);
    uint8_t frame[2048];
    size_t size = 0;
    struct cas_why why = {.text = ""};
    EXPECT_OK(order_seal(order, b->command, frame, sizeof frame, &size, &why), &why);
    agent_on_frame(b->agent, (struct cas_slice){(const char *)frame, size}, b->now);
}

/* Why: the thin path through all parts. How: PLAN, OFFER, CLAIM, GRANT; RESULT, and a heartbeat
 * whose probe came after its journal position. */
TEST(agent_loop, granted_command_is_done_and_proved)
{
    struct bench b;
    bench_init(&b);
    connect(&b);
    struct record_order order;
    plan_give(&b, &order);
    grant_give(&b, &order);
    EXPECT_UINT_EQ(0, b.fake.recycled);
    EXPECT_TRUE(agent_is_acting(b.agent));
    (void)agent_tick(b.agent, b.now);
    EXPECT_UINT_EQ(1, b.fake.recycled);
    EXPECT_TRUE(agent_is_acting(b.agent));
    run_ms(&b, 2000, false);
    EXPECT_FALSE(agent_is_acting(b.agent));
    EXPECT_UINT_EQ(COMMAND_DONE, b.result.state);
    EXPECT_UINT_EQ(7788, b.result.pid_after);
    EXPECT_UINT_EQ(b.result.seq, b.hb.journal_head); /* told at once */
    EXPECT_UINT_EQ(1, b.hb.tail_n);
    EXPECT_UINT_EQ(1, agent_counts(b.agent).acts);
    struct message message = {.type = MESSAGE_ack};
    message.as.ack = (struct message_ack){.has_cmd_id = true,
                                          .cmd_id = {42},
                                          .has_seq = true,
                                          .seq = b.result.seq};
    give(&b, &message);
    size_t before = b.sent_n[MESSAGE_result];
    run_ms(&b, 30000, true);
    EXPECT_UINT_EQ(before, b.sent_n[MESSAGE_result]);
    bench_done(&b);
}

TEST(agent_loop, settings_without_a_pool_are_refused)
{
    struct agent_settings settings = {.pool_n = 0};
    struct agent *agent = NULL;
    struct cas_why why = {.text = ""};
    struct cas_now now = {0};
    EXPECT_ERR(CAS_ERR_CONFIG, agent_open(&settings, now, &agent, &why));
    EXPECT_TEXT_HAS("0 pools", why.text);
    settings.pool_n = 1;
    settings.pool[0] = "tab\there";
    EXPECT_ERR(CAS_ERR_CONFIG, agent_open(&settings, now, &agent, &why));
    EXPECT_NULL(agent);
}
