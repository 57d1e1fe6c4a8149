#include "controller/core/rollout.h"

#include <stdio.h>
#include <string.h>

#include "controller/core/rollout_inside.h"

/* Whether the step has a timer, holds a slot, or can still be resolved by what a server says. */
static bool is_watched(const struct rollout_step *step)
{
    return rollout_is_under_way(step) || step->holds_slot || step->state == STEP_FAILED ||
           step->state == STEP_UNKNOWN;
}

void rollout_step_set(struct rollout_entry *entry, size_t at, enum rollout_step_state state)
{
    struct rollout_step *step = &entry->open.step[at];

    step->state = state;
    if (!rollout_is_through(step) && at < entry->open_from)
        entry->open_from = at;
    if (is_watched(step) && !entry->is_active[at]) {
        entry->is_active[at] = true;
        entry->active[entry->active_n++] = (uint32_t)at;
    }
    if (is_watched(step) || !entry->is_active[at])
        return;
    entry->is_active[at] = false;
    size_t kept = 0;
    for (size_t i = 0; i < entry->active_n; i++) {
        if (entry->active[i] != at)
            entry->active[kept++] = entry->active[i];
    }
    entry->active_n = kept;
}

static void clear_timers(struct rollout_step *step)
{
    step->sent_mono_ms = 0;
    step->deadline_mono_ms = 0;
    step->granted_mono_ms = 0;
    step->result_mono_ms = 0;
    step->good_n = 0;
    step->good_probe = 0;
}

/* The group's count goes up within this tick, so that the next step sees it. */
static void count_reserved(struct rollout_turn *turn, const struct rollout_entry *entry, size_t at)
{
    const struct inventory_server *server =
        inventory_by_id(turn->inventory, entry->open.step[at].server_id);
    if (!turn->has_budget || server == NULL || !rollout_takes_out(&entry->open))
        return;
    struct rollout_group *group =
        rollout_budget_group(&turn->book->budget, server->label[LABEL_SITE]);
    if (group == NULL)
        return;
    if (!rollout_is_out(turn->book, server, turn->now.mono_ms))
        group->out++;
    if (entry->open.body.floor_pct > group->floor_pct)
        group->floor_pct = (uint32_t)entry->open.body.floor_pct;
}

void rollout_step_reserve(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];

    count_reserved(turn, entry, at);
    clear_timers(step);
    memset(step->nonce, 0, sizeof step->nonce);
    step->note[0] = '\0';
    step->reason = step->reason == REASON_RETRY ? REASON_RETRY : REASON_NONE;
    step->reserved_ms = turn->now.wall_ms;
    step->granted_ms = 0;
    step->result_ms = 0;
    step->closed_ms = 0;
    step->deadline_mono_ms = turn->now.mono_ms + CLAIM_WAIT_MS;
    step->holds_slot = true;
    rollout_step_set(entry, at, STEP_RESERVED);
    rollout_save_step(turn, entry, at);
    rollout_tell(turn,
                 entry,
                 at,
                 NOTE_RESERVED,
                 step->reason,
                 "wave %u, attempt %u",
                 step->wave,
                 step->attempt);
    rollout_send(turn, entry, at, ACTION_SEND_PLAN);
    rollout_send(turn, entry, at, ACTION_SEND_OFFER);
}

void rollout_step_grant(struct rollout_turn *turn,
                        struct rollout_entry *entry,
                        size_t at,
                        const uint8_t nonce[CAS_ID_BYTES])
{
    struct rollout_step *step = &entry->open.step[at];

    memcpy(step->nonce, nonce, CAS_ID_BYTES);
    step->granted_ms = turn->now.wall_ms;
    step->granted_wall_issued_ms = turn->now.wall_ms;
    step->granted_mono_ms = turn->now.mono_ms;
    /* Not later by claiming again: an agent that does so for ever ends as UNKNOWN all the same. */
    if (step->state != STEP_GRANTED || step->deadline_mono_ms == 0)
        step->deadline_mono_ms = turn->now.mono_ms + ROLLOUT_GRACE_MS +
                                 (int64_t)(entry->open.body.drain_ms + entry->open.body.act_ms);
    rollout_step_set(entry, at, STEP_GRANTED);
    rollout_save_step(turn, entry, at);
    rollout_tell(turn, entry, at, NOTE_GRANTED, step->reason, "attempt %u", step->attempt);
    rollout_send(turn, entry, at, ACTION_SEND_GRANT);
}

