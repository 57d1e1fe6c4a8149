#include <string.h>

#include "agent/verb/verb_desk.h"
#include "proto/base/failpoint.h"

enum {
    STEPS_MOST = 8, /* phases passed in one go */
    REWRITE_MS = 1000
};

/* The failpoints after the INTENT can only kill: an error there has nothing to refuse. */
static void pass(enum cas_err err)
{
    (void)err;
}

static void row_say(struct ledger_row *row, const char *first, const char *second)
{
    struct cas_text text = CAS_TEXT(row->text);
    cas_text_clear(&text);
    cas_text_add(&text, "%s%s", first, second);
    if (cas_is_clean_text((struct cas_slice){row->text, text.used}))
        return;
    for (size_t i = 0; i < text.used; i++) {
        if (row->text[i] < ' ' || row->text[i] > '~')
            row->text[i] = '?';
    }
}

/* Requests that are no number are requests not known. */
static enum cas_err see(struct verb_desk *desk,
                        struct cas_now now,
                        const char *pool,
                        struct host_pool *ret_pool,
                        struct cas_why *why)
{
    struct host *host = desk->settings.host;
    enum cas_err err = host->ops->pool(host, now, pool, ret_pool, why);
    if (err == CAS_OK)
        ret_pool->has_requests = ret_pool->has_requests && cas_is_number(ret_pool->active_requests);
    return err;
}

static enum cas_err look(struct verb_desk *desk, struct cas_now now, struct host_pool *ret_pool)
{
    return see(desk, now, desk->task.row.pool, ret_pool, NULL);
}

/* Windows' exit codes have 32 bits; one read as unsigned is shown as appcmd's manual shows it. */
static int64_t code_of(int64_t code)
{
    if (code > INT32_MAX && code <= UINT32_MAX)
        return code - UINT32_MAX - 1;
    return code < INT32_MIN ? INT32_MIN : code > INT32_MAX ? INT32_MAX : code;
}

static struct host_worker newest_of(const struct host_pool *pool)
{
    struct host_worker none = {.pid = 0};
    return pool->worker_n == 0 ? none : pool->worker[pool->worker_n - 1];
}

static void after_take(struct verb_task *task, const struct host_pool *pool)
{
    struct host_worker newest = newest_of(pool);
    task->row.pid_after = newest.pid;
    task->row.start_after_ms = newest.start_ms;
}

/* Another process than before, not an older one that has outlived it. Where only the start tells
 * them apart (the same id again, or none seen before) it must lie after the INTENT: a start that is
 * worked out from an age is never read the same twice. */
static bool is_new_worker(const struct ledger_row *row)
{
    if (row->pid_after == 0)
        return false;
    if (row->pid_before == 0 || row->pid_after == row->pid_before)
        return row->start_after_ms > row->intent_ms && row->start_after_ms > row->start_before_ms;
    return row->start_after_ms >= row->start_before_ms;
}

/* ---- the outcome ---- */

static void outcome_write(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct cas_why why = {.text = ""};
    enum cas_err err = CAS_OK;
#ifdef CASFLEET_MUTANT_R1
    struct ledger_row old;
    if (ledger_find(desk->settings.ledger, task->row.cmd_id, &old) == CAS_ERR_NOT_FOUND)
        err = ledger_write(desk->settings.ledger, &task->row, &why);
#endif
    struct ledger_row row = task->row;
    row.state = task->outcome;
    if (err == CAS_OK)
        err = ledger_write(desk->settings.ledger, &row, &why);
    if (err != CAS_OK) {
        /* INTENT stays: nothing else is begun until this is on disk. */
        if (!task->is_journal_told)
            verb_news_tell(desk, VERB_NEWS_JOURNAL, &row, why.text);
        task->is_journal_told = true;
        task->look_ms = now.mono_ms + REWRITE_MS;
        return;
    }
    pass(CAS_FAILPOINT("agent.after_outcome"));
    task->row = row;
    task->phase = PHASE_NONE;
    desk->has_unacknowledged = true;
    desk->resend_ms = now.mono_ms + RESEND_MS;
    enum verb_news news = row.state == COMMAND_DONE     ? VERB_NEWS_DONE
                          : row.state == COMMAND_FAILED ? VERB_NEWS_FAILED
                                                        : VERB_NEWS_UNKNOWN;
    verb_news_tell(desk, news, &row, row.text);
    pass(CAS_FAILPOINT("agent.before_result"));
    verb_answer(desk, &row);
}

