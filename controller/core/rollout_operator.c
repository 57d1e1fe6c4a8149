#include "controller/core/rollout.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/rollout_inside.h"
#include "proto/base/nodeset.h"

enum {
    RUN_ARENA_BYTES = 4096,
    SITES_SHOWN = 4
};

static unsigned long long number_of(uint64_t seq)
{
    return (unsigned long long)seq;
}

/* ---- run ---- */

static enum cas_err check_plan(const struct rollout_book *book,
                               const struct record_plan_body *body,
                               struct cas_now now,
                               struct cas_why *why)
{
    size_t open_n = 0;
    for (size_t i = 0; i < book->n; i++)
        open_n += rollout_is_open(&book->entry[i]->open) ? 1 : 0;
    if (open_n >= FLEET_ROLLOUTS_OPEN)
        return cas_fail(why,
                        CAS_ERR_TOO_MANY,
                        "%zu rollouts are open; at most %d",
                        open_n,
                        FLEET_ROLLOUTS_OPEN);
    if (rollout_entry_find(book, body->rollout_seq) != NULL)
        return cas_fail(why,
                        CAS_ERR_EXISTS,
                        "r-%04llu was run already",
                        number_of(body->rollout_seq));
    if (verb_name((enum verb)body->verb) == NULL)
        return cas_fail(why,
                        CAS_ERR_UNSUPPORTED,
                        "the plan's verb %llu is not known here",
                        number_of(body->verb));
    int64_t age_ms = now.wall_ms - body->made_ms;
    if (age_ms > PLAN_VALID_MS || age_ms < -CLOCK_SKEW_MS)
        return cas_fail(why,
                        CAS_ERR_GUARD,
                        "the plan is %lld min old, it is valid %d: plan again",
                        (long long)(age_ms / 60000),
                        PLAN_VALID_MS / 60000);
    if (body->until_ms <= now.wall_ms || body->until_ms <= body->start_ms)
        return cas_fail(why, CAS_ERR_GUARD, "the plan's window is over: plan again");
    if (body->settle_ms < body->gap_ms)
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "settle is %lld ms, less than the gap of %lld ms",
                        (long long)body->settle_ms,
                        (long long)body->gap_ms);
    return CAS_OK;
}

/* In another rollout that may still act on it: both plans were made before either was run. */
static const struct rollout *open_elsewhere(const struct rollout_book *book, uint32_t server_id)
{
    const struct rollout_ref *ref = rollout_refs_of(book, server_id);
    for (; ref != NULL; ref = rollout_refs_next(book, ref)) {
        const struct rollout *other = &ref->entry->open;
        const struct rollout_step *step = &other->step[ref->step];
        bool is_waiting = rollout_is_open(other) && !other->is_ending &&
                          (step->state == STEP_PENDING || step->state == STEP_CANCELLED);
        if (rollout_takes_out(other) &&
            (is_waiting || rollout_is_under_way(step) || step->holds_slot))
            return other;
    }
    return NULL;
}

struct run {
    const struct rollout_book *book;
    const struct inventory *inventory;
    struct rollout saved;
    struct cas_why *why;
};

static enum cas_err add_step(struct run *run, const char *name, uint32_t wave)
{
    struct rollout *saved = &run->saved;
    const struct inventory_server *server = inventory_by_name(run->inventory, cas_slice_of(name));
    if (saved->step_n >= ROLLOUT_SERVERS)
        return cas_fail(run->why,
                        CAS_ERR_TOO_MANY,
                        "a plan for more than %d servers",
                        ROLLOUT_SERVERS);
    if (server == NULL || server->admission != ADMISSION_APPROVED)
        return cas_fail(run->why,
                        CAS_ERR_GUARD,
                        "the plan is stale: %s is %s now: plan again",
                        name,
                        server == NULL ? "not known" : "revoked");
    for (size_t i = 0; i < saved->step_n; i++) {
        if (saved->step[i].server_id == server->id)
            return cas_fail(run->why, CAS_ERR_FORMAT, "the plan names %s twice", name);
    }
    const struct rollout *other = open_elsewhere(run->book, server->id);
    if (other != NULL && rollout_takes_out(saved))
        return cas_fail(run->why,
                        CAS_ERR_GUARD,
                        "the plan is stale: %s is in r-%04llu, which is %s: plan again",
                        name,
                        number_of(other->seq),
                        rollout_state_words(other->state));