void rollout_step_withdraw(struct rollout_turn *turn,
                           struct rollout_entry *entry,
                           size_t at,
                           enum rollout_reason reason,
                           const char *words)
{
    struct rollout_step *step = &entry->open.step[at];

    if (step->reason != REASON_RETRY || reason == REASON_OPERATOR)
        step->reason = reason;
    rollout_step_set(entry, at, STEP_CANCELLING);
    rollout_save_step(turn, entry, at);
    rollout_tell(turn, entry, at, NOTE_HELD, reason, "%s", words);
    rollout_send(turn, entry, at, ACTION_SEND_REVOKE);
#ifdef CASFLEET_MUTANT_R13
    rollout_step_revoked(turn, entry, at);
#endif
}

void rollout_step_name(const struct rollout_book *book, struct rollout *open, size_t at)
{
    struct rollout_step *step = &open->step[at];
    uint8_t plan[CAS_HASH_BYTES] = {0};

#ifdef CASFLEET_MUTANT_I11
    memcpy(plan, &open->seq, sizeof open->seq);
#else
    memcpy(plan, open->plan_hash, sizeof plan);
#endif
    book->derive(plan, at + 1, step->server_id, step->attempt, step->cmd_id);
}

void rollout_step_again(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];

    clear_timers(step);
    step->attempt++;
    rollout_step_name(turn->book, &entry->open, at);
    rollout_step_set(entry, at, STEP_PENDING);
    rollout_save_step(turn, entry, at);
}

void rollout_step_credit(struct rollout_turn *turn,
                         struct rollout_entry *entry,
                         size_t at,
                         const char *words)
{
    struct rollout_step *step = &entry->open.step[at];

    step->reason = REASON_BY_ITSELF;
    (void)snprintf(step->note, sizeof step->note, "%s", words);
    rollout_step_set(entry, at, STEP_SKIPPED);
    rollout_save_step(turn, entry, at);
    rollout_tell(turn, entry, at, NOTE_SKIPPED, REASON_BY_ITSELF, "%s", words);
}

void rollout_step_skip(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];

    step->reason = REASON_OPERATOR;
    /* A slot held since an attempt that was never proved stays held. */
    rollout_step_set(entry, at, step->holds_slot ? STEP_FAILED : STEP_SKIPPED);
    rollout_save_step(turn, entry, at);
    rollout_tell(turn, entry, at, NOTE_SKIPPED, REASON_OPERATOR, "not touched");
}

/* Durable at the agent: this command was not done and never will be. */
void rollout_step_revoked(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];
    bool was_failed = step->state == STEP_FAILED || step->state == STEP_UNKNOWN;
    bool is_owed = rollout_is_owed(step);
    bool is_left = step->reason == REASON_OPERATOR || entry->open.is_ending;

    step->holds_slot = is_owed;
    if (is_owed && (was_failed || entry->open.state != ROLLOUT_RUNNING || is_left)) {
        step->reason = is_left ? REASON_OPERATOR : REASON_RETRY;
        rollout_step_set(entry, at, STEP_FAILED);
    } else if (is_left) {
        step->reason = REASON_OPERATOR;
        rollout_step_set(entry, at, STEP_SKIPPED);
    } else {
        rollout_step_set(entry, at, STEP_CANCELLED);
    }
    rollout_save_step(turn, entry, at);
    rollout_tell(turn,
                 entry,
                 at,
                 NOTE_CANCELLED,
                 step->reason,
                 "attempt %u was not done and never will be%s",
                 step->attempt,
                 is_owed ? "; the slot stays held for the one before" : "");

    /* The operator has not been asked yet about a failure; a grant taken back is no failure. */
    if (step->state == STEP_CANCELLED && !was_failed && entry->open.state == ROLLOUT_RUNNING)
        rollout_step_again(turn, entry, at);
    rollout_end_if_quiet(turn, entry);
}

