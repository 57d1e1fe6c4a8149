#include "tests/unit/test.h"

#include <stdio.h>

#include "agent/host/event_mark.h"
#include "proto/base/log.h"

enum {
    ROWS = 512,
    XML_BYTES = 1024,
    POOL_PID = 7000
};
static const int64_t day_ms = 24 * 60 * 60 * 1000;
static const int64_t noon_ms = 1791936000000; /* 2026-10-14T00:00:00Z */
static const char pool[] = "MSExchangeSyncAppPool";

/* A System log: what stands in it now, oldest first. */
struct model_row {
    struct event_mark at;
    uint32_t id;  /* 4231 Tcpip, 50xx WAS of the pool, 7036 another provider */
    uint32_t pid; /* WAS only */
    const char *pool;
};
struct model {
    struct model_row row[ROWS];
    size_t row_n;
    uint64_t record; /* the last number given */
    int64_t now_ms;
};
static struct model model;

static void model_begin(uint64_t record)
{
    model = (struct model){.record = record, .now_ms = noon_ms};
}

static void model_drop(size_t n)
{
    memmove(&model.row[0], &model.row[n], (model.row_n - n) * sizeof model.row[0]);
    model.row_n -= n;
}

static void model_log(uint32_t id, uint32_t pid)
{
    if (model.row_n == ROWS)
        model_drop(1);
    model.now_ms += 1000;
    model.row[model.row_n++] = (struct model_row){{++model.record, model.now_ms}, id, pid, pool};
}

static void model_xml(const struct model_row *row, char ret_xml[XML_BYTES])
{
    char time[64];
    struct cas_text utc = CAS_TEXT(time);
    cas_text_utc(&utc, row->at.time_ms);
    struct cas_text text = {.data = ret_xml, .cap = XML_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text,
                 "<Event xmlns='http://schemas.microsoft.com/win/2004/08/events/event'><System>"
                 "<Provider Name='%s'/><EventID>%u</EventID><TimeCreated SystemTime='%s'/>"
                 "<EventRecordID>%llu</EventRecordID></System><EventData>",
                 row->id < 5000 ? "Tcpip" : "Microsoft-Windows-WAS",
                 row->id,
                 time,
                 (unsigned long long)row->at.record);
    if (row->id >= 5000)
        cas_text_add(&text,
                     "<Data Name='AppPoolID'>%s</Data><Data Name='ProcessID'>%u</Data>",
                     row->pool,
                     row->pid);
    cas_text_add(&text, "</EventData></Event>");
    CAS_ASSERT(!text.is_cut);
}

static bool model_has(const struct model_row *row)
{
    return event_mark_asks(row->id < 5000 ? "Tcpip" : "Microsoft-Windows-WAS", row->id);
}

/* One reading as host_windows_eventlog.c makes it. */
static size_t model_read(char bookmark[REASON_BYTES], struct host_event *ret_event, size_t cap)
{
    struct event_mark_log log = {{0, 0}, {0, 0}, {0, 0}};
    struct event_mark mark = {0, 0};
    (void)!event_mark_parse(bookmark, &mark, NULL);
    if (model.row_n > 0) {
        log.oldest = model.row[0].at;
        log.newest = model.row[model.row_n - 1].at;
    }
    for (size_t i = 0; i < model.row_n; i++) {
        if (model.row[i].at.record == mark.record)
            log.at = model.row[i].at;
    }
    struct event_mark_reading reading;
    event_mark_begin(&reading, bookmark, &log, model.now_ms, pool, ret_event, cap);
    bool is_all = true;
    for (size_t i = 0; i < model.row_n && is_all && !event_mark_is_idle(&reading); i++) {
        char xml[XML_BYTES];
        model_xml(&model.row[i], xml);
        struct event_mark_row row = {model.row[i].at,
                                     !model_has(&model.row[i]),
                                     cas_slice_of(xml),
                                     NULL};
        is_all = event_mark_take(&reading, &row);
    }
    size_t n = 0;
    event_mark_end(&reading, is_all, &n, bookmark);
    return n;
}

static void pass(struct event_mark_reading *reading, uint64_t record, const char *xml)
{
    struct event_mark_row row = {{record, noon_ms + (int64_t)record},
                                 false,
                                 cas_slice_of(xml),
                                 NULL};
    EXPECT_TRUE(event_mark_take(reading, &row));
}

