#include "agent/journal/outbox.h"

#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "agent/journal/journal_page.h"
#include "tests/unit/test.h"

enum {
    ROW_BYTES = 64, /* what outbox.h says a record costs beside its body */
    MODEL_ROWS = 8192
};

static const char filling[WIRE_BODY_BYTES] = {'x'};

static struct outbox *outbox_at(const char *path, int64_t cap_bytes)
{
    struct outbox *outbox = NULL;
    struct cas_why why = {.text = ""};
    EXPECT_OK(outbox_open(path, cap_bytes, &outbox, &why), &why);
    return outbox;
}

static uint64_t add(struct outbox *outbox, enum entry_kind kind, size_t size)
{
    uint64_t seq = 0;
    struct cas_why why = {.text = ""};
    EXPECT_OK(outbox_add(outbox, kind, 1000, (struct cas_slice){filling, size}, &seq, &why), &why);
    return seq;
}

static struct cas_arena *arena_make(void)
{
    struct cas_arena *arena = NULL;
    EXPECT_OK(cas_arena_open(1024 * 1024, &arena), NULL);
    return arena;
}

static size_t get(struct outbox *outbox, struct cas_arena *arena, struct record_entry **ret_entry)
{
    size_t n = 0;
    struct cas_why why = {.text = ""};
    cas_arena_clear(arena);
    EXPECT_OK(outbox_read(outbox, 0, arena, ret_entry, &n, &why), &why);
    return n;
}

static struct record_gap gap_of(const struct record_entry *entry, struct cas_arena *arena)
{
    struct record_gap gap = {0};
    EXPECT_INT_EQ(ENTRY_GAP, entry->kind);
    EXPECT_OK(record_decode(RECORD_gap, entry->body, arena, &gap, NULL), NULL);
    return gap;
}

/* Why: a report that was seen but not acknowledged must survive the agent. */
TEST(outbox, records_and_positions_survive_a_restart)
{
    const char *path = test_path("outbox.db");
    uint8_t spool_id[CAS_ID_BYTES];
    CAS_AUTO(cas_arena) arena = arena_make();
    struct record_entry *entry = NULL;
    {
        CAS_AUTO(outbox) outbox = outbox_at(path, OUTBOX_BYTES);
        memcpy(spool_id, outbox_spool_id(outbox), CAS_ID_BYTES);
        EXPECT_UINT_EQ(0, outbox_low(outbox));
        EXPECT_UINT_EQ(0, outbox_high(outbox));
        EXPECT_UINT_EQ(1, add(outbox, ENTRY_SAMPLE, 100));
        EXPECT_UINT_EQ(2, add(outbox, ENTRY_EVENT, 1));
    }
    {
        CAS_AUTO(outbox) outbox = outbox_at(path, OUTBOX_BYTES);
        EXPECT_BYTES_EQ(spool_id, outbox_spool_id(outbox), CAS_ID_BYTES);
        EXPECT_UINT_EQ(1, outbox_low(outbox));
        EXPECT_UINT_EQ(2, outbox_high(outbox));
        EXPECT_INT_EQ(101 + 2 * ROW_BYTES, outbox_used(outbox));
        EXPECT_UINT_EQ(2, get(outbox, arena, &entry));
        EXPECT_INT_EQ(ENTRY_SAMPLE, entry[0].kind);
        EXPECT_UINT_EQ(100, entry[0].body.size);
        EXPECT_INT_EQ(1000, entry[0].at_ms);
        EXPECT_OK(outbox_drop_upto(outbox, 2, NULL), NULL);
        EXPECT_UINT_EQ(0, outbox_low(outbox));
    }
    /* Empty, and yet the next position is new: a position is never given twice. */
    CAS_AUTO(outbox) outbox = outbox_at(path, OUTBOX_BYTES);
    EXPECT_UINT_EQ(2, outbox_high(outbox));
    EXPECT_UINT_EQ(3, add(outbox, ENTRY_FACT, 10));
    CAS_AUTO(outbox) other = outbox_at(test_path("other.db"), OUTBOX_BYTES);
    EXPECT_TRUE(memcmp(spool_id, outbox_spool_id(other), CAS_ID_BYTES) != 0);
}

