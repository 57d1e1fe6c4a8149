#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "controller/store/store_schedule.h"
#include "tests/unit/test.h"

static const struct cas_now noon = {.wall_ms = INT64_C(1800000000000), .mono_ms = 5000};
static const uint8_t leader[CAS_ID_BYTES] = {0xc};
static const int64_t day_ms = INT64_C(24) * 3600 * 1000;

static struct store *open_at(const char *path)
{
    struct store *store = NULL;
    struct cas_why why = {0};
    EXPECT_OK(store_open(path, leader, noon, &store, &why), &why);
    return store;
}

static void commit(struct store *store)
{
    struct cas_why why = {0};
    EXPECT_OK(store_commit(store, &why), &why);
}

static void schedule_make(struct store_schedule *schedule, const char *name, int64_t start_ms)
{
    *schedule = (struct store_schedule){.start_ms = start_ms, .end_ms = start_ms + 1000};
    rollout_wish_default(&schedule->policy, noon);
    schedule->policy.at_once = 2;
    schedule->policy.has_canary = false;
    schedule->policy.ram = PLAN_RAM_KNOWN;
    schedule->policy.is_just_in_time = true;
    schedule->policy.min_age_ms = 5 * day_ms;
    schedule->made_ms = 1700;
    schedule->armed_ms = 1800;
    (void)snprintf(schedule->name, sizeof schedule->name, "%s", name);
    (void)snprintf(schedule->window, sizeof schedule->window, "daily 01:00");
    (void)snprintf(schedule->selector, sizeof schedule->selector, "site=LON");
    (void)snprintf(schedule->policy.by, sizeof schedule->policy.by, "ops.a");
}

/* Why: what a schedule may do when nobody looks must be, after a restart, exactly what was said.
 * How: two are stored, read back from disk, changed, removed. */
TEST(store, a_schedule_survives_as_it_was_said)
{
    const char *path = test_path("a.db");
    struct store *store = open_at(path);
    struct store_schedule late, soon, read[4], first;
    struct cas_why why = {0};
    size_t n = 0;
    bool has = false;
    schedule_make(&late, "zulu", 9000);
    schedule_make(&soon, "alfa", 4000);
    EXPECT_OK(store_schedule_save(store, &late, &why), &why);
    EXPECT_OK(store_schedule_save(store, &soon, &why), &why);
    EXPECT_TRUE(late.id != 0 && soon.id != 0 && late.id != soon.id);
    commit(store);
    store_free(store);

    store = open_at(path);
    EXPECT_OK(store_schedules_read(store, 4, read, &n, &why), &why);
    EXPECT_UINT_EQ(2, n);
    EXPECT_TEXT_EQ("alfa", read[0].name);
    EXPECT_TEXT_EQ("daily 01:00", read[0].window);
    EXPECT_TEXT_EQ("site=LON", read[0].selector);
    EXPECT_TEXT_EQ("ops.a", read[0].policy.by);
    EXPECT_TEXT_EQ(soon.policy.pool, read[0].policy.pool);
    EXPECT_UINT_EQ(2, read[0].policy.at_once);
    EXPECT_FALSE(read[0].policy.has_canary);
    EXPECT_INT_EQ(soon.policy.settle_ms, read[0].policy.settle_ms);
    EXPECT_INT_EQ(PLAN_RAM_KNOWN, read[0].policy.ram);
    EXPECT_TRUE(read[0].policy.is_just_in_time);
    EXPECT_INT_EQ(5 * day_ms, read[0].policy.min_age_ms);
    EXPECT_INT_EQ(1800, read[0].armed_ms);
    EXPECT_OK(store_schedule_first(store, &first, &has, &why), &why);
    EXPECT_TRUE(has && first.id == soon.id);
    soon.is_paused = true;
    EXPECT_OK(store_schedule_save(store, &soon, &why), &why);
    EXPECT_OK(store_schedule_first(store, &first, &has, &why), &why);
    EXPECT_TRUE(has && first.id == late.id);
    EXPECT_OK(store_schedule_remove(store, late.id, &why), &why);
    EXPECT_OK(store_schedule_first(store, &first, &has, &why), &why);
    EXPECT_FALSE(has);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, store_schedule_find(store, "zulu", &first, &why));
    EXPECT_TEXT_HAS("zulu: no such schedule", why.text);
    commit(store);
    struct store_schedule twin;
    schedule_make(&twin, "alfa", 1);
    EXPECT_ERR(CAS_ERR_EXISTS, store_schedule_save(store, &twin, &why));
    store_free(store);
}

