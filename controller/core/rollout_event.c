#include "controller/core/rollout.h"

#include <stdio.h>
#include <string.h>

#include "controller/core/rollout_inside.h"

/* The step a server speaks of: only its own, and only by the command id in force. */
static struct rollout_entry *find_command(const struct rollout_book *book,
                                          uint32_t server_id,
                                          const uint8_t cmd_id[CAS_ID_BYTES],
                                          size_t *ret_step)
{
    const struct rollout_ref *ref = rollout_refs_of(book, server_id);
    for (; ref != NULL; ref = rollout_refs_next(book, ref)) {
        const struct rollout_step *step = &ref->entry->open.step[ref->step];
        if (memcmp(step->cmd_id, cmd_id, CAS_ID_BYTES) == 0) {
            *ret_step = ref->step;
            return ref->entry;
        }
    }
    return NULL;
}

/* Two OFFERs on their way make an agent claim twice, and only the nonce given last is good: then
 * the GRANT is made anew, after the same checks. */
static bool is_claimable(const struct rollout_step *step, const struct message_claim *claim)
{
    if (step->state == STEP_GRANTED)
        return memcmp(step->nonce, claim->nonce, CAS_ID_BYTES) != 0;
    return step->state == STEP_RESERVED;
}

enum cas_err rollout_claim(struct rollout_book *book,
                           const struct inventory *inventory,
                           uint32_t server_id,
                           const struct message_claim *claim,
                           struct cas_now now,
                           struct rollout_actions *actions)
{
    struct rollout_turn turn = rollout_turn_begin(book, inventory, now, actions);
    size_t at = 0;
    struct rollout_entry *entry = find_command(book, server_id, claim->cmd_id, &at);

    if (entry == NULL || !is_claimable(&entry->open.step[at], claim))
        return CAS_OK;
#ifndef CASFLEET_MUTANT_R11
    char text[ROLLOUT_BUILD_BYTES];
    struct cas_text words = CAS_TEXT(text);
    cas_text_clear(&words);
    bool is_given = entry->open.step[at].state == STEP_GRANTED;
    /* An order given already stands or falls by itself. */
    if (is_given && !rollout_may_grant_again(&turn, entry, at))
        return rollout_turn_end(&turn);
    enum rollout_reason reason = is_given ? REASON_NONE : rollout_check(&turn, entry, at, &words);
    if (reason != REASON_NONE) {
        rollout_step_withdraw(&turn,
                              entry,
                              at,
                              reason,
                              words.used > 0 ? text : rollout_reason_words(reason));
        return rollout_turn_end(&turn);
    }
#endif
    rollout_step_grant(&turn, entry, at, claim->nonce);
    return rollout_turn_end(&turn);
}

static void take_evidence(struct rollout_step *step, const struct message_result *result)
{
    struct rollout_evidence *evidence = &step->evidence;

    *evidence = (struct rollout_evidence){
        .seq = result->seq,
        .state = (enum command_state)result->state,
        .code = result->code,
        .pid_before = (uint32_t)result->pid_before,
        .pid_after = (uint32_t)result->pid_after,
        .start_before_ms = result->start_before_ms,
        .start_after_ms = result->start_after_ms,
        .intent_ms = result->intent_ms,
        .drained_ms = result->has_drained_ms ? result->drained_ms : 0,
        .acted_ms = result->has_acted_ms ? result->acted_ms : 0,
        .done_ms = result->has_done_ms ? result->done_ms : 0,
        .has_requests = result->has_requests_before && result->has_requests_drained,
        .requests_before = result->has_requests_before ? result->requests_before : 0,
        .requests_drained = result->has_requests_drained ? result->requests_drained : 0,
    };
    if (!result->has_text)
        return;
    size_t size = result->text.size < sizeof evidence->text - 1 ? result->text.size
                                                                : sizeof evidence->text - 1;
    /* Cut at the last whole character. */
    while (size < result->text.size && size > 0 &&
           ((unsigned char)result->text.data[size] & 0xC0) == 0x80)
        size--;
    if (size > 0)
        memcpy(evidence->text, result->text.data, size);
}