static void end_alone(struct rollout_turn *turn, struct rollout_entry *entry)
{
    entry->open.is_alone = false;
    if (entry->open.state == ROLLOUT_RUNNING)
        rollout_stop(turn, entry, ROLLOUT_PAUSED, REASON_RETRY);
}

static void count_failure(struct rollout_turn *turn, struct rollout_entry *entry)
{
    struct rollout *open = &entry->open;
    bool is_live = open->state == ROLLOUT_RUNNING || open->state == ROLLOUT_PAUSED;

    open->failed_n++;
    if (is_live && !open->is_ending &&
        open->failed_n - open->forgiven_n >= (uint32_t)open->body.stop_after) {
        open->is_alone = false;
        rollout_stop(turn, entry, ROLLOUT_HALTED, REASON_STOP_RULE);
    } else {
        rollout_save(turn, entry);
    }
}

void rollout_step_fail(struct rollout_turn *turn,
                       struct rollout_entry *entry,
                       size_t at,
                       enum rollout_step_state state,
                       enum rollout_reason reason,
                       const char *words)
{
    struct rollout_step *step = &entry->open.step[at];
    bool is_counted = step->state == STEP_FAILED || step->state == STEP_UNKNOWN ||
                      (step->state == STEP_PROVING && rollout_is_late(step));
    bool is_alone = entry->open.is_alone && step->reason == REASON_RETRY;

    step->reason = reason;
    step->sent_mono_ms = 0;
    step->deadline_mono_ms = 0;
    step->holds_slot = true;
#ifdef CASFLEET_MUTANT_R5
    if (reason == REASON_NO_CLAIM || reason == REASON_NO_RESULT || reason == REASON_NO_PROOF)
        step->holds_slot = false;
#endif
    rollout_step_set(entry, at, state);
    rollout_save_step(turn, entry, at);
    rollout_tell(turn,
                 entry,
                 at,
                 state == STEP_UNKNOWN ? NOTE_UNKNOWN : NOTE_FAILED,
                 reason,
                 "%s",
                 words[0] != '\0' ? words : rollout_reason_words(reason));
    entry->open.rest_mono_ms = turn->now.mono_ms;
    if (!is_counted)
        count_failure(turn, entry);
    if (is_alone && entry->open.is_alone)
        end_alone(turn, entry);
#ifdef CASFLEET_MUTANT_R6
    if (state == STEP_UNKNOWN)
        rollout_step_again(turn, entry, at);
#endif
    rollout_end_if_quiet(turn, entry);
}

void rollout_step_prove(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];
    bool was_failed = step->state == STEP_FAILED || step->state == STEP_UNKNOWN;

    if (was_failed)
        step->reason = rollout_is_late(step) ? step->reason : REASON_NO_RESULT;
    else if (step->reason != REASON_RETRY)
        step->reason = REASON_NONE;
    step->good_n = 0;
    step->good_probe = 0;
    step->result_mono_ms = turn->now.mono_ms;
    step->deadline_mono_ms = turn->now.mono_ms + (int64_t)entry->open.body.proof_ms;
    step->holds_slot = true;
    rollout_step_set(entry, at, STEP_PROVING);
    rollout_save_step(turn, entry, at);
}

static void tell_closed(struct rollout_turn *turn, const struct rollout_entry *entry, size_t at)
{
    const struct rollout_step *step = &entry->open.step[at];

    if (entry->open.body.verb == VERB_recycle)
        rollout_tell(turn,
                     entry,
                     at,
                     NOTE_CLOSED,
                     step->reason,
                     "worker %u is now %u, healthy %u times since%s",
                     step->evidence.pid_before,
                     step->evidence.pid_after,
                     step->good_n,
                     step->reason == REASON_LATE_PROOF ? "; late, still counted as failed" : "");
    else
        rollout_tell(turn,
                     entry,
                     at,
                     NOTE_CLOSED,
                     step->reason,
                     "%s",
                     verb_name((enum verb)entry->open.body.verb));
}

