#include "tests/unit/test.h"

#include <math.h>
#include <stdio.h>

#include "agent/symptom/symptom.h"

#define POOL "MSExchangeSyncAppPool"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    DAY = 24 * 60 * MINUTE,
    KEPT = 64
};

static struct cas_now at(int64_t mono_ms)
{
    return (struct cas_now){1728953400000 + mono_ms, mono_ms};
}

/* A host that says what a test wants it to. */
struct fake {
    struct host host; /* first */
    enum cas_err err;
    struct host_reading reading[WIRE_READINGS];
    size_t reading_n;
    struct host_event event[HOST_EVENTS];
    size_t event_n;
    struct host_fact fact[HOST_FACTS];
    size_t fact_n;
};

static enum cas_err fake_read(struct host *host,
                              struct cas_now now,
                              const char *pool,
                              struct host_reading *ret_reading,
                              size_t cap,
                              size_t *ret_n,
                              struct cas_why *why)
{
    const struct fake *fake = (const struct fake *)host;
    (void)now;
    (void)pool;
    if (fake->err != CAS_OK)
        return cas_fail(why, fake->err, "the performance library does not answer");
    CAS_ASSERT(fake->reading_n <= cap);
    memcpy(ret_reading, fake->reading, fake->reading_n * sizeof fake->reading[0]);
    *ret_n = fake->reading_n;
    return CAS_OK;
}

static enum cas_err fake_events(struct host *host,
                                struct cas_now now,
                                const char *bookmark,
                                struct host_event *ret_event,
                                size_t cap,
                                size_t *ret_n,
                                char ret_bookmark[REASON_BYTES],
                                struct cas_why *why)
{
    const struct fake *fake = (const struct fake *)host;
    (void)now;
    (void)bookmark;
    (void)why;
    CAS_ASSERT(fake->event_n <= cap);
    memcpy(ret_event, fake->event, fake->event_n * sizeof fake->event[0]);
    *ret_n = fake->event_n;
    memcpy(ret_bookmark, "next", 5);
    return CAS_OK;
}

static enum cas_err fake_facts(struct host *host,
                               struct cas_now now,
                               struct host_fact *ret_fact,
                               size_t cap,
                               size_t *ret_n,
                               struct cas_why *why)
{
    const struct fake *fake = (const struct fake *)host;
    (void)now;
    (void)why;
    CAS_ASSERT(fake->fact_n <= cap);
    memcpy(ret_fact, fake->fact, fake->fact_n * sizeof fake->fact[0]);
    *ret_n = fake->fact_n;
    return CAS_OK;
}

static const struct host_ops fake_ops = {.read = fake_read,
                                         .events = fake_events,
                                         .facts = fake_facts};

/* Keeps what the sampler gives, until it is full. */
struct kept {
    struct {
        enum entry_kind kind;
        int64_t at_ms;
        size_t size;
        char body[WIRE_BODY_BYTES];
    } row[KEPT];
    size_t n;
    size_t cap;
};

static enum cas_err
keep(void *context, enum entry_kind kind, int64_t at_ms, struct cas_slice body, struct cas_why *why)
{
    struct kept *kept = context;
    if (kept->n == kept->cap)
        return cas_fail(why, CAS_ERR_FULL, "no room for another record");
    CAS_ASSERT(body.size <= WIRE_BODY_BYTES);
    kept->row[kept->n].kind = kind;
    kept->row[kept->n].at_ms = at_ms;
    kept->row[kept->n].size = body.size;
    memcpy(kept->row[kept->n].body, body.data, body.size);
    kept->n++;
    return CAS_OK;
}

static void decode(const struct kept *kept,
                   size_t i,
                   enum record_type type,
                   struct cas_arena *arena,
                   void *ret_record)
{
    struct cas_why why = {0};
    EXPECT_TRUE(i < kept->n);
    EXPECT_OK(record_decode(type,
                            (struct cas_slice){kept->row[i].body, kept->row[i].size},
                            arena,
                            ret_record,
                            &why),
              &why);
}