static bool is_new_generation(const struct rollout_evidence *evidence)
{
    return evidence->pid_after != 0 && (evidence->pid_after != evidence->pid_before ||
                                        evidence->start_after_ms != evidence->start_before_ms);
}

static void take_done(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];
    const struct rollout_evidence *evidence = &step->evidence;
    char words[ROLLOUT_BUILD_BYTES];

    (void)snprintf(words,
                   sizeof words,
                   "worker %u is now %u",
                   evidence->pid_before,
                   evidence->pid_after);
#ifdef CASFLEET_MUTANT_I13
    rollout_tell(turn, entry, at, NOTE_RESULT, REASON_NONE, "%s", words);
    rollout_step_close(turn, entry, at);
    return;
#endif
    if (entry->open.body.verb == VERB_recycle && !is_new_generation(evidence)) {
        (void)snprintf(words,
                       sizeof words,
                       "done, but worker %u of before is still there",
                       evidence->pid_before);
        if (evidence->pid_after == 0)
            (void)snprintf(words, sizeof words, "done, but no worker was seen since");
        rollout_step_fail(turn, entry, at, STEP_FAILED, REASON_EVIDENCE, words);
        return;
    }
    rollout_step_prove(turn, entry, at);
    rollout_tell(turn,
                 entry,
                 at,
                 NOTE_RESULT,
                 step->reason,
                 "%s",
                 entry->open.body.verb == VERB_recycle ? words : "done");
    /* A probe changes nothing, so there is nothing to prove. */
    if (entry->open.body.verb == VERB_probe)
        rollout_step_close(turn, entry, at);
}

static void take_result(struct rollout_turn *turn,
                        struct rollout_entry *entry,
                        size_t at,
                        const struct message_result *result)
{
    struct rollout_step *step = &entry->open.step[at];

    take_evidence(step, result);
    step->result_ms = turn->now.wall_ms;
    step->result_mono_ms = turn->now.mono_ms;
    step->holds_slot = true;
    if (step->evidence.state == COMMAND_DONE)
        take_done(turn, entry, at);
    else if (step->evidence.state == COMMAND_FAILED)
        rollout_step_fail(turn, entry, at, STEP_FAILED, REASON_AGENT_FAILED, step->evidence.text);
    else
        rollout_step_fail(turn, entry, at, STEP_UNKNOWN, REASON_AGENT_UNKNOWN, step->evidence.text);
}

static void take_revoked(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    const struct rollout_step *step = &entry->open.step[at];

    switch (step->state) {
    case STEP_PENDING: /* the store lost a few minutes: this id is spent */
        rollout_step_again(turn, entry, at);
        break;
    case STEP_RESERVED:
    case STEP_GRANTED:
    case STEP_CANCELLING:
        rollout_step_revoked(turn, entry, at);
        break;
    case STEP_FAILED:
    case STEP_UNKNOWN:
        /* An outcome that was told stands; the agent cannot take it back. */
        if (rollout_may_ask(step))
            rollout_step_revoked(turn, entry, at);
        break;
    case STEP_PROVING:
    case STEP_CLOSED:
    case STEP_CANCELLED:
    case STEP_SKIPPED:
        break;
    }
}

enum cas_err rollout_result(struct rollout_book *book,
                            const struct inventory *inventory,
                            uint32_t server_id,
                            const struct message_result *result,
                            struct cas_now now,
                            struct rollout_actions *actions)
{
    struct rollout_turn turn = rollout_turn_begin(book, inventory, now, actions);
    enum command_state state = (enum command_state)result->state;
    bool is_outcome = state == COMMAND_DONE || state == COMMAND_FAILED || state == COMMAND_UNKNOWN;
    size_t at = 0;

