#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "proto/base/log.h"

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