static size_t symptom_n(void)
{
    size_t n = 0;
    for (int i = 1; i < SYMPTOM_END; i++)
        n += symptom_name((enum symptom)i) != NULL ? 1 : 0;
    return n;
}

/* One sample of the fake, decoded. */
static struct record_sample sampled(struct fake *fake, struct kept *kept, struct cas_arena *arena)
{
    struct record_sample sample = {0};
    struct cas_why why = {0};
    bool is_read = false;
    size_t known_n = 0;
    fake->host.ops = &fake_ops;
    kept->n = 0;
    kept->cap = KEPT;
    EXPECT_OK(symptom_sample(&fake->host, at(0), POOL, keep, kept, &is_read, &known_n, &why), &why);
    EXPECT_TRUE(is_read == (fake->err == CAS_OK));
    decode(kept, 0, RECORD_sample, arena, &sample);
    EXPECT_UINT_EQ(symptom_n(), sample.readings_n);
    size_t valued = 0;
    for (size_t i = 0; i < sample.readings_n; i++) {
        EXPECT_TRUE(sample.readings[i].has_value != sample.readings[i].has_reason);
        valued += sample.readings[i].has_value ? 1 : 0;
    }
    EXPECT_UINT_EQ(valued, known_n);
    return sample;
}

static const struct record_reading *find(const struct record_sample *sample, enum symptom symptom)
{
    for (size_t i = 0; i < sample->readings_n; i++) {
        if (sample->readings[i].symptom == (uint64_t)symptom)
            return &sample->readings[i];
    }
    return NULL;
}

static struct cas_arena *arena_new(void)
{
    struct cas_arena *arena = NULL;
    EXPECT_OK(cas_arena_open(WIRE_ARENA_BYTES, &arena), NULL);
    return arena;
}

/* Why: a missing number must never look like a zero.
 * How: two given (one of them doubled), one without a value, all others left out. */
TEST(symptom, every_symptom_has_a_value_or_a_reason)
{
    static struct kept kept;
    static struct fake fake = {
        .reading = {{.symptom = SYMPTOM_close_wait, .is_known = true, .value = 7, .pid = 4120},
                    {.symptom = SYMPTOM_gc_time_pct, .reason = "no counter \"# Gen\""},
                    {.symptom = SYMPTOM_workers},
                    {.symptom = SYMPTOM_close_wait, .is_known = true, .value = 9}},
        .reading_n = 4,
    };
    CAS_AUTO(cas_arena) arena = arena_new();
    struct record_sample sample = sampled(&fake, &kept, arena);
    EXPECT_SLICE_EQ(POOL, sample.pool);
    const struct record_reading *one = find(&sample, SYMPTOM_close_wait);
    EXPECT_NEAR(7, one->value, 0);
    EXPECT_UINT_EQ(4120, one->pid);
    EXPECT_SLICE_EQ("no counter \"# Gen\"", find(&sample, SYMPTOM_gc_time_pct)->reason);
    EXPECT_SLICE_EQ("no reason was given", find(&sample, SYMPTOM_workers)->reason);
    EXPECT_SLICE_EQ("the host does not read it", find(&sample, SYMPTOM_cpu_pct)->reason);
    EXPECT_INT_EQ(ENTRY_SAMPLE, kept.row[0].kind);
    EXPECT_INT_EQ(at(0).wall_ms, kept.row[0].at_ms);
}

/* Why: a hung server is a finding, not a hole in the series. */
TEST(symptom, a_host_that_cannot_be_read_gives_its_reason_for_each_symptom)
{
    static struct kept kept;
    static struct fake fake = {.err = CAS_ERR_UNREACHABLE};
    CAS_AUTO(cas_arena) arena = arena_new();
    struct record_sample sample = sampled(&fake, &kept, arena);
    for (size_t i = 0; i < sample.readings_n; i++)
        EXPECT_SLICE_EQ("the performance library does not answer", sample.readings[i].reason);
}

