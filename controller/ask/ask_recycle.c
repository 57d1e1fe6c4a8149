#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/ask/ask_room.h"
#include "controller/store/store_schedule.h"
#include "proto/trust/sign.h"

enum {
    HOUR_MS = 60 * 60 * 1000,
    DAY_MS = 24 * HOUR_MS,
    LIST_MOST = 1000,
    LIST_USUAL = 20
};

static enum cas_err wish_time(struct ask_call *call, struct rollout_wish *wish)
{
    struct cas_now now = call->scene->now;
    if (ask_has(call, "at")) {
        enum cas_err err = ask_when(ask_get(call, "at"), now, &wish->start_ms, &call->why);
        if (err != CAS_OK)
            return err;
    }
    wish->until_ms = wish->start_ms + 4 * HOUR_MS;
    if (ask_has(call, "until")) {
        struct cas_now from = {.wall_ms = wish->start_ms, .mono_ms = now.mono_ms};
        enum cas_err err = ask_when(ask_get(call, "until"), from, &wish->until_ms, &call->why);
        if (err != CAS_OK)
            return err;
    }
    if (wish->until_ms <= wish->start_ms)
        return cas_fail(&call->why, CAS_ERR_RANGE, "--until is not after --at");
    if (wish->start_ms - now.wall_ms > 30LL * DAY_MS)
        return cas_fail(&call->why, CAS_ERR_RANGE, "--at is more than 30 days from now");
    return CAS_OK;
}

static enum cas_err wish_verb(struct ask_call *call, struct rollout_wish *wish)
{
    if (ask_has(call, "verb")) {
        struct cas_slice name = ask_get(call, "verb");
        wish->verb = verb_from(name);
        if (wish->verb == VERB_NONE)
            return cas_fail(&call->why,
                            CAS_ERR_RANGE,
                            "--verb \"%.*s\": recycle, drain, undrain or probe",
                            (int)(name.size < 40 ? name.size : 40),
                            name.data);
    }
    if (ask_has(call, "pool")) {
        struct cas_slice pool = ask_get(call, "pool");
        if (pool.size == 0 || !cas_is_clean_text(pool) ||
            cas_slice_copy(pool, wish->pool, sizeof wish->pool) != CAS_OK)
            return cas_fail(&call->why,
                            CAS_ERR_RANGE,
                            "--pool: 1 to %d bytes of text",
                            POOL_BYTES - 1);
    }
    return CAS_OK;
}

static enum cas_err wish_numbers(struct ask_call *call, struct rollout_wish *wish)
{
    enum cas_err err = ask_get_count(call, "at-once", 1, ROLLOUT_SERVERS, &wish->at_once);
    if (err == CAS_OK)
        err = ask_get_count(call, "healthy", 1, 100, &wish->healthy_n);
    if (err == CAS_OK)
        err = ask_get_count(call, "stop-after", 1, ROLLOUT_SERVERS, &wish->stop_after);
    if (err == CAS_OK)
        err = ask_get_count(call, "floor", 0, 100, &wish->floor_pct);
    if (err == CAS_OK)
        err = ask_get_span(call, "gap", DAY_MS, &wish->gap_ms);
    if (err == CAS_OK && wish->settle_ms < wish->gap_ms)
        wish->settle_ms = wish->gap_ms;
    /* A gap set by hand says how long to rest; settling may then add what --settle allows. */
    if (err == CAS_OK && ask_has(call, "gap") && !ask_has(call, "settle"))
        wish->settle_ms = wish->gap_ms * 5 / 2;
    if (err == CAS_OK)
        err = ask_get_span(call, "settle", DAY_MS, &wish->settle_ms);
    if (err == CAS_OK)
        err = ask_get_span(call, "drain", HOUR_MS, &wish->drain_ms);
    if (err == CAS_OK)
        err = ask_get_span(call, "act", HOUR_MS, &wish->act_ms);
    if (err == CAS_OK)
        err = ask_get_span(call, "proof", DAY_MS, &wish->proof_ms);
    if (err != CAS_OK)
        return err;
    if (wish->settle_ms < wish->gap_ms)
        return cas_fail(&call->why, CAS_ERR_RANGE, "--settle is shorter than the gap");
    if (wish->act_ms < 1000 || wish->proof_ms < 1000)
        return cas_fail(&call->why, CAS_ERR_RANGE, "--act and --proof: at least 1s");
    return CAS_OK;
}

