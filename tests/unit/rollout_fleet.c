#include "tests/unit/rollout_fleet.h"

#include <stdio.h>
#include <stdlib.h>

/* Not a hash, but a function of its arguments alone in which no two are alike here. */
static void derive(const uint8_t plan_hash[CAS_HASH_BYTES],
                   uint64_t step,
                   uint64_t server_id,
                   uint64_t attempt,
                   uint8_t ret_cmd_id[CAS_ID_BYTES])
{
    memset(ret_cmd_id, 0, CAS_ID_BYTES);
    ret_cmd_id[0] = plan_hash[0];
    ret_cmd_id[1] = plan_hash[1];
    ret_cmd_id[2] = (uint8_t)step;
    ret_cmd_id[3] = (uint8_t)(step >> 8);
    ret_cmd_id[4] = (uint8_t)server_id;
    ret_cmd_id[5] = (uint8_t)(server_id >> 8);
    ret_cmd_id[6] = (uint8_t)attempt;
    ret_cmd_id[7] = (uint8_t)(attempt >> 8);
}

struct cas_now fleet_now(const struct fleet *fleet)
{
    return (struct cas_now){fleet->wall_from_ms + fleet->at_ms, fleet->mono_from_ms + fleet->at_ms};
}

struct fleet_agent *fleet_agent(struct fleet *fleet, const char *server)
{
    for (size_t i = 0; i < fleet->agent_n; i++) {
        if (strcmp(fleet->agent[i].name, server) == 0)
            return &fleet->agent[i];
    }
    test_fail(TEST_PLACE("fleet_agent"), "no server %s", server);
}

uint32_t fleet_id(struct fleet *fleet, const char *server)
{
    return fleet_agent(fleet, server)->id;
}

const struct rollout *fleet_rollout(const struct fleet *fleet, uint64_t seq)
{
    const struct rollout *rollout = rollout_find(fleet->book, seq);
    EXPECT_NOT_NULL(rollout);
    return rollout;
}

const struct rollout_step *fleet_step(struct fleet *fleet, uint64_t seq, const char *server)
{
    const struct rollout *rollout = fleet_rollout(fleet, seq);
    uint32_t id = fleet_id(fleet, server);
    for (size_t i = 0; i < rollout->step_n; i++) {
        if (rollout->step[i].server_id == id)
            return &rollout->step[i];
    }
    test_fail(TEST_PLACE("fleet_step"), "no step for %s", server);
}

/* ---- the journal ---- */

void fleet_journal(struct fleet *fleet, const char *what, const char *who, const char *words)
{
    if (fleet->journal_used + 512 > FLEET_JOURNAL_BYTES)
        return;
    int wrote = snprintf(fleet->journal + fleet->journal_used,
                         FLEET_JOURNAL_BYTES - fleet->journal_used,
                         "%02lld:%02lld %s %s %s\n",
                         (long long)(fleet->at_ms / 60000),
                         (long long)(fleet->at_ms / 1000 % 60),
                         what,
                         who,
                         words);
    fleet->journal_used += (size_t)wrote;
}

size_t fleet_count(const struct fleet *fleet, const char *words)
{
    size_t n = 0;
    const char *at = fleet->journal;
    while ((at = strstr(at, words)) != NULL) {
        n++;
        at += strlen(words);
    }
    return n;
}

static const char *note_words(enum rollout_note note)
{
    static const char *const words[] = {"started",
                                        "reserved",
                                        "granted",
                                        "result",
                                        "closed",
                                        "failed",
                                        "unknown",
                                        "halted",
                                        "paused",
                                        "resumed",
                                        "cancelled",
                                        "skipped",
                                        "retried",
                                        "done",
                                        "ended",
                                        "missed",
                                        "wave",
                                        "held",
                                        "evidence"};
    return words[note];
}

static void journal_note(struct fleet *fleet, const struct rollout_action *action)
{
    char rollout[24];
    (void)snprintf(rollout, sizeof rollout, "r-%llu", (unsigned long long)action->seq);
    fleet_journal(fleet,
                  note_words(action->note),
                  action->step == SIZE_MAX
                      ? rollout
                      : inventory_by_id(fleet->inventory, action->server_id)->name,
                  action->words);
}

/* ---- the store ---- */

static struct rollout *stored_of(struct fleet *fleet, uint64_t seq)
{
    for (size_t i = 0; i < fleet->stored_n; i++) {
        if (fleet->stored[i].seq == seq)
            return &fleet->stored[i];
    }
    CAS_ASSERT(fleet->stored_n < FLEET_ROLLOUTS_MOST);
    const struct rollout *rollout = fleet_rollout(fleet, seq);
    struct rollout *row = &fleet->stored[fleet->stored_n++];
    *row = *rollout;
    row->step = calloc(rollout->step_n, sizeof *row->step);
    char *plan = malloc(rollout->plan.size);
    CAS_ASSERT(row->step != NULL && plan != NULL);
    memcpy(plan, rollout->plan.data, rollout->plan.size);
    row->plan = (struct cas_slice){plan, rollout->plan.size};
    return row;
}