    struct rollout_step *step = &saved->step[saved->step_n++];
    *step = (struct rollout_step){.server_id = server->id,
                                  .wave = wave,
                                  .attempt = 1,
                                  .state = STEP_PENDING};
    rollout_step_name(run->book, saved, saved->step_n - 1);
    return CAS_OK;
}

static enum cas_err add_wave(struct run *run, struct cas_slice text, uint32_t wave)
{
    CAS_AUTO(nodeset) set = NULL;
    enum cas_err err = nodeset_expand(text, &set, run->why);
    for (size_t i = 0; err == CAS_OK && i < set->name_n; i++)
        err = add_step(run, set->name[i], wave);
    return err;
}

static enum cas_err add_waves(struct run *run, struct cas_slice steps)
{
    uint32_t wave = 0;
    size_t from = 0;
    while (from <= steps.size) {
        size_t until = from;
        while (until < steps.size && steps.data[until] != ';')
            until++;
        enum cas_err err =
            add_wave(run, (struct cas_slice){steps.data + from, until - from}, ++wave);
        if (err != CAS_OK)
            return err;
        from = until + 1;
    }
    return CAS_OK;
}

/* "LON", "FRA LON", "AMS FRA LON +3" */
static void name_sites(const struct run *run, char ret_text[64])
{
    const char *site[SITES_SHOWN] = {NULL};
    size_t site_n = 0;
    struct cas_text text = {.data = ret_text, .cap = 64};

    for (size_t i = 0; i < run->saved.step_n; i++) {
        const struct inventory_server *server =
            inventory_by_id(run->inventory, run->saved.step[i].server_id);
        size_t at = 0;
        while (at < site_n && strcmp(site[at], server->label[LABEL_SITE]) != 0)
            at++;
        if (at < site_n || server->label[LABEL_SITE][0] == '\0')
            continue;
        if (site_n == SITES_SHOWN)
            break;
        site[site_n++] = server->label[LABEL_SITE];
    }
    cas_text_clear(&text);
    for (size_t i = 0; i < site_n && i < SITES_SHOWN - 1; i++)
        cas_text_add(&text, "%s%.15s", i == 0 ? "" : " ", site[i]);
    if (site_n == SITES_SHOWN)
        cas_text_add(&text, " and more");
}

static void begin(struct rollout_turn *turn, struct rollout_entry *entry)
{
    struct rollout *open = &entry->open;

    open->run_ms = turn->now.wall_ms;
    open->state = ROLLOUT_SCHEDULED;
    if (open->body.start_ms <= turn->now.wall_ms) {
        open->state = ROLLOUT_RUNNING;
        open->begun_ms = turn->now.wall_ms;
    }
    rollout_save(turn, entry);
    for (size_t i = 0; i < open->step_n; i++)
        rollout_save_step(turn, entry, i);
    if (open->state == ROLLOUT_RUNNING)
        rollout_tell(turn, entry, SIZE_MAX, NOTE_STARTED, REASON_NONE, "%zu servers", open->step_n);
}

static enum cas_err make_entry(struct run *run,
                               struct cas_slice plan,
                               struct cas_now now,
                               struct rollout_entry **ret_entry)
{
    struct record_plan_body *body = &run->saved.body;
    CAS_AUTO(cas_arena) arena = NULL;
    enum cas_err err = cas_arena_open(RUN_ARENA_BYTES, &arena);
    if (err == CAS_OK)
        err = record_decode(RECORD_plan_body, plan, arena, body, run->why);
    if (err == CAS_OK)
        err = check_plan(run->book, body, now, run->why);
    if (err != CAS_OK)
        return err;
    run->saved.seq = body->rollout_seq;
    run->saved.plan = plan;
    err = add_waves(run, body->steps);
    if (err != CAS_OK)
        return err;
    name_sites(run, run->saved.plan_text);
    return rollout_entry_open(&run->saved, ret_entry, run->why);
}

