#include "controller/core/simulate.h"

#include "tests/unit/test.h"

enum {
    MINUTE_MS = 60000,
    HOLD_MS = 150000, /* two and a half reports */
    SERVERS = 5
};

enum {
    FRA,
    LON
};

/* LON has four servers, the first two go in waves 1 and 2; FRA's only other one stays. */
static const struct simulate_server farm[SERVERS] = {{LON, 1},
                                                     {LON, 2},
                                                     {LON, 0},
                                                     {LON, 0},
                                                     {FRA, 0}};

static struct simulate_record record_of(const struct simulate_reading *reading, size_t n)
{
    return (struct simulate_record){.server = farm,
                                    .server_n = SERVERS,
                                    .reading = reading,
                                    .reading_n = n,
                                    .hold_ms = HOLD_MS};
}

static size_t play(const struct simulate_record *record,
                   const struct simulate_pace *pace,
                   struct simulate_row ret_row[8],
                   size_t ret_unknown[SERVERS])
{
    size_t n = 0;
    EXPECT_OK(simulate_play(record, pace, 8, ret_row, &n, ret_unknown), NULL);
    return n;
}

/* Why: the answer decides whether a night is safe, so each number is worked out by hand here.
 * How: at minute 0 the servers carry 300, 240, 100 and 130; from minute 2 on the first has 330 and
 * the third 190. Wave 1 lasts minutes 0 to 2, rests until 12, wave 2 lasts until 14.
 *   wave 1, minutes 0 and 1:  300 / 3 = 100 each; most 240 + 100 = 340 on the second
 *           minute 2:         330 / 3 = 110 each; most 240 + 110 = 350 on the second: the worst
 *   wave 2, minute 12:        the second's 240 / 3 = 80 each; most 330 + 80 = 410 on the first */
TEST(simulate, what_moves_is_spread_over_those_that_stay)
{
    static const struct simulate_reading reading[] = {
        {0, 0, 300},
        {0, 2 * MINUTE_MS, 330},
        {0, 12 * MINUTE_MS, 330},
        {1, 0, 240},
        {1, 12 * MINUTE_MS, 240},
        {2, 0, 100},
        {2, 2 * MINUTE_MS, 190},
        {2, 12 * MINUTE_MS, 190},
        {3, 0, 130},
        {3, 12 * MINUTE_MS, 130},
        {4, 0, 9999},
    };
    struct simulate_record record = record_of(reading, CAS_COUNT(reading));
    struct simulate_pace pace = {.wave_ms = 2 * MINUTE_MS,
                                 .rest_ms = 10 * MINUTE_MS,
                                 .step_ms = MINUTE_MS};
    struct simulate_row row[8];
    size_t unknown[SERVERS];
    EXPECT_UINT_EQ(2, play(&record, &pace, row, unknown));

    EXPECT_UINT_EQ(1, row[0].wave);
    EXPECT_UINT_EQ(LON, row[0].group);
    EXPECT_UINT_EQ(1, row[0].out_n);
    EXPECT_UINT_EQ(3, row[0].left_n);
    EXPECT_UINT_EQ(3, row[0].moment_n);
    EXPECT_UINT_EQ(0, row[0].unjudged_n);
    EXPECT_TRUE(row[0].is_known);
    EXPECT_UINT_EQ(1, row[0].server);
    EXPECT_INT_EQ(2 * MINUTE_MS, row[0].at_ms);
    EXPECT_TRUE(row[0].requests == 350 && row[0].was == 240);
    EXPECT_UINT_EQ(3, row[0].part_n);

    EXPECT_INT_EQ(12 * MINUTE_MS, row[1].start_ms);
    EXPECT_INT_EQ(14 * MINUTE_MS, row[1].end_ms);
    EXPECT_UINT_EQ(0, row[1].server);
    EXPECT_INT_EQ(12 * MINUTE_MS, row[1].at_ms);
    EXPECT_TRUE(row[1].requests == 410 && row[1].was == 330);
    for (size_t s = 0; s < SERVERS; s++)
        EXPECT_UINT_EQ(0, unknown[s]);

    const struct simulate_reading *peak[SERVERS];
    simulate_peaks(&record, peak);
    EXPECT_TRUE(peak[LON] != NULL && peak[FRA] != NULL && peak[2] == NULL);
    EXPECT_TRUE(peak[LON]->requests == 330 && peak[LON]->server == 0);
    EXPECT_INT_EQ(2 * MINUTE_MS, peak[LON]->at_ms);
    EXPECT_TRUE(peak[FRA]->requests == 9999);
}

