#include "controller/core/rollout.h"

#include <stdlib.h>
#include <string.h>

#include "controller/core/rollout_inside.h"

uint32_t rollout_may_be_out(uint32_t server_n, uint32_t floor_pct)
{
    if (floor_pct >= 100)
        return 0;
    return (uint32_t)((uint64_t)server_n * (100 - floor_pct) / 100);
}

static uint32_t bucket_of(const char *site)
{
    uint32_t hash = 2166136261U;
    for (const char *c = site; *c != '\0'; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619U;
    return hash & (ROLLOUT_GROUP_BUCKETS - 1);
}

static struct rollout_group *find_group(struct rollout_budget *budget, const char *site)
{
    uint32_t at = budget->bucket[bucket_of(site)];
    while (at != ROLLOUT_NONE && strcmp(budget->group[at].site, site) != 0)
        at = budget->group[at].next;
    return at == ROLLOUT_NONE ? NULL : &budget->group[at];
}

static struct rollout_group *make_group(struct rollout_budget *budget, const char *site)
{
    if (budget->n == budget->cap) {
        size_t cap = budget->cap == 0 ? 16 : 2 * budget->cap;
        struct rollout_group *grown = realloc(budget->group, cap * sizeof *grown);
        if (grown == NULL)
            return NULL;
        budget->group = grown;
        budget->cap = cap;
    }
    uint32_t bucket = bucket_of(site);
    struct rollout_group *group = &budget->group[budget->n];
    *group = (struct rollout_group){.site = site, .next = budget->bucket[bucket]};
    budget->bucket[bucket] = (uint32_t)budget->n++;
    return group;
}

struct rollout_group *rollout_budget_group(struct rollout_budget *budget, const char *site)
{
    return find_group(budget, site);
}

/* The step, if any, by which a server counts as out although it looks well: the first in the chain,
 * so that a server held twice counts once. */
static const struct rollout_ref *
holder_of(const struct rollout_book *book, uint32_t server_id, const struct rollout_entry *only)
{
    const struct rollout_ref *ref = rollout_refs_of(book, server_id);
    for (; ref != NULL; ref = rollout_refs_next(book, ref)) {
        if (ref->entry->active_n == 0 || !rollout_takes_out(&ref->entry->open))
            continue;
        if (only != NULL && ref->entry != only)
            continue;
        if (ref->entry->open.step[ref->step].holds_slot)
            return ref;
    }
    return NULL;
}

bool rollout_is_out(const struct rollout_book *book,
                    const struct inventory_server *server,
                    int64_t mono_ms)
{
    return inventory_service_of(server, mono_ms) != SERVICE_UP ||
           holder_of(book, server->id, NULL) != NULL;
}

bool rollout_is_ours(const struct rollout_book *book, const struct inventory_server *server)
{
    const struct inventory_live *live = &server->live;
    const struct rollout_ref *ref = rollout_refs_of(book, server->id);
    for (; ref != NULL; ref = rollout_refs_next(book, ref)) {
        const struct rollout_step *step = &ref->entry->open.step[ref->step];
        if (rollout_is_under_way(step) || step->holds_slot ||
            (live->pid != 0 && step->evidence.pid_after == live->pid &&
             step->evidence.start_after_ms == live->start_ms))
            return true;
    }
    return false;
}

static bool count_servers(struct rollout_turn *turn, const char *site)
{
    struct rollout_budget *budget = &turn->book->budget;
    struct rollout_group *last = NULL;
    size_t size = inventory_size(turn->inventory);

    for (size_t i = 0; i < size; i++) {
        const struct inventory_server *server = inventory_at(turn->inventory, i);
        const char *of = server->label[LABEL_SITE];
        if (site != NULL && strcmp(of, site) != 0)
            continue;
        /* In order of name, neighbours are mostly of one site. */
        struct rollout_group *group =
            last != NULL && strcmp(last->site, of) == 0 ? last : find_group(budget, of);
        if (group == NULL)
            group = make_group(budget, of);
        if (group == NULL)
            return false;
        last = group;
        if (server->admission == ADMISSION_REVOKED)
            continue;
        group->server_n++;
        if (inventory_service_of(server, turn->now.mono_ms) != SERVICE_UP)
            group->out++;
    }
    return true;
}

/* Slots held by servers that look well, or that are not counted any more. */
static void count_held(struct rollout_turn *turn,
                       const struct rollout_entry *entry,
                       const struct rollout_entry *only)
{
    for (size_t i = 0; i < entry->active_n; i++) {
        const struct rollout_step *step = &entry->open.step[entry->active[i]];
        const struct inventory_server *server = inventory_by_id(turn->inventory, step->server_id);
        if (!step->holds_slot || server == NULL)
            continue;
        struct rollout_group *group = find_group(&turn->book->budget, server->label[LABEL_SITE]);
        if (group == NULL)
            continue;
        const struct rollout_ref *holder = holder_of(turn->book, server->id, only);
        enum inventory_service service = inventory_service_of(server, turn->now.mono_ms);
        bool is_counted = service != SERVICE_UP && service != SERVICE_REVOKED;
        if (!is_counted && holder != NULL && holder->entry == entry &&
            holder->step == entry->active[i])
            group->out++;
        if (rollout_is_under_way(step) && entry->open.body.floor_pct > group->floor_pct)
            group->floor_pct = (uint32_t)entry->open.body.floor_pct;
    }
}

/* site NULL: all groups. */
void rollout_budget_make(struct rollout_turn *turn,
                         const char *site,
                         const struct rollout_entry *asking)
{
    struct rollout_budget *budget = &turn->book->budget;
    const struct rollout_entry *only = NULL;
    budget->n = 0;
    for (size_t i = 0; i < ROLLOUT_GROUP_BUCKETS; i++)
        budget->bucket[i] = ROLLOUT_NONE;
    if (!count_servers(turn, site)) {
        turn->err = CAS_ERR_NOMEM;
        return;
    }
#ifdef CASFLEET_MUTANT_R8
    only = asking;
#else
    (void)asking;
#endif
    for (size_t i = 0; i < turn->book->n; i++) {
        const struct rollout_entry *entry = turn->book->entry[i];
        if (entry->active_n == 0 || !rollout_takes_out(&entry->open))
            continue;
        if (only == NULL || entry == only)
            count_held(turn, entry, only);
    }
    turn->has_budget = true;
}

uint32_t rollout_out_now(const struct rollout_book *book,
                         const struct inventory *inventory,
                         const char *site,
                         int64_t mono_ms)
{
    uint32_t out = 0;
    size_t size = inventory_size(inventory);
    for (size_t i = 0; i < size; i++) {
        const struct inventory_server *server = inventory_at(inventory, i);
        if (strcmp(server->label[LABEL_SITE], site) != 0)
            continue;
        bool is_held = holder_of(book, server->id, NULL) != NULL;
        enum inventory_service service = inventory_service_of(server, mono_ms);
        if (is_held || (service != SERVICE_UP && service != SERVICE_REVOKED))
            out++;
    }
    return out;
}

enum rollout_reason rollout_check_server(const struct rollout_turn *turn,
                                         const struct rollout_entry *entry,
                                         size_t step)
{
    const struct inventory_server *server =
        inventory_by_id(turn->inventory, entry->open.step[step].server_id);
    enum verb verb = (enum verb)entry->open.body.verb;
    /* A retry goes to a server that its failure left drained, or sick. */
    bool is_retry = entry->open.step[step].reason == REASON_RETRY;

    if (server == NULL)
        return REASON_REVOKED;
    switch (inventory_service_of(server, turn->now.mono_ms)) {
    case SERVICE_REVOKED:
        return REASON_REVOKED;
    case SERVICE_SILENT:
        return REASON_SILENT;
    case SERVICE_DRAINED:
        if (verb == VERB_recycle && !is_retry)
            return REASON_DRAINED;
        break;
    case SERVICE_MAINTENANCE:
        if (verb == VERB_recycle || verb == VERB_drain)
            return REASON_MAINTENANCE;
        break;
    case SERVICE_UNPROBED:
        if (verb == VERB_recycle && !is_retry)
            return REASON_UNHEALTHY;
        break;
    case SERVICE_SICK: /* what a recycle is for, and it counts as out as it is */
    case SERVICE_UP:
        break;
    }
    if (inventory_is_held(server))
        return REASON_HELD;
    if (!server->live.is_journal_writable)
        return REASON_JOURNAL;
    if (server->live.skew_ms > CLOCK_SKEW_MS || server->live.skew_ms < -CLOCK_SKEW_MS)
        return REASON_SKEW;
    return REASON_NONE;
}

/* Held or worked on by another step. A probe or an undrain may still reach a server whose slot a
 * failure holds. */
const struct rollout_ref *rollout_other_holder(const struct rollout_book *book,
                                               const struct rollout_entry *entry,
                                               size_t step)
{
    const struct rollout_ref *ref = rollout_refs_of(book, entry->open.step[step].server_id);
    for (; ref != NULL; ref = rollout_refs_next(book, ref)) {
        if (ref->entry->active_n == 0 || (ref->entry == entry && ref->step == step))
            continue;
        const struct rollout_step *other = &ref->entry->open.step[ref->step];
        if (rollout_is_under_way(other) || (other->holds_slot && rollout_takes_out(&entry->open)))
            return ref;
    }
    return NULL;
}

enum rollout_reason rollout_check_floor(struct rollout_turn *turn,
                                        const struct rollout_entry *entry,
                                        size_t step,
                                        bool is_told,
                                        struct cas_text *words)
{
    const struct inventory_server *server =
        inventory_by_id(turn->inventory, entry->open.step[step].server_id);
    const char *site = server->label[LABEL_SITE];
#ifdef CASFLEET_MUTANT_R8
    turn->has_budget = false;
#endif
    if (!turn->has_budget)
        rollout_budget_make(turn, turn->is_tick ? NULL : site, entry);
    const struct rollout_group *group = find_group(&turn->book->budget, site);
    if (group == NULL)
        return REASON_FLOOR; /* no memory to count in: nobody goes out */

    uint32_t floor_pct = (uint32_t)entry->open.body.floor_pct;
    if (group->floor_pct > floor_pct)
        floor_pct = group->floor_pct;
    uint32_t most = rollout_may_be_out(group->server_n, floor_pct);
    bool is_self_out = inventory_service_of(server, turn->now.mono_ms) != SERVICE_UP;
#ifdef CASFLEET_MUTANT_R8
    is_self_out = is_self_out || holder_of(turn->book, server->id, entry) != NULL;
#else
    is_self_out = is_self_out || holder_of(turn->book, server->id, NULL) != NULL;
#endif
    uint32_t others = group->out - (is_self_out && group->out > 0 ? 1 : 0);
#ifdef CASFLEET_MUTANT_I1
    most++;
#endif
    bool holds = others + 1 <= most;
    if (holds && !is_told)
        return REASON_NONE;
    cas_text_add(words,
                 "%s: %u of %u out, %u may be (floor %u %%)",
                 site[0] == '\0' ? "servers without a site" : site,
                 others,
                 group->server_n,
                 most,
                 floor_pct);
    return holds ? REASON_NONE : REASON_FLOOR;
}

/* Two workers overlap in a recycle. Not known does not block unless the plan says so: a counter
 * that cannot be read would else keep the cure away for good, and what can go wrong by it is one
 * server, at which the stop rule ends the round. */
enum rollout_reason rollout_check_ram(const struct rollout_turn *turn,
                                      const struct rollout_entry *entry,
                                      size_t step,
                                      struct cas_text *words)
{
    const struct record_plan_body *body = &entry->open.body;
    uint64_t ram = body->has_ram ? body->ram : PLAN_RAM_FIT;
    const struct inventory_server *server =
        inventory_by_id(turn->inventory, entry->open.step[step].server_id);
    if (body->verb != VERB_recycle || ram == PLAN_RAM_ANY)
        return REASON_NONE;
    enum need_ram found = need_ram_of(server, turn->now.wall_ms, NULL);
    if (found == RAM_FITS || (found == RAM_UNKNOWN && ram != PLAN_RAM_KNOWN))
        return REASON_NONE;
    cas_text_add(words, "%s: ", server->name);
    (void)need_ram_of(server, turn->now.wall_ms, words);
    return REASON_RAM;
}

enum rollout_reason rollout_check(struct rollout_turn *turn,
                                  const struct rollout_entry *entry,
                                  size_t step,
                                  struct cas_text *words)
{
    if (turn->now.wall_ms < entry->open.body.start_ms)
        return REASON_WINDOW_EARLY;
    if (turn->now.wall_ms >= entry->open.body.until_ms)
        return REASON_WINDOW_CLOSED;
    enum rollout_reason reason = rollout_check_server(turn, entry, step);
    if (reason != REASON_NONE) {
        const struct inventory_server *server =
            inventory_by_id(turn->inventory, entry->open.step[step].server_id);
        cas_text_add(words,
                     "%s: ",
                     server == NULL ? "a server not in the inventory" : server->name);
        if (reason == REASON_HELD)
            inventory_held_words(server, words);
        else
            cas_text_add(words, "%s", rollout_reason_words(reason));
        return reason;
    }
    const struct rollout_ref *holder = rollout_other_holder(turn->book, entry, step);
    if (holder != NULL) {
        cas_text_add(words, "held by r-%04llu", (unsigned long long)holder->entry->open.seq);
        return REASON_SLOT;
    }
    if (!rollout_takes_out(&entry->open))
        return REASON_NONE;
    reason = rollout_check_ram(turn, entry, step, words);
    if (reason != REASON_NONE)
        return reason;
    return rollout_check_floor(turn, entry, step, false, words);
}

bool rollout_may_grant_again(struct rollout_turn *turn,
                             const struct rollout_entry *entry,
                             size_t step)
{
    char text[ROLLOUT_BUILD_BYTES];
    struct cas_text words = CAS_TEXT(text);
    cas_text_clear(&words);
    return entry->open.state == ROLLOUT_RUNNING &&
           rollout_check(turn, entry, step, &words) == REASON_NONE;
}