    if (!is_outcome && state != COMMAND_REVOKED)
        return CAS_OK; /* it is still at it */
    struct rollout_entry *entry = find_command(book, server_id, result->cmd_id, &at);
    if (entry != NULL && state == COMMAND_REVOKED)
        take_revoked(&turn, entry, at);
    else if (entry != NULL && entry->open.step[at].evidence.seq == 0)
        take_result(&turn, entry, at, result);
    /* Also what is not known here: the agent keeps it in its journal, and need not go on telling.
     */
    rollout_acknowledge(&turn, server_id, result->cmd_id, result->seq);
    return rollout_turn_end(&turn);
}

enum cas_err rollout_revoked(struct rollout_book *book,
                             const struct inventory *inventory,
                             uint32_t server_id,
                             const struct message_revoked *revoked,
                             struct cas_now now,
                             struct rollout_actions *actions)
{
    struct rollout_turn turn = rollout_turn_begin(book, inventory, now, actions);
    size_t at = 0;
    struct rollout_entry *entry = find_command(book, server_id, revoked->cmd_id, &at);

    if (entry != NULL)
        take_revoked(&turn, entry, at);
    rollout_acknowledge(&turn, server_id, revoked->cmd_id, revoked->seq);
    return rollout_turn_end(&turn);
}

/* What was granted and has no outcome yet. It may have been done, so nothing but proof or force
 * frees the slot from now on, whatever the operator decided meanwhile. */
static void forget(struct rollout_turn *turn, struct rollout_entry *entry, size_t at)
{
    struct rollout_step *step = &entry->open.step[at];

    if (!step->holds_slot || step->granted_ms == 0 || step->evidence.seq != 0 ||
        step->reason == REASON_FORGOT)
        return;
    if (step->evidence.state == COMMAND_NONE)
        step->evidence.state = COMMAND_UNKNOWN;
    if (step->state == STEP_GRANTED || step->state == STEP_CANCELLING ||
        (rollout_may_ask(step) && step->reason != REASON_OPERATOR))
        rollout_step_fail(turn, entry, at, STEP_UNKNOWN, REASON_FORGOT, "");
    else
        rollout_save_step(turn, entry, at);
}

enum cas_err rollout_forgot(struct rollout_book *book,
                            const struct inventory *inventory,
                            uint32_t server_id,
                            struct cas_now now,
                            struct rollout_actions *actions)
{
    struct rollout_turn turn = rollout_turn_begin(book, inventory, now, actions);
    const struct rollout_ref *ref = rollout_refs_of(book, server_id);
    for (; ref != NULL; ref = rollout_refs_next(book, ref))
        forget(&turn, ref->entry, ref->step);
    return rollout_turn_end(&turn);
}

static void nack_text(const struct message_nack *nack, char *ret_words, size_t cap)
{
    bool has_text = nack->has_text && nack->text.size > 0;
    struct cas_text words = {.data = ret_words, .cap = cap};
    cas_text_clear(&words);
    cas_text_add(&words, "%s", nack_words((enum nack_reason)nack->reason));
    if (has_text)
        cas_text_add(&words, ": %.*s", (int)nack->text.size, nack->text.data);
}

/* Refused before any GRANT was sent, or by what the agent is set up for: the same answer would come
 * again. */
static void refuse(struct rollout_turn *turn,
                   struct rollout_entry *entry,
                   size_t at,
                   const struct message_nack *nack)
{
    char words[ROLLOUT_BUILD_BYTES];
    nack_text(nack, words, sizeof words);
    rollout_step_fail(turn, entry, at, STEP_FAILED, REASON_NACK, words);
    rollout_send(turn, entry, at, ACTION_SEND_REVOKE);
}

/* The database has gone back behind what the agent's journal still knows, and this number is one of
 * before: it can act there under none up to its floor. The next is above by a rule of our own: a
 * number that an agent names is never taken over. */