/* Why: what became of each window is asked for months later, and must not grow for ever.
 * How: three windows, the last one 401 days after the first. */
TEST(store, what_became_of_windows_is_kept_400_days)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct store_schedule_run run = {.schedule_id = 3, .name = "alfa"}, read[4];
    struct cas_why why = {0};
    size_t n = 0;
    static const int days[] = {0, 1, 400, 401};
    for (size_t i = 0; i < CAS_COUNT(days); i++) {
        run.start_ms = noon.wall_ms + days[i] * day_ms;
        run.seq = i;
        (void)snprintf(run.words, sizeof run.words, "day %d", days[i]);
        EXPECT_OK(store_schedule_run_add(store, &run, &why), &why);
    }
    commit(store);
    EXPECT_OK(store_schedule_runs_read(store, 3, INT64_MAX, 4, read, &n, &why), &why);
    EXPECT_UINT_EQ(3, n);
    EXPECT_TEXT_EQ("day 401", read[0].words);
    EXPECT_TEXT_EQ("day 1", read[2].words);
    /* A clock that is set back: what was skipped after it is yet to come, what began has begun. */
    run.start_ms = noon.wall_ms + 402 * day_ms;
    run.seq = 0;
    EXPECT_OK(store_schedule_run_add(store, &run, &why), &why);
    EXPECT_OK(store_schedule_runs_read(store, 3, run.start_ms - 1, 4, read, &n, &why), &why);
    EXPECT_UINT_EQ(2, n);
    EXPECT_TEXT_EQ("day 401", read[0].words);
    EXPECT_OK(store_schedule_runs_read(store, 3, run.start_ms, 4, read, &n, &why), &why);
    EXPECT_UINT_EQ(3, n);
    EXPECT_OK(store_schedule_runs_read(store, 3, noon.wall_ms, 4, read, &n, &why), &why);
    EXPECT_UINT_EQ(2, n);
    EXPECT_OK(store_schedule_runs_read(store, 4, INT64_MAX, 4, read, &n, &why), &why);
    EXPECT_UINT_EQ(0, n);
}

/* Why: a calendar imported again stands in place of the one before; dates gone by are not asked.
 * How: two calendars, one of them twice; a freeze on and off. */
TEST(store, blackouts_and_freeze_are_the_last_ones_said)
{
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct store_blackout read[4];
    struct store_freeze freeze = {.is_on = true};
    struct cas_why why = {0};
    size_t n = 9;
    int64_t far_ms = noon.wall_ms + 400 * day_ms;
    EXPECT_OK(store_freeze_load(store, &freeze, &why), &why);
    EXPECT_FALSE(freeze.is_on);
    struct window_blackout black[] = {
        {.is_day = true, .from_day = 20270301, .to_day = 20270302, .name = "one"},
        {.start_ms = noon.wall_ms, .end_ms = noon.wall_ms + 1, .name = "two"},
    };
    EXPECT_OK(store_blackouts_replace(store, "a", black, 2, &why), &why);
    EXPECT_OK(store_blackouts_replace(store, "b", black, 1, &why), &why);
    EXPECT_OK(store_blackouts_read(store, noon.wall_ms, far_ms, 4, read, &n, &why), &why);
    EXPECT_UINT_EQ(3, n);
    EXPECT_OK(store_blackouts_replace(store, "a", black + 1, 1, &why), &why);
    EXPECT_OK(store_blackouts_read(store, noon.wall_ms, far_ms, 4, read, &n, &why), &why);
    EXPECT_UINT_EQ(2, n);
    EXPECT_OK(store_blackouts_read(store, noon.wall_ms + 300 * day_ms, far_ms, 4, read, &n, &why),
              &why);
    EXPECT_UINT_EQ(0, n);
    freeze = (struct store_freeze){.is_on = true, .reason = "audit", .by = "ops.a", .at_ms = 7};
    EXPECT_OK(store_freeze_save(store, &freeze, &why), &why);
    freeze = (struct store_freeze){.is_on = false};
    EXPECT_OK(store_freeze_load(store, &freeze, &why), &why);
    EXPECT_TRUE(freeze.is_on && freeze.at_ms == 7);
    EXPECT_TEXT_EQ("audit", freeze.reason);
    commit(store);
}