static enum cas_err wish_gates(struct ask_call *call, struct rollout_wish *wish)
{
    struct cas_slice ram = ask_get(call, "ram");
    if (ask_has(call, "ram") && !rollout_ram_from(ram, &wish->ram))
        return cas_fail(&call->why,
                        CAS_ERR_RANGE,
                        "--ram \"%.*s\": fit, known or any",
                        (int)(ram.size < 40 ? ram.size : 40),
                        ram.data);
    wish->is_fixed_too = ask_has(call, "fixed-too");
    wish->is_just_in_time = ask_has(call, "just-in-time");
    return ask_get_span(call, "min-age", 400LL * DAY_MS, &wish->min_age_ms);
}

enum cas_err ask_wish(struct ask_call *call, struct rollout_wish *ret_wish)
{
    rollout_wish_default(ret_wish, call->scene->now);
    enum cas_err err = wish_verb(call, ret_wish);
    if (err == CAS_OK)
        err = wish_numbers(call, ret_wish);
    if (err == CAS_OK)
        err = wish_gates(call, ret_wish);
    if (err == CAS_OK)
        err = wish_time(call, ret_wish);
    if (err != CAS_OK)
        return err;
    if (ask_has(call, "no-drain"))
        ret_wish->drain_ms = 0;
    ret_wish->has_canary = !ask_has(call, "no-canary");
    snprintf(ret_wish->by, sizeof ret_wish->by, "%s", call->who->name);
    return CAS_OK;
}