enum cas_err rollout_run(struct rollout_book *book,
                         const struct inventory *inventory,
                         struct cas_slice plan,
                         const uint8_t plan_hash[CAS_HASH_BYTES],
                         struct cas_slice by,
                         struct cas_slice reason,
                         struct cas_now now,
                         struct rollout_actions *actions,
                         struct cas_why *why)
{
    struct run run = {.book = book, .inventory = inventory, .why = why};
    memcpy(run.saved.plan_hash, plan_hash, CAS_HASH_BYTES);
    if (cas_slice_copy(by, run.saved.by, sizeof run.saved.by) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "an operator's name has at most %d bytes",
                        CAS_NAME_BYTES - 1);
    if (cas_slice_copy(reason, run.saved.why, sizeof run.saved.why) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "a reason of %zu bytes; at most %d",
                        reason.size,
                        REASON_BYTES - 1);
    run.saved.step = malloc(ROLLOUT_SERVERS * sizeof *run.saved.step); /* each is set whole */
    if (run.saved.step == NULL)
        return CAS_ERR_NOMEM;

    CAS_AUTO(rollout_entry) entry = NULL;
    enum cas_err err = make_entry(&run, plan, now, &entry);
    free(run.saved.step);
    if (err == CAS_OK)
        err = rollout_entry_add(book, entry, why);
    if (err != CAS_OK)
        return err;
    struct rollout_turn turn = rollout_turn_begin(book, inventory, now, actions);
    begin(&turn, CAS_TAKE(entry));
    return rollout_turn_end(&turn);
}

/* ---- pause, resume, retry, end ---- */

static enum cas_err find(const struct rollout_book *book,
                         uint64_t seq,
                         struct rollout_entry **ret_entry,
                         struct cas_why *why)
{
    struct rollout_entry *entry = rollout_entry_find(book, seq);
    if (entry == NULL)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "there is no rollout r-%04llu", number_of(seq));
    *ret_entry = entry;
    return CAS_OK;
}

static enum cas_err
not_in_this_state(const struct rollout *open, const char *what, struct cas_why *why)
{
    return cas_fail(why,
                    CAS_ERR_GUARD,
                    "r-%04llu is %s%s and cannot be %s",
                    number_of(open->seq),
                    rollout_state_words(open->state),
                    open->is_ending ? ", ending," : "",
                    what);
}

enum cas_err rollout_pause(struct rollout_book *book,
                           uint64_t seq,
                           struct cas_now now,
                           struct rollout_actions *actions,
                           struct cas_why *why)
{
    struct rollout_entry *entry = NULL;
    enum cas_err err = find(book, seq, &entry, why);
    if (err != CAS_OK)
        return err;
    bool is_going = entry->open.state == ROLLOUT_RUNNING || entry->open.state == ROLLOUT_SCHEDULED;
    if (!is_going || entry->open.is_ending)
        return not_in_this_state(&entry->open, "paused", why);

    struct rollout_turn turn = rollout_turn_begin(book, NULL, now, actions);
    entry->open.is_alone = false;
    rollout_stop(&turn, entry, ROLLOUT_PAUSED, REASON_PAUSED);
    return rollout_turn_end(&turn);
}

static size_t step_of(const struct rollout *open, uint32_t server_id)
{
    size_t at = 0;
    while (at < open->step_n && open->step[at].server_id != server_id)
        at++;
    return at;
}

static enum cas_err
check_skips(const struct rollout *open, const uint32_t *skip, size_t skip_n, struct cas_why *why)
{
    for (size_t i = 0; i < skip_n; i++) {
        size_t at = step_of(open, skip[i]);
        if (at == open->step_n)
            return cas_fail(why,
                            CAS_ERR_NOT_FOUND,
                            "r-%04llu has no step for server number %u",
                            number_of(open->seq),
                            skip[i]);
        enum rollout_step_state state = open->step[at].state;
        if (state == STEP_GRANTED || state == STEP_PROVING || state == STEP_CLOSED)
            return cas_fail(why,
                            CAS_ERR_GUARD,
                            "step %zu of r-%04llu is %s and cannot be skipped",
                            at + 1,
                            number_of(open->seq),
                            rollout_step_words(state));
    }
    return CAS_OK;
}

