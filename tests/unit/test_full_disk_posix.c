/* On a real file system of 2 MiB that a test fills to its last byte. Mounting needs root; without,
 * the program says so and checks nothing. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include "agent/agent_loop.h"
#include "agent/journal/ledger.h"
#include "agent/journal/outbox.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "tests/unit/test.h"

static bool disk_mount(void)
{
    if (mount("tmpfs", test_folder(), "tmpfs", 0, "size=2m,mode=0700") == 0)
        return true;
    (void)fprintf(stderr, "not checked: a file system cannot be mounted here\n");
    return false;
}

static void disk_unmount(void)
{
    EXPECT_INT_EQ(0, umount2(test_folder(), MNT_DETACH));
}

/* To the last byte but keep_bytes: single bytes until not one goes. */
static void disk_fill(const char *path, off_t keep_bytes)
{
    static const char block[4096];
    int file = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    EXPECT_TRUE(file >= 0);
    size_t size = sizeof block;
    while (size > 0) {
        if (write(file, block, size) != (ssize_t)size)
            size /= 2;
    }
    if (keep_bytes > 0)
        EXPECT_INT_EQ(0, ftruncate(file, lseek(file, 0, SEEK_END) - keep_bytes));
    EXPECT_INT_EQ(0, close(file));
}

static struct ledger_row intent_of(uint8_t number)
{
    return (struct ledger_row){.cmd_id = {number},
                               .state = COMMAND_INTENT,
                               .verb = VERB_recycle,
                               .rollout_seq = 1,
                               .pool = "MSExchangeSyncAppPool",
                               .intent_ms = 1700000100000};
}

static struct ledger *ledger_at(const char *path)
{
    struct ledger *ledger = NULL;
    struct cas_why why = {.text = ""};
    EXPECT_OK(ledger_open(path, &ledger, &why), &why);
    return ledger;
}

/* Why: an act whose outcome cannot be written is an act that may be done twice. A full disk must
 * refuse the next INTENT and still take the outcome of this one. How: many rows first, so that
 * pages split; the disk is filled after INTENT, the outcome written with its longest text, twice
 * over with updates in between; then space comes back. */
TEST(full_disk, outcome_is_written_and_next_intent_is_refused)
{
    if (!disk_mount())
        return;
    const char *path = test_path("ledger.db");
    struct ledger *ledger = ledger_at(path);
    struct cas_why why = {.text = ""};
    for (uint8_t i = 10; i < 210; i++) {
        struct ledger_row row = intent_of(i);
        EXPECT_OK(ledger_write(ledger, &row, &why), &why);
        row.state = COMMAND_DONE;
        EXPECT_OK(ledger_write(ledger, &row, &why), &why);
    }
    struct ledger_row row = intent_of(1);
    EXPECT_OK(ledger_write(ledger, &row, &why), &why);
    const char *ballast = test_path("ballast");
    disk_fill(ballast, 0);
    EXPECT_TRUE(ledger_is_writable(ledger, &why));
    for (int i = 0; i < 40; i++) {
        row.drained_ms = 1700000200000 + i;
        memset(row.text, 'x', sizeof row.text - 1);
        EXPECT_OK(ledger_write(ledger, &row, &why), &why);
    }
    row.state = COMMAND_DONE;
    EXPECT_OK(ledger_write(ledger, &row, &why), &why);
    EXPECT_FALSE(ledger_is_writable(ledger, &why));
    struct ledger_row next = intent_of(2);
    EXPECT_ERR(CAS_ERR_FULL, ledger_write(ledger, &next, &why));
    EXPECT_TEXT_HAS("ledger.db", why.text);
    struct ledger_row none;
    EXPECT_ERR(CAS_ERR_NOT_FOUND, ledger_find(ledger, next.cmd_id, &none));

    /* Nothing is lost by a restart on the full disk, once there is room to open. */
    EXPECT_INT_EQ(0, unlink(ballast));
    ledger_free(ledger);
    ledger = ledger_at(path);
    struct ledger_row done;
    EXPECT_OK(ledger_find(ledger, row.cmd_id, &done), NULL);
    EXPECT_INT_EQ(COMMAND_DONE, done.state);
    EXPECT_TRUE(ledger_is_writable(ledger, &why));
    EXPECT_OK(ledger_write(ledger, &next, &why), &why);
    ledger_free(ledger);
    disk_unmount();
}