TEST(event_mark, a_bookmark_reads_back_as_it_was_written)
{
    char text[REASON_BYTES];
    struct event_mark mark = {0, 0};
    event_mark_print((struct event_mark){0, 0}, text);
    EXPECT_TEXT_EQ("", text);
    EXPECT_OK(event_mark_parse(text, &mark, NULL), NULL);
    EXPECT_UINT_EQ(0, mark.record);
    event_mark_print((struct event_mark){INT64_MAX, INT64_MAX}, text);
    EXPECT_OK(event_mark_parse(text, &mark, NULL), NULL);
    EXPECT_UINT_EQ(INT64_MAX, mark.record);
    EXPECT_INT_EQ(INT64_MAX, mark.time_ms);
}

/* Why: the bookmark comes out of a database that may be another host's, or damaged. */
TEST(event_mark, a_text_that_is_no_bookmark_is_refused_in_words)
{
    static const char *const bad[] = {"1",
                                      "1/",
                                      "1/2",
                                      "1/2/",
                                      "1//3",
                                      "2/1/3",
                                      "1/2/0",
                                      "1/-2/3",
                                      "1/2/-3",
                                      "1/2/3/4",
                                      " 1/2/3",
                                      "1/2/3 ",
                                      "1/0x2/3",
                                      "1/9223372036854775808/3",
                                      "1/2/9223372036854775808",
                                      "1/99999999999999999999999999999/3",
                                      "sim 1 2",
                                      "\xff\xfe",
                                      "<BookmarkList/>"};
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        struct event_mark mark = {77, 77};
        struct cas_why why = {""};
        EXPECT_ERR(CAS_ERR_FORMAT, event_mark_parse(bad[i], &mark, &why));
        EXPECT_UINT_EQ(77, mark.record);
        EXPECT_TEXT_HAS("is not a bookmark", why.text);
    }
}

TEST(event_mark, the_first_reading_takes_the_last_24_hours)
{
    model_begin(100);
    model_log(4231, 0);
    model_log(4227, 0);
    model.now_ms = noon_ms + 1000 + day_ms; /* the first is 24 h old, the second is not yet */
    char bookmark[REASON_BYTES] = "";
    struct host_event event[8];
    EXPECT_UINT_EQ(1, model_read(bookmark, event, 8));
    EXPECT_UINT_EQ(4227, event[0].id);
    EXPECT_TEXT_EQ("Tcpip", event[0].provider);
    EXPECT_INT_EQ(noon_ms + 2000, event[0].at_ms);
    EXPECT_UINT_EQ(0, model_read(bookmark, event, 8));
}

/* Why: a quiet server's log is overwritten by others' events; that is no loss. How: nothing of ours
 * for so long that the record of the last reading is gone, with a reading in between. */
TEST(event_mark, others_records_are_no_loss_when_they_were_seen_to_be_others)
{
    model_begin(0);
    model_log(4231, 0);
    char bookmark[REASON_BYTES] = "";
    struct host_event event[8];
    EXPECT_UINT_EQ(1, model_read(bookmark, event, 8));
    for (int round = 0; round < 4; round++) {
        for (int i = 0; i < ROWS; i++)
            model_log(7036, 0);
        EXPECT_UINT_EQ(0, model_read(bookmark, event, 8));
    }
    EXPECT_TEXT_HAS("1/2049/", bookmark);
}

/* How: one record more than the log holds comes between two readings; then exactly as many. */
TEST(event_mark, records_overwritten_unread_are_told_with_their_numbers)
{
    model_begin(0);
    model_log(4231, 0);
    char bookmark[REASON_BYTES] = "";
    struct host_event event[8];
    EXPECT_UINT_EQ(1, model_read(bookmark, event, 8));
    for (int i = 0; i < ROWS; i++)
        model_log(7036, 0);
    EXPECT_UINT_EQ(0, model_read(bookmark, event, 8));
    for (int i = 0; i < ROWS + 1; i++)
        model_log(i == 0 || i == ROWS ? 4231 : 7036, 0);
    EXPECT_UINT_EQ(2, model_read(bookmark, event, 8));
    EXPECT_UINT_EQ(EVENT_EVENTS_LOST, event[0].id);
    EXPECT_UINT_EQ(1, event[0].count);
    EXPECT_TEXT_EQ(EVENT_MARK_PROVIDER, event[0].provider);
    EXPECT_TEXT_HAS("records 514 to 514 of the System log, 1 of any kind", event[0].text);
    EXPECT_UINT_EQ(4231, event[1].id);
    EXPECT_UINT_EQ(0, model_read(bookmark, event, 8));
}