/* Why: Windows does hand out -1, garbage and more than 100 %; a trend of that is worse than none.
 * How: each unit at its edges. */
TEST(symptom, absurd_values_become_reasons)
{
    static const struct {
        enum symptom symptom;
        double value;
        bool is_absurd;
    } rows[] = {{SYMPTOM_close_wait, 0, false},
                {SYMPTOM_close_wait, -1, true},
                {SYMPTOM_close_wait, 1e9, false},
                {SYMPTOM_close_wait, 1e9 + 1, true},
                {SYMPTOM_private_bytes, 1125899906842624.0, false},
                {SYMPTOM_private_bytes, 1125899906842625.0, true},
                {SYMPTOM_gc_time_pct, 100, false},
                {SYMPTOM_gc_time_pct, 100.5, true},
                {SYMPTOM_requests_per_s, 1e7, false},
                {SYMPTOM_requests_per_s, 1.1e7, true},
                {SYMPTOM_worker_age, 315360000000.0, false},
                {SYMPTOM_worker_age, -5, true}};
    char reason[REASON_BYTES];
    for (size_t i = 0; i < CAS_COUNT(rows); i++)
        EXPECT_TRUE(symptom_is_absurd(rows[i].symptom, rows[i].value, reason) == rows[i].is_absurd);
    EXPECT_TRUE(symptom_is_absurd(SYMPTOM_cpu_pct, (double)NAN, reason));
    EXPECT_TEXT_EQ("not known: what was read is no number", reason);
    EXPECT_TRUE(symptom_is_absurd(SYMPTOM_cpu_pct, (double)-INFINITY, reason));
    EXPECT_TRUE(symptom_is_absurd(SYMPTOM_cpu_pct, -3, reason));
    EXPECT_TEXT_EQ("not known: read -3, possible is 0 to 100 %", reason);

    static struct kept kept;
    static struct fake fake = {.reading_n = 1};
    fake.reading[0] =
        (struct host_reading){.symptom = SYMPTOM_handles, .is_known = true, .value = -1, .pid = 8};
    CAS_AUTO(cas_arena) arena = arena_new();
    struct record_sample sample = sampled(&fake, &kept, arena);
    EXPECT_FALSE(find(&sample, SYMPTOM_handles)->has_value);
    EXPECT_SLICE_EQ("not known: read -1, possible is 0 to 1000000000",
                    find(&sample, SYMPTOM_handles)->reason);
}

/* Why: a sample that does not fit would be lost as a whole, just when all is broken.
 * How: the longest reason for each symptom, in bytes that are no text, a pool of the longest name.
 */
TEST(symptom, the_largest_sample_fits_into_a_record)
{
    static struct kept kept = {.cap = KEPT};
    static struct fake fake;
    fake.host.ops = &fake_ops;
    fake.reading_n = 0;
    for (int i = 1; i < SYMPTOM_END; i++) {
        struct host_reading *reading = &fake.reading[fake.reading_n++];
        *reading = (struct host_reading){.symptom = (enum symptom)i, .pid = UINT32_MAX};
        memset(reading->reason, i % 2 == 0 ? '\xff' : '\n', REASON_BYTES - 1);
    }
    char pool[POOL_BYTES + 1] = "";
    memset(pool, 'p', POOL_BYTES - 1);
    bool is_read = false;
    size_t known_n = 0;
    struct cas_why why = {0};
    EXPECT_OK(symptom_sample(&fake.host, at(0), pool, keep, &kept, &is_read, &known_n, &why), &why);
    CAS_AUTO(cas_arena) arena = arena_new();
    struct record_sample sample;
    decode(&kept, 0, RECORD_sample, arena, &sample);
    EXPECT_UINT_EQ(symptom_n(), sample.readings_n);
    EXPECT_UINT_EQ(REASON_BYTES - 1, sample.readings[0].reason.size);
    pool[POOL_BYTES - 1] = 'p';
    EXPECT_ERR(CAS_ERR_TOO_LONG,
               symptom_sample(&fake.host, at(0), pool, keep, &kept, &is_read, &known_n, NULL));
}