/* Why: what a look has left behind in the log is room for the next one, which then does not see
 * that the disk is full. How: looked at again and again with nothing written in between, then
 * filled. */
TEST(full_disk, is_seen_by_the_next_look)
{
    if (!disk_mount())
        return;
    struct ledger *ledger = ledger_at(test_path("ledger.db"));
    struct cas_why why = {.text = ""};
    const char *ballast = test_path("ballast");
    for (int i = 0; i < 3; i++) {
        EXPECT_TRUE(ledger_is_writable(ledger, &why));
        disk_fill(ballast, 0);
        EXPECT_FALSE(ledger_is_writable(ledger, &why));
        EXPECT_INT_EQ(0, unlink(ballast));
        EXPECT_TRUE(ledger_is_writable(ledger, &why));
    }
    ledger_free(ledger);
    disk_unmount();
}

/* Why: what was seen must not be half-kept. How: records are added in twos until the disk is full;
 * the failed pair has left nothing, all earlier ones are there, and when space is back the next
 * position follows the last kept. */
TEST(full_disk, outbox_keeps_whole_transactions)
{
    if (!disk_mount())
        return;
    static const char body[1000] = {'x'};
    struct outbox *outbox = NULL;
    struct cas_why why = {.text = ""};
    EXPECT_OK(outbox_open(test_path("outbox.db"), OUTBOX_BYTES, &outbox, &why), &why);
    struct cas_slice slice = {body, sizeof body};
    const char *ballast = test_path("ballast");
    disk_fill(ballast, 600 * 1024);
    uint64_t seq = 0;
    enum cas_err err = CAS_OK;
    uint64_t kept = 0;
    while (err == CAS_OK) {
        EXPECT_OK(outbox_begin(outbox, &why), &why);
        enum cas_err first = outbox_add(outbox, ENTRY_SAMPLE, 1, slice, &seq, &why);
        enum cas_err second = outbox_add(outbox, ENTRY_SAMPLE, 1, slice, &seq, &why);
        err = outbox_commit(outbox, &why);
        EXPECT_TRUE(err != CAS_OK || (first == CAS_OK && second == CAS_OK));
        kept = err == CAS_OK ? seq : kept;
    }
    EXPECT_TRUE(kept > 100);
    EXPECT_UINT_EQ(0, kept % 2);
    EXPECT_UINT_EQ(kept, outbox_high(outbox));
    disk_fill(test_path("rest"), 0);
    EXPECT_ERR(CAS_ERR_FULL, outbox_add(outbox, ENTRY_EVENT, 1, slice, &seq, &why));
    EXPECT_UINT_EQ(kept, outbox_high(outbox));
    EXPECT_INT_EQ(0, unlink(ballast));

    CAS_AUTO(cas_arena) arena = NULL;
    EXPECT_OK(cas_arena_open(2 * WIRE_ARENA_BYTES, &arena), NULL);
    struct record_entry *entry = NULL;
    size_t entry_n = 0;
    EXPECT_OK(outbox_read(outbox, 0, arena, &entry, &entry_n, &why), &why);
    EXPECT_TRUE(entry_n > 40);
    EXPECT_OK(outbox_drop_upto(outbox, entry[entry_n - 1].seq, &why), &why);
    EXPECT_OK(outbox_add(outbox, ENTRY_EVENT, 1, slice, &seq, &why), &why);
    EXPECT_UINT_EQ(kept + 1, seq);
    outbox_free(outbox);
    disk_unmount();
}

/* ---- the whole agent ---- */

struct seen {
    bool is_writable;
    bool was_writable; /* as told before the last CLAIM */
    size_t heartbeat_n;
    size_t claim_n;
    uint64_t lost; /* told in an event */
    uint64_t last; /* position; reports come again */
};