/* How: the reading that finds the loss gets no further; the next one begins behind it. */
TEST(event_mark, a_loss_is_told_once_though_the_reading_got_no_further)
{
    static const char *const marks[] = {"1/5/1791936000000", "1/900/1791936000000", "rubbish"};
    for (size_t i = 0; i < CAS_COUNT(marks); i++) {
        struct event_mark_log log = {{90, noon_ms}, {100, noon_ms + 5}, {0, 0}};
        struct event_mark_reading reading;
        struct host_event event[2];
        char bookmark[REASON_BYTES];
        size_t n = 0;
        event_mark_begin(&reading, marks[i], &log, noon_ms, pool, event, 2);
        event_mark_end(&reading, false, &n, bookmark);
        EXPECT_UINT_EQ(1, n);
        EXPECT_UINT_EQ(EVENT_EVENTS_LOST, event[0].id);
        EXPECT_UINT_EQ(i == 0 ? 84 : 1, event[0].count);
        event_mark_begin(&reading, bookmark, &log, noon_ms, pool, event, 2);
        event_mark_end(&reading, false, &n, bookmark);
        EXPECT_UINT_EQ(0, n);
    }
}

TEST(event_mark, a_log_that_begins_again_is_read_from_the_time_of_the_last_reading)
{
    model_begin(1000);
    model_log(4231, 0);
    char bookmark[REASON_BYTES] = "";
    struct host_event event[8];
    EXPECT_UINT_EQ(1, model_read(bookmark, event, 8));
    model_drop(1);
    EXPECT_UINT_EQ(0, model_read(bookmark, event, 8)); /* empty: nothing to say yet */
    EXPECT_TEXT_HAS("1/1001/", bookmark);
    model.record = 0;
    model_log(5074, POOL_PID);
    EXPECT_UINT_EQ(2, model_read(bookmark, event, 8));
    EXPECT_UINT_EQ(EVENT_EVENTS_LOST, event[0].id);
    EXPECT_TEXT_HAS("record 1001 was of 2026-10-14T00:00:01.000Z, now the last is 1",
                    event[0].text);
    EXPECT_UINT_EQ(5074, event[1].id);
    EXPECT_UINT_EQ(POOL_PID, event[1].pid);
    EXPECT_TEXT_EQ(pool, event[1].pool);
    EXPECT_TEXT_HAS("1/1/", bookmark);
    EXPECT_UINT_EQ(0, model_read(bookmark, event, 8));
}

/* Why: a server put back from an image has a log that soon is longer than the bookmark; by numbers
 * alone everything up to it would be passed over in silence. How: cleared, and grown past it. */
TEST(event_mark, another_log_is_found_though_it_has_grown_past_the_bookmark)
{
    model_begin(0);
    for (int i = 0; i < 10; i++)
        model_log(7036, 0);
    char bookmark[REASON_BYTES] = "";
    struct host_event event[8];
    EXPECT_UINT_EQ(0, model_read(bookmark, event, 8));
    model_drop(10);
    model.record = 0;
    for (int i = 0; i < 20; i++)
        model_log(i < 5 ? 4231 : 7036, 0);
    EXPECT_UINT_EQ(2, model_read(bookmark, event, 8));
    EXPECT_UINT_EQ(EVENT_EVENTS_LOST, event[0].id);
    EXPECT_TEXT_HAS("record 10 was of 2026-10-14T00:00:10.000Z, now it is of", event[0].text);
    EXPECT_UINT_EQ(5, event[1].count);
}

