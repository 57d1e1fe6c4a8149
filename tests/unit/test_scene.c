#include "tests/unit/test.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "agent/host/scene.h"

#define POOL "MSExchangeSyncAppPool"

static const int64_t noon_ms = 1790000000000; /* 2026-09-21 */

/* ---- a healthy server ---- */

struct stage {
    struct scene scene;
    struct scene_counters counters;
    struct scene_states states;
    struct capture_netstat_sum sum;
};

static void counter(struct stage *stage, enum capture_counter kind, const char *name, double value)
{
    struct scene_counter *row = &stage->counters.row[stage->counters.row_n++];
    struct cas_text text = CAS_TEXT(row->instance);
    *row = (struct scene_counter){.kind = kind, .value = value};
    cas_text_add(&text, "%s", name);
}

static void copy(char *ret_text, size_t cap, const char *words)
{
    EXPECT_OK(cas_slice_copy(cas_slice_of(words), ret_text, cap), NULL);
}
#define COPY(array, words) copy((array), sizeof(array), (words))

/* Two workers in overlap, 4120 the older; everything is known. Caller frees. */
static struct stage *stage_begin(void)
{
    struct stage *stage = calloc(1, sizeof *stage);
    EXPECT_NOT_NULL(stage);
    struct scene *scene = &stage->scene;
    scene->pool = POOL;
    scene->wall_ms = noon_ms;
    scene->worker_n = 2;
    for (size_t i = 0; i < 2; i++)
        scene->worker[i] = (struct scene_worker){.pid = i == 0 ? 4120 : 7788,
                                                 .start_ms = noon_ms - (i == 0 ? 90000 : 60000),
                                                 .private_bytes = 3e9 + (double)i,
                                                 .working_set_bytes = 2e9 + (double)i,
                                                 .handles = 2000 + (double)i};
    scene->memory = (struct scene_memory){.available_bytes = 8e9, .total_bytes = 6.4e10};
    scene->ports = (struct capture_ports){.first = 6005, .number = 59530};
    scene->counters = &stage->counters;
    scene->states = &stage->states;
    scene->sockets = &stage->sum;
    scene->exchange = (struct scene_exchange){.has_file = true,
                                              .file = "15.1.2507.39",
                                              .has_registry = true,
                                              .registry = "15.1.2507.6",
                                              .has_mailbox = true,
                                              .has_cas = true};
    COPY(scene->system.host_name, "LON-CAS01.contoso.com");
    COPY(scene->system.os_name, "Windows Server 2016 Standard 10.0.14393");
    for (size_t i = 0; i < SCENE_PROBES; i++) {
        scene->probe[i].status = 200;
        COPY(scene->probe[i].body, "200 OK<br/>LON-CAS01.contoso.com");
    }
    scene->probe_seq = 7;
    counter(stage, CAPTURE_WORKER_ACTIVE, "4120_" POOL, 911);
    counter(stage, CAPTURE_WORKER_ACTIVE, "7788_" POOL, 12);
    counter(stage, CAPTURE_PROCESS_PID, "w3wp", 4120);
    counter(stage, CAPTURE_PROCESS_PID, "w3wp#1", 7788);
    counter(stage, CAPTURE_PROCESS_PRIVATE, "w3wp", 1);
    counter(stage, CAPTURE_PROCESS_PRIVATE, "w3wp#1", 2);
    counter(stage, CAPTURE_CLR_PID, "w3wp", 7788); /* the other numbering */
    counter(stage, CAPTURE_CLR_PID, "w3wp#1", 4120);
    counter(stage, CAPTURE_CLR_GC_TIME, "w3wp", 4.5);
    counter(stage, CAPTURE_CLR_GC_TIME, "w3wp#1", 60);
    counter(stage, CAPTURE_CLR_HEAP, "w3wp", 1e9);
    counter(stage, CAPTURE_CLR_HEAP, "w3wp#1", 9e9);
    counter(stage, CAPTURE_CPU, "_Total", 35);
    counter(stage, CAPTURE_QUEUE_REJECTED, POOL, 3);
    counter(stage, CAPTURE_EAS_PINGS, "", 900);
    counter(stage, CAPTURE_EAS_REQUESTS, "", 20.5);
    counter(stage, CAPTURE_EAS_SYNCS, "", 6);
    return stage;
}

static struct host_reading reading_of(const struct stage *stage, enum symptom symptom)
{
    struct host_reading reading[SYMPTOM_END];
    size_t n = 0;
    scene_read(&stage->scene, reading, CAS_COUNT(reading), &n);
    for (size_t i = 0; i < n; i++) {
        if (reading[i].symptom != symptom)
            continue;
        EXPECT_TRUE(reading[i].is_known == (reading[i].reason[0] == '\0'));
        return reading[i];
    }
    test_fail(TEST_PLACE("symptom"), "no reading of symptom %d", (int)symptom);
}

