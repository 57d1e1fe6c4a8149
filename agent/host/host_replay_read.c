#include "agent/host/host_replay.h"

#include <math.h>
#include <string.h>

enum {
    MBYTE = 1048576
};

/* Where a symptom's value comes from. */
enum source {
    SOURCE_WORKER,  /* a counter of the pool's newest worker */
    SOURCE_COUNTER, /* a counter of the server */
    SOURCE_NETSTAT,
    SOURCE_EVENTS,
    SOURCE_OTHER
};
struct symptom_source {
    enum symptom symptom;
    enum source source;
    enum capture_counter counter;
    const char *instance;
    const char *path; /* as a reason names it */
};
static const struct symptom_source sources[] = {
    {SYMPTOM_active_requests,
     SOURCE_WORKER,
     CAPTURE_WORKER_ACTIVE,
     NULL,
     "W3SVC_W3WP Active Requests"},
    {SYMPTOM_private_bytes,
     SOURCE_WORKER,
     CAPTURE_PROCESS_PRIVATE,
     NULL,
     "Process Private Bytes with ID Process"},
    {SYMPTOM_gc_time_pct,
     SOURCE_WORKER,
     CAPTURE_CLR_GC_TIME,
     NULL,
     ".NET CLR Memory % Time in GC with Process ID"},
    {SYMPTOM_close_wait, SOURCE_OTHER, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_ports_used, SOURCE_NETSTAT, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_ports_total, SOURCE_OTHER, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_ports_peer_most, SOURCE_NETSTAT, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_pings_pending,
     SOURCE_COUNTER,
     CAPTURE_EAS_PINGS,
     NULL,
     "MSExchange ActiveSync Ping Commands Pending"},
    {SYMPTOM_requests_per_s,
     SOURCE_COUNTER,
     CAPTURE_EAS_REQUESTS,
     NULL,
     "MSExchange ActiveSync Requests/sec"},
    {SYMPTOM_syncs_per_s,
     SOURCE_COUNTER,
     CAPTURE_EAS_SYNCS,
     NULL,
     "MSExchange ActiveSync Sync Commands/sec"},
    {SYMPTOM_working_set,
     SOURCE_WORKER,
     CAPTURE_PROCESS_WORKING,
     NULL,
     "Process Working Set with ID Process"},
    {SYMPTOM_handles,
     SOURCE_WORKER,
     CAPTURE_PROCESS_HANDLES,
     NULL,
     "Process Handle Count with ID Process"},
    {SYMPTOM_time_wait, SOURCE_NETSTAT, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_established,
     SOURCE_COUNTER,
     CAPTURE_TCP_ESTABLISHED,
     NULL,
     "TCPv4 Connections Established"},
    {SYMPTOM_memory_available,
     SOURCE_COUNTER,
     CAPTURE_MEMORY_BYTES,
     NULL,
     "Memory Available MBytes"},
    {SYMPTOM_cpu_pct, SOURCE_COUNTER, CAPTURE_CPU, "_Total", "Processor(_Total) % Processor Time"},
    {SYMPTOM_workers, SOURCE_OTHER, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_worker_age, SOURCE_OTHER, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_events_4227, SOURCE_EVENTS, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_events_4231, SOURCE_EVENTS, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_queue_rejected,
     SOURCE_COUNTER,
     CAPTURE_QUEUE_REJECTED,
     NULL,
     "HTTP Service Request Queues RejectedRequests"},
    {SYMPTOM_stranded_requests, SOURCE_OTHER, CAPTURE_OTHER, NULL, ""},
    {SYMPTOM_heap_bytes,
     SOURCE_WORKER,
     CAPTURE_CLR_HEAP,
     NULL,
     ".NET CLR Memory # Bytes in all Heaps with Process ID"},
};

static const char no_workers[] =
    "the pool's workers are not known: no W3SVC_W3WP counter and no WP line";

/* What one read stands on. */
struct reading_now {
    struct host_replay *replay;
    struct cas_now now;
    int64_t at_ms;
    const char *pool;
    struct capture_worker worker[CAPTURE_WORKERS];
    size_t worker_n;
    const struct replay_track *track; /* of the workers; NULL: known from appcmd or not at all */
};

