#include "controller/core/rollout.h"

#include <string.h>

#include "controller/core/rollout_inside.h"

/* ---- one step's timers ---- */

/* After a restart: nobody has been heard yet, and a CLAIM that came before the others' heartbeats
 * would have to be refused. */
static void offer_anew(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    char text[ROLLOUT_BUILD_BYTES];
    struct cas_text words = CAS_TEXT(text);
    cas_text_clear(&words);
    enum rollout_reason reason = rollout_check(turn, entry, at, &words);

    if (reason == REASON_NONE) {
        rollout_send(turn, entry, at, ACTION_SEND_PLAN);
        rollout_send(turn, entry, at, ACTION_SEND_OFFER);
    } else if (turn->now.mono_ms >= entry->open.step[at].deadline_mono_ms) {
        rollout_step_withdraw(turn,
                              entry,
                              at,
                              reason,
                              words.used > 0 ? text : rollout_reason_words(reason));
    }
}

static void tend_reserved(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];
    int64_t mono_ms = turn->now.mono_ms;

    if (step->deadline_mono_ms == 0)
        step->deadline_mono_ms = mono_ms + CLAIM_WAIT_MS;
    if (step->sent_mono_ms == 0) {
        offer_anew(turn, entry, at);
    } else if (mono_ms >= step->deadline_mono_ms) {
        rollout_step_fail(turn, entry, at, STEP_FAILED, REASON_NO_CLAIM, "");
    } else if (mono_ms - step->sent_mono_ms >= RESEND_MS) {
        rollout_send(turn, entry, at, ACTION_SEND_OFFER);
    }
}

/* From GRANT to outcome. */
static int64_t allowed_ms(const struct rollout_entry *entry)
{
    return (int64_t)(entry->open.body.drain_ms + entry->open.body.act_ms) + ROLLOUT_GRACE_MS;
}

static void tend_granted(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];
    int64_t mono_ms = turn->now.mono_ms;

    if (step->deadline_mono_ms == 0) {
        step->deadline_mono_ms = mono_ms + allowed_ms(entry);
        return;
    }
    if (mono_ms >= step->deadline_mono_ms) {
        rollout_step_fail(turn, entry, at, STEP_UNKNOWN, REASON_NO_RESULT, "");
        rollout_send(turn, entry, at, ACTION_SEND_REVOKE);
        return;
    }
    /* Not after a restart: another run of the controller signs another order. */
    bool is_alive =
        step->granted_mono_ms != 0 && mono_ms - step->granted_mono_ms < GRANT_LIFE_MS - RESEND_MS;
    if (mono_ms - step->sent_mono_ms < RESEND_MS)
        return;
    if (is_alive && rollout_may_grant_again(turn, entry, at))
        rollout_send(turn, entry, at, ACTION_SEND_GRANT);
    /* Nobody can act on it any more: an agent that has not begun says REVOKED, and then it may be
     * offered anew, a few times; one that has begun says what it does. */
    if (!rollout_is_grant_alive(step, mono_ms) && step->attempt < ROLLOUT_ATTEMPTS)
        rollout_send(turn, entry, at, ACTION_SEND_REVOKE);
}

static void tend_proving(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];

    if (step->deadline_mono_ms == 0)
        step->deadline_mono_ms = turn->now.mono_ms + (int64_t)entry->open.body.proof_ms;
    else if (turn->now.mono_ms >= step->deadline_mono_ms)
        rollout_step_fail(turn, entry, at, STEP_FAILED, REASON_NO_PROOF, step->note);
}

static void
ask_again(struct rollout_turn *turn, struct rollout_entry *entry, size_t at, int64_t every_ms)
{
    struct rollout_step *step = &entry->open.step[at];
    if (step->sent_mono_ms == 0 || turn->now.mono_ms - step->sent_mono_ms >= every_ms)
        rollout_send(turn, entry, at, ACTION_SEND_REVOKE);
}

