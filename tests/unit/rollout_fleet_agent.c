#include "tests/unit/rollout_fleet.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    STEP_MS = 1000,
    KNOWN_BAD_MS = FRESH_MS + GRANT_LIFE_MS + 1000,
};

enum letter_kind {
    LETTER_TICK,
    LETTER_OFFER,
    LETTER_GRANT,
    LETTER_REVOKE,
    LETTER_ACK,
    LETTER_HB,
    LETTER_CLAIM,
    LETTER_RESULT,
    LETTER_REVOKED,
    LETTER_NACK,
};
struct fleet_letter {
    enum letter_kind kind;
    uint32_t server_id;
    int64_t due_ms;
    uint64_t order;
    uint64_t epoch;
    uint8_t cmd_id[CAS_ID_BYTES];
    uint64_t nonce;
    enum nack_reason nack;
    struct fleet_command command; /* RESULT */
    struct message_hb hb;
    struct record_worker worker;
};

static struct fleet_agent *agent_of(struct fleet *fleet, uint32_t server_id)
{
    CAS_ASSERT(server_id >= 1 && server_id <= fleet->agent_n);
    return &fleet->agent[server_id - 1];
}

/* ---- letters ---- */

static void post_once(struct fleet *fleet, struct fleet_letter letter)
{
    if (fleet->letter_n == fleet->letter_cap) {
        fleet->letter_cap = fleet->letter_cap == 0 ? 64 : 2 * fleet->letter_cap;
        fleet->letter = realloc(fleet->letter, fleet->letter_cap * sizeof *fleet->letter);
        CAS_ASSERT(fleet->letter != NULL);
    }
    letter.due_ms = fleet->at_ms;
    if (fleet->delay_most_ms > 0)
        letter.due_ms += (int64_t)test_below(&fleet->dice, (uint64_t)fleet->delay_most_ms);
    letter.order = fleet->letter_seq++;
    fleet->letter[fleet->letter_n++] = letter;
}

static void post(struct fleet *fleet, struct fleet_letter letter)
{
    if (agent_of(fleet, letter.server_id)->is_cut)
        return;
    if (test_below(&fleet->dice, 100) < fleet->drop_pct)
        return;
    post_once(fleet, letter);
    if (test_below(&fleet->dice, 100) < fleet->double_pct)
        post_once(fleet, letter);
}

void fleet_send(struct fleet *fleet, const struct rollout_action *action)
{
    struct fleet_letter letter = {.server_id = action->server_id, .epoch = fleet->epoch};
    memcpy(letter.cmd_id, action->cmd_id, CAS_ID_BYTES);
    switch (action->kind) {
    case ACTION_SEND_OFFER:
        letter.kind = LETTER_OFFER;
        break;
    case ACTION_SEND_GRANT:
        letter.kind = LETTER_GRANT;
        memcpy(&letter.nonce,
               fleet_rollout(fleet, action->seq)->step[action->step].nonce,
               sizeof letter.nonce);
        break;
    case ACTION_SEND_REVOKE:
        letter.kind = LETTER_REVOKE;
        break;
    case ACTION_SEND_ACK:
        letter.kind = LETTER_ACK;
        break;
    case ACTION_SEND_PLAN:
    case ACTION_SAVE_ROLLOUT:
    case ACTION_SAVE_STEP:
    case ACTION_LEAP:
    case ACTION_NOTE:
        return;
    }
    post(fleet, letter);
}

/* ---- agents ---- */

static struct fleet_command *command_of(struct fleet_agent *agent,
                                        const uint8_t cmd_id[CAS_ID_BYTES])
{
    for (size_t i = 0; i < agent->command_n; i++) {
        if (memcmp(agent->command[i].cmd_id, cmd_id, CAS_ID_BYTES) == 0)
            return &agent->command[i];
    }
    CAS_ASSERT(agent->command_n < FLEET_COMMANDS_MOST);
    struct fleet_command *command = &agent->command[agent->command_n++];
    *command = (struct fleet_command){0};
    memcpy(command->cmd_id, cmd_id, CAS_ID_BYTES);
    return command;
}

