#include "controller/store/store.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/base/failpoint.h"
#include "tests/unit/store_rollout_stage.h"
#include "tests/unit/test.h"

static const struct cas_now noon = {.wall_ms = INT64_C(1700000000000), .mono_ms = 5000};
static const uint8_t leader_a[CAS_ID_BYTES] = {0xa};
static const uint8_t leader_b[CAS_ID_BYTES] = {0xb};

static struct store *open_at(const char *path)
{
    struct store *store = NULL;
    struct cas_why why = {0};
    EXPECT_OK(store_open(path, leader_a, noon, &store, &why), &why);
    return store;
}

static void commit(struct store *store)
{
    struct cas_why why = {0};
    EXPECT_OK(store_commit(store, &why), &why);
}

static void server_make(struct inventory_server *server, const char *name, uint8_t key)
{
    memset(server, 0, sizeof *server);
    (void)snprintf(server->name, sizeof server->name, "%s", name);
    server->key[0] = key;
    server->admission = ADMISSION_APPROVED;
    (void)snprintf(server->label[LABEL_SITE], LABEL_BYTES, "LON");
    server->approved_ms = 77;
    (void)snprintf(server->approved_by, sizeof server->approved_by, "ops.a");
}

/* One report of seqs first..last, each an event of one; bodies kept in a static buffer. */
struct made_report {
    struct record_entry entry[WIRE_REPORT_RECORDS];
    uint8_t body[WIRE_REPORT_RECORDS][128];
    struct message_report report;
};
static void report_make(struct made_report *made, uint8_t spool, uint64_t first, uint64_t last)
{
    memset(made, 0, sizeof *made);
    made->report.spool_id[0] = spool;
    made->report.first_seq = first;
    made->report.entries = made->entry;
    for (uint64_t seq = first; seq <= last; seq++) {
        size_t at = made->report.entries_n++, size = 0;
        struct record_event event = {.id = 4227, .provider = cas_slice_of("Tcpip"), .count = seq};
        EXPECT_OK(
            record_encode(RECORD_event, &event, made->body[at], sizeof made->body[at], &size, NULL),
            NULL);
        made->entry[at] = (struct record_entry){.seq = seq,
                                                .kind = ENTRY_EVENT,
                                                .at_ms = 1000 + (int64_t)seq,
                                                .body = {(const char *)made->body[at], size}};
    }
}
static void entry_gap(struct made_report *made, size_t at, uint64_t first, uint64_t last)
{
    size_t size = 0;
    struct record_gap gap = {.first_seq = first, .last_seq = last, .samples = last - first + 1};
    EXPECT_OK(record_encode(RECORD_gap, &gap, made->body[at], sizeof made->body[at], &size, NULL),
              NULL);
    made->entry[at].kind = ENTRY_GAP;
    made->entry[at].body.size = size;
}
static uint64_t report_put(struct store *store, uint32_t server_id, const struct made_report *made)
{
    uint64_t upto = 0;
    struct cas_why why = {0};
    EXPECT_OK(store_report_add(store, server_id, &made->report, noon, &upto, &why), &why);
    return upto;
}

struct seen {
    uint64_t seq[512];
    size_t n;
    uint64_t sum_at;
};
static enum cas_err on_entry(void *context,
                             uint32_t server_id,
                             const uint8_t *spool_id,
                             const struct record_entry *entry)
{
    struct seen *seen = context;
    (void)server_id;
    (void)spool_id;
    EXPECT_TRUE(seen->n < CAS_COUNT(seen->seq));
    seen->seq[seen->n++] = entry->seq;
    seen->sum_at += (uint64_t)entry->at_ms;
    return CAS_OK;
}
static struct seen entries_of(struct store *store, uint32_t server_id)
{
    struct seen seen = {.n = 0};
    struct cas_why why = {0};
    EXPECT_OK(store_entries(store, server_id, on_entry, &seen, &why), &why);
    return seen;
}

