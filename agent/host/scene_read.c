#include "agent/host/scene.h"

#include <math.h>
#include <string.h>

static const double gib_bytes = 1073741824.0;
static const double mib_bytes = 1048576.0;
static const double day_ms = 86400000.0;

/* ---- one reading ---- */

static void say(struct host_reading *reading, const char *words)
{
    struct cas_text text = CAS_TEXT(reading->reason);
    cas_text_clear(&text);
    cas_text_add(&text, "%s", words);
    scene_clean(reading->reason);
}

/* A value that can be one; else the reason names it and its bounds. */
static void know(struct host_reading *reading, double value, double most)
{
    struct cas_text text = CAS_TEXT(reading->reason);
    cas_text_clear(&text);
    reading->is_known = cas_is_number(value) && value >= 0 && value <= most;
    if (reading->is_known)
        reading->value = value;
    else if (cas_is_number(value))
        cas_text_add(&text, "%.6g is no measurement (0 to %.6g)", value, most);
    else
        cas_text_add(&text, "the value is no number");
}

static double bytes_most(void)
{
    return (double)SCENE_GIB_MOST * gib_bytes;
}

static void read_counter(const struct scene *scene,
                         enum capture_counter kind,
                         const char *instance,
                         double unit,
                         double most,
                         struct host_reading *reading)
{
    double value = 0;
    struct scene_reason reason = {""};
    if (scene->no_counters.text[0] != '\0' || scene->counters == NULL)
        say(reading, scene->no_counters.text);
    else if (scene_counter(scene->counters, kind, instance, &value, &reason))
        know(reading, value * unit, most);
    else
        say(reading, reason.text);
}

/* ---- the pool's workers ---- */

/* Why there is no newest worker; false: there is one. */
static bool has_no_worker(const struct scene *scene, struct scene_reason *ret_reason)
{
    struct cas_text text = CAS_TEXT(ret_reason->text);
    cas_text_clear(&text);
    if (scene->no_workers.text[0] != '\0')
        cas_text_add(&text, "%s", scene->no_workers.text);
    else if (scene->worker_n > 0)
        return false;
    else if (scene->unread_n > 0)
        cas_text_add(&text, "of %zu worker processes the pool could not be read", scene->unread_n);
    else
        cas_text_add(&text, "the pool has no worker process now");
    return true;
}

static const struct scene_worker *newest_of(const struct scene *scene)
{
    return &scene->worker[scene->worker_n - 1];
}

static void read_worker_counter(const struct scene *scene,
                                enum capture_counter kind,
                                double most,
                                struct host_reading *reading)
{
    double value = 0;
    struct scene_reason reason = {""};
    if (has_no_worker(scene, &reason)) {
        say(reading, reason.text);
        return;
    }
    reading->pid = newest_of(scene)->pid;
    if (scene->no_counters.text[0] != '\0' || scene->counters == NULL)
        say(reading, scene->no_counters.text);
    else if (scene_counter_of(scene->counters, kind, reading->pid, &value, &reason))
        know(reading, value, most);
    else
        say(reading, reason.text);
}

/* What the process itself tells; where it does not, the counter. */
static void read_worker_memory(const struct scene *scene,
                               enum capture_counter kind,
                               double most,
                               struct host_reading *reading)
{
    struct scene_reason reason = {""};
    if (has_no_worker(scene, &reason)) {
        say(reading, reason.text);
        return;
    }
    const struct scene_worker *newest = newest_of(scene);
    double value = kind == CAPTURE_PROCESS_PRIVATE   ? newest->private_bytes
                   : kind == CAPTURE_PROCESS_WORKING ? newest->working_set_bytes
                                                     : newest->handles;
    if (!cas_is_number(value))
        read_worker_counter(scene, kind, most, reading);
    else
        know(reading, value, most);
    reading->pid = newest->pid;
    if (!reading->is_known && !cas_is_number(value) && newest->memory.text[0] != '\0')
        say(reading, newest->memory.text);
}

static void read_age(const struct scene *scene, struct host_reading *reading)
{
    struct scene_reason reason = {""};
    if (has_no_worker(scene, &reason)) {
        say(reading, reason.text);
        return;
    }
    const struct scene_worker *newest = newest_of(scene);
    double age_ms = (double)scene->wall_ms - (double)newest->start_ms;
    reading->pid = newest->pid;
    if (age_ms < -(double)SCENE_AHEAD_MS_MOST)
        say(reading, "the worker's start lies in the future: the clock was set back");
    else
        know(reading, age_ms > 0 ? age_ms : 0, (double)SCENE_AGE_DAYS_MOST * day_ms);
}