/* Why: two that go out together leave more to fewer. How: both of wave 1, 300 and 240, on two that
 * stay with 100 and 130: 540 / 2 = 270 each, worst 130 + 270 = 400 on the fourth. */
TEST(simulate, servers_of_one_wave_are_out_together)
{
    static const struct simulate_server pair[] = {{LON, 1}, {LON, 1}, {LON, 0}, {LON, 0}};
    static const struct simulate_reading reading[] = {{0, 0, 300},
                                                      {1, 0, 240},
                                                      {2, 0, 100},
                                                      {3, 0, 130}};
    struct simulate_record record = {.server = pair,
                                     .server_n = 4,
                                     .reading = reading,
                                     .reading_n = 4,
                                     .hold_ms = HOLD_MS};
    struct simulate_pace pace = {.wave_ms = MINUTE_MS, .step_ms = MINUTE_MS};
    struct simulate_row row[8];
    size_t unknown[SERVERS];
    EXPECT_UINT_EQ(1, play(&record, &pace, row, unknown));
    EXPECT_UINT_EQ(2, row[0].out_n);
    EXPECT_UINT_EQ(3, row[0].server);
    EXPECT_TRUE(row[0].requests == 400 && row[0].was == 130);
}

/* Why: a number that is made up is worse than none. How: the third has no record at all: the other
 * two that stay take its part, 300 / 2 = 150, worst 240 + 150 = 390. The first's record ends 150 s
 * before minute 4: minutes 0 to 2 are judged (2.5 min is the last instant it counts), 3 and 4 not.
 */
TEST(simulate, what_has_no_record_is_not_guessed)
{
    static const struct simulate_reading reading[] = {{0, 0, 300},
                                                      {1, 0, 240},
                                                      {1, 2 * MINUTE_MS, 240},
                                                      {3, 0, 130},
                                                      {3, 2 * MINUTE_MS, 130}};
    struct simulate_record record = record_of(reading, CAS_COUNT(reading));
    struct simulate_pace pace = {.wave_ms = 4 * MINUTE_MS,
                                 .rest_ms = 60 * MINUTE_MS,
                                 .step_ms = MINUTE_MS};
    struct simulate_row row[8];
    size_t unknown[SERVERS];
    EXPECT_UINT_EQ(2, play(&record, &pace, row, unknown));
    EXPECT_UINT_EQ(5, row[0].moment_n);
    EXPECT_UINT_EQ(2, row[0].unjudged_n);
    EXPECT_TRUE(row[0].is_known && row[0].requests == 390);
    EXPECT_UINT_EQ(2, row[0].part_n);
    EXPECT_UINT_EQ(5, row[1].unjudged_n);
    EXPECT_FALSE(row[1].is_known);
    EXPECT_UINT_EQ(2 + 5, unknown[0]);
    EXPECT_UINT_EQ(0 + 5, unknown[1]);
    EXPECT_UINT_EQ(5 + 5, unknown[2]);
    EXPECT_UINT_EQ(0, unknown[4]); /* its group is in no wave */

    /* One instant at the edge, and one behind it. */
    pace = (struct simulate_pace){.start_ms = HOLD_MS - 1,
                                  .wave_ms = 1,
                                  .rest_ms = MINUTE_MS,
                                  .step_ms = 1};
    EXPECT_UINT_EQ(2, play(&record, &pace, row, unknown));
    EXPECT_UINT_EQ(0, row[0].unjudged_n);
    pace.start_ms++;
    EXPECT_UINT_EQ(2, play(&record, &pace, row, unknown));
    EXPECT_UINT_EQ(1, row[0].unjudged_n);
}