void rollout_step_close(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];
    bool is_alone = entry->open.is_alone && step->reason == REASON_RETRY;

    bool was_failed = step->state == STEP_FAILED || step->state == STEP_UNKNOWN;

    step->reason = was_failed || rollout_is_late(step) ? REASON_LATE_PROOF : REASON_NONE;
    step->closed_ms = turn->now.wall_ms;
    step->holds_slot = false;
    rollout_step_set(entry, at, STEP_CLOSED);
    rollout_save_step(turn, entry, at);
    tell_closed(turn, entry, at);
    entry->open.rest_mono_ms = turn->now.mono_ms;
    if (is_alone)
        end_alone(turn, entry);
    rollout_end_if_quiet(turn, entry);
}

/* ---- the dossier of a halt ---- */

/* The server's step in this rollout; NULL: a neighbour. */
static const struct rollout_step *
step_of(const struct rollout_turn *turn, const struct rollout_entry *entry, uint32_t server_id)
{
    const struct rollout_ref *ref = rollout_refs_of(turn->book, server_id);
    while (ref != NULL && ref->entry != entry)
        ref = rollout_refs_next(turn->book, ref);
    return ref == NULL ? NULL : &entry->open.step[ref->step];
}

static bool is_failed(const struct rollout_step *step)
{
    return step != NULL && (step->state == STEP_FAILED || step->state == STEP_UNKNOWN);
}

bool rollout_has_site(const struct rollout_turn *turn,
                      const struct rollout_entry *entry,
                      uint32_t first_wave,
                      uint32_t last_wave,
                      const char *site)
{
    for (size_t i = 0; i < entry->open.step_n && entry->open.step[i].wave <= last_wave; i++) {
        if (entry->open.step[i].wave < first_wave)
            continue;
        const struct inventory_server *server =
            inventory_by_id(turn->inventory, entry->open.step[i].server_id);
        if (server != NULL && strcmp(server->label[LABEL_SITE], site) == 0)
            return true;
    }
    return false;
}

static void tell_picture(struct rollout_turn *turn,
                         const struct rollout_entry *entry,
                         const struct inventory_server *server,
                         const struct rollout_step *step)
{
    char text[ROLLOUT_BUILD_BYTES];
    struct cas_text words = CAS_TEXT(text);
    cas_text_clear(&words);
    cas_text_add(&words,
                 "%s, %s: ",
                 server->name,
                 step == NULL ? "not in the plan" : rollout_step_words(step->state));
    need_picture(server, turn->now, &words);
    rollout_tell(turn, entry, SIZE_MAX, NOTE_EVIDENCE, REASON_NONE, "%s", text);
}

/* Done against not done at the same instant: is it the rollout, or that one server? */
static void tell_comparison(struct rollout_turn *turn, const struct rollout_entry *entry)
{
    size_t done_n = 0, done_bad_n = 0, left_n = 0, left_bad_n = 0, failed_n = 0;
    for (size_t i = 0; i < entry->open.step_n; i++) {
        const struct rollout_step *step = &entry->open.step[i];
        const struct inventory_server *server = inventory_by_id(turn->inventory, step->server_id);
        bool is_bad =
            server == NULL || inventory_service_of(server, turn->now.mono_ms) != SERVICE_UP;
        bool is_left = step->state == STEP_PENDING || step->state == STEP_CANCELLED;
        failed_n += is_failed(step);
        done_n += step->state == STEP_CLOSED;
        done_bad_n += step->state == STEP_CLOSED && is_bad;
        left_n += is_left;
        left_bad_n += is_left && is_bad;
    }
    rollout_tell(
        turn,
        entry,
        SIZE_MAX,
        NOTE_EVIDENCE,
        REASON_NONE,
        "%zu done against %zu not done at that moment: %zu and %zu not in service; %zu failed",
        done_n,
        left_n,
        done_bad_n,
        left_bad_n,
        failed_n);
}

