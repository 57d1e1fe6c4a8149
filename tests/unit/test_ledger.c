#include "agent/journal/ledger.h"

#include <stdio.h>
#include <stdlib.h>

#include <sqlite3.h>

#include "agent/journal/journal_page.h"
#include "tests/unit/test.h"

static struct ledger *ledger_at(const char *path)
{
    struct ledger *ledger = NULL;
    struct cas_why why = {.text = ""};
    EXPECT_OK(ledger_open(path, &ledger, &why), &why);
    return ledger;
}

static struct ledger_row row_of(uint8_t number, enum command_state state)
{
    struct ledger_row row = {.cmd_id = {number, 2, 3},
                             .state = state,
                             .verb = VERB_recycle,
                             .rollout_seq = 412,
                             .pool = "MSExchangeSyncAppPool",
                             .pid_before = 4120,
                             .start_before_ms = 1700000000000,
                             .intent_ms = 1700000100000};
    return row;
}

static struct ledger_row found(struct ledger *ledger, uint8_t number)
{
    struct ledger_row row = {.state = COMMAND_NONE};
    const uint8_t cmd_id[CAS_ID_BYTES] = {number, 2, 3};
    EXPECT_OK(ledger_find(ledger, cmd_id, &row), NULL);
    return row;
}

static void put(struct ledger *ledger, struct ledger_row *row)
{
    struct cas_why why = {.text = ""};
    EXPECT_OK(ledger_write(ledger, row, &why), &why);
}

/* Why: INTENT before, outcome after is what keeps a command from being done twice; both must be
 * there after any end of the program. How: reopened after each step, as after a crash. */
TEST(ledger, intent_and_outcome_are_there_after_a_restart)
{
    const char *path = test_path("ledger.db");
    struct ledger_row row = row_of(1, COMMAND_INTENT);
    {
        CAS_AUTO(ledger) ledger = ledger_at(path);
        struct ledger_row none;
        EXPECT_ERR(CAS_ERR_NOT_FOUND, ledger_find(ledger, row.cmd_id, &none));
        EXPECT_ERR(CAS_ERR_NOT_FOUND, ledger_open_intent(ledger, &none));
        put(ledger, &row);
        EXPECT_UINT_EQ(1, row.seq);
    }
    {
        CAS_AUTO(ledger) ledger = ledger_at(path);
        struct ledger_row open;
        EXPECT_OK(ledger_open_intent(ledger, &open), NULL);
        EXPECT_BYTES_EQ(row.cmd_id, open.cmd_id, CAS_ID_BYTES);
        EXPECT_UINT_EQ(4120, open.pid_before);
        EXPECT_INT_EQ(1700000100000, open.intent_ms);
        EXPECT_TEXT_EQ("MSExchangeSyncAppPool", open.pool);
        open.state = COMMAND_DONE;
        open.pid_after = 7788;
        open.has_requests = true;
        open.requests_before = 812.5;
        (void)snprintf(open.text, sizeof open.text, "recycled");
        put(ledger, &open);
    }
    CAS_AUTO(ledger) ledger = ledger_at(path);
    struct ledger_row none;
    EXPECT_ERR(CAS_ERR_NOT_FOUND, ledger_open_intent(ledger, &none));
    struct ledger_row done = found(ledger, 1);
    EXPECT_INT_EQ(COMMAND_DONE, done.state);
    EXPECT_UINT_EQ(2, done.seq);
    EXPECT_UINT_EQ(2, ledger_head(ledger));
    EXPECT_UINT_EQ(7788, done.pid_after);
    EXPECT_NEAR(812.5, done.requests_before, 0);
    EXPECT_TEXT_EQ("recycled", done.text);
    EXPECT_FALSE(done.is_acknowledged);
}

/* Why: the ledger is the last guard against a second act; it refuses what the state machine does
 * not know. How: every pair of states. */