static void finish(struct verb_desk *desk, enum command_state outcome, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct host_pool pool;
    if (task->row.pid_after == 0 && look(desk, now, &pool) == CAS_OK)
        after_take(task, &pool);
    task->row.done_ms = now.wall_ms;
    task->outcome = outcome;
    task->phase = PHASE_WRITE;
    task->look_ms = now.mono_ms;
}

static void fail(struct verb_desk *desk, const char *what, const char *words, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    char text[sizeof task->row.text];
    struct cas_text out = CAS_TEXT(text);
    cas_text_clear(&out);
    cas_text_add(&out, "%s%s", task->has_drained ? "left drained: " : "", what);
    row_say(&task->row, text, words);
    /* Only what a restart could not settle comes here as unknown: its undrain failed as well. */
    finish(desk, task->outcome == COMMAND_UNKNOWN ? COMMAND_UNKNOWN : COMMAND_FAILED, now);
}

/* ---- tools ---- */

static const char *const tool_words[] = {
    [PHASE_DRAIN] = "the drain did not work, nothing was recycled: ",
    [PHASE_ACT] = "the recycle did not work: ",
    [PHASE_UNDRAIN] = "the undrain did not work: ",
};

static void recover_begin(struct verb_task *task, struct cas_now now)
{
    task->phase = PHASE_RECOVER;
    task->phase_end_ms = now.mono_ms + RECOVER_MS;
    task->act_ms = UNDRAIN_MS;
    task->look_ms = now.mono_ms;
}

/* Begins a tool; when it cannot begin the command has failed. */
static void
tool_begin(struct verb_desk *desk, enum verb verb, enum verb_phase phase, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct host *host = desk->settings.host;
    struct cas_why why = {.text = ""};
    enum cas_err err =
        host->ops->begin(host, now, verb, task->row.pool, task->row.cmd_id, task->act_ms, &why);
    task->phase = phase;
    task->phase_end_ms = now.mono_ms + task->act_ms;
    task->look_ms = now.mono_ms + LOOK_MS;
    if (err == CAS_OK)
        return;
    if (phase == PHASE_DRAIN && task->row.verb == VERB_recycle)
        task->row.drained_ms = 0;
    fail(desk, tool_words[phase], why.text[0] == '\0' ? cas_err_words(err) : why.text, now);
}

static void undrain_begin(struct verb_desk *desk, enum command_state outcome, struct cas_now now)
{
    desk->task.has_drained = true;
    desk->task.outcome = outcome;
    tool_begin(desk, VERB_undrain, PHASE_UNDRAIN, now);
}

/* A drain that failed, or came too late to tell, may have taken hold all the same. */
static void tool_fail(struct verb_desk *desk, const char *words, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct host_pool pool;
    bool is_drain = task->phase == PHASE_DRAIN && task->row.verb == VERB_recycle;
    if (!is_drain) {
        fail(desk, tool_words[task->phase], words, now);
    } else if (look(desk, now, &pool) == CAS_OK && pool.is_drained) {
        row_say(&task->row, "undrained again; the drain did not work: ", words);
        undrain_begin(desk, COMMAND_FAILED, now);
    } else {
        task->row.drained_ms = 0;
        fail(desk, tool_words[task->phase], words, now);
    }
}

/* No answer is not a no: what was asked for may have happened, and what is seen decides, as after a
 * restart. Where the tool was a step before or after the act, its command has failed for sure. */
static void tool_late(struct verb_desk *desk, const struct host_act *act, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    if (task->phase != PHASE_ACT && task->row.verb == VERB_recycle) {
        tool_fail(desk, act->text, now);
        return;
    }
    task->late = *act;
    recover_begin(task, now);
}

/* True when the tool has done its work; one that failed has ended the command. */
static bool tool_is_done(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct host *host = desk->settings.host;
    struct host_act act = {.state = HOST_ACT_RUNNING};
    enum cas_err err = host->ops->poll(host, now, &act, NULL);
    task->look_ms = now.mono_ms + LOOK_MS;
    if (err == CAS_OK && act.state == HOST_ACT_DONE) {
        task->row.code = code_of(act.code);
        return true;
    }
    if (err == CAS_OK && act.state == HOST_ACT_FAILED) {
        task->row.code = code_of(act.code);
        tool_fail(desk, act.text, now);
    } else if (err == CAS_OK && act.state == HOST_ACT_UNKNOWN) {
        task->row.code = code_of(act.code);
        tool_late(desk, &act, now);
    } else if (now.mono_ms >= task->phase_end_ms) {
        act = (struct host_act){.state = HOST_ACT_UNKNOWN, .text = "its end was not seen"};
        tool_late(desk, &act, now);
    }
    return false;
}

