#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/base/file.h"
#include "proto/base/log_source.h"

enum {
    LINES = 200
};

struct stage {
    struct cas_now now;
    size_t line_n;
    char line[LINES][LOG_LINE_BYTES];
};
static struct stage stage;

static struct cas_now stage_now(void *arg)
{
    return ((struct stage *)arg)->now;
}

static void stage_line(void *arg, enum event event, const char *text)
{
    struct stage *here = arg;
    (void)event;
    CAS_ASSERT(here->line_n < LINES);
    (void)snprintf(here->line[here->line_n++], LOG_LINE_BYTES, "%s", text);
}

static void stage_begin(void)
{
    static const struct log_stage hooks = {stage_now, stage_line, &stage};
    stage = (struct stage){.now = {1791936005250, 5000}};
    log_set_stage(&hooks);
    log_set_level(LOG_INFO);
}

static void stage_pass(int64_t ms)
{
    stage.now.wall_ms += ms;
    stage.now.mono_ms += ms;
    log_tick();
}

TEST(log, a_line_has_time_level_event_and_facts)
{
    stage_begin();
    log_event(EVENT_ROLLOUT_HALTED, "id=%s failed=%d limit=%d", "r-0412", 1, 1);
    EXPECT_INT_EQ(1, stage.line_n);
    EXPECT_TEXT_EQ("2026-10-14T00:00:05.250Z error rollout_halted id=r-0412 failed=1 limit=1",
                   stage.line[0]);
}

/* Why: names and reasons come from peers; a forged second line in the log would be taken for ours.
 */
TEST(log, control_bytes_cannot_forge_a_line)
{
    stage_begin();
    log_event(EVENT_ASK_REFUSED,
              "by=%s",
              "x\n2026 info start\x1b[2J\x7f \xc3\xa4 \xe2\x82\xac \xff");
    EXPECT_TEXT_HAS("by=x\\x0a2026 info start\\x1b[2J\\x7f \xc3\xa4 \xe2\x82\xac \\xff",
                    stage.line[0]);
}

TEST(log, a_long_line_is_cut_and_shows_it)
{
    stage_begin();
    char text[2 * LOG_LINE_BYTES];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    log_event(EVENT_START, "%s", text);
    EXPECT_UINT_EQ(LOG_LINE_BYTES - 1, strlen(stage.line[0]));
    EXPECT_TEXT_EQ("aaa...", stage.line[0] + LOG_LINE_BYTES - 7);
}

TEST(log, the_level_decides_what_is_written)
{
    stage_begin();
    log_set_level(LOG_WARN);
    log_event(EVENT_START, "quiet");
    log_event(EVENT_DISCONNECTED, "seen");
    log_event(EVENT_REFUSED, "seen too");
    EXPECT_INT_EQ(2, stage.line_n);
    log_set_level(LOG_DEBUG);
    log_event(EVENT_START, "seen now");
    EXPECT_INT_EQ(3, stage.line_n);
    enum log_level level = LOG_ERROR;
    EXPECT_OK(log_level_from(cas_slice_of("debug"), &level), NULL);
    EXPECT_INT_EQ(LOG_DEBUG, level);
    EXPECT_ERR(CAS_ERR_FORMAT, log_level_from(cas_slice_of("loud"), &level));
}

/* Why: a garbage flood on the port must not fill the disk, and the rest must still be told.
 * How: LOG_BURST lines pass at once, the next is counted; other events are not touched. */
TEST(log, a_burst_passes_and_the_next_line_is_counted)
{
    stage_begin();
    for (int i = 0; i < LOG_BURST; i++)
        log_event(EVENT_PEER_REFUSED, "n=%d", i);
    EXPECT_INT_EQ(LOG_BURST, stage.line_n);
    log_event(EVENT_PEER_REFUSED, "n=%d", LOG_BURST);
    EXPECT_INT_EQ(LOG_BURST, stage.line_n);
    log_event(EVENT_AGENT_UP, "name=LON-CAS01");
    EXPECT_INT_EQ(LOG_BURST + 1, stage.line_n);
    stage_pass(LOG_SUMMARY_MS - 1);
    EXPECT_INT_EQ(LOG_BURST + 1, stage.line_n);
    stage_pass(1);
    EXPECT_INT_EQ(LOG_BURST + 2, stage.line_n);
    EXPECT_TEXT_EQ("2026-10-14T00:00:15.250Z warn peer_refused and 1 more in 10 s",
                   stage.line[LOG_BURST + 1]);
}

/* How: 100 a second for 100 s; 9,999 are told one by one or in a sum, in at most one line a second.
 */
TEST(log, a_flood_is_told_in_one_line_a_second)
{
    stage_begin();
    for (int i = 0; i < 10000; i++) {
        log_event(EVENT_PEER_REFUSED, "n=%d", i);
        stage_pass(10);
    }
    EXPECT_TRUE(stage.line_n <= LOG_BURST + 100);
    log_close();
    int64_t told = 0;
    for (size_t i = 0; i < stage.line_n; i++) {
        const char *more = strstr(stage.line[i], "and ");
        told += more != NULL ? strtoll(more + 4, NULL, 10) : 1;
    }
    EXPECT_INT_EQ(10000, told);
}

