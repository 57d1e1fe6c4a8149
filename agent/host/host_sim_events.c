#include "agent/host/host_sim.h"

#include <string.h>

enum {
    SLOTS_A_DAY = 144,
    SLOTS_KEPT = 7 * SLOTS_A_DAY, /* older ones have been overwritten in the event log */
    TCPIP_4227 = 4227,
    TCPIP_4231 = 4231,
    WAS_RECYCLE = 5079,
    WAS_TOO_LONG = 5013
};

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    if (a->at_ms != b->at_ms)
        return a->at_ms < b->at_ms;
    return a->id != b->id ? a->id < b->id : a->pid < b->pid;
}

/* Keeps the earlier of *best and event, if event lies in (after, now]. */
static void event_offer(const struct sim_event *after,
                        int64_t now_ms,
                        const struct sim_event *event,
                        struct sim_event *best)
{
    if (is_before(after, event) && event->at_ms <= now_ms && is_before(event, best))
        *best = *event;
}

/* The first event after the mark, up to now; false when there is none. */
static bool event_next(struct host_sim *sim,
                       const struct sim_event *after,
                       int64_t now_ms,
                       struct sim_event *ret_event)
{
    struct sim_event best = {.at_ms = INT64_MAX};
    const struct sim_memory *memory = &sim->memory;
    for (size_t i = 0; i + 1 < memory->worker_n; i++) {
        const struct sim_worker *old = &memory->worker[i];
        int64_t overlap_ms = sim_overlap_ms(&sim->settings, old);
        struct sim_event event = {.at_ms = old->until_ms, .id = WAS_RECYCLE, .pid = old->pid};
        event_offer(after, now_ms, &event, &best);
        event = (struct sim_event){old->until_ms + overlap_ms, WAS_TOO_LONG, old->pid};
        if (overlap_ms == SIM_OVERLAP_MS)
            event_offer(after, now_ms, &event, &best);
    }
    int64_t slot = sim_slot(after->at_ms);
    int64_t last = sim_slot(best.at_ms < now_ms ? best.at_ms : now_ms);
    if (slot < last - SLOTS_KEPT)
        slot = last - SLOTS_KEPT;
    for (bool is_found = false; slot <= last && !is_found; slot++) {
        struct sim_event event;
        if (!sim_port_event(&sim->settings, memory, slot, &event))
            continue;
        is_found = is_before(after, &event);
        event_offer(after, now_ms, &event, &best);
    }
    *ret_event = best;
    return best.at_ms != INT64_MAX;
}

static void event_words(const struct sim_event *from, struct host_event *event)
{
    struct cas_text provider = CAS_TEXT(event->provider);
    struct cas_text pool = CAS_TEXT(event->pool);
    struct cas_text text = CAS_TEXT(event->text);
    bool is_was = from->id == WAS_RECYCLE || from->id == WAS_TOO_LONG;
    cas_text_add(&provider, "%s", is_was ? "Microsoft-Windows-WAS" : "Tcpip");
    if (is_was)
        cas_text_add(&pool, "%s", SIM_POOL);
    if (from->id == TCPIP_4227)
        cas_text_add(&text,
                     "TCP/IP failed to establish an outgoing connection because the selected local "
                     "endpoint was recently used to connect to the same remote endpoint.");
    else if (from->id == TCPIP_4231)
        cas_text_add(
            &text,
            "A request to allocate an ephemeral port number from the global TCP port space "
            "has failed due to all such ports being in use.");
    else if (from->id == WAS_RECYCLE)
        cas_text_add(&text,
                     "An administrator has requested a recycle of all worker processes in "
                     "application pool '%s'.",
                     SIM_POOL);
    else
        cas_text_add(&text,
                     "A process serving application pool '%s' exceeded time limits during shut "
                     "down. The process id was '%u'.",
                     SIM_POOL,
                     from->pid);
}