static uint32_t fleet_keep(const char *path)
{
    struct inventory_server server;
    uint32_t first_id = 0;
    CAS_AUTO(store) store = open_at(path);
    server_make(&server, "LON-CAS01", 1);
    EXPECT_OK(store_server_add(store, &server, NULL), NULL);
    first_id = server.id;
    struct record_fact fact = {.key = cas_slice_of("exchange.build"),
                               .has_value = true,
                               .value = cas_slice_of("15.1.1591.10")};
    EXPECT_TRUE(inventory_record_fact(&server, &fact, 42));
    server.event_4227_n = 38;
    server.event_4227_ms = 4242;
    server.recycled_ms = 99;
    EXPECT_OK(store_facts_save(store, &server, NULL), NULL);
    EXPECT_OK(store_events_save(store, &server, NULL), NULL);
    inventory_server_clear(&server);

    struct made_report made;
    report_make(&made, 7, 1, 2);
    uint8_t body[512];
    size_t size = 0;
    struct record_reading reading = {.symptom = SYMPTOM_close_wait,
                                     .has_value = true,
                                     .value = 1904};
    struct record_sample sample = {.pool = cas_slice_of("MSExchangeSyncAppPool"),
                                   .readings = &reading,
                                   .readings_n = 1};
    EXPECT_OK(record_encode(RECORD_sample, &sample, body, sizeof body, &size, NULL), NULL);
    made.entry[1].kind = ENTRY_SAMPLE;
    made.entry[1].body = (struct cas_slice){(const char *)body, size};
    EXPECT_UINT_EQ(2, report_put(store, server.id, &made));

    server_make(&server, "LON-CAS02", 2);
    server.admission = ADMISSION_REVOKED;
    EXPECT_OK(store_server_add(store, &server, NULL), NULL);
    EXPECT_TRUE(server.id > first_id);
    commit(store);
    return first_id;
}

/* Why: after a restart the fleet must be as it was, with what people look at first.
 * How: two servers with facts, events and a sample; closed, opened, compared. */
TEST(store, servers_facts_events_and_last_sample_come_back)
{
    const char *path = test_path("a.db");
    uint32_t first_id = fleet_keep(path);
    CAS_AUTO(store) store = open_at(path);
    CAS_AUTO(inventory) inventory = NULL;
    struct cas_why why = {0};
    EXPECT_OK(inventory_open(&inventory), NULL);
    EXPECT_OK(store_servers_load(store, inventory, &why), &why);
    EXPECT_UINT_EQ(2, inventory_size(inventory));
    const struct inventory_server *back = inventory_by_id(inventory, first_id);
    EXPECT_NOT_NULL(back);
    EXPECT_TEXT_EQ("LON-CAS01", back->name);
    EXPECT_TEXT_EQ("LON", back->label[LABEL_SITE]);
    EXPECT_TEXT_EQ("ops.a", back->approved_by);
    EXPECT_TRUE(back->has_build);
    EXPECT_UINT_EQ(1, back->fact_n);
    EXPECT_TEXT_EQ("15.1.1591.10", back->fact[0].value);
    EXPECT_INT_EQ(42, back->fact[0].at_ms);
    EXPECT_UINT_EQ(38, back->event_4227_n);
    EXPECT_INT_EQ(99, back->recycled_ms);
    EXPECT_TRUE(back->value[SYMPTOM_close_wait].is_known);
    EXPECT_NEAR(1904, back->value[SYMPTOM_close_wait].value, 0);
    EXPECT_INT_EQ(1002, back->value[SYMPTOM_close_wait].at_ms);
    EXPECT_INT_EQ(noon.wall_ms, back->live.heard_ms);
    const struct inventory_server *revoked =
        inventory_by_name(inventory, cas_slice_of("LON-CAS02"));
    EXPECT_INT_EQ(ADMISSION_REVOKED, revoked->admission);
}

