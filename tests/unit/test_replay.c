/* Plays tests/data/capture-leaking (made by make_capture.py; its numbers counted with awk) and
 * small folders. */
#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include "agent/host/host.h"

#define POOL "MSExchangeSyncAppPool"

static const struct cas_now opened = {.wall_ms = 1800000000000, .mono_ms = 5000};

static struct cas_now after(int64_t span_ms)
{
    return (struct cas_now){.wall_ms = opened.wall_ms + span_ms,
                            .mono_ms = opened.mono_ms + span_ms};
}

static struct host_replay_settings settings_of(const char *folder, double speed, bool is_held)
{
    struct host_replay_settings settings = {.pool = POOL, .speed = speed, .is_held = is_held};
    (void)snprintf(settings.folder, sizeof settings.folder, "%s", folder);
    return settings;
}

/* An hour of the capture a minute. */
static struct host *open_leaking(bool is_held)
{
    struct host_replay_settings settings =
        settings_of(test_source("tests/data/capture-leaking"), 60, is_held);
    struct host *host = NULL;
    struct cas_why why = {""};
    EXPECT_OK(host_replay_open(&settings, opened, &host, &why), &why);
    return host;
}

struct readings {
    struct host_reading of[64];
};

static void read_all(struct host *host, int64_t span_ms, struct readings *readings)
{
    size_t n = 0;
    struct cas_why why = {""};
    EXPECT_OK(host->ops->read(host, after(span_ms), POOL, readings->of + 1, 63, &n, &why), &why);
    EXPECT_UINT_EQ(SYMPTOM_END - 1, n);
    for (size_t i = 1; i < SYMPTOM_END; i++)
        EXPECT_INT_EQ(i, readings->of[i].symptom); /* one each, none left out */
}

static void expect_value(const struct readings *readings, enum symptom symptom, double value)
{
    EXPECT_TEXT_EQ("", readings->of[symptom].reason);
    EXPECT_TRUE(readings->of[symptom].is_known);
    EXPECT_NEAR(value, readings->of[symptom].value, 1e-6);
}

static void expect_reason(const struct readings *readings, enum symptom symptom, const char *words)
{
    EXPECT_FALSE(readings->of[symptom].is_known);
    EXPECT_TEXT_HAS(words, readings->of[symptom].reason);
}

/* Why: the first row is the opening; each value must come from where an expert would look for it.
 */
TEST(replay, first_row_plays_at_the_opening)
{
    CAS_AUTO(host) host = open_leaking(true);
    struct readings r;
    read_all(host, 0, &r);
    expect_value(&r, SYMPTOM_active_requests, 4915);
    EXPECT_UINT_EQ(3676, r.of[SYMPTOM_active_requests].pid);
    expect_value(&r, SYMPTOM_private_bytes, 8599873509);    /* w3wp#1 of Process */
    expect_value(&r, SYMPTOM_gc_time_pct, 29.068212266825); /* w3wp of .NET CLR Memory */
    expect_value(&r, SYMPTOM_heap_bytes, 5245922840);
    expect_value(&r, SYMPTOM_working_set, 7997882363);
    expect_value(&r, SYMPTOM_handles, 9877);
    expect_value(&r, SYMPTOM_worker_age, 788400000); /* 9 d 3 h, at its own pace */
    expect_value(&r, SYMPTOM_workers, 1);
    expect_value(&r, SYMPTOM_pings_pending, 4872);
    expect_reason(&r,
                  SYMPTOM_requests_per_s,
                  "no value in the capture's row of 2018-11-12T23:00:00.517Z");
    expect_value(&r, SYMPTOM_queue_rejected, 2904);
    expect_value(&r, SYMPTOM_established, 10530);
    expect_value(&r, SYMPTOM_memory_available, 35160.0 * 1048576);
    expect_value(&r, SYMPTOM_cpu_pct, 27.458330618426);
    expect_value(&r, SYMPTOM_close_wait, 200); /* not the 6 of another pool */
    expect_value(&r, SYMPTOM_time_wait, 45);
    expect_value(&r, SYMPTOM_ports_total, 59530);
    expect_value(&r, SYMPTOM_ports_used, 343);
    expect_value(&r, SYMPTOM_ports_peer_most, 165);
    expect_value(&r, SYMPTOM_stranded_requests, 12);
    expect_value(&r, SYMPTOM_events_4227, 7);
    expect_value(&r, SYMPTOM_events_4231, 0);
}

/* Why: after the recycle in the capture another worker plays, under shifted numbers. How: two hours
 * on. */
