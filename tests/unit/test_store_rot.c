/* A database of the controller that is no longer what was written: bits turned, the end cut off,
 * pages of an older version. It is refused by name, at the start or where the spoilt part is read,
 * or what is read can be handled; the program goes on in no case with a state there is not. */
#include <stdio.h>
#include <stdlib.h>

#include "controller/store/store.h"
#include "tests/unit/store_rollout_stage.h"
#include "tests/unit/test.h"

enum {
    PAGE_BYTES = 4096,
    SERVERS = 20,
    ROLLOUTS = 6,
    AUDITS = 60,
    FLIPS = 300,
    CUTS = 30
};

static const struct cas_now now = {.wall_ms = INT64_C(1700000000000), .mono_ms = 5000};
static const uint8_t leader[CAS_ID_BYTES] = {0xa};

struct tally {
    unsigned refused, read;
};

static void rollout_put(struct store *store, uint64_t seq)
{
    uint8_t buffer[1024];
    struct rollout_step step[3] = {{.server_id = 1, .wave = 1, .attempt = 1, .state = STEP_CLOSED},
                                   {.server_id = 2, .wave = 2, .attempt = 1, .state = STEP_GRANTED},
                                   {.server_id = 3, .wave = 3, .state = STEP_PENDING}};
    step[1].holds_slot = true;
    struct rollout rollout = {
        .seq = seq,
        .state = ROLLOUT_RUNNING,
        .by = "ops.a",
        .why = "weekly",
        .run_ms = 1,
        .wave = 2,
        .plan_text = "LON",
        .plan = stage_plan_bytes(buffer, sizeof buffer, seq, "LON-CAS01;LON-CAS02;LON-CAS03"),
        .step = step,
        .step_n = CAS_COUNT(step)};
    struct cas_why why = {0};
    EXPECT_OK(store_rollout_save(store, &rollout, &why), &why);
    for (size_t i = 0; i < CAS_COUNT(step); i++)
        EXPECT_OK(store_step_save(store, &rollout, i, &why), &why);
}

static void report_put(struct store *store, uint32_t server_id, uint64_t first)
{
    uint8_t bytes[128];
    size_t size = 0;
    struct record_event event = {.id = 4227, .provider = cas_slice_of("Tcpip"), .count = 1};
    EXPECT_OK(record_encode(RECORD_event, &event, bytes, sizeof bytes, &size, NULL), NULL);
    struct record_entry entry[20];
    for (size_t i = 0; i < CAS_COUNT(entry); i++)
        entry[i] = (struct record_entry){.seq = first + i,
                                         .kind = ENTRY_EVENT,
                                         .at_ms = 1000,
                                         .body = {(const char *)bytes, size}};
    struct message_report report = {.spool_id = {7},
                                    .first_seq = first,
                                    .entries = entry,
                                    .entries_n = CAS_COUNT(entry)};
    uint64_t upto = 0;
    struct cas_why why = {0};
    EXPECT_OK(store_report_add(store, server_id, &report, now, &upto, &why), &why);
}

static char *made(const char *path, bool is_first, size_t *ret_size)
{
    struct cas_why why = {0};
    {
        CAS_AUTO(store) store = NULL;
        EXPECT_OK(store_open(path, leader, now, &store, &why), &why);
        for (unsigned i = 1; is_first && i <= SERVERS; i++) {
            struct inventory_server server = {.admission = ADMISSION_APPROVED, .key = {(uint8_t)i}};
            (void)snprintf(server.name, sizeof server.name, "LON-CAS%02u", i);
            EXPECT_OK(store_server_add(store, &server, &why), &why);
        }
        for (unsigned i = 1; i <= ROLLOUTS; i++)
            rollout_put(store, is_first ? i : ROLLOUTS + i);
        for (uint32_t i = 1; i <= SERVERS; i++)
            report_put(store, i, is_first ? 1 : 21);
        for (int i = 0; i < AUDITS; i++) {
            struct store_audit audit = {.at_ms = i, .who = "ops.a", .verb = "v", .words = "words"};
            EXPECT_OK(store_audit_add(store, &audit, &why), &why);
        }
        EXPECT_OK(store_commit(store, &why), &why);
    }
    return test_read(path, ret_size);
}