/* Why: an ACK says "kept, once": what comes twice is not kept twice, also after a restart. */
TEST(store, a_report_that_comes_again_is_kept_once)
{
    const char *path = test_path("a.db");
    struct made_report made;
    {
        CAS_AUTO(store) store = open_at(path);
        report_make(&made, 7, 1, 10);
        EXPECT_UINT_EQ(10, report_put(store, 1, &made));
        EXPECT_UINT_EQ(10, report_put(store, 1, &made));
        report_make(&made, 7, 5, 15);
        EXPECT_UINT_EQ(15, report_put(store, 1, &made));
        commit(store);
        EXPECT_UINT_EQ(15, report_put(store, 1, &made));
        commit(store);
    }
    CAS_AUTO(store) store = open_at(path);
    EXPECT_UINT_EQ(15, report_put(store, 1, &made));
    struct seen seen = entries_of(store, 1);
    EXPECT_UINT_EQ(15, seen.n);
    for (size_t i = 0; i < seen.n; i++)
        EXPECT_UINT_EQ(i + 1, seen.seq[i]);
    EXPECT_UINT_EQ(15 * 1000 + 120, seen.sum_at);
    EXPECT_UINT_EQ(0, entries_of(store, 2).n);
}

/* Why: a wiped agent begins at 1 again; that is no double. And one restored from an image goes back
 * to its old spool. */
TEST(store, a_new_spool_starts_anew_and_the_old_one_is_remembered)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct made_report made;
    report_make(&made, 7, 1, 4);
    EXPECT_UINT_EQ(4, report_put(store, 1, &made));
    report_make(&made, 8, 1, 2);
    EXPECT_UINT_EQ(2, report_put(store, 1, &made));
    commit(store);
    report_make(&made, 7, 3, 5);
    EXPECT_UINT_EQ(5, report_put(store, 1, &made));
    commit(store);
    EXPECT_UINT_EQ(7, entries_of(store, 1).n);
}

/* Why: an agent that names another spool with each report must not fill the disk with their ends.
 * How: the seventeenth after it pushes the first out, the sixteenth does not. */
TEST(store, only_the_last_spools_of_a_server_are_remembered)
{
    static struct made_report made;
    for (uint8_t others = 15; others <= 16; others++) {
        CAS_AUTO(store) store = open_at(test_path(others == 15 ? "few.db" : "many.db"));
        struct cas_why why = {0};
        report_make(&made, 100, 1, 3);
        EXPECT_UINT_EQ(3, report_put(store, 1, &made));
        EXPECT_OK(store_commit(store, &why), &why);
        for (uint8_t i = 0; i <= others; i++) {
            report_make(&made, i, 1, 1);
            made.report.spool_id[1] = 1;
            struct cas_now now = {.wall_ms = noon.wall_ms + 1 + i, .mono_ms = 1};
            uint64_t upto = 0;
            EXPECT_OK(store_report_add(store, 1, &made.report, now, &upto, &why), &why);
            EXPECT_UINT_EQ(1, upto);
            EXPECT_OK(store_commit(store, &why), &why);
        }
        report_make(&made, 100, 1, 1);
        EXPECT_UINT_EQ(others == 15 ? 3 : 1, report_put(store, 1, &made));
    }
}

/* Why: a hole nobody explains is data lost unseen. At the edge: one missing, exactly covered, one
 * short. */
TEST(store, a_hole_needs_a_gap_record_that_covers_it)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct made_report made;
    uint64_t upto = 0;
    struct cas_why why = {0};
    report_make(&made, 7, 1, 2);
    EXPECT_UINT_EQ(2, report_put(store, 1, &made));
    commit(store);

    report_make(&made, 7, 4, 6);
    EXPECT_ERR(CAS_ERR_FORMAT, store_report_add(store, 1, &made.report, noon, &upto, &why));
    EXPECT_TEXT_HAS("positions 3 to 3", why.text);

    report_make(&made, 7, 9, 10); /* 3..9 dropped, told at 9 */
    entry_gap(&made, 0, 4, 9);
    EXPECT_ERR(CAS_ERR_FORMAT, store_report_add(store, 1, &made.report, noon, &upto, NULL));
    entry_gap(&made, 0, 3, 9);
    EXPECT_UINT_EQ(10, report_put(store, 1, &made));

    report_make(&made, 7, 11, 13);
    made.entry[1].seq = 11;
    EXPECT_ERR(CAS_ERR_FORMAT, store_report_add(store, 1, &made.report, noon, &upto, &why));
}

/* Why: after a restored backup the agent has dropped what it once was told is kept; its reports
 * must not be stuck. */