static void on_send(void *context, struct cas_slice frame)
{
    struct seen *seen = context;
    CAS_AUTO(cas_arena) arena = NULL;
    struct message message;
    struct cas_why why = {.text = ""};
    EXPECT_OK(cas_arena_open(2 * WIRE_ARENA_BYTES, &arena), NULL);
    EXPECT_OK(message_decode(frame, arena, &message, &why), &why);
    if (message.type == MESSAGE_hb) {
        seen->is_writable = message.as.hb.is_journal_writable;
        seen->heartbeat_n++;
    }
    if (message.type == MESSAGE_claim) {
        seen->was_writable = seen->is_writable;
        seen->claim_n++;
    }
    for (size_t i = 0; message.type == MESSAGE_report && i < message.as.report.entries_n; i++) {
        struct record_event event;
        const struct record_entry *entry = &message.as.report.entries[i];
        if (entry->kind != ENTRY_EVENT || entry->seq <= seen->last)
            continue;
        seen->last = entry->seq;
        EXPECT_OK(record_decode(RECORD_event, entry->body, arena, &event, &why), &why);
        if (cas_slice_is(event.provider, "casfleet"))
            seen->lost += event.count;
    }
}

static void give(struct agent *agent, const struct message *message, struct cas_now now)
{
    uint8_t frame[1024];
    size_t size = 0;
    EXPECT_OK(message_encode(message, frame, sizeof frame, &size, NULL), NULL);
    agent_on_frame(agent, (struct cas_slice){(const char *)frame, size}, now);
}

static void run_s(struct agent *agent, struct cas_now *now, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        now->wall_ms += 1000;
        now->mono_ms += 1000;
        (void)agent_tick(agent, *now);
        struct message message = {.type = MESSAGE_tick};
        message.as.tick = (struct message_tick){.epoch = 1,
                                                .tick = (uint64_t)now->mono_ms,
                                                .is_welcome = true,
                                                .wall_ms = now->wall_ms};
        give(agent, &message, *now);
    }
}

/* Why: K5; on a full disk the agent goes on living, says that it cannot act, and what it lost is
 * told when there is room again. How: the sim server; filled, two minutes, freed. */
TEST(full_disk, agent_says_so_counts_and_recovers)
{
    if (!disk_mount())
        return;
    struct cas_why why = {.text = ""};
    struct host_sim_settings sim;
    struct cas_now now = {.wall_ms = 1700000000000, .mono_ms = 1000};
    struct seen seen = {.is_writable = false};
    CAS_AUTO(host) host = NULL;
    host_sim_settings_init(&sim);
    EXPECT_OK(host_sim_open(&sim, now, &host, &why), &why);
    log_set_level(LOG_ERROR);
    EXPECT_OK(keys_start(&why), &why);
    struct agent_settings settings = {.host = host,
                                      .ledger_path = test_path("ledger.db"),
                                      .outbox_path = test_path("outbox.db"),
                                      .sample_ms = 1000,
                                      .pool = {"MSExchangeSyncAppPool"},
                                      .pool_n = 1,
                                      .send = on_send,
                                      .context = &seen};
    struct agent *agent = NULL;
    EXPECT_OK(agent_open(&settings, now, &agent, &why), &why);
    agent_on_connected(agent, now);
    run_s(agent, &now, 5);
    EXPECT_TRUE(seen.is_writable);
    const char *ballast = test_path("ballast");
    disk_fill(ballast, 0);
    run_s(agent, &now, 300);
    EXPECT_FALSE(seen.is_writable);
    uint64_t lost = agent_counts(agent).samples_dropped;
    EXPECT_TRUE(lost > 0);
    size_t heartbeats = seen.heartbeat_n;
    EXPECT_INT_EQ(0, unlink(ballast));
    run_s(agent, &now, 90);
    EXPECT_TRUE(seen.is_writable);
    EXPECT_TRUE(seen.heartbeat_n >= heartbeats + 90);
    EXPECT_UINT_EQ(lost, agent_counts(agent).samples_dropped);
    EXPECT_UINT_EQ(lost, seen.lost);
    agent_free(agent);
    disk_unmount();
}

static void offer_give(struct agent *agent, uint8_t number, struct cas_now now)
{
    struct message message = {.type = MESSAGE_offer};
    message.as.offer = (struct message_offer){.epoch = 1,
                                              .cmd_id = {number},
                                              .verb = VERB_recycle,
                                              .pool = cas_slice_of("MSExchangeSyncAppPool")};
    give(agent, &message, now);
}

