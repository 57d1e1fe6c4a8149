#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/host/host.h"
#include "tests/unit/test_child.h"

/* A modelled server on a virtual clock that starts on Tuesday 15 October 2024, 00:50 UTC. */

#define POOL "MSExchangeSyncAppPool"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    DAY = 24 * HOUR,
    KILLED = 256 + 9
};

static const int64_t start_ms = 1728953400000;
static const uint8_t command[CAS_ID_BYTES] = {0x8c, 0x1e, 7};

static struct cas_now at(int64_t span_ms)
{
    return (struct cas_now){start_ms + span_ms, 5000 + span_ms};
}

static struct host_sim_settings leaking(void)
{
    struct host_sim_settings settings;
    host_sim_settings_init(&settings);
    settings.leak_per_day = 240;
    settings.worker_age_ms = 10 * (int64_t)DAY;
    return settings;
}

static struct host *opened(const struct host_sim_settings *settings, struct cas_now now)
{
    struct host *host = NULL;
    struct cas_why why = {0};
    EXPECT_OK(host_sim_open(settings, now, &host, &why), &why);
    return host;
}

static double value_of(struct host *host, struct cas_now now, enum symptom symptom)
{
    struct host_reading reading[WIRE_READINGS];
    struct cas_why why = {0};
    size_t n = 0;
    EXPECT_OK(host->ops->read(host, now, POOL, reading, WIRE_READINGS, &n, &why), &why);
    for (size_t i = 0; i < n; i++) {
        if (reading[i].symptom == symptom && reading[i].is_known)
            return reading[i].value;
    }
    test_fail(TEST_PLACE("value_of"), "%s has no value", symptom_name(symptom));
}

static struct host_pool pool_of(struct host *host, struct cas_now now)
{
    struct host_pool pool = {0};
    struct cas_why why = {0};
    EXPECT_OK(host->ops->pool(host, now, POOL, &pool, &why), &why);
    return pool;
}

static uint32_t newest(const struct host_pool *pool)
{
    return pool->worker[pool->worker_n - 1].pid;
}

static void begin(struct host *host, struct cas_now now, enum verb verb)
{
    struct cas_why why = {0};
    EXPECT_OK(host->ops->begin(host, now, verb, POOL, command, 30 * SECOND, &why), &why);
}

static struct host_act polled(struct host *host, struct cas_now now)
{
    struct host_act act = {0};
    struct cas_why why = {0};
    EXPECT_OK(host->ops->poll(host, now, &act, &why), &why);
    return act;
}

static size_t kinds(const struct host *host, enum host_sim_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < host_sim_effect_n(host); i++)
        n += host_sim_effect(host, i)->kind == kind ? 1 : 0;
    return n;
}

/* Why: the slope of stranded requests is what the fleet is watched for, and a recycle is its cure.
 * How: 240 a day are 10 an hour; a request counts once it is older than 59 minutes. */
TEST(sim, stranded_pings_pile_up_at_their_rate_and_a_recycle_ends_them)
{
    struct host_sim_settings settings = leaking();
    CAS_AUTO(host) host = opened(&settings, at(0));
    EXPECT_NEAR(2400, value_of(host, at(59 * MINUTE), SYMPTOM_stranded_requests), 1);
    EXPECT_NEAR(2640, value_of(host, at(DAY + 59 * MINUTE), SYMPTOM_stranded_requests), 1);
    double close_wait = value_of(host, at(DAY + 59 * MINUTE), SYMPTOM_close_wait);
    double memory = value_of(host, at(DAY + 59 * MINUTE), SYMPTOM_private_bytes);
    EXPECT_TRUE(close_wait >= 4 * 2640);

    int64_t then = DAY + 60 * MINUTE;
    begin(host, at(then), VERB_recycle);
    EXPECT_NEAR(0, value_of(host, at(then + SECOND), SYMPTOM_stranded_requests), 0);
    EXPECT_NEAR(0, value_of(host, at(then + 5 * MINUTE), SYMPTOM_stranded_requests), 0);
    EXPECT_TRUE(value_of(host, at(then + 5 * MINUTE), SYMPTOM_close_wait) < 20);
    EXPECT_TRUE(value_of(host, at(then + 5 * MINUTE), SYMPTOM_private_bytes) < memory / 2);
}

/* Why: two workers need memory for two; a proof has to name the new one.
 * How: the old worker holds stranded Pings, so it lives until its time limit, not a ms longer. */
TEST(sim, a_recycle_overlaps_two_workers_for_ninety_seconds)
{
    struct host_sim_settings settings = leaking();
    CAS_AUTO(host) host = opened(&settings, at(0));
    struct host_pool before = pool_of(host, at(0));
    EXPECT_UINT_EQ(1, before.worker_n);

    begin(host, at(MINUTE), VERB_recycle);
    struct host_pool during = pool_of(host, at(MINUTE + 89999));
    EXPECT_UINT_EQ(2, during.worker_n);
    EXPECT_UINT_EQ(newest(&before), during.worker[0].pid);
    EXPECT_TRUE(during.worker[1].pid != during.worker[0].pid);
    EXPECT_INT_EQ(start_ms + MINUTE + 1, during.worker[1].start_ms); /* after the call */
    EXPECT_TRUE(during.worker[1].start_ms > during.worker[0].start_ms);
    EXPECT_NEAR(2, value_of(host, at(MINUTE + 89999), SYMPTOM_workers), 0);

    struct host_pool after = pool_of(host, at(MINUTE + 90000));
    EXPECT_UINT_EQ(1, after.worker_n);
    EXPECT_UINT_EQ(newest(&during), newest(&after));
}