/* Why: a group that goes out whole has nobody to carry it; that is no load of 0. */
TEST(simulate, nobody_left_is_not_a_number)
{
    static const struct simulate_server both[] = {{LON, 1}, {FRA, 1}, {FRA, 0}};
    static const struct simulate_reading reading[] = {{0, 0, 300}, {1, 0, 50}, {2, 0, 60}};
    struct simulate_record record = {.server = both,
                                     .server_n = 3,
                                     .reading = reading,
                                     .reading_n = 3,
                                     .hold_ms = HOLD_MS};
    struct simulate_pace pace = {.wave_ms = MINUTE_MS, .step_ms = MINUTE_MS};
    struct simulate_row row[8];
    size_t unknown[SERVERS], n = 0;
    EXPECT_UINT_EQ(2, play(&record, &pace, row, unknown));
    EXPECT_UINT_EQ(LON, row[0].group);
    EXPECT_UINT_EQ(0, row[0].left_n);
    EXPECT_FALSE(row[0].is_known);
    EXPECT_UINT_EQ(FRA, row[1].group);
    EXPECT_TRUE(row[1].is_known && row[1].requests == 110);
    EXPECT_ERR(CAS_ERR_TOO_MANY, simulate_play(&record, &pace, 1, row, &n, unknown));
}

TEST(simulate, what_is_out_of_order_is_refused)
{
    static const struct simulate_reading late[] = {{0, 10, 1}, {0, 9, 1}};
    static const struct simulate_reading back[] = {{1, 0, 1}, {0, 0, 1}};
    static const struct simulate_reading stranger[] = {{SERVERS, 0, 1}};
    const struct {
        struct simulate_record record;
        struct simulate_pace pace;
    } bad[] = {
        {record_of(late, 2), {.wave_ms = 1, .step_ms = 1}},
        {record_of(back, 2), {.wave_ms = 1, .step_ms = 1}},
        {record_of(stranger, 1), {.wave_ms = 1, .step_ms = 1}},
        {record_of(NULL, 0), {.wave_ms = 0, .step_ms = 1}},
        {record_of(NULL, 0), {.wave_ms = 1, .step_ms = 0}},
        {record_of(NULL, 0), {.wave_ms = 1, .rest_ms = -1, .step_ms = 1}},
    };
    struct simulate_row row[8];
    size_t unknown[SERVERS], n = 0;
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_ERR(CAS_ERR_RANGE, simulate_play(&bad[i].record, &bad[i].pace, 8, row, &n, unknown));
}

/* Why: a big farm is looked at less often, and what is said of it must be what was looked at. How:
 * a wave of 3 minutes; each minute, in between, at both ends, at its begin alone. */
TEST(simulate, a_wave_is_looked_at_as_often_as_told)
{
    static const struct simulate_reading reading[] = {{0, 0, 300},
                                                      {1, 0, 240},
                                                      {1, 2 * MINUTE_MS, 999},
                                                      {1, 3 * MINUTE_MS, 240}};
    static const struct {
        int64_t step_ms;
        size_t moment_n;
        double requests;
    } looks[] = {{MINUTE_MS, 4, 1299},
                 {2 * MINUTE_MS - 1, 3, 540},
                 {3 * MINUTE_MS, 2, 540},
                 {3 * MINUTE_MS + 1, 1, 540}};
    static const struct simulate_server pair[] = {{LON, 1}, {LON, 0}};
    struct simulate_record record = {.server = pair,
                                     .server_n = 2,
                                     .reading = reading,
                                     .reading_n = CAS_COUNT(reading),
                                     .hold_ms = 10 * MINUTE_MS};
    for (size_t i = 0; i < CAS_COUNT(looks); i++) {
        struct simulate_pace pace = {.wave_ms = 3 * MINUTE_MS, .step_ms = looks[i].step_ms};
        struct simulate_row row[8];
        size_t unknown[SERVERS];
        EXPECT_UINT_EQ(1, play(&record, &pace, row, unknown));
        EXPECT_UINT_EQ(looks[i].moment_n, row[0].moment_n);
        EXPECT_INT_EQ((int64_t)looks[i].moment_n, simulate_moments(&pace));
        EXPECT_TRUE(row[0].requests == looks[i].requests);
    }
}

/* Why: servers of a site carry for each other, and those that are out of the farm for nobody. */
TEST(simulate, groups_are_equal_names)
{
    static const char *const name[] = {"LON", NULL, "FRA", "LON", NULL, ""};
    uint32_t group[CAS_COUNT(name)];
    EXPECT_OK(simulate_groups(name, CAS_COUNT(name), group), NULL);
    static const uint32_t expected[] = {2, 3, 1, 2, 4, 0};
    for (size_t i = 0; i < CAS_COUNT(name); i++)
        EXPECT_UINT_EQ(expected[i], group[i]);
}