static void save(struct fleet *fleet, const struct rollout_action *action)
{
    const struct rollout *rollout = fleet_rollout(fleet, action->seq);
    struct rollout *row = stored_of(fleet, action->seq);
    if (action->kind == ACTION_SAVE_STEP) {
        row->step[action->step] = rollout->step[action->step];
        return;
    }
    struct rollout_step *step = row->step;
    struct cas_slice plan = row->plan;
    *row = *rollout;
    row->step = step;
    row->plan = plan;
}

static void free_rows(struct rollout *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        free(rows[i].step);
        free((void *)(uintptr_t)rows[i].plan.data);
    }
}

static void copy_rows(const struct rollout *from, size_t n, struct rollout *ret_rows)
{
    for (size_t i = 0; i < n; i++) {
        ret_rows[i] = from[i];
        ret_rows[i].step = malloc(from[i].step_n * sizeof *from[i].step);
        char *plan = malloc(from[i].plan.size);
        CAS_ASSERT(ret_rows[i].step != NULL && plan != NULL);
        memcpy(ret_rows[i].step, from[i].step, from[i].step_n * sizeof *from[i].step);
        memcpy(plan, from[i].plan.data, from[i].plan.size);
        ret_rows[i].plan = (struct cas_slice){plan, from[i].plan.size};
    }
}

struct rollout *fleet_snapshot(const struct fleet *fleet, size_t *ret_n)
{
    struct rollout *rows = calloc(FLEET_ROLLOUTS_MOST, sizeof *rows);
    CAS_ASSERT(rows != NULL);
    copy_rows(fleet->stored, fleet->stored_n, rows);
    *ret_n = fleet->stored_n;
    return rows;
}

void fleet_snapshot_free(struct rollout *snapshot, size_t n)
{
    if (snapshot != NULL)
        free_rows(snapshot, n);
    free(snapshot);
}

void fleet_restore(struct fleet *fleet, const struct rollout *snapshot, size_t n)
{
    free_rows(fleet->stored, fleet->stored_n);
    copy_rows(snapshot, n, fleet->stored);
    fleet->stored_n = n;
}

/* ---- the controller ---- */

void fleet_take(struct fleet *fleet)
{
    bool is_sending = false;
    for (size_t i = 0; i < fleet->actions.n; i++) {
        const struct rollout_action *action = &fleet->actions.item[i];
        bool is_row = action->kind == ACTION_SAVE_ROLLOUT || action->kind == ACTION_SAVE_STEP;
        bool is_saving = is_row || action->kind == ACTION_LEAP;
        /* R4: nothing is saved after the first that is sent. */
        EXPECT_FALSE(is_sending && is_saving);
        if (is_row)
            save(fleet, action);
        else if (action->kind == ACTION_NOTE)
            journal_note(fleet, action);
        else
            is_sending = is_sending || !is_saving;
        fleet_send(fleet, action);
    }
    fleet->actions.n = 0;
}

void fleet_operator(struct fleet *fleet, enum cas_err err, const struct cas_why *why)
{
    test_expect_ok(err, why, TEST_PLACE("operator"));
    fleet_take(fleet);
}

void fleet_restart(struct fleet *fleet)
{
    struct cas_why why = {.text = ""};
    fleet_journal(fleet, "restart", "controller", "");
    rollout_book_free(fleet->book);
    fleet->book = NULL;
    EXPECT_OK(rollout_book_open(derive, &fleet->book), NULL);
    for (size_t i = 0; i < fleet->stored_n; i++)
        EXPECT_OK(rollout_load(fleet->book, &fleet->stored[i], &why), &why);
    for (size_t i = 0; i < fleet->agent_n; i++)
        inventory_by_id(fleet->inventory, (uint32_t)i + 1)->live = (struct inventory_live){0};
    fleet->actions.n = 0;
    fleet->epoch++;
    /* Another machine, another monotonic clock. */
    fleet->mono_from_ms = (int64_t)(1000000 + test_below(&fleet->dice, 1000000)) - fleet->at_ms;
    fleet->tick_ms = fleet->at_ms;
}

/* ---- begin and end ---- */

static void add_server(struct fleet *fleet, size_t at, size_t site_n)
{
    struct fleet_agent *agent = &fleet->agent[at];
    size_t site = at * site_n / fleet->agent_n;
    size_t first = 0;
    while (first * site_n / fleet->agent_n < site)
        first++;
    *agent = (struct fleet_agent){.id = (uint32_t)at + 1,
                                  .site = {(char)('A' + (char)site)},
                                  .boot = 1,
                                  .pid = 1000 + (uint32_t)at,
                                  .start_ms = -100000,
                                  .act_ms = 3000,
                                  .bad_since_ms = -1};
    (void)snprintf(agent->name,
                   sizeof agent->name,
                   "%c-CAS%u",
                   'A' + (char)site,
                   (unsigned)(at - first + 1));
    struct inventory_server server = {.id = agent->id, .key = {(uint8_t)agent->id, 1}};
    memcpy(server.name, agent->name, sizeof agent->name);
    memcpy(server.label[LABEL_SITE], agent->site, sizeof agent->site);
    EXPECT_OK(inventory_add(fleet->inventory, &server), NULL);
}