/* Why: the gap between two servers is over when requests are back; a recycle at once means a storm.
 * How: the same night before and after; no stranded ones are counted in. */
TEST(sim, devices_come_back_in_a_storm_within_three_minutes)
{
    struct host_sim_settings settings = leaking();
    settings.leak_per_day = 0;
    CAS_AUTO(host) host = opened(&settings, at(0));
    double usual = value_of(host, at(0), SYMPTOM_active_requests);
    double usual_rate = value_of(host, at(SECOND), SYMPTOM_requests_per_s);
    double usual_cpu = value_of(host, at(SECOND), SYMPTOM_cpu_pct);

    begin(host, at(MINUTE), VERB_recycle);
    EXPECT_NEAR(0, pool_of(host, at(MINUTE)).active_requests, 0);
    EXPECT_TRUE(pool_of(host, at(MINUTE + 10 * SECOND)).active_requests < 0.5 * usual);
    EXPECT_TRUE(value_of(host, at(MINUTE + 5 * SECOND), SYMPTOM_requests_per_s) > 5 * usual_rate);
    EXPECT_TRUE(value_of(host, at(MINUTE + 5 * SECOND), SYMPTOM_cpu_pct) > usual_cpu + 10);

    int64_t settled = MINUTE + 3 * MINUTE;
    EXPECT_NEAR(usual, pool_of(host, at(settled)).active_requests, 0.05 * usual);
    EXPECT_TRUE(value_of(host, at(settled), SYMPTOM_requests_per_s) < 1.5 * usual_rate);
}

/* Why: a trend that does not know the rhythm of the day and week takes every Monday for a leak. */
TEST(sim, work_has_its_peak_by_day_and_rests_at_the_weekend)
{
    struct host_sim_settings settings = leaking();
    settings.leak_per_day = 0;
    CAS_AUTO(host) host = opened(&settings, at(0));
    int64_t midnight = -50 * MINUTE;
    (void)value_of(host, at(0), SYMPTOM_workers); /* rates need two samples */
    double best = 0;
    int64_t best_hour = -1;
    for (int64_t hour = 1; hour < 24; hour++) {
        double rate = value_of(host, at(midnight + hour * HOUR), SYMPTOM_requests_per_s);
        if (rate > best) {
            best = rate;
            best_hour = hour;
        }
    }
    EXPECT_TRUE(best_hour >= 11 && best_hour <= 17);
    double wednesday = value_of(host, at(midnight + DAY + 14 * HOUR), SYMPTOM_active_requests);
    double sunday = value_of(host, at(midnight + 5 * DAY + 14 * HOUR), SYMPTOM_active_requests);
    double night = value_of(host, at(midnight + 6 * DAY + 3 * HOUR), SYMPTOM_active_requests);
    EXPECT_TRUE(sunday < 0.9 * wednesday);
    EXPECT_TRUE(night < sunday);
}

/* Why: the fleet shows which servers need no recycling any more; that must rest on the build.
 * How: the last build without the fix and the first with it, and both neighbours. */
TEST(sim, a_build_with_the_fix_never_leaks)
{
    static const struct {
        const char *build;
        bool is_leaking;
    } rows[] = {{"15.0.1497.48", true},
                {"15.1.1591.9", true},
                {"15.1.1591.10", false},
                {"15.1.1466.3", true},
                {"15.1.2507.6", false},
                {"15.2.221.12", false}};
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        struct host_sim_settings settings = leaking();
        (void)memcpy(settings.build, rows[i].build, strlen(rows[i].build) + 1);
        CAS_AUTO(host) host = opened(&settings, at(0));
        double stranded = value_of(host, at(DAY), SYMPTOM_stranded_requests);
        EXPECT_TRUE((stranded > 0) == rows[i].is_leaking);
    }
}

static size_t events_of(struct host *host,
                        struct cas_now now,
                        char bookmark[REASON_BYTES],
                        size_t cap,
                        struct host_event *ret_event)
{
    struct cas_why why = {0};
    char next[REASON_BYTES] = "";
    size_t n = 0;
    EXPECT_OK(host->ops->events(host, now, bookmark, ret_event, cap, &n, next, &why), &why);
    memcpy(bookmark, next, REASON_BYTES);
    return n;
}

static size_t count_id(const struct host_event *event, size_t n, uint32_t id)
{
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += event[i].id == id ? 1 : 0;
    return found;
}

/* Why: this is the outage the product is there to prevent; and the way out of it.
 * How: 1000 a day fill 59530 ports at about ten days; the old worker keeps them for its last 90 s.
 */