TEST(store, a_hole_below_what_hello_says_is_kept_is_taken)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct made_report made;
    uint64_t upto = 0;
    struct message_hello hello = {.spool_lo = 51, .spool_hi = 60};
    hello.spool_id[0] = 7;
    report_make(&made, 7, 52, 53);
    EXPECT_OK(store_spool_hello(store, 1, &hello), NULL);
    EXPECT_ERR(CAS_ERR_FORMAT,
               store_report_add(store, 1, &made.report, noon, &upto, NULL)); /* 51 is there */
    report_make(&made, 7, 51, 53);
    EXPECT_UINT_EQ(53, report_put(store, 1, &made));
    report_make(&made, 8, 51, 53); /* said of another spool */
    EXPECT_ERR(CAS_ERR_FORMAT, store_report_add(store, 1, &made.report, noon, &upto, NULL));
}

/* Why: nothing is true before the commit; an undone report must come again as new. */
TEST(store, what_was_undone_was_never_there)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct made_report made;
    struct store_spool spool;
    report_make(&made, 7, 1, 3);
    EXPECT_UINT_EQ(3, report_put(store, 1, &made));
    store_undo(store);
    EXPECT_FALSE(store_is_begun(store));
    EXPECT_FALSE(store_spool_of(store, 1, &spool));
    report_make(&made, 7, 1, 2);
    EXPECT_UINT_EQ(2, report_put(store, 1, &made));
    commit(store);
    EXPECT_UINT_EQ(2, entries_of(store, 1).n);
}

/* Why: two controllers would order twice. How: the lock while one runs; then a second on the same
 * database in memory, where no file can lock, takes over, and the first one's next commit is
 * refused. */
TEST(store, a_second_controller_is_kept_out_or_fences_the_first)
{
    const char *path = test_path("a.db");
    CAS_AUTO(store) store = open_at(path);
    struct store *other = NULL;
    struct cas_why why = {0};
    EXPECT_ERR(CAS_ERR_LOCKED, store_open(path, leader_b, noon, &other, &why));
    EXPECT_TEXT_HAS("a.db.lock", why.text);

    CAS_AUTO(store) first = open_at("file:/fence?vfs=memdb");
    struct store_audit audit = {.who = "casfleet", .verb = "v"};
    EXPECT_OK(store_audit_add(first, &audit, NULL), NULL);
    commit(first);
    EXPECT_OK(store_open("file:/fence?vfs=memdb", leader_b, noon, &other, &why), &why);
    EXPECT_TRUE(store_leader_of(other).epoch > store_leader_of(first).epoch);
    EXPECT_OK(store_audit_add(first, &audit, NULL), NULL);
    EXPECT_ERR(CAS_ERR_FENCED, store_commit(first, &why));
    EXPECT_ERR(CAS_ERR_FENCED, store_step_epoch(first, noon, &why));
    EXPECT_OK(store_audit_add(other, &audit, NULL), NULL);
    commit(other);
    store_free(other);
}

/* Why (R14): a leader that was paused while the database went back to an older state has a cache
 * ahead of it; epoch and leader fit, only the version of the row tells. */
TEST(store, a_leader_whose_database_went_back_is_fenced)
{
    const char *uri = "file:/back?vfs=memdb";
    CAS_AUTO(store_memory) memory = NULL;
    struct cas_why why = {0};
    EXPECT_OK(store_memory_open(uri, &memory, &why), &why);
    CAS_AUTO(store) store = open_at(uri);
    struct store_audit audit = {.who = "casfleet", .verb = "v"};
    EXPECT_OK(store_memory_mark(memory, &why), &why);
    EXPECT_OK(store_audit_add(store, &audit, NULL), NULL);
    commit(store);
    EXPECT_OK(store_memory_back(memory, &why), &why);
    EXPECT_OK(store_audit_add(store, &audit, NULL), NULL);
    EXPECT_ERR(CAS_ERR_FENCED, store_commit(store, &why));
}

/* Why: agents obey a higher epoch only; it must rise at each start and each step, also when the
 * clock is behind. */