static struct host_event event(int64_t at_ms, uint32_t id, uint32_t pid, const char *text)
{
    struct host_event made = {.at_ms = at_ms, .id = id, .pid = pid, .provider = "Tcpip"};
    struct cas_text to = CAS_TEXT(made.text);
    cas_text_add(&to, "%s", text);
    return made;
}

/* Why: a server without ports logs hundreds of alike events; one line with a count says it all.
 * How: two kinds mixed, one of them with a count of its own, ids as the full 32 bits too. */
TEST(symptom, alike_events_are_told_once_with_their_count)
{
    static struct kept kept = {.cap = KEPT};
    static struct fake fake;
    fake.host.ops = &fake_ops;
    fake.event[0] = event(10, 4227, 0, "first");
    fake.event[1] = event(20, 5013, 4120, "other");
    fake.event[2] = event(30, 4227, 0, "second");
    fake.event[2].count = 5;
    fake.event[3] = event(40, 5013, 4121, "");
    fake.event[4] = event(50, 0x80001083u, 0, "full id");
    fake.event[5] = event(60, 0, 0, "no id");
    fake.event_n = 6;

    struct symptom_plan plan;
    struct symptom_pace pace = symptom_pace_usual();
    symptom_plan_init(&plan, &pace, at(0), 0);
    symptom_plan_done(&plan, symptom_plan_due(&plan, at(0)), at(0));
    char bookmark[REASON_BYTES] = "";
    bool is_more = true;
    struct cas_why why = {0};
    EXPECT_OK(symptom_events(&fake.host, at(0), &plan, keep, &kept, bookmark, &is_more, &why),
              &why);
    EXPECT_FALSE(is_more);
    EXPECT_TEXT_EQ("next", bookmark);
    EXPECT_TRUE((symptom_plan_due(&plan, at(0)) & SYMPTOM_DUE_REPORT) != 0);
    EXPECT_UINT_EQ(4, kept.n);

    CAS_AUTO(cas_arena) arena = arena_new();
    struct record_event told;
    decode(&kept, 0, RECORD_event, arena, &told);
    EXPECT_UINT_EQ(5013, told.id);
    EXPECT_UINT_EQ(4120, told.pid);
    decode(&kept, 1, RECORD_event, arena, &told);
    EXPECT_UINT_EQ(4227, told.id);
    EXPECT_UINT_EQ(6, told.count);
    EXPECT_SLICE_EQ("second", told.text);
    EXPECT_FALSE(told.has_pid);
    EXPECT_INT_EQ(30, kept.row[1].at_ms);
    decode(&kept, 2, RECORD_event, arena, &told);
    EXPECT_FALSE(told.has_text);
    decode(&kept, 3, RECORD_event, arena, &told);
    EXPECT_UINT_EQ(4227, told.id);
}

/* Why: the bookmark is a promise that what is before it is safe. */
TEST(symptom, the_bookmark_stays_when_an_event_could_not_be_kept)
{
    static struct kept kept = {.cap = 1};
    static struct fake fake;
    fake.host.ops = &fake_ops;
    fake.event[0] = event(10, 4227, 0, "");
    fake.event[1] = event(20, 5013, 0, "");
    fake.event_n = 2;
    struct symptom_plan plan = {0};
    char bookmark[REASON_BYTES] = "before";
    bool is_more = false;
    EXPECT_ERR(CAS_ERR_FULL,
               symptom_events(&fake.host, at(0), &plan, keep, &kept, bookmark, &is_more, NULL));
    EXPECT_TEXT_EQ("before", bookmark);
    for (size_t i = 0; i < HOST_EVENTS; i++)
        fake.event[i] = event(10, 4227, 0, "");
    fake.event_n = HOST_EVENTS;
    kept.n = 0;
    EXPECT_OK(symptom_events(&fake.host, at(0), &plan, keep, &kept, bookmark, &is_more, NULL),
              NULL);
    EXPECT_TRUE(is_more);
    EXPECT_TEXT_EQ("next", bookmark);
}