/* Why: an ACK that is wrong, old or of another life of the controller must not cost a record that
 * was never sent. */
TEST(outbox, ack_drops_nothing_that_was_not_handed_out)
{
    CAS_AUTO(outbox) outbox = outbox_at(":memory:", OUTBOX_BYTES);
    CAS_AUTO(cas_arena) arena = arena_make();
    struct record_entry *entry = NULL;
    for (int i = 0; i < WIRE_REPORT_RECORDS + 5; i++)
        (void)add(outbox, ENTRY_SAMPLE, 10);
    EXPECT_OK(outbox_drop_upto(outbox, 3, NULL), NULL);
    EXPECT_UINT_EQ(1, outbox_low(outbox));
    EXPECT_UINT_EQ(WIRE_REPORT_RECORDS, get(outbox, arena, &entry));
    EXPECT_ERR(CAS_ERR_RANGE, outbox_drop_upto(outbox, WIRE_REPORT_RECORDS + 6, NULL));
    EXPECT_UINT_EQ(1, outbox_low(outbox));
    EXPECT_OK(outbox_drop_upto(outbox, WIRE_REPORT_RECORDS + 5, NULL), NULL);
    EXPECT_UINT_EQ(WIRE_REPORT_RECORDS + 1, outbox_low(outbox));
    EXPECT_UINT_EQ(5, get(outbox, arena, &entry));
    EXPECT_INT_EQ(5 * (10 + ROW_BYTES), outbox_used(outbox));
}

/* Why: a disk that was put back to an earlier day would give positions a second time, and the
 * controller would take the new records for the old. How: renewed with records in it; then opened
 * again. */
TEST(outbox, older_copy_goes_on_under_a_new_id)
{
    struct outbox *outbox = outbox_at(test_path("outbox.db"), OUTBOX_BYTES);
    CAS_AUTO(cas_arena) arena = arena_make();
    struct record_entry *entry = NULL;
    uint8_t id[CAS_ID_BYTES];
    memcpy(id, outbox_spool_id(outbox), CAS_ID_BYTES);
    (void)add(outbox, ENTRY_SAMPLE, 10);
    (void)add(outbox, ENTRY_EVENT, 10);
    EXPECT_UINT_EQ(2, get(outbox, arena, &entry));
    EXPECT_OK(outbox_renew(outbox, NULL), NULL);
    EXPECT_TRUE(memcmp(id, outbox_spool_id(outbox), CAS_ID_BYTES) != 0);
    memcpy(id, outbox_spool_id(outbox), CAS_ID_BYTES);
    EXPECT_OK(outbox_drop_upto(outbox, 2, NULL), NULL); /* not handed out under this id */
    outbox_free(outbox);
    outbox = outbox_at(test_path("outbox.db"), OUTBOX_BYTES);
    EXPECT_BYTES_EQ(id, outbox_spool_id(outbox), CAS_ID_BYTES);
    EXPECT_UINT_EQ(2, get(outbox, arena, &entry));
    EXPECT_UINT_EQ(1, entry[0].seq);
    outbox_free(outbox);
}

/* Why: a report must fit its frame. How: bodies of the largest size; exactly as many as fit into
 * the limit. */
TEST(outbox, reading_stops_at_the_bytes_of_a_report)
{
    CAS_AUTO(outbox) outbox = outbox_at(":memory:", OUTBOX_BYTES);
    CAS_AUTO(cas_arena) arena = arena_make();
    struct record_entry *entry = NULL;
    for (int i = 0; i < 20; i++)
        (void)add(outbox, ENTRY_SAMPLE, WIRE_BODY_BYTES);
    EXPECT_UINT_EQ(WIRE_REPORT_BYTES / WIRE_BODY_BYTES, get(outbox, arena, &entry));
    uint64_t seq = 0;
    EXPECT_ERR(CAS_ERR_RANGE,
               outbox_add(outbox, ENTRY_SAMPLE, 0, (struct cas_slice){filling, 0}, &seq, NULL));
    EXPECT_ERR(CAS_ERR_RANGE,
               outbox_add(outbox,
                          ENTRY_SAMPLE,
                          0,
                          (struct cas_slice){filling, WIRE_BODY_BYTES + 1},
                          &seq,
                          NULL));
    EXPECT_UINT_EQ(20, outbox_high(outbox));
}