static enum cas_err on_entry(void *context,
                             uint32_t server_id,
                             const uint8_t *spool_id,
                             const struct record_entry *entry)
{
    unsigned *seen = context;
    (void)server_id, (void)spool_id;
    *seen += entry->body.size > 0;
    return CAS_OK;
}

static void on_audit(void *context, uint64_t id, const struct store_audit *audit)
{
    unsigned *seen = context;
    (void)id;
    *seen += audit->words[0] != '\0';
}

/* What the controller reads at its start, and what operators ask for. */
static enum cas_err read_all(struct store *store, struct cas_why *why)
{
    unsigned seen = 0;
    CAS_AUTO(inventory) inventory = NULL;
    CAS_AUTO(rollout_book) book = NULL;
    EXPECT_OK(inventory_open(&inventory), NULL);
    EXPECT_OK(rollout_book_open(stage_derive_none, &book), NULL);
    enum cas_err err = store_servers_load(store, inventory, why);
    if (err == CAS_OK)
        err = store_rollouts_load(store, book, 100, why);
    if (err == CAS_OK)
        err = store_entries(store, 0, on_entry, &seen, why);
    if (err == CAS_OK)
        err = store_audit_read(store, "", 1000, on_audit, &seen, why);
    for (uint64_t seq = 1; err == CAS_OK && seq <= 2 * ROLLOUTS; seq++) {
        const struct rollout *rollout = rollout_find(book, seq);
        for (size_t i = 0; rollout != NULL && i < rollout->step_n; i++) {
            EXPECT_TRUE(strcmp("?", rollout_step_words(rollout->step[i].state)) != 0);
            EXPECT_NOT_NULL(rollout_reason_words(rollout->step[i].reason));
        }
        if (rollout != NULL)
            EXPECT_TRUE(strcmp("?", rollout_state_words(rollout->state)) != 0);
    }
    return err;
}

static void try_file(const char *path, const char *data, size_t size, struct tally *tally)
{
    CAS_AUTO(store) store = NULL;
    struct cas_why why = {0};
    test_write(path, data, size);
    enum cas_err err = store_open(path, leader, now, &store, &why);
    if (err == CAS_OK)
        err = read_all(store, &why);
    if (err == CAS_OK) {
        tally->read++;
        return;
    }
    EXPECT_TEXT_HAS("a.db", why.text);
    tally->refused++;
}

/* Why: a database is read at each start, on disks that rot and after restores that went wrong; a
 * controller that ends with a fault there cannot even say what is wrong. How: twenty servers, six
 * rollouts on their way, reports, an audit; the file is spoilt in every way at many places. */
TEST(store, a_spoilt_database_is_refused_by_name_or_can_be_read)
{
    const char *path = test_path("a.db");
    size_t old_size = 0, size = 0;
    char *old = made(path, true, &old_size);
    char *good = made(path, false, &size);
    char *bad = malloc(size);
    EXPECT_NOT_NULL(bad);
    struct test_dice dice = {.state = 17};
    struct tally flips = {0}, cuts = {0}, older = {0};
    for (unsigned i = 0; i < FLIPS; i++) {
        memcpy(bad, good, size);
        size_t at = i < 100 ? i : test_below(&dice, size);
        bad[at] = (char)((unsigned char)bad[at] ^ (1U << test_below(&dice, 8)));
        try_file(path, bad, size, &flips);
    }
    for (unsigned i = 0; i < CUTS; i++)
        try_file(path, good, 1 + test_below(&dice, size - PAGE_BYTES), &cuts);
    for (size_t at = 0; at + PAGE_BYTES <= old_size && at + PAGE_BYTES <= size;
         at += PAGE_BYTES / 2) {
        memcpy(bad, good, size);
        memcpy(bad + at, old + at, PAGE_BYTES / 2);
        try_file(path, bad, size, &older);
        memcpy(bad + at, old + at, at % PAGE_BYTES == 0 ? PAGE_BYTES : PAGE_BYTES / 2);
        try_file(path, bad, size, &older);
    }
    EXPECT_TRUE(flips.refused > FLIPS / 20 && flips.read > FLIPS / 10);
    EXPECT_TRUE(cuts.refused > CUTS / 2);
    EXPECT_TRUE(older.refused > 5);
    free(bad);
    free(good);
    free(old);
}