TEST(sim, ports_run_out_with_warnings_first_and_a_recycle_frees_them)
{
    struct host_sim_settings settings = leaking();
    settings.leak_per_day = 1000;
    settings.worker_age_ms = 8 * (int64_t)DAY;
    CAS_AUTO(host) host = opened(&settings, at(0));
    struct host_event event[HOST_EVENTS];
    char bookmark[REASON_BYTES] = "";
    size_t n = events_of(host, at(0), bookmark, HOST_EVENTS, event);
    EXPECT_TRUE(count_id(event, n, 4227) > 0);
    EXPECT_UINT_EQ(0, count_id(event, n, 4231));
    EXPECT_INT_EQ(HEALTH_GOOD, pool_of(host, at(0)).health);

    int64_t then = 4 * (int64_t)DAY;
    EXPECT_TRUE(value_of(host, at(then), SYMPTOM_events_4231) > 0);
    EXPECT_NEAR(59530, value_of(host, at(then), SYMPTOM_ports_total), 0);
    EXPECT_NEAR(59530, value_of(host, at(then), SYMPTOM_ports_used), 0);
    struct host_pool pool = pool_of(host, at(then));
    EXPECT_INT_EQ(HEALTH_BAD, pool.health);
    EXPECT_TEXT_HAS("no port", pool.reason);
    size_t out = 0;
    do {
        n = events_of(host, at(then), bookmark, HOST_EVENTS, event);
        out += count_id(event, n, 4231);
    } while (n == HOST_EVENTS);
    EXPECT_TRUE(out > 0);

    begin(host, at(then), VERB_recycle);
    EXPECT_INT_EQ(HEALTH_BAD, pool_of(host, at(then + 80 * SECOND)).health);
    EXPECT_INT_EQ(HEALTH_GOOD, pool_of(host, at(then + 91 * SECOND)).health);
    EXPECT_TRUE(value_of(host, at(then + 91 * SECOND), SYMPTOM_ports_used) < 10000);
}

/* Why: events are told once each, whatever is read at a time.
 * How: the same log read three at a time and all at once, with a recycle in it. */
TEST(sim, events_come_once_each_and_in_order)
{
    struct host_sim_settings settings = leaking();
    settings.leak_per_day = 1000;
    settings.worker_age_ms = 8 * (int64_t)DAY;
    CAS_AUTO(host) host = opened(&settings, at(0));
    begin(host, at(HOUR), VERB_recycle);
    struct cas_now now = at(2 * HOUR);
    struct host_event all[HOST_EVENTS];
    char early[REASON_BYTES] = "";
    size_t early_n = events_of(host, at(HOUR), early, HOST_EVENTS, all);
    EXPECT_UINT_EQ(1, count_id(all, early_n, 5079)); /* at its very instant */
    early_n = events_of(host, at(HOUR), early, HOST_EVENTS, all);
    EXPECT_UINT_EQ(0, early_n);

    char bookmark[REASON_BYTES] = "";
    size_t all_n = events_of(host, now, bookmark, HOST_EVENTS, all);
    EXPECT_TRUE(all_n > 5 && all_n < HOST_EVENTS);
    EXPECT_UINT_EQ(1, count_id(all, all_n, 5079));
    EXPECT_UINT_EQ(1, count_id(all, all_n, 5013));
    struct host_event event[3];
    char small[REASON_BYTES] = "";
    for (size_t i = 0; i < all_n;) {
        size_t n = events_of(host, now, small, CAS_COUNT(event), event);
        EXPECT_TRUE(n > 0);
        for (size_t j = 0; j < n; j++, i++) {
            EXPECT_TRUE(i < all_n);
            EXPECT_INT_EQ(all[i].at_ms, event[j].at_ms);
            EXPECT_UINT_EQ(all[i].id, event[j].id);
            EXPECT_TRUE(i == 0 || all[i - 1].at_ms <= all[i].at_ms);
        }
    }
    EXPECT_TEXT_EQ(bookmark, small);
    EXPECT_UINT_EQ(0, events_of(host, now, bookmark, HOST_EVENTS, all));
    char wrong[REASON_BYTES] = "12/x";
    size_t n = 0;
    EXPECT_ERR(CAS_ERR_FORMAT,
               host->ops->events(host, now, wrong, all, HOST_EVENTS, &n, small, NULL));
}

/* Why: draining the balancer empties the front half only; the rest says why a drain is no cure.
 * How: a server with both roles; half of its requests come in by the front end. */
TEST(sim, a_drain_empties_the_front_half_and_no_stranded_ping)
{
    struct host_sim_settings settings = leaking();
    CAS_AUTO(host) host = opened(&settings, at(0));
    double before = pool_of(host, at(0)).active_requests;
    begin(host, at(0), VERB_drain);
    struct host_pool pool = pool_of(host, at(SECOND));
    EXPECT_INT_EQ(HEALTH_BAD, pool.health);
    EXPECT_TRUE(pool.is_drained);
    EXPECT_TEXT_HAS("ActiveSyncProxy is inactive", pool.reason);
    EXPECT_INT_EQ(HOST_ACT_DONE, polled(host, at(5 * SECOND)).state);

    double healthy = before - 2400;
    EXPECT_NEAR(2402 + healthy / 2, pool_of(host, at(10 * MINUTE)).active_requests, 0.04 * healthy);
    begin(host, at(10 * MINUTE), VERB_undrain);
    EXPECT_INT_EQ(HEALTH_BAD, pool_of(host, at(10 * MINUTE + 2999)).health);
    pool = pool_of(host, at(10 * MINUTE + 3000));
    EXPECT_INT_EQ(HEALTH_GOOD, pool.health);
    EXPECT_FALSE(pool.is_drained);
    EXPECT_NEAR(before, pool_of(host, at(15 * MINUTE)).active_requests, 0.05 * before);
}