static void expect_value(const struct stage *stage, enum symptom symptom, double value)
{
    struct host_reading reading = reading_of(stage, symptom);
    EXPECT_TEXT_EQ("", reading.reason);
    EXPECT_NEAR(value, reading.value, 1e-9);
}

static void expect_reason(const struct stage *stage, enum symptom symptom, const char *part)
{
    struct host_reading reading = reading_of(stage, symptom);
    EXPECT_FALSE(reading.is_known);
    EXPECT_TEXT_HAS(part, reading.reason);
}

/* ---- readings ---- */

/* Why: Process and .NET CLR Memory number w3wp each its own way; a value of the old worker under
 * the new one's name would hide the leak. How: the numbers are crossed, the newest is 7788. */
TEST(scene, counters_of_the_newest_worker_are_found_by_its_pid)
{
    struct stage *stage = stage_begin();
    expect_value(stage, SYMPTOM_active_requests, 12);
    expect_value(stage, SYMPTOM_gc_time_pct, 4.5);
    expect_value(stage, SYMPTOM_heap_bytes, 1e9);
    expect_value(stage, SYMPTOM_private_bytes, 3e9 + 1);
    expect_value(stage, SYMPTOM_workers, 2);
    expect_value(stage, SYMPTOM_worker_age, 60000);
    EXPECT_UINT_EQ(7788, reading_of(stage, SYMPTOM_gc_time_pct).pid);
    free(stage);
}

/* Why: the controller compares symptoms of many servers; one without a line would look healthy.
 * How: nothing at all is known. */
TEST(scene, every_symptom_has_a_reading_or_a_reason)
{
    struct stage *stage = calloc(1, sizeof *stage);
    EXPECT_NOT_NULL(stage);
    stage->scene.pool = POOL;
    struct host_reading reading[64];
    size_t n = 0;
    scene_read(&stage->scene, reading, CAS_COUNT(reading), &n);
    EXPECT_UINT_EQ(23, n);
    for (size_t i = 0; i < n; i++)
        EXPECT_TRUE(reading[i].is_known || reading[i].reason[0] != '\0');
    scene_read(&stage->scene, reading, 5, &n);
    EXPECT_UINT_EQ(5, n);
    free(stage);
}

/* Why: PDH hands over what the provider wrote, and providers write nonsense while a process ends.
 * How: each bound from both sides. */
TEST(scene, a_number_that_cannot_be_is_a_reason)
{
    static const double bad[] = {-1, NAN, INFINITY, -INFINITY, 1e300, SCENE_REQUESTS_MOST + 1.0};
    struct stage *stage = stage_begin();
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        stage->counters.row[1].value = bad[i];
        struct host_reading reading = reading_of(stage, SYMPTOM_active_requests);
        EXPECT_FALSE(reading.is_known);
    }
    stage->counters.row[1].value = SCENE_REQUESTS_MOST;
    expect_value(stage, SYMPTOM_active_requests, SCENE_REQUESTS_MOST);
    stage->counters.row[1].value = NAN;
    expect_reason(stage, SYMPTOM_active_requests, "W3SVC_W3WP Active Requests: no value in this");
    stage->counters.row[8].value = 100.5;
    expect_reason(stage, SYMPTOM_gc_time_pct, "100.5 is no measurement (0 to 100)");
    stage->scene.memory.available_bytes = -1;
    expect_reason(stage, SYMPTOM_memory_available, "");
    stage->scene.worker[1].private_bytes = (double)SCENE_GIB_MOST * 1073741824.0 + 1e6;
    expect_reason(stage, SYMPTOM_private_bytes, "is no measurement");
    stage->scene.worker[1].handles = SCENE_HANDLES_MOST + 1.0;
    expect_reason(stage, SYMPTOM_handles, "is no measurement");
    free(stage);
}

/* Why: a clock set back must not make a worker of minus three hours, nor one of ten years. */
TEST(scene, a_start_in_the_future_is_no_age)
{
    struct stage *stage = stage_begin();
    stage->scene.worker[1].start_ms = noon_ms + SCENE_AHEAD_MS_MOST;
    expect_value(stage, SYMPTOM_worker_age, 0);
    stage->scene.worker[1].start_ms = noon_ms + SCENE_AHEAD_MS_MOST + 1;
    expect_reason(stage, SYMPTOM_worker_age, "the clock was set back");
    stage->scene.worker[1].start_ms = noon_ms - (int64_t)SCENE_AGE_DAYS_MOST * 86400000;
    expect_value(stage, SYMPTOM_worker_age, SCENE_AGE_DAYS_MOST * 86400000.0);
    stage->scene.worker[1].start_ms--;
    expect_reason(stage, SYMPTOM_worker_age, "is no measurement");
    free(stage);
}

