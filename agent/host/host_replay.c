#include "agent/host/host_replay.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double speed_most = 1e6;

enum {
    GAPS_GOOD = 3,         /* a row is good for so many usual gaps between rows */
    START_JITTER_MS = 5000 /* Elapsed Time and the row's time are not taken at the same instant */
};

/* ---- time ---- */

int64_t replay_at_ms(const struct host_replay *replay, struct cas_now now, uint64_t *ret_loop)
{
    double played_ms = (double)(now.mono_ms - replay->opened.mono_ms) * replay->settings.speed;
    double span_ms = (double)replay->span_ms;
    *ret_loop = 0;
    if (played_ms < 0)
        played_ms = 0;
    if (replay->settings.is_held) {
        double most_ms = (double)(replay->end_ms - replay->first_ms);
        return replay->first_ms + (int64_t)(played_ms < most_ms ? played_ms : most_ms);
    }
    double loop = floor(played_ms / span_ms);
    *ret_loop = (uint64_t)loop;
    return replay->first_ms + (int64_t)(played_ms - loop * span_ms);
}

int64_t replay_wall_ms(const struct host_replay *replay, int64_t at_ms, uint64_t loop)
{
    double speed = replay->settings.speed;
    double begin_ms = (double)loop * (double)replay->span_ms / speed;
    int64_t since_ms = at_ms - replay->first_ms;
    /* What lies before the first row happened at its own pace. */
    if (since_ms > 0)
        since_ms = (int64_t)((double)since_ms / speed);
    return replay->opened.wall_ms + (int64_t)begin_ms + since_ms;
}

static void move_track(struct replay_track *track, int64_t at_ms)
{
    while (track->has_next && track->next.time_ms <= at_ms) {
        size_t column_n = capture_pdh_head(track->pdh)->column_n;
        for (size_t i = 0; i < column_n; i++)
            track->value[i] = track->next.value[i];
        track->row = track->next;
        track->row.value = track->value;
        track->has_row = true;
        size_t refused_n = track->refused_n; /* counted once, by the scan at the start */
        replay_track_next(track);
        track->refused_n = refused_n;
    }
}

int64_t replay_move(struct host_replay *replay, struct cas_now now)
{
    uint64_t loop = 0;
    int64_t at_ms = replay_at_ms(replay, now, &loop);
    for (size_t i = 0; i < replay->track_n; i++) {
        struct replay_track *track = &replay->track[i];
        if (track->row_n == 0)
            continue;
        if (loop != replay->loop) {
            capture_pdh_rewind(track->pdh);
            track->has_row = false;
            size_t refused_n = track->refused_n;
            replay_track_next(track);
            track->refused_n = refused_n;
        }
        move_track(track, at_ms);
        /* A hole in the capture is a hole: the row before it does not last until the row after it.
         */
        bool is_last = !track->has_next;
        if (track->has_row && !(is_last && replay->settings.is_held) &&
            at_ms - track->row.time_ms > GAPS_GOOD * track->gap_ms)
            track->has_row = false;
    }
    if (loop != replay->loop)
        replay->seen_n = 0;
    replay->loop = loop;
    return at_ms;
}

/* ---- workers ---- */

int64_t
replay_start_ms(struct host_replay *replay, const struct capture_worker *worker, int64_t row_ms)
{
    double elapsed_s = worker->value[CAPTURE_PROCESS_ELAPSED];
    int64_t start_ms = row_ms;
    if (cas_is_number(elapsed_s) && elapsed_s >= 0 && elapsed_s < 1e9)
        start_ms = row_ms - (int64_t)(elapsed_s * 1000);
    for (size_t i = 0; i < replay->seen_n; i++) {
        struct replay_worker_seen *seen = &replay->seen[i];
        if (seen->pid != worker->pid)
            continue;
        /* Without Elapsed Time it is as old as its first row at least; with it, a PID may come
         * again. */
        if (start_ms > seen->start_ms + START_JITTER_MS && cas_is_number(elapsed_s))
            seen->start_ms = start_ms;
        return seen->start_ms;
    }
    if (replay->seen_n == REPLAY_PIDS)
        replay->seen_n = 0;
    replay->seen[replay->seen_n++] =
        (struct replay_worker_seen){.pid = worker->pid, .start_ms = start_ms};
    return start_ms;
}

size_t replay_appcmd_workers(const struct host_replay *replay,
                             const char *pool,
                             struct capture_worker ret_worker[CAPTURE_WORKERS])
{
    size_t worker_n = 0;
    struct capture_appcmd appcmd;
    struct capture_input input = {
        .file = "appcmd.txt",
        .bytes = {.data = replay->appcmd.text, .size = replay->appcmd.size}};
    capture_appcmd_init(&appcmd, input);
    while (replay->appcmd.text != NULL && worker_n < CAPTURE_WORKERS) {
        struct capture_item item;
        enum cas_err err = capture_appcmd_next(&appcmd, &item, NULL);
        if (err == CAS_ERR_NOT_FOUND)
            break;
        if (err != CAS_OK || item.kind != CAPTURE_ITEM_WORKER || !capture_same(item.pool, pool))
            continue;
        struct capture_worker *worker = &ret_worker[worker_n++];
        worker->pid = item.pid;
        for (size_t i = 0; i < CAPTURE_COUNTER_N; i++)
            worker->value[i] = NAN;
    }
    return worker_n;
}