TEST(log, a_clock_that_jumps_back_does_not_stop_the_log)
{
    stage_begin();
    log_event(EVENT_START, "first");
    stage.now = (struct cas_now){-1791936005250, -1000000};
    log_event(EVENT_START, "second");
    EXPECT_INT_EQ(2, stage.line_n);
}

TEST(log, a_file_is_appended_to)
{
    log_set_stage(NULL);
    const char *path = test_path("agent.log");
    for (int i = 0; i < 2; i++) {
        EXPECT_OK(log_open(path, NULL), NULL);
        log_event(EVENT_START, "n=%d", i);
        log_close();
        log_set_stage(NULL);
    }
    char *text = test_read(path, NULL);
    EXPECT_TEXT_HAS(" info start n=0\n", text);
    EXPECT_TEXT_HAS(" info start n=1\n", text);
    free(text);
    struct cas_why why = {""};
    EXPECT_ERR(CAS_ERR_IO, log_open(test_path("none/agent.log"), &why));
    EXPECT_TEXT_HAS("none/agent.log: cannot open", why.text);
}

/* ---- files ---- */

/* One line of exactly so many bytes in the file, with its end. */
static void log_line_of(size_t bytes)
{
    static char words[LOG_LINE_BYTES];
    size_t head = strlen("2026-10-14T00:00:05.250Z info start ");
    CAS_ASSERT(bytes > head && bytes < LOG_LINE_BYTES);
    memset(words, 'x', sizeof words);
    words[bytes - head - 1] = '\0';
    log_set_stage(NULL); /* the gates are not what is tested */
    log_event(EVENT_START, "%s", words);
}

static size_t size_of(const char *path)
{
    size_t size = 0;
    free(test_read(path, &size));
    return size;
}

static const char *rotated(const char *path, unsigned n)
{
    static char data[FILE_PATH_BYTES];
    struct cas_text text = CAS_TEXT(data);
    cas_text_clear(&text);
    cas_text_add(&text, "%s.%u", path, n);
    return data;
}

TEST(log, a_file_holds_its_limit_to_the_byte_and_then_becomes_number_one)
{
    const char *path = test_path("agent.log");
    log_set_limits(2000, 2);
    EXPECT_OK(log_open(path, NULL), NULL);
    log_line_of(1000);
    log_line_of(1000);
    EXPECT_UINT_EQ(2000, size_of(path));
    EXPECT_FALSE(file_exists(rotated(path, 1)));
    log_line_of(100);
    EXPECT_UINT_EQ(100, size_of(path));
    EXPECT_UINT_EQ(2000, size_of(rotated(path, 1)));
    log_line_of(1000);
    log_line_of(901); /* one byte too many */
    EXPECT_UINT_EQ(901, size_of(path));
    EXPECT_UINT_EQ(1100, size_of(rotated(path, 1)));
    EXPECT_UINT_EQ(2000, size_of(rotated(path, 2)));
    log_close();
}

TEST(log, the_oldest_file_goes_and_none_beyond_the_number_is_made)
{
    const char *path = test_path("agent.log");
    log_set_limits(1500, 3);
    EXPECT_OK(log_open(path, NULL), NULL);
    for (size_t i = 0; i < 7; i++)
        log_line_of(1000 + i);
    log_close();
    EXPECT_UINT_EQ(1006, size_of(path));
    for (unsigned n = 1; n <= 3; n++)
        EXPECT_UINT_EQ(1006 - n, size_of(rotated(path, n)));
    EXPECT_FALSE(file_exists(rotated(path, 4)));
}

/* Why: a file that was large before the program started counts, or it would never end. */
TEST(log, what_a_file_held_before_counts)
{
    const char *path = test_path("agent.log");
    static char old[3000];
    memset(old, '\n', sizeof old);
    test_write(path, old, sizeof old);
    log_set_limits(2000, 2);
    EXPECT_OK(log_open(path, NULL), NULL);
    log_line_of(100);
    log_close();
    EXPECT_UINT_EQ(100, size_of(path));
    EXPECT_UINT_EQ(3000, size_of(rotated(path, 1)));
}

/* Why: a missing right, or a viewer that holds the old file, must cost no line and no end of the
 * program. How: a folder that is not empty stands where the old file is to go; then it goes. */
