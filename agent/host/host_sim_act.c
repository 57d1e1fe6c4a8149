#include "agent/host/host_sim.h"

#include <stdlib.h>
#include <string.h>

#include "proto/base/failpoint.h"

enum {
    ACT_LEAST_MS = 800,
    ACT_SPREAD_MS = 1700,
    EFFECT_LINES_BYTES = 1024
};

static enum cas_err effect_room(struct host_sim *sim, size_t more, struct cas_why *why)
{
    if (sim->effect_n + more <= sim->effect_cap)
        return CAS_OK;
    if (sim->effect_n + more > SIM_EFFECTS)
        return cas_fail(why, CAS_ERR_FULL, "%d effects are kept in memory at most", SIM_EFFECTS);
    size_t cap = sim->effect_cap == 0 ? 16 : 2 * sim->effect_cap;
    struct host_sim_effect *bigger = realloc(sim->effect, cap * sizeof *bigger);
    if (bigger == NULL)
        return cas_fail(why,
                        CAS_ERR_NOMEM,
                        "no memory for another effect of %s",
                        sim->settings.name);
    sim->effect = bigger;
    sim->effect_cap = cap;
    return CAS_OK;
}

/* All of them safe, or none; then they are true. */
static enum cas_err effect_put(struct host_sim *sim,
                               const struct host_sim_effect *effect,
                               size_t n,
                               struct cas_why *why)
{
    enum cas_err err = CAS_FAILPOINT("sim.effect");
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: an effect cannot be kept", sim->settings.name);
    if (sim->log != NULL) {
        char lines[EFFECT_LINES_BYTES];
        struct cas_text text = CAS_TEXT(lines);
        cas_text_clear(&text);
        for (size_t i = 0; i < n; i++)
            sim_effect_print(sim->settings.name, &effect[i], &text);
        CAS_ASSERT(!text.is_cut);
        err = file_log_append(sim->log, (struct cas_slice){lines, text.used}, why);
    } else {
        err = effect_room(sim, n, why);
        for (size_t i = 0; i < n && err == CAS_OK; i++)
            sim->effect[sim->effect_n++] = effect[i];
    }
    for (size_t i = 0; i < n && err == CAS_OK; i++)
        sim_apply(&sim->memory, &effect[i]);
    return err;
}

enum cas_err sim_save(struct host_sim *sim, struct cas_now now, struct cas_why *why)
{
    if (sim->settings.state[0] == '\0')
        return CAS_OK;
    struct sim_state state = {
        .memory = sim->memory,
        .anchor_wall_ms = now.wall_ms,
        .anchor_ms = sim_now_ms(sim, now),
    };
    return sim_state_write(sim->settings.state, &state, why);
}

static struct host_sim_effect
effect_of(struct host_sim *sim, struct cas_now now, enum host_sim_kind kind, const uint8_t *cmd_id)
{
    uint32_t pid = sim->memory.worker[sim->memory.worker_n - 1].pid;
    struct host_sim_effect effect = {
        .at_ms = now.wall_ms,
        .mono_ms = now.mono_ms,
        .model_ms = sim_now_ms(sim, now),
        .kind = kind,
        .pid_before = pid,
        .pid_after = pid,
        .seq = sim->memory.seq + 1,
        .outcome = "ok",
    };
    if (cmd_id != NULL)
        memcpy(effect.cmd_id, cmd_id, CAS_ID_BYTES);
    return effect;
}

enum cas_err
sim_observe(struct host_sim *sim, struct cas_now now, bool is_good, struct cas_why *why)
{
    struct sim_memory *memory = &sim->memory;
    if (!memory->is_out || (memory->is_out_told && !is_good))
        return CAS_OK;
    struct host_sim_effect effect[2];
    size_t n = 0;
    if (!memory->is_out_told)
        effect[n++] = effect_of(sim, now, HOST_SIM_OUT, memory->out_id);
    if (is_good) {
        effect[n] = effect_of(sim, now, HOST_SIM_IN, memory->out_id);
        effect[n].seq += n;
        n++;
    }
    enum cas_err err = effect_put(sim, effect, n, why);
    if (err != CAS_OK)
        return err;
    /* The effect log tells what a state file that could not be written does not. */
    err = sim_save(sim, now, why);
    return sim->log != NULL ? CAS_OK : err;
}