TEST(store, the_epoch_rises_at_each_open_and_step)
{
    const char *path = test_path("a.db");
    uint64_t epoch = 0;
    struct cas_now early = {.wall_ms = -5000};
    for (int i = 0; i < 3; i++) {
        struct store *store = NULL;
        EXPECT_OK(store_open(path, leader_a, i == 0 ? noon : early, &store, NULL), NULL);
        EXPECT_TRUE(store_leader_of(store).epoch > epoch);
        epoch = store_leader_of(store).epoch;
        EXPECT_OK(store_step_epoch(store, early, NULL), NULL);
        EXPECT_UINT_EQ(epoch + 1, store_leader_of(store).epoch);
        epoch++;
        store_free(store);
    }
    CAS_AUTO(store) store = open_at(path);
    EXPECT_TRUE(store_leader_of(store).epoch > epoch);
}

/* Why: a damaged database must be named, not half-read. How: bytes in the middle are overwritten;
 * then not SQLite's at all; then the number of a later schema. */
TEST(store, a_damaged_foreign_or_newer_database_is_refused_by_name)
{
    const char *path = test_path("a.db");
    struct cas_why why = {0};
    struct store *store = open_at(path);
    for (int i = 0; i < 200; i++) {
        struct store_audit audit = {.at_ms = i,
                                    .who = "casfleet",
                                    .verb = "v",
                                    .words = "some words that fill a page"};
        EXPECT_OK(store_audit_add(store, &audit, NULL), NULL);
    }
    commit(store);
    store_free(store);
    size_t size = 0;
    char *good = test_read(path, &size), *bad = malloc(size);
    EXPECT_NOT_NULL(bad);
    memcpy(bad, good, size);
    memset(bad + 8192, 0xee, size - 8192);
    test_write(path, bad, size);
    EXPECT_ERR(CAS_ERR_CORRUPT, store_open(path, leader_a, noon, &store, &why));
    EXPECT_TEXT_HAS("a.db", why.text);

    test_write(
        path,
        "this is no database at all, but long enough to have a header of 100 bytes, and here it is"
        ".............................................................",
        140);
    EXPECT_ERR(CAS_ERR_CORRUPT, store_open(path, leader_a, noon, &store, &why));

    memcpy(bad, good, size);
    bad[63] = 99; /* user_version, big-endian at 60 */
    test_write(path, bad, size);
    EXPECT_ERR(CAS_ERR_VERSION, store_open(path, leader_a, noon, &store, &why));
    EXPECT_TEXT_HAS("newer casfleet", why.text);

    memcpy(bad, good, size);
    bad[71] = 'X'; /* application_id at 68 */
    test_write(path, bad, size);
    EXPECT_ERR(CAS_ERR_VERSION, store_open(path, leader_a, noon, &store, &why));
    EXPECT_TEXT_HAS("not of a casfleet controller", why.text);
    test_write(path, good, size);
    store_free(open_at(path));
    free(good);
    free(bad);
}

/* Why: a full disk must never leave a part of a change, and all must work again when there is room.
 * How: no page may be added any more; reports go in until one fails. */
TEST(store, a_full_disk_fails_the_commit_whole_and_recovers)
{
    const char *path = test_path("a.db");
    CAS_AUTO(store) store = open_at(path);
    struct made_report made;
    struct cas_why why = {0};
    uint64_t kept = 0, next = 1;
    enum cas_err err = CAS_OK;
    store_page_limit(store, 1); /* the least SQLite takes: what it has */
    while (err == CAS_OK && next < 20000) {
        uint64_t upto = 0;
        report_make(&made, 7, next, next + 63);
        err = store_report_add(store, 1, &made.report, noon, &upto, &why);
        if (err == CAS_OK)
            err = store_commit(store, &why);
        else
            store_undo(store);
        if (err == CAS_OK)
            kept = upto;
        next += 64;
    }
    EXPECT_INT_EQ(CAS_ERR_FULL, err);
    EXPECT_TEXT_HAS("a.db", why.text);
    struct store_spool spool = {.upto_seq = 0};
    EXPECT_TRUE(kept == 0 || store_spool_of(store, 1, &spool));
    EXPECT_UINT_EQ(kept, spool.upto_seq);
    store_page_limit(store, 0);
    report_make(&made, 7, kept + 1, kept + 3);
    EXPECT_UINT_EQ(kept + 3, report_put(store, 1, &made));
    commit(store);
    EXPECT_UINT_EQ(kept + 3, entries_of(store, 1).n);
}