struct fleet *fleet_open(size_t server_n, size_t site_n)
{
    struct fleet *fleet = calloc(1, sizeof *fleet);
    CAS_ASSERT(fleet != NULL && server_n <= FLEET_SERVERS_MOST);
    fleet->journal = calloc(1, FLEET_JOURNAL_BYTES);
    CAS_ASSERT(fleet->journal != NULL);
    fleet->agent_n = server_n;
    fleet->wall_from_ms = 1700000000000;
    fleet->mono_from_ms = 5000000;
    fleet->epoch = 1;
    fleet->next_seq = 1;
    fleet->floor_pct = 50;
    fleet->tick_ms = -TICK_MS;
    fleet->dice.state = 7;
    EXPECT_OK(inventory_open(&fleet->inventory), NULL);
    EXPECT_OK(rollout_book_open(derive, &fleet->book), NULL);
    for (size_t i = 0; i < server_n; i++)
        add_server(fleet, i, site_n);
    fleet_pass(fleet, 1000);
    return fleet;
}

void fleet_free(struct fleet *fleet)
{
    if (fleet == NULL)
        return;
    free_rows(fleet->stored, fleet->stored_n);
    rollout_actions_done(&fleet->actions);
    rollout_book_free(fleet->book);
    inventory_free(fleet->inventory);
    free(fleet->letter);
    free(fleet->journal);
    free(fleet);
}

struct rollout_wish fleet_wish(const struct fleet *fleet)
{
    struct rollout_wish wish;
    rollout_wish_default(&wish, fleet_now(fleet));
    wish.gap_ms = 60000;
    wish.settle_ms = 60000;
    wish.drain_ms = 0;
    wish.act_ms = 30000;
    wish.proof_ms = 60000;
    wish.floor_pct = 50;
    memcpy(wish.by, "ops.a", 6);
    return wish;
}

static enum cas_err
run_body(struct fleet *fleet, const struct record_plan_body *body, struct cas_why *why)
{
    static uint8_t bytes[WIRE_PLAN_BYTES];
    size_t size = 0;
    uint8_t hash[CAS_HASH_BYTES] = {(uint8_t)body->rollout_seq, (uint8_t)(body->rollout_seq >> 8)};
    enum cas_err err = record_encode(RECORD_plan_body, body, bytes, sizeof bytes, &size, why);
    if (err != CAS_OK)
        return err;
    err = rollout_run(fleet->book,
                      fleet->inventory,
                      (struct cas_slice){(const char *)bytes, size},
                      hash,
                      cas_slice_of("ops.a"),
                      cas_slice_of("weekly"),
                      fleet_now(fleet),
                      &fleet->actions,
                      why);
    fleet_take(fleet);
    return err;
}

enum cas_err fleet_run_steps(struct fleet *fleet,
                             const char *steps,
                             const struct rollout_wish *wish,
                             uint64_t *ret_seq,
                             struct cas_why *why)
{
    struct record_plan_body body = {
        .rollout_seq = fleet->next_seq,
        .verb = (uint64_t)wish->verb,
        .pool = cas_slice_of(wish->pool),
        .made_ms = fleet_now(fleet).wall_ms,
        .start_ms = wish->start_ms,
        .until_ms = wish->until_ms != 0 ? wish->until_ms : wish->start_ms + 12 * 3600000,
        .at_once = wish->at_once,
        .gap_ms = (uint64_t)wish->gap_ms,
        .settle_ms = (uint64_t)wish->settle_ms,
        .drain_ms = (uint64_t)wish->drain_ms,
        .act_ms = (uint64_t)wish->act_ms,
        .proof_ms = (uint64_t)wish->proof_ms,
        .healthy_n = wish->healthy_n,
        .stop_after = wish->stop_after,
        .floor_pct = wish->floor_pct,
        .by = cas_slice_of("ops.a"),
        .steps = cas_slice_of(steps),
    };
    enum cas_err err = run_body(fleet, &body, why);
    if (err == CAS_OK)
        *ret_seq = fleet->next_seq++;
    return err;
}

uint64_t fleet_run(struct fleet *fleet, const char *targets, const struct rollout_wish *wish)
{
    size_t at[FLEET_SERVERS_MOST];
    size_t n = 0;
    struct cas_why why = {.text = ""};
    struct inventory_choice choice = {.targets = cas_slice_of(targets)};
    struct rollout_draft draft = {.steps = NULL};
    EXPECT_OK(inventory_choose(fleet->inventory, &choice, fleet_now(fleet).mono_ms, at, &n, &why),
              &why);
    EXPECT_OK(rollout_draft(fleet->inventory,
                            fleet->book,
                            at,
                            n,
                            wish,
                            fleet->next_seq,
                            fleet_now(fleet),
                            &draft,
                            &why),
              &why);
    enum cas_err err = run_body(fleet, &draft.body, &why);
    rollout_draft_done(&draft);
    EXPECT_OK(err, &why);
    return fleet->next_seq++;
}