/* Why: between two samples a process ends and its counters go; the reading says so instead of
 * taking a neighbour's. */
TEST(scene, a_counter_that_vanished_is_a_reason)
{
    struct stage *stage = stage_begin();
    stage->counters.row[6].value = 4711; /* .NET's w3wp is another process now */
    expect_reason(stage, SYMPTOM_gc_time_pct, "no instance has the worker's process id");
    stage->counters.row[7].value = 7788;
    expect_value(stage, SYMPTOM_gc_time_pct, 60);
    stage->counters.row[6].value = 7788;
    expect_reason(stage, SYMPTOM_gc_time_pct, "two instances claim the same process");
    stage->counters.row[1].kind = CAPTURE_CPU;
    expect_reason(stage, SYMPTOM_active_requests, "no instance of this worker in this sample");
    copy(stage->counters.absent[CAPTURE_EAS_PINGS].text, REASON_BYTES, "PdhAddEnglishCounterW: x");
    stage->counters.row[14].kind = CAPTURE_CPU;
    expect_reason(stage, SYMPTOM_pings_pending, "PdhAddEnglishCounterW: x");
    free(stage);
}

/* Why: PDH arrays repeat a name without its number; only their order tells instances apart. How:
 * two w3wp without numbers, then one of them missing in one of the two counters. */
TEST(scene, instances_of_one_name_are_told_apart_by_their_order)
{
    struct stage *stage = stage_begin();
    double value = 0;
    struct scene_reason reason = {""};
    stage->counters.row_n = 0;
    counter(stage, CAPTURE_CLR_PID, "w3wp", 4120);
    counter(stage, CAPTURE_CLR_PID, "w3wp", 7788);
    counter(stage, CAPTURE_CLR_GC_TIME, "w3wp", 60);
    counter(stage, CAPTURE_CLR_GC_TIME, "w3wp", 4.5);
    EXPECT_TRUE(scene_counter_of(&stage->counters, CAPTURE_CLR_GC_TIME, 7788, &value, &reason));
    EXPECT_NEAR(4.5, value, 0);
    EXPECT_TRUE(scene_counter_of(&stage->counters, CAPTURE_CLR_GC_TIME, 4120, &value, &reason));
    EXPECT_NEAR(60, value, 0);
    stage->counters.row_n = 3;
    EXPECT_FALSE(scene_counter_of(&stage->counters, CAPTURE_CLR_GC_TIME, 7788, &value, &reason));
    EXPECT_TEXT_HAS("cannot be told apart", reason.text);
    free(stage);
}

/* Why: with ProcessNameFormat set, .NET's names hold the process id themselves. */
TEST(scene, names_with_a_pid_are_taken_at_their_word)
{
    struct stage *stage = stage_begin();
    stage->counters.row_n = 0;
    counter(stage, CAPTURE_CLR_GC_TIME, "w3wp_p4120_r11", 60);
    counter(stage, CAPTURE_CLR_GC_TIME, "w3wp_p7788_r12", 4.5);
    expect_value(stage, SYMPTOM_gc_time_pct, 4.5);
    free(stage);
}

/* Why: a worker whose pool cannot be read may be ours; a count without it is too low. */
TEST(scene, workers_that_cannot_be_read_are_no_zero)
{
    struct stage *stage = stage_begin();
    stage->scene.unread_n = 1;
    expect_reason(stage, SYMPTOM_workers, "of 1 worker processes the pool could not be read");
    expect_reason(stage, SYMPTOM_close_wait, "could not be read");
    expect_value(stage, SYMPTOM_active_requests, 12);
    stage->scene.worker_n = 0;
    expect_reason(stage, SYMPTOM_active_requests, "could not be read");
    struct host_pool pool;
    scene_pool(&stage->scene, &pool);
    EXPECT_INT_EQ(HEALTH_UNKNOWN, pool.health);
    stage->scene.unread_n = 0;
    expect_value(stage, SYMPTOM_workers, 0);
    expect_value(stage, SYMPTOM_close_wait, 0);
    expect_reason(stage, SYMPTOM_active_requests, "the pool has no worker process now");
    scene_pool(&stage->scene, &pool);
    EXPECT_INT_EQ(HEALTH_GOOD, pool.health);
    free(stage);
}

/* ---- the TCP table ---- */

static struct scene_socket
row_of(enum capture_state state, uint16_t local, uint8_t peer, uint16_t remote, uint32_t pid)
{
    return (struct scene_socket){.local = {10, 0, 0, 1},
                                 .remote = {10, 0, 0, peer},
                                 .local_port = local,
                                 .remote_port = remote,
                                 .state = state,
                                 .pid = pid};
}