/* Why: a part that failed inside a change must not let the rest of it through alone. */
TEST(store, after_one_failed_part_the_change_can_only_be_undone)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct inventory_server server;
    struct store_audit audit = {.who = "casfleet", .verb = "v"};
    server_make(&server, "LON-CAS01", 1);
    EXPECT_OK(store_server_add(store, &server, NULL), NULL);
    commit(store);
    server_make(&server, "LON-CAS01", 2); /* the name again */
    EXPECT_ERR(CAS_ERR_EXISTS, store_server_add(store, &server, NULL));
    EXPECT_ERR(CAS_ERR_EXISTS, store_audit_add(store, &audit, NULL));
    EXPECT_ERR(CAS_ERR_EXISTS, store_commit(store, NULL));
    EXPECT_FALSE(store_is_begun(store));
    EXPECT_OK(store_audit_add(store, &audit, NULL), NULL);
    commit(store);
}

static void rollout_keep(const char *path)
{
    uint8_t buffer[1024];
    struct rollout_step step[2] = {
        {.server_id = 1, .wave = 1, .attempt = 1, .state = STEP_CLOSED},
        {.server_id = 2, .wave = 2, .attempt = 3, .state = STEP_GRANTED}};
    step[1].reason = REASON_GAP;
    step[1].holds_slot = true;
    step[1].cmd_id[15] = 9;
    step[1].nonce[3] = 8;
    step[1].reserved_ms = 11;
    step[1].granted_ms = 12;
    step[1].granted_wall_issued_ms = 13;
    (void)snprintf(step[1].note, sizeof step[1].note, "503");
    step[1].evidence = (struct rollout_evidence){.seq = 5,
                                                 .state = COMMAND_DONE,
                                                 .code = -3,
                                                 .text = "words",
                                                 .pid_before = 4120,
                                                 .pid_after = 4294967295,
                                                 .start_before_ms = -7,
                                                 .done_ms = 21,
                                                 .has_requests = true,
                                                 .requests_before = 612,
                                                 .requests_drained = 9.5};
    {
        CAS_AUTO(store) store = open_at(path);
        struct cas_why why = {0};
        struct rollout rollout = {
            .seq = 412,
            .state = ROLLOUT_HALTED,
            .reason = REASON_STOP_RULE,
            .by = "ops.a",
            .why = "weekly",
            .run_ms = 1,
            .begun_ms = 2,
            .halted_ms = 3,
            .failed_n = 1,
            .forgiven_n = 0,
            .wave = 2,
            .plan_text = "LON",
            .plan = stage_plan_bytes(buffer, sizeof buffer, 412, "LON-CAS01;LON-CAS02"),
            .plan_hash = {1, 2, 3},
            .step = step,
            .step_n = 2,
            .is_alone = true};
        EXPECT_OK(store_rollout_save(store, &rollout, &why), &why);
        EXPECT_OK(store_step_save(store, &rollout, 0, &why), &why);
        EXPECT_OK(store_step_save(store, &rollout, 1, &why), &why);
        commit(store);
        rollout.failed_n = 2; /* a second save changes the row and leaves the plan */
        EXPECT_OK(store_rollout_save(store, &rollout, &why), &why);
        commit(store);
    }
}

static void step_check(const struct rollout_step *second)
{
    EXPECT_INT_EQ(STEP_GRANTED, second->state);
    EXPECT_INT_EQ(REASON_GAP, second->reason);
    EXPECT_TRUE(second->holds_slot);
    EXPECT_UINT_EQ(3, second->attempt);
    EXPECT_UINT_EQ(9, second->cmd_id[15]);
    EXPECT_UINT_EQ(8, second->nonce[3]);
    EXPECT_INT_EQ(11, second->reserved_ms);
    EXPECT_INT_EQ(12, second->granted_ms);
    EXPECT_INT_EQ(13, second->granted_wall_issued_ms);
    EXPECT_TEXT_EQ("503", second->note);
    EXPECT_UINT_EQ(5, second->evidence.seq);
    EXPECT_INT_EQ(COMMAND_DONE, second->evidence.state);
    EXPECT_INT_EQ(-3, second->evidence.code);
    EXPECT_TEXT_EQ("words", second->evidence.text);
    EXPECT_UINT_EQ(4294967295, second->evidence.pid_after);
    EXPECT_INT_EQ(-7, second->evidence.start_before_ms);
    EXPECT_INT_EQ(21, second->evidence.done_ms);
    EXPECT_TRUE(second->evidence.has_requests);
    EXPECT_NEAR(9.5, second->evidence.requests_drained, 0);
}