/* Why: clearing the log once in a while is housekeeping, and Windows goes on counting. */
TEST(event_mark, a_log_cleared_after_it_was_read_is_no_loss)
{
    model_begin(0);
    model_log(4231, 0);
    char bookmark[REASON_BYTES] = "";
    struct host_event event[8];
    EXPECT_UINT_EQ(1, model_read(bookmark, event, 8));
    model_drop(1);
    model_log(104, 0);
    model_log(4231, 0);
    EXPECT_UINT_EQ(1, model_read(bookmark, event, 8));
    EXPECT_UINT_EQ(4231, event[0].id);
}

TEST(event_mark, a_bookmark_of_a_wrong_clock_hides_nothing)
{
    model_begin(0);
    model_log(4231, 0);
    char bookmark[REASON_BYTES];
    event_mark_print((struct event_mark){900, noon_ms + 3650 * day_ms}, bookmark);
    struct host_event event[8];
    EXPECT_UINT_EQ(2, model_read(bookmark, event, 8));
    EXPECT_UINT_EQ(EVENT_EVENTS_LOST, event[0].id);
    EXPECT_UINT_EQ(4231, event[1].id);
}

/* Why: a bookmark that cannot be read must not stop the reports of events for good. */
TEST(event_mark, a_foreign_bookmark_is_told_once_and_the_day_is_read_again)
{
    model_begin(0);
    char bookmark[REASON_BYTES] = "5/0/3/7";
    struct host_event event[8];
    EXPECT_UINT_EQ(1, model_read(bookmark, event, 8));
    EXPECT_UINT_EQ(EVENT_EVENTS_LOST, event[0].id);
    EXPECT_TEXT_HAS("\"5/0/3/7\" is not a bookmark", event[0].text);
    model_log(4231, 0);
    EXPECT_UINT_EQ(1, model_read(bookmark, event, 8));
    EXPECT_UINT_EQ(4231, event[0].id);
}

/* Why: port exhaustion writes the same event thousands of times; each must count, none may block.
 */
TEST(event_mark, a_flood_is_counted_exactly_in_bounded_readings)
{
    enum {
        FLOOD = 100000
    };
    struct host_event event[HOST_EVENTS];
    char bookmark[REASON_BYTES] = "1/1/1";
    uint64_t count = 0;
    uint64_t next = 2;
    size_t readings = 0;
    char xml[XML_BYTES];
    model_xml(&(struct model_row){{1, noon_ms}, 4231, 0, pool}, xml);
    for (bool is_all = false; !is_all; readings++) {
        struct event_mark_log log = {{1, 1}, {FLOOD + 1, noon_ms}, {0, 0}};
        struct event_mark_reading reading;
        event_mark_begin(&reading, bookmark, &log, noon_ms, pool, event, HOST_EVENTS);
        is_all = true;
        while (next <= FLOOD + 1 && is_all) {
            struct event_mark_row row = {{next, noon_ms}, false, cas_slice_of(xml), NULL};
            is_all = event_mark_take(&reading, &row);
            next += is_all ? 1 : 0;
        }
        size_t n = 0;
        event_mark_end(&reading, is_all, &n, bookmark);
        EXPECT_UINT_EQ(1, n);
        EXPECT_TRUE(event[0].count <= EVENT_MARK_ROWS);
        count += event[0].count;
    }
    EXPECT_UINT_EQ(FLOOD, count);
    EXPECT_UINT_EQ((FLOOD + EVENT_MARK_ROWS - 1) / EVENT_MARK_ROWS, readings);
}

TEST(event_mark, what_is_not_alike_fills_the_array_and_the_rest_comes_next)
{
    model_begin(0);
    for (uint32_t i = 0; i < 5; i++)
        model_log(5079, POOL_PID + i);
    char bookmark[REASON_BYTES] = "";
    struct host_event event[2];
    for (uint32_t i = 0; i < 3; i++) {
        size_t n = model_read(bookmark, event, 2);
        EXPECT_UINT_EQ(i < 2 ? 2 : 1, n);
        EXPECT_UINT_EQ(POOL_PID + 2 * i, event[0].pid);
    }
    EXPECT_UINT_EQ(0, model_read(bookmark, event, 2));
}