/* Both counts would be too low by a worker whose pool is not known. */
static bool has_all_workers(const struct scene *scene, struct host_reading *reading)
{
    if (scene->no_workers.text[0] != '\0') {
        say(reading, scene->no_workers.text);
        return false;
    }
    if (scene->unread_n == 0)
        return true;
    struct cas_text text = CAS_TEXT(reading->reason);
    cas_text_clear(&text);
    cas_text_add(&text, "of %zu worker processes the pool could not be read", scene->unread_n);
    return false;
}

/* ---- the TCP table ---- */

static void read_close_wait(const struct scene *scene, struct host_reading *reading)
{
    const struct capture_netstat_sum *sum = scene->sockets;
    if (!has_all_workers(scene, reading))
        return;
    if (sum->row_n > 0 && !sum->has_pid) {
        say(reading, "the TCP table names no owners");
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < scene->worker_n; i++) {
        size_t at = 0;
        while (at < sum->owner_n && sum->owner[at].pid != scene->worker[i].pid)
            at++;
        if (at < sum->owner_n)
            count += sum->owner[at].close_wait_n;
        else if (sum->owner_n == CAPTURE_OWNERS) {
            say(reading, "too many processes hold CLOSE_WAIT connections");
            return;
        }
    }
    know(reading, (double)count, CAPTURE_SOCKETS);
}

static void
read_sockets(const struct scene *scene, enum symptom symptom, struct host_reading *reading)
{
    const struct capture_netstat_sum *sum = scene->sockets;
    bool is_of_range = symptom == SYMPTOM_ports_used || symptom == SYMPTOM_ports_peer_most;
    if (scene->no_sockets.text[0] != '\0' || sum == NULL)
        say(reading, scene->no_sockets.text);
    else if (symptom == SYMPTOM_close_wait)
        read_close_wait(scene, reading);
    else if (is_of_range && scene->no_ports.text[0] != '\0')
        say(reading, scene->no_ports.text);
    else if (symptom == SYMPTOM_ports_used)
        know(reading, (double)sum->ports_used, CAPTURE_SOCKETS);
    else if (symptom == SYMPTOM_ports_peer_most)
        know(reading, (double)sum->ports_peer_most, CAPTURE_SOCKETS);
    else if (symptom == SYMPTOM_time_wait)
        know(reading, (double)sum->state_n[CAPTURE_STATE_TIME_WAIT], CAPTURE_SOCKETS);
    else
        know(reading, (double)sum->state_n[CAPTURE_STATE_ESTABLISHED], CAPTURE_SOCKETS);
}

/* TCPv4's counter takes CLOSE_WAIT for established and the agent's own sockets too: second best. */
static void read_established(const struct scene *scene, struct host_reading *reading)
{
    read_sockets(scene, SYMPTOM_established, reading);
    if (!reading->is_known)
        read_counter(scene, CAPTURE_TCP_ESTABLISHED, "", 1, CAPTURE_SOCKETS, reading);
}

/* ---- the server ---- */

static void read_told(const struct scene_reason *reason,
                      double value,
                      double most,
                      struct host_reading *reading)
{
    if (reason->text[0] != '\0')
        say(reading, reason->text);
    else
        know(reading, value, most);
}

static void read_memory(const struct scene *scene, struct host_reading *reading)
{
    read_told(&scene->no_memory, scene->memory.available_bytes, bytes_most(), reading);
    if (!reading->is_known)
        read_counter(scene, CAPTURE_MEMORY_BYTES, "", 1, bytes_most(), reading);
    if (!reading->is_known)
        read_counter(scene, CAPTURE_MEMORY_MBYTES, "", mib_bytes, bytes_most(), reading);
}

static void
read_server(const struct scene *scene, enum symptom symptom, struct host_reading *reading)
{
    if (symptom == SYMPTOM_ports_total)
        read_told(&scene->no_ports, (double)scene->ports.number, 65536, reading);
    else if (symptom == SYMPTOM_events_4227)
        read_told(&scene->no_events_4227, (double)scene->events_4227, SCENE_EVENTS_MOST, reading);
    else if (symptom == SYMPTOM_events_4231)
        read_told(&scene->no_events_4231, (double)scene->events_4231, SCENE_EVENTS_MOST, reading);
    else if (symptom == SYMPTOM_stranded_requests)
        read_told(&scene->no_stranded, (double)scene->stranded_n, SCENE_REQUESTS_MOST, reading);
    else if (symptom == SYMPTOM_memory_available)
        read_memory(scene, reading);
    else if (symptom == SYMPTOM_worker_age)
        read_age(scene, reading);
    else if (has_all_workers(scene, reading))
        know(reading, (double)scene->worker_n, HOST_WORKERS);
}