static const struct replay_track *newest_track(const struct host_replay *replay,
                                               enum capture_counter kind)
{
    const struct replay_track *newest = NULL;
    for (size_t i = 0; i < replay->track_n; i++) {
        const struct replay_track *track = &replay->track[i];
        if (track->has_row && capture_pdh_has(track->pdh, kind) &&
            (newest == NULL || track->row.time_ms > newest->row.time_ms))
            newest = track;
    }
    return newest;
}

size_t replay_workers(struct host_replay *replay,
                      const char *pool,
                      struct capture_worker ret_worker[CAPTURE_WORKERS],
                      const struct replay_track **ret_track)
{
    size_t worker_n = 0;
    *ret_track = newest_track(replay, CAPTURE_WORKER_ACTIVE);
    if (*ret_track == NULL)
        return replay_appcmd_workers(replay, pool, ret_worker);
    capture_pdh_workers((*ret_track)->pdh, &(*ret_track)->row, pool, ret_worker, &worker_n);
    return worker_n;
}

/* ---- the pool ---- */

static void read_health(struct host_replay *replay, struct host_pool *pool)
{
    struct cas_text reason = CAS_TEXT(pool->reason);
    cas_text_clear(&reason);
    if (replay->health.text == NULL) {
        pool->health = HEALTH_UNKNOWN;
        cas_text_add(&reason, "%s", replay->health.reason);
        return;
    }
    struct cas_slice body = {.data = replay->health.text, .size = replay->health.size};
    body = capture_trim(body);
    pool->probe_seq = ++replay->probe_seq;
    pool->health = capture_starts(body, "200 OK") ? HEALTH_GOOD : HEALTH_BAD;
    if (pool->health == HEALTH_BAD)
        cas_text_add(&reason,
                     "healthcheck.txt: \"%.*s\" instead of 200 OK",
                     (int)(body.size > 40 ? 40 : body.size),
                     body.data);
}

static enum cas_err replay_pool(struct host *host,
                                struct cas_now now,
                                const char *pool,
                                struct host_pool *ret_pool,
                                struct cas_why *why)
{
    (void)why;
    struct host_replay *replay = (struct host_replay *)host;
    (void)replay_move(replay, now);
    struct capture_worker worker[CAPTURE_WORKERS];
    const struct replay_track *track = NULL;
    size_t worker_n = replay_workers(replay, pool, worker, &track);
    struct host_pool state = {.health = HEALTH_UNKNOWN};
    read_health(replay, &state);
    size_t first = worker_n > HOST_WORKERS ? worker_n - HOST_WORKERS : 0;
    for (size_t i = first; i < worker_n; i++) {
        int64_t row_ms = track != NULL ? track->row.time_ms : replay->first_ms;
        int64_t start_ms = replay_start_ms(replay, &worker[i], row_ms);
        state.worker[state.worker_n++] =
            (struct host_worker){.pid = worker[i].pid,
                                 .start_ms = replay_wall_ms(replay, start_ms, replay->loop)};
    }
    if (worker_n > 0) {
        state.active_requests = worker[worker_n - 1].value[CAPTURE_WORKER_ACTIVE];
        state.has_requests = cas_is_number(state.active_requests);
        if (!state.has_requests)
            state.active_requests = 0;
    }
    *ret_pool = state;
    return CAS_OK;
}

/* ---- events ---- */

struct replay_mark {
    uint64_t loop;
    size_t index; /* of the next event */
};

static size_t first_event(const struct host_replay *replay, uint64_t loop)
{
    /* The first time a day back, as counts of a day do; later loops only what lies in the capture's
     * own time. */
    int64_t from_ms = loop == 0 ? replay->first_ms - REPLAY_DAY_MS : replay->first_ms;
    size_t index = 0;
    while (index < replay->event_n && replay->event[index].at_ms <= from_ms)
        index++;
    return index;
}

/* A bookmark of another opening is from a playing that began elsewhere: then all is told again. */
static enum cas_err read_mark(const struct host_replay *replay,
                              const char *bookmark,
                              struct replay_mark *ret_mark,
                              struct cas_why *why)
{
    struct cas_slice opened;
    struct cas_slice loop;
    struct cas_slice index;
    struct cas_slice rest;
    uint64_t opened_ms = 0;
    uint64_t index_n = 0;
    *ret_mark = (struct replay_mark){.loop = 0, .index = first_event(replay, 0)};
    if (bookmark[0] == '\0')
        return CAS_OK;
    struct replay_mark mark = {.loop = 0};
    if (!capture_cut(cas_slice_of(bookmark), '/', &opened, &rest) ||
        !capture_cut(rest, '/', &loop, &index) || !capture_digits(opened, INT64_MAX, &opened_ms) ||
        !capture_digits(loop, INT64_MAX, &mark.loop) ||
        !capture_digits(index, REPLAY_EVENTS, &index_n))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "\"%.64s\" is not a bookmark of a capture's events",
                        bookmark);
    mark.index = (size_t)index_n;
    if (opened_ms == (uint64_t)replay->opened.wall_ms)
        *ret_mark = mark;
    return CAS_OK;
}

