#include "agent/host/host_windows.h"

#include <stdlib.h>
#include <string.h>

/* Every source has its own pace, and none is asked before it is due, however often a caller looks.
 * What takes time (tools, health pages) is begun in one look and looked at in the next ones. What
 * cannot be begun, as it is one call of Windows, has its pace widened by what it cost the last
 * time.
 */
enum source {
    SOURCE_WORKERS,
    SOURCE_MEMORY,
    SOURCE_STATES,
    SOURCE_PROBES,
    SOURCE_COUNTERS,
    SOURCE_SOCKETS,
    SOURCE_EVENTS,
    SOURCE_EXCHANGE,
    SOURCE_SYSTEM,
    SOURCE_REQUESTS, /* tools from here on */
    SOURCE_SETTINGS,
    SOURCE_PORTS,
    SOURCE_N
};
struct pace {
    const char *name;
    int64_t period_ms;   /* from begin to begin */
    int64_t brisk_ms;    /* the same while an act is in hand, and a while after */
    int64_t widest_ms;   /* of a call that takes long */
    int64_t deadline_ms; /* of what is begun; 0: a call that ends by itself */
};
static const struct pace paces[SOURCE_N] = {
    [SOURCE_WORKERS] = {"workers", 400, 400, 2000, 0}, /* what proof is made of */
    [SOURCE_MEMORY] = {"memory", 2000, 2000, 60000, 0},
    [SOURCE_STATES] = {"states", 4500, 400, 4500, 0},
    [SOURCE_PROBES] = {"probes", 4500, 900, 4500, 5000},
    [SOURCE_COUNTERS] = {"counters", 2000, 2000, 60000, 0},
    [SOURCE_SOCKETS] = {"sockets", 10000, 10000, 600000, 0},
    [SOURCE_EVENTS] = {"events", 60000, 60000, 600000, 0},
    [SOURCE_EXCHANGE] = {"exchange", 30000, 30000, 600000, 0},
    [SOURCE_SYSTEM] = {"system", 60000, 60000, 600000, 0},
    [SOURCE_REQUESTS] = {"requests", 60000, 60000, 60000, 20000},
    [SOURCE_SETTINGS] = {"settings", 600000, 600000, 600000, 20000},
    [SOURCE_PORTS] = {"ports", 3600000, 3600000, 3600000, 20000},
};

enum {
    WIDEN = 10,             /* a call may take this part of the time */
    SLOW_MS = 1000,         /* one that is told as slow */
    PROBE_GOOD_MS = 15000,  /* what a probe saw counts so long from its begin */
    BRISK_MS = 600000,      /* after an act, or a change of the worker */
    TOOL_AGAIN_MS = 120000, /* after a tool that failed, where its pace is slower */
    ARGUMENTS = 8,
    ARGUMENT_BYTES = POOL_BYTES + 32
};

static const char *const probe_urls[SCENE_PROBES] = {
    [SCENE_FRONT] = "https://127.0.0.1/Microsoft-Server-ActiveSync/healthcheck.htm",
    [SCENE_BACK] = "https://127.0.0.1:444/Microsoft-Server-ActiveSync/healthcheck.htm",
};

struct source_now {
    int64_t next_ms; /* monotonic; 0: at once */
    int64_t begun_ms;
    int64_t took_ms;
    struct scene_reason reason; /* of its last failure, "" none */
    bool has_run;
};
/* The health pages being asked for. */
struct round {
    struct windows_probe *probe[SCENE_PROBES];
    struct scene_probe seen[SCENE_PROBES];
    bool is_over[SCENE_PROBES];
    bool is_running;
    int64_t begun_ms;
};
struct host_windows {
    struct host host;
    struct host_windows_settings settings;
    struct source_now source[SOURCE_N];
    struct scene scene;
    struct scene_counters counters;
    struct scene_states states;
    struct capture_netstat_sum sockets;
    struct windows_pdh *pdh;
    struct round round;
    int64_t probed_ms; /* when the round that counts began */
    struct windows_tool *tool;
    enum source tool_source;
    int64_t tool_begun_ms;
    struct windows_act *act;
    int64_t act_end_ms; /* monotonic; no act holds up the next one longer */
    bool is_acting;
    int64_t brisk_until_ms;
    uint32_t self_pid;
};