static void say(struct host_reading *reading, const char *words)
{
    struct cas_text text = CAS_TEXT(reading->reason);
    cas_text_clear(&text);
    cas_text_add(&text, "%s", words);
}

static void know(struct host_reading *reading, double value)
{
    reading->is_known = true;
    reading->value = value;
    reading->reason[0] = '\0';
}

/* Why no track gives this counter. */
static void
say_no_counter(const struct reading_now *at, const char *path, struct host_reading *reading)
{
    struct cas_text text = CAS_TEXT(reading->reason);
    cas_text_clear(&text);
    bool has_row = false;
    size_t other_n = 0;
    size_t known_n = 0;
    for (size_t i = 0; i < at->replay->track_n; i++) {
        const struct replay_track *track = &at->replay->track[i];
        has_row = has_row || track->has_row;
        if (track->pdh == NULL)
            continue;
        other_n += capture_pdh_head(track->pdh)->other_n;
        known_n += capture_pdh_head(track->pdh)->column_n - capture_pdh_head(track->pdh)->other_n;
    }
    if (at->replay->track_n == 0)
        cas_text_add(&text, "counters.csv is not in the capture");
    else if (at->replay->track[0].file.reason[0] != '\0')
        cas_text_add(&text, "%s", at->replay->track[0].file.reason);
    else if (known_n == 0)
        cas_text_add(&text, "none of %zu counters has a known (English) name", other_n);
    else if (!has_row)
        cas_text_add(&text, "the capture has a gap here");
    else
        cas_text_add(&text, "%s is not in the capture", path);
}

static void say_missing(int64_t row_ms, struct host_reading *reading)
{
    struct cas_text text = CAS_TEXT(reading->reason);
    cas_text_clear(&text);
    cas_text_add(&text, "no value in the capture's row of ");
    cas_text_utc(&text, row_ms);
}

static void read_counter(const struct reading_now *at,
                         const struct symptom_source *source,
                         struct host_reading *reading)
{
    const char *instance = source->instance;
    if (source->symptom == SYMPTOM_queue_rejected)
        instance = at->pool;
    const struct replay_track *empty = NULL;
    const struct replay_track *best = NULL;
    double value = NAN;
    for (size_t i = 0; i < at->replay->track_n; i++) {
        const struct replay_track *track = &at->replay->track[i];
        bool is_memory = source->counter == CAPTURE_MEMORY_BYTES;
        if (!track->has_row || (!capture_pdh_has(track->pdh, source->counter) &&
                                !(is_memory && capture_pdh_has(track->pdh, CAPTURE_MEMORY_MBYTES))))
            continue;
        double found = capture_pdh_value(track->pdh, &track->row, source->counter, instance);
        if (!cas_is_number(found) && is_memory)
            found = capture_pdh_value(track->pdh, &track->row, CAPTURE_MEMORY_MBYTES, NULL) * MBYTE;
        empty = track;
        if (!cas_is_number(found) || (best != NULL && track->row.time_ms <= best->row.time_ms))
            continue;
        best = track;
        value = found;
    }
    if (best != NULL)
        know(reading, value);
    else if (empty != NULL)
        say_missing(empty->row.time_ms, reading);
    else
        say_no_counter(at, source->path, reading);
}

static void read_worker(const struct reading_now *at,
                        const struct symptom_source *source,
                        struct host_reading *reading)
{
    if (at->track == NULL) {
        say_no_counter(at, "W3SVC_W3WP Active Requests", reading);
        return;
    }
    if (at->worker_n == 0) {
        say(reading, "the pool has no worker in this row of the capture");
        return;
    }
    const struct capture_worker *newest = &at->worker[at->worker_n - 1];
    reading->pid = newest->pid;
    if (cas_is_number(newest->value[source->counter]))
        know(reading, newest->value[source->counter]);
    else if (capture_pdh_has(at->track->pdh, source->counter))
        say_missing(at->track->row.time_ms, reading);
    else
        say_no_counter(at, source->path, reading);
}