static void read_rate(const struct scene *scene, enum symptom symptom, struct host_reading *reading)
{
    if (symptom == SYMPTOM_pings_pending)
        read_counter(scene, CAPTURE_EAS_PINGS, "", 1, SCENE_REQUESTS_MOST, reading);
    else if (symptom == SYMPTOM_requests_per_s)
        read_counter(scene, CAPTURE_EAS_REQUESTS, "", 1, SCENE_PER_S_MOST, reading);
    else if (symptom == SYMPTOM_syncs_per_s)
        read_counter(scene, CAPTURE_EAS_SYNCS, "", 1, SCENE_PER_S_MOST, reading);
    else if (symptom == SYMPTOM_cpu_pct)
        read_counter(scene, CAPTURE_CPU, "_Total", 1, 100, reading);
    else
        read_counter(scene, CAPTURE_QUEUE_REJECTED, scene->pool, 1, (double)UINT32_MAX, reading);
}

static void read_one(const struct scene *scene, enum symptom symptom, struct host_reading *reading)
{
    switch (symptom) {
    case SYMPTOM_active_requests:
        read_worker_counter(scene, CAPTURE_WORKER_ACTIVE, SCENE_REQUESTS_MOST, reading);
        return;
    case SYMPTOM_gc_time_pct:
        read_worker_counter(scene, CAPTURE_CLR_GC_TIME, 100, reading);
        return;
    case SYMPTOM_heap_bytes:
        read_worker_counter(scene, CAPTURE_CLR_HEAP, bytes_most(), reading);
        return;
    case SYMPTOM_private_bytes:
        read_worker_memory(scene, CAPTURE_PROCESS_PRIVATE, bytes_most(), reading);
        return;
    case SYMPTOM_working_set:
        read_worker_memory(scene, CAPTURE_PROCESS_WORKING, bytes_most(), reading);
        return;
    case SYMPTOM_handles:
        read_worker_memory(scene, CAPTURE_PROCESS_HANDLES, SCENE_HANDLES_MOST, reading);
        return;
    case SYMPTOM_close_wait:
    case SYMPTOM_ports_used:
    case SYMPTOM_ports_peer_most:
    case SYMPTOM_time_wait:
        read_sockets(scene, symptom, reading);
        return;
    case SYMPTOM_established:
        read_established(scene, reading);
        return;
    case SYMPTOM_pings_pending:
    case SYMPTOM_requests_per_s:
    case SYMPTOM_syncs_per_s:
    case SYMPTOM_cpu_pct:
    case SYMPTOM_queue_rejected:
        read_rate(scene, symptom, reading);
        return;
    case SYMPTOM_ports_total:
    case SYMPTOM_memory_available:
    case SYMPTOM_workers:
    case SYMPTOM_worker_age:
    case SYMPTOM_events_4227:
    case SYMPTOM_events_4231:
    case SYMPTOM_stranded_requests:
        read_server(scene, symptom, reading);
        return;
    case SYMPTOM_NONE:
    case SYMPTOM_END:
        break;
    }
}

void scene_read(const struct scene *scene,
                struct host_reading *ret_reading,
                size_t cap,
                size_t *ret_n)
{
    static const enum symptom symptoms[] = {
#define SYMPTOM(name, number, unit, words) SYMPTOM_##name,
#include "proto/wire/symptoms.def"
#undef SYMPTOM
    };
    size_t n = 0;
    for (size_t i = 0; i < CAS_COUNT(symptoms) && n < cap; i++) {
        struct host_reading *reading = &ret_reading[n++];
        *reading = (struct host_reading){.symptom = symptoms[i]};
        read_one(scene, symptoms[i], reading);
        if (!reading->is_known && reading->reason[0] == '\0')
            say(reading, "not read yet");
    }
    *ret_n = n;
}

/* ---- the pool ---- */