/* Why (I9): a rollout goes on at the same step: every number of it must come back. */
TEST(store, a_rollout_comes_back_step_by_step)
{
    const char *path = test_path("a.db");
    rollout_keep(path);
    CAS_AUTO(store) store = open_at(path);
    CAS_AUTO(rollout_book) book = NULL;
    struct cas_why why = {0};
    EXPECT_OK(rollout_book_open(stage_derive_none, &book), NULL);
    EXPECT_OK(store_rollouts_load(store, book, 10, &why), &why);
    const struct rollout *back = rollout_find(book, 412);
    EXPECT_NOT_NULL(back);
    EXPECT_INT_EQ(ROLLOUT_HALTED, back->state);
    EXPECT_INT_EQ(REASON_STOP_RULE, back->reason);
    EXPECT_TEXT_EQ("weekly", back->why);
    EXPECT_TEXT_EQ("LON", back->plan_text);
    EXPECT_UINT_EQ(2, back->failed_n);
    EXPECT_TRUE(back->is_alone);
    EXPECT_UINT_EQ(3, back->plan_hash[2]);
    EXPECT_SLICE_EQ("LON-CAS01;LON-CAS02", back->body.steps);
    EXPECT_UINT_EQ(2, back->step_n);
    EXPECT_INT_EQ(STEP_CLOSED, back->step[0].state);
    step_check(&back->step[1]);
}

/* Why: a slot held by a rollout that has ended still counts against the floor, so it must be in
 * memory after a start, however long ago it ended. How: three ended ones of which the oldest holds
 * a slot; one ended one is wanted. */
TEST(store, ended_rollouts_are_loaded_while_they_hold_a_slot)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct cas_why why = {0};
    uint8_t buffer[1024];
    for (uint64_t seq = 1; seq <= 3; seq++) {
        struct rollout_step step = {.server_id = 1,
                                    .wave = 1,
                                    .attempt = 1,
                                    .state = STEP_FAILED,
                                    .holds_slot = seq == 1};
        struct rollout rollout = {.seq = seq, .state = ROLLOUT_ENDED, .step = &step, .step_n = 1};
        rollout.plan = stage_plan_bytes(buffer, sizeof buffer, seq, "LON-CAS01;LON-CAS02");
        EXPECT_OK(store_rollout_save(store, &rollout, &why), &why);
        EXPECT_OK(store_step_save(store, &rollout, 0, &why), &why);
    }
    commit(store);
    CAS_AUTO(rollout_book) book = NULL;
    EXPECT_OK(rollout_book_open(stage_derive_none, &book), NULL);
    EXPECT_OK(store_rollouts_load(store, book, 1, &why), &why);
    EXPECT_NOT_NULL(rollout_find(book, 1));
    EXPECT_NULL(rollout_find(book, 2));
    EXPECT_NOT_NULL(rollout_find(book, 3));
    EXPECT_OK(store_rollout_load(store, 2, book, &why), &why);
    EXPECT_NOT_NULL(rollout_find(book, 2));
    EXPECT_ERR(CAS_ERR_NOT_FOUND, store_rollout_load(store, 4, book, &why));
}