static void
read_netstat(const struct reading_now *at, enum symptom symptom, struct host_reading *reading)
{
    const struct host_replay *replay = at->replay;
    bool is_of_range = symptom == SYMPTOM_ports_used || symptom == SYMPTOM_ports_peer_most;
    if (replay->netstat.reason[0] != '\0')
        say(reading, replay->netstat.reason);
    else if (is_of_range && replay->ports.number == 0)
        say(reading, replay->netsh.reason);
    else if (symptom == SYMPTOM_ports_used)
        know(reading, (double)replay->sum->ports_used);
    else if (symptom == SYMPTOM_ports_peer_most)
        know(reading, (double)replay->sum->ports_peer_most);
    else if (symptom == SYMPTOM_time_wait)
        know(reading, (double)replay->sum->state_n[CAPTURE_STATE_TIME_WAIT]);
    else
        know(reading, (double)replay->sum->state_n[CAPTURE_STATE_ESTABLISHED]);
}

static void
read_events(const struct reading_now *at, enum symptom symptom, struct host_reading *reading)
{
    const struct host_replay *replay = at->replay;
    uint32_t id = symptom == SYMPTOM_events_4227 ? 4227 : 4231;
    if (replay->events_file.reason[0] != '\0') {
        say(reading, replay->events_file.reason);
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < replay->event_n; i++) {
        const struct replay_event *event = &replay->event[i];
        if (event->id == id && event->at_ms <= at->at_ms &&
            event->at_ms > at->at_ms - REPLAY_DAY_MS)
            count++;
    }
    know(reading, (double)count);
}

static bool is_among(const struct capture_worker *worker, size_t worker_n, uint32_t pid)
{
    for (size_t i = 0; i < worker_n; i++) {
        if (worker[i].pid == pid)
            return true;
    }
    return false;
}

/* The listing was taken once, as appcmd's was; the counters may show other workers by now. */
static void read_close_wait(const struct reading_now *at, struct host_reading *reading)
{
    const struct host_replay *replay = at->replay;
    if (replay->netstat.reason[0] != '\0') {
        say(reading, replay->netstat.reason);
        return;
    }
    if (!replay->sum->has_pid) {
        say(reading, "netstat.txt has no process ids (netstat -ano)");
        return;
    }
    struct capture_worker listed[CAPTURE_WORKERS];
    size_t listed_n = replay_appcmd_workers(replay, at->pool, listed);
    if (at->worker_n + listed_n == 0) {
        say(reading, no_workers);
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < replay->sum->owner_n; i++) {
        uint32_t pid = replay->sum->owner[i].pid;
        bool is_ours = is_among(listed, listed_n, pid) || is_among(at->worker, at->worker_n, pid);
        count += is_ours ? replay->sum->owner[i].close_wait_n : 0;
    }
    know(reading, (double)count);
}

static void read_stranded(const struct reading_now *at, struct host_reading *reading)
{
    const struct replay_file *file = &at->replay->appcmd;
    if (file->text == NULL) {
        say(reading, file->reason);
        return;
    }
    struct capture_stranded stranded;
    capture_appcmd_stranded(
        (struct capture_input){.file = "appcmd.txt",
                               .bytes = {.data = file->text, .size = file->size}},
        &stranded);
    if (stranded.request_n == 0)
        say(reading, "appcmd.txt holds no list of requests");
    else
        know(reading, (double)stranded.stranded_n);
}

static void read_age(const struct reading_now *at, struct host_reading *reading)
{
    if (at->track == NULL) {
        say_no_counter(at, "Process Elapsed Time with ID Process", reading);
        return;
    }
    if (at->worker_n == 0) {
        say(reading, "the pool has no worker in this row of the capture");
        return;
    }
    const struct capture_worker *newest = &at->worker[at->worker_n - 1];
    reading->pid = newest->pid;
    if (!cas_is_number(newest->value[CAPTURE_PROCESS_ELAPSED])) {
        say_no_counter(at, "Process Elapsed Time with ID Process", reading);
        return;
    }
    int64_t start_ms = replay_start_ms(at->replay, newest, at->track->row.time_ms);
    int64_t age_ms = at->now.wall_ms - replay_wall_ms(at->replay, start_ms, at->replay->loop);
    know(reading, age_ms > 0 ? (double)age_ms : 0);
}