/* Why: exhaustion is counted in ports of the real range, and the agent must not see itself. How: a
 * range of two ports, rows at both edges and beside them. */
TEST(scene, sockets_are_summed_within_the_real_range)
{
    struct scene_socket row[] = {
        row_of(CAPTURE_STATE_CLOSE_WAIT, 6004, 9, 444, 4120),
        row_of(CAPTURE_STATE_CLOSE_WAIT, 6005, 9, 444, 4120),
        row_of(CAPTURE_STATE_CLOSE_WAIT, 6005, 8, 444, 7788),
        row_of(CAPTURE_STATE_ESTABLISHED, 6006, 9, 444, 4),
        row_of(CAPTURE_STATE_ESTABLISHED, 6007, 9, 444, 4),
        row_of(CAPTURE_STATE_TIME_WAIT, 6006, 9, 445, 0),
        row_of(CAPTURE_STATE_ESTABLISHED, 6005, 9, 444, 555),
        row_of(CAPTURE_STATE_CLOSE_WAIT, 6005, 9, 444, 31),
    };
    row[3].is_ipv6 = false;
    struct stage *stage = stage_begin();
    struct cas_why why = {""};
    stage->scene.ports = (struct capture_ports){.first = 6005, .number = 2};
    EXPECT_OK(scene_sockets_sum(row, CAS_COUNT(row), stage->scene.ports, 555, &stage->sum, &why),
              &why);
    expect_value(stage, SYMPTOM_close_wait, 3);
    expect_value(stage, SYMPTOM_ports_used, 2);
    expect_value(stage, SYMPTOM_ports_peer_most, 3);
    expect_value(stage, SYMPTOM_time_wait, 1);
    expect_value(stage, SYMPTOM_established, 2);
    expect_value(stage, SYMPTOM_ports_total, 2);
    COPY(stage->scene.no_ports.text, "netsh: no answer");
    expect_reason(stage, SYMPTOM_ports_used, "netsh: no answer");
    expect_reason(stage, SYMPTOM_ports_total, "netsh: no answer");
    expect_value(stage, SYMPTOM_time_wait, 1);
    COPY(stage->scene.no_sockets.text, "GetExtendedTcpTable: error 8");
    expect_reason(stage, SYMPTOM_close_wait, "error 8");
    expect_reason(stage, SYMPTOM_established, "TCPv4 Connections Established");
    free(stage);
}

/* Why: an IPv6 row holds no IPv4 port; a state outside the enum comes from a newer Windows. */
TEST(scene, sockets_of_ipv6_and_strange_states_are_no_ports)
{
    struct scene_socket row[2] = {row_of(CAPTURE_STATE_ESTABLISHED, 6005, 9, 444, 4),
                                  row_of((enum capture_state)99, 6006, 9, 444, 4)};
    row[0].is_ipv6 = true;
    struct capture_netstat_sum sum;
    EXPECT_OK(scene_sockets_sum(row, 2, (struct capture_ports){6005, 10}, 0, &sum, NULL), NULL);
    EXPECT_UINT_EQ(1, sum.ports_used);
    EXPECT_UINT_EQ(1, sum.state_n[CAPTURE_STATE_ESTABLISHED]);
    EXPECT_UINT_EQ(1, sum.state_n[CAPTURE_STATE_UNKNOWN]);
    EXPECT_OK(scene_sockets_sum(NULL, 0, (struct capture_ports){6005, 10}, 0, &sum, NULL), NULL);
    EXPECT_UINT_EQ(0, sum.row_n);
}

/* ---- health ---- */

static enum pool_health health_of(const struct stage *stage, const char *part)
{
    struct host_pool pool;
    scene_pool(&stage->scene, &pool);
    EXPECT_TEXT_HAS(part, pool.reason);
    EXPECT_TRUE((pool.health == HEALTH_GOOD) == (pool.reason[0] == '\0'));
    return pool.health;
}