/* ---- pace ---- */

static bool is_due(const struct host_windows *windows, enum source source, struct cas_now now)
{
    return now.mono_ms >= windows->source[source].next_ms;
}

/* A source was asked: when it may be again, and what it said. Returns whether it went well. */
static bool source_end(struct host_windows *windows,
                       enum source source,
                       struct cas_now begun,
                       enum cas_err err,
                       const struct cas_why *why)
{
    struct source_now *state = &windows->source[source];
    struct cas_text text = CAS_TEXT(state->reason.text);
    cas_text_clear(&text);
    state->has_run = true;
    state->begun_ms = begun.mono_ms;
    state->took_ms = clock_now().mono_ms - begun.mono_ms;
    bool is_brisk = windows->is_acting || begun.mono_ms < windows->brisk_until_ms;
    int64_t least_ms = is_brisk ? paces[source].brisk_ms : paces[source].period_ms;
    int64_t period_ms = state->took_ms * WIDEN;
    if (period_ms > paces[source].widest_ms)
        period_ms = paces[source].widest_ms;
    state->next_ms = begun.mono_ms + (period_ms > least_ms ? period_ms : least_ms);
    if (err == CAS_OK)
        return true;
    cas_text_add(&text, "%s", why->text[0] != '\0' ? why->text : cas_err_words(err));
    scene_clean(state->reason.text);
    return false;
}

static void say(struct scene_reason *reason, const char *words)
{
    struct cas_text text = CAS_TEXT(reason->text);
    cas_text_clear(&text);
    cas_text_add(&text, "%s", words);
}

/* ---- health pages ---- */

static void round_end(struct round *round)
{
    for (size_t i = 0; i < SCENE_PROBES; i++) {
        windows_probe_free(round->probe[i]);
        round->probe[i] = NULL;
    }
    round->is_running = false;
}

/* What is under way may have seen the server as it was before: it is given up, and asked again at
 * once. What was seen earlier counts no more. */
static void round_spoil(struct host_windows *windows, const char *words, struct cas_now now)
{
    round_end(&windows->round);
    windows->source[SOURCE_PROBES].next_ms = 0;
    windows->source[SOURCE_STATES].next_ms = 0;
    windows->brisk_until_ms = now.mono_ms + BRISK_MS;
    say(&windows->scene.no_probe, words);
}

static void round_begin(struct host_windows *windows, struct cas_now now)
{
    struct round *round = &windows->round;
    int64_t deadline_ms = now.mono_ms + paces[SOURCE_PROBES].deadline_ms;
    struct cas_why why = {""};
    enum cas_err err = CAS_OK;
    memset(round, 0, sizeof *round);
    round->begun_ms = now.mono_ms;
    for (size_t i = 0; i < SCENE_PROBES && err == CAS_OK; i++)
        err = windows_probe_start(probe_urls[i], deadline_ms, &round->probe[i], &why);
    round->is_running = err == CAS_OK;
    if (source_end(windows, SOURCE_PROBES, now, err, &why))
        return;
    round_end(round);
    windows->scene.no_probe = windows->source[SOURCE_PROBES].reason;
}

static void round_look(struct host_windows *windows, struct cas_now now)
{
    struct round *round = &windows->round;
    bool is_over = true;
    for (size_t i = 0; i < SCENE_PROBES; i++) {
        struct cas_why why = {""};
        if (round->is_over[i])
            continue;
        enum cas_err err =
            windows_probe_poll(round->probe[i], now, &round->is_over[i], &round->seen[i], &why);
        if (err != CAS_OK) {
            round->is_over[i] = true;
            round->seen[i] = (struct scene_probe){.status = 0};
            say(&round->seen[i].reason, why.text);
        }
        is_over = is_over && round->is_over[i];
    }
    if (!is_over)
        return;
    round_end(round);
    memcpy(windows->scene.probe, round->seen, sizeof round->seen);
    windows->scene.probe_seq++;
    windows->probed_ms = round->begun_ms;
    windows->scene.no_probe.text[0] = '\0';
}