TEST(ledger, only_the_known_steps_can_be_written)
{
    CAS_AUTO(ledger) ledger = ledger_at(":memory:");
    static const bool is_possible[COMMAND_REVOKED + 1][COMMAND_REVOKED + 1] = {
        [COMMAND_NONE] = {[COMMAND_INTENT] = true, [COMMAND_REVOKED] = true},
        [COMMAND_INTENT] = {[COMMAND_INTENT] = true,
                            [COMMAND_DONE] = true,
                            [COMMAND_FAILED] = true,
                            [COMMAND_UNKNOWN] = true},
    };
    uint8_t number = 10;
    for (int from = COMMAND_NONE; from <= COMMAND_REVOKED; from++) {
        for (int to = COMMAND_NONE; to <= COMMAND_REVOKED; to++, number++) {
            if (from == COMMAND_CLAIMED)
                continue;
            struct ledger_row row = row_of(number, COMMAND_INTENT);
            if (from != COMMAND_NONE && from != COMMAND_REVOKED)
                put(ledger, &row);
            row.state = (enum command_state)from;
            if (from > COMMAND_INTENT)
                put(ledger, &row);
            uint64_t head = ledger_head(ledger);
            row.state = (enum command_state)to;
            EXPECT_ERR(is_possible[from][to] ? CAS_OK : CAS_ERR_BUG,
                       ledger_write(ledger, &row, NULL));
            EXPECT_UINT_EQ(head + (is_possible[from][to] ? 1 : 0), ledger_head(ledger));
        }
    }
}

/* Why: a RESULT is repeated until the controller says it has it; an ACK of an older state must not
 * end that. */
TEST(ledger, only_the_ack_of_the_last_position_acknowledges)
{
    CAS_AUTO(ledger) ledger = ledger_at(":memory:");
    struct ledger_row row = row_of(1, COMMAND_INTENT);
    put(ledger, &row);
    struct ledger_row waiting[4];
    size_t n = 9;
    EXPECT_OK(ledger_acknowledge(ledger, row.cmd_id, row.seq, NULL), NULL);
    EXPECT_FALSE(found(ledger, 1).is_acknowledged);
    EXPECT_OK(ledger_unacknowledged(ledger, waiting, 4, &n), NULL);
    EXPECT_UINT_EQ(0, n); /* an INTENT is not over */
    row.state = COMMAND_DONE;
    put(ledger, &row);
    EXPECT_OK(ledger_acknowledge(ledger, row.cmd_id, row.seq - 1, NULL), NULL);
    EXPECT_OK(ledger_unacknowledged(ledger, waiting, 4, &n), NULL);
    EXPECT_UINT_EQ(1, n);
    EXPECT_OK(ledger_acknowledge(ledger, row.cmd_id, row.seq, NULL), NULL);
    EXPECT_OK(ledger_unacknowledged(ledger, waiting, 4, &n), NULL);
    EXPECT_UINT_EQ(0, n);
    EXPECT_TRUE(found(ledger, 1).is_acknowledged);
}

/* Why: the heartbeat's tail is how the controller sees what it missed; it wants the newest, newest
 * last. */
TEST(ledger, tail_is_the_newest_rows_newest_last)
{
    CAS_AUTO(ledger) ledger = ledger_at(":memory:");
    for (uint8_t i = 1; i <= 20; i++) {
        struct ledger_row row = row_of(i, COMMAND_REVOKED);
        put(ledger, &row);
    }
    struct ledger_row tail[WIRE_TAIL];
    size_t n = 0;
    EXPECT_OK(ledger_tail(ledger, tail, WIRE_TAIL, &n), NULL);
    EXPECT_UINT_EQ(WIRE_TAIL, n);
    EXPECT_UINT_EQ(5, tail[0].seq);
    EXPECT_UINT_EQ(20, tail[WIRE_TAIL - 1].seq);
}

/* Why: a controller that was replaced must stay replaced, also for an agent that was restarted in
 * between. */
TEST(ledger, epoch_is_durable_and_only_grows)
{
    const char *path = test_path("ledger.db");
    {
        CAS_AUTO(ledger) ledger = ledger_at(path);
        EXPECT_UINT_EQ(0, ledger_epoch(ledger));
        EXPECT_OK(ledger_raise_epoch(ledger, 7, NULL), NULL);
        EXPECT_OK(ledger_raise_epoch(ledger, 5, NULL), NULL);
        EXPECT_UINT_EQ(7, ledger_epoch(ledger));
    }
    CAS_AUTO(ledger) ledger = ledger_at(path);
    EXPECT_UINT_EQ(7, ledger_epoch(ledger));
}