/* The draft as bytes, stored and noted; nothing is scheduled. */
static enum cas_err
keep_draft(struct ask_call *call, const struct rollout_draft *draft, uint64_t seq)
{
    uint8_t *bytes = malloc(WIRE_PLAN_BYTES);
    size_t size = 0;
    if (bytes == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err =
        record_encode(RECORD_plan_body, &draft->body, bytes, WIRE_PLAN_BYTES, &size, &call->why);
    struct store *store = call->scene->store;
    if (err == CAS_OK)
        err = store_begin(store, &call->why);
    struct cas_slice plan = {(const char *)bytes, size};
    if (err == CAS_OK)
        err = store_draft_save(store, seq, plan, call->scene->now, &call->why);
    free(bytes);
    if (err != CAS_OK)
        return err;
    char id[32], words[120];
    snprintf(id, sizeof id, "r-%04llu", (unsigned long long)seq);
    snprintf(words, sizeof words, "planned for %zu servers", draft->server_n);
    struct store_audit audit = ask_audit(call, id, words);
    struct rollout_actions none = {0};
    return call->scene->commit(call->scene->context, &none, &audit, &call->why);
}

static enum cas_err plan_answer(struct ask_call *call,
                                const struct rollout_draft *draft,
                                uint64_t seq,
                                size_t chosen_n,
                                enum cas_err drafted)
{
    const char *refused = drafted == CAS_OK ? NULL : call->why.text;
    enum cas_err err = CAS_OK;
    if (drafted == CAS_OK)
        err = keep_draft(call, draft, seq);
    if (err == CAS_OK)
        err = view_plan(&call->view,
                        draft,
                        chosen_n,
                        !ask_has(call, "no-canary"),
                        refused,
                        &call->reply->document);
    if (err != CAS_OK)
        return err;
    if (draft->server_n == 0)
        call->reply->exit = ASK_EXIT_OK; /* nothing is left to do: no error */
    else if (drafted != CAS_OK)
        call->reply->exit = ASK_EXIT_GUARD;
    else if (ask_has(call, "exit-code"))
        call->reply->exit = ASK_EXIT_WORK;
    return CAS_OK;
}

enum cas_err ask_recycle_plan(struct ask_call *call)
{
    struct rollout_wish wish;
    size_t *at = NULL, n = 0;
    uint64_t seq = 0;
    enum cas_err err = ask_wish(call, &wish);
    if (err == CAS_OK)
        err = ask_choose(call, true, &at, &n);
    if (err == CAS_OK)
        err = store_rollout_next_seq(call->scene->store, &seq, &call->why);
    if (err != CAS_OK) {
        free(at);
        return err;
    }
    struct rollout_draft draft = {0};
    err = rollout_draft(call->scene->inventory,
                        call->scene->book,
                        at,
                        n,
                        &wish,
                        seq,
                        call->scene->now,
                        &draft,
                        &call->why);
    if (err == CAS_OK || err == CAS_ERR_GUARD)
        err = plan_answer(call, &draft, seq, n, err);
    rollout_draft_done(&draft);
    free(at);
    return err;
}

/* Runs one change of the book: commit, or the reason why not. */
static enum cas_err settle(struct ask_call *call,
                           enum cas_err changed,
                           struct rollout_actions *actions,
                           uint64_t seq,
                           const char *words)
{
    enum cas_err err = changed;
    if (err == CAS_OK) {
        char id[32];
        snprintf(id, sizeof id, "r-%04llu", (unsigned long long)seq);
        struct store_audit audit = ask_audit(call, id, words);
        err = call->scene->commit(call->scene->context, actions, &audit, &call->why);
    }
    rollout_actions_done(actions);
    return err;
}

/* What a change of a rollout answers: the rollout as it is now, in-flight servers included. */
static enum cas_err answer_rollout(struct ask_call *call, uint64_t seq)
{
    CAS_AUTO(rollout_book) old = NULL;
    const struct rollout *rollout = NULL;
    bool needs_attention = false;
    enum cas_err err = ask_rollout(call, seq, &old, &rollout);
    if (err == CAS_OK)
        err = view_rollout(&call->view, rollout, &call->reply->document, &needs_attention);
    return err;
}

/* A freeze holds for people too: nothing new begins while it is on. */
static enum cas_err check_freeze(struct ask_call *call)
{
    struct store_freeze freeze;
    enum cas_err err = store_freeze_load(call->scene->store, &freeze, &call->why);
    if (err != CAS_OK || !freeze.is_on)
        return err;
    return cas_fail(&call->why,
                    CAS_ERR_GUARD,
                    "the farm is frozen by %s%s%s: casfleet freeze off ends it",
                    freeze.by,
                    freeze.reason[0] != '\0' ? ", " : "",
                    freeze.reason);
}

enum cas_err ask_recycle_run(struct ask_call *call)
{
    uint64_t seq = 0;
    char *plan = NULL;
    size_t size = 0;
    enum cas_err err = ask_rollout_seq(call, &seq);
    if (err == CAS_OK)
        err = check_freeze(call);
    if (err == CAS_OK && rollout_find(call->scene->book, seq) != NULL)
        return cas_fail(&call->why,
                        CAS_ERR_GUARD,
                        "r-%04llu runs or has run already: casfleet recycle show r-%04llu",
                        (unsigned long long)seq,
                        (unsigned long long)seq);
    if (err == CAS_OK)
        err = store_draft_load(call->scene->store, seq, call->scene->now, &plan, &size, &call->why);
    if (err != CAS_OK)
        return err;
    struct cas_slice bytes = {plan, size};
    uint8_t hash[CAS_HASH_BYTES];
    sign_plan_hash(bytes, hash);
    struct rollout_actions actions = {0};
    err = rollout_run(call->scene->book,
                      call->scene->inventory,
                      bytes,
                      hash,
                      cas_slice_of(call->who->name),
                      ask_get(call, "reason"),
                      call->scene->now,
                      &actions,
                      &call->why);
    free(plan);
    char words[240];
    struct cas_slice reason = ask_get(call, "reason");
    snprintf(words,
             sizeof words,
             "run, reason: %.*s",
             (int)(reason.size < REASON_BYTES ? reason.size : REASON_BYTES),
             reason.data == NULL ? "" : reason.data);
    err = settle(call, err, &actions, seq, words);
    return err == CAS_OK ? answer_rollout(call, seq) : err;
}

void ask_draft_done(struct ask_draft *draft)
{
    cas_arena_free(draft->arena);
    free(draft->plan);
}

enum cas_err ask_draft_open(const struct ask_call *call,
                            uint64_t seq,
                            struct ask_draft *ret_draft,
                            struct cas_why *why)
{
    struct ask_draft draft = {.plan = NULL};
    size_t size = 0;
    enum cas_err err =
        store_draft_load(call->scene->store, seq, call->scene->now, &draft.plan, &size, why);
    if (err == CAS_OK)
        err = cas_arena_open(WIRE_ARENA_BYTES, &draft.arena);
    if (err == CAS_OK)
        err = record_decode(RECORD_plan_body,
                            (struct cas_slice){draft.plan, size},
                            draft.arena,
                            &draft.body,
                            why);
    if (err == CAS_OK)
        *ret_draft = draft;
    else
        ask_draft_done(&draft);
    return err;
}

enum cas_err ask_recycle_list(struct ask_call *call)
{
    uint32_t most = LIST_USUAL;
    enum cas_err err = ask_get_count(call, "most", 1, LIST_MOST, &most);
    return err == CAS_OK ? view_rollout_list(&call->view, most, &call->reply->document) : err;
}

enum cas_err ask_recycle_show(struct ask_call *call)
{
    uint64_t seq = 0;
    CAS_AUTO(rollout_book) old = NULL;
    const struct rollout *rollout = NULL;
    bool needs_attention = false;
    enum cas_err err = ask_rollout_seq(call, &seq);
    if (err == CAS_OK)
        err = ask_rollout(call, seq, &old, &rollout);
    if (err == CAS_OK)
        err = view_rollout(&call->view, rollout, &call->reply->document, &needs_attention);
    call->reply->exit = needs_attention ? ASK_EXIT_ATTENTION : ASK_EXIT_OK;
    return err;
}

enum cas_err ask_recycle_pause(struct ask_call *call)
{
    uint64_t seq = 0;
    struct rollout_actions actions = {0};
    enum cas_err err = ask_rollout_seq(call, &seq);
    if (err != CAS_OK)
        return err;
    err = rollout_pause(call->scene->book, seq, call->scene->now, &actions, &call->why);
    err = settle(call, err, &actions, seq, "no new grants");
    return err == CAS_OK ? answer_rollout(call, seq) : err;
}

/* --skip as server ids. Caller frees. */
static enum cas_err skip_ids(struct ask_call *call, uint32_t **ret_id, size_t *ret_n)
{
    if (!ask_has(call, "skip"))
        return CAS_OK;
    size_t size = inventory_size(call->scene->inventory);
    size_t *at = calloc(size + 1, sizeof *at);
    uint32_t *id = calloc(size + 1, sizeof *id);
    if (at == NULL || id == NULL) {
        free(at);
        free(id);
        return CAS_ERR_NOMEM;
    }
    struct inventory_choice choice = {.targets = ask_get(call, "skip")};
    enum cas_err err = inventory_choose(call->scene->inventory,
                                        &choice,
                                        call->scene->now.mono_ms,
                                        at,
                                        ret_n,
                                        &call->why);
    for (size_t i = 0; i < *ret_n && err == CAS_OK; i++)
        id[i] = inventory_at(call->scene->inventory, at[i])->id;
    free(at);
    if (err != CAS_OK) {
        free(id);
        return err;
    }
    *ret_id = id;
    return CAS_OK;
}

enum cas_err ask_recycle_resume(struct ask_call *call)
{
    uint64_t seq = 0;
    uint32_t *skip = NULL;
    size_t skip_n = 0;
    struct rollout_actions actions = {0};
    enum cas_err err = ask_rollout_seq(call, &seq);
    if (err == CAS_OK)
        err = skip_ids(call, &skip, &skip_n);
    if (err != CAS_OK)
        return err;
    const struct rollout *open = rollout_find(call->scene->book, seq);
    if (open != NULL && (open->state == ROLLOUT_PAUSED || open->state == ROLLOUT_HALTED))
        err = check_freeze(call);
    if (err == CAS_OK)
        err = rollout_resume(call->scene->book,
                             seq,
                             skip,
                             skip_n,
                             call->scene->now,
                             &actions,
                             &call->why);
    free(skip);
    char words[160];
    struct cas_slice skipped = ask_get(call, "skip");
    snprintf(words,
             sizeof words,
             "goes on%s%.*s",
             skipped.size > 0 ? " without " : "",
             (int)(skipped.size < 100 ? skipped.size : 100),
             skipped.data == NULL ? "" : skipped.data);
    err = settle(call, err, &actions, seq, words);
    return err == CAS_OK ? answer_rollout(call, seq) : err;
}

enum cas_err ask_recycle_retry(struct ask_call *call)
{
    uint64_t seq = 0;
    size_t *at = NULL, n = 0;
    struct rollout_actions actions = {0};
    enum cas_err err = ask_rollout_seq(call, &seq);
    if (err == CAS_OK)
        err = ask_choose(call, true, &at, &n);
    if (err != CAS_OK)
        return err;
    const struct inventory_server *server =
        n == 0 ? NULL : inventory_at(call->scene->inventory, at[0]);
    free(at);
    if (n != 1)
        return cas_fail(&call->why, CAS_ERR_RANGE, "retry takes one server, not %zu", n);
    err = check_freeze(call);
    if (err == CAS_OK)
        err = rollout_retry(call->scene->book,
                            seq,
                            server->id,
                            call->scene->now,
                            &actions,
                            &call->why);
    char words[120];
    snprintf(words, sizeof words, "%s once more, alone", server->name);
    err = settle(call, err, &actions, seq, words);
    return err == CAS_OK ? answer_rollout(call, seq) : err;
}

enum cas_err ask_recycle_end(struct ask_call *call)
{
    uint64_t seq = 0;
    struct rollout_actions actions = {0};
    bool is_forced = ask_has(call, "force");
    enum cas_err err = ask_rollout_seq(call, &seq);
    if (err != CAS_OK)
        return err;
    err = rollout_end(call->scene->book, seq, is_forced, call->scene->now, &actions, &call->why);
    err = settle(call, err, &actions, seq, is_forced ? "ended, slots given up" : "ended");
    return err == CAS_OK ? answer_rollout(call, seq) : err;
}
