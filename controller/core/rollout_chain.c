#include "controller/core/rollout.h"

#include "controller/core/rollout_inside.h"

enum {
    NAMED_MOST = 3 /* of those a wave waits for */
};

const char *rollout_rule_name(enum rollout_rule rule)
{
    switch (rule) {
    case RULE_PLAN:
        return "plan";
    case RULE_WINDOW:
        return "window";
    case RULE_WAVE:
        return "wave";
    case RULE_REST:
        return "rest";
    case RULE_AT_ONCE:
        return "at once";
    case RULE_SERVER:
        return "server";
    case RULE_SLOT:
        return "slot";
    case RULE_MEMORY:
        return "memory";
    case RULE_FLOOR:
        return "floor";
    case ROLLOUT_RULES:
        break;
    }
    return "?";
}

/* A chain being put together: one step, looked at without changing it. */
struct chain {
    struct rollout_turn turn;
    struct rollout_entry *entry;
    const struct rollout *open;
    const struct rollout_step *step;
    size_t at;
    uint32_t wave; /* whose turn it is; 0: all are through */
    size_t first;  /* step of it that is not through */
};

static struct cas_text begin(struct rollout_link *link, enum rollout_rule rule)
{
    *link = (struct rollout_link){.rule = rule, .verdict = VERDICT_HOLDS};
    struct cas_text words = CAS_TEXT(link->words);
    cas_text_clear(&words);
    return words;
}

static void wait_for(struct rollout_link *link, enum rollout_reason reason)
{
    link->verdict = VERDICT_WAITS;
    link->reason = reason;
}

static void link_plan(const struct rollout *open,
                      const struct rollout_step *step,
                      const struct cas_now now,
                      struct rollout_link *link)
{
    struct cas_text words = begin(link, RULE_PLAN);
    cas_text_add(&words, "%s", rollout_state_words(open->state));
    bool is_retry = step->reason == REASON_RETRY;
    if (open->state != ROLLOUT_RUNNING || open->is_ending || (open->is_alone && !is_retry)) {
        bool is_early = open->state == ROLLOUT_SCHEDULED;
        wait_for(link, is_early ? REASON_WINDOW_EARLY : open->reason);
        if (is_early) {
            cas_text_add(&words, ", begins in ");
            cas_text_span(&words, open->body.start_ms - now.wall_ms);
        } else if (open->is_ending) {
            cas_text_add(&words, ", ended by an operator: only what is under way is waited for");
        } else if (open->is_alone) {
            cas_text_add(&words, ", but a retry goes alone first");
        } else if (open->reason != REASON_NONE) {
            cas_text_add(&words, ": %s", rollout_reason_words(open->reason));
        }
        if (open->reason == REASON_STOP_RULE)
            cas_text_add(&words,
                         ", %u failed (%u forgiven by a resume), limit %u",
                         open->failed_n,
                         open->forgiven_n,
                         (uint32_t)open->body.stop_after);
    } else if (step->state == STEP_CANCELLED) {
        wait_for(link, step->reason);
        cas_text_add(&words,
                     ", but this one was taken back: %s",
                     rollout_reason_words(step->reason));
    }
}

static void link_window(const struct chain *chain, struct rollout_link *link)
{
    struct cas_text words = begin(link, RULE_WINDOW);
    const struct record_plan_body *body = &chain->open->body;
    int64_t wall_ms = chain->turn.now.wall_ms;
    if (wall_ms < body->start_ms) {
        wait_for(link, REASON_WINDOW_EARLY);
        cas_text_add(&words, "opens in ");
        cas_text_span(&words, body->start_ms - wall_ms);
    } else if (wall_ms >= body->until_ms) {
        wait_for(link, REASON_WINDOW_CLOSED);
        cas_text_add(&words, "closed ");
        cas_text_span(&words, wall_ms - body->until_ms);
        cas_text_add(&words, " ago: no server begins after it");
    } else {
        cas_text_add(&words, "open, closes in ");
        cas_text_span(&words, body->until_ms - wall_ms);
    }
}