TEST(ledger, notes_are_kept_and_replaced)
{
    const char *path = test_path("ledger.db");
    char text[16] = "";
    {
        CAS_AUTO(ledger) ledger = ledger_at(path);
        EXPECT_ERR(CAS_ERR_NOT_FOUND, ledger_note_get(ledger, "mark", text, sizeof text));
        EXPECT_OK(ledger_note_set(ledger, "mark", "17", NULL), NULL);
        EXPECT_OK(ledger_note_set(ledger, "mark", "fifteen bytes..", NULL), NULL);
    }
    CAS_AUTO(ledger) ledger = ledger_at(path);
    EXPECT_ERR(CAS_ERR_TOO_LONG, ledger_note_get(ledger, "mark", text, sizeof text - 1));
    EXPECT_OK(ledger_note_get(ledger, "mark", text, sizeof text), NULL);
    EXPECT_TEXT_EQ("fifteen bytes..", text);
}

/* Why: rows may be forgotten only together with a floor below which nothing is taken again; what
 * the controller has not acknowledged is never forgotten. How: one row more than the limit, the
 * oldest rollout settled, then not. */
TEST(ledger, rows_above_the_limit_leave_with_a_higher_floor)
{
    CAS_AUTO(ledger) ledger = ledger_at(":memory:");
    for (int i = 0; i < LEDGER_ROWS; i++) {
        struct ledger_row row = {.cmd_id = {1, (uint8_t)(i >> 8), (uint8_t)i},
                                 .state = COMMAND_REVOKED,
                                 .rollout_seq = 1 + (uint64_t)i / 1024};
        put(ledger, &row);
        if (row.rollout_seq != 2)
            EXPECT_OK(ledger_acknowledge(ledger, row.cmd_id, row.seq, NULL), NULL);
    }
    EXPECT_UINT_EQ(0, ledger_rollout_floor(ledger));
    struct ledger_row row = row_of(9, COMMAND_INTENT);
    put(ledger, &row);
    EXPECT_UINT_EQ(1, ledger_rollout_floor(ledger));
    const uint8_t first[CAS_ID_BYTES] = {1, 0, 0};
    struct ledger_row gone;
    EXPECT_ERR(CAS_ERR_NOT_FOUND, ledger_find(ledger, first, &gone));
    for (int i = 0; i < 1024; i++) {
        struct ledger_row more = {.cmd_id = {2, (uint8_t)(i >> 8), (uint8_t)i},
                                  .state = COMMAND_REVOKED,
                                  .rollout_seq = 9};
        put(ledger, &more);
    }
    EXPECT_UINT_EQ(1, ledger_rollout_floor(ledger)); /* rollout 2 waits for its ACKs */
    const uint8_t second[CAS_ID_BYTES] = {1, 1024 >> 8, 0};
    EXPECT_OK(ledger_find(ledger, second, &gone), NULL);
}

static enum cas_err revoke(struct ledger *ledger, int number, struct ledger_row *ret_row)
{
    *ret_row = (struct ledger_row){.cmd_id = {7, (uint8_t)(number >> 8), (uint8_t)number},
                                   .state = COMMAND_REVOKED};
    return ledger_write(ledger, ret_row, NULL);
}

/* Why: a REVOKE is not signed and may name any command: a flood of them must neither fill the disk
 * nor drive out what says that a command was done, nor keep a signed order from being taken. How:
 * as many as may be, none acknowledged; one more; then the oldest is acknowledged. */