/* The whole group as it stands now, of the wave in hand and those before, who failed first: later
 * it will look otherwise. Saved in the commit of the halt itself. */
static void freeze(struct rollout_turn *turn, const struct rollout_entry *entry)
{
    size_t size = inventory_size(turn->inventory);
    size_t told_n = 0, more_n = 0;
    tell_comparison(turn, entry);
    for (int is_rest = 0; is_rest < 2; is_rest++) {
        const char *site = NULL;
        bool is_in = false;
        for (size_t i = 0; i < size; i++) {
            const struct inventory_server *server = inventory_at(turn->inventory, i);
            const struct rollout_step *step = step_of(turn, entry, server->id);
            if (is_failed(step) == (is_rest != 0) || server->admission == ADMISSION_REVOKED)
                continue;
            /* In order of name, neighbours are mostly of one site. */
            if (site == NULL || strcmp(site, server->label[LABEL_SITE]) != 0)
                is_in =
                    rollout_has_site(turn, entry, 0, entry->open.wave, server->label[LABEL_SITE]);
            site = server->label[LABEL_SITE];
            if (!is_in)
                continue;
            if (told_n < ROLLOUT_EVIDENCE)
                tell_picture(turn, entry, server, step);
            else
                more_n++;
            told_n++;
        }
    }
    if (more_n > 0)
        rollout_tell(turn,
                     entry,
                     SIZE_MAX,
                     NOTE_EVIDENCE,
                     REASON_NONE,
                     "and %zu more of its sites, not written down",
                     more_n);
}

void rollout_stop(struct rollout_turn *turn,
                  struct rollout_entry *entry,
                  enum rollout_state state,
                  enum rollout_reason reason)
{
    struct rollout *open = &entry->open;

    open->state = state;
    open->reason = reason;
    if (state == ROLLOUT_HALTED)
        open->halted_ms = turn->now.wall_ms;
    rollout_save(turn, entry);
    struct rollout_tally tally = rollout_tally_of(open);
    if (state == ROLLOUT_HALTED)
        rollout_tell(turn,
                     entry,
                     SIZE_MAX,
                     NOTE_HALTED,
                     reason,
                     "%u failed, limit %u, %zu not touched",
                     open->failed_n - open->forgiven_n,
                     (unsigned)open->body.stop_after,
                     tally.to_go);
    if (state == ROLLOUT_HALTED)
        freeze(turn, entry);
    else
        rollout_tell(turn,
                     entry,
                     SIZE_MAX,
                     NOTE_PAUSED,
                     reason,
                     "%s, %zu not touched",
                     rollout_reason_words(reason),
                     tally.to_go);
    for (size_t i = 0; i < entry->active_n; i++) {
        size_t at = entry->active[i];
        if (open->step[at].state == STEP_RESERVED)
            rollout_step_withdraw(turn, entry, at, reason, rollout_reason_words(reason));
    }
}

void rollout_end_if_quiet(struct rollout_turn *turn, struct rollout_entry *entry)
{
    if (!entry->open.is_ending)
        return;
    for (size_t i = 0; i < entry->active_n; i++) {
        if (rollout_is_under_way(&entry->open.step[entry->active[i]]))
            return;
    }
    struct rollout_tally tally = rollout_tally_of(&entry->open);
    entry->open.is_ending = false;
    entry->open.state = ROLLOUT_ENDED;
    entry->open.reason = REASON_OPERATOR;
    entry->open.ended_ms = turn->now.wall_ms;
    rollout_save(turn, entry);
    rollout_tell(turn,
                 entry,
                 SIZE_MAX,
                 NOTE_ENDED,
                 REASON_OPERATOR,
                 "%zu proved, %zu failed, %zu not touched",
                 tally.proved,
                 tally.failed + tally.unknown,
                 tally.skipped + tally.to_go);
}