static size_t
facts_told(struct fake *fake, struct symptom_facts *facts, struct kept *kept, int64_t mono_ms)
{
    size_t n = 0;
    struct cas_why why = {0};
    kept->n = 0;
    EXPECT_OK(symptom_facts(&fake->host, at(mono_ms), facts, keep, kept, &n, &why), &why);
    EXPECT_UINT_EQ(n, kept->n);
    return n;
}

/* Why: facts are read often and change rarely; the spool is for news. How: no change, a change, a
 * day gone by, one that cannot be read any more, one that is no longer there. */
TEST(symptom, facts_are_told_when_they_change_and_once_a_day)
{
    static struct kept kept = {.cap = KEPT};
    static struct fake fake;
    static struct symptom_facts facts;
    fake.host.ops = &fake_ops;
    fake.fact[0] = (struct host_fact){"exchange.build", true, "15.1.1466.3", ""};
    fake.fact[1] = (struct host_fact){"os.name", true, "Windows", ""};
    fake.fact_n = 2;
    EXPECT_UINT_EQ(2, facts_told(&fake, &facts, &kept, 0));
    EXPECT_UINT_EQ(0, facts_told(&fake, &facts, &kept, MINUTE));
    memcpy(fake.fact[0].value, "15.1.1591.10", 13);
    EXPECT_UINT_EQ(1, facts_told(&fake, &facts, &kept, 2 * MINUTE));
    CAS_AUTO(cas_arena) arena = arena_new();
    struct record_fact told;
    decode(&kept, 0, RECORD_fact, arena, &told);
    EXPECT_SLICE_EQ("exchange.build", told.key);
    EXPECT_SLICE_EQ("15.1.1591.10", told.value);

    EXPECT_UINT_EQ(0, facts_told(&fake, &facts, &kept, DAY - 1));
    EXPECT_UINT_EQ(1, facts_told(&fake, &facts, &kept, DAY));
    EXPECT_UINT_EQ(1, facts_told(&fake, &facts, &kept, DAY + 2 * MINUTE));
    fake.fact[0].is_known = false;
    memcpy(fake.fact[0].reason, "access denied", 14);
    EXPECT_UINT_EQ(1, facts_told(&fake, &facts, &kept, DAY + 3 * MINUTE));
    decode(&kept, 0, RECORD_fact, arena, &told);
    EXPECT_FALSE(told.has_value);
    EXPECT_SLICE_EQ("access denied", told.reason);
    fake.fact_n = 1;
    EXPECT_UINT_EQ(1, facts_told(&fake, &facts, &kept, DAY + 4 * MINUTE));
    decode(&kept, 0, RECORD_fact, arena, &told);
    EXPECT_SLICE_EQ("os.name", told.key);
    EXPECT_SLICE_EQ("the host no longer gives it", told.reason);
    EXPECT_UINT_EQ(0, facts_told(&fake, &facts, &kept, DAY + 5 * MINUTE));
    fake.fact_n = 2;
    EXPECT_UINT_EQ(1, facts_told(&fake, &facts, &kept, DAY + 6 * MINUTE));
}

/* Why: a full spool must not make a fact count as told. How: room for one of two; then the facts
 * change their names, as many as a host may have. */
TEST(symptom, a_fact_that_could_not_be_kept_is_told_later)
{
    static struct kept kept = {.cap = 1};
    static struct fake fake;
    static struct symptom_facts facts;
    fake.host.ops = &fake_ops;
    fake.fact[0] = (struct host_fact){"one", true, "1", ""};
    fake.fact[1] = (struct host_fact){"two", true, "2", ""};
    fake.fact_n = 2;
    size_t n = 0;
    EXPECT_ERR(CAS_ERR_FULL, symptom_facts(&fake.host, at(0), &facts, keep, &kept, &n, NULL));
    kept.cap = KEPT;
    EXPECT_UINT_EQ(1, facts_told(&fake, &facts, &kept, 0));
    for (size_t i = 0; i < HOST_FACTS; i++) {
        struct cas_text key = CAS_TEXT(fake.fact[i].key);
        cas_text_clear(&key);
        cas_text_add(&key, "key-%zu", i);
        fake.fact[i].is_known = true;
    }
    fake.fact_n = HOST_FACTS;
    EXPECT_UINT_EQ(HOST_FACTS, facts_told(&fake, &facts, &kept, 1));
    EXPECT_UINT_EQ(2, facts_told(&fake, &facts, &kept, 2));
    EXPECT_UINT_EQ(0, facts_told(&fake, &facts, &kept, 3));
}