static void
read_other(const struct reading_now *at, enum symptom symptom, struct host_reading *reading)
{
    const struct host_replay *replay = at->replay;
    if (symptom == SYMPTOM_close_wait)
        read_close_wait(at, reading);
    else if (symptom == SYMPTOM_stranded_requests)
        read_stranded(at, reading);
    else if (symptom == SYMPTOM_worker_age)
        read_age(at, reading);
    else if (symptom == SYMPTOM_ports_total && replay->ports.number > 0)
        know(reading, (double)replay->ports.number);
    else if (symptom == SYMPTOM_ports_total)
        say(reading, replay->netsh.reason);
    else if (at->track != NULL || at->worker_n > 0)
        know(reading, (double)at->worker_n);
    else
        say(reading, no_workers);
}

static void read_one(const struct reading_now *at,
                     const struct symptom_source *source,
                     struct host_reading *reading)
{
    *reading = (struct host_reading){.symptom = source->symptom};
    switch (source->source) {
    case SOURCE_WORKER:
        read_worker(at, source, reading);
        break;
    case SOURCE_COUNTER:
        read_counter(at, source, reading);
        if (source->symptom == SYMPTOM_established && !reading->is_known &&
            at->replay->netstat.reason[0] == '\0')
            read_netstat(at, source->symptom, reading);
        break;
    case SOURCE_NETSTAT:
        read_netstat(at, source->symptom, reading);
        break;
    case SOURCE_EVENTS:
        read_events(at, source->symptom, reading);
        break;
    case SOURCE_OTHER:
        read_other(at, source->symptom, reading);
        break;
    }
}

enum cas_err replay_read(struct host *host,
                         struct cas_now now,
                         const char *pool,
                         struct host_reading *ret_reading,
                         size_t cap,
                         size_t *ret_n,
                         struct cas_why *why)
{
    (void)why;
    struct reading_now at = {.replay = (struct host_replay *)host, .now = now, .pool = pool};
    at.at_ms = replay_move(at.replay, now);
    at.worker_n = replay_workers(at.replay, pool, at.worker, &at.track);
    size_t n = 0;
    for (size_t i = 0; i < CAS_COUNT(sources) && n < cap; i++)
        read_one(&at, &sources[i], &ret_reading[n++]);
    *ret_n = n;
    return CAS_OK;
}

/* ---- facts ---- */

struct fact_list {
    struct host_fact *fact;
    size_t cap;
    size_t n;
};

/* A value, or NULL and the reason. */
static void add_fact(struct fact_list *list, const char *key, const char *value, const char *reason)
{
    if (list->n == list->cap)
        return;
    struct host_fact *fact = &list->fact[list->n++];
    *fact = (struct host_fact){.is_known = value != NULL};
    struct cas_text key_text = CAS_TEXT(fact->key);
    struct cas_text value_text = CAS_TEXT(fact->value);
    struct cas_text reason_text = CAS_TEXT(fact->reason);
    cas_text_add(&key_text, "%s", key);
    cas_text_add(&value_text, "%s", value != NULL ? value : "");
    cas_text_add(&reason_text, "%s", value != NULL ? "" : reason);
}

static void add_exchange(const struct host_replay *replay, struct fact_list *list)
{
    const struct capture_exchange *exchange = &replay->exchange;
    const char *reason = replay->exsetup.reason;
    if (reason[0] == '\0' && !exchange->has_file)
        reason = "exsetup.txt holds the directory's version only, which shows no updates";
    if (!exchange->has_file) {
        add_fact(list, "exchange.build", NULL, reason);
        add_fact(list, "exchange.product", NULL, reason);
        return;
    }
    char build[64];
    struct cas_text text = CAS_TEXT(build);
    cas_text_clear(&text);
    capture_build_text(&exchange->file, &text);
    add_fact(list, "exchange.build", build, "");
    add_fact(list,
             "exchange.product",
             capture_product(&exchange->file),
             "no product has this version");
}