/* "" begins a day back: what an agent started for the first time wants to know. */
static enum cas_err
mark_read(const char *bookmark, int64_t now_ms, struct sim_event *ret_mark, struct cas_why *why)
{
    if (bookmark[0] == '\0') {
        *ret_mark = (struct sim_event){.at_ms = now_ms - SIM_DAY_MS};
        return CAS_OK;
    }
    int64_t number[3] = {0};
    const char *at = bookmark;
    for (size_t i = 0; i < 3; i++) {
        size_t size = strcspn(at, "/");
        int64_t least = i == 0 ? INT64_MIN : 0;
        int64_t most = i == 0 ? INT64_MAX : UINT32_MAX;
        if (cas_parse_i64((struct cas_slice){at, size}, least, most, &number[i], NULL) != CAS_OK)
            return cas_fail(why,
                            CAS_ERR_FORMAT,
                            "\"%.64s\" is not a bookmark of the model's event log",
                            bookmark);
        at += at[size] == '/' ? size + 1 : size;
    }
    *ret_mark = (struct sim_event){number[0], (uint32_t)number[1], (uint32_t)number[2]};
    return CAS_OK;
}

enum cas_err sim_events(struct host *host,
                        struct cas_now now,
                        const char *bookmark,
                        struct host_event *ret_event,
                        size_t cap,
                        size_t *ret_n,
                        char ret_bookmark[REASON_BYTES],
                        struct cas_why *why)
{
    struct host_sim *sim = (struct host_sim *)host;
    int64_t now_ms = sim_now_ms(sim, now);
    struct sim_event mark;
    enum cas_err err = sim_reach(sim, SIM_POOL, why);
    if (err == CAS_OK)
        err = mark_read(bookmark, now_ms, &mark, why);
    if (err != CAS_OK)
        return err;

    size_t n = 0;
    struct sim_event found = {0};
    struct sim_event from = mark;
    bool is_known_quiet =
        memcmp(&mark, &sim->scan_mark, sizeof mark) == 0 && mark.at_ms < sim->scan_until_ms;
    if (is_known_quiet)
        from = (struct sim_event){sim->scan_until_ms, UINT32_MAX, UINT32_MAX};
    while (n < cap && event_next(sim, &from, now_ms, &found)) {
        from = found;
        mark = found;
        ret_event[n] = (struct host_event){
            .at_ms = sim_wall_ms(sim, now, found.at_ms),
            .id = found.id,
            .count = 1,
            .pid = found.pid,
        };
        event_words(&found, &ret_event[n]);
        n++;
    }
    if (n < cap) {
        sim->scan_mark = mark;
        sim->scan_until_ms = now_ms;
    }
    struct cas_text text = {.data = ret_bookmark, .cap = REASON_BYTES};
    cas_text_clear(&text);
    cas_text_add(&text, "%lld/%u/%u", (long long)mark.at_ms, mark.id, mark.pid);
    *ret_n = n;
    return CAS_OK;
}

void sim_event_counts(struct host_sim *sim, int64_t now_ms, double *ret_4227, double *ret_4231)
{
    int64_t minute = now_ms / 60000;
    if (!sim->has_counts || sim->count_minute != minute) {
        double n_4227 = 0;
        double n_4231 = 0;
        int64_t last = sim_slot(now_ms);
        for (int64_t slot = last - SLOTS_A_DAY; slot <= last; slot++) {
            struct sim_event event;
            if (!sim_port_event(&sim->settings, &sim->memory, slot, &event) ||
                event.at_ms > now_ms || event.at_ms <= now_ms - SIM_DAY_MS)
                continue;
            n_4227 += event.id == TCPIP_4227 ? 1 : 0;
            n_4231 += event.id == TCPIP_4231 ? 1 : 0;
        }
        sim->has_counts = true;
        sim->count_minute = minute;
        sim->count_4227 = n_4227;
        sim->count_4231 = n_4231;
    }
    *ret_4227 = sim->count_4227;
    *ret_4231 = sim->count_4231;
}