/* ---- phases ---- */

static void act_begin(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    bool is_closed = now.wall_ms > task->until_wall_ms + GRANT_LIFE_MS;
    int64_t limit_ms = GRANT_LIFE_MS + task->drain_ms + task->act_ms;
    if (task->has_drained && (is_closed || !verb_is_within(task->claimed, now, limit_ms))) {
        row_say(&task->row,
                is_closed ? "the window closed during the drain"
                          : "the drain took too long by one of the two clocks",
                "; undrained, not recycled");
        undrain_begin(desk, COMMAND_FAILED, now);
        return;
    }
    tool_begin(desk, VERB_recycle, PHASE_ACT, now);
}

/* That this command drains: what a restart undoes. It is on disk before the drain is, as the host
 * undrains only what is its own. A journal that does not take it stops nothing: a restart then
 * leaves the server drained, and says so. */
static void drain_begin(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct cas_why why = {.text = ""};
    task->row.drained_ms = now.wall_ms;
    if (ledger_write(desk->settings.ledger, &task->row, &why) != CAS_OK)
        verb_news_tell(desk, VERB_NEWS_JOURNAL, &task->row, why.text);
    tool_begin(desk, VERB_drain, PHASE_DRAIN, now);
}

static void drain_step(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    if (!tool_is_done(desk, now))
        return;
    task->has_drained = task->row.verb == VERB_recycle;
    task->still_since_ms = now.mono_ms;
    task->requests_least = task->row.requests_before;
    task->phase = PHASE_QUIET;
}

static void quiet_step(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct host_pool pool = {.health = HEALTH_UNKNOWN};
    bool is_seen = look(desk, now, &pool) == CAS_OK;
    task->look_ms = now.mono_ms + LOOK_MS;
    bool has_requests = is_seen && pool.has_requests;
    if (has_requests && pool.active_requests < task->requests_least) {
        task->requests_least = pool.active_requests;
        task->still_since_ms = now.mono_ms;
    }
    bool is_quiet = has_requests && (pool.active_requests <= 0.0 ||
                                     now.mono_ms - task->still_since_ms >= DRAIN_STILL_MS);
    if (!is_quiet && now.mono_ms < task->drain_end_ms)
        return;
    task->row.drained_ms = now.wall_ms;
    task->row.has_requests = task->row.has_requests && has_requests;
    task->row.requests_drained = has_requests ? pool.active_requests : 0.0;
    if (task->row.verb == VERB_recycle) {
        act_begin(desk, now);
    } else if (is_seen && pool.is_drained) {
        row_say(&task->row, "drained", "");
        finish(desk, COMMAND_DONE, now);
    } else {
        fail(desk, "the tool said done, but the server is not seen drained", "", now);
    }
}

static void act_step(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    if (!tool_is_done(desk, now))
        return;
    pass(CAS_FAILPOINT("agent.after_act"));
    task->row.acted_ms = now.wall_ms;
    task->phase = PHASE_PROOF;
}

static void proof_step(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct host_pool pool;
    task->look_ms = now.mono_ms + LOOK_MS;
    if (look(desk, now, &pool) == CAS_OK)
        after_take(task, &pool);
    if (is_new_worker(&task->row)) {
        row_say(&task->row, "recycled", "");
        task->outcome = COMMAND_DONE;
        if (task->has_drained)
            tool_begin(desk, VERB_undrain, PHASE_UNDRAIN, now);
        else
            finish(desk, COMMAND_DONE, now);
    } else if (now.mono_ms >= task->phase_end_ms) {
        fail(desk, "the tool said done, but the worker process is the same or gone", "", now);
    }
}

