#include "tests/story/check_effects.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/trust/sign.h"

enum {
    COMMANDS = 512,
    ATTEMPTS = 24
};

struct check_server {
    char name[64], group[64];
    uint32_t id; /* 0: not a member */
    bool is_revoked;
    int64_t revoked_ms;
    bool is_out; /* by an act, no good probe since */
    int64_t echo_ms;
    int64_t cover_ms; /* by what has reached the controller it counts as in service until here */
    int64_t changed_ms, acted_ms, in_ms;
    size_t recycle_n;
    struct check_nonce nonce[CHECK_NONCES];
    size_t nonce_n;
    uint8_t grant_cmd[CAS_ID_BYTES], grant_nonce[CAS_ID_BYTES];
    int64_t grant_sent_ms;
};
struct check_command {
    uint8_t cmd_id[CAS_ID_BYTES];
    struct kept_plan *plan; /* NULL: of none that was run */
    size_t step;
    size_t recycle_n;
    int64_t claimed_ms; /* first nonce */
    int64_t first_ms;   /* first effect; 0 none */
    bool is_given_back;
};
struct kept_plan {
    struct check_plan plan;
    size_t run_at; /* grows with each that is run: the latest of a number is what operators mean */
    bool is_stopped;
    int64_t stopped_ms;
    bool has_lost_order; /* a retry or a lost database: waves are not in order any more */
    uint32_t retry_n[CHECK_SERVERS], recycle_n[CHECK_SERVERS];
    int64_t act_ms[CHECK_SERVERS]; /* by step: last first effect; 0 none */
};
struct check {
    check_broken *broken;
    void *context;
    bool has_slept;
    struct check_server server[CHECK_SERVERS];
    size_t server_n;
    struct kept_plan plan[CHECK_PLANS];
    size_t plan_n, run_n;
    struct check_command command[COMMANDS];
    size_t command_n;
};

struct check *check_make(check_broken *broken, void *context)
{
    struct check *check = calloc(1, sizeof *check);
    CAS_ASSERT(check != NULL);
    check->broken = broken;
    check->context = context;
    return check;
}

void check_free(struct check *check)
{
    free(check);
}

static void say(struct check *check, const char *fmt, ...) CAS_PRINTF(2, 3);
static void say(struct check *check, const char *fmt, ...)
{
    char words[400];
    va_list list;
    va_start(list, fmt);
    (void)vsnprintf(words, sizeof words, fmt, list);
    va_end(list);
    check->broken(check->context, words);
}

static struct check_server *server_of(struct check *check, size_t server)
{
    CAS_ASSERT(server < CHECK_SERVERS);
    if (server >= check->server_n) {
        for (size_t i = check->server_n; i <= server; i++)
            check->server[i].cover_ms = INT64_MIN;
        check->server_n = server + 1;
    }
    return &check->server[server];
}

static struct kept_plan *plan_of(struct check *check, uint64_t seq)
{
    struct kept_plan *last = NULL;
    for (size_t i = 0; i < check->plan_n; i++) {
        struct kept_plan *kept = &check->plan[i];
        if (kept->plan.seq == seq && (last == NULL || kept->run_at > last->run_at))
            last = kept;
    }
    return last;
}

/* ---- whose command is it? ---- */

static bool is_named(const struct check *check,
                     const struct kept_plan *kept,
                     size_t server,
                     struct check_command *command)
{
    uint8_t cmd_id[CAS_ID_BYTES];
    for (size_t step = 0; step < kept->plan.step_n; step++) {
        if (kept->plan.step[step].server != server)
            continue;
        for (uint64_t attempt = 1; attempt <= ATTEMPTS; attempt++) {
            struct sign_command name = {.step = step + 1,
                                        .server_id = check->server[server].id,
                                        .attempt = attempt};
            memcpy(name.plan_hash, kept->plan.hash, CAS_HASH_BYTES);
            sign_command_id(&name, cmd_id);
            if (memcmp(cmd_id, command->cmd_id, CAS_ID_BYTES) != 0)
                continue;
            command->step = step;
            return true;
        }
    }
    return false;
}

static struct check_command *command_of(struct check *check, size_t server, const uint8_t *cmd_id)
{
    struct check_command *command = NULL;
    for (size_t i = 0; i < check->command_n && command == NULL; i++) {
        if (memcmp(check->command[i].cmd_id, cmd_id, CAS_ID_BYTES) == 0)
            command = &check->command[i];
    }
    if (command == NULL) {
        CAS_ASSERT(check->command_n < COMMANDS);
        command = &check->command[check->command_n++];
        memcpy(command->cmd_id, cmd_id, CAS_ID_BYTES);
    }
    for (size_t i = 0; i < check->plan_n && command->plan == NULL; i++) {
        if (is_named(check, &check->plan[i], server, command))
            command->plan = &check->plan[i];
    }
    return command;
}

