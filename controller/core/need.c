#include "controller/core/need.h"

enum {
    FRESH_AHEAD_MS = CLOCK_SKEW_MS /* a reading may lie so far ahead of our clock */
};

static bool is_fresh(const struct inventory_value *value, int64_t wall_ms)
{
    int64_t age_ms = wall_ms - value->at_ms;
    return value->at_ms != 0 && value->is_known && age_ms <= NEED_FRESH_MS &&
           age_ms >= -FRESH_AHEAD_MS;
}

static void add(struct cas_text *words, const char *text)
{
    if (words != NULL)
        cas_text_add(words, "%s", text);
}

static void add_bytes(struct cas_text *words, double bytes)
{
    if (words != NULL)
        cas_text_add(words,
                     bytes < 1e9 ? "%.0f MB" : "%.1f GB",
                     bytes < 1e9 ? bytes / 1e6 : bytes / 1e9);
}

static void add_age(struct cas_text *words, int64_t at_ms, int64_t wall_ms)
{
    if (words == NULL)
        return;
    cas_text_add(words, " (");
    cas_text_span(words, wall_ms > at_ms ? wall_ms - at_ms : 0);
    cas_text_add(words, " old)");
}

/* Why a reading cannot be used. */
static void add_unknown(struct cas_text *words,
                        const struct inventory_server *server,
                        enum symptom symptom,
                        int64_t wall_ms)
{
    const struct inventory_value *value = &server->value[symptom];
    if (words == NULL)
        return;
    cas_text_add(words, "%s ", symptom_name(symptom));
    if (value->at_ms == 0) {
        cas_text_add(words, "was never reported");
    } else if (!value->is_known) {
        const char *reason = inventory_reason(value);
        cas_text_add(words, "not read%s%s", reason[0] != '\0' ? ": " : "", reason);
    } else {
        cas_text_add(words, "too old");
        add_age(words, value->at_ms, wall_ms);
    }
}

double need_ram_spare(const struct inventory_server *server)
{
    return server->value[SYMPTOM_memory_available].value -
           server->value[SYMPTOM_private_bytes].value;
}

enum need_ram
need_ram_of(const struct inventory_server *server, int64_t wall_ms, struct cas_text *words)
{
    static const enum symptom needed[] = {SYMPTOM_memory_available, SYMPTOM_private_bytes};
    for (size_t i = 0; i < CAS_COUNT(needed); i++) {
        if (is_fresh(&server->value[needed[i]], wall_ms))
            continue;
        add(words, "whether two workers fit in memory is not known: ");
        add_unknown(words, server, needed[i], wall_ms);
        return RAM_UNKNOWN;
    }
    const struct inventory_value *available = &server->value[SYMPTOM_memory_available];
    const struct inventory_value *worker = &server->value[SYMPTOM_private_bytes];
    bool fits = available->value >= worker->value;
    add(words, fits ? "two workers fit in memory: " : "two workers do not fit in memory: ");
    add_bytes(words, available->value);
    add(words, " free, the worker has ");
    add_bytes(words, worker->value);
    add_age(words, available->at_ms < worker->at_ms ? available->at_ms : worker->at_ms, wall_ms);
    return fits ? RAM_FITS : RAM_SHORT;
}

/* Told since this worker began: what an earlier one left behind is no sign of this one. */
static bool
is_event_of_worker(const struct inventory_server *server, int64_t event_ms, int64_t wall_ms)
{
    enum {
        DAY_MS = 24 * 60 * 60 * 1000
    };
    return event_ms != 0 && wall_ms - event_ms < DAY_MS && event_ms > server->live.start_ms;
}