TEST(replay, recycled_worker_takes_over_with_its_own_start)
{
    CAS_AUTO(host) host = open_leaking(true);
    struct readings r;
    struct host_pool before;
    struct host_pool pool;
    struct cas_why why = {""};
    EXPECT_OK(host->ops->pool(host, after(0), POOL, &before, &why), &why);
    EXPECT_UINT_EQ(1, before.worker_n);
    EXPECT_UINT_EQ(3676, before.worker[0].pid);
    EXPECT_INT_EQ(opened.wall_ms - 788400000, before.worker[0].start_ms);
    EXPECT_INT_EQ(HEALTH_GOOD, before.health);
    read_all(host, 120000, &r);
    expect_value(&r, SYMPTOM_events_4227, 11);
    expect_value(&r, SYMPTOM_events_4231, 1);
    EXPECT_UINT_EQ(9212, r.of[SYMPTOM_active_requests].pid);
    expect_value(&r, SYMPTOM_worker_age, 30000); /* half an hour at speed 60 */
    EXPECT_OK(host->ops->pool(host, after(120000), POOL, &pool, &why), &why);
    EXPECT_UINT_EQ(9212, pool.worker[0].pid);
    EXPECT_INT_EQ(opened.wall_ms + 90000, pool.worker[0].start_ms);
    EXPECT_TRUE(pool.has_requests);
    EXPECT_TRUE(pool.probe_seq > before.probe_seq);
    /* Later rows round differently; the same worker keeps the same start. */
    for (int64_t ms = 120000; ms < 2880000; ms += 60000) {
        EXPECT_OK(host->ops->pool(host, after(ms), POOL, &pool, &why), &why);
        EXPECT_INT_EQ(opened.wall_ms + 90000, pool.worker[0].start_ms);
    }
}

/* Why: Elapsed Time and the row's time are not taken at one instant; a start that trembles looks
 * like a recycle. How: 0.3 s too much, 0.2 s too little; then the same PID for a process that is
 * really new. */
TEST(replay, trembling_elapsed_time_is_no_new_worker)
{
    static const char text[] = "\"(PDH-CSV 4.0)\",\"\\W3SVC_W3WP(77_" POOL
                               ")\\Active Requests\",\"\\Process(w3wp)\\ID Process\","
                               "\"\\Process(w3wp)\\Elapsed Time\"\n"
                               "\"02/29/2024 12:00:00.000\",\"5\",\"77\",\"100.3\"\n"
                               "\"02/29/2024 12:00:15.000\",\"5\",\"77\",\"114.8\"\n"
                               "\"02/29/2024 12:00:30.000\",\"5\",\"77\",\"10\"\n";
    test_write(test_path("counters.csv"), text, sizeof text - 1);
    struct host_replay_settings settings = settings_of(test_folder(), 1, true);
    CAS_AUTO(host) host = NULL;
    struct cas_why why = {""};
    EXPECT_OK(host_replay_open(&settings, opened, &host, &why), &why);
    static const int64_t start_ms[3] = {-100300, -100300, 20000};
    for (int64_t i = 0; i < 3; i++) {
        struct host_pool pool;
        EXPECT_OK(host->ops->pool(host, after(i * 15000), POOL, &pool, &why), &why);
        EXPECT_INT_EQ(opened.wall_ms + start_ms[i], pool.worker[0].start_ms);
    }
}

/* Why: at the end a capture holds its last row or begins again, as it was told. */
TEST(replay, end_holds_or_begins_again)
{
    int64_t end_ms = 48 * 60000;
    int64_t span_ms = end_ms + 15000; /* and the usual quarter of an hour */
    struct readings r;
    CAS_AUTO(host) held = open_leaking(true);
    read_all(held, end_ms, &r);
    expect_value(&r, SYMPTOM_active_requests, 1885);
    expect_value(&r, SYMPTOM_events_4227, 9);
    expect_value(&r, SYMPTOM_events_4231, 0);
    read_all(held, 10 * span_ms, &r);
    expect_value(&r, SYMPTOM_active_requests, 1885);
    CAS_AUTO(host) looping = open_leaking(false);
    read_all(looping, span_ms - 1, &r);
    expect_value(&r, SYMPTOM_active_requests, 1885);
    read_all(looping, span_ms, &r);
    expect_value(&r, SYMPTOM_active_requests, 4915);
    expect_value(&r, SYMPTOM_worker_age, 788400000);
}

/* Why: events must come once each, oldest first, at the time the playing gives them. How: the log
 * is newest first. */