static void skip_step(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];

    switch (step->state) {
    case STEP_PENDING:
    case STEP_CANCELLED:
        rollout_step_skip(turn, entry, at);
        break;
    case STEP_RESERVED:
        rollout_step_withdraw(turn, entry, at, REASON_OPERATOR, "skipped by an operator");
        break;
    case STEP_CANCELLING: /* skipped once the agent has answered */
        step->reason = REASON_OPERATOR;
        rollout_save_step(turn, entry, at);
        break;
    case STEP_FAILED:
    case STEP_UNKNOWN: /* left as it is: the slot stays held, the rollout no longer waits for it */
        step->reason = REASON_OPERATOR;
        rollout_save_step(turn, entry, at);
        rollout_tell(turn, entry, at, NOTE_SKIPPED, REASON_OPERATOR, "left as it is, slot held");
        break;
    case STEP_GRANTED:
    case STEP_PROVING:
    case STEP_CLOSED:
    case STEP_SKIPPED:
        break;
    }
}

static void go_on(struct rollout_turn *turn, struct rollout_entry *entry)
{
    struct rollout *open = &entry->open;

    for (size_t at = 0; at < open->step_n; at++) {
        if (open->step[at].state == STEP_CANCELLED)
            rollout_step_again(turn, entry, at);
    }
    open->is_alone = false;
    open->forgiven_n = open->failed_n;
    open->reason = REASON_NONE;
    open->state = ROLLOUT_RUNNING;
    if (open->begun_ms == 0 && turn->now.wall_ms < open->body.start_ms)
        open->state = ROLLOUT_SCHEDULED;
    else if (open->begun_ms == 0)
        open->begun_ms = turn->now.wall_ms;
    rollout_save(turn, entry);
    rollout_tell(turn,
                 entry,
                 SIZE_MAX,
                 NOTE_RESUMED,
                 REASON_OPERATOR,
                 "%zu to go",
                 rollout_tally_of(open).to_go);
}

enum cas_err rollout_resume(struct rollout_book *book,
                            uint64_t seq,
                            const uint32_t *skip,
                            size_t skip_n,
                            struct cas_now now,
                            struct rollout_actions *actions,
                            struct cas_why *why)
{
    struct rollout_entry *entry = NULL;
    enum cas_err err = find(book, seq, &entry, why);
    if (err != CAS_OK)
        return err;
    struct rollout *open = &entry->open;
    bool is_stopped = open->state == ROLLOUT_PAUSED || open->state == ROLLOUT_HALTED;
    bool is_going = open->state == ROLLOUT_RUNNING || open->state == ROLLOUT_SCHEDULED;
    if (open->is_ending || (!is_stopped && !(is_going && skip_n > 0)))
        return not_in_this_state(open, "resumed", why);
    err = check_skips(open, skip, skip_n, why);
    if (err != CAS_OK)
        return err;
    if (is_stopped && now.wall_ms >= open->body.until_ms && rollout_tally_of(open).to_go > 0)
        return cas_fail(why,
                        CAS_ERR_GUARD,
                        "the window of r-%04llu has closed: end it and plan again",
                        number_of(seq));

    struct rollout_turn turn = rollout_turn_begin(book, NULL, now, actions);
    for (size_t i = 0; i < skip_n; i++)
        skip_step(&turn, entry, step_of(open, skip[i]));
    if (is_stopped)
        go_on(&turn, entry);
    return rollout_turn_end(&turn);
}

enum cas_err rollout_retry(struct rollout_book *book,
                           uint64_t seq,
                           uint32_t server_id,
                           struct cas_now now,
                           struct rollout_actions *actions,
                           struct cas_why *why)
{
    struct rollout_entry *entry = NULL;
    enum cas_err err = find(book, seq, &entry, why);
    if (err != CAS_OK)
        return err;
    struct rollout *open = &entry->open;
    size_t at = step_of(open, server_id);
    if (at == open->step_n)
        return cas_fail(why,
                        CAS_ERR_NOT_FOUND,
                        "r-%04llu has no step for server number %u",
                        number_of(seq),
                        server_id);
    if ((open->state != ROLLOUT_PAUSED && open->state != ROLLOUT_HALTED) || open->is_ending)
        return not_in_this_state(open, "retried; pause it first", why);
    struct rollout_step *step = &open->step[at];
    if (step->state != STEP_FAILED && step->state != STEP_UNKNOWN)
        return cas_fail(why,
                        CAS_ERR_GUARD,
                        "step %zu of r-%04llu is %s; only what failed or is unknown is retried",
                        at + 1,
                        number_of(seq),
                        rollout_step_words(step->state));
    if (now.wall_ms >= open->body.until_ms)
        return cas_fail(why,
                        CAS_ERR_GUARD,
                        "the window of r-%04llu has closed: end it and plan again",
                        number_of(seq));