/* Why: the floor is counted on these lines: out from the act to the first proof after it, once. */
TEST(sim, a_server_is_out_from_the_act_to_its_first_good_probe)
{
    struct host_sim_settings settings = leaking();
    CAS_AUTO(host) host = opened(&settings, at(0));
    (void)pool_of(host, at(0));
    EXPECT_UINT_EQ(0, host_sim_effect_n(host));
    begin(host, at(0), VERB_drain);
    EXPECT_INT_EQ(HOST_ACT_DONE, polled(host, at(5 * SECOND)).state);
    begin(host, at(MINUTE), VERB_recycle);
    EXPECT_INT_EQ(HOST_ACT_DONE, polled(host, at(MINUTE + 5 * SECOND)).state);
    (void)pool_of(host, at(2 * MINUTE));
    EXPECT_UINT_EQ(1, kinds(host, HOST_SIM_OUT));
    EXPECT_UINT_EQ(0, kinds(host, HOST_SIM_IN));
    begin(host, at(3 * MINUTE), VERB_undrain);
    (void)pool_of(host, at(4 * MINUTE));
    (void)pool_of(host, at(5 * MINUTE));
    EXPECT_UINT_EQ(1, kinds(host, HOST_SIM_OUT));
    EXPECT_UINT_EQ(1, kinds(host, HOST_SIM_IN));
    EXPECT_UINT_EQ(5, host_sim_effect_n(host));
    const struct host_sim_effect *in = host_sim_effect(host, 4);
    EXPECT_INT_EQ(HOST_SIM_IN, in->kind);
    EXPECT_INT_EQ(start_ms + 4 * MINUTE, in->at_ms);
    EXPECT_BYTES_EQ(command, in->cmd_id, CAS_ID_BYTES);
}

/* Why: one act at a time; a host must not be asked what it cannot do. */
TEST(sim, an_act_is_refused_while_another_runs_and_for_a_pool_it_does_not_have)
{
    struct host_sim_settings settings = leaking();
    CAS_AUTO(host) host = opened(&settings, at(0));
    struct host_act act = {0};
    EXPECT_ERR(CAS_ERR_NOT_FOUND, host->ops->poll(host, at(0), &act, NULL));
    begin(host, at(0), VERB_recycle);
    EXPECT_INT_EQ(HOST_ACT_RUNNING, polled(host, at(0)).state);
    EXPECT_ERR(CAS_ERR_BUSY,
               host->ops->begin(host, at(1), VERB_recycle, POOL, command, SECOND, NULL));
    struct host_act done = polled(host, at(5 * SECOND));
    EXPECT_INT_EQ(HOST_ACT_DONE, done.state);
    EXPECT_TEXT_EQ("\"MSExchangeSyncAppPool\" successfully recycled", done.text);
    EXPECT_ERR(CAS_ERR_UNSUPPORTED,
               host->ops->begin(host, at(MINUTE), VERB_probe, POOL, command, SECOND, NULL));
    EXPECT_ERR(CAS_ERR_NOT_FOUND,
               host->ops->begin(host, at(MINUTE), VERB_recycle, "Other", command, SECOND, NULL));
    EXPECT_UINT_EQ(1, kinds(host, HOST_SIM_RECYCLE));
}

static struct host *failing(const char *failure)
{
    struct host_sim_settings settings = leaking();
    (void)memcpy(settings.failure, failure, strlen(failure) + 1);
    return opened(&settings, at(0));
}

/* Why: a tool that says OK is no proof; the probe is. How: and a cure works at once. */
TEST(sim, a_worker_that_is_never_healthy_is_new_and_stays_bad)
{
    CAS_AUTO(host) host = failing("never-healthy");
    uint32_t before = (uint32_t)pool_of(host, at(0)).worker[0].pid;
    begin(host, at(0), VERB_recycle);
    EXPECT_INT_EQ(HOST_ACT_DONE, polled(host, at(MINUTE)).state);
    struct host_pool pool = pool_of(host, at(DAY));
    EXPECT_TRUE(newest(&pool) != before);
    EXPECT_INT_EQ(HEALTH_BAD, pool.health);
    EXPECT_UINT_EQ(0, kinds(host, HOST_SIM_IN));
    EXPECT_OK(host_sim_set_failure(host, "", NULL), NULL);
    EXPECT_INT_EQ(HEALTH_GOOD, pool_of(host, at(DAY)).health);
    EXPECT_ERR(CAS_ERR_CONFIG, host_sim_set_failure(host, "melts", NULL));
}