/* Why: the journal's room is looked at every five minutes; a command that comes in between must be
 * held by the controller, not begun and failed here. How: an agent that writes nothing of its own;
 * the disk fills behind it, then an OFFER. */
TEST(full_disk, command_finds_the_full_disk_before_it_is_claimed)
{
    if (!disk_mount())
        return;
    struct cas_why why = {.text = ""};
    struct host_sim_settings sim;
    struct cas_now now = {.wall_ms = 1700000000000, .mono_ms = 1000};
    struct seen seen = {.is_writable = false};
    CAS_AUTO(host) host = NULL;
    host_sim_settings_init(&sim);
    EXPECT_OK(host_sim_open(&sim, now, &host, &why), &why);
    log_set_level(LOG_ERROR);
    EXPECT_OK(keys_start(&why), &why);
    struct agent_settings settings = {.host = host,
                                      .ledger_path = test_path("ledger.db"),
                                      .outbox_path = test_path("outbox.db"),
                                      .sample_ms = 3600000,
                                      .pool = {"MSExchangeSyncAppPool"},
                                      .pool_n = 1,
                                      .send = on_send,
                                      .context = &seen};
    struct agent *agent = NULL;
    EXPECT_OK(agent_open(&settings, now, &agent, &why), &why);
    agent_on_connected(agent, now);
    run_s(agent, &now, 5);
    offer_give(agent, 1, now);
    EXPECT_UINT_EQ(1, seen.claim_n);
    EXPECT_TRUE(seen.was_writable);
    disk_fill(test_path("ballast"), 0);
    run_s(agent, &now, 100);
    EXPECT_TRUE(seen.is_writable); /* nothing has tried */
    offer_give(agent, 2, now);
    EXPECT_UINT_EQ(2, seen.claim_n);
    EXPECT_FALSE(seen.was_writable);
    agent_free(agent);
    disk_unmount();
}

/* Why: a full disk is when people look into the log. No line may be lost by it, in the file or on
 * stderr, and none may run into another. How: stderr goes into a file elsewhere; the disk is filled
 * but for half a line, and the limit passed meanwhile; then there is space again. */
TEST(full_disk, no_line_of_the_log_is_lost_or_torn_into_another)
{
    enum {
        LINES = 60,
        FULL_AT = 20,
        SPACE_AT = 40
    };
    if (!disk_mount())
        return;
    char elsewhere[] = "/tmp/casfleet-test-stderr-XXXXXX";
    int errors = mkstemp(elsewhere);
    int before = dup(STDERR_FILENO);
    EXPECT_TRUE(errors >= 0 && before >= 0);
    log_set_level(LOG_INFO);
    log_set_limits(10000, 3);
    EXPECT_OK(log_open(test_path("agent.log"), NULL), NULL);
    (void)dup2(errors, STDERR_FILENO);
    const char *ballast = test_path("ballast");
    for (int i = 0; i < LINES; i++) {
        if (i == FULL_AT)
            disk_fill(ballast, 0);
        if (i == SPACE_AT)
            (void)unlink(ballast);
        log_set_stage(NULL);
        log_event(EVENT_START, "n=%03d %0500d.", i, i);
    }
    log_close();
    (void)dup2(before, STDERR_FILENO);
    (void)close(before);
    (void)close(errors);
    char *text[5] = {test_read(elsewhere, NULL)};
    (void)unlink(elsewhere);
    size_t text_n = 1;
    for (unsigned n = 0; n <= 3; n++) {
        char name[32];
        (void)snprintf(name, sizeof name, n == 0 ? "agent.log" : "agent.log.%u", n);
        if (file_exists(test_path(name)))
            text[text_n++] = test_read(test_path(name), NULL);
    }
    EXPECT_TRUE(text_n >= 4); /* it has rotated, before and after */
    for (int i = 0; i < LINES; i++) {
        char line[600];
        size_t found = 0;
        (void)snprintf(line, sizeof line, " info start n=%03d %0500d.\n", i, i);
        for (size_t k = 0; k < text_n; k++) {
            const char *at = strstr(text[k], line);
            found += at != NULL && (at - text[k] == 24 || at[-25] == '\n') ? 1 : 0;
        }
        EXPECT_UINT_EQ(1, found);
    }
    for (size_t k = 0; k < text_n; k++)
        free(text[k]);
    disk_unmount();
}