/* Why: a holiday that is not seen for all the other dates is a recycle on a holiday.
 * How: an hour of each day for twelve years, and a whole day in the midst: what is read is of the
 * time asked about, and what does not fit is an error. */
TEST(store, blackouts_of_a_time_are_all_read_or_refused)
{
    enum {
        SPANS = SCHEDULE_BLACKOUTS + 200
    };
    CAS_AUTO(store) store = open_at(test_path("a.db"));
    struct window_blackout *span = calloc(SPANS, sizeof *span);
    struct store_blackout *read = calloc(SCHEDULE_BLACKOUTS, sizeof *read);
    struct window_blackout holiday = {.is_day = true,
                                      .from_day = 20270301,
                                      .to_day = 20270302,
                                      .name = "holiday"};
    struct cas_why why = {0};
    size_t n = 0;
    int64_t march_ms = 0;
    EXPECT_TRUE(span != NULL && read != NULL);
    EXPECT_OK(cas_parse_utc(cas_slice_of("2027-03-01T01:00Z"), &march_ms, &why), &why);
    for (int64_t i = 0; i < SPANS; i++) {
        span[i].start_ms = march_ms + (i - 30) * day_ms;
        span[i].end_ms = span[i].start_ms + 3600 * 1000;
    }
    EXPECT_OK(store_blackouts_replace(store, "hours", span, SPANS, &why), &why);
    EXPECT_OK(store_blackouts_replace(store, "days", &holiday, 1, &why), &why);
    EXPECT_OK(
        store_blackouts_read(store, march_ms, march_ms + 1, SCHEDULE_BLACKOUTS, read, &n, &why),
        &why);
    EXPECT_UINT_EQ(2, n);
    EXPECT_TEXT_EQ("days", read[1].calendar);
    int64_t end_ms = span[29 + SCHEDULE_BLACKOUTS - 1].start_ms;
    EXPECT_OK(store_blackouts_read(store, march_ms, end_ms, SCHEDULE_BLACKOUTS, read, &n, &why),
              &why);
    EXPECT_UINT_EQ(SCHEDULE_BLACKOUTS, n);
    EXPECT_ERR(
        CAS_ERR_TOO_MANY,
        store_blackouts_read(store, march_ms, end_ms + day_ms, SCHEDULE_BLACKOUTS, read, &n, &why));
    EXPECT_TEXT_HAS("more than 4096 blackout dates at that time", why.text);
    EXPECT_OK(store_blackouts_count(store, "hours", march_ms, &n, &why), &why);
    EXPECT_UINT_EQ(1, n);
    EXPECT_OK(store_blackouts_count(store, "", march_ms, &n, &why), &why);
    EXPECT_UINT_EQ(SPANS - 30 + 1, n);
    free(read);
    free(span);
}

/* Why: where a window opens next, and by which clocks, must survive the controller; what became of
 * it in one site must not stand in place of what became of it in another.
 * How: two sites, one of them given another zone; a schedule whose next window opens in one; two
 * sites' windows at one instant. */
