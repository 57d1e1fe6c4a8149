#include "controller/core/inventory.h"

#include <stdlib.h>
#include <string.h>

enum {
    FACTS_STEP = 4 /* INVENTORY_FACTS is a multiple */
};
/* How requests settle: the defaults' "until requests settle" of the plan. */
enum {
    SETTLE_STILL_MS = 2 * 60 * 1000,
    SETTLE_SWING_PCT = 10,
    SETTLE_FEW = 20, /* below this many requests, a swing of 10 % is one or two users */
};

/* Cut at the last whole character that fits, for what is only shown. */
static void keep_text(struct cas_slice slice, char *ret_text, size_t cap)
{
    size_t size = slice.size < cap - 1 ? slice.size : cap - 1;
    if (size < slice.size) {
        while (size > 0 && ((unsigned char)slice.data[size] & 0xC0) == 0x80)
            size--;
    }
    if (size > 0)
        memcpy(ret_text, slice.data, size);
    ret_text[size] = '\0';
}

static void heard(struct inventory_server *server, int64_t agent_wall_ms, struct cas_now now)
{
    server->live.heard_ms = now.wall_ms;
    server->live.skew_ms = agent_wall_ms - now.wall_ms;
}

void inventory_hello(struct inventory_server *server,
                     const struct message_hello *hello,
                     struct cas_now now)
{
    struct inventory_live *live = &server->live;

    if (memcmp(live->boot_id, hello->boot_id, CAS_ID_BYTES) != 0) {
        int64_t last_heard_ms = live->heard_ms;
        *live = (struct inventory_live){.heard_ms = last_heard_ms};
        memcpy(live->boot_id, hello->boot_id, CAS_ID_BYTES);
    }
    live->is_connected = true;
    live->hello_ms = now.wall_ms;
    live->journal_head = hello->journal_head;
    memcpy(live->spool_id, hello->spool_id, CAS_ID_BYTES);
    keep_text(hello->agent_ver, live->agent_ver, sizeof live->agent_ver);
    heard(server, hello->wall_ms, now);
}

void inventory_lost(struct inventory_server *server)
{
    server->live.is_connected = false;
}

int64_t inventory_worker_age_ms(const struct inventory_server *server, int64_t wall_ms)
{
    const struct inventory_live *live = &server->live;
    int64_t age_ms = wall_ms - live->start_ms;
    bool is_skewed = live->skew_ms > CLOCK_SKEW_MS || live->skew_ms < -CLOCK_SKEW_MS;
    if (live->pid == 0 || live->start_ms == 0 || is_skewed || age_ms < -CLOCK_SKEW_MS)
        return -1;
    return age_ms > 0 ? age_ms : 0;
}

static void fold_requests(struct inventory_live *live,
                          const struct message_hb *hb,
                          bool is_new_worker,
                          int64_t mono_ms)
{
    if (!hb->has_active_requests || !cas_is_number(hb->active_requests)) {
        live->has_requests = false;
        live->requests_since_mono_ms = 0;
        return;
    }

    double value = hb->active_requests;
    double low = live->has_requests && value > live->requests_low ? live->requests_low : value;
    double high = live->has_requests && value < live->requests_high ? live->requests_high : value;
    double least_swing = (double)SETTLE_FEW * SETTLE_SWING_PCT / 100;
    double swing = high * SETTLE_SWING_PCT / 100;
    bool is_still = live->has_requests && !is_new_worker &&
                    high - low <= (swing > least_swing ? swing : least_swing);
    live->active_requests = value;
    live->has_requests = true;
    live->requests_low = is_still ? low : value;
    live->requests_high = is_still ? high : value;
    if (!is_still)
        live->requests_since_mono_ms = mono_ms;
}

/* Late: made before one that is folded in already. A tick of an earlier run of ours, or none, says
 * nothing about when it was made, so it is only taken while nothing better is there. */
static bool
is_late(const struct inventory_live *live, const struct message_hb *hb, int64_t tick_mono_ms)
{
    if (live->proof_mono_ms == 0)
        return false;
    if (tick_mono_ms != live->proof_mono_ms)
        return tick_mono_ms < live->proof_mono_ms;
    return memcmp(live->boot_id, hb->boot_id, CAS_ID_BYTES) == 0 && hb->probe_seq < live->probe_seq;
}

void inventory_heartbeat(struct inventory_server *server,
                         const struct message_hb *hb,
                         int64_t tick_mono_ms,
                         struct cas_now now)
{
    struct inventory_live *live = &server->live;