static bool is_told(const struct fleet_command *command)
{
    return command->state == COMMAND_DONE || command->state == COMMAND_FAILED ||
           command->state == COMMAND_UNKNOWN || command->state == COMMAND_REVOKED;
}

static void tell(struct fleet *fleet, struct fleet_agent *agent, struct fleet_command *command)
{
    struct fleet_letter letter = {.kind = command->state == COMMAND_REVOKED ? LETTER_REVOKED
                                                                            : LETTER_RESULT,
                                  .server_id = agent->id,
                                  .command = *command};
    command->told_ms = fleet->at_ms;
    memcpy(letter.cmd_id, command->cmd_id, CAS_ID_BYTES);
    if (!agent->is_slow_to_answer)
        post(fleet, letter);
}

static void refuse(struct fleet *fleet,
                   struct fleet_agent *agent,
                   const struct fleet_letter *to,
                   enum nack_reason reason)
{
    struct fleet_letter letter = {.kind = LETTER_NACK, .server_id = agent->id, .nack = reason};
    memcpy(letter.cmd_id, to->cmd_id, CAS_ID_BYTES);
    post(fleet, letter);
}

static bool is_busy(const struct fleet_agent *agent)
{
    for (size_t i = 0; i < agent->command_n; i++) {
        if (agent->command[i].state == COMMAND_INTENT)
            return true;
    }
    return false;
}

static void
take_offer(struct fleet *fleet, struct fleet_agent *agent, const struct fleet_letter *letter)
{
    struct fleet_command *command = command_of(agent, letter->cmd_id);
    if (is_told(command)) {
        tell(fleet, agent, command);
        return;
    }
    if (is_busy(agent)) {
        refuse(fleet, agent, letter, NACK_BUSY);
        return;
    }
    command->state = COMMAND_CLAIMED;
    command->nonce = ((uint64_t)agent->id << 32) + ++agent->nonce;
    command->claimed_ms = fleet->at_ms;
    struct fleet_letter claim = {.kind = LETTER_CLAIM,
                                 .server_id = agent->id,
                                 .nonce = command->nonce};
    memcpy(claim.cmd_id, letter->cmd_id, CAS_ID_BYTES);
    post(fleet, claim);
}

/* I1, I2 and I3, at the very moment a server acts. */
static void check_effect(struct fleet *fleet,
                         const struct fleet_agent *agent,
                         const struct fleet_command *command)
{
    uint32_t in_site = 0;
    uint32_t others_out = 0;
    for (size_t i = 0; i < fleet->agent_n; i++) {
        const struct fleet_agent *other = &fleet->agent[i];
        if (strcmp(other->site, agent->site) != 0)
            continue;
        in_site++;
        bool is_known_bad =
            other->bad_since_ms >= 0 && fleet->at_ms - other->bad_since_ms >= KNOWN_BAD_MS;
        if (other != agent && (other->is_out || is_known_bad))
            others_out++;
    }
    if (others_out + 1 > fleet->out_most)
        fleet->out_most = others_out + 1;
    uint32_t most = rollout_may_be_out(in_site, fleet->floor_pct);
    if (others_out + 1 > most)
        test_fail(TEST_PLACE("I1, I2"),
                  "at %lld ms %s acts while %u others of its site are out, at most %u in all\n%s",
                  (long long)fleet->at_ms,
                  agent->name,
                  others_out,
                  most,
                  fleet->journal_used > 4000 ? fleet->journal + fleet->journal_used - 4000
                                             : fleet->journal);
    if (command->effect_n > 1)
        test_fail(TEST_PLACE("I3"),
                  "%s acted %u times for one command",
                  agent->name,
                  command->effect_n);
}

static void
take_grant(struct fleet *fleet, struct fleet_agent *agent, const struct fleet_letter *letter)
{
    struct fleet_command *command = command_of(agent, letter->cmd_id);
    if (is_told(command)) {
        tell(fleet, agent, command);
        return;
    }
    if (letter->epoch < agent->epoch_max) {
        refuse(fleet, agent, letter, NACK_STALE_EPOCH);
        return;
    }
    if (command->state == COMMAND_INTENT || is_busy(agent)) {
        refuse(fleet, agent, letter, NACK_BUSY);
        return;
    }
    if (command->state != COMMAND_CLAIMED || command->nonce != letter->nonce ||
        fleet->at_ms - command->claimed_ms > GRANT_LIFE_MS) {
        refuse(fleet, agent, letter, NACK_NONCE);
        return;
    }
    command->state = COMMAND_INTENT;
    command->pid_before = agent->pid;
    command->start_before_ms = agent->start_ms;
    command->acted_ms = fleet->at_ms;
    command->effect_n++;
    agent->done_at_ms = fleet->at_ms + agent->act_ms;
    fleet->effect_n++;
    fleet_journal(fleet, "ACT", agent->name, "");
    agent->is_out = true;
    check_effect(fleet, agent, command);
}