/* Why: what is lost must be known exactly. How: room for exactly ten samples, then one more byte
 * than fits. */
TEST(outbox, one_record_too_many_leaves_an_exact_gap)
{
    int64_t cap = 10 * (100 + ROW_BYTES);
    CAS_AUTO(outbox) outbox = outbox_at(":memory:", cap);
    CAS_AUTO(cas_arena) arena = arena_make();
    struct record_entry *entry = NULL;
    for (int i = 0; i < 10; i++)
        (void)add(outbox, ENTRY_SAMPLE, 100);
    EXPECT_INT_EQ(cap, outbox_used(outbox));
    EXPECT_UINT_EQ(10, get(outbox, arena, &entry));
    EXPECT_INT_EQ(ENTRY_SAMPLE, entry[0].kind);
    (void)add(outbox, ENTRY_SAMPLE, 100);
    EXPECT_TRUE(outbox_used(outbox) <= cap);
    EXPECT_UINT_EQ(1, outbox_low(outbox));
    size_t n = get(outbox, arena, &entry);
    struct record_gap gap = gap_of(&entry[0], arena);
    EXPECT_UINT_EQ(1, gap.first_seq);
    EXPECT_UINT_EQ(entry[0].seq, gap.last_seq);
    EXPECT_UINT_EQ(gap.last_seq, gap.samples);
    EXPECT_UINT_EQ(0, gap.others);
    EXPECT_UINT_EQ(11, entry[n - 1].seq);
}

/* Why: an event says more than a sample of the same minute. How: the outbox is full of events and
 * facts; a sample comes and is the one that goes, then an event comes and a fact goes. */
TEST(outbox, lowest_class_goes_first_even_when_it_is_the_newest)
{
    int64_t cap = 4 * (400 + ROW_BYTES);
    CAS_AUTO(outbox) outbox = outbox_at(":memory:", cap);
    CAS_AUTO(cas_arena) arena = arena_make();
    struct record_entry *entry = NULL;
    (void)add(outbox, ENTRY_EVENT, 400);
    (void)add(outbox, ENTRY_FACT, 400);
    (void)add(outbox, ENTRY_EVENT, 400);
    (void)add(outbox, ENTRY_FACT, 200);
    EXPECT_UINT_EQ(5, add(outbox, ENTRY_SAMPLE, 400));
    EXPECT_UINT_EQ(5, get(outbox, arena, &entry));
    struct record_gap gap = gap_of(&entry[4], arena);
    EXPECT_UINT_EQ(5, gap.first_seq);
    EXPECT_UINT_EQ(1, gap.samples);
    (void)add(outbox, ENTRY_EVENT, 400);
    EXPECT_UINT_EQ(6, get(outbox, arena, &entry));
    gap = gap_of(&entry[1], arena);
    EXPECT_UINT_EQ(2, gap.first_seq);
    EXPECT_UINT_EQ(2, gap.last_seq);
    EXPECT_UINT_EQ(1, gap.others);
    EXPECT_INT_EQ(ENTRY_FACT, entry[3].kind);
}

/* Why: a failed commit must leave memory and file agreeing. How: a body of a forbidden size spoils
 * nothing; a begun and not committed transaction is gone after a restart. */
TEST(outbox, transaction_that_was_not_committed_has_not_been)
{
    const char *path = test_path("outbox.db");
    {
        CAS_AUTO(outbox) outbox = outbox_at(path, OUTBOX_BYTES);
        EXPECT_OK(outbox_begin(outbox, NULL), NULL);
        EXPECT_ERR(CAS_ERR_BUG, outbox_begin(outbox, NULL));
        (void)add(outbox, ENTRY_SAMPLE, 10);
        EXPECT_OK(outbox_commit(outbox, NULL), NULL);
        EXPECT_ERR(CAS_ERR_BUG, outbox_commit(outbox, NULL));
        EXPECT_OK(outbox_begin(outbox, NULL), NULL);
        EXPECT_UINT_EQ(2, add(outbox, ENTRY_SAMPLE, 10));
    }
    CAS_AUTO(outbox) outbox = outbox_at(path, OUTBOX_BYTES);
    EXPECT_UINT_EQ(1, outbox_high(outbox));
    EXPECT_UINT_EQ(2, add(outbox, ENTRY_SAMPLE, 10));
}