/* What was only offered can wait for its REVOKED, unless its server may not speak any more; what
 * was granted may have acted. */
static void tend_cancelling(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];
    const struct inventory_server *server = inventory_by_id(turn->inventory, step->server_id);

    if (step->granted_ms == 0 && (server == NULL || server->admission == ADMISSION_REVOKED)) {
        rollout_step_fail(turn, entry, at, STEP_FAILED, REASON_REVOKED, "");
        return;
    }
    if (step->granted_ms != 0 && step->deadline_mono_ms == 0)
        step->deadline_mono_ms = turn->now.mono_ms + allowed_ms(entry);
    if (step->granted_ms != 0 && turn->now.mono_ms >= step->deadline_mono_ms)
        rollout_step_fail(turn, entry, at, STEP_UNKNOWN, REASON_NO_RESULT, "");
    ask_again(turn, entry, at, step->state == STEP_CANCELLING ? RESEND_MS : ROLLOUT_ASK_MS);
}

static void tend_step(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];

    switch (step->state) {
    case STEP_RESERVED:
        tend_reserved(turn, entry, at);
        break;
    case STEP_GRANTED:
        tend_granted(turn, entry, at);
        break;
    case STEP_PROVING:
        tend_proving(turn, entry, at);
        break;
    case STEP_CANCELLING:
        tend_cancelling(turn, entry, at);
        break;
    case STEP_FAILED:
    case STEP_UNKNOWN:
        if (rollout_may_ask(step))
            ask_again(turn, entry, at, ROLLOUT_ASK_MS);
        break;
    case STEP_PENDING:
    case STEP_CLOSED:
    case STEP_CANCELLED:
    case STEP_SKIPPED:
        break;
    }
}

static void tend_steps(struct rollout_turn *turn, struct rollout_entry *entry)
{
    /* A step that is done with leaves the list, and the next moves to its place. */
    size_t i = 0;
    while (i < entry->active_n) {
        uint32_t at = entry->active[i];
        tend_step(turn, entry, at);
        if (i < entry->active_n && entry->active[i] == at)
            i++;
    }
}

/* ---- what may begin ---- */

static void hold(struct rollout_turn *turn,
                 struct rollout_entry *entry,
                 enum rollout_reason reason,
                 const char *words)
{
    if (entry->open.reason == reason)
        return;
    entry->open.reason = reason;
    rollout_save(turn, entry);
    if (reason != REASON_NONE && reason != REASON_AT_ONCE && reason != REASON_WAVE)
        rollout_tell(turn,
                     entry,
                     SIZE_MAX,
                     NOTE_HELD,
                     reason,
                     "%s",
                     words[0] != '\0' ? words : rollout_reason_words(reason));
}

uint32_t rollout_under_way_n(const struct rollout_entry *entry)
{
    uint32_t n = 0;
    for (size_t i = 0; i < entry->active_n; i++)
        n += rollout_is_under_way(&entry->open.step[entry->active[i]]) ? 1 : 0;
    return n;
}

/* Nothing is left to begin. What failed and was not looked at by an operator keeps it open. */
static void finish(struct rollout_turn *turn, struct rollout_entry *entry)
{
    struct rollout *open = &entry->open;
    bool is_done = true;
    for (size_t i = 0; i < open->step_n && is_done; i++) {
        const struct rollout_step *step = &open->step[i];
        is_done = step->state == STEP_CLOSED || step->state == STEP_SKIPPED ||
                  step->reason == REASON_OPERATOR;
    }
    if (!is_done) {
        rollout_stop(turn, entry, ROLLOUT_HALTED, REASON_OPERATOR);
        return;
    }
    struct rollout_tally tally = rollout_tally_of(open);
    open->state = ROLLOUT_DONE;
    open->reason = REASON_NONE;
    open->ended_ms = turn->now.wall_ms;
    rollout_save(turn, entry);
    rollout_tell(turn,
                 entry,
                 SIZE_MAX,
                 NOTE_DONE,
                 REASON_NONE,
                 "%zu proved, %u failed, %zu skipped",
                 tally.proved,
                 open->failed_n,
                 tally.skipped);
}