static void finish_act(struct fleet *fleet, struct fleet_agent *agent)
{
    for (size_t i = 0; i < agent->command_n; i++) {
        struct fleet_command *command = &agent->command[i];
        if (command->state != COMMAND_INTENT || fleet->at_ms < agent->done_at_ms)
            continue;
        command->state = agent->outcome == COMMAND_NONE ? COMMAND_DONE : agent->outcome;
        if (!agent->keeps_worker) {
            agent->pid += 100;
            agent->start_ms = fleet->at_ms + 1;
        }
        command->pid_after = agent->pid;
        command->start_after_ms = agent->start_ms;
        command->seq = ++agent->head;
        agent->warm_at_ms = fleet->at_ms + agent->warm_ms;
        agent->is_sick = agent->is_sick || agent->is_sick_after;
        tell(fleet, agent, command);
    }
}

static void
take_revoke(struct fleet *fleet, struct fleet_agent *agent, const struct fleet_letter *letter)
{
    struct fleet_command *command = command_of(agent, letter->cmd_id);
    if (command->state == COMMAND_INTENT)
        return; /* its RESULT follows */
    if (!is_told(command)) {
        command->state = COMMAND_REVOKED;
        command->seq = ++agent->head;
    }
    tell(fleet, agent, command);
}

static void beat(struct fleet *fleet, struct fleet_agent *agent, const struct fleet_letter *tick)
{
    struct fleet_letter letter = {.kind = LETTER_HB, .server_id = agent->id, .epoch = tick->epoch};
    bool is_good = !agent->is_sick && !is_busy(agent) && fleet->at_ms >= agent->warm_at_ms;
    if (tick->epoch < agent->epoch_max)
        return;
    agent->epoch_max = tick->epoch;
    letter.worker = (struct record_worker){agent->pid, agent->start_ms};
    letter.hb = (struct message_hb){.boot_id = {agent->boot},
                                    .echo = tick->hb.echo,
                                    .epoch = tick->epoch,
                                    .journal_head = agent->head,
                                    .health = is_good ? HEALTH_GOOD : HEALTH_BAD,
                                    .has_health_reason = !is_good,
                                    .health_reason = cas_slice_of("503"),
                                    .workers_n = 1,
                                    .is_drained = agent->is_drained,
                                    .has_active_requests = true,
                                    .active_requests = 100 + agent->id,
                                    .wall_ms = fleet_now(fleet).wall_ms + agent->skew_ms,
                                    .is_journal_writable = !agent->is_journal_full,
                                    .has_maintenance = agent->is_in_maintenance,
                                    .maintenance = cas_slice_of("CU23 by ops.b"),
                                    .probe_seq = ++agent->probe_seq};
    if (is_good && !agent->is_cut)
        agent->is_out = false;
    post(fleet, letter);
}

void fleet_restart_agent(struct fleet *fleet, struct fleet_agent *agent)
{
    agent->boot++;
    agent->probe_seq = 0;
    for (size_t i = 0; i < agent->command_n; i++) {
        struct fleet_command *command = &agent->command[i];
        if (command->state == COMMAND_CLAIMED)
            command->state = COMMAND_NONE;
        if (command->state != COMMAND_INTENT)
            continue;
        /* Nothing shows whether the tool had done it. */
        command->state = COMMAND_UNKNOWN;
        command->seq = ++agent->head;
        tell(fleet, agent, command);
    }
}

/* ---- delivery ---- */