    if (is_late(live, hb, tick_mono_ms))
        return;
    heard(server, hb->wall_ms, now);
    memcpy(live->boot_id, hb->boot_id, CAS_ID_BYTES);
#ifdef CASFLEET_MUTANT_R10
    live->proof_mono_ms = tick_mono_ms != 0 ? now.mono_ms : 0;
#else
    live->proof_mono_ms = tick_mono_ms;
#endif
    live->health = (enum pool_health)hb->health;
    keep_text(hb->has_health_reason ? hb->health_reason : cas_slice_of(""),
              live->health_reason,
              sizeof live->health_reason);
    live->probe_seq = hb->probe_seq;
    live->journal_head = hb->journal_head;
    live->is_drained = hb->is_drained;
    live->is_journal_writable = hb->is_journal_writable;
    keep_text(hb->has_maintenance ? hb->maintenance : cas_slice_of(""),
              live->maintenance,
              sizeof live->maintenance);

    keep_text(hb->has_held_reason ? hb->held_reason : cas_slice_of(""),
              live->held_reason,
              sizeof live->held_reason);
    keep_text(hb->has_held_by ? hb->held_by : cas_slice_of("somebody"),
              live->held_by,
              sizeof live->held_by);
    live->held_since_ms = hb->has_held_reason && hb->has_held_since_ms ? hb->held_since_ms : 0;

    uint32_t pid = 0;
    int64_t start_ms = 0;
    if (hb->workers_n > 0) {
        pid = (uint32_t)hb->workers[hb->workers_n - 1].pid;
        start_ms = hb->workers[hb->workers_n - 1].start_ms;
    }
    bool is_new_worker = pid != live->pid || start_ms != live->start_ms;
    if (is_new_worker && pid != 0 && live->pid != 0) {
        server->recycled_ms = now.wall_ms;
        live->renewed_mono_ms = now.mono_ms;
    }
    bool is_first = live->pid == 0 && pid != 0;
    live->pid = pid;
    live->start_ms = start_ms;
    live->worker_n = (uint32_t)hb->workers_n;
    /* Heard for the first time since the controller began: a gap that ran before runs on. */
    int64_t age_ms = is_first ? inventory_worker_age_ms(server, now.wall_ms) : -1;
    if (age_ms >= 0)
        live->renewed_mono_ms = now.mono_ms > age_ms ? now.mono_ms - age_ms : 1;
    fold_requests(live, hb, is_new_worker, now.mono_ms);
}

static struct inventory_fact *find_fact(struct inventory_server *server, struct cas_slice key)
{
    for (size_t i = 0; i < server->fact_n; i++) {
        if (cas_slice_is(key, server->fact[i].key))
            return &server->fact[i];
    }
    return NULL;
}

static bool has_room(struct inventory_server *server)
{
    if (server->fact_n < server->fact_cap)
        return true;
    if (server->fact_cap >= INVENTORY_FACTS)
        return false;
    struct inventory_fact *more =
        realloc(server->fact, (server->fact_cap + FACTS_STEP) * sizeof *more);
    if (more == NULL)
        return false;
    server->fact = more;
    server->fact_cap += FACTS_STEP;
    return true;
}

/* The fact's place, made when it is new; NULL when all places are taken or the key does not fit. */
static struct inventory_fact *fact_place(struct inventory_server *server, struct cas_slice key)
{
    struct inventory_fact *kept = find_fact(server, key);
    if (kept != NULL)
        return kept;
    if (!has_room(server))
        return NULL;
    kept = &server->fact[server->fact_n];
    *kept = (struct inventory_fact){0};
    if (cas_slice_copy(key, kept->key, sizeof kept->key) != CAS_OK)
        return NULL;
    server->fact_n++;
    return kept;
}

bool inventory_record_fact(struct inventory_server *server,
                           const struct record_fact *fact,
                           int64_t at_ms)
{
    struct inventory_fact *kept = fact_place(server, fact->key);
    if (kept == NULL)
        return false;

    struct inventory_fact next = *kept;
    next.at_ms = at_ms;
    next.is_known = fact->has_value;
    /* What is not known any more keeps its last value for people; is_known tells. */
    if (fact->has_value)
        keep_text(fact->value, next.value, sizeof next.value);
    keep_text(fact->has_reason ? fact->reason : cas_slice_of(""), next.reason, sizeof next.reason);

    bool is_changed = kept->at_ms == 0 || next.is_known != kept->is_known ||
                      strcmp(next.value, kept->value) != 0 ||
                      strcmp(next.reason, kept->reason) != 0;
    *kept = next;
    if (cas_slice_is(fact->key, "exchange.build")) {
        struct compliance_build build;
        server->has_build = next.is_known && compliance_parse(fact->value, &build, NULL) == CAS_OK;
        if (server->has_build)
            server->build = build;
    }
    return is_changed;
}