static void pool_health(const struct scene *scene, struct host_pool *pool)
{
    struct scene_reason reason = {""};
    struct cas_text text = CAS_TEXT(pool->reason);
    cas_text_clear(&text);
    pool->health = HEALTH_UNKNOWN;
    if (scene->no_probe.text[0] != '\0') {
        cas_text_add(&text, "%s", scene->no_probe.text);
        return;
    }
    bool has_roles = scene->no_exchange.text[0] == '\0';
    bool has_back = has_roles && scene->exchange.has_mailbox;
    bool has_front = !has_back || scene->exchange.has_cas;
    const char *host_name = scene->no_system.text[0] == '\0' ? scene->system.host_name : "";
    for (size_t i = 0; i < SCENE_PROBES; i++) {
        if (!(i == SCENE_FRONT ? has_front : has_back))
            continue;
        enum pool_health health = scene_probe_judge(&scene->probe[i], i, host_name, &reason);
        /* The back end's silence about its page says nothing once the front end has answered. */
        bool is_silent = i == SCENE_BACK && has_front && health == HEALTH_UNKNOWN;
        if (is_silent)
            continue;
        pool->health = health;
        cas_text_clear(&text);
        cas_text_add(&text, "%s", reason.text);
        if (health != HEALTH_GOOD)
            return;
    }
}

/* Components whose absence means that somebody works on this server, or keeps clients off it.
 * Others are inactive on many healthy servers (a POP3 proxy nobody uses). */
static const char *const maintained[] = {
    "ServerWideOffline",
    SCENE_COMPONENT,
    "HubTransport",
    "HighAvailability",
};

static void pool_states(const struct scene *scene, struct host_pool *pool)
{
    struct cas_text text = CAS_TEXT(pool->maintenance);
    cas_text_clear(&text);
    pool->is_drain_unknown =
        scene->no_states.text[0] != '\0' || scene->states == NULL || scene->states->refused_n > 0;
    if (scene->no_states.text[0] != '\0' || scene->states == NULL) {
        cas_text_add(&text, "component states not known: %s", scene->no_states.text);
        return;
    }
    const struct scene_states *states = scene->states;
    for (size_t i = 0; i < CAS_COUNT(maintained); i++) {
        for (size_t at = 0; at < states->row_n; at++) {
            const struct scene_state *row = &states->row[at];
            if (row->is_active || !capture_same(cas_slice_of(row->component), maintained[i]))
                continue;
            if (scene->is_drain_ours &&
                capture_same(cas_slice_of(row->component), SCENE_COMPONENT) &&
                capture_same(cas_slice_of(row->requester), SCENE_REQUESTER))
                pool->is_drained = true;
            else
                cas_text_add(&text,
                             "%s%s inactive by %s",
                             text.used > 0 ? ", " : "",
                             row->component,
                             row->requester);
        }
    }
    if (scene->no_exchange.text[0] == '\0' && scene->exchange.is_setup_running)
        cas_text_add(&text, "%sExchange's setup is running", text.used > 0 ? ", " : "");
    if (states->refused_n > 0)
        cas_text_add(&text,
                     "%s%zu states not readable, %s",
                     text.used > 0 ? ", " : "",
                     states->refused_n,
                     states->refused.text);
}

void scene_pool(const struct scene *scene, struct host_pool *ret_pool)
{
    struct host_reading active = {.symptom = SYMPTOM_active_requests};
    struct scene_reason reason = {""};
    *ret_pool = (struct host_pool){.health = HEALTH_UNKNOWN, .probe_seq = scene->probe_seq};
    for (size_t i = 0; i < scene->worker_n; i++)
        ret_pool->worker[i] = (struct host_worker){.pid = scene->worker[i].pid,
                                                   .start_ms = scene->worker[i].start_ms};
    ret_pool->worker_n = scene->worker_n;
    pool_health(scene, ret_pool);
    pool_states(scene, ret_pool);
    /* Workers that cannot be seen cannot be proved to be new. */
    bool is_blind =
        has_no_worker(scene, &reason) && (scene->no_workers.text[0] != '\0' || scene->unread_n > 0);
    if (is_blind && ret_pool->health == HEALTH_GOOD) {
        struct cas_text text = CAS_TEXT(ret_pool->reason);
        cas_text_clear(&text);
        cas_text_add(&text, "%s", reason.text);
        ret_pool->health = HEALTH_UNKNOWN;
    }
    scene_clean(ret_pool->reason);
    scene_clean(ret_pool->maintenance);
    read_one(scene, SYMPTOM_active_requests, &active);
    ret_pool->has_requests = active.is_known;
    ret_pool->active_requests = active.is_known ? active.value : 0;
}