TEST(store, sites_their_zones_and_windows_are_kept_apart)
{
    const char *path = test_path("a.db");
    struct store *store = open_at(path);
    struct window_site site[3];
    struct store_schedule schedule, read;
    struct store_schedule_run run = {.schedule_id = 1, .name = "a", .start_ms = noon.wall_ms};
    struct store_schedule_run runs[4];
    struct cas_why why = {0};
    size_t n = 0;
    const struct window_site said[] = {{"NYC", "America/New_York"},
                                       {"LON", "UTC"},
                                       {"LON", "Europe/London"}};
    for (size_t i = 0; i < CAS_COUNT(said); i++)
        EXPECT_OK(store_site_save(store, &said[i], &why), &why);
    schedule_make(&schedule, "alfa", 4000);
    (void)snprintf(schedule.site, sizeof schedule.site, "LON");
    EXPECT_OK(store_schedule_save(store, &schedule, &why), &why);
    (void)snprintf(schedule.site, sizeof schedule.site, "NYC");
    EXPECT_OK(store_schedule_save(store, &schedule, &why), &why);
    (void)snprintf(run.site, sizeof run.site, "LON");
    EXPECT_OK(store_schedule_run_add(store, &run, &why), &why);
    (void)snprintf(run.site, sizeof run.site, "NYC");
    EXPECT_OK(store_schedule_run_add(store, &run, &why), &why);
    EXPECT_OK(store_schedule_run_add(store, &run, &why), &why);
    commit(store);
    store_free(store);

    store = open_at(path);
    EXPECT_OK(store_sites_read(store, 3, site, &n, &why), &why);
    EXPECT_UINT_EQ(2, n);
    EXPECT_TEXT_EQ("LON", site[0].name);
    EXPECT_TEXT_EQ("Europe/London", site[0].zone);
    EXPECT_TEXT_EQ("NYC", site[1].name);
    EXPECT_OK(store_sites_read(store, 1, site, &n, &why), &why);
    EXPECT_UINT_EQ(1, n);
    EXPECT_OK(store_schedule_find(store, "alfa", &read, &why), &why);
    EXPECT_TEXT_EQ("NYC", read.site);
    EXPECT_OK(store_schedule_runs_read(store, 1, INT64_MAX, 4, runs, &n, &why), &why);
    EXPECT_UINT_EQ(2, n);
    EXPECT_TEXT_EQ("LON", runs[0].site);
    EXPECT_TEXT_EQ("NYC", runs[1].site);
    store_free(store);
}

/* Why: schedules and what became of their windows stay when sites get zones.
 * How: the form of schema 3 is made by hand, with a schedule and one window of it. */
TEST(store, a_database_from_before_sites_is_brought_up)
{
    const char *path = test_path("a.db");
    struct cas_why why = {0};
    struct store *store = open_at(path);
    struct store_schedule schedule, read;
    struct store_schedule_run run[2];
    size_t n = 0;
    schedule_make(&schedule, "alfa", 4000);
    EXPECT_OK(store_schedule_save(store, &schedule, &why), &why);
    commit(store);
    store_free(store);
    struct sqlite3 *db = NULL;
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_open(path, &db));
    EXPECT_INT_EQ(
        SQLITE_OK,
        sqlite3_exec(
            db,
            "DROP TABLE site; DROP TABLE schedule_run; ALTER TABLE schedule DROP COLUMN site;"
            "ALTER TABLE schedule DROP COLUMN ram; ALTER TABLE schedule DROP COLUMN "
            "is_just_in_time; ALTER TABLE schedule DROP COLUMN min_age_ms;"
            "ALTER TABLE schedule DROP COLUMN armed_ms;"
            "CREATE TABLE schedule_run (schedule_id INTEGER NOT NULL, start_ms INTEGER NOT "
            "NULL, end_ms INTEGER NOT NULL, name TEXT NOT NULL, rollout_seq INTEGER NOT NULL,"
            " words TEXT NOT NULL, PRIMARY KEY (schedule_id, start_ms)) STRICT, WITHOUT ROWID;"
            "INSERT INTO schedule_run VALUES (1, 1800000000000, 1800000000001, 'alfa', 7, "
            "'kept'); PRAGMA user_version = 3",
            NULL,
            NULL,
            NULL));
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_close(db));

    store = open_at(path);
    EXPECT_OK(store_schedule_find(store, "alfa", &read, &why), &why);
    EXPECT_TEXT_EQ("", read.site);
    EXPECT_INT_EQ(4000, read.start_ms);
    EXPECT_OK(store_schedule_runs_read(store, schedule.id, INT64_MAX, 2, run, &n, &why), &why);
    EXPECT_UINT_EQ(1, n);
    EXPECT_TEXT_EQ("kept", run[0].words);
    EXPECT_TEXT_EQ("", run[0].site);
    EXPECT_UINT_EQ(7, run[0].seq);
    store_free(store);
}