/* ---- operators' words ---- */

void check_approved(struct check *check,
                    size_t server,
                    const char *name,
                    const char *group,
                    uint32_t id)
{
    struct check_server *kept = server_of(check, server);
    struct cas_text name_text = CAS_TEXT(kept->name), group_text = CAS_TEXT(kept->group);
    cas_text_clear(&name_text);
    cas_text_clear(&group_text);
    cas_text_add(&name_text, "%s", name);
    cas_text_add(&group_text, "%s", group);
    kept->id = id;
}

void check_revoked(struct check *check, size_t server, bool is_revoked, int64_t at_ms)
{
    struct check_server *kept = server_of(check, server);
    if (is_revoked && !kept->is_revoked)
        kept->revoked_ms = at_ms;
    kept->is_revoked = is_revoked;
}

/* A number that a lost database gives away again is another plan, with commands of its own. The
 * same plan run again has those it had: what was done by them is not done again. */
void check_run(struct check *check, const struct check_plan *plan)
{
    struct kept_plan *kept = NULL;
    for (size_t i = 0; i < check->plan_n && kept == NULL; i++) {
        if (memcmp(check->plan[i].plan.hash, plan->hash, CAS_HASH_BYTES) == 0)
            kept = &check->plan[i];
    }
    bool is_again = kept != NULL;
    if (!is_again) {
        CAS_ASSERT(check->plan_n < CHECK_PLANS);
        kept = &check->plan[check->plan_n++];
    }
    kept->plan = *plan;
    kept->run_at = ++check->run_n;
    kept->is_stopped = false;
    kept->has_lost_order = is_again;
}

void check_retried(struct check *check, uint64_t seq, size_t server)
{
    struct kept_plan *kept = plan_of(check, seq);
    if (kept == NULL)
        return;
    kept->retry_n[server]++;
    kept->has_lost_order = true;
}

void check_stopped(struct check *check, uint64_t seq, bool is_stopped, int64_t at_ms)
{
    struct kept_plan *kept = plan_of(check, seq);
    if (kept == NULL)
        return;
    kept->is_stopped = is_stopped;
    kept->stopped_ms = at_ms;
    if (!is_stopped)
        kept->has_lost_order = true; /* what was given up in an earlier wave is taken up again */
}

void check_restored(struct check *check)
{
    for (size_t i = 0; i < check->plan_n; i++) {
        check->plan[i].is_stopped = false;
        check->plan[i].has_lost_order = true;
    }
}

void check_slept(struct check *check)
{
    check->has_slept = true;
}

/* I8: default deny. */
void check_intruded(struct check *check, const char *who, const char *verb, int exit_code)
{
    if (exit_code == 0)
        say(check, "I8 %s may not, and was allowed %s", who, verb);
}

/* ---- the doors ---- */

void check_claimed(struct check *check, const struct check_nonce *nonce)
{
    struct check_server *server = server_of(check, nonce->server);
    size_t kept_n = server->nonce_n < CHECK_NONCES ? server->nonce_n : CHECK_NONCES;
    for (size_t i = 0; i < kept_n; i++) {
        if (memcmp(server->nonce[i].nonce, nonce->nonce, CAS_ID_BYTES) == 0)
            return; /* said again: it is as old as when it was made */
    }
    server->nonce[server->nonce_n++ % CHECK_NONCES] = *nonce;
    struct check_command *command = command_of(check, nonce->server, nonce->cmd_id);
    if (command->claimed_ms == 0)
        command->claimed_ms = nonce->at_ms;
}

void check_granted(struct check *check,
                   size_t server,
                   const uint8_t *cmd_id,
                   const uint8_t *nonce,
                   int64_t sent_ms)
{
    struct check_server *kept = server_of(check, server);
    /* For a nonce that was followed by another one it is worth nothing: one that is late must not
     * stand for the one that is obeyed. (An agent that refuses the younger one and obeys the older
     * one is then judged by the younger.) */
    if (kept->nonce_n > 0 &&
        memcmp(kept->nonce[(kept->nonce_n - 1) % CHECK_NONCES].nonce, nonce, CAS_ID_BYTES) != 0)
        return;
    memcpy(kept->grant_cmd, cmd_id, CAS_ID_BYTES);
    memcpy(kept->grant_nonce, nonce, CAS_ID_BYTES);
    kept->grant_sent_ms = sent_ms;
}