TEST(sim, an_act_that_hangs_is_unknown_at_its_deadline_and_not_before)
{
    CAS_AUTO(host) host = failing("hangs");
    uint32_t before = pool_of(host, at(0)).worker[0].pid;
    begin(host, at(0), VERB_recycle);
    EXPECT_INT_EQ(HOST_ACT_RUNNING, polled(host, at(30 * SECOND - 1)).state);
    struct host_act act = polled(host, at(30 * SECOND));
    EXPECT_INT_EQ(HOST_ACT_UNKNOWN, act.state);
    EXPECT_TEXT_EQ("no answer from the tool within 30 s", act.text);
    struct host_pool pool = pool_of(host, at(MINUTE));
    EXPECT_UINT_EQ(before, newest(&pool));
    EXPECT_UINT_EQ(0, kinds(host, HOST_SIM_OUT));
}

TEST(sim, a_recycle_that_changes_nothing_says_ok)
{
    CAS_AUTO(host) host = failing("unchanged");
    uint32_t before = pool_of(host, at(0)).worker[0].pid;
    begin(host, at(0), VERB_recycle);
    struct host_act act = polled(host, at(5 * SECOND));
    EXPECT_INT_EQ(HOST_ACT_DONE, act.state);
    EXPECT_INT_EQ(0, act.code);
    struct host_pool pool = pool_of(host, at(MINUTE));
    EXPECT_UINT_EQ(before, newest(&pool));
    EXPECT_UINT_EQ(1, kinds(host, HOST_SIM_RECYCLE));
}

TEST(sim, a_refused_recycle_gives_the_tools_words_and_code)
{
    CAS_AUTO(host) host = failing("recycle-fails");
    uint32_t before = pool_of(host, at(0)).worker[0].pid;
    begin(host, at(0), VERB_recycle);
    struct host_act act = polled(host, at(5 * SECOND));
    EXPECT_INT_EQ(HOST_ACT_FAILED, act.state);
    EXPECT_INT_EQ(1, act.code);
    EXPECT_TEXT_HAS("ERROR ( message:", act.text);
    EXPECT_UINT_EQ(before, pool_of(host, at(MINUTE)).worker[0].pid);
}

TEST(sim, a_server_silent_after_its_recycle_answers_nothing)
{
    CAS_AUTO(host) host = failing("silent-after");
    (void)pool_of(host, at(0));
    begin(host, at(0), VERB_recycle);
    struct host_pool pool;
    struct host_reading reading[WIRE_READINGS];
    size_t n = 0;
    struct cas_why why = {0};
    EXPECT_ERR(CAS_ERR_UNREACHABLE, host->ops->pool(host, at(SECOND), POOL, &pool, &why));
    EXPECT_TEXT_HAS("no answer", why.text);
    EXPECT_ERR(CAS_ERR_UNREACHABLE,
               host->ops->read(host, at(SECOND), POOL, reading, WIRE_READINGS, &n, NULL));
    EXPECT_INT_EQ(HOST_ACT_DONE, polled(host, at(MINUTE)).state);
}

/* Why: an agent can die between the act and its outcome; the server does not care.
 * How: effects in memory, as in stories; the stage ends the agent and starts another one. */
TEST(sim, an_agent_that_dies_in_a_story_never_learns_the_outcome)
{
    CAS_AUTO(host) host = failing("dies");
    uint32_t before = pool_of(host, at(0)).worker[0].pid;
    EXPECT_FALSE(host_sim_is_dead(host));
    begin(host, at(0), VERB_recycle);
    EXPECT_TRUE(host_sim_is_dead(host));
    EXPECT_INT_EQ(HOST_ACT_RUNNING, polled(host, at(DAY)).state);
    host_sim_revive(host);
    EXPECT_FALSE(host_sim_is_dead(host));
    struct host_pool pool = pool_of(host, at(5 * MINUTE));
    EXPECT_TRUE(newest(&pool) != before);
    struct host_act act = {0};
    EXPECT_ERR(CAS_ERR_NOT_FOUND, host->ops->poll(host, at(0), &act, NULL));
}

static struct host_sim_settings on_disk(void)
{
    struct host_sim_settings settings = leaking();
    struct cas_text effects = CAS_TEXT(settings.effects);
    struct cas_text state = CAS_TEXT(settings.state);
    cas_text_add(&effects, "%s", test_path("effects.log"));
    cas_text_add(&state, "%s", test_path("state"));
    return settings;
}

static void recycle_and_die(void *context)
{
    const struct host_sim_settings *settings = context;
    struct host *host = NULL;
    struct cas_why why = {0};
    if (host_sim_open(settings, at(0), &host, &why) != CAS_OK)
        return;
    (void)host->ops->begin(host, at(MINUTE), VERB_recycle, POOL, command, 30 * SECOND, &why);
}

static size_t lines_with(const char *path, const char *part)
{
    size_t n = 0;
    char *data = test_read(path, NULL);
    for (const char *from = strstr(data, part); from != NULL; from = strstr(from + 1, part))
        n++;
    free(data);
    return n;
}