/* Why: after a restart the outbox does not know what was sent before; an ACK of that time may end
 * inside a gap. How: fourteen samples where ten fit; the ACK names a position in the middle of the
 * gap. */
TEST(outbox, late_ack_shortens_a_gap)
{
    const char *path = test_path("outbox.db");
    int64_t cap = 10 * (100 + ROW_BYTES);
    CAS_AUTO(cas_arena) arena = arena_make();
    struct record_entry *entry = NULL;
    CAS_AUTO(outbox) outbox = outbox_at(path, cap);
    for (int i = 0; i < 14; i++)
        (void)add(outbox, ENTRY_SAMPLE, 100);
    (void)get(outbox, arena, &entry);
    struct record_gap gap = gap_of(&entry[0], arena);
    EXPECT_UINT_EQ(1, gap.first_seq);
    EXPECT_TRUE(gap.last_seq > 3);
    uint64_t last = gap.last_seq;
    EXPECT_OK(outbox_drop_upto(outbox, 3, NULL), NULL);
    (void)get(outbox, arena, &entry);
    gap = gap_of(&entry[0], arena);
    EXPECT_UINT_EQ(4, gap.first_seq);
    EXPECT_UINT_EQ(last, gap.last_seq);
    EXPECT_UINT_EQ(last - 3, gap.samples);
    EXPECT_UINT_EQ(4, outbox_low(outbox));
}

/* ---- against a model ---- */

struct model {
    enum entry_kind kind[MODEL_ROWS]; /* by position, as added */
    bool is_gone[MODEL_ROWS];         /* by a gap */
    uint64_t acked;
    uint64_t high;
};

/* Everything above acked is there in order, as a record or inside a gap whose numbers fit. */
static void model_check(struct model *model, struct outbox *outbox, struct cas_arena *arena)
{
    uint64_t at = model->acked;
    size_t n = 1;
    while (n > 0) {
        struct record_entry *entry = NULL;
        cas_arena_clear(arena);
        EXPECT_OK(outbox_read(outbox, at, arena, &entry, &n, NULL), NULL);
        for (size_t i = 0; i < n; i++) {
            uint64_t first = entry[i].seq;
            if (entry[i].kind == ENTRY_GAP) {
                struct record_gap gap = gap_of(&entry[i], arena);
                uint64_t samples = 0;
                EXPECT_UINT_EQ(entry[i].seq, gap.last_seq);
                for (uint64_t seq = gap.first_seq; seq <= gap.last_seq; seq++) {
                    samples += model->kind[seq] == ENTRY_SAMPLE ? 1 : 0;
                    model->is_gone[seq] = true;
                }
                EXPECT_UINT_EQ(samples, gap.samples);
                EXPECT_UINT_EQ(gap.last_seq - gap.first_seq + 1 - samples, gap.others);
                first = gap.first_seq;
            } else {
                EXPECT_INT_EQ(model->kind[first], entry[i].kind);
                EXPECT_FALSE(model->is_gone[first]); /* nothing comes back */
            }
            EXPECT_UINT_EQ(at + 1, first);
            at = entry[i].seq;
        }
    }
    EXPECT_UINT_EQ(model->high, at);
}

/* Why: the promise is "no unexplained hole", whatever happens in what order. How: 4,000 random
 * steps on a tiny outbox, a third of them while a report is under way; ACKs of whole reports; every
 * 50 steps all of it is compared. */