/* Why: a probe answered by a neighbour through a balancer proves nothing about this server. */
TEST(scene, health_needs_the_name_of_this_very_server)
{
    struct stage *stage = stage_begin();
    struct scene_probe *front = &stage->scene.probe[SCENE_FRONT];
    EXPECT_INT_EQ(HEALTH_GOOD, health_of(stage, ""));
    COPY(front->body, "200 OK<br/>lon-cas01.CONTOSO.com\r\n");
    EXPECT_INT_EQ(HEALTH_GOOD, health_of(stage, ""));
    COPY(front->body, "200 OK<br/>LON-CAS01");
    EXPECT_INT_EQ(HEALTH_GOOD, health_of(stage, ""));
    COPY(front->body, "200 OK<br/>LON-CAS02.contoso.com");
    EXPECT_INT_EQ(HEALTH_BAD, health_of(stage, "answered by LON-CAS02.contoso.com"));
    COPY(front->body, "200 OK<br/>LON-CAS01.fabrikam.com");
    EXPECT_INT_EQ(HEALTH_BAD, health_of(stage, "answered by"));
    COPY(front->body, "200 OK<br/>LON-CAS011");
    EXPECT_INT_EQ(HEALTH_BAD, health_of(stage, "answered by LON-CAS011"));
    COPY(front->body, "200 OK");
    EXPECT_INT_EQ(HEALTH_BAD, health_of(stage, "instead of 200 OK and a name"));
    COPY(front->body, "<html>\x01\xff</html>");
    EXPECT_INT_EQ(HEALTH_BAD,
                  health_of(stage,
                            "<html>?"
                            "?</html>"));
    COPY(front->body, "200 OK<br/>LON-CAS01.contoso.com");
    COPY(stage->scene.system.host_name, "");
    EXPECT_INT_EQ(HEALTH_UNKNOWN, health_of(stage, "own name is not known"));
    free(stage);
}

/* Why: both halves of the server must answer; a page the back end never had is no illness. */
TEST(scene, health_asks_both_halves)
{
    struct stage *stage = stage_begin();
    struct scene_probe *back = &stage->scene.probe[SCENE_BACK];
    back->status = 503;
    EXPECT_INT_EQ(HEALTH_BAD, health_of(stage, "healthcheck.htm of 444: 503"));
    back->status = 0;
    COPY(back->reason.text, "connection refused (12029)");
    EXPECT_INT_EQ(HEALTH_BAD, health_of(stage, "healthcheck.htm of 444: connection refused"));
    back->status = 404;
    EXPECT_INT_EQ(HEALTH_GOOD, health_of(stage, ""));
    stage->scene.exchange.has_mailbox = false;
    back->status = 503;
    EXPECT_INT_EQ(HEALTH_GOOD, health_of(stage, ""));
    stage->scene.exchange.has_mailbox = true;
    stage->scene.exchange.has_cas = false;
    stage->scene.probe[SCENE_FRONT].status = 503;
    back->status = 200;
    EXPECT_INT_EQ(HEALTH_GOOD, health_of(stage, ""));
    back->status = 404;
    EXPECT_INT_EQ(HEALTH_UNKNOWN, health_of(stage, "healthcheck.htm of 444: 404"));
    stage->scene.exchange.has_cas = true;
    EXPECT_INT_EQ(HEALTH_BAD, health_of(stage, "healthcheck.htm of 443: 503"));
    stage->scene.probe[SCENE_FRONT].status = 404;
    EXPECT_INT_EQ(HEALTH_BAD, health_of(stage, "healthcheck.htm of 443: 404"));
    COPY(stage->scene.no_probe.text, "no probe has ended yet");
    EXPECT_INT_EQ(HEALTH_UNKNOWN, health_of(stage, "no probe has ended yet"));
    free(stage);
}

/* ---- states ---- */

static void
state(struct stage *stage, const char *component, const char *requester, const char *value)
{
    scene_states_add(&stage->states, component, requester, cas_slice_of(value));
}

/* Why: what others hold inactive is never ours to clear, and keeps us from acting. */
TEST(scene, states_of_others_are_maintenance_and_ours_are_drained)
{
    struct stage *stage = stage_begin();
    struct host_pool pool;
    state(stage, "ActiveSyncProxy", SCENE_REQUESTER, "1:0:639000000000000000");
    state(stage, "PopProxy", "HealthApi", "1:0:639000000000000000");
    state(stage, "ServerWideOffline", "Functional", "1:1:639000000000000000");
    stage->scene.is_drain_ours = true;
    scene_pool(&stage->scene, &pool);
    EXPECT_TRUE(pool.is_drained);
    EXPECT_TEXT_EQ("", pool.maintenance);
    EXPECT_UINT_EQ(7, pool.probe_seq);
    EXPECT_UINT_EQ(7788, pool.worker[1].pid);
    EXPECT_NEAR(12, pool.active_requests, 0);
    stage->scene.is_drain_ours = false;
    scene_pool(&stage->scene, &pool);
    EXPECT_FALSE(pool.is_drained);
    EXPECT_TEXT_EQ("ActiveSyncProxy inactive by " SCENE_REQUESTER, pool.maintenance);
    state(stage, "ServerWideOffline", "Maintenance", "1:0:0");
    scene_pool(&stage->scene, &pool);
    EXPECT_TEXT_HAS("ServerWideOffline inactive by Maintenance, ActiveSync", pool.maintenance);
    COPY(stage->scene.no_states.text, "access denied");
    scene_pool(&stage->scene, &pool);
    EXPECT_TEXT_HAS("component states not known: access denied", pool.maintenance);
    free(stage);
}