/* What a probe saw is told in the first look after it; when none ends any more, it gets too old. */
static void see_probes(struct host_windows *windows, struct cas_now now)
{
    if (windows->round.is_running)
        round_look(windows, now);
    if (!windows->round.is_running && is_due(windows, SOURCE_PROBES, now))
        round_begin(windows, now);
    bool has_result = windows->scene.no_probe.text[0] == '\0';
    if (has_result && now.mono_ms - windows->probed_ms > PROBE_GOOD_MS)
        say(&windows->scene.no_probe, "the last probe of the health page is too old");
}

/* ---- calls ---- */

static void see_workers(struct host_windows *windows, struct cas_now now)
{
    struct scene *scene = &windows->scene;
    struct scene_worker before = {.pid = 0};
    struct cas_why why = {""};
    if (!is_due(windows, SOURCE_WORKERS, now))
        return;
    if (scene->worker_n > 0)
        before = scene->worker[scene->worker_n - 1];
    bool had_run = windows->source[SOURCE_WORKERS].has_run;
    enum cas_err err = windows_workers(windows->settings.pool,
                                       scene->worker,
                                       &scene->worker_n,
                                       &scene->unread_n,
                                       &why);
    if (!source_end(windows, SOURCE_WORKERS, now, err, &why))
        scene->worker_n = scene->unread_n = 0;
    scene->no_workers = windows->source[SOURCE_WORKERS].reason;
    struct scene_worker newest = {.pid = 0};
    if (scene->worker_n > 0)
        newest = scene->worker[scene->worker_n - 1];
    if (had_run && (newest.pid != before.pid || newest.start_ms != before.start_ms)) {
        round_spoil(windows, "no probe since the pool's worker changed", now);
        windows_pdh_again(windows->pdh);
    }
}

static void see_states(struct host_windows *windows, struct cas_now now)
{
    struct scene *scene = &windows->scene;
    char others[REASON_BYTES];
    struct cas_why why = {""};
    if (!is_due(windows, SOURCE_STATES, now))
        return;
    enum cas_err err = windows_states(&windows->states, &why);
    if (err == CAS_OK)
        err = windows_is_drained_by_us(&windows->states, &scene->is_drain_ours, others, &why);
    (void)source_end(windows, SOURCE_STATES, now, err, &why);
    scene->no_states = windows->source[SOURCE_STATES].reason;
}

static void see_memory(struct host_windows *windows, struct cas_now now)
{
    struct cas_why why = {""};
    if (!is_due(windows, SOURCE_MEMORY, now))
        return;
    enum cas_err err = windows_memory(&windows->scene.memory, &why);
    (void)source_end(windows, SOURCE_MEMORY, now, err, &why);
    windows->scene.no_memory = windows->source[SOURCE_MEMORY].reason;
}

static void see_counters(struct host_windows *windows, struct cas_now now)
{
    struct cas_why why = {""};
    if (!is_due(windows, SOURCE_COUNTERS, now))
        return;
    enum cas_err err = windows_pdh_read(windows->pdh, now, &windows->counters, &why);
    (void)source_end(windows, SOURCE_COUNTERS, now, err, &why);
    windows->scene.no_counters = windows->source[SOURCE_COUNTERS].reason;
}

static void see_sockets(struct host_windows *windows, struct cas_now now)
{
    struct scene *scene = &windows->scene;
    struct scene_socket *row = NULL;
    size_t row_n = 0;
    struct cas_why why = {""};
    if (!is_due(windows, SOURCE_SOCKETS, now))
        return;
    enum cas_err err = windows_sockets(&row, &row_n, &why);
    if (err == CAS_OK)
        err =
            scene_sockets_sum(row, row_n, scene->ports, windows->self_pid, &windows->sockets, &why);
    free(row);
    (void)source_end(windows, SOURCE_SOCKETS, now, err, &why);
    scene->no_sockets = windows->source[SOURCE_SOCKETS].reason;
}