TEST(replay, events_come_once_and_in_order)
{
    CAS_AUTO(host) host = open_leaking(true);
    struct host_event event[64];
    char mark[REASON_BYTES] = "";
    char next[REASON_BYTES] = "";
    size_t n = 0;
    struct cas_why why = {""};
    EXPECT_OK(host->ops->events(host, after(0), mark, event, 64, &n, next, &why), &why);
    EXPECT_UINT_EQ(7, n); /* of the day before */
    EXPECT_UINT_EQ(4227, event[0].id);
    EXPECT_TEXT_EQ("Tcpip", event[0].provider);
    EXPECT_OK(host->ops->events(host, after(0), next, event, 64, &n, mark, &why), &why);
    EXPECT_UINT_EQ(0, n);
    EXPECT_OK(host->ops->events(host, after(120000), mark, event, 3, &n, next, &why), &why);
    EXPECT_UINT_EQ(3, n); /* as many as there is room for */
    EXPECT_OK(host->ops->events(host, after(120000), next, event, 64, &n, mark, &why), &why);
    EXPECT_UINT_EQ(4, n);
    EXPECT_UINT_EQ(4227, event[0].id);
    EXPECT_UINT_EQ(4231, event[1].id);
    EXPECT_UINT_EQ(5079, event[2].id);
    EXPECT_UINT_EQ(5013, event[3].id);
    EXPECT_TEXT_EQ(POOL, event[3].pool);
    EXPECT_UINT_EQ(3676, event[3].pid);
    EXPECT_TEXT_HAS("killed", event[3].text);
    /* 01:30:07.123 local; the first row was at 00:00:00.517: 5406.606 s at speed 60 */
    EXPECT_INT_EQ(opened.wall_ms + 90110, event[2].at_ms);
    EXPECT_ERR(CAS_ERR_FORMAT,
               host->ops->events(host, after(0), "nonsense", event, 64, &n, mark, &why));
}

/* Why: a playing that begins again logs again; a bookmark of an agent that has ended is from
 * another playing. */
TEST(replay, events_of_the_next_round_come_again)
{
    CAS_AUTO(host) host = open_leaking(false);
    struct host_event event[64];
    char mark[REASON_BYTES] = "";
    char next[REASON_BYTES] = "";
    size_t n = 0;
    struct cas_why why = {""};
    int64_t span_ms = 48 * 60000 + 15000;
    EXPECT_OK(host->ops->events(host, after(span_ms - 1), mark, event, 64, &n, next, &why), &why);
    EXPECT_UINT_EQ(23, n);
    EXPECT_OK(host->ops->events(host, after(span_ms + 120000), next, event, 64, &n, mark, &why),
              &why);
    EXPECT_UINT_EQ(7, n); /* without the day before: it does not come again */
    EXPECT_INT_EQ(opened.wall_ms + span_ms + 90110, event[5].at_ms);
    EXPECT_OK(host->ops->events(host, after(0), "123/0/20", event, 64, &n, mark, &why), &why);
    EXPECT_UINT_EQ(7, n);
}

/* Why: a capture shows what was; an order to it must fail plainly and at once. */
TEST(replay, capture_cannot_be_acted_on)
{
    CAS_AUTO(host) host = open_leaking(true);
    static const uint8_t id[CAS_ID_BYTES] = {1};
    struct host_act act;
    struct cas_why why = {""};
    EXPECT_ERR(CAS_ERR_UNSUPPORTED,
               host->ops->begin(host, opened, VERB_recycle, POOL, id, 1000, &why));
    EXPECT_TEXT_HAS("is a capture", why.text);
    EXPECT_TEXT_HAS("recycle is not possible", why.text);
    EXPECT_ERR(CAS_ERR_UNSUPPORTED, host->ops->poll(host, opened, &act, &why));
}

static const struct host_fact *fact_of(const struct host_fact *fact, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fact[i].key, key) == 0)
            return &fact[i];
    }
    test_fail(TEST_PLACE("fact_of"), "no fact %s", key);
}

/* Why: compliance hangs on the build; what a capture cannot know must not look known. */
TEST(replay, facts_tell_build_ports_and_what_was_refused)
{
    CAS_AUTO(host) host = open_leaking(true);
    struct host_fact fact[HOST_FACTS];
    size_t n = 0;
    struct cas_why why = {""};
    EXPECT_OK(host->ops->facts(host, opened, fact, HOST_FACTS, &n, &why), &why);
    EXPECT_TEXT_EQ("replay", fact_of(fact, n, "host.kind")->value);
    EXPECT_TEXT_EQ("FRA-CAS07.corp.example", fact_of(fact, n, "host.name")->value);
    EXPECT_TEXT_EQ("15.1.1466.3", fact_of(fact, n, "exchange.build")->value);
    EXPECT_TEXT_EQ("Exchange 2016", fact_of(fact, n, "exchange.product")->value);
    EXPECT_FALSE(fact_of(fact, n, "exchange.roles")->is_known);
    EXPECT_TEXT_EQ("6005", fact_of(fact, n, "ports.start")->value);
    EXPECT_TEXT_EQ("59530", fact_of(fact, n, "ports.n")->value);
    EXPECT_TEXT_EQ("193 read, 0 refused", fact_of(fact, n, "capture.counters.csv")->value);
    EXPECT_TEXT_EQ("23 read, 0 refused", fact_of(fact, n, "capture.events.xml")->value);
    EXPECT_TEXT_EQ("412 read, 0 refused", fact_of(fact, n, "capture.netstat.txt")->value);
}