/* Why: what a killed agent did is found out from the server: it must be as the act left it.
 * How: kill -9 right after the act, in a process of its own; then the same settings again, first
 * with its state, then with an old one as if the kill had come before it was written, then none. */
TEST(sim, a_killed_agent_finds_its_server_as_the_act_left_it)
{
    struct host_sim_settings settings = on_disk();
    size_t old_size = 0;
    host_free(opened(&settings, at(0)));
    char *old = test_read(settings.state, &old_size);
    (void)memcpy(settings.failure, "dies", 5);
    EXPECT_INT_EQ(KILLED, test_child(recycle_and_die, &settings));
    settings.failure[0] = '\0';
    EXPECT_UINT_EQ(1, lines_with(settings.effects, "\"effect\":\"recycle\""));
    EXPECT_UINT_EQ(1, lines_with(settings.effects, "\"effect\":\"out\""));
    EXPECT_UINT_EQ(2, lines_with(settings.effects, "8c1e0700000000000000000000000000"));

    uint32_t pid = 0;
    for (int round = 0; round < 3; round++) {
        if (round == 1)
            test_write(settings.state, old, old_size);
        if (round == 2)
            EXPECT_INT_EQ(0, remove(settings.state));
        CAS_AUTO(host) host = opened(&settings, at(MINUTE + 20 * SECOND));
        struct host_reading reading[WIRE_READINGS];
        size_t n = 0;
        EXPECT_OK(
            host->ops->read(host, at(MINUTE + 20 * SECOND), POOL, reading, WIRE_READINGS, &n, NULL),
            NULL);
        EXPECT_NEAR(2, value_of(host, at(MINUTE + 20 * SECOND), SYMPTOM_workers), 0);
        EXPECT_NEAR(20 * SECOND - 1,
                    value_of(host, at(MINUTE + 20 * SECOND), SYMPTOM_worker_age),
                    0);
        if (round < 2)
            continue;
        struct host_pool pool = pool_of(host, at(2 * MINUTE));
        pid = newest(&pool);
        EXPECT_INT_EQ(start_ms + MINUTE + 1, pool.worker[pool.worker_n - 1].start_ms);
        EXPECT_INT_EQ(HEALTH_GOOD, pool.health);
    }
    free(old);
    EXPECT_UINT_EQ(1, lines_with(settings.effects, "\"effect\":\"in\""));
    CAS_AUTO(host) again = opened(&settings, at(3 * MINUTE));
    struct host_pool pool = pool_of(again, at(3 * MINUTE));
    EXPECT_UINT_EQ(pid, newest(&pool));
    EXPECT_UINT_EQ(1, lines_with(settings.effects, "\"effect\":\"in\""));
}

/* Why: an effect read back twice would be a recycle that never was.
 * How: the log's last line is a new worker; the state file has it already. */
TEST(sim, a_state_that_is_up_to_date_takes_nothing_from_the_log_again)
{
    struct host_sim_settings settings = on_disk();
    CAS_AUTO(host) host = opened(&settings, at(0));
    EXPECT_OK(host_sim_kill_worker(host, at(MINUTE), NULL), NULL);
    struct host_pool before = pool_of(host, at(MINUTE + SECOND));
    CAS_AUTO(host) again = opened(&settings, at(MINUTE + SECOND));
    struct host_pool after = pool_of(again, at(MINUTE + SECOND));
    EXPECT_UINT_EQ(2, after.worker_n);
    EXPECT_BYTES_EQ(before.worker, after.worker, sizeof after.worker);
}

/* Why: the wall clock may be set back while the agent is down; the server does not grow younger. */
TEST(sim, a_wall_clock_set_back_between_two_agents_turns_nothing_back)
{
    struct host_sim_settings settings = on_disk();
    host_free(opened(&settings, at(0)));
    struct cas_now earlier = {start_ms - DAY, 5000};
    CAS_AUTO(host) host = opened(&settings, earlier);
    earlier.mono_ms += 59 * MINUTE;
    EXPECT_NEAR(2400, value_of(host, earlier, SYMPTOM_stranded_requests), 1);
    struct cas_now later = {start_ms + 20000 * (int64_t)DAY, 5000};
    CAS_AUTO(host) ahead = opened(&settings, later);
    EXPECT_NEAR(2400 + 30 * 240, value_of(ahead, later, SYMPTOM_stranded_requests), 250);
}

/* Why: power may fail in the middle of a line; half a line is no effect, and no reason to stop. */
TEST(sim, a_torn_line_of_the_effect_log_is_no_effect)
{
    struct host_sim_settings settings = on_disk();
    host_free(opened(&settings, at(0)));
    static const char torn[] =
        "{\"at_ms\":1728953460000,\"mono_ms\":65000,\"server\":\"SIM-CAS01\","
        "\"effect\":\"recycle\",\"cmd_id\":\"8c1e07";
    test_write(settings.effects, torn, sizeof torn - 1);
    CAS_AUTO(host) host = opened(&settings, at(MINUTE));
    struct host_pool pool = pool_of(host, at(MINUTE));
    EXPECT_UINT_EQ(1, pool.worker_n);
    begin(host, at(2 * MINUTE), VERB_recycle);
    EXPECT_UINT_EQ(1, lines_with(settings.effects, "\"effect\":\"out\""));
}