/* Why: a plan is valid for 30 min, exactly. */
TEST(store, a_draft_is_valid_for_its_time_and_numbers_are_never_reused)
{
    const char *path = test_path("a.db");
    uint64_t seq = 0, next = 0;
    struct cas_why why = {0};
    {
        CAS_AUTO(store) store = open_at(path);
        char *plan = NULL;
        size_t size = 0;
        EXPECT_OK(store_rollout_next_seq(store, &seq, NULL), NULL);
        EXPECT_OK(store_draft_save(store, seq, cas_slice_of("plan"), noon, NULL), NULL);
        commit(store);
        struct cas_now later = {.wall_ms = noon.wall_ms + PLAN_VALID_MS};
        EXPECT_OK(store_draft_load(store, seq, later, &plan, &size, &why), &why);
        EXPECT_TEXT_EQ("plan", plan);
        EXPECT_UINT_EQ(4, size);
        free(plan);
        later.wall_ms++;
        EXPECT_ERR(CAS_ERR_STALE, store_draft_load(store, seq, later, &plan, &size, &why));
        EXPECT_ERR(CAS_ERR_NOT_FOUND, store_draft_load(store, seq + 1, later, &plan, &size, &why));
    }
    CAS_AUTO(store) store = open_at(path);
    EXPECT_OK(store_rollout_next_seq(store, &next, NULL), NULL);
    EXPECT_UINT_EQ(seq + 1, next);
}

TEST(store, numbers_leap_forward_and_never_back)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    static const struct {
        uint64_t least, next;
    } cases[] = {{10, 11}, {5, 12}, {12, 13}, {14, 15}};
    for (size_t i = 0; i < CAS_COUNT(cases); i++) {
        uint64_t next = 0;
        EXPECT_OK(store_rollout_leap(store, cases[i].least, NULL), NULL);
        EXPECT_OK(store_rollout_next_seq(store, &next, NULL), NULL);
        EXPECT_UINT_EQ(cases[i].next, next);
    }
}

struct audits {
    char text[8][AUDIT_WORDS_BYTES + 128];
    size_t n;
};
static void on_audit(void *context, uint64_t id, const struct store_audit *audit)
{
    struct audits *audits = context;
    EXPECT_TRUE(audits->n < CAS_COUNT(audits->text));
    (void)snprintf(audits->text[audits->n++],
                   sizeof audits->text[0],
                   "%d %s %s",
                   (int)id,
                   audit->verb,
                   audit->words);
}

TEST(store, audit_rows_are_read_newest_first_by_either_subject)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct store_audit audit = {.at_ms = 1,
                                .who = "casfleet",
                                .verb = "step.granted",
                                .subject = "LON-CAS01",
                                .about = "r-0001"};
    struct audits all = {.n = 0}, of = {.n = 0};
    EXPECT_OK(store_audit_add(store, &audit, NULL), NULL);
    (void)snprintf(audit.subject, sizeof audit.subject, "r-0001");
    audit.about[0] = '\0';
    (void)snprintf(audit.words, sizeof audit.words, "it's; DROP TABLE audit; --");
    EXPECT_OK(store_audit_add(store, &audit, NULL), NULL);
    (void)snprintf(audit.subject, sizeof audit.subject, "r-0002");
    EXPECT_OK(store_audit_add(store, &audit, NULL), NULL);
    commit(store);
    EXPECT_OK(store_audit_read(store, "", 2, on_audit, &all, NULL), NULL);
    EXPECT_UINT_EQ(2, all.n);
    EXPECT_TEXT_EQ("3 step.granted it's; DROP TABLE audit; --", all.text[0]);
    EXPECT_OK(store_audit_read(store, "r-0001", 8, on_audit, &of, NULL), NULL);
    EXPECT_UINT_EQ(2, of.n);
    EXPECT_TEXT_EQ("1 step.granted ", of.text[1]);
}

/* Why: the disk is not endless; but what is younger than its time stays. */
TEST(store, reports_older_than_their_time_go)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct made_report made;
    report_make(&made, 7, 1, 3);
    (void)report_put(store, 1, &made);
    commit(store);
    struct cas_now later = {.wall_ms = noon.wall_ms + 1000};
    EXPECT_OK(store_reports_expire(store, later, 1000, NULL), NULL);
    commit(store);
    EXPECT_UINT_EQ(3, entries_of(store, 0).n);
    later.wall_ms++;
    EXPECT_OK(store_reports_expire(store, later, 1000, NULL), NULL);
    commit(store);
    EXPECT_UINT_EQ(0, entries_of(store, 0).n);
    EXPECT_UINT_EQ(3, report_put(store, 1, &made)); /* still known as kept once */
    EXPECT_UINT_EQ(0, entries_of(store, 0).n);
}