TEST(outbox, random_life_has_no_unexplained_hole)
{
    static struct model model;
    struct test_dice dice = {.state = 20261014};
    CAS_AUTO(outbox) outbox = outbox_at(":memory:", 24000);
    CAS_AUTO(cas_arena) arena = arena_make();
    uint64_t sent_upto = 0;
    for (int step = 0; step < 4000; step++) {
        uint64_t what = test_below(&dice, 100);
        struct record_entry *entry = NULL;
        if (what < 90) {
            enum entry_kind kind = what < 60 ? ENTRY_SAMPLE : what < 75 ? ENTRY_EVENT : ENTRY_FACT;
            model.high = add(outbox, kind, 1 + test_below(&dice, 900));
            EXPECT_TRUE(model.high < MODEL_ROWS);
            model.kind[model.high] = kind;
        } else if (what < 96 && sent_upto <= model.acked) {
            size_t n = get(outbox, arena, &entry);
            sent_upto = n > 0 ? entry[n - 1].seq : 0;
        } else if (what >= 96 && sent_upto > model.acked) {
            EXPECT_OK(outbox_drop_upto(outbox, sent_upto, NULL), NULL);
            model.acked = sent_upto;
        }
        EXPECT_TRUE(outbox_used(outbox) <= 24000 + 4 * (ROW_BYTES + 64));
        if (step % 50 == 49 && sent_upto <= model.acked) {
            model_check(&model, outbox, arena);
            sent_upto = model.high; /* reading it all handed it all out */
        }
    }
    EXPECT_TRUE(model.acked > 500);
}

/* Why: I5 promises a bound on the disk, not on our idea of it. How: four times the cap in records
 * of a usual size. */
TEST(outbox, file_stays_within_its_cap_and_a_segment)
{
    const char *path = test_path("outbox.db");
    const int64_t cap = 2 * 1024 * 1024;
    {
        CAS_AUTO(outbox) outbox = outbox_at(path, cap);
        EXPECT_OK(outbox_begin(outbox, NULL), NULL);
        for (int i = 0; i < 12000; i++)
            (void)add(outbox, i % 7 == 0 ? ENTRY_EVENT : ENTRY_SAMPLE, 600 + (size_t)i % 200);
        EXPECT_OK(outbox_commit(outbox, NULL), NULL);
        EXPECT_TRUE(outbox_used(outbox) <= cap);
        EXPECT_TRUE(outbox_used(outbox) > cap - 1024);
    }
    size_t size = 0;
    free(test_read(path, &size));
    EXPECT_TRUE((int64_t)size <= cap + 1024 * 1024);
}

/* Why: an agent that is updated has reports in a file of the version before. How: a file with the
 * former index and version; opened and filled beyond the cap, lowest class first as ever. */
TEST(outbox, file_of_the_version_before_is_taken_over)
{
    const char *path = test_path("outbox.db");
    const int64_t cap = 10 * (100 + ROW_BYTES);
    {
        CAS_AUTO(outbox) outbox = outbox_at(path, cap);
        (void)add(outbox, ENTRY_EVENT, 100);
        (void)add(outbox, ENTRY_SAMPLE, 100);
    }
    struct sqlite3 *db = NULL;
    EXPECT_INT_EQ(SQLITE_OK,
                  sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, journal_page_layer()));
    EXPECT_INT_EQ(SQLITE_OK,
                  sqlite3_exec(db,
                               "PRAGMA locking_mode=EXCLUSIVE; DROP INDEX entry_other; CREATE "
                               "INDEX entry_class ON entry (class, "
                               "seq); PRAGMA user_version=1",
                               NULL,
                               NULL,
                               NULL));
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_close(db));
    CAS_AUTO(outbox) outbox = outbox_at(path, cap);
    CAS_AUTO(cas_arena) arena = arena_make();
    struct record_entry *entry = NULL;
    EXPECT_UINT_EQ(2, get(outbox, arena, &entry));
    EXPECT_INT_EQ(ENTRY_EVENT, entry[0].kind);
    for (int i = 0; i < 9; i++)
        (void)add(outbox, ENTRY_FACT, 100);
    EXPECT_UINT_EQ(11, get(outbox, arena, &entry));
    EXPECT_INT_EQ(ENTRY_EVENT, entry[0].kind);
    EXPECT_INT_EQ(ENTRY_GAP, entry[1].kind);
    struct record_gap gap = gap_of(&entry[1], arena);
    EXPECT_UINT_EQ(1, gap.samples);
}