static void see_events(struct host_windows *windows, struct cas_now now)
{
    struct scene *scene = &windows->scene;
    struct cas_why why_4227 = {""};
    struct cas_why why_4231 = {""};
    if (!is_due(windows, SOURCE_EVENTS, now))
        return;
    enum cas_err err_4227 = windows_events_count(4227, &scene->events_4227, &why_4227);
    enum cas_err err_4231 = windows_events_count(4231, &scene->events_4231, &why_4231);
    say(&scene->no_events_4227, err_4227 == CAS_OK ? "" : why_4227.text);
    say(&scene->no_events_4231, err_4231 == CAS_OK ? "" : why_4231.text);
    bool is_first = err_4227 != CAS_OK;
    (void)source_end(windows,
                     SOURCE_EVENTS,
                     now,
                     is_first ? err_4227 : err_4231,
                     is_first ? &why_4227 : &why_4231);
}

static void see_server(struct host_windows *windows, struct cas_now now)
{
    struct scene *scene = &windows->scene;
    struct cas_why why = {""};
    if (is_due(windows, SOURCE_EXCHANGE, now)) {
        enum cas_err err = windows_exchange(&scene->exchange, &why);
        (void)source_end(windows, SOURCE_EXCHANGE, now, err, &why);
        scene->no_exchange = windows->source[SOURCE_EXCHANGE].reason;
    }
    if (is_due(windows, SOURCE_SYSTEM, now)) {
        enum cas_err err = windows_system(&scene->system, &why);
        (void)source_end(windows, SOURCE_SYSTEM, now, err, &why);
        scene->no_system = windows->source[SOURCE_SYSTEM].reason;
    }
}

/* ---- tools ---- */

struct tool_words {
    const char *path; /* below the system folder */
    const char *name; /* as reasons call it */
    const char *argument[ARGUMENTS];
};
/* "*" stands for the pool. Requests that last so long are the stranded ones: the others would fill
 * the output of a busy server. */
static const struct tool_words tools[SOURCE_N] = {
    [SOURCE_REQUESTS] = {"inetsrv\\appcmd.exe",
                         "appcmd list requests",
                         {"list", "requests", "/apppool.name:*", "/elapsed:3540000"}},
    [SOURCE_SETTINGS] = {"inetsrv\\appcmd.exe",
                         "appcmd list apppool",
                         {"list", "apppool", "/apppool.name:*", "/text:*"}},
    [SOURCE_PORTS] = {"netsh.exe",
                      "netsh show dynamicport",
                      {"int", "ipv4", "show", "dynamicport", "tcp"}},
};

static struct scene_reason *reason_of(struct host_windows *windows, enum source source)
{
    if (source == SOURCE_REQUESTS)
        return &windows->scene.no_stranded;
    return source == SOURCE_SETTINGS ? &windows->scene.no_settings : &windows->scene.no_ports;
}

static void tool_start(struct host_windows *windows, enum source source, struct cas_now now)
{
    const struct tool_words *words = &tools[source];
    const char *argument[ARGUMENTS + 1] = {NULL};
    char built[ARGUMENT_BYTES];
    char path[WINDOWS_PATH_BYTES];
    struct cas_why why = {""};
    for (size_t i = 0; i < ARGUMENTS && words->argument[i] != NULL; i++) {
        struct cas_slice text = cas_slice_of(words->argument[i]);
        argument[i] = words->argument[i];
        if (text.data[text.size - 1] != '*' || text.data[text.size - 2] != ':' ||
            !capture_starts(text, "/apppool.name:"))
            continue;
        struct cas_text made = CAS_TEXT(built);
        cas_text_clear(&made);
        cas_text_add(&made, "/apppool.name:%s", windows->settings.pool);
        argument[i] = built;
    }
    enum cas_err err = windows_system_path(words->path, path, &why);
    if (err == CAS_OK)
        err = windows_tool_start(path,
                                 argument,
                                 now.mono_ms + paces[source].deadline_ms,
                                 &windows->tool,
                                 &why);
    windows->tool_source = source;
    windows->tool_begun_ms = now.mono_ms;
    windows->source[source].next_ms = now.mono_ms + paces[source].period_ms;
    if (err != CAS_OK && !source_end(windows, source, now, err, &why))
        *reason_of(windows, source) = windows->source[source].reason;
}