/* Why: mail that drains means that somebody takes this server out of service. */
TEST(scene, draining_transport_is_maintenance)
{
    struct stage *stage = stage_begin();
    struct host_pool pool;
    state(stage, "HubTransport", "Maintenance", "1:2:639000000000000000");
    EXPECT_UINT_EQ(0, stage->states.refused_n);
    scene_pool(&stage->scene, &pool);
    EXPECT_TEXT_EQ("HubTransport inactive by Maintenance", pool.maintenance);
    free(stage);
}

/* Why: an unknown state number may well be a draining server. How: refused rows, and one too many.
 */
TEST(scene, a_state_that_cannot_be_read_is_told)
{
    struct stage *stage = stage_begin();
    struct host_pool pool;
    state(stage, "HubTransport", "Maintenance", "1:3:639000000000000000");
    state(stage, "EwsProxy", "Maintenance", "nonsense");
    EXPECT_UINT_EQ(2, stage->states.refused_n);
    scene_pool(&stage->scene, &pool);
    EXPECT_TEXT_HAS("2 states not readable, HubTransport by Maintenance: \"1:3:", pool.maintenance);
    for (size_t i = 0; i < SCENE_STATES; i++)
        state(stage, "OwaProxy", "Maintenance", "1:1:0");
    EXPECT_UINT_EQ(SCENE_STATES, stage->states.row_n);
    EXPECT_UINT_EQ(2, stage->states.refused_n);
    state(stage, "OwaProxy", "Maintenance", "1:1:0");
    EXPECT_UINT_EQ(3, stage->states.refused_n);
    free(stage);
}

/* Why: a drain of ours that no row shows any more would be forgotten, and never ended. How: every
 * place is taken by states that decide nothing, then those that decide come, and one more. */
TEST(scene, states_that_decide_are_kept_however_many_others_there_are)
{
    struct stage *stage = stage_begin();
    struct host_pool pool;
    for (size_t i = 0; i < SCENE_STATES; i++)
        state(stage, "OwaProxy", "Maintenance", "1:1:0");
    state(stage, "activesyncproxy", SCENE_REQUESTER, "1:0:639000000000000000");
    state(stage, "ServerWideOffline", "Maintenance", "1:0:639000000000000000");
    EXPECT_UINT_EQ(SCENE_STATES, stage->states.row_n);
    EXPECT_UINT_EQ(2, stage->states.refused_n);
    EXPECT_TEXT_EQ("OwaProxy by Maintenance: more than 64 states", stage->states.refused.text);
    stage->scene.is_drain_ours = true;
    scene_pool(&stage->scene, &pool);
    EXPECT_TRUE(pool.is_drained);
    EXPECT_TEXT_HAS("ServerWideOffline inactive by Maintenance", pool.maintenance);
    for (size_t i = 0; i < SCENE_STATES; i++)
        state(stage, "ActiveSyncProxy", "Functional", "1:1:0");
    EXPECT_UINT_EQ(SCENE_STATES, stage->states.row_n);
    EXPECT_UINT_EQ(2 + SCENE_STATES, stage->states.refused_n);
    free(stage);
}

/* Why: Exchange's setup reads these values too; a wrong one would be taken by the newest-wins rule.
 */
TEST(scene, states_are_parsed_strictly_and_written_as_read)
{
    static const struct {
        const char *value;
        enum cas_err err;
    } bad[] = {
        {"", CAS_ERR_FORMAT},
        {"1", CAS_ERR_FORMAT},
        {"1:0", CAS_ERR_FORMAT},
        {"1:0:", CAS_ERR_FORMAT},
        {"1::5", CAS_ERR_FORMAT},
        {":0:5", CAS_ERR_FORMAT},
        {"1:0:5:", CAS_ERR_FORMAT},
        {"1:0:-5", CAS_ERR_FORMAT},
        {"1:-1:5", CAS_ERR_FORMAT},
        {"1:0:5 ", CAS_ERR_FORMAT},
        {"2:0:5", CAS_ERR_VERSION},
        {"1:3:5", CAS_ERR_RANGE},
        {"1:0:3155378976000000000", CAS_ERR_RANGE},
        {"1:0:99999999999999999999", CAS_ERR_FORMAT},
    };
    bool is_active = true;
    int64_t at_ms = 1;
    struct cas_why why = {""};
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_ERR(bad[i].err,
                   scene_state_parse(cas_slice_of(bad[i].value), &is_active, &at_ms, &why));
    EXPECT_TEXT_HAS("is no state such as", why.text);
    EXPECT_OK(scene_state_parse(cas_slice_of("1:0:3155378975999999999"), &is_active, &at_ms, &why),
              &why);
    EXPECT_FALSE(is_active);
    EXPECT_INT_EQ(253402300799999, at_ms);
    char text[64];
    struct cas_text out = CAS_TEXT(text);
    cas_text_clear(&out);
    scene_state_text(true, 0, &out);
    EXPECT_TEXT_EQ("1:1:621355968000000000", text); /* .NET's ticks of 1970-01-01 */
    cas_text_clear(&out);
    scene_state_text(false, noon_ms, &out);
    EXPECT_OK(scene_state_parse(cas_slice_of(text), &is_active, &at_ms, &why), &why);
    EXPECT_FALSE(is_active);
    EXPECT_INT_EQ(noon_ms, at_ms);
}