static void link_wave(const struct chain *chain, struct rollout_link *link)
{
    struct cas_text words = begin(link, RULE_WAVE);
    size_t named_n = 0, blocking_n = 0;
    if (chain->wave == 0 || chain->step->wave <= chain->wave) {
        cas_text_add(&words, "it is the turn of its wave, %u", chain->step->wave);
        return;
    }
    wait_for(link, REASON_WAVE);
    cas_text_add(&words,
                 "its wave is %u, wave %u is not through: ",
                 chain->step->wave,
                 chain->wave);
    for (size_t i = chain->first; i < chain->open->step_n; i++) {
        const struct rollout_step *other = &chain->open->step[i];
        if (other->wave != chain->wave || rollout_is_through(other))
            continue;
        const struct inventory_server *server =
            inventory_by_id(chain->turn.inventory, other->server_id);
        if (blocking_n++ >= NAMED_MOST)
            continue;
        cas_text_add(&words,
                     "%s%s %s",
                     named_n++ > 0 ? ", " : "",
                     server == NULL ? "(gone)" : server->name,
                     rollout_step_words(other->state));
    }
    if (blocking_n > named_n)
        cas_text_add(&words, ", and %zu more", blocking_n - named_n);
}

static void rest_numbers(const struct chain *chain, int64_t most_ms, struct cas_text *words)
{
    const struct rollout *open = chain->open;
    int64_t rested_ms = open->rest_mono_ms == 0 ? 0 : chain->turn.now.mono_ms - open->rest_mono_ms;
    cas_text_span(words, rested_ms);
    cas_text_add(words, " of ");
    cas_text_span(words, most_ms);
    cas_text_add(words, " after wave %u", open->wave);
}

static void link_rest(const struct chain *chain, struct rollout_link *link)
{
    struct cas_text words = begin(link, RULE_REST);
    const struct rollout *open = chain->open;
    if (chain->step->wave > chain->wave && chain->wave != 0) {
        link->verdict = VERDICT_LATER;
        cas_text_span(&words, (int64_t)open->body.gap_ms);
        cas_text_add(&words, " after the wave before it, at most ");
        cas_text_span(&words, (int64_t)open->body.settle_ms);
        cas_text_add(&words, " until requests settle");
        return;
    }
    if (open->is_alone || chain->step->wave <= open->wave) {
        cas_text_add(&words, "taken: its wave has begun");
        return;
    }
    enum rollout_reason reason = rollout_rest(&chain->turn, chain->entry);
    const struct inventory_server *neighbour =
        reason == REASON_NONE ? rollout_renewed(&chain->turn, chain->entry, chain->step->wave)
                              : NULL;
    if (neighbour != NULL) {
        wait_for(link, REASON_NEIGHBOUR);
        rollout_renewed_words(&chain->turn, neighbour, &words);
        cas_text_add(&words, ", ");
        cas_text_span(&words, (int64_t)open->body.gap_ms);
    } else if (reason == REASON_NONE) {
        cas_text_add(&words, "nothing to rest from, or rested long enough");
    } else {
        wait_for(link, reason);
        bool is_gap = reason == REASON_GAP;
        cas_text_add(&words, is_gap ? "rested " : "requests have not settled, waited ");
        rest_numbers(chain, (int64_t)(is_gap ? open->body.gap_ms : open->body.settle_ms), &words);
    }
}

static void link_at_once(const struct chain *chain, struct rollout_link *link)
{
    struct cas_text words = begin(link, RULE_AT_ONCE);
    uint32_t under_way_n = rollout_under_way_n(chain->entry);
    if (under_way_n >= chain->open->body.at_once)
        wait_for(link, REASON_AT_ONCE);
    cas_text_add(&words,
                 "%u under way, %u may be",
                 under_way_n,
                 (uint32_t)chain->open->body.at_once);
}

static void link_server(const struct chain *chain,
                        const struct inventory_server *server,
                        struct rollout_link *link)
{
    struct cas_text words = begin(link, RULE_SERVER);
    enum rollout_reason reason = rollout_check_server(&chain->turn, chain->entry, chain->at);
    if (reason != REASON_NONE)
        wait_for(link, reason);
    if (server == NULL) {
        cas_text_add(&words, "it is not in the inventory any more");
    } else if (reason == REASON_HELD) {
        inventory_held_words(server, &words);
    } else if (reason == REASON_SKEW) {
        cas_text_add(&words, "its clock is ");
        int64_t skew_ms = server->live.skew_ms;
        cas_text_span(&words, skew_ms < 0 ? -skew_ms : skew_ms);
        cas_text_add(&words, " off, %d s may be", CLOCK_SKEW_MS / 1000);
    } else if (reason == REASON_SILENT) {
        cas_text_add(&words, "silent: no answer to a TICK for more than %d s", FRESH_MS / 1000);
    } else if (reason != REASON_NONE) {
        cas_text_add(&words, "%s", rollout_reason_words(reason));
    } else {
        cas_text_add(
            &words,
            "%s, not held by its people",
            inventory_service_words(inventory_service_of(server, chain->turn.now.mono_ms)));
    }
}