struct sim_failure {
    const char *failure;
    const char *outcome;
    bool is_same_worker;
};
static const struct sim_failure sim_failures[] = {
    {"never-healthy", "sick", false},
    {"silent-after", "silent", false},
    {"unchanged", "unchanged", true},
    {"recycle-fails", "refused", true},
    {"hangs", "hangs", true},
};

static void recycle_outcome(struct host_sim *sim, struct host_sim_effect *effect)
{
    effect->pid_after = sim_next_pid(&sim->settings, &sim->memory);
    for (size_t i = 0; i < CAS_COUNT(sim_failures); i++) {
        const struct sim_failure *row = &sim_failures[i];
        if (strcmp(sim->settings.failure, row->failure) != 0)
            continue;
        struct cas_text outcome = CAS_TEXT(effect->outcome);
        cas_text_clear(&outcome);
        cas_text_add(&outcome, "%s", row->outcome);
        if (row->is_same_worker)
            effect->pid_after = effect->pid_before;
    }
}

/* What the tool will say, once it answers. */
static void act_words(struct host_sim *sim, const struct host_sim_effect *effect)
{
    struct cas_text text = CAS_TEXT(sim->act.text);
    sim->act = (struct host_act){.state = HOST_ACT_DONE};
    cas_text_clear(&text);
    sim->is_hanging = strcmp(effect->outcome, "hangs") == 0;
    if (strcmp(effect->outcome, "refused") == 0) {
        sim->act.state = HOST_ACT_FAILED;
        sim->act.code = 1;
        cas_text_add(&text,
                     "ERROR ( message:The WAS service is not available - try starting the service "
                     "first. )");
    } else if (effect->kind == HOST_SIM_RECYCLE) {
        cas_text_add(&text, "\"%s\" successfully recycled", SIM_POOL);
    } else {
        cas_text_add(&text,
                     "ActiveSyncProxy is %s, requester Maintenance",
                     effect->kind == HOST_SIM_DRAIN ? "Inactive" : "Active");
    }
}

static enum cas_err act_check(struct host_sim *sim,
                              struct cas_now now,
                              enum verb verb,
                              const char *pool,
                              struct cas_why *why)
{
    if (verb != VERB_recycle && verb != VERB_drain && verb != VERB_undrain)
        return cas_fail(why,
                        CAS_ERR_UNSUPPORTED,
                        "verb %d changes nothing here: recycle, drain and undrain do",
                        (int)verb);
    enum cas_err err = sim_reach(sim, pool, why);
    if (err != CAS_OK)
        return err;
    struct host_act act = {0};
    if (sim->is_begun && sim_poll(&sim->host, now, &act, NULL) == CAS_OK &&
        act.state == HOST_ACT_RUNNING)
        return cas_fail(why, CAS_ERR_BUSY, "another act on %s is running", SIM_POOL);
    return CAS_OK;
}

static enum host_sim_kind kind_of(enum verb verb)
{
    if (verb == VERB_recycle)
        return HOST_SIM_RECYCLE;
    return verb == VERB_drain ? HOST_SIM_DRAIN : HOST_SIM_UNDRAIN;
}

enum cas_err sim_begin(struct host *host,
                       struct cas_now now,
                       enum verb verb,
                       const char *pool,
                       const uint8_t cmd_id[CAS_ID_BYTES],
                       int64_t deadline_ms,
                       struct cas_why *why)
{
    struct host_sim *sim = (struct host_sim *)host;
    enum cas_err err = act_check(sim, now, verb, pool, why);
    if (err != CAS_OK)
        return err;

    struct host_sim_effect effect[2];
    size_t n = 1;
    effect[0] = effect_of(sim, now, kind_of(verb), cmd_id);
    if (verb == VERB_recycle)
        recycle_outcome(sim, &effect[0]);
    bool is_change = effect[0].pid_after != effect[0].pid_before;
    if ((is_change || verb == VERB_drain) && !sim->memory.is_out) {
        effect[n] = effect[0];
        effect[n].kind = HOST_SIM_OUT;
        effect[n].seq++;
        n++;
    }
    err = effect_put(sim, effect, n, why);
    if (err != CAS_OK)
        return err;
    /* It has happened; the effect log tells it should this file stay behind. */
    struct cas_why ignored = {0};
    enum cas_err late = CAS_FAILPOINT("sim.state");
    if (late == CAS_OK)
        late = sim_save(sim, now, &ignored);
    (void)late;