/* Somebody acted in the waves so far, so that there is something to rest from. */
static bool has_acted(const struct rollout_entry *entry)
{
    for (size_t i = 0; i < entry->open.step_n; i++) {
        const struct rollout_step *step = &entry->open.step[i];
        if (step->wave > entry->open.wave)
            break;
        if (step->state == STEP_CLOSED || step->state == STEP_FAILED || step->state == STEP_UNKNOWN)
            return true;
    }
    return false;
}

static bool has_settled(const struct rollout_turn *turn, const struct rollout_entry *entry)
{
    if (entry->open.body.verb != VERB_recycle)
        return true;
    for (size_t i = 0; i < entry->open.step_n; i++) {
        const struct rollout_step *step = &entry->open.step[i];
        if (step->wave > entry->open.wave)
            break;
        if (step->wave != entry->open.wave || step->state != STEP_CLOSED)
            continue;
        const struct inventory_server *server = inventory_by_id(turn->inventory, step->server_id);
        if (server != NULL && !inventory_is_settled(server, turn->now.mono_ms))
            return false;
    }
    return true;
}

/* The rest between waves; after a restart, when nobody knows since when, it is taken in full. */
enum rollout_reason rollout_rest(const struct rollout_turn *turn, const struct rollout_entry *entry)
{
    const struct rollout *open = &entry->open;

    if (open->wave == 0 || !has_acted(entry))
        return REASON_NONE;
    int64_t rested_ms = open->rest_mono_ms == 0 ? 0 : turn->now.mono_ms - open->rest_mono_ms;
    if (rested_ms < (int64_t)open->body.gap_ms)
        return REASON_GAP;
    if (rested_ms < (int64_t)open->body.settle_ms && !has_settled(turn, entry))
        return REASON_SETTLING;
    return REASON_NONE;
}

/* The server of the wave's sites that was recycled last without an order of ours, within the gap:
 * its users reconnect, to it and to its neighbours, as they do after one that was ordered. By the
 * monotonic clock, so that no clock that is set can make a gap shorter or endless. */
const struct inventory_server *
rollout_renewed(const struct rollout_turn *turn, const struct rollout_entry *entry, uint32_t wave)
{
    const struct inventory_server *last = NULL;
    size_t size = inventory_size(turn->inventory);
    if (!rollout_takes_out(&entry->open))
        return NULL;
    for (size_t i = 0; i < size; i++) {
        const struct inventory_server *server = inventory_at(turn->inventory, i);
        int64_t at_ms = server->live.renewed_mono_ms;
        if (at_ms == 0 || turn->now.mono_ms - at_ms >= (int64_t)entry->open.body.gap_ms ||
            (last != NULL && at_ms <= last->live.renewed_mono_ms))
            continue;
        if (!rollout_is_ours(turn->book, server) &&
            rollout_has_site(turn, entry, wave, wave, server->label[LABEL_SITE]))
            last = server;
    }
    return last;
}

void rollout_renewed_words(const struct rollout_turn *turn,
                           const struct inventory_server *server,
                           struct cas_text *words)
{
    cas_text_add(words, "%s was recycled by itself ", server->name);
    cas_text_span(words, turn->now.mono_ms - server->live.renewed_mono_ms);
    cas_text_add(words, " ago: the gap runs from there");
}

/* The one that goes first so that the others need not find out together: it is not credited, since
 * a worker that ended by itself shows nothing of what an order does. */
static bool is_canary(const struct rollout *open, size_t at)
{
    if (open->step[at].wave != 1 || open->body.at_once < 2)
        return false;
    size_t first_n = 0;
    while (first_n < open->step_n && open->step[first_n].wave == 1)
        first_n++;
    return first_n == 1 && open->step_n > 1;
}