void check_gave_back(struct check *check, size_t server, const uint8_t *cmd_id)
{
    command_of(check, server, cmd_id)->is_given_back = true;
}

/* A good heartbeat is worth FRESH_MS from the TICK it answers, a bad one ends that. */
void check_heard(struct check *check, size_t at, int64_t echo_ms, bool is_good, int64_t now_ms)
{
    struct check_server *server = server_of(check, at);
    if (echo_ms == 0 || echo_ms < server->echo_ms || server->is_revoked)
        return;
    server->echo_ms = echo_ms;
    int64_t until_ms = is_good ? echo_ms + FRESH_MS : now_ms;
    if (is_good ? until_ms > server->cover_ms : until_ms < server->cover_ms)
        server->cover_ms = until_ms;
}

/* I13: another worker since the agent was first asked, and a good probe after the act. */
void check_proved(struct check *check, size_t at, const uint8_t *cmd_id)
{
    const struct check_server *server = server_of(check, at);
    const struct check_command *command = command_of(check, at, cmd_id);
    if (command->plan == NULL || command->plan->plan.verb != VERB_recycle)
        return;
    if (server->changed_ms < command->claimed_ms || command->claimed_ms == 0)
        say(check, "I13 %s is told as proved and has its old worker", server->name);
    else if (server->is_out || server->in_ms < server->acted_ms)
        say(check, "I13 %s is told as proved and was never healthy since", server->name);
}

/* ---- effects ---- */

static uint32_t may_be_out(uint32_t server_n, uint32_t floor_pct)
{
    return floor_pct >= 100 ? 0 : server_n * (100 - floor_pct) / 100;
}

/* When the GRANT that `acting` obeys left the controller; one that is under way cannot be called
 * back. */
static bool was_revoked(const struct check_server *other, const struct check_server *acting)
{
    return other->is_revoked && acting->grant_sent_ms > other->revoked_ms;
}

/* I1: with this one, no more of its group are out by acts than the plan allows. I2: nor when those
 * count that were known as bad for longer than a GRANT can be on its way. I11: whatever database
 * the controller has. I12: whatever the clocks. */
static void budget_check(struct check *check,
                         size_t at,
                         const struct check_plan *plan,
                         const struct check_time *time)
{
    const struct check_server *server = &check->server[at];
    int64_t known_ms = time->at_ms - (FRESH_MS + GRANT_LIFE_MS + 1000);
    uint32_t member_n = 0, acted_n = 0, bad_n = 0;
    for (size_t i = 0; i < check->server_n; i++) {
        const struct check_server *other = &check->server[i];
        if (strcmp(other->group, server->group) != 0 || other->id == 0 ||
            was_revoked(other, server))
            continue;
        member_n++;
        if (i == at)
            continue;
        acted_n += other->is_out ? 1 : 0;
        bad_n += other->is_out || other->cover_ms < known_ms ? 1 : 0;
    }
    uint32_t most = may_be_out(member_n, plan->floor_pct);
    if (acted_n + 1 > most)
        say(check,
            "I1 %s acts while %u of %u of its group are out, %u may be",
            server->name,
            acted_n,
            member_n,
            most);
    else if (bad_n + 1 > most)
        say(check,
            "I2 %s acts while %u of %u of its group are out or silent, %u may be",
            server->name,
            bad_n,
            member_n,
            most);
}