static void link_slot(const struct chain *chain, struct rollout_link *link)
{
    struct cas_text words = begin(link, RULE_SLOT);
    const struct rollout_ref *holder =
        rollout_other_holder(chain->turn.book, chain->entry, chain->at);
    if (holder == NULL) {
        cas_text_add(&words, "no other plan holds it");
        return;
    }
    wait_for(link, REASON_SLOT);
    cas_text_add(&words, "held by r-%04llu", (unsigned long long)holder->entry->open.seq);
}

static void link_memory(const struct chain *chain,
                        const struct inventory_server *server,
                        struct rollout_link *link)
{
    struct cas_text words = begin(link, RULE_MEMORY);
    const struct record_plan_body *body = &chain->open->body;
    bool is_any = body->has_ram && body->ram == PLAN_RAM_ANY;
    if (body->verb != VERB_recycle || is_any) {
        cas_text_add(&words, "not asked: %s", is_any ? "--ram any" : "no second worker begins");
    } else if (server == NULL) {
        link->verdict = VERDICT_LATER;
    } else {
        enum rollout_reason reason =
            rollout_check_ram(&chain->turn, chain->entry, chain->at, &words);
        if (reason != REASON_NONE)
            wait_for(link, reason);
        else
            (void)need_ram_of(server, chain->turn.now.wall_ms, &words);
    }
}

static void
link_floor(struct chain *chain, const struct inventory_server *server, struct rollout_link *link)
{
    struct cas_text words = begin(link, RULE_FLOOR);
    if (!rollout_takes_out(chain->open)) {
        cas_text_add(&words, "not asked: it takes nobody out of service");
        return;
    }
    if (server == NULL) {
        link->verdict = VERDICT_LATER;
        return;
    }
    enum rollout_reason reason =
        rollout_check_floor(&chain->turn, chain->entry, chain->at, true, &words);
    if (reason != REASON_NONE)
        wait_for(link, reason);
}

static void turn_of_wave(struct chain *chain)
{
    const struct rollout *open = chain->open;
    while (chain->first < open->step_n && rollout_is_through(&open->step[chain->first]))
        chain->first++;
    if (chain->first < open->step_n)
        chain->wave = open->step[chain->first].wave;
}

enum cas_err rollout_chain(const struct rollout_book *book,
                           const struct inventory *inventory,
                           const struct rollout *rollout,
                           size_t step,
                           struct cas_now now,
                           struct rollout_link ret_link[ROLLOUT_RULES],
                           size_t *ret_n)
{
    if (step >= rollout->step_n ||
        (rollout->step[step].state != STEP_PENDING && rollout->step[step].state != STEP_CANCELLED))
        return CAS_ERR_RANGE;
    struct rollout_link link[ROLLOUT_RULES];
    struct rollout_entry *entry = rollout_entry_find(book, rollout->seq);
    link_plan(rollout, &rollout->step[step], now, &link[RULE_PLAN]);
    ret_link[0] = link[RULE_PLAN];
    if (entry == NULL || !rollout_is_open(rollout)) {
        *ret_n = 1;
        return CAS_OK;
    }
    /* The book lends its counting space; nothing of a rollout changes. */
    struct rollout_actions none = {0};
    struct chain chain = {
        .turn = rollout_turn_begin((struct rollout_book *)(uintptr_t)book, inventory, now, &none),
        .entry = entry,
        .open = &entry->open,
        .step = &entry->open.step[step],
        .at = step};
    const struct inventory_server *server = inventory_by_id(inventory, chain.step->server_id);
    turn_of_wave(&chain);
    link_window(&chain, &link[RULE_WINDOW]);
    link_wave(&chain, &link[RULE_WAVE]);
    link_rest(&chain, &link[RULE_REST]);
    link_at_once(&chain, &link[RULE_AT_ONCE]);
    link_server(&chain, server, &link[RULE_SERVER]);
    link_slot(&chain, &link[RULE_SLOT]);
    link_memory(&chain, server, &link[RULE_MEMORY]);
    link_floor(&chain, server, &link[RULE_FLOOR]);
    rollout_actions_done(&none);
    if (chain.turn.err != CAS_OK)
        return chain.turn.err;
    for (size_t i = 0; i < ROLLOUT_RULES; i++)
        ret_link[i] = link[i];
    *ret_n = ROLLOUT_RULES;
    return CAS_OK;
}