static void refuse_old(struct rollout_turn *turn,
                       struct rollout_entry *entry,
                       size_t at,
                       const struct message_nack *nack)
{
    char words[ROLLOUT_BUILD_BYTES];
    struct cas_text text = {.data = words, .cap = sizeof words};
    nack_text(nack, words, sizeof words);
    text.used = strlen(words);
    cas_text_add(&text,
                 "; the database has gone back: end this plan and make it anew, it will be above "
                 "r-%04llu",
                 (unsigned long long)(entry->open.seq + ROLLOUT_LEAP));
    rollout_leap(turn, entry);
    rollout_step_fail(turn, entry, at, STEP_FAILED, REASON_NACK, words);
    rollout_send(turn, entry, at, ACTION_SEND_REVOKE);
}

static void take_nack(struct rollout_turn *turn,
                      struct rollout_entry *entry,
                      size_t at,
                      const struct message_nack *nack)
{
    struct rollout_step *step = &entry->open.step[at];
    char words[ROLLOUT_BUILD_BYTES];

    switch ((enum nack_reason)nack->reason) {
    case NACK_STALE_EPOCH: /* the controller steps down or takes a higher epoch */
    case NACK_BUSY:        /* asked again by its timer */
    case NACK_IN_JOURNAL:  /* its RESULT follows */
        break;
    case NACK_NO_PLAN:
        rollout_send(turn, entry, at, ACTION_SEND_PLAN);
        if (step->state == STEP_RESERVED)
            rollout_send(turn, entry, at, ACTION_SEND_OFFER);
        break;
    case NACK_NONCE:
        /* Too late, or for a nonce before: taken back, and offered anew once that is sure. */
        if (step->state == STEP_GRANTED && step->attempt < ROLLOUT_ATTEMPTS)
            rollout_step_withdraw(turn,
                                  entry,
                                  at,
                                  REASON_NACK,
                                  nack_words((enum nack_reason)nack->reason));
        else if (step->state == STEP_GRANTED)
            refuse(turn, entry, at, nack);
        break;
    case NACK_HELD:
        /* No failure: it waits, PENDING again once the agent has said that it will not act. */
        nack_text(nack, words, sizeof words);
        rollout_step_withdraw(turn, entry, at, REASON_HELD, words);
        break;
    case NACK_JOURNAL:
        /* To the REVOKE of a grant that is dead: it cannot say, and is asked again. */
        if (step->state == STEP_RESERVED || rollout_is_grant_alive(step, turn->now.mono_ms))
            refuse(turn, entry, at, nack);
        break;
    case NACK_BAD_SIGNATURE:
    case NACK_NOT_MINE:
    case NACK_UNKNOWN_VERB:
    case NACK_POOL_NOT_ALLOWED:
    case NACK_VERSION:
    case NACK_WINDOW:
        refuse(turn, entry, at, nack);
        break;
    case NACK_ROLLOUT_OLD:
        refuse_old(turn, entry, at, nack);
        break;
    }
}

enum cas_err rollout_nack(struct rollout_book *book,
                          const struct inventory *inventory,
                          uint32_t server_id,
                          const struct message_nack *nack,
                          struct cas_now now,
                          struct rollout_actions *actions)
{
    struct rollout_turn turn = rollout_turn_begin(book, inventory, now, actions);
    size_t at = 0;
    struct rollout_entry *entry =
        nack->has_cmd_id ? find_command(book, server_id, nack->cmd_id, &at) : NULL;

    if (entry == NULL)
        return CAS_OK;
    if (entry->open.step[at].state == STEP_RESERVED || entry->open.step[at].state == STEP_GRANTED)
        take_nack(&turn, entry, at, nack);
    return rollout_turn_end(&turn);
}

/* ---- proof ---- */

/* Made after the act: the journal had got as far, and our TICK that it echoes is younger than the
 * RESULT. Fresh by that TICK, never by arrival. */
static bool
is_causal(const struct inventory_live *live, const struct rollout_step *step, int64_t mono_ms)
{
#ifdef CASFLEET_MUTANT_R9
    (void)step;
    return live->proof_mono_ms != 0 && mono_ms - live->proof_mono_ms <= FRESH_MS;
#else
    return live->proof_mono_ms > step->result_mono_ms &&
           mono_ms - live->proof_mono_ms <= FRESH_MS && live->journal_head >= step->evidence.seq;
#endif
}