/* Why: any file may be missing or bad; every symptom then says so itself. How: folders with one
 * file each. */
TEST(replay, missing_files_leave_reasons)
{
    struct host_replay_settings settings = settings_of(test_folder(), 1, true);
    CAS_AUTO(host) none = NULL;
    struct cas_why why = {""};
    EXPECT_ERR(CAS_ERR_NOT_FOUND, host_replay_open(&settings, opened, &none, &why));
    EXPECT_TEXT_HAS("no capture: none of counters.csv", why.text);

    static const char listing[] =
        "  TCP    10.0.0.1:50001  10.0.0.2:444  CLOSE_WAIT\r\n  TCP    10.0.0.1  x  CLOSE_WAIT\r\n";
    test_write(test_path("netstat.txt"), listing, sizeof listing - 1);
    test_write(test_path("netsh.txt"), "Startport : 99999\nx : 1\n", 24);
    test_write(test_path("exsetup.txt"), "Version 15.1 (Build 1466.3)", 27);
    CAS_AUTO(host) host = NULL;
    EXPECT_OK(host_replay_open(&settings, opened, &host, &why), &why);
    struct readings r;
    read_all(host, 0, &r);
    expect_reason(&r, SYMPTOM_active_requests, "counters.csv is not in the capture");
    expect_reason(&r, SYMPTOM_cpu_pct, "counters.csv is not in the capture");
    expect_reason(&r, SYMPTOM_close_wait, "netstat.txt has no process ids");
    expect_reason(&r, SYMPTOM_ports_used, "netsh.txt:1:13: port value 99999 is outside");
    expect_reason(&r, SYMPTOM_ports_total, "netsh.txt:1:13:");
    expect_reason(&r, SYMPTOM_workers, "no W3SVC_W3WP counter and no WP line");
    expect_reason(&r, SYMPTOM_worker_age, "counters.csv is not in the capture");
    expect_reason(&r, SYMPTOM_events_4227, "events.xml is not in the capture");
    expect_reason(&r, SYMPTOM_stranded_requests, "appcmd.txt is not in the capture");
    expect_value(&r, SYMPTOM_established, 0); /* the listing tells where the counters do not */
    struct host_pool pool;
    EXPECT_OK(host->ops->pool(host, opened, POOL, &pool, &why), &why);
    EXPECT_INT_EQ(HEALTH_UNKNOWN, pool.health);
    EXPECT_TEXT_EQ("healthcheck.txt is not in the capture", pool.reason);
    EXPECT_UINT_EQ(0, pool.worker_n);
    struct host_fact fact[HOST_FACTS];
    size_t n = 0;
    EXPECT_OK(host->ops->facts(host, opened, fact, HOST_FACTS, &n, &why), &why);
    EXPECT_FALSE(fact_of(fact, n, "exchange.build")->is_known);
    EXPECT_TEXT_HAS("directory's version only", fact_of(fact, n, "exchange.build")->reason);
    EXPECT_TEXT_HAS("1 read, 1 refused: netstat.txt:2:10:",
                    fact_of(fact, n, "capture.netstat.txt")->value);
    EXPECT_FALSE(fact_of(fact, n, "host.name")->is_known);
}

/* Why: hours without rows must not show the last row as the present; and a sick page is not a
 * healthy one. How: rows a minute apart with an hour between; the rest of the pool's workers from
 * appcmd. */