TEST(event_mark, an_event_that_cannot_be_read_is_told_and_passed)
{
    struct host_event event[8];
    struct event_mark_log log = {{1, noon_ms}, {9, noon_ms}, {0, 0}};
    struct event_mark_reading reading;
    event_mark_begin(&reading, "1/1/1", &log, noon_ms, pool, event, 8);
    pass(&reading, 2, "<Event><System>");
    pass(&reading, 3, "");
    pass(&reading, 4, "<!DOCTYPE x [<!ENTITY a 'b'>]><Event/>");
    struct event_mark_row row = {{5, noon_ms}, false, {NULL, 0}, "EvtRender: error 8"};
    EXPECT_TRUE(event_mark_take(&reading, &row));
    char bookmark[REASON_BYTES];
    size_t n = 0;
    event_mark_end(&reading, false, &n, bookmark);
    EXPECT_UINT_EQ(1, n);
    EXPECT_UINT_EQ(EVENT_EVENTS_UNREAD, event[0].id);
    EXPECT_UINT_EQ(4, event[0].count);
    EXPECT_TEXT_EQ("record 5: EvtRender: error 8", event[0].text);
    EXPECT_TEXT_HAS("1/5/", bookmark);
}

TEST(event_mark, other_pools_and_ids_without_meaning_are_passed)
{
    struct host_event event[8];
    struct event_mark_log log = {{1, noon_ms}, {9, noon_ms}, {0, 0}};
    struct event_mark_reading reading;
    event_mark_begin(&reading, "1/1/1", &log, noon_ms, "msexchangesyncapppool", event, 8);
    char xml[XML_BYTES];
    model_xml(&(struct model_row){{2, noon_ms}, 5074, 1, "MSExchangeOWAAppPool"}, xml);
    pass(&reading, 2, xml);
    model_xml(&(struct model_row){{3, noon_ms}, 4240, 0, pool}, xml);
    pass(&reading, 3, xml);
    model_xml(&(struct model_row){{4, noon_ms}, 5074, 1, pool}, xml);
    pass(&reading, 4, xml);
    char bookmark[REASON_BYTES];
    size_t n = 0;
    event_mark_end(&reading, true, &n, bookmark);
    EXPECT_UINT_EQ(1, n);
    EXPECT_UINT_EQ(5074, event[0].id);
    EXPECT_TEXT_HAS("1/9/", bookmark);
}

/* Why: numbers that go back while we read mean that the log was exchanged under us. */
TEST(event_mark, numbers_that_go_back_end_the_reading_before_the_exchange)
{
    struct host_event event[8];
    struct event_mark_log log = {{1, noon_ms}, {900, noon_ms}, {0, 0}};
    struct event_mark_reading reading;
    event_mark_begin(&reading, "1/0/1", &log, noon_ms, pool, event, 8);
    char xml[XML_BYTES];
    model_xml(&(struct model_row){{2, noon_ms}, 4231, 0, pool}, xml);
    pass(&reading, 800, xml);
    struct event_mark_row row = {{1, noon_ms + 5000}, false, cas_slice_of(xml), NULL};
    EXPECT_FALSE(event_mark_take(&reading, &row));
    char bookmark[REASON_BYTES];
    size_t n = 0;
    event_mark_end(&reading, true, &n, bookmark);
    EXPECT_TEXT_HAS("1/800/", bookmark);
}

TEST(event_mark, only_events_that_mean_something_are_asked_for)
{
    const char *provider = NULL;
    struct cas_why why = {""};
    EXPECT_TRUE(event_mark_asks("Tcpip", 4231));
    EXPECT_TRUE(event_mark_asks("Microsoft-Windows-WAS", 5002));
    EXPECT_FALSE(event_mark_asks("Tcpip", 5002));
    EXPECT_FALSE(event_mark_asks("Tcpip", 4232));
    EXPECT_FALSE(event_mark_asks("", 4231));
    EXPECT_OK(event_mark_provider(4231, &provider, &why), &why);
    EXPECT_TEXT_EQ("Tcpip", provider);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, event_mark_provider(4232, &provider, &why));
    EXPECT_TEXT_EQ("event 4232 is none that means something", why.text);
}

/* Why: a large log takes many readings, and what they looked at must not be looked at again. How:
 * nothing of ours, more of it than a reading takes of ours; the reading is cut. */