/* Why: while Exchange's setup runs, nothing else may touch the server. */
TEST(scene, a_running_setup_is_maintenance)
{
    struct stage *stage = stage_begin();
    struct host_pool pool;
    stage->scene.exchange.is_setup_running = true;
    scene_pool(&stage->scene, &pool);
    EXPECT_TEXT_HAS("Exchange's setup is running", pool.maintenance);
    free(stage);
}

/* ---- command lines ---- */

/* Why: the pool's name decides which process is watched and proved to be new. */
TEST(scene, the_pool_is_taken_out_of_a_command_line)
{
    static const struct {
        const char *line;
        const char *pool;
    } good[] = {
        {"c:\\windows\\system32\\inetsrv\\w3wp.exe -ap \"" POOL "\" -v \"v4.0\" -c \"x y\" "
         "-a \\\\.\\pipe\\iisipm1 -h \"C:\\a b\\\" -w \"\" -m 0",
         POOL},
        {"w3wp.exe -ap MSExchangeSyncAppPool", POOL},
        {"\"C:\\a b\\w3wp.exe\" -v v4.0 -AP \"Pool (old)_2\"", "Pool (old)_2"},
        {"w3wp.exe\t-ap\t\"a\"\"b\" x", "a\"b"},
        {"w3wp.exe -ap a\\\"b", "a\"b"},
        {"w3wp.exe -ap \"a\\\\\" -v", "a\\"},
        {"w3wp.exe -ap \"-ap\"", "-ap"},
        {"-ap -ap real", "real"},
        {"w3wp.exe -ap \"Stra\xc3\x9f"
         "e\"",
         "Stra\xc3\x9f"
         "e"},
    };
    for (size_t i = 0; i < CAS_COUNT(good); i++) {
        char pool[POOL_BYTES] = "";
        struct cas_why why = {""};
        EXPECT_OK(scene_command_pool(cas_slice_of(good[i].line), pool, &why), &why);
        EXPECT_TEXT_EQ(good[i].pool, pool);
    }
}

TEST(scene, a_command_line_without_a_pool_is_refused)
{
    static const struct {
        const char *line;
        enum cas_err err;
    } bad[] = {
        {"", CAS_ERR_NOT_FOUND},
        {"w3wp.exe", CAS_ERR_NOT_FOUND},
        {"-ap", CAS_ERR_NOT_FOUND},
        {"w3wp.exe -apx Pool", CAS_ERR_NOT_FOUND},
        {"w3wp.exe \"x -ap Pool\"", CAS_ERR_NOT_FOUND},
        {"w3wp.exe -ap", CAS_ERR_FORMAT},
        {"w3wp.exe -ap \"\" -v", CAS_ERR_FORMAT},
        {"w3wp.exe -ap \"Pool", CAS_ERR_FORMAT},
        {"w3wp.exe -ap \"Po\nol\"", CAS_ERR_FORMAT},
    };
    char pool[POOL_BYTES] = "kept";
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_ERR(bad[i].err, scene_command_pool(cas_slice_of(bad[i].line), pool, NULL));
    char line[POOL_BYTES + 32] = "w3wp.exe -ap ";
    size_t head = strlen(line);
    memset(line + head, 'p', POOL_BYTES);
    EXPECT_ERR(CAS_ERR_TOO_LONG, scene_command_pool(cas_slice_of(line), pool, NULL));
    EXPECT_TEXT_EQ("kept", pool);
    line[head + POOL_BYTES - 1] = '\0';
    EXPECT_OK(scene_command_pool(cas_slice_of(line), pool, NULL), NULL);
    EXPECT_UINT_EQ(POOL_BYTES - 1, strlen(pool));
}

/* ---- appcmd ---- */

/* Why: requests older than the longest heartbeat are the leak itself; an answer that is no list
 * must not become a zero. */