/* Why: 15 s and 60 s are what the forecast counts on; late wake-ups must not shift them.
 * How: a phase of 4 s; the loop sleeps too long once. */
TEST(symptom, samples_and_reports_keep_their_grid)
{
    struct symptom_plan plan;
    struct symptom_pace pace = symptom_pace_usual();
    symptom_plan_init(&plan, &pace, at(100000), 4000);
    EXPECT_UINT_EQ(SYMPTOM_DUE_SAMPLE | SYMPTOM_DUE_EVENTS | SYMPTOM_DUE_FACTS | SYMPTOM_DUE_REPORT,
                   symptom_plan_due(&plan, at(100000)));
    EXPECT_INT_EQ(0, symptom_plan_wait_ms(&plan, at(100000)));
    symptom_plan_done(&plan, symptom_plan_due(&plan, at(100000)), at(100000));
    EXPECT_UINT_EQ(0, symptom_plan_due(&plan, at(100000)));
    EXPECT_INT_EQ(1000, symptom_plan_wait_ms(&plan, at(100000)));
    EXPECT_UINT_EQ(0, symptom_plan_due(&plan, at(100999)));
    EXPECT_UINT_EQ(SYMPTOM_DUE_EVENTS, symptom_plan_due(&plan, at(101000)));
    EXPECT_UINT_EQ(SYMPTOM_DUE_EVENTS, symptom_plan_due(&plan, at(110999)));
    EXPECT_UINT_EQ(SYMPTOM_DUE_EVENTS | SYMPTOM_DUE_SAMPLE, symptom_plan_due(&plan, at(111000)));
    EXPECT_FALSE((symptom_plan_due(&plan, at(155999)) & SYMPTOM_DUE_REPORT) != 0);
    EXPECT_TRUE((symptom_plan_due(&plan, at(156000)) & SYMPTOM_DUE_REPORT) != 0);

    symptom_plan_done(&plan, SYMPTOM_DUE_SAMPLE, at(150000));
    EXPECT_FALSE((symptom_plan_due(&plan, at(155999)) & SYMPTOM_DUE_SAMPLE) != 0);
    EXPECT_TRUE((symptom_plan_due(&plan, at(156000)) & SYMPTOM_DUE_SAMPLE) != 0);
}

/* Why: a fault in a pace must not make the agent spin. */
TEST(symptom, a_pace_is_held_within_its_bounds)
{
    struct symptom_plan plan;
    struct symptom_pace pace = {0, -5, INT64_MAX, 999};
    symptom_plan_init(&plan, &pace, at(0), UINT64_MAX);
    EXPECT_INT_EQ(1000, plan.pace.sample_ms);
    EXPECT_INT_EQ(1000, plan.pace.events_ms);
    EXPECT_INT_EQ(86400000, plan.pace.facts_ms);
    EXPECT_INT_EQ(1000, plan.pace.report_ms);
}

static bool is_told(struct symptom_plan *plan, const struct host_pool *pool)
{
    bool is_changed = symptom_plan_pool(plan, pool);
    unsigned due = symptom_plan_due(plan, at(0));
    bool is_due = (due & SYMPTOM_DUE_SAMPLE) != 0 && (due & SYMPTOM_DUE_REPORT) != 0;
    EXPECT_TRUE(is_changed == is_due);
    symptom_plan_done(plan, due, at(0));
    return is_changed;
}