/* Exchange, IIS or somebody by hand has done what the step is for, since the plan was made: seen on
 * a server in service. A retry and what is owed are not credited: they are about an act of ours. */
static bool is_credited(const struct rollout_turn *turn,
                        const struct rollout_entry *entry,
                        size_t at,
                        struct cas_text *words)
{
    const struct rollout_step *step = &entry->open.step[at];
    const struct inventory_server *server = inventory_by_id(turn->inventory, step->server_id);
    if (entry->open.body.verb != VERB_recycle || step->reason == REASON_RETRY || step->holds_slot ||
        rollout_is_owed(step) || is_canary(&entry->open, at) || server == NULL ||
        inventory_service_of(server, turn->now.mono_ms) != SERVICE_UP ||
        rollout_is_ours(turn->book, server))
        return false;
    int64_t age_ms = inventory_worker_age_ms(server, turn->now.wall_ms);
    if (age_ms < 0 || age_ms > ROLLOUT_CREDIT_MS ||
        server->live.start_ms <= entry->open.body.made_ms + CLOCK_SKEW_MS)
        return false;
    cas_text_add(words, "recycled by itself ");
    cas_text_span(words, age_ms);
    cas_text_add(words, " ago, worker %u", server->live.pid);
    return true;
}

static enum rollout_reason begin_step(struct rollout_turn *turn,
                                      struct rollout_entry *entry,
                                      size_t at,
                                      struct cas_text *words)
{
    struct rollout_step *step = &entry->open.step[at];
    if (is_credited(turn, entry, at, words)) {
        rollout_step_credit(turn, entry, at, words->data);
        return REASON_NONE;
    }
    enum rollout_reason reason = rollout_check(turn, entry, at, words);

    if (reason == REASON_NONE) {
        rollout_step_reserve(turn, entry, at);
        turn->book->turn_after = entry->open.seq;
        return REASON_NONE;
    }
    if (step->reason != reason && step->reason != REASON_RETRY) {
        step->reason = reason;
        rollout_save_step(turn, entry, at);
        rollout_tell(turn, entry, at, NOTE_HELD, reason, "%s", words->data);
    }
    return reason;
}

/* A retry runs by itself: nothing else begins until it is through. */
static void begin_alone(struct rollout_turn *turn, struct rollout_entry *entry)
{
    for (size_t at = 0; at < entry->open.step_n; at++) {
        const struct rollout_step *step = &entry->open.step[at];
        if (step->state != STEP_PENDING || step->reason != REASON_RETRY)
            continue;
        char text[ROLLOUT_BUILD_BYTES];
        struct cas_text words = CAS_TEXT(text);
        cas_text_clear(&words);
        hold(turn, entry, begin_step(turn, entry, at, &words), text);
        return;
    }
}

static void begin_wave(struct rollout_turn *turn, struct rollout_entry *entry, uint32_t wave)
{
    entry->open.wave = wave;
    rollout_save(turn, entry);
    rollout_tell(turn, entry, SIZE_MAX, NOTE_WAVE, REASON_NONE, "wave %u", wave);
}