TEST(replay, hole_in_the_capture_is_a_hole)
{
    char text[4096];
    struct cas_text file = CAS_TEXT(text);
    cas_text_clear(&file);
    cas_text_add(&file, "\"(PDH-CSV 4.0)\",\"\\Memory\\Available Bytes\"\n");
    for (int minute = 0; minute < 20; minute++)
        cas_text_add(&file,
                     "\"02/29/2024 %02d:%02d:00.000\",\"%d\"\n",
                     minute < 10 ? 12 : 13,
                     minute,
                     minute + 1);
    test_write(test_path("counters.csv"), text, strlen(text));
    test_write(test_path("appcmd.txt"), "WP \"77\" (applicationPool:" POOL ")\n", 48);
    test_write(test_path("healthcheck.txt"), "503", 3);
    struct host_replay_settings settings = settings_of(test_folder(), 1, true);
    CAS_AUTO(host) host = NULL;
    struct cas_why why = {""};
    EXPECT_OK(host_replay_open(&settings, opened, &host, &why), &why);
    struct readings r;
    read_all(host, 9 * 60000 + 59000, &r);
    expect_value(&r, SYMPTOM_memory_available, 10);
    expect_value(&r, SYMPTOM_workers, 1);
    expect_reason(&r, SYMPTOM_active_requests, "W3SVC_W3WP Active Requests is not in the capture");
    read_all(host, 50 * 60000, &r);
    expect_reason(&r, SYMPTOM_memory_available, "the capture has a gap here");
    read_all(host, 70 * 60000, &r);
    expect_value(&r, SYMPTOM_memory_available, 11);
    struct host_pool pool;
    EXPECT_OK(host->ops->pool(host, after(70 * 60000), POOL, &pool, &why), &why);
    EXPECT_INT_EQ(HEALTH_BAD, pool.health);
    EXPECT_TEXT_HAS("\"503\" instead of 200 OK", pool.reason);
    EXPECT_UINT_EQ(77, pool.worker[0].pid);
    EXPECT_FALSE(pool.has_requests);
}

/* Why: counting events out of a file that is mostly garbage would give a number nobody should
 * trust. How: as many bad events as are borne beside a good one, then one more. */
TEST(replay, event_file_of_garbage_is_given_up)
{
    static const char good[] =
        "<Event><System><Provider Name='Tcpip'/><EventID>4227</EventID>"
        "<TimeCreated SystemTime='2024-02-29T12:00:00Z'/></System></Event>\n";
    for (size_t more = 0; more < 2; more++) {
        char *text = calloc(16384, 1);
        EXPECT_NOT_NULL(text);
        struct cas_text file = {.data = text, .cap = 16384};
        for (size_t i = 0; i < 1000 + more; i++)
            cas_text_add(&file, "<Event>&a;\n");
        cas_text_add(&file, "%s", good);
        test_write(test_path("events.xml"), text, strlen(text));
        free(text);
        struct host_replay_settings settings = settings_of(test_folder(), 1, true);
        CAS_AUTO(host) host = NULL;
        struct cas_why why = {""};
        EXPECT_OK(host_replay_open(&settings, opened, &host, &why), &why);
        struct readings r;
        read_all(host, 0, &r);
        if (more == 0)
            expect_value(&r, SYMPTOM_events_4227, 1);
        else
            expect_reason(&r,
                          SYMPTOM_events_4227,
                          "more than 1000 events cannot be read, the first: events.xml:1:8:");
    }
}

/* Why: translated counter names are told, not guessed; a bad file is named; speed has limits. */
TEST(replay, translated_counters_and_bad_settings_are_told)
{
    static const char text[] = "\"(PDH-CSV 4.0)\",\"\\Prozessor(_Total)\\Prozessorzeit "
                               "(%)\"\n\"02/29/2024 12:00:00.000\",\"4\"\n";
    test_write(test_path("counters.csv"), text, sizeof text - 1);
    struct host_replay_settings settings = settings_of(test_folder(), 1, true);
    struct cas_why why = {""};
    struct readings r;
    {
        CAS_AUTO(host) host = NULL;
        EXPECT_OK(host_replay_open(&settings, opened, &host, &why), &why);
        read_all(host, 0, &r);
        expect_reason(&r, SYMPTOM_cpu_pct, "none of 1 counters has a known (English) name");
    }
    test_write(test_path("counters.csv"), "hello\n", 6);
    CAS_AUTO(host) host = NULL;
    EXPECT_OK(host_replay_open(&settings, opened, &host, &why), &why);
    read_all(host, 0, &r);
    expect_reason(&r, SYMPTOM_cpu_pct, "counters.csv: no header");
    static const double bad[] = {0, -1, 1000001};
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        CAS_AUTO(host) never = NULL;
        settings.speed = bad[i];
        EXPECT_ERR(CAS_ERR_CONFIG, host_replay_open(&settings, opened, &never, &why));
    }
    settings.speed = 1000000;
    CAS_AUTO(host) fast = NULL;
    EXPECT_OK(host_replay_open(&settings, opened, &fast, &why), &why);
}