static void deliver_up(struct fleet *fleet, struct fleet_letter *letter)
{
    struct cas_now now = fleet_now(fleet);
    struct inventory_server *server = inventory_by_id(fleet->inventory, letter->server_id);
    enum cas_err err = CAS_OK;
    const struct fleet_command *command = &letter->command;

    if (letter->kind == LETTER_HB) {
        letter->hb.workers = &letter->worker;
        inventory_heartbeat(server,
                            &letter->hb,
                            letter->epoch == fleet->epoch ? (int64_t)letter->hb.echo : 0,
                            now);
        err = rollout_health(fleet->book, fleet->inventory, server->id, now, &fleet->actions);
    } else if (letter->kind == LETTER_CLAIM) {
        struct message_claim claim = {.cmd_id = {0}};
        memcpy(claim.cmd_id, letter->cmd_id, CAS_ID_BYTES);
        memcpy(claim.nonce, &letter->nonce, sizeof letter->nonce);
        err =
            rollout_claim(fleet->book, fleet->inventory, server->id, &claim, now, &fleet->actions);
    } else if (letter->kind == LETTER_RESULT) {
        struct message_result result = {.state = (uint64_t)command->state,
                                        .seq = command->seq,
                                        .has_text = true,
                                        .text = cas_slice_of("appcmd"),
                                        .pid_before = command->pid_before,
                                        .start_before_ms = command->start_before_ms,
                                        .pid_after = command->pid_after,
                                        .start_after_ms = command->start_after_ms,
                                        .intent_ms = command->acted_ms};
        memcpy(result.cmd_id, letter->cmd_id, CAS_ID_BYTES);
        err = rollout_result(fleet->book,
                             fleet->inventory,
                             server->id,
                             &result,
                             now,
                             &fleet->actions);
    } else if (letter->kind == LETTER_REVOKED) {
        struct message_revoked revoked = {.seq = command->seq};
        memcpy(revoked.cmd_id, letter->cmd_id, CAS_ID_BYTES);
        err = rollout_revoked(fleet->book,
                              fleet->inventory,
                              server->id,
                              &revoked,
                              now,
                              &fleet->actions);
    } else {
        struct message_nack nack = {.reason = (uint64_t)letter->nack, .has_cmd_id = true};
        memcpy(nack.cmd_id, letter->cmd_id, CAS_ID_BYTES);
        err = rollout_nack(fleet->book, fleet->inventory, server->id, &nack, now, &fleet->actions);
    }
    EXPECT_OK(err, NULL);
    fleet_take(fleet);
}

static void deliver_down(struct fleet *fleet, const struct fleet_letter *letter)
{
    struct fleet_agent *agent = agent_of(fleet, letter->server_id);
    if (agent->is_cut)
        return;
    switch (letter->kind) {
    case LETTER_TICK:
        beat(fleet, agent, letter);
        break;
    case LETTER_OFFER:
        take_offer(fleet, agent, letter);
        break;
    case LETTER_GRANT:
        take_grant(fleet, agent, letter);
        break;
    case LETTER_REVOKE:
        take_revoke(fleet, agent, letter);
        break;
    case LETTER_ACK:
        command_of(agent, letter->cmd_id)->is_acknowledged = true;
        break;
    case LETTER_HB:
    case LETTER_CLAIM:
    case LETTER_RESULT:
    case LETTER_REVOKED:
    case LETTER_NACK:
        break;
    }
}

/* Letters due, in the order of their time; those they cause are due at once, too. */
static void deliver(struct fleet *fleet)
{
    for (int rounds = 0; rounds < 10000; rounds++) {
        size_t first = fleet->letter_n;
        for (size_t i = 0; i < fleet->letter_n; i++) {
            if (fleet->letter[i].due_ms > fleet->at_ms)
                continue;
            if (first == fleet->letter_n || fleet->letter[i].due_ms < fleet->letter[first].due_ms ||
                (fleet->letter[i].due_ms == fleet->letter[first].due_ms &&
                 fleet->letter[i].order < fleet->letter[first].order))
                first = i;
        }
        if (first == fleet->letter_n)
            return;
        struct fleet_letter letter = fleet->letter[first];
        fleet->letter[first] = fleet->letter[--fleet->letter_n];
        if (letter.kind >= LETTER_HB)
            deliver_up(fleet, &letter);
        else
            deliver_down(fleet, &letter);
    }
    test_fail(TEST_PLACE("deliver"), "letters without end at %lld ms", (long long)fleet->at_ms);
}