static void begin_steps(struct rollout_turn *turn, struct rollout_entry *entry)
{
    struct rollout *open = &entry->open;
    uint32_t wave = open->step[entry->open_from].wave;
    enum rollout_reason first = REASON_NONE;
    char first_words[ROLLOUT_BUILD_BYTES] = "";

    if (wave > open->wave) {
        enum rollout_reason resting = rollout_rest(turn, entry);
        if (resting != REASON_NONE) {
            if (open->rest_mono_ms == 0)
                open->rest_mono_ms = turn->now.mono_ms;
            hold(turn, entry, resting, "");
            return;
        }
        const struct inventory_server *neighbour = rollout_renewed(turn, entry, wave);
        if (neighbour != NULL) {
            struct cas_text words = CAS_TEXT(first_words);
            rollout_renewed_words(turn, neighbour, &words);
            hold(turn, entry, REASON_NEIGHBOUR, first_words);
            return;
        }
        begin_wave(turn, entry, wave);
    }
    uint32_t under_way = rollout_under_way_n(entry);
    for (size_t at = entry->open_from; at < open->step_n && open->step[at].wave == wave; at++) {
        if (open->step[at].state != STEP_PENDING)
            continue;
        char text[ROLLOUT_BUILD_BYTES];
        struct cas_text words = CAS_TEXT(text);
        cas_text_clear(&words);
        enum rollout_reason reason = REASON_AT_ONCE;
        if (under_way < open->body.at_once)
            reason = begin_step(turn, entry, at, &words);
        if (reason == REASON_NONE)
            under_way++;
        if (first == REASON_NONE && reason != REASON_NONE) {
            first = reason;
            memcpy(first_words, text, sizeof text);
        }
        if (reason == REASON_AT_ONCE)
            break;
    }
    hold(turn, entry, first, first_words);
}

static void advance(struct rollout_turn *turn, struct rollout_entry *entry)
{
    struct rollout *open = &entry->open;

    while (entry->open_from < open->step_n && rollout_is_through(&open->step[entry->open_from]))
        entry->open_from++;
    if (entry->open_from == open->step_n) {
        finish(turn, entry);
        return;
    }
    if (turn->now.wall_ms >= open->body.until_ms) {
        /* What is under way may be the last of it: then there is nothing to stop. */
        if (rollout_tally_of(open).to_go > 0)
            rollout_stop(turn, entry, ROLLOUT_HALTED, REASON_WINDOW_CLOSED);
        return;
    }
    if (turn->now.wall_ms < open->body.start_ms) {
        hold(turn, entry, REASON_WINDOW_EARLY, "");
        return;
    }
    if (open->is_alone)
        begin_alone(turn, entry);
    else
        begin_steps(turn, entry);
}

static void tend_schedule(struct rollout_turn *turn, struct rollout_entry *entry)
{
    struct rollout *open = &entry->open;
    int64_t late_ms = turn->now.wall_ms - open->body.start_ms;

    if (late_ms < 0)
        return;
    if (late_ms <= ROLLOUT_LATE_MS && turn->book->is_frozen) {
        hold(turn, entry, REASON_FROZEN, "");
        return;
    }
    if (late_ms > ROLLOUT_LATE_MS) {
        const char *what =
            open->reason == REASON_FROZEN ? "the farm was frozen" : "it could not begin";
        open->state = ROLLOUT_MISSED;
        open->reason = REASON_MISSED;
        open->ended_ms = turn->now.wall_ms;
        rollout_save(turn, entry);
        rollout_tell(turn,
                     entry,
                     SIZE_MAX,
                     NOTE_MISSED,
                     REASON_MISSED,
                     "%s at its start, %lld min ago",
                     what,
                     (long long)(late_ms / 60000));
        return;
    }
    open->state = ROLLOUT_RUNNING;
    open->reason = REASON_NONE;
    open->begun_ms = turn->now.wall_ms;
    rollout_save(turn, entry);
    rollout_tell(turn, entry, SIZE_MAX, NOTE_STARTED, REASON_NONE, "%zu servers", open->step_n);
}

static void tend_rollout(struct rollout_turn *turn, struct rollout_entry *entry)
{
    if (entry->open.state == ROLLOUT_SCHEDULED)
        tend_schedule(turn, entry);
    tend_steps(turn, entry);
    if (entry->open.state == ROLLOUT_RUNNING && !entry->open.is_ending)
        advance(turn, entry);
}

enum cas_err rollout_tick(struct rollout_book *book,
                          const struct inventory *inventory,
                          struct cas_now now,
                          struct rollout_actions *actions)
{
    struct rollout_turn turn = rollout_turn_begin(book, inventory, now, actions);
    size_t first = 0;