/* Why: OUT and the act are two lines of one write; a crash may leave the first alone. */
TEST(sim, an_out_line_lost_in_a_crash_is_written_at_the_next_probe)
{
    struct host_sim_settings settings = on_disk();
    CAS_AUTO(host) host = opened(&settings, at(0));
    begin(host, at(MINUTE), VERB_recycle);
    size_t size = 0;
    char *log = test_read(settings.effects, &size);
    char *end = strchr(log, '\n');
    EXPECT_NOT_NULL(end);
    test_write(settings.effects, log, (size_t)(end - log) + 1);
    free(log);
    EXPECT_INT_EQ(0, remove(settings.state));

    CAS_AUTO(host) again = opened(&settings, at(MINUTE + SECOND));
    EXPECT_UINT_EQ(0, lines_with(settings.effects, "\"effect\":\"out\""));
    (void)pool_of(again, at(MINUTE + SECOND));
    EXPECT_UINT_EQ(1, lines_with(settings.effects, "\"effect\":\"out\""));
    (void)pool_of(again, at(2 * MINUTE));
    EXPECT_UINT_EQ(1, lines_with(settings.effects, "\"effect\":\"in\""));
}

TEST(sim, a_damaged_state_is_named_with_its_line)
{
    struct host_sim_settings settings = on_disk();
    host_free(opened(&settings, at(0)));
    test_write(settings.state, "seq 0\norigin_ms twelve\n", 23);
    struct host *host = NULL;
    struct cas_why why = {0};
    EXPECT_ERR(CAS_ERR_CORRUPT, host_sim_open(&settings, at(0), &host, &why));
    EXPECT_TEXT_HAS("state:2: ", why.text);
    test_write(settings.state, "seq 0\n", 6);
    EXPECT_ERR(CAS_ERR_CORRUPT, host_sim_open(&settings, at(0), &host, &why));
}

/* Why: an effect that cannot be kept must not happen; else the proof of I1 and I3 has a hole.
 * How: memory holds 4096 of them; then the act is refused and the worker stays. */
TEST(sim, an_effect_that_cannot_be_kept_does_not_happen)
{
    struct host_sim_settings settings = leaking();
    CAS_AUTO(host) host = opened(&settings, at(0));
    for (int i = 0; i < 4095; i++)
        EXPECT_OK(host_sim_kill_worker(host, at(i * SECOND), NULL), NULL);
    struct cas_now now = at(2 * (int64_t)HOUR);
    uint32_t before = pool_of(host, now).worker[0].pid;
    struct cas_why why = {0};
    EXPECT_ERR(CAS_ERR_FULL,
               host->ops->begin(host, now, VERB_recycle, POOL, command, SECOND, &why));
    EXPECT_TEXT_HAS("4096", why.text);
    EXPECT_UINT_EQ(4095, host_sim_effect_n(host));
    EXPECT_UINT_EQ(before, pool_of(host, now).worker[0].pid);
    EXPECT_OK(host_sim_kill_worker(host, now, NULL), NULL);
    EXPECT_ERR(CAS_ERR_FULL, host_sim_kill_worker(host, now, NULL));
}

/* Why: Exchange recycles pools itself; that worker is new, and nobody's command. */
TEST(sim, a_worker_exchange_replaced_is_nobodys_command)
{
    struct host_sim_settings settings = leaking();
    CAS_AUTO(host) host = opened(&settings, at(0));
    uint32_t before = pool_of(host, at(0)).worker[0].pid;
    EXPECT_OK(host_sim_kill_worker(host, at(MINUTE), NULL), NULL);
    struct host_pool pool = pool_of(host, at(5 * MINUTE));
    EXPECT_TRUE(newest(&pool) != before);
    EXPECT_UINT_EQ(1, kinds(host, HOST_SIM_SELF));
    EXPECT_UINT_EQ(0, kinds(host, HOST_SIM_RECYCLE));
    EXPECT_UINT_EQ(0, kinds(host, HOST_SIM_OUT));
}

/* Why: a story that failed must fail again; servers of a farm must not be clones. */
TEST(sim, the_same_seed_gives_the_same_values)
{
    struct host_sim_settings settings = leaking();
    CAS_AUTO(host) one = opened(&settings, at(0));
    CAS_AUTO(host) two = opened(&settings, at(0));
    settings.seed = 8;
    CAS_AUTO(host) other = opened(&settings, at(0));
    size_t differs = 0;
    for (int64_t i = 0; i < 200; i++) {
        struct host_reading a[WIRE_READINGS];
        struct host_reading b[WIRE_READINGS];
        size_t n = 0;
        struct cas_now now = at(i * 15 * SECOND);
        EXPECT_OK(one->ops->read(one, now, POOL, a, WIRE_READINGS, &n, NULL), NULL);
        EXPECT_OK(two->ops->read(two, now, POOL, b, WIRE_READINGS, &n, NULL), NULL);
        for (size_t j = 0; j < n; j++)
            EXPECT_NEAR(a[j].value, b[j].value, 0);
        EXPECT_OK(other->ops->read(other, now, POOL, b, WIRE_READINGS, &n, NULL), NULL);
        for (size_t j = 0; j < n; j++)
            differs += a[j].value != b[j].value ? 1 : 0;
    }
    EXPECT_TRUE(differs > 1000);
}