TEST(scene, stranded_requests_are_counted_or_refused)
{
    static const char list[] =
        "REQUEST \"fb0000008000000e\" (url:POST /Microsoft-Server-ActiveSync/default.eas?Cmd=Ping, "
        "time:3540001 msec, client:10.0.0.9)\r\n"
        "REQUEST \"fb0000008000000f\" (url:POST /Microsoft-Server-ActiveSync/default.eas?Cmd=Ping, "
        "time:3540000 msec, client:10.0.0.9)\r\n"
        "REQUEST \"fb00000080000010\" (url:GET /owa/, time:9999999 msec, client:10.0.0.9)\r\n";
    static const char error[] = "ERROR ( message:The WAS service is not available. )\r\n";
    uint64_t stranded_n = 99;
    struct cas_why why = {""};
    struct capture_input input = {.file = "appcmd", .bytes = cas_slice_of(list)};
    EXPECT_OK(scene_stranded(input, &stranded_n, &why), &why);
    EXPECT_UINT_EQ(1, stranded_n);
    input.bytes = cas_slice_of("");
    EXPECT_OK(scene_stranded(input, &stranded_n, &why), &why);
    EXPECT_UINT_EQ(0, stranded_n);
    input.bytes = cas_slice_of(error);
    EXPECT_ERR(CAS_ERR_FORMAT, scene_stranded(input, &stranded_n, &why));
    EXPECT_TEXT_HAS("The WAS service is not available", why.text);
}

/* ---- facts ---- */

static const struct host_fact *fact_of(const struct host_fact *fact, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(fact[i].key, key) == 0)
            return &fact[i];
    }
    return NULL;
}

/* Why: an update that went half through looks like another build, depending on where one looks. */
TEST(scene, facts_tell_the_server_and_what_does_not_fit)
{
    struct stage *stage = stage_begin();
    static struct host_fact fact[HOST_FACTS];
    size_t n = 0;
    scene_facts(&stage->scene, fact, CAS_COUNT(fact), &n);
    EXPECT_TRUE(n < HOST_FACTS - 12); /* room for a line per source */
    EXPECT_TEXT_EQ("windows", fact_of(fact, n, "host.kind")->value);
    EXPECT_TEXT_EQ("15.1.2507.39", fact_of(fact, n, "exchange.build")->value);
    EXPECT_TEXT_EQ("Exchange 2016", fact_of(fact, n, "exchange.product")->value);
    EXPECT_TEXT_EQ("both", fact_of(fact, n, "exchange.roles")->value);
    EXPECT_TEXT_EQ("6005", fact_of(fact, n, "ports.start")->value);
    EXPECT_TEXT_EQ("64000000000", fact_of(fact, n, "ram.bytes")->value);
    EXPECT_TEXT_EQ("no", fact_of(fact, n, "reboot.pending")->value);
    EXPECT_NULL(fact_of(fact, n, "exchange.mismatch"));
    COPY(stage->scene.exchange.registry, "15.1.2375.7");
    scene_facts(&stage->scene, fact, CAS_COUNT(fact), &n);
    EXPECT_TEXT_HAS("registry says 15.1.2375.7, ExSetup.exe is 15.1.2507.39",
                    fact_of(fact, n, "exchange.mismatch")->value);
    stage->scene.exchange.has_file = false;
    COPY(stage->scene.exchange.missing.text, "ExSetup.exe: error 2");
    scene_facts(&stage->scene, fact, CAS_COUNT(fact), &n);
    EXPECT_FALSE(fact_of(fact, n, "exchange.build")->is_known);
    EXPECT_TEXT_EQ("ExSetup.exe: error 2; the registry says 15.1.2375.7",
                   fact_of(fact, n, "exchange.build")->reason);
    COPY(stage->scene.no_exchange.text, "no Exchange 2013 or later");
    scene_facts(&stage->scene, fact, CAS_COUNT(fact), &n);
    EXPECT_TEXT_EQ("no Exchange 2013 or later", fact_of(fact, n, "exchange.roles")->reason);
    scene_facts(&stage->scene, fact, 3, &n);
    EXPECT_UINT_EQ(3, n);
    free(stage);
}

/* Why: a recycling schedule somebody left behind explains restarts at night. */
TEST(scene, facts_tell_settings_somebody_left)
{
    struct stage *stage = stage_begin();
    static struct host_fact fact[HOST_FACTS];
    size_t n = 0;
    stage->scene.settings = (struct capture_settings){.has_restart_time_ms = true,
                                                      .restart_time_ms = 104400000,
                                                      .has_restart_requests = true,
                                                      .schedule_n = 2};
    scene_facts(&stage->scene, fact, CAS_COUNT(fact), &n);
    EXPECT_TEXT_EQ("29:00:00", fact_of(fact, n, "pool.restart.time")->value);
    EXPECT_TEXT_EQ("off", fact_of(fact, n, "pool.restart.requests")->value);
    EXPECT_TEXT_EQ("2", fact_of(fact, n, "pool.restart.schedules")->value);
    EXPECT_NULL(fact_of(fact, n, "pool.overlap"));
    free(stage);
}