static void add_ports(const struct host_replay *replay, struct fact_list *list)
{
    char first[16];
    char number[16];
    struct cas_text first_text = CAS_TEXT(first);
    struct cas_text number_text = CAS_TEXT(number);
    cas_text_clear(&first_text);
    cas_text_clear(&number_text);
    cas_text_add(&first_text, "%u", (unsigned)replay->ports.first);
    cas_text_add(&number_text, "%u", (unsigned)replay->ports.number);
    bool is_known = replay->ports.number > 0;
    add_fact(list, "ports.start", is_known ? first : NULL, replay->netsh.reason);
    add_fact(list, "ports.n", is_known ? number : NULL, replay->netsh.reason);
}

/* What could not be read must be told as plainly as what could. */
static void add_counts(struct fact_list *list,
                       const char *key,
                       const char *reason,
                       size_t count,
                       size_t refused_n,
                       const char *refused)
{
    char words[256];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    cas_text_add(&text,
                 "%zu read, %zu refused%s%s",
                 count,
                 refused_n,
                 refused_n > 0 ? ": " : "",
                 refused);
    add_fact(list, key, reason[0] == '\0' ? words : NULL, reason);
}

static void add_captures(const struct host_replay *replay, struct fact_list *list)
{
    for (size_t i = 0; i < replay->track_n; i++) {
        const struct replay_track *track = &replay->track[i];
        char key[CAS_NAME_BYTES];
        struct cas_text text = CAS_TEXT(key);
        cas_text_clear(&text);
        cas_text_add(&text, "capture.%s", track->name);
        add_counts(list, key, track->file.reason, track->row_n, track->refused_n, track->refused);
    }
    add_counts(list,
               "capture.events.xml",
               replay->events_file.reason,
               replay->event_n,
               replay->event_refused_n + replay->event_dropped_n,
               replay->event_refused);
    size_t row_n = replay->sum != NULL ? replay->sum->row_n : 0;
    size_t refused_n = replay->sum != NULL ? replay->sum->refused_n : 0;
    const char *refused = replay->sum != NULL ? replay->sum->refused.text : "";
    add_counts(list, "capture.netstat.txt", replay->netstat.reason, row_n, refused_n, refused);
    if (replay->item_refused_n > 0)
        add_fact(list, "capture.appcmd.txt", NULL, replay->item_refused);
}

enum cas_err replay_facts(struct host *host,
                          struct cas_now now,
                          struct host_fact *ret_fact,
                          size_t cap,
                          size_t *ret_n,
                          struct cas_why *why)
{
    (void)now;
    (void)why;
    const struct host_replay *replay = (const struct host_replay *)host;
    struct fact_list list = {.fact = ret_fact, .cap = cap};
    char name[256] = "";
    struct cas_text text = CAS_TEXT(name);
    if (replay->computer[0] != '\0') {
        cas_text_add(&text, "%s", replay->computer);
    } else if (replay->track_n > 0 && replay->track[0].pdh != NULL &&
               capture_pdh_head(replay->track[0].pdh)->column_n > 0) {
        struct cas_slice host_name = capture_pdh_head(replay->track[0].pdh)->column[0].host;
        cas_text_add(&text, "%.*s", (int)host_name.size, host_name.size > 0 ? host_name.data : "");
    }
    add_fact(&list, "host.kind", "replay", "");
    add_fact(&list,
             "host.name",
             name[0] != '\0' ? name : NULL,
             "neither the events nor the counters name the server");
    add_exchange(replay, &list);
    add_fact(&list, "exchange.roles", NULL, "a capture does not show the roles");
    add_fact(&list, "os.name", NULL, "a capture does not show the system");
    add_ports(replay, &list);
    add_captures(replay, &list);
    *ret_n = list.n;
    return CAS_OK;
}