/* Why: a schedule that was made before its policy had gates must go on as it did.
 * How: the form of schema 4 is made by hand, with a schedule in it. */
TEST(store, a_schedule_from_before_its_gates_goes_on_as_it_did)
{
    const char *path = test_path("a.db");
    struct cas_why why = {0};
    struct store *store = open_at(path);
    struct store_schedule schedule, read;
    schedule_make(&schedule, "alfa", 4000);
    EXPECT_OK(store_schedule_save(store, &schedule, &why), &why);
    commit(store);
    store_free(store);
    struct sqlite3 *db = NULL;
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_open(path, &db));
    EXPECT_INT_EQ(SQLITE_OK,
                  sqlite3_exec(db,
                               "ALTER TABLE schedule DROP COLUMN ram;"
                               "ALTER TABLE schedule DROP COLUMN is_just_in_time;"
                               "ALTER TABLE schedule DROP COLUMN min_age_ms;"
                               "ALTER TABLE schedule DROP COLUMN armed_ms;"
                               "PRAGMA user_version = 4",
                               NULL,
                               NULL,
                               NULL));
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_close(db));

    store = open_at(path);
    EXPECT_OK(store_schedule_find(store, "alfa", &read, &why), &why);
    EXPECT_INT_EQ(PLAN_RAM_FIT, read.policy.ram);
    EXPECT_FALSE(read.policy.is_just_in_time);
    EXPECT_INT_EQ(0, read.policy.min_age_ms);
    EXPECT_INT_EQ(4000, read.start_ms);
    EXPECT_INT_EQ(1700, read.armed_ms); /* known from then on at the least */
    EXPECT_UINT_EQ(2, read.policy.at_once);
    store_free(store);
}

/* Why: an update must take the database of the version before, with all that is in it.
 * How: the form of schema 2 is made by taking away what came after; an audit row stands for the
 * rest. */
TEST(store, a_database_from_before_schedules_is_brought_up)
{
    const char *path = test_path("a.db");
    struct cas_why why = {0};
    struct store *store = open_at(path);
    struct store_audit audit = {.at_ms = 5, .who = "ops.a", .verb = "v", .words = "kept"};
    EXPECT_OK(store_audit_add(store, &audit, &why), &why);
    commit(store);
    store_free(store);
    struct sqlite3 *db = NULL;
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_open(path, &db));
    EXPECT_INT_EQ(SQLITE_OK,
                  sqlite3_exec(db,
                               "DROP TABLE schedule; DROP TABLE schedule_run; DROP TABLE blackout; "
                               "DROP TABLE freeze; DROP TABLE site; PRAGMA user_version = 2",
                               NULL,
                               NULL,
                               NULL));
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_close(db));

    store = open_at(path);
    struct store_schedule schedule, read[2];
    size_t n = 9;
    EXPECT_OK(store_schedules_read(store, 2, read, &n, &why), &why);
    EXPECT_UINT_EQ(0, n);
    schedule_make(&schedule, "alfa", 4000);
    EXPECT_OK(store_schedule_save(store, &schedule, &why), &why);
    commit(store);
    store_free(store);
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_open(path, &db));
    struct sqlite3_stmt *stmt = NULL;
    EXPECT_INT_EQ(
        SQLITE_OK,
        sqlite3_prepare_v2(db, "SELECT count(*) FROM audit WHERE words = 'kept'", -1, &stmt, NULL));
    EXPECT_INT_EQ(SQLITE_ROW, sqlite3_step(stmt));
    EXPECT_INT_EQ(1, sqlite3_column_int(stmt, 0));
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_finalize(stmt));
    EXPECT_INT_EQ(SQLITE_OK, sqlite3_close(db));
}