TEST(ledger, commands_revoked_unseen_have_a_limit_of_their_own)
{
    CAS_AUTO(ledger) ledger = ledger_at(":memory:");
    struct ledger_row done = row_of(9, COMMAND_INTENT);
    put(ledger, &done);
    done.state = COMMAND_DONE;
    put(ledger, &done);
    EXPECT_OK(ledger_acknowledge(ledger, done.cmd_id, done.seq, NULL), NULL);
    struct ledger_row first, row;
    EXPECT_OK(revoke(ledger, 0, &first), NULL);
    for (int i = 1; i < LEDGER_REVOKED; i++)
        EXPECT_OK(revoke(ledger, i, &row), NULL);
    uint64_t head = ledger_head(ledger);
    EXPECT_ERR(CAS_ERR_TOO_MANY, revoke(ledger, LEDGER_REVOKED, &row));
    EXPECT_ERR(CAS_ERR_NOT_FOUND, ledger_find(ledger, row.cmd_id, &row));
    EXPECT_UINT_EQ(head, ledger_head(ledger));
    struct ledger_row next = row_of(10, COMMAND_INTENT);
    put(ledger, &next);
    next.state = COMMAND_DONE;
    put(ledger, &next);
    EXPECT_OK(ledger_acknowledge(ledger, first.cmd_id, first.seq, NULL), NULL);
    EXPECT_OK(revoke(ledger, LEDGER_REVOKED, &row), NULL);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, ledger_find(ledger, first.cmd_id, &first));
    EXPECT_ERR(CAS_ERR_TOO_MANY, revoke(ledger, LEDGER_REVOKED + 1, &row));
    EXPECT_INT_EQ(COMMAND_DONE, found(ledger, 9).state);
    EXPECT_INT_EQ(COMMAND_DONE, found(ledger, 10).state);
    EXPECT_UINT_EQ(0, ledger_rollout_floor(ledger));
}

/* Why: what is revoked while an act is under way takes from the room kept for its outcome. */
TEST(ledger, few_commands_can_be_revoked_during_an_act)
{
    CAS_AUTO(ledger) ledger = ledger_at(":memory:");
    struct ledger_row act = row_of(9, COMMAND_INTENT);
    struct ledger_row row;
    put(ledger, &act);
    for (int i = 0; i < 16; i++)
        EXPECT_OK(revoke(ledger, i, &row), NULL);
    EXPECT_ERR(CAS_ERR_BUSY, revoke(ledger, 16, &row));
    act.state = COMMAND_DONE;
    put(ledger, &act);
    EXPECT_OK(revoke(ledger, 16, &row), NULL);
}

/* Why: a damaged journal may have lost the row that says "done"; acting on it could act twice.
 * How: a page in the middle is overwritten; then a file that is no database; then one of a newer
 * program. */
TEST(ledger, damaged_or_newer_file_is_refused)
{
    const char *path = test_path("ledger.db");
    {
        CAS_AUTO(ledger) ledger = ledger_at(path);
        for (uint8_t i = 1; i <= 100; i++) {
            struct ledger_row row = row_of(i, COMMAND_REVOKED);
            put(ledger, &row);
        }
    }
    size_t size = 0;
    char *data = test_read(path, &size);
    struct ledger *ledger = NULL;
    struct cas_why why = {.text = ""};
    memset(data + 4096, 0x5a, 512);
    test_write(path, data, size);
    EXPECT_ERR(CAS_ERR_CORRUPT, ledger_open(path, &ledger, &why));
    EXPECT_TEXT_HAS("ledger.db: damaged", why.text);
    memset(data, 'x', 100);
    test_write(path, data, size);
    EXPECT_ERR(CAS_ERR_CORRUPT, ledger_open(path, &ledger, &why));
    free(data);

    const char *newer = test_path("newer.db");
    {
        CAS_AUTO(ledger) made = ledger_at(newer);
    }
    struct sqlite3 *db = NULL;
    EXPECT_INT_EQ(SQLITE_OK,
                  sqlite3_open_v2(newer, &db, SQLITE_OPEN_READWRITE, journal_page_layer()));
    EXPECT_INT_EQ(SQLITE_OK,
                  sqlite3_exec(db,
                               "PRAGMA locking_mode=EXCLUSIVE; PRAGMA user_version=99",
                               NULL,
                               NULL,
                               NULL));
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_close(db));
    EXPECT_ERR(CAS_ERR_VERSION, ledger_open(newer, &ledger, &why));
    EXPECT_TEXT_HAS("99", why.text);
    EXPECT_NULL(ledger);
}

/* Why: two agents on one journal would each believe to be the only one. */
TEST(ledger, second_opener_is_refused)
{
    const char *path = test_path("ledger.db");
    CAS_AUTO(ledger) first = ledger_at(path);
    struct ledger *second = NULL;
    struct cas_why why = {.text = ""};
    EXPECT_ERR(CAS_ERR_LOCKED, ledger_open(path, &second, &why));
    EXPECT_ERR(CAS_ERR_IO, ledger_open(test_path("no/such/folder.db"), &second, &why));
    EXPECT_TEXT_HAS("folder.db", why.text);
}