/* Most symptoms are known most of the time: a reason has memory of its own only while there is one.
 */
static void keep_reason(struct inventory_value *value, struct cas_slice reason)
{
    char text[REASON_BYTES];
    keep_text(reason, text, sizeof text);
    if (strcmp(text, inventory_reason(value)) == 0)
        return;
    free(value->reason);
    size_t size = strlen(text) + 1;
    value->reason = size > 1 ? malloc(size) : NULL;
    if (value->reason != NULL)
        memcpy(value->reason, text, size);
}

const char *inventory_reason(const struct inventory_value *value)
{
    return value->reason != NULL ? value->reason : "";
}

void inventory_record_sample(struct inventory_server *server,
                             const struct record_sample *sample,
                             int64_t at_ms)
{
    for (size_t i = 0; i < sample->readings_n; i++) {
        const struct record_reading *reading = &sample->readings[i];
        if (reading->symptom == SYMPTOM_NONE || reading->symptom >= SYMPTOM_END)
            continue; /* of a newer agent */
        struct inventory_value *value = &server->value[reading->symptom];
        /* In order of arrival, never of the agent's clock: one that was ahead and was set right
         * would else hold its last value for as long. */
        value->at_ms = at_ms;
        value->is_known = reading->has_value && cas_is_number(reading->value);
        value->value = value->is_known ? reading->value : 0;
        keep_reason(value, reading->has_reason ? reading->reason : cas_slice_of(""));
    }
}

void inventory_record_event(struct inventory_server *server,
                            const struct record_event *event,
                            int64_t at_ms)
{
    if (event->id == 4227) {
        server->event_4227_n += event->count;
        server->event_4227_ms = at_ms;
    }
    if (event->id == 4231) {
        server->event_4231_n += event->count;
        server->event_4231_ms = at_ms;
    }
}

enum inventory_service inventory_service_of(const struct inventory_server *server, int64_t mono_ms)
{
    const struct inventory_live *live = &server->live;

    if (server->admission == ADMISSION_REVOKED)
        return SERVICE_REVOKED;
#ifndef CASFLEET_MUTANT_R12
    if (live->proof_mono_ms == 0 || mono_ms - live->proof_mono_ms > FRESH_MS)
        return SERVICE_SILENT;
#endif
    if (live->is_drained)
        return SERVICE_DRAINED;
    if (live->maintenance[0] != '\0')
        return SERVICE_MAINTENANCE;
    if (live->health == HEALTH_BAD)
        return SERVICE_SICK;
#ifdef CASFLEET_MUTANT_R12
    if (live->proof_mono_ms == 0 || mono_ms - live->proof_mono_ms > FRESH_MS)
        return SERVICE_UP;
#endif
    return live->health == HEALTH_GOOD ? SERVICE_UP : SERVICE_UNPROBED;
}

bool inventory_is_held(const struct inventory_server *server)
{
    return server->live.held_reason[0] != '\0';
}

void inventory_held_words(const struct inventory_server *server, struct cas_text *text)
{
    cas_text_add(text,
                 "held on the server by %s: %s",
                 server->live.held_by,
                 server->live.held_reason);
}

const char *inventory_service_words(enum inventory_service service)
{
    switch (service) {
    case SERVICE_UP:
        return "up";
    case SERVICE_REVOKED:
        return "revoked";
    case SERVICE_SILENT:
        return "silent";
    case SERVICE_DRAINED:
        return "drained";
    case SERVICE_MAINTENANCE:
        return "maintenance";
    case SERVICE_SICK:
        return "sick";
    case SERVICE_UNPROBED:
        return "unprobed";
    }
    return "?";
}

bool inventory_is_settled(const struct inventory_server *server, int64_t mono_ms)
{
    const struct inventory_live *live = &server->live;
    return live->has_requests && live->proof_mono_ms != 0 &&
           mono_ms - live->proof_mono_ms <= FRESH_MS &&
           mono_ms - live->requests_since_mono_ms >= SETTLE_STILL_MS;
}