/* I4: for a nonce of its own, soon after it on both clocks; inside the window; not taken back. */
static void fresh_check(struct check *check,
                        size_t at,
                        const struct check_command *command,
                        const struct check_time *time)
{
    const struct check_server *server = &check->server[at];
    const struct check_plan *plan = &command->plan->plan;
    const struct check_nonce *nonce = NULL;
    size_t kept_n = server->nonce_n < CHECK_NONCES ? server->nonce_n : CHECK_NONCES;
    for (size_t i = 0; i < kept_n; i++) {
        if (memcmp(server->nonce[i].nonce, server->grant_nonce, CAS_ID_BYTES) == 0 &&
            memcmp(server->nonce[i].cmd_id, command->cmd_id, CAS_ID_BYTES) == 0)
            nonce = &server->nonce[i];
    }
    if (nonce == NULL || memcmp(server->grant_cmd, command->cmd_id, CAS_ID_BYTES) != 0)
        say(check, "I4 %s acts without a grant for a nonce of its own", server->name);
    else if (time->at_ms - nonce->at_ms > GRANT_LIFE_MS ||
             time->wall_ms - nonce->wall_ms > GRANT_LIFE_MS)
        say(check,
            "I4 %s acts %lld ms after its nonce",
            server->name,
            (long long)(time->at_ms - nonce->at_ms));
    if (time->wall_ms > plan->until_ms + GRANT_LIFE_MS ||
        time->wall_ms < plan->start_ms - CLOCK_SKEW_MS)
        say(check, "I4 %s acts outside its window", server->name);
    if (command->is_given_back)
        say(check, "I4 %s acts on what it had revoked", server->name);
    if (was_revoked(server, server))
        say(check, "I7 %s acts and is revoked", server->name);
    /* I10: a GRANT of before the pause may still be on its way, for as long as it lives. */
    if (command->plan->is_stopped && time->at_ms > command->plan->stopped_ms + GRANT_LIFE_MS)
        say(check,
            "I10 %s acts %lld ms after an operator stopped r-%04llu",
            server->name,
            (long long)(time->at_ms - command->plan->stopped_ms),
            (unsigned long long)plan->seq);
}

/* I9: waves in the order of the plan, and between two of them the whole rest; over any restart. */
static void order_check(struct check *check,
                        size_t at,
                        const struct check_command *command,
                        const struct check_time *time)
{
    struct kept_plan *kept = command->plan;
    uint32_t wave = kept->plan.step[command->step].wave;
    for (size_t i = 0; i < kept->plan.step_n && !kept->has_lost_order; i++) {
        if (kept->act_ms[i] == 0 || kept->plan.step[i].wave == wave)
            continue;
        if (kept->plan.step[i].wave > wave)
            say(check,
                "I9 %s of wave %u acts after one of wave %u",
                check->server[at].name,
                wave,
                kept->plan.step[i].wave);
        else if (!check->has_slept && time->at_ms - kept->act_ms[i] < kept->plan.gap_ms)
            say(check,
                "I9 %s acts %lld ms after the wave before it, the plan rests %lld ms",
                check->server[at].name,
                (long long)(time->at_ms - kept->act_ms[i]),
                (long long)kept->plan.gap_ms);
    }
    kept->act_ms[command->step] = time->at_ms;
}

/* I3: once a command; once a server and rollout, but for an operator's retry. */
static void once_check(struct check *check, size_t at, struct check_command *command)
{
    const char *name = check->server[at].name;
    struct kept_plan *kept = command->plan;
    command->recycle_n++;
    kept->recycle_n[at]++;
    if (command->recycle_n > 1)
        say(check, "I3 %s is recycled twice by one command", name);
    else if (kept->recycle_n[at] > 1 + kept->retry_n[at])
        say(check, "I3 %s is recycled once more, and nobody retried it", name);
}

static void act_check(struct check *check,
                      size_t at,
                      const struct host_sim_effect *effect,
                      const struct check_time *time)
{
    struct check_command *command = command_of(check, at, effect->cmd_id);
    if (command->plan == NULL) {
        say(check, "I15 %s acts on what nobody ordered", check->server[at].name);
        return;
    }
    if (command->first_ms == 0) {
        command->first_ms = time->at_ms;
        fresh_check(check, at, command, time);
        budget_check(check, at, &command->plan->plan, time);
        order_check(check, at, command, time);
    }
    if (effect->kind == HOST_SIM_RECYCLE)
        once_check(check, at, command);
}

void check_effect(struct check *check,
                  size_t at,
                  const struct host_sim_effect *effect,
                  const struct check_time *time)
{
    struct check_server *server = server_of(check, at);
    if (effect->kind == HOST_SIM_RECYCLE || effect->kind == HOST_SIM_DRAIN)
        act_check(check, at, effect, time);
    if (effect->kind == HOST_SIM_RECYCLE)
        server->recycle_n++;
    if (effect->pid_after != effect->pid_before) {
        server->changed_ms = time->at_ms;
        if (effect->kind == HOST_SIM_RECYCLE)
            server->acted_ms = time->at_ms;
    }
    if (effect->kind == HOST_SIM_OUT)
        server->is_out = true;
    if (effect->kind == HOST_SIM_IN) {
        server->is_out = false;
        server->in_ms = time->at_ms;
    }
}

bool check_is_out(const struct check *check, size_t server)
{
    return check->server[server].is_out;
}

size_t check_recycles(const struct check *check, size_t server)
{
    return check->server[server].recycle_n;
}