static void watch_truth(struct fleet *fleet, struct fleet_agent *agent)
{
    bool is_bad = agent->is_cut || agent->is_sick || agent->is_drained || agent->is_in_maintenance;
    if (!is_bad)
        agent->bad_since_ms = -1;
    else if (agent->bad_since_ms < 0)
        agent->bad_since_ms = fleet->at_ms;
}

static void one_step(struct fleet *fleet)
{
    fleet->at_ms += STEP_MS;
    bool is_tick = fleet->at_ms - fleet->tick_ms >= TICK_MS;
    if (is_tick)
        fleet->tick_ms = fleet->at_ms;
    for (size_t i = 0; i < fleet->agent_n; i++) {
        struct fleet_agent *agent = &fleet->agent[i];
        watch_truth(fleet, agent);
        finish_act(fleet, agent);
        for (size_t c = 0; c < agent->command_n; c++) {
            struct fleet_command *command = &agent->command[c];
            if (is_told(command) && !command->is_acknowledged &&
                fleet->at_ms - command->told_ms >= RESEND_MS)
                tell(fleet, agent, command);
        }
        if (is_tick)
            post(fleet,
                 (struct fleet_letter){.kind = LETTER_TICK,
                                       .server_id = agent->id,
                                       .epoch = fleet->epoch,
                                       .hb = {.echo = (uint64_t)fleet_now(fleet).mono_ms}});
    }
    deliver(fleet);
    EXPECT_OK(rollout_tick(fleet->book, fleet->inventory, fleet_now(fleet), &fleet->actions), NULL);
    fleet_take(fleet);
    deliver(fleet);
}

void fleet_pass(struct fleet *fleet, int64_t span_ms)
{
    for (int64_t passed = 0; passed < span_ms; passed += STEP_MS)
        one_step(fleet);
}

void fleet_until(struct fleet *fleet,
                 uint64_t seq,
                 const char *server,
                 enum rollout_step_state state,
                 int64_t most_ms)
{
    int64_t until_ms = fleet->at_ms + most_ms;
    while (fleet_step(fleet, seq, server)->state != state) {
        if (fleet->at_ms >= until_ms)
            test_fail(TEST_PLACE("fleet_until"),
                      "%s is %s after %lld ms, not %s\n%s",
                      server,
                      rollout_step_words(fleet_step(fleet, seq, server)->state),
                      (long long)most_ms,
                      rollout_step_words(state),
                      fleet->journal);
        one_step(fleet);
    }
}

void fleet_until_state(struct fleet *fleet, uint64_t seq, enum rollout_state state, int64_t most_ms)
{
    int64_t until_ms = fleet->at_ms + most_ms;
    while (fleet_rollout(fleet, seq)->state != state) {
        if (fleet->at_ms >= until_ms)
            test_fail(TEST_PLACE("fleet_until_state"),
                      "r-%llu is %s after %lld ms, not %s\n%s",
                      (unsigned long long)seq,
                      rollout_state_words(fleet_rollout(fleet, seq)->state),
                      (long long)most_ms,
                      rollout_state_words(state),
                      fleet->journal);
        one_step(fleet);
    }
}

void fleet_heartbeat(struct fleet *fleet,
                     const char *server,
                     int64_t tick_age_ms,
                     uint64_t head,
                     enum pool_health health)
{
    struct fleet_agent *agent = fleet_agent(fleet, server);
    struct fleet_letter letter = {
        .kind = LETTER_HB,
        .server_id = agent->id,
        .epoch = fleet->epoch,
        .worker = {agent->pid, agent->start_ms},
        .hb = {.boot_id = {agent->boot},
               .echo = (uint64_t)(fleet_now(fleet).mono_ms - tick_age_ms),
               .epoch = fleet->epoch,
               .journal_head = head,
               .health = (uint64_t)health,
               .workers_n = 1,
               .wall_ms = fleet_now(fleet).wall_ms,
               .is_journal_writable = true,
               .probe_seq = ++agent->probe_seq},
    };
    deliver_up(fleet, &letter);
}