enum need_leak
need_leak_of(const struct inventory_server *server, int64_t wall_ms, struct cas_text *words)
{
    const struct inventory_value *stranded = &server->value[SYMPTOM_stranded_requests];
    const struct inventory_value *used = &server->value[SYMPTOM_ports_used];
    const struct inventory_value *total = &server->value[SYMPTOM_ports_total];
    bool has_stranded = is_fresh(stranded, wall_ms);
    bool has_ports = is_fresh(used, wall_ms) && is_fresh(total, wall_ms) && total->value > 0;
    double ports_pct = has_ports ? 100.0 * used->value / total->value : 0;
    if (is_event_of_worker(server, server->event_4231_ms, wall_ms) ||
        is_event_of_worker(server, server->event_4227_ms, wall_ms)) {
        add(words, "it leaks: its ports ran short since this worker began");
        return LEAK_SIGNS;
    }
    bool is_stranded = has_stranded && stranded->value >= NEED_STRANDED_N;
    bool is_used = has_ports && ports_pct >= NEED_PORTS_PCT;
    if (!is_stranded && !is_used && !(has_stranded && has_ports)) {
        add(words, "whether it leaks is not known: ");
        enum symptom missing = !has_stranded             ? SYMPTOM_stranded_requests
                               : is_fresh(used, wall_ms) ? SYMPTOM_ports_total
                                                         : SYMPTOM_ports_used;
        add_unknown(words, server, missing, wall_ms);
        return LEAK_UNKNOWN;
    }
    add(words, is_stranded || is_used ? "it leaks: " : "no leak seen: ");
    if (words != NULL && has_stranded)
        cas_text_add(words, "%.0f stranded requests", stranded->value);
    if (words != NULL && has_ports)
        cas_text_add(words, "%s%.0f %% of its ports", has_stranded ? ", " : "", ports_pct);
    add_age(words, has_stranded ? stranded->at_ms : used->at_ms, wall_ms);
    return is_stranded || is_used ? LEAK_SIGNS : LEAK_NONE;
}

static void picture_symptom(const struct inventory_server *server,
                            enum symptom symptom,
                            int64_t wall_ms,
                            struct cas_text *words,
                            struct cas_text *unknown)
{
    const struct inventory_value *value = &server->value[symptom];
    if (!is_fresh(value, wall_ms)) {
        cas_text_add(unknown, "%s%s", unknown->used > 0 ? ", " : "", symptom_name(symptom));
    } else if (symptom_unit(symptom) == UNIT_BYTES) {
        cas_text_add(words, "; %s ", symptom_name(symptom));
        add_bytes(words, value->value);
    } else {
        cas_text_add(words, "; %s %.0f", symptom_name(symptom), value->value);
    }
}

void need_picture(const struct inventory_server *server, struct cas_now now, struct cas_text *words)
{
    static const enum symptom shown[] = {SYMPTOM_stranded_requests,
                                         SYMPTOM_ports_used,
                                         SYMPTOM_memory_available};
    const struct inventory_live *live = &server->live;
    char text[96];
    struct cas_text unknown = CAS_TEXT(text);
    cas_text_clear(&unknown);
    enum inventory_service service = inventory_service_of(server, now.mono_ms);
    cas_text_add(words, "%s", inventory_service_words(service));
    if (service == SERVICE_SICK && live->health_reason[0] != '\0')
        cas_text_add(words, " (%s)", live->health_reason);
    if (inventory_is_held(server))
        cas_text_add(words, ", held");
    int64_t age_ms = inventory_worker_age_ms(server, now.wall_ms);
    if (live->pid != 0 && age_ms >= 0) {
        cas_text_add(words, "; worker %u for ", live->pid);
        cas_text_span(words, age_ms);
    } else {
        cas_text_add(&unknown, "worker");
    }
    if (live->has_requests)
        cas_text_add(words, "; requests %.0f", live->active_requests);
    else
        cas_text_add(&unknown, "%srequests", unknown.used > 0 ? ", " : "");
    for (size_t i = 0; i < CAS_COUNT(shown); i++)
        picture_symptom(server, shown[i], now.wall_ms, words, &unknown);
    if (unknown.used > 0)
        cas_text_add(words, "; not known: %s", text);
}
