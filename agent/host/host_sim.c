#include "agent/host/host_sim.h"

#include <stdlib.h>
#include <string.h>

/* A model that slept longer than this has not moved on further: a wall clock that jumped. */
static const int64_t asleep_most_ms = 30 * (int64_t)SIM_DAY_MS;

int64_t sim_now_ms(struct host_sim *sim, struct cas_now now)
{
    double span_ms = (double)(now.mono_ms - sim->open_mono_ms) * sim->settings.speed;
    int64_t at_ms = sim->open_ms + (int64_t)span_ms;
    if (at_ms > sim->last_ms)
        sim->last_ms = at_ms;
    return sim->last_ms;
}

int64_t sim_wall_ms(struct host_sim *sim, struct cas_now now, int64_t at_ms)
{
    int64_t now_ms = sim_now_ms(sim, now);
    int64_t span_ms = now_ms - at_ms;
    int64_t fast_ms =
        now_ms - sim->memory.origin_ms; /* before its origin the model was no faster */
    if (fast_ms > span_ms)
        fast_ms = span_ms;
    return now.wall_ms - (int64_t)((double)fast_ms / sim->settings.speed) - (span_ms - fast_ms);
}

enum cas_err sim_reach(const struct host_sim *sim, const char *pool, struct cas_why *why)
{
    if (sim->memory.is_silent)
        return cas_fail(why, CAS_ERR_UNREACHABLE, "%s: no answer within 5 s", sim->settings.name);
    if (strcmp(pool, SIM_POOL) != 0)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "%s has no application pool \"%.64s\", only %s",
                        sim->settings.name,
                        pool,
                        SIM_POOL);
    return CAS_OK;
}

static enum cas_err sim_read(struct host *host,
                             struct cas_now now,
                             const char *pool,
                             struct host_reading *ret_reading,
                             size_t cap,
                             size_t *ret_n,
                             struct cas_why *why)
{
    struct host_sim *sim = (struct host_sim *)host;
    enum cas_err err = sim_reach(sim, pool, why);
    if (err != CAS_OK)
        return err;

    int64_t now_ms = sim_now_ms(sim, now);
    const struct sim_worker *worker = &sim->memory.worker[sim->memory.worker_n - 1];
    double value[SYMPTOM_END] = {0};
    struct sim_load load;
    sim_load(&sim->settings, &sim->memory, now_ms, &load);
    sim_values(&sim->settings, &load, now_ms, value);
    value[SYMPTOM_workers] = load.is_overlapped ? 2 : 1;
    int64_t age_ms = now.wall_ms - worker->start_wall_ms;
    value[SYMPTOM_worker_age] =
        age_ms == -1 ? 0 : (double)age_ms; /* -1: started this very instant */
    sim_event_counts(sim, now_ms, &value[SYMPTOM_events_4227], &value[SYMPTOM_events_4231]);

    size_t n = 0;
    for (int i = SYMPTOM_NONE + 1; i < SYMPTOM_END && n < cap; i++) {
        enum symptom symptom = (enum symptom)i;
        bool is_rate = symptom == SYMPTOM_requests_per_s || symptom == SYMPTOM_syncs_per_s;
        bool is_workers = symptom == SYMPTOM_active_requests || symptom == SYMPTOM_private_bytes ||
                          symptom == SYMPTOM_gc_time_pct || symptom == SYMPTOM_working_set ||
                          symptom == SYMPTOM_handles || symptom == SYMPTOM_heap_bytes ||
                          symptom == SYMPTOM_worker_age || symptom == SYMPTOM_stranded_requests;
        struct host_reading *reading = &ret_reading[n++];
        reading->symptom = symptom;
        reading->is_known = !is_rate || sim->has_rates;
        reading->value = reading->is_known ? value[i] : 0;
        reading->pid = is_workers ? worker->pid : 0;
        reading->reason[0] = '\0';
        struct cas_text reason = CAS_TEXT(reading->reason);
        if (!reading->is_known)
            cas_text_add(&reason, "a rate has no value in the first sample");
    }
    sim->has_rates = true;
    *ret_n = n;
    return CAS_OK;
}