static void undrain_step(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    if (!tool_is_done(desk, now))
        return;
    struct host_pool pool;
    if (task->row.verb != VERB_undrain) {
        finish(desk, task->outcome, now);
    } else if (look(desk, now, &pool) == CAS_OK && !pool.is_drained && !pool.is_drain_unknown) {
        row_say(&task->row, "undrained", "");
        finish(desk, COMMAND_DONE, now);
    } else {
        fail(desk, "the tool said done, but the server is not seen undrained", "", now);
    }
}

static const char *health_words(enum pool_health health)
{
    switch (health) {
    case HEALTH_GOOD:
        return "healthy";
    case HEALTH_BAD:
        return "not healthy: ";
    case HEALTH_UNKNOWN:
        break;
    }
    return "health not known: ";
}

/* The probe was made for INTENT's picture of the worker already; this one is the answer. */
static void probe_run(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct host_pool pool;
    if (look(desk, now, &pool) != CAS_OK) {
        fail(desk, "the pool cannot be read", "", now);
        return;
    }
    after_take(task, &pool);
    task->row.code = (int64_t)pool.health;
    row_say(&task->row, health_words(pool.health), pool.health == HEALTH_GOOD ? "" : pool.reason);
    finish(desk, COMMAND_DONE, now);
}

static void recover_say(struct verb_task *task, bool is_evident, const char *then)
{
    static const char *const words[2][2] = {
        {"the agent was restarted during the act and nothing shows what came of it",
         "observed after a restart"},
        {"no answer before the deadline and nothing shows what came of it",
         "observed, the tool had not answered before the deadline"}};
    bool is_late = task->late.state == HOST_ACT_UNKNOWN;
    char text[sizeof task->row.text];
    struct cas_text all = CAS_TEXT(text);
    cas_text_clear(&all);
    cas_text_add(&all, "%s%s%s", words[is_late][is_evident], then, is_late ? ": " : "");
    row_say(&task->row, text, task->late.text);
}

/* Nothing is done again; what is seen now decides. Source of the rule: a worker younger than the
 * INTENT can only be the act's, or as good as it. */
static void recover_step(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    struct host_pool pool = {.health = HEALTH_UNKNOWN};
    bool is_seen = look(desk, now, &pool) == CAS_OK;
    bool is_evident = false;
    task->look_ms = now.mono_ms + LOOK_MS;
    if (is_seen)
        after_take(task, &pool);
    switch (task->row.verb) {
    case VERB_recycle:
        is_evident = is_new_worker(&task->row) && task->row.start_after_ms > task->row.intent_ms;
        break;
    case VERB_drain:
        is_evident = is_seen && pool.is_drained;
        break;
    case VERB_undrain:
        is_evident = is_seen && !pool.is_drained && !pool.is_drain_unknown;
        break;
    case VERB_probe:
    case VERB_NONE:
        fail(desk, "the agent was restarted before it had probed; nothing was done", "", now);
        return;
    }
    bool is_recycle = task->row.verb == VERB_recycle;
    bool is_own_drain = is_recycle && task->row.drained_ms != 0;
    bool is_drained = is_seen && pool.is_drained;
    /* Its own drain is looked for until the end: the host undrains only what is its own. */
    bool is_open = is_own_drain && (!is_seen || pool.is_drain_unknown);
    if (now.mono_ms < task->phase_end_ms && (!is_evident || is_open))
        return;
    enum command_state outcome = is_evident ? COMMAND_DONE : COMMAND_UNKNOWN;
    if (is_own_drain && (is_drained || is_open)) {
        recover_say(task, is_evident, "; undrained then");
        undrain_begin(desk, outcome, now);
        return;
    }
    const char *left = is_evident ? "; still drained" : "; drained";
    recover_say(task, is_evident, is_drained && (is_recycle || !is_evident) ? left : "");
    finish(desk, outcome, now);
}

static void first_step(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    switch (task->row.verb) {
    case VERB_recycle:
        if (task->drain_ms > 0 && !task->was_drained)
            drain_begin(desk, now);
        else
            act_begin(desk, now);
        break;
    case VERB_drain:
        tool_begin(desk, VERB_drain, PHASE_DRAIN, now);
        break;
    case VERB_undrain:
        tool_begin(desk, VERB_undrain, PHASE_UNDRAIN, now);
        break;
    case VERB_probe:
    case VERB_NONE:
        probe_run(desk, now);
        break;
    }
}

/* A disk may take its time over the INTENT: the nonce's age is looked at once more, by the clock as
 * it is right before the act. */