TEST(event_mark, others_events_move_the_mark_without_being_counted)
{
    struct host_event event[2];
    struct event_mark_log log = {{1, noon_ms}, {90000, noon_ms}, {0, 0}};
    struct event_mark_reading reading;
    event_mark_begin(&reading, "1/7/1791936000000", &log, noon_ms, pool, event, 2);
    for (uint64_t record = 7; record <= EVENT_MARK_ROWS + 100; record++) {
        struct event_mark_row row = {.at = {record, noon_ms}, .is_others = true};
        EXPECT_TRUE(event_mark_take(&reading, &row));
    }
    char bookmark[REASON_BYTES];
    size_t n = 0;
    event_mark_end(&reading, false, &n, bookmark);
    EXPECT_UINT_EQ(0, n);
    EXPECT_TEXT_EQ("1/4196/1791936000000", bookmark);
}

enum {
    PIDS = 8192
};
static uint8_t told[PIDS]; /* how often the event with this pid was */
static bool may_be_lost[PIDS];

static bool model_lose(const struct model_row *row)
{
    if (row->pid == 0 || told[row->pid] > 0)
        return false;
    may_be_lost[row->pid] = true;
    return true;
}

/* A while of the log's life: writing, sometimes more than it holds, sometimes cleared, with numbers
 * that go on or begin again. True when something unread was lost by it. */
static bool model_live(struct test_dice *dice, uint64_t what, uint32_t *pid)
{
    bool is_lost = false;
    size_t burst = test_below(dice, what == 0 ? 2 * ROWS : 12);
    for (size_t i = 0; i < burst && *pid + 1 < PIDS; i++) {
        if (model.row_n == ROWS)
            is_lost |= model_lose(&model.row[0]);
        if (test_below(dice, 4) == 0)
            model_log(5079, ++*pid);
        else
            model_log(7036, 0);
    }
    if (what != 1 || model.row_n == 0)
        return is_lost;
    for (size_t i = 0; i < model.row_n; i++)
        is_lost |= model_lose(&model.row[i]);
    model_drop(model.row_n);
    if (test_below(dice, 2) == 0)
        model.record = 0;
    model_log(104, 0);
    return is_lost;
}

/* Why: whatever happens to the log and however small the readings, each event is told once, or a
 * loss is. How: random writing, reading, wrapping, clearing (with and without numbers beginning
 * again); every event of ours has its own pid. */
TEST(event_mark, every_event_is_told_once_or_a_loss_is_told)
{
    enum {
        LIVES = 60,
        STEPS = 120
    };
    for (uint64_t seed = 1; seed <= LIVES; seed++) {
        struct test_dice dice = {seed};
        memset(told, 0, sizeof told);
        memset(may_be_lost, 0, sizeof may_be_lost);
        model_begin(test_below(&dice, 1000));
        char bookmark[REASON_BYTES] = "";
        struct host_event event[HOST_EVENTS];
        uint32_t pid = 0;
        uint64_t losses = 0;
        bool is_loss_due = false;
        model_log(7036, 0); /* what was lost before the first reading nobody can know */
        EXPECT_UINT_EQ(0, model_read(bookmark, event, HOST_EVENTS));
        for (int step = 0; step < STEPS; step++) {
            uint64_t what = test_below(&dice, 20);
            is_loss_due |= model_live(&dice, what, &pid);
            size_t cap = 2 + test_below(&dice, HOST_EVENTS - 1);
            size_t n = model_read(bookmark, event, cap > HOST_EVENTS ? HOST_EVENTS : cap);
            for (size_t i = 0; i < n; i++) {
                if (event[i].id == EVENT_EVENTS_LOST) {
                    losses++;
                    is_loss_due = false;
                } else {
                    told[event[i].pid]++;
                }
            }
            EXPECT_FALSE(is_loss_due);
        }
        for (int i = 0; i < 200; i++) {
            size_t n = model_read(bookmark, event, HOST_EVENTS);
            for (size_t j = 0; j < n; j++)
                told[event[j].pid]++;
        }
        for (uint32_t i = 1; i <= pid; i++)
            EXPECT_UINT_EQ(may_be_lost[i] ? 0 : 1, told[i]);
        EXPECT_TRUE(losses > 0 || seed > 1);
    }
}