    if (verb == VERB_recycle && strcmp(sim->settings.failure, "dies") == 0) {
        if (sim->log != NULL)
            failpoint_kill();
        sim->is_dead = true;
    }
    int64_t span_ms =
        ACT_LEAST_MS + (int64_t)(sim_hash(sim->settings.seed, 'a', effect[0].seq) % ACT_SPREAD_MS);
    act_words(sim, &effect[0]);
    sim->is_begun = true;
    sim->is_ended = false;
    sim->act_ms = effect[0].model_ms + span_ms;
    sim->act_deadline_ms = deadline_ms;
    sim->act_end_mono_ms = now.mono_ms + deadline_ms;
    return CAS_OK;
}

enum cas_err
sim_poll(struct host *host, struct cas_now now, struct host_act *ret_act, struct cas_why *why)
{
    struct host_sim *sim = (struct host_sim *)host;
    if (!sim->is_begun)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "no act was begun on %s", sim->settings.name);
    bool is_answered = !sim->is_hanging && sim_now_ms(sim, now) >= sim->act_ms;
    if (sim->is_dead) {
        *ret_act = (struct host_act){.state = HOST_ACT_RUNNING};
        return CAS_OK;
    }
    if (!sim->is_ended && !is_answered && now.mono_ms < sim->act_end_mono_ms) {
        *ret_act = (struct host_act){.state = HOST_ACT_RUNNING};
        return CAS_OK;
    }
    if (!sim->is_ended && !is_answered) {
        struct cas_text text = CAS_TEXT(sim->act.text);
        sim->act = (struct host_act){.state = HOST_ACT_UNKNOWN, .code = -1};
        cas_text_clear(&text);
        cas_text_add(&text, "no answer from the tool within ");
        cas_text_span(&text, sim->act_deadline_ms);
    }
    sim->is_ended = true;
    *ret_act = sim->act;
    return CAS_OK;
}

size_t host_sim_effect_n(const struct host *host)
{
    return ((const struct host_sim *)host)->effect_n;
}

const struct host_sim_effect *host_sim_effect(const struct host *host, size_t i)
{
    const struct host_sim *sim = (const struct host_sim *)host;
    CAS_ASSERT(i < sim->effect_n);
    return &sim->effect[i];
}

bool sim_is_failure(const char *text)
{
    for (size_t i = 0; i < CAS_COUNT(sim_failures); i++) {
        if (strcmp(text, sim_failures[i].failure) == 0)
            return true;
    }
    return strcmp(text, "") == 0 || strcmp(text, "dies") == 0;
}

enum cas_err host_sim_set_failure(struct host *host, const char *failure, struct cas_why *why)
{
    struct host_sim *sim = (struct host_sim *)host;
    if (!sim_is_failure(failure))
        return cas_fail(why, CAS_ERR_CONFIG, "\"%.40s\" is not a failure the model has", failure);
    struct cas_text text = CAS_TEXT(sim->settings.failure);
    cas_text_clear(&text);
    cas_text_add(&text, "%s", failure);
    if (failure[0] == '\0') {
        sim->memory.worker[sim->memory.worker_n - 1].is_sick = false;
        sim->memory.is_silent = false;
    }
    return CAS_OK;
}

enum cas_err host_sim_kill_worker(struct host *host, struct cas_now now, struct cas_why *why)
{
    struct host_sim *sim = (struct host_sim *)host;
    struct host_sim_effect effect = effect_of(sim, now, HOST_SIM_SELF, NULL);
    effect.pid_after = sim_next_pid(&sim->settings, &sim->memory);
    enum cas_err err = effect_put(sim, &effect, 1, why);
    if (err != CAS_OK)
        return err;
    err = sim_save(sim, now, why);
    return sim->log != NULL ? CAS_OK : err;
}

bool host_sim_is_dead(const struct host *host)
{
    return ((const struct host_sim *)host)->is_dead;
}

void host_sim_revive(struct host *host)
{
    struct host_sim *sim = (struct host_sim *)host;
    sim->is_dead = false;
    sim->is_begun = false;
    sim->has_rates = false;
}