static enum cas_err
tool_read(struct host_windows *windows, const struct windows_tool_end *end, struct cas_why *why)
{
    struct scene *scene = &windows->scene;
    const char *name = tools[windows->tool_source].name;
    char *text = NULL;
    size_t size = 0;
    if (end->is_killed)
        return cas_fail(why,
                        CAS_ERR_UNREACHABLE,
                        "%s: no answer in %lld s, ended",
                        name,
                        (long long)paces[windows->tool_source].deadline_ms / 1000);
    if (end->dropped_bytes > 0)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: wrote %llu bytes more than the %d that are read",
                        name,
                        (unsigned long long)end->dropped_bytes,
                        WINDOWS_OUTPUT_BYTES);
    enum cas_err err = windows_tool_text(end->output, &text, &size, why);
    if (err != CAS_OK)
        return err;
    struct capture_input input = {.file = name, .bytes = {.data = text, .size = size}};
    struct cas_slice said = capture_trim(input.bytes);
    bool is_list = windows->tool_source == SOURCE_REQUESTS;
    /* appcmd calls a list without an entry exit code 1. */
    bool is_empty_list = is_list && said.size == 0 && end->code == 1;
    if (is_list && (end->code == 0 || is_empty_list))
        err = scene_stranded(input, &scene->stranded_n, why);
    else if (windows->tool_source == SOURCE_SETTINGS && end->code == 0)
        err = capture_appcmd_settings(input, windows->settings.pool, &scene->settings, why);
    else if (windows->tool_source == SOURCE_PORTS && end->code == 0)
        err = capture_netsh_dynamic(input, &scene->ports, why);
    else
        err = cas_fail(why,
                       CAS_ERR_IO,
                       "%s: exit code %lu: %.*s",
                       name,
                       (unsigned long)end->code,
                       (int)(said.size > 60 ? 60 : said.size),
                       said.size > 0 ? said.data : "");
    free(text);
    return err;
}

static void tool_look(struct host_windows *windows, struct cas_now now)
{
    enum source source = windows->tool_source;
    struct source_now *state = &windows->source[source];
    struct windows_tool_end end = {.is_over = false};
    struct cas_why why = {""};
    enum cas_err err = windows_tool_poll(windows->tool, now, &end, &why);
    if (err == CAS_OK && !end.is_over)
        return;
    if (err == CAS_OK)
        err = tool_read(windows, &end, &why);
    windows_tool_free(windows->tool);
    windows->tool = NULL;
    int64_t next_ms = state->next_ms;
    (void)source_end(windows, source, now, err, &why);
    state->took_ms = now.mono_ms - windows->tool_begun_ms;
    state->next_ms = next_ms;
    if (err != CAS_OK && next_ms > now.mono_ms + TOOL_AGAIN_MS)
        state->next_ms = now.mono_ms + TOOL_AGAIN_MS;
    /* A range once read stays: nobody changes it without a restart of what uses it. */
    if (err == CAS_OK || source != SOURCE_PORTS || windows->scene.ports.number == 0)
        *reason_of(windows, source) = state->reason;
}

/* One at a time, and none beside an act: appcmd's lists lock what its recycle needs. */
static void see_tools(struct host_windows *windows, struct cas_now now)
{
    if (windows->tool != NULL) {
        tool_look(windows, now);
        return;
    }
    for (enum source source = SOURCE_N; source-- > SOURCE_REQUESTS && !windows->is_acting;) {
        if (is_due(windows, source, now)) {
            tool_start(windows, source, now);
            return;
        }
    }
}

/* ---- the host ---- */