/* Why: the operator watching a recycle waits for exactly these changes.
 * How: each of them alone; what changes all the time (requests, probes) is none. */
TEST(symptom, a_change_of_state_is_reported_at_once)
{
    struct symptom_plan plan;
    struct symptom_pace pace = symptom_pace_usual();
    symptom_plan_init(&plan, &pace, at(0), 0);
    symptom_plan_done(&plan, symptom_plan_due(&plan, at(0)), at(0));
    struct host_pool pool = {.health = HEALTH_GOOD, .worker = {{4120, 5}}, .worker_n = 1};
    EXPECT_TRUE(is_told(&plan, &pool));
    EXPECT_FALSE(is_told(&plan, &pool));
    pool.active_requests = 12;
    pool.probe_seq = 9;
    EXPECT_FALSE(is_told(&plan, &pool));
    pool.health = HEALTH_BAD;
    EXPECT_TRUE(is_told(&plan, &pool));
    pool.is_drained = true;
    EXPECT_TRUE(is_told(&plan, &pool));
    pool.worker[1] = (struct host_worker){7788, 6};
    pool.worker_n = 2;
    EXPECT_TRUE(is_told(&plan, &pool));
    pool.worker[0] = pool.worker[1];
    pool.worker_n = 1;
    EXPECT_FALSE(is_told(&plan, &pool));
    pool.worker[0].start_ms = 7; /* a PID may come again */
    EXPECT_TRUE(is_told(&plan, &pool));
    memcpy(pool.maintenance, "HubTransport by Sidelined", 26);
    EXPECT_TRUE(is_told(&plan, &pool));
    pool.worker_n = 0;
    EXPECT_TRUE(is_told(&plan, &pool));

    EXPECT_FALSE(symptom_plan_event(&plan, 5079));
    EXPECT_TRUE(symptom_plan_event(&plan, 4231));
    EXPECT_UINT_EQ(SYMPTOM_DUE_REPORT, symptom_plan_due(&plan, at(0)));
    symptom_plan_done(&plan, SYMPTOM_DUE_REPORT, at(0));
    EXPECT_TRUE(symptom_plan_event(&plan, 4227));
    EXPECT_UINT_EQ(SYMPTOM_DUE_REPORT, symptom_plan_due(&plan, at(0)));
}

/* Why: the agent runs on a server that is short of everything; a cycle has 300 us.
 * How: the modelled server, 1000 cycles of sample, events and probe; the figure is printed, since a
 * test must not depend on how busy its machine is. */
TEST(symptom, a_cycle_on_the_modelled_server_is_whole_and_its_cost_is_printed)
{
    static struct kept kept = {.cap = KEPT};
    struct host_sim_settings settings;
    host_sim_settings_init(&settings);
    settings.worker_age_ms = 21 * (int64_t)DAY;
    struct cas_why why = {0};
    struct host *made = NULL;
    EXPECT_OK(host_sim_open(&settings, at(0), &made, &why), &why);
    CAS_AUTO(host) host = made;
    struct symptom_plan plan = {0};
    char bookmark[REASON_BYTES] = "";
    size_t known_n = 0;
    int64_t before_us = clock_cpu_us();
    for (int64_t i = 0; i < 1000; i++) {
        struct cas_now now = at(i * SAMPLE_MS);
        bool is_read = false;
        bool is_more = true;
        struct host_pool pool;
        EXPECT_OK(host->ops->pool(host, now, POOL, &pool, &why), &why);
        while (is_more) {
            kept.n = 0;
            EXPECT_OK(symptom_events(host, now, &plan, keep, &kept, bookmark, &is_more, &why),
                      &why);
        }
        kept.n = 0;
        EXPECT_OK(symptom_sample(host, now, POOL, keep, &kept, &is_read, &known_n, &why), &why);
    }
    int64_t spent_us = clock_cpu_us() - before_us;
    (void)printf("a sampling cycle takes %.1f us of CPU (aim: 300)\n", (double)spent_us / 1000);
    EXPECT_UINT_EQ(symptom_n(), known_n);
}