static void begin_step(struct verb_desk *desk, struct cas_now now)
{
#ifndef CASFLEET_MUTANT_R3
    if (!verb_is_within(desk->task.claimed, now, GRANT_LIFE_MS)) {
        fail(desk, "the grant was too old when its INTENT was on disk; nothing was done", "", now);
        return;
    }
#endif
    desk->task.drain_end_ms = now.mono_ms + desk->task.drain_ms;
    first_step(desk, now);
}

void verb_go_on(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    enum verb_phase before = PHASE_NONE;
    if (task->phase == PHASE_BEGIN)
        begin_step(desk, now);
    for (int i = 0; i < STEPS_MOST && task->phase != before; i++) {
        before = task->phase;
        if (i == 0 && now.mono_ms < task->look_ms)
            return;
        switch (task->phase) {
        case PHASE_NONE:
        case PHASE_BEGIN:
            return;
        case PHASE_RECOVER:
            recover_step(desk, now);
            break;
        case PHASE_DRAIN:
            drain_step(desk, now);
            break;
        case PHASE_QUIET:
            quiet_step(desk, now);
            break;
        case PHASE_ACT:
            act_step(desk, now);
            break;
        case PHASE_PROOF:
            proof_step(desk, now);
            break;
        case PHASE_UNDRAIN:
            undrain_step(desk, now);
            break;
        case PHASE_WRITE:
            outcome_write(desk, now);
            break;
        }
    }
}

void verb_stop(struct verb_desk *desk, struct cas_now now)
{
    struct verb_task *task = &desk->task;
    if (task->phase != PHASE_QUIET || task->row.verb != VERB_recycle)
        return;
    row_say(&task->row, "the agent was told to end during the drain", "; undrained, not recycled");
    undrain_begin(desk, COMMAND_FAILED, now);
}

/* ---- beginning ---- */

enum cas_err verb_start(struct verb_desk *desk,
                        const struct verb_start *start,
                        struct cas_now now,
                        struct cas_why *why)
{
    const struct record_order *order = start->order;
    struct verb_task task = {.phase = PHASE_BEGIN,
                             .drain_ms = (int64_t)order->drain_ms,
                             .act_ms = (int64_t)order->act_ms,
                             .until_wall_ms = start->until_wall_ms,
                             .claimed = start->claimed,
                             .look_ms = now.mono_ms};
    struct ledger_row *row = &task.row;
    enum cas_err err = cas_slice_copy(order->pool, row->pool, sizeof row->pool);
    if (err != CAS_OK)
        return cas_fail(why, err, "the pool's name is too long");
    struct host_pool pool;
    struct cas_why seen = {.text = ""};
    if (see(desk, now, row->pool, &pool, &seen) != CAS_OK)
        return cas_fail(why, CAS_ERR_BUSY, "the pool cannot be read: %s", seen.text);
    memcpy(row->cmd_id, order->cmd_id, CAS_ID_BYTES);
    row->state = COMMAND_INTENT;
    row->verb = (enum verb)order->verb;
    row->rollout_seq = order->rollout_seq;
    row->pid_before = newest_of(&pool).pid;
    row->start_before_ms = newest_of(&pool).start_ms;
    row->intent_ms = now.wall_ms;
    row->has_requests = pool.has_requests;
    row->requests_before = pool.has_requests ? pool.active_requests : 0.0;
    row->requests_drained = row->requests_before;
    task.was_drained = pool.is_drained;
    err = CAS_FAILPOINT("agent.before_intent");
#ifndef CASFLEET_MUTANT_R1
    if (err == CAS_OK)
        err = ledger_write(desk->settings.ledger, row, why);
#endif
    if (err != CAS_OK)
        return err;
    pass(CAS_FAILPOINT("agent.after_intent"));
    desk->task = task;
    desk->acts++;
    verb_news_tell(desk, VERB_NEWS_INTENT, row, "the act begins");
    return CAS_OK;
}

void verb_recover(struct verb_desk *desk, const struct ledger_row *row, struct cas_now now)
{
    desk->task = (struct verb_task){.row = *row};
    recover_begin(&desk->task, now);
#ifdef CASFLEET_MUTANT_R7
    desk->task.act_ms = PLAN_VALID_MS;
    desk->task.until_wall_ms = INT64_MAX - GRANT_LIFE_MS;
    desk->task.was_drained = true;
    first_step(desk, now);
#endif
}