/* Another pool than the one that is watched: its workers are known, the rest is not. */
static struct scene scene_of(struct host_windows *windows, const char *pool)
{
    struct scene scene = windows->scene;
    struct cas_why why = {""};
    scene.pool = pool;
    if (capture_same(cas_slice_of(pool), windows->settings.pool))
        return scene;
    scene.worker_n = scene.unread_n = 0;
    enum cas_err err = windows_workers(pool, scene.worker, &scene.worker_n, &scene.unread_n, &why);
    say(&scene.no_workers, err == CAS_OK ? "" : why.text);
    say(&scene.no_counters, "counters are collected for the first pool only");
    say(&scene.no_stranded, "requests are listed for the first pool only");
    say(&scene.no_settings, "settings are read for the first pool only");
    return scene;
}

static void look(struct host_windows *windows, struct cas_now now)
{
    windows->scene.wall_ms = now.wall_ms;
    see_workers(windows, now);
    see_probes(windows, now);
    see_states(windows, now);
    see_server(windows, now);
    bool is_brisk = windows->is_acting || now.mono_ms < windows->brisk_until_ms;
    if (is_brisk || now.mono_ms - windows->source[SOURCE_COUNTERS].begun_ms >= SAMPLE_MS)
        see_counters(windows, now);
    see_tools(windows, now);
}

static enum cas_err windows_read(struct host *host,
                                 struct cas_now now,
                                 const char *pool,
                                 struct host_reading *ret_reading,
                                 size_t cap,
                                 size_t *ret_n,
                                 struct cas_why *why)
{
    struct host_windows *windows = (struct host_windows *)host;
    (void)why;
    look(windows, now);
    see_counters(windows, now);
    see_memory(windows, now);
    see_sockets(windows, now);
    see_events(windows, now);
    struct scene scene = scene_of(windows, pool);
    scene_read(&scene, ret_reading, cap, ret_n);
    return CAS_OK;
}

static enum cas_err windows_pool(struct host *host,
                                 struct cas_now now,
                                 const char *pool,
                                 struct host_pool *ret_pool,
                                 struct cas_why *why)
{
    struct host_windows *windows = (struct host_windows *)host;
    (void)why;
    look(windows, now);
    struct scene scene = scene_of(windows, pool);
    scene_pool(&scene, ret_pool);
    return CAS_OK;
}

static enum cas_err windows_events_read(struct host *host,
                                        struct cas_now now,
                                        const char *bookmark,
                                        struct host_event *ret_event,
                                        size_t cap,
                                        size_t *ret_n,
                                        char ret_bookmark[REASON_BYTES],
                                        struct cas_why *why)
{
    struct host_windows *windows = (struct host_windows *)host;
    (void)now;
    return windows_events(windows->settings.pool,
                          bookmark,
                          ret_event,
                          cap,
                          ret_n,
                          ret_bookmark,
                          why);
}

/* What cannot be read stands beside what could: the first run on a new server is judged by these.
 */
static void
add_sources(const struct host_windows *windows, struct host_fact *fact, size_t cap, size_t *n)
{
    for (size_t i = 0; i < SOURCE_N; i++) {
        const struct source_now *state = &windows->source[i];
        char key[CAS_NAME_BYTES];
        struct cas_text text = CAS_TEXT(key);
        cas_text_clear(&text);
        cas_text_add(&text, "source.%s", paces[i].name);
        bool is_slow = paces[i].deadline_ms == 0 && state->took_ms >= SLOW_MS;
        bool is_fine = state->has_run && state->reason.text[0] == '\0';
        const char *reason = state->has_run ? state->reason.text : "not asked yet";
        (void)scene_fact_add(fact, cap, n, key, !is_fine ? NULL : is_slow ? "slow" : "ok", reason);
    }
}

static enum cas_err windows_facts(struct host *host,
                                  struct cas_now now,
                                  struct host_fact *ret_fact,
                                  size_t cap,
                                  size_t *ret_n,
                                  struct cas_why *why)
{
    struct host_windows *windows = (struct host_windows *)host;
    (void)why;
    look(windows, now);
    see_memory(windows, now);
    scene_facts(&windows->scene, ret_fact, cap, ret_n);
    add_sources(windows, ret_fact, cap, ret_n);
    return CAS_OK;
}