/* Why: waiting is sped up in demonstrations, never what is on the wire's clocks.
 * How: 60 times as fast: the overlap is over after 1.5 s, a day of leak in 24 minutes. */
TEST(sim, speed_hurries_the_model_and_not_the_stamps)
{
    struct host_sim_settings settings = leaking();
    settings.speed = 60;
    CAS_AUTO(host) host = opened(&settings, at(0));
    EXPECT_NEAR(2640, value_of(host, at(24 * MINUTE + 59 * SECOND), SYMPTOM_stranded_requests), 1);
    begin(host, at(25 * MINUTE), VERB_recycle);
    struct host_pool pool = pool_of(host, at(25 * MINUTE + 1499));
    EXPECT_UINT_EQ(2, pool.worker_n);
    EXPECT_INT_EQ(start_ms + 25 * MINUTE + 1, pool.worker[1].start_ms);
    EXPECT_UINT_EQ(1, pool_of(host, at(25 * MINUTE + 1500)).worker_n);
    struct host_event event[HOST_EVENTS];
    char bookmark[REASON_BYTES] = "";
    size_t n = events_of(host, at(26 * MINUTE), bookmark, HOST_EVENTS, event);
    EXPECT_UINT_EQ(2, n);
    EXPECT_INT_EQ(start_ms + 25 * MINUTE, event[0].at_ms);
    EXPECT_INT_EQ(start_ms + 25 * MINUTE + 1500, event[1].at_ms);
}

/* Why: a wall clock that jumps must not age the server; ten years forward and back. */
TEST(sim, a_jump_of_the_wall_clock_changes_nothing_in_the_server)
{
    struct host_sim_settings settings = leaking();
    CAS_AUTO(host) host = opened(&settings, at(0));
    for (int sign = -1; sign <= 1; sign += 2) {
        struct cas_now jumped = at(59 * MINUTE);
        jumped.wall_ms += sign * 3650 * (int64_t)DAY;
        EXPECT_NEAR(2400, value_of(host, jumped, SYMPTOM_stranded_requests), 1);
        EXPECT_INT_EQ(HEALTH_GOOD, pool_of(host, jumped).health);
    }
}

/* Why: servers left in maintenance by somebody else must be seen, and never be put right by us. */
TEST(sim, a_foreign_component_state_is_told_and_stays)
{
    struct host_sim_settings settings = leaking();
    (void)memcpy(settings.foreign, "ServerWideOffline by Functional", 32);
    CAS_AUTO(host) host = opened(&settings, at(0));
    begin(host, at(0), VERB_undrain);
    struct host_pool pool = pool_of(host, at(MINUTE));
    EXPECT_INT_EQ(HEALTH_BAD, pool.health);
    EXPECT_TEXT_EQ("ServerWideOffline by Functional", pool.maintenance);
    EXPECT_FALSE(pool.is_drained);
}

static void load_fails(const char *text, const char *part)
{
    struct host_sim_settings settings;
    struct cas_why why = {0};
    const char *path = test_path("sim.ini");
    test_write(path, text, strlen(text));
    EXPECT_ERR(CAS_ERR_CONFIG, host_sim_settings_load(path, &settings, &why));
    EXPECT_TEXT_HAS(part, why.text);
}

/* Why: a farm of modelled servers is written by hand; a slip must be found by file and line. */
TEST(sim, settings_are_read_and_faults_named_with_their_line)
{
    struct host_sim_settings settings;
    struct cas_why why = {0};
    const char *path = test_path("good.ini");
    static const char good[] = "name = LON-CAS01\nbuild = 15.1.1466.3\nroles = cas\n"
                               "worker_age = 21d\nleak_per_day = 300\nspeed = 60\n"
                               "effects = effects.log\n";
    test_write(path, good, sizeof good - 1);
    EXPECT_OK(host_sim_settings_load(path, &settings, &why), &why);
    EXPECT_TEXT_EQ("LON-CAS01", settings.name);
    EXPECT_INT_EQ(21 * (int64_t)DAY, settings.worker_age_ms);
    EXPECT_NEAR(300, settings.leak_per_day, 0);
    EXPECT_NEAR(60, settings.speed, 0);
    EXPECT_UINT_EQ(3000, settings.devices);
    EXPECT_TEXT_EQ(test_path("effects.log"), settings.effects);

    load_fails("name = A\nbuild = 15.1\n", "sim.ini:2: build = 15.1");
    load_fails("\n\nroles = front\n", "sim.ini:3: roles = front");
    load_fails("name = A\n\nfailure = melts\n", "sim.ini:3: failure = melts");
    load_fails("name = A B\n", "sim.ini:1: name = A B");
    load_fails("name = A\nspeed = 0\n", "sim.ini:2: ");
    load_fails("devises = 3\n", "sim.ini:1: ");
}