    turn.is_tick = true;
    /* Who took a slot last stands at the end of the row, so that nobody starves behind a longer
     * one. */
    while (first < book->n && book->entry[first]->open.seq <= book->turn_after)
        first++;
    for (size_t i = 0; i < book->n && turn.err == CAS_OK; i++)
        tend_rollout(&turn, book->entry[(first + i) % book->n]);
    return rollout_turn_end(&turn);
}

/* ---- why nothing more begins ---- */

static void hold_rest(const struct rollout_turn *turn,
                      const struct rollout_entry *entry,
                      enum rollout_reason reason,
                      struct rollout_hold *hold_of)
{
    const struct rollout *open = &entry->open;
    struct cas_text words = CAS_TEXT(hold_of->words);

    cas_text_clear(&words);
    hold_of->until_mono_ms =
        (open->rest_mono_ms == 0 ? turn->now.mono_ms : open->rest_mono_ms) +
        (int64_t)(reason == REASON_GAP ? open->body.gap_ms : open->body.settle_ms);
    cas_text_add(&words, "%s after wave %u", rollout_reason_words(reason), open->wave);
}

static void
hold_running(struct rollout_turn *turn, struct rollout_entry *entry, struct rollout_hold *hold_of)
{
    const struct rollout *open = &entry->open;
    struct cas_text words = CAS_TEXT(hold_of->words);
    size_t at = 0;

    cas_text_clear(&words);
    while (at < open->step_n && rollout_is_through(&open->step[at]))
        at++;
    if (at == open->step_n)
        return;
    uint32_t wave = open->step[at].wave;
    if (wave > open->wave && !open->is_alone) {
        hold_of->reason = rollout_rest(turn, entry);
        if (hold_of->reason != REASON_NONE) {
            hold_rest(turn, entry, hold_of->reason, hold_of);
            return;
        }
        const struct inventory_server *neighbour = rollout_renewed(turn, entry, wave);
        if (neighbour == NULL)
            return;
        hold_of->reason = REASON_NEIGHBOUR;
        hold_of->until_mono_ms = neighbour->live.renewed_mono_ms + (int64_t)open->body.gap_ms;
        rollout_renewed_words(turn, neighbour, &words);
        return;
    }
    bool is_waiting = false;
    for (; at < open->step_n && open->step[at].wave == wave; at++) {
        is_waiting = is_waiting || rollout_is_under_way(&open->step[at]);
        if (open->step[at].state != STEP_PENDING)
            continue;
        hold_of->reason = rollout_under_way_n(entry) >= open->body.at_once
                              ? REASON_AT_ONCE
                              : rollout_check(turn, entry, at, &words);
        break;
    }
    if (hold_of->reason == REASON_NONE && is_waiting)
        hold_of->reason = REASON_WAVE;
    if (words.used == 0)
        cas_text_add(&words, "%s", rollout_reason_words(hold_of->reason));
}

void rollout_hold_of(const struct rollout_book *book,
                     const struct inventory *inventory,
                     const struct rollout *rollout,
                     struct cas_now now,
                     struct rollout_hold *ret_hold)
{
    struct rollout_actions none = {0};
    *ret_hold = (struct rollout_hold){.reason = rollout->reason};
    struct cas_text words = CAS_TEXT(ret_hold->words);
    cas_text_clear(&words);

    if (rollout->state != ROLLOUT_RUNNING) {
        cas_text_add(&words, "%s", rollout_reason_words(rollout->reason));
        return;
    }
    struct rollout_entry *entry = rollout_entry_find(book, rollout->seq);
    if (entry == NULL)
        return;
    /* The book lends its counting space; nothing of a rollout changes. */
    struct rollout_turn turn =
        rollout_turn_begin((struct rollout_book *)(uintptr_t)book, inventory, now, &none);
    ret_hold->reason = REASON_NONE;
    hold_running(&turn, entry, ret_hold);
    rollout_actions_done(&none);
}