TEST(log, a_file_that_cannot_be_renamed_grows_on_and_says_so)
{
    const char *path = test_path("agent.log");
    EXPECT_OK(file_folder(rotated(path, 1), NULL), NULL);
    test_write(test_path("agent.log.1/in-the-way"), "x", 1);
    log_set_limits(32000, 1);
    EXPECT_OK(log_open(path, NULL), NULL);
    for (size_t i = 0; i < 33; i++)
        log_line_of(990);
    log_line_of(500);
    char *text = test_read(path, NULL);
    const char *told = strstr(text, " warn log_kept ");
    EXPECT_NOT_NULL(told);
    EXPECT_TEXT_HAS("agent.log: cannot rename", told);
    EXPECT_NULL(strstr(told + 1, " warn log_kept ")); /* a sixteenth is not full yet */
    free(text);
    for (size_t i = 0; i < 3; i++)
        log_line_of(990);
    text = test_read(path, NULL);
    told = strstr(text, " warn log_kept ");
    EXPECT_NOT_NULL(strstr(told + 1, " warn log_kept "));
    EXPECT_TRUE(strlen(text) > 36 * 990);
    free(text);
    EXPECT_INT_EQ(0, remove(test_path("agent.log.1/in-the-way")));
    EXPECT_INT_EQ(0, remove(rotated(path, 1)));
    for (size_t i = 0; i < 3; i++)
        log_line_of(990);
    log_close();
    EXPECT_TRUE(size_of(rotated(path, 1)) > 36 * 990);
    EXPECT_TRUE(size_of(path) <= 3 * 990);
}

TEST(log, a_file_moved_away_by_others_is_begun_anew)
{
    const char *path = test_path("agent.log");
    log_set_limits(1500, 2);
    EXPECT_OK(log_open(path, NULL), NULL);
    log_line_of(1000);
    EXPECT_OK(file_rename(path, test_path("taken"), NULL), NULL);
    log_line_of(1000);
    log_close();
    EXPECT_UINT_EQ(1000, size_of(path));
    EXPECT_UINT_EQ(1000, size_of(test_path("taken")));
    EXPECT_FALSE(file_exists(rotated(path, 1)));
}

/* ---- the system's own log ---- */

/* Why: the viewer finds an event's text by the whole id; a row without its text is shown as an
 * error of the viewer. How: the message table is made of events.def as for the Windows program. */
TEST(log, every_event_has_its_text_in_the_message_table)
{
    static const char *const severity[] = {"Error", "Warning", "Informational", "Informational"};
    static const uint32_t bits[] = {3, 2, 1, 1};
    char *table = test_read(CASFLEET_EVENTS_MC, NULL);
    size_t row_n = 0;
    size_t text_n = 0;
    const struct log_event_row *rows = log_event_rows(&row_n);
    for (size_t i = 0; i < row_n; i++) {
        char head[256];
        struct cas_text text = CAS_TEXT(head);
        cas_text_clear(&text);
        cas_text_add(&text,
                     "\nMessageId=%d\r\nSeverity=%s\r\nFacility=None\r\nSymbolicName=EVENT_%s\r\n",
                     (int)rows[i].event,
                     severity[rows[i].level],
                     rows[i].name);
        const char *at = strstr(table, head);
        if (at == NULL)
            test_fail(TEST_PLACE(head), "no message for event %d", (int)rows[i].event);
        const char *end = strstr(at, "\r\n.\r\n");
        EXPECT_NOT_NULL(end);
        EXPECT_TRUE(strstr(at, "%1") < end && strstr(at, rows[i].remedy) < end);
        EXPECT_TRUE(strstr(at, rows[i].meaning + 1) < end); /* its first letter is a capital */
        EXPECT_UINT_EQ((uint32_t)rows[i].event, log_source_id(&rows[i]) & 0xffffu);
        EXPECT_UINT_EQ(bits[rows[i].level], log_source_id(&rows[i]) >> 30);
        EXPECT_UINT_EQ(0, log_source_id(&rows[i]) >> 16 & 0x3fffu);
    }
    for (const char *at = table; (at = strstr(at, "MessageId=")) != NULL; at++)
        text_n++;
    EXPECT_UINT_EQ(row_n, text_n);
    free(table);
}

TEST(log, the_systems_log_gets_errors_warnings_start_and_stop)
{
    size_t row_n = 0;
    const struct log_event_row *rows = log_event_rows(&row_n);
    for (size_t i = 0; i < row_n; i++) {
        bool is_wanted = rows[i].level == LOG_ERROR || rows[i].level == LOG_WARN ||
                         rows[i].event == EVENT_START || rows[i].event == EVENT_STOP;
        EXPECT_TRUE(log_source_is_wanted(&rows[i]) == is_wanted);
    }
}

/* Why: the number is the id in the Windows Event Log and people filter by it. */
TEST(log, event_numbers_are_used_once_and_every_event_says_what_to_do)
{
    size_t row_n = 0;
    const struct log_event_row *rows = log_event_rows(&row_n);
    for (size_t i = 0; i < row_n; i++) {
        EXPECT_TRUE(rows[i].event > 0 && (int)rows[i].event <= 65535);
        EXPECT_TRUE(rows[i].meaning[0] != '\0');
        EXPECT_TRUE(rows[i].remedy[0] != '\0');
        EXPECT_FALSE(rows[i].level == LOG_ERROR && strcmp(rows[i].remedy, "nothing") == 0);
        for (size_t j = 0; j < i; j++)
            EXPECT_TRUE(rows[i].event != rows[j].event);
    }
}