static enum cas_err sim_pool(struct host *host,
                             struct cas_now now,
                             const char *pool,
                             struct host_pool *ret_pool,
                             struct cas_why *why)
{
    struct host_sim *sim = (struct host_sim *)host;
    enum cas_err err = sim_reach(sim, pool, why);
    if (err != CAS_OK)
        return err;

    const struct sim_memory *memory = &sim->memory;
    int64_t now_ms = sim_now_ms(sim, now);
    struct host_pool state = {.is_drained = memory->is_drained};
    bool is_good = sim_is_healthy(&sim->settings, memory, now_ms, state.reason);
    /* A proof is worth nothing before it stands in the effect log. */
    err = sim_observe(sim, now, is_good, why);
    if (err != CAS_OK)
        return err;

    struct sim_load load;
    sim_load(&sim->settings, memory, now_ms, &load);
    size_t first = memory->worker_n - (load.is_overlapped ? 2 : 1);
    for (size_t i = first; i < memory->worker_n; i++)
        state.worker[state.worker_n++] =
            (struct host_worker){memory->worker[i].pid, memory->worker[i].start_wall_ms};
    state.health = is_good ? HEALTH_GOOD : HEALTH_BAD;
    state.probe_seq = ++sim->probe_seq;
    state.has_requests = true;
    state.active_requests = load.held + load.stranded;
    struct cas_text maintenance = CAS_TEXT(state.maintenance);
    cas_text_add(&maintenance, "%s", sim->settings.foreign);
    *ret_pool = state;
    return CAS_OK;
}

struct sim_product {
    const char *build;
    const char *product;
    const char *os;
};
static const struct sim_product sim_products[] = {
    {"15.0.", "Exchange 2013", "Windows Server 2012 R2"},
    {"15.1.", "Exchange 2016", "Windows Server 2016"},
    {"15.2.", "Exchange 2019", "Windows Server 2019"},
};

static void
fact_add(struct host_fact *fact, size_t cap, size_t *n, const char *key, const char *value)
{
    if (*n == cap)
        return;
    fact[*n] = (struct host_fact){.is_known = value != NULL};
    struct cas_text key_text = CAS_TEXT(fact[*n].key);
    struct cas_text value_text = CAS_TEXT(fact[*n].value);
    struct cas_text reason = CAS_TEXT(fact[*n].reason);
    cas_text_add(&key_text, "%s", key);
    cas_text_add(&value_text, "%s", value != NULL ? value : "");
    if (value == NULL)
        cas_text_add(&reason, "no known product has this build");
    (*n)++;
}

static enum cas_err sim_facts(struct host *host,
                              struct cas_now now,
                              struct host_fact *ret_fact,
                              size_t cap,
                              size_t *ret_n,
                              struct cas_why *why)
{
    struct host_sim *sim = (struct host_sim *)host;
    (void)now;
    enum cas_err err = sim_reach(sim, SIM_POOL, why);
    if (err != CAS_OK)
        return err;

    const struct host_sim_settings *settings = &sim->settings;
    const char *product = NULL;
    const char *os = NULL;
    for (size_t i = 0; i < CAS_COUNT(sim_products); i++) {
        if (strncmp(settings->build, sim_products[i].build, strlen(sim_products[i].build)) != 0)
            continue;
        product = sim_products[i].product;
        os = sim_products[i].os;
    }
    char start[32];
    char total[32];
    char ram[32];
    struct cas_text start_text = CAS_TEXT(start);
    struct cas_text total_text = CAS_TEXT(total);
    struct cas_text ram_text = CAS_TEXT(ram);
    cas_text_add(&start_text, "%d", SIM_PORTS_START);
    cas_text_add(&total_text, "%d", SIM_PORTS_TOTAL);
    cas_text_add(&ram_text, "%llu", (unsigned long long)settings->ram_bytes);