/* ---- acts ---- */

static enum cas_err windows_begin(struct host *host,
                                  struct cas_now now,
                                  enum verb verb,
                                  const char *pool,
                                  const uint8_t cmd_id[CAS_ID_BYTES],
                                  int64_t deadline_ms,
                                  struct cas_why *why)
{
    struct host_windows *windows = (struct host_windows *)host;
    (void)cmd_id;
    if (windows->is_acting && now.mono_ms < windows->act_end_ms)
        return cas_fail(why, CAS_ERR_BUSY, "another act is under way on this server");
    windows_act_free(windows->act);
    windows->act = NULL;
    windows->is_acting = false;
    enum cas_err err = windows_act_begin(verb, pool, now, deadline_ms, &windows->act, why);
    if (err != CAS_OK)
        return err;
    windows->is_acting = true;
    windows->act_end_ms = now.mono_ms + deadline_ms;
    round_spoil(windows, "no probe since an act began", now);
    /* Its list could hold what the act needs; it comes again. */
    if (windows->tool != NULL) {
        windows_tool_free(windows->tool);
        windows->tool = NULL;
        windows->source[windows->tool_source].next_ms = 0;
    }
    return CAS_OK;
}

static enum cas_err
windows_poll(struct host *host, struct cas_now now, struct host_act *ret_act, struct cas_why *why)
{
    struct host_windows *windows = (struct host_windows *)host;
    if (windows->act == NULL)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "no act was begun on this server");
    enum cas_err err = windows_act_poll(windows->act, now, ret_act, why);
    if (err != CAS_OK || ret_act->state == HOST_ACT_RUNNING || !windows->is_acting)
        return err;
    windows->is_acting = false;
    round_spoil(windows, "no probe since an act ended", now);
    windows->source[SOURCE_WORKERS].next_ms = 0;
    return CAS_OK;
}

static void windows_free(struct host *host)
{
    struct host_windows *windows = (struct host_windows *)host;
    round_end(&windows->round);
    windows_tool_free(windows->tool);
    windows_act_free(windows->act);
    windows_pdh_free(windows->pdh);
    free(windows);
}

static const struct host_ops windows_ops = {
    .read = windows_read,
    .pool = windows_pool,
    .events = windows_events_read,
    .facts = windows_facts,
    .begin = windows_begin,
    .poll = windows_poll,
    .free = windows_free,
};

enum cas_err host_windows_open(const struct host_windows_settings *settings,
                               struct cas_now now,
                               struct host **ret_host,
                               struct cas_why *why)
{
    static const char *const not_yet = "not read yet";
    struct host_windows *windows = calloc(1, sizeof *windows);
    if (windows == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the Windows host");
    CAS_AUTO(host) host = &windows->host;
    host->ops = &windows_ops;
    windows->settings = *settings;
    windows->self_pid = windows_self_pid();
    struct scene *scene = &windows->scene;
    scene->pool = windows->settings.pool;
    scene->wall_ms = now.wall_ms;
    scene->counters = &windows->counters;
    scene->states = &windows->states;
    scene->sockets = &windows->sockets;
    struct scene_reason *const reasons[] = {&scene->no_workers,
                                            &scene->no_memory,
                                            &scene->no_counters,
                                            &scene->no_sockets,
                                            &scene->no_ports,
                                            &scene->no_events_4227,
                                            &scene->no_events_4231,
                                            &scene->no_stranded,
                                            &scene->no_settings,
                                            &scene->no_exchange,
                                            &scene->no_system,
                                            &scene->no_states};
    for (size_t i = 0; i < CAS_COUNT(reasons); i++)
        say(reasons[i], not_yet);
    say(&scene->no_probe, "no probe has ended yet");
    enum cas_err err = windows_pdh_open(settings->pool, &windows->pdh, why);
    if (err != CAS_OK)
        return err;
    *ret_host = CAS_TAKE(host);
    return CAS_OK;
}