    struct rollout_turn turn = rollout_turn_begin(book, NULL, now, actions);
    /* What was granted may have acted: until the retry is proved, only force frees the slot. */
    if (step->granted_ms != 0 || step->evidence.seq != 0)
        step->evidence.state =
            step->evidence.state == COMMAND_NONE ? COMMAND_UNKNOWN : step->evidence.state;
    step->evidence.seq = 0;
    step->holds_slot = rollout_is_owed(step);
    step->reason = REASON_RETRY;
    rollout_step_again(&turn, entry, at);
    open->is_alone = true;
    open->state = ROLLOUT_RUNNING;
    open->reason = REASON_NONE;
    rollout_save(&turn, entry);
    rollout_tell(&turn, entry, at, NOTE_RETRIED, REASON_RETRY, "attempt %u, alone", step->attempt);
    return rollout_turn_end(&turn);
}

/* The operator's word instead of proof: audited as forced. */
static void force_slots(struct rollout_turn *turn, struct rollout_entry *entry)
{
    for (size_t at = 0; at < entry->open.step_n; at++) {
        struct rollout_step *step = &entry->open.step[at];
        if (!step->holds_slot || step->state == STEP_GRANTED || step->state == STEP_PROVING ||
            step->state == STEP_RESERVED)
            continue;
        step->holds_slot = false;
        if (step->state == STEP_CANCELLING)
            step->reason = REASON_OPERATOR;
        rollout_step_set(entry, at, step->state == STEP_CANCELLING ? STEP_CANCELLED : step->state);
        rollout_save_step(turn, entry, at);
        rollout_tell(turn, entry, at, NOTE_SKIPPED, REASON_OPERATOR, "slot given up, forced");
    }
}

static void leave_steps(struct rollout_turn *turn, struct rollout_entry *entry)
{
    for (size_t at = 0; at < entry->open.step_n; at++) {
        enum rollout_step_state state = entry->open.step[at].state;
        if (state == STEP_PENDING || state == STEP_CANCELLED)
            rollout_step_skip(turn, entry, at);
        if (state == STEP_RESERVED)
            rollout_step_withdraw(turn, entry, at, REASON_OPERATOR, "ended by an operator");
    }
}

static bool holds_slots(const struct rollout *open)
{
    for (size_t i = 0; i < open->step_n; i++) {
        if (open->step[i].holds_slot)
            return true;
    }
    return false;
}

enum cas_err rollout_end(struct rollout_book *book,
                         uint64_t seq,
                         bool is_forced,
                         struct cas_now now,
                         struct rollout_actions *actions,
                         struct cas_why *why)
{
    struct rollout_entry *entry = NULL;
    enum cas_err err = find(book, seq, &entry, why);
    if (err != CAS_OK)
        return err;
    struct rollout *open = &entry->open;
    bool is_over = !rollout_is_open(open);
    if ((is_over || open->is_ending) && !(is_forced && holds_slots(open)))
        return not_in_this_state(open, "ended", why);

    struct rollout_turn turn = rollout_turn_begin(book, NULL, now, actions);
    if (!is_over) {
        open->is_ending = true;
        open->is_alone = false;
        open->state = ROLLOUT_PAUSED;
        open->reason = REASON_OPERATOR;
        rollout_save(&turn, entry);
        leave_steps(&turn, entry);
    }
    if (is_forced)
        force_slots(&turn, entry);
    rollout_end_if_quiet(&turn, entry);
    return rollout_turn_end(&turn);
}