    size_t n = 0;
    fact_add(ret_fact, cap, &n, "host.kind", "sim");
    fact_add(ret_fact, cap, &n, "host.name", settings->name);
    fact_add(ret_fact, cap, &n, "exchange.build", settings->build);
    fact_add(ret_fact, cap, &n, "exchange.product", product);
    fact_add(ret_fact, cap, &n, "exchange.roles", settings->roles);
    fact_add(ret_fact, cap, &n, "os.name", os);
    fact_add(ret_fact, cap, &n, "ports.start", start);
    fact_add(ret_fact, cap, &n, "ports.n", total);
    fact_add(ret_fact, cap, &n, "ram.bytes", ram);
    fact_add(ret_fact, cap, &n, "reboot.pending", "no");
    *ret_n = n;
    return CAS_OK;
}

static void sim_free(struct host *host)
{
    struct host_sim *sim = (struct host_sim *)host;
    file_log_free(sim->log);
    free(sim->effect);
    free(sim);
}

static const struct host_ops sim_ops = {
    .read = sim_read,
    .pool = sim_pool,
    .events = sim_events,
    .facts = sim_facts,
    .begin = sim_begin,
    .poll = sim_poll,
    .free = sim_free,
};

static void sim_start(struct host_sim *sim, struct cas_now now)
{
    int64_t age_ms = sim->settings.worker_age_ms;
    sim->memory = (struct sim_memory){.origin_ms = now.wall_ms,
                                      .turned_ms = now.wall_ms,
                                      .front_turned = 1,
                                      .worker_n = 1};
    sim->memory.worker[0] = (struct sim_worker){
        .pid = 1000 + 4 * (uint32_t)(sim_hash(sim->settings.seed, 'p', UINT64_MAX) % 6000),
        .start_wall_ms = now.wall_ms - age_ms,
        .since_ms = now.wall_ms - age_ms,
        .until_ms = INT64_MAX,
    };
    sim->open_ms = now.wall_ms;
}

/* The server did not stop while the agent was away: its time went on by the wall clock. */
static void sim_resume(struct host_sim *sim, const struct sim_state *state, struct cas_now now)
{
    double asleep_ms = (double)(now.wall_ms - state->anchor_wall_ms) * sim->settings.speed;
    if (asleep_ms < 0)
        asleep_ms = 0;
    if (asleep_ms > (double)asleep_most_ms)
        asleep_ms = (double)asleep_most_ms;
    sim->memory = state->memory;
    sim->open_ms = state->anchor_ms + (int64_t)asleep_ms;
}

static enum cas_err sim_remember(struct host_sim *sim, struct cas_now now, struct cas_why *why)
{
    struct sim_state state = {0};
    if (sim->settings.state[0] != '\0') {
        enum cas_err err = sim_state_read(sim->settings.state, &state, why);
        if (err != CAS_OK && err != CAS_ERR_NOT_FOUND)
            return err;
        if (sim->log != NULL) {
            err = sim_state_replay(&sim->settings, &state, why);
            if (err != CAS_OK)
                return err;
        }
    }
    if (state.memory.worker_n > 0)
        sim_resume(sim, &state, now);
    else
        sim_start(sim, now);
    sim->open_mono_ms = now.mono_ms;
    sim->last_ms = sim->open_ms;
    return sim_save(sim, now, why);
}

enum cas_err host_sim_open(const struct host_sim_settings *settings,
                           struct cas_now now,
                           struct host **ret_host,
                           struct cas_why *why)
{
    enum cas_err err = sim_settings_check(settings, why);
    if (err != CAS_OK)
        return err;
    struct host_sim *sim = calloc(1, sizeof *sim);
    if (sim == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the model of %s", settings->name);
    CAS_AUTO(host) host = &sim->host;
    host->ops = &sim_ops;
    sim->settings = *settings;
    if (settings->effects[0] != '\0') {
        err = file_log_open(settings->effects, &sim->log, why);
        if (err != CAS_OK)
            return err;
    }
    err = sim_remember(sim, now, why);
    if (err != CAS_OK)
        return err;
    *ret_host = CAS_TAKE(host);
    return CAS_OK;
}