static bool is_worker_after(const struct inventory_live *live,
                            const struct rollout_evidence *evidence)
{
#ifdef CASFLEET_MUTANT_R9
    (void)evidence;
    return live->pid != 0;
#else
    if (live->pid == 0)
        return false;
    /* The agent did not see one: it is one younger than the INTENT, by the agent's own clock, and a
     * process of another number, as a clock that is set makes old ones younger. */
    if (evidence->state == COMMAND_UNKNOWN)
        return live->pid != evidence->pid_before && live->start_ms > evidence->intent_ms;
    if (live->pid == evidence->pid_after && live->start_ms == evidence->start_after_ms)
        return true;
    return live->start_ms > evidence->start_after_ms;
#endif
}

static void note_seen(struct rollout_step *step,
                      const struct inventory_server *server,
                      enum inventory_service service)
{
    const struct inventory_live *live = &server->live;
    const char *seen = inventory_service_words(service);
    if (service == SERVICE_UP)
        seen = "the worker is not the one of after the act";
    if (service == SERVICE_SICK && live->health_reason[0] != '\0')
        seen = live->health_reason;
    (void)snprintf(step->note, sizeof step->note, "%s", seen);
}

static void prove_healthy(struct rollout_turn *turn,
                          struct rollout_entry *entry,
                          size_t at,
                          const struct inventory_server *server)
{
    struct rollout_step *step = &entry->open.step[at];
    const struct inventory_live *live = &server->live;

    if (memcmp(step->good_boot, live->boot_id, CAS_ID_BYTES) != 0) {
        memcpy(step->good_boot, live->boot_id, CAS_ID_BYTES);
        step->good_n = 0;
        step->good_probe = 0;
    }
    if (live->probe_seq <= step->good_probe)
        return; /* the same probe told again */
    step->good_probe = live->probe_seq;

    enum inventory_service service = inventory_service_of(server, turn->now.mono_ms);
    if (service != SERVICE_UP || !is_worker_after(live, &step->evidence)) {
        step->good_n = 0;
        note_seen(step, server, service);
        return;
    }
    step->good_n++;
    step->note[0] = '\0';
    if (step->good_n < entry->open.body.healthy_n)
        return;
    if (step->evidence.state == COMMAND_UNKNOWN) {
        step->evidence.pid_after = live->pid;
        step->evidence.start_after_ms = live->start_ms;
    }
    rollout_step_close(turn, entry, at);
}

static void prove(struct rollout_turn *turn,
                  struct rollout_entry *entry,
                  size_t at,
                  const struct inventory_server *server)
{
    const struct rollout_step *step = &entry->open.step[at];

    if (!is_causal(&server->live, step, turn->now.mono_ms))
        return;
    switch ((enum verb)entry->open.body.verb) {
    case VERB_drain:
        if (server->live.is_drained)
            rollout_step_close(turn, entry, at);
        break;
    case VERB_undrain:
        if (!server->live.is_drained)
            rollout_step_close(turn, entry, at);
        break;
    case VERB_recycle:
    case VERB_probe:
    case VERB_NONE:
        prove_healthy(turn, entry, at, server);
        break;
    }
}

enum cas_err rollout_health(struct rollout_book *book,
                            const struct inventory *inventory,
                            uint32_t server_id,
                            struct cas_now now,
                            struct rollout_actions *actions)
{
    const struct inventory_server *server = inventory_by_id(inventory, server_id);
    if (server == NULL)
        return CAS_OK;
    struct rollout_turn turn = rollout_turn_begin(book, inventory, now, actions);
    const struct rollout_ref *ref = rollout_refs_of(book, server_id);
    for (; ref != NULL; ref = rollout_refs_next(book, ref)) {
        if (ref->entry->active_n > 0 && rollout_may_prove(&ref->entry->open.step[ref->step]))
            prove(&turn, ref->entry, ref->step, server);
    }
    return rollout_turn_end(&turn);
}