static void tell_event(const struct host_replay *replay,
                       const struct replay_event *event,
                       uint64_t loop,
                       struct host_event *ret_event)
{
    *ret_event = (struct host_event){.at_ms = replay_wall_ms(replay, event->at_ms, loop),
                                     .id = event->id,
                                     .count = 1,
                                     .pid = event->pid};
    struct cas_text provider = CAS_TEXT(ret_event->provider);
    struct cas_text pool = CAS_TEXT(ret_event->pool);
    struct cas_text text = CAS_TEXT(ret_event->text);
    cas_text_add(&provider, "%s", event->provider);
    cas_text_add(&pool, "%s", event->pool);
    cas_text_add(&text, "%s", event->words);
}

static enum cas_err replay_events(struct host *host,
                                  struct cas_now now,
                                  const char *bookmark,
                                  struct host_event *ret_event,
                                  size_t cap,
                                  size_t *ret_n,
                                  char ret_bookmark[REASON_BYTES],
                                  struct cas_why *why)
{
    struct host_replay *replay = (struct host_replay *)host;
    uint64_t now_loop = 0;
    int64_t at_ms = replay_at_ms(replay, now, &now_loop);
    struct replay_mark mark;
    enum cas_err err = read_mark(replay, bookmark, &mark, why);
    if (err != CAS_OK)
        return err;

    /* Loops that were slept through say the same again: the last one of them is enough. */
    if (now_loop > mark.loop + 1)
        mark = (struct replay_mark){.loop = now_loop - 1, .index = first_event(replay, 1)};
    size_t n = 0;
    while (n < cap) {
        bool is_over = mark.index >= replay->event_n;
        if (is_over && mark.loop < now_loop) {
            mark.loop++;
            mark.index = first_event(replay, mark.loop);
            continue;
        }
        if (is_over || (mark.loop >= now_loop && replay->event[mark.index].at_ms > at_ms))
            break;
        tell_event(replay, &replay->event[mark.index++], mark.loop, &ret_event[n++]);
    }
    *ret_n = n;
    struct cas_text text = {.data = ret_bookmark, .cap = REASON_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text,
                 "%llu/%llu/%zu",
                 (unsigned long long)replay->opened.wall_ms,
                 (unsigned long long)mark.loop,
                 mark.index);
    return CAS_OK;
}

/* ---- acts ---- */

static enum cas_err replay_begin(struct host *host,
                                 struct cas_now now,
                                 enum verb verb,
                                 const char *pool,
                                 const uint8_t cmd_id[CAS_ID_BYTES],
                                 int64_t deadline_ms,
                                 struct cas_why *why)
{
    (void)now;
    (void)pool;
    (void)cmd_id;
    (void)deadline_ms;
    const struct host_replay *replay = (const struct host_replay *)host;
    const char *name = verb_name(verb);
    return cas_fail(why,
                    CAS_ERR_UNSUPPORTED,
                    "%.200s is a capture, it shows a server as it was: %s is not possible",
                    replay->settings.folder,
                    name != NULL ? name : "this verb");
}

static enum cas_err
replay_poll(struct host *host, struct cas_now now, struct host_act *ret_act, struct cas_why *why)
{
    (void)host;
    (void)now;
    (void)ret_act;
    return cas_fail(why, CAS_ERR_UNSUPPORTED, "nothing was begun: a capture cannot be acted on");
}

/* ---- life ---- */

static void replay_free(struct host *host)
{
    struct host_replay *replay = (struct host_replay *)host;
    replay_unload(replay);
    free(replay);
}

static const struct host_ops replay_ops = {
    .read = replay_read,
    .pool = replay_pool,
    .events = replay_events,
    .facts = replay_facts,
    .begin = replay_begin,
    .poll = replay_poll,
    .free = replay_free,
};

enum cas_err host_replay_open(const struct host_replay_settings *settings,
                              struct cas_now now,
                              struct host **ret_host,
                              struct cas_why *why)
{
    if (!cas_is_number(settings->speed) || settings->speed <= 0 || settings->speed > speed_most)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "speed %g of the capture is not above 0 and up to %g",
                        settings->speed,
                        speed_most);
    struct host_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the capture %.200s", settings->folder);
    CAS_AUTO(host) host = &replay->host;
    host->ops = &replay_ops;
    replay->settings = *settings;
    replay->opened = now;
    enum cas_err err = replay_load(replay, why);
    if (err != CAS_OK)
        return err;
    *ret_host = CAS_TAKE(host);
    return CAS_OK;
}
