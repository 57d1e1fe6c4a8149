#include "controller/core/rollout.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/core/rollout_inside.h"

enum {
    PLAN_ARENA_BYTES = 4096
};

enum cas_err rollout_book_open(rollout_derive *derive, struct rollout_book **ret_book)
{
    struct rollout_book *book = calloc(1, sizeof *book);
    if (book == NULL)
        return CAS_ERR_NOMEM;
    book->derive = derive;
    for (size_t i = 0; i < ROLLOUT_BUCKETS; i++)
        book->bucket[i] = ROLLOUT_NONE;
    *ret_book = book;
    return CAS_OK;
}

void rollout_entry_free(struct rollout_entry *entry)
{
    if (entry == NULL)
        return;
    free((void *)(uintptr_t)entry->open.plan.data); /* ours; const only for readers */
    free(entry->open.step);
    free(entry->active);
    free(entry->is_active);
    free(entry);
}

void rollout_book_free(struct rollout_book *book)
{
    if (book == NULL)
        return;
    for (size_t i = 0; i < book->n; i++)
        rollout_entry_free(book->entry[i]);
    free(book->entry);
    free(book->ref);
    free(book->budget.group);
    free(book);
}

void rollout_book_freeze(struct rollout_book *book, bool is_frozen)
{
    book->is_frozen = is_frozen;
}

size_t rollout_book_size(const struct rollout_book *book)
{
    return book->n;
}

const struct rollout *rollout_at(const struct rollout_book *book, size_t position)
{
    return position < book->n ? &book->entry[position]->open : NULL;
}

struct rollout_entry *rollout_entry_find(const struct rollout_book *book, uint64_t seq)
{
    for (size_t i = 0; i < book->n; i++) {
        if (book->entry[i]->open.seq == seq)
            return book->entry[i];
    }
    return NULL;
}

const struct rollout *rollout_find(const struct rollout_book *book, uint64_t seq)
{
    const struct rollout_entry *entry = rollout_entry_find(book, seq);
    return entry == NULL ? NULL : &entry->open;
}

static uint32_t bucket_of(uint32_t server_id)
{
    return ((server_id * 2654435761U) >> 8) & (ROLLOUT_BUCKETS - 1);
}

static const struct rollout_ref *
ref_from(const struct rollout_book *book, uint32_t at, uint32_t server_id)
{
    while (at != ROLLOUT_NONE && book->ref[at].server_id != server_id)
        at = book->ref[at].next;
    return at == ROLLOUT_NONE ? NULL : &book->ref[at];
}

const struct rollout_ref *rollout_refs_of(const struct rollout_book *book, uint32_t server_id)
{
    return ref_from(book, book->bucket[bucket_of(server_id)], server_id);
}

const struct rollout_ref *rollout_refs_next(const struct rollout_book *book,
                                            const struct rollout_ref *ref)
{
    return ref_from(book, ref->next, ref->server_id);
}

static void enter_refs(struct rollout_book *book, struct rollout_entry *entry)
{
    for (size_t i = 0; i < entry->open.step_n; i++) {
        uint32_t server_id = entry->open.step[i].server_id;
        uint32_t bucket = bucket_of(server_id);
        book->ref[book->ref_n] =
            (struct rollout_ref){entry, (uint32_t)i, server_id, book->bucket[bucket]};
        book->bucket[bucket] = (uint32_t)book->ref_n++;
    }
}

enum cas_err
rollout_entry_add(struct rollout_book *book, struct rollout_entry *entry, struct cas_why *why)
{
    if (rollout_entry_find(book, entry->open.seq) != NULL)
        return cas_fail(why,
                        CAS_ERR_EXISTS,
                        "there is a rollout r-%04llu already",
                        (unsigned long long)entry->open.seq);
    if (book->n == book->cap) {
        size_t cap = book->cap == 0 ? 16 : 2 * book->cap;
        struct rollout_entry **grown = realloc(book->entry, cap * sizeof *grown);
        if (grown == NULL)
            return CAS_ERR_NOMEM;
        book->entry = grown;
        book->cap = cap;
    }
    if (book->ref_n + entry->open.step_n > book->ref_cap) {
        size_t cap = 2 * book->ref_cap + entry->open.step_n;
        struct rollout_ref *grown = realloc(book->ref, cap * sizeof *grown);
        if (grown == NULL)
            return CAS_ERR_NOMEM;
        book->ref = grown;
        book->ref_cap = cap;
    }

    size_t place = book->n;
    while (place > 0 && book->entry[place - 1]->open.seq > entry->open.seq)
        place--;
    memmove(book->entry + place + 1,
            book->entry + place,
            (book->n - place) * sizeof(struct rollout_entry *));
    book->entry[place] = entry;
    book->n++;
    enter_refs(book, entry);
    return CAS_OK;
}

static enum cas_err
copy_plan(struct rollout_entry *entry, struct cas_slice plan, struct cas_why *why)
{
    if (plan.size == 0 || plan.size > WIRE_PLAN_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "a plan of %zu bytes; at most %d",
                        plan.size,
                        WIRE_PLAN_BYTES);
    char *bytes = malloc(plan.size);
    if (bytes == NULL)
        return CAS_ERR_NOMEM;
    memcpy(bytes, plan.data, plan.size);
    entry->open.plan = (struct cas_slice){bytes, plan.size};

    CAS_AUTO(cas_arena) arena = NULL;
    enum cas_err err = cas_arena_open(PLAN_ARENA_BYTES, &arena);
    if (err != CAS_OK)
        return err;
    return record_decode(RECORD_plan_body, entry->open.plan, arena, &entry->open.body, why);
}

enum cas_err rollout_entry_open(const struct rollout *saved,
                                struct rollout_entry **ret_entry,
                                struct cas_why *why)
{
    if (saved->step_n == 0 || saved->step_n > ROLLOUT_SERVERS)
        return cas_fail(why,
                        CAS_ERR_TOO_MANY,
                        "a plan for %zu servers; 1 to %d",
                        saved->step_n,
                        ROLLOUT_SERVERS);
    CAS_AUTO(rollout_entry) entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        return CAS_ERR_NOMEM;
    entry->open = *saved;
    entry->open.plan = (struct cas_slice){NULL, 0};
    entry->open.rest_mono_ms = 0;
    entry->open.step = calloc(saved->step_n, sizeof *entry->open.step);
    entry->active = calloc(saved->step_n, sizeof *entry->active);
    entry->is_active = calloc(saved->step_n, sizeof *entry->is_active);
    if (entry->open.step == NULL || entry->active == NULL || entry->is_active == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = copy_plan(entry, saved->plan, why);
    if (err != CAS_OK)
        return err;

    for (size_t i = 0; i < saved->step_n; i++) {
        struct rollout_step *step = &entry->open.step[i];
        *step = saved->step[i];
        step->sent_mono_ms = 0;
        step->deadline_mono_ms = 0;
        step->granted_mono_ms = 0;
        step->result_mono_ms = 0;
        step->good_n = 0;
        step->good_probe = 0;
        rollout_step_set(entry, i, step->state);
    }
    *ret_entry = CAS_TAKE(entry);
    return CAS_OK;
}

enum cas_err
rollout_load(struct rollout_book *book, const struct rollout *saved, struct cas_why *why)
{
    CAS_AUTO(rollout_entry) entry = NULL;
    enum cas_err err = rollout_entry_open(saved, &entry, why);
    if (err != CAS_OK)
        return err;
    if (entry->open.body.rollout_seq != saved->seq)
        return cas_fail(why,
                        CAS_ERR_CORRUPT,
                        "rollout r-%04llu was stored with the plan of r-%04llu",
                        (unsigned long long)saved->seq,
                        (unsigned long long)entry->open.body.rollout_seq);
    if (saved->state < ROLLOUT_SCHEDULED || saved->state > ROLLOUT_MISSED)
        return cas_fail(why,
                        CAS_ERR_CORRUPT,
                        "rollout r-%04llu: there is no state %d",
                        (unsigned long long)saved->seq,
                        (int)saved->state);
    for (size_t i = 0; i < entry->open.step_n; i++) {
        if (entry->open.step[i].state < STEP_PENDING || entry->open.step[i].state > STEP_SKIPPED)
            return cas_fail(why,
                            CAS_ERR_CORRUPT,
                            "rollout r-%04llu, step %zu: there is no state %d",
                            (unsigned long long)saved->seq,
                            i + 1,
                            (int)entry->open.step[i].state);
    }
    err = rollout_entry_add(book, entry, why);
    if (err == CAS_OK)
        entry = NULL; /* the book's now */
    return err;
}

static bool is_forgettable(const struct rollout_entry *entry)
{
    if (rollout_is_open(&entry->open))
        return false;
    for (size_t i = 0; i < entry->active_n; i++) {
        const struct rollout_step *step = &entry->open.step[entry->active[i]];
        if (step->holds_slot || rollout_is_under_way(step))
            return false;
    }
    return true;
}

void rollout_forget(struct rollout_book *book, size_t keep)
{
    size_t forgettable_n = 0;
    for (size_t i = 0; i < book->n; i++)
        forgettable_n += is_forgettable(book->entry[i]) ? 1 : 0;
    if (forgettable_n <= keep)
        return;

    size_t to_drop = forgettable_n - keep;
    size_t kept = 0;
    for (size_t i = 0; i < book->n; i++) {
        struct rollout_entry *entry = book->entry[i];
        if (to_drop > 0 && is_forgettable(entry)) {
            rollout_entry_free(entry);
            to_drop--;
        } else {
            book->entry[kept++] = entry;
        }
    }
    book->n = kept;
    book->ref_n = 0;
    for (size_t i = 0; i < ROLLOUT_BUCKETS; i++)
        book->bucket[i] = ROLLOUT_NONE;
    for (size_t i = 0; i < book->n; i++)
        enter_refs(book, book->entry[i]);
}

void rollout_actions_done(struct rollout_actions *actions)
{
    free(actions->item);
    *actions = (struct rollout_actions){0};
}

struct rollout_turn rollout_turn_begin(struct rollout_book *book,
                                       const struct inventory *inventory,
                                       struct cas_now now,
                                       struct rollout_actions *actions)
{
    return (struct rollout_turn){.book = book,
                                 .inventory = inventory,
                                 .now = now,
                                 .actions = actions,
                                 .from = actions->n};
}

static bool is_sending(enum rollout_action_kind kind)
{
    switch (kind) {
    case ACTION_SEND_PLAN:
    case ACTION_SEND_OFFER:
    case ACTION_SEND_GRANT:
    case ACTION_SEND_REVOKE:
    case ACTION_SEND_ACK:
        return true;
    case ACTION_SAVE_ROLLOUT:
    case ACTION_SAVE_STEP:
    case ACTION_LEAP:
    case ACTION_NOTE:
        break;
    }
    return false;
}

bool rollout_book_is_torn(const struct rollout_book *book)
{
    return book->is_torn;
}

enum cas_err rollout_turn_end(struct rollout_turn *turn)
{
    struct rollout_actions *actions = turn->actions;
    size_t n = actions->n - turn->from;
    struct rollout_action *ordered =
        turn->err == CAS_OK && n >= 2 ? malloc(n * sizeof *ordered) : NULL;
    if (turn->err == CAS_OK && n >= 2 && ordered == NULL)
        turn->err = CAS_ERR_NOMEM;
    if (turn->err != CAS_OK)
        turn->book->is_torn = true;
    if (turn->err != CAS_OK || n < 2)
        return turn->err;

    size_t used = 0;
    for (int sending = 0; sending < 2; sending++) {
        for (size_t i = 0; i < n; i++) {
            if (is_sending(actions->item[turn->from + i].kind) == (sending == 1))
                ordered[used++] = actions->item[turn->from + i];
        }
    }
    memcpy(actions->item + turn->from, ordered, n * sizeof *ordered);
    free(ordered);
    return CAS_OK;
}

static struct rollout_action *add_action(struct rollout_turn *turn, enum rollout_action_kind kind)
{
    struct rollout_actions *actions = turn->actions;
    if (actions->n == actions->cap) {
        size_t cap = actions->cap == 0 ? 32 : 2 * actions->cap;
        struct rollout_action *grown = realloc(actions->item, cap * sizeof *grown);
        if (grown == NULL) {
            turn->err = CAS_ERR_NOMEM;
            return NULL;
        }
        actions->item = grown;
        actions->cap = cap;
    }
    struct rollout_action *action = &actions->item[actions->n++];
    *action = (struct rollout_action){.kind = kind, .step = SIZE_MAX};
    return action;
}

static struct rollout_action *add_step_action(struct rollout_turn *turn,
                                              const struct rollout_entry *entry,
                                              size_t step,
                                              enum rollout_action_kind kind)
{
    struct rollout_action *action = add_action(turn, kind);
    if (action == NULL)
        return NULL;
    action->seq = entry->open.seq;
    action->step = step;
    if (step != SIZE_MAX) {
        action->server_id = entry->open.step[step].server_id;
        memcpy(action->cmd_id, entry->open.step[step].cmd_id, CAS_ID_BYTES);
    }
    return action;
}

void rollout_save(struct rollout_turn *turn, const struct rollout_entry *entry)
{
    (void)add_step_action(turn, entry, SIZE_MAX, ACTION_SAVE_ROLLOUT);
}

void rollout_save_step(struct rollout_turn *turn, const struct rollout_entry *entry, size_t step)
{
    (void)add_step_action(turn, entry, step, ACTION_SAVE_STEP);
}

void rollout_send(struct rollout_turn *turn,
                  struct rollout_entry *entry,
                  size_t step,
                  enum rollout_action_kind kind)
{
    entry->open.step[step].sent_mono_ms = turn->now.mono_ms;
    (void)add_step_action(turn, entry, step, kind);
}

void rollout_leap(struct rollout_turn *turn, const struct rollout_entry *entry)
{
    (void)add_step_action(turn, entry, SIZE_MAX, ACTION_LEAP);
}

void rollout_acknowledge(struct rollout_turn *turn,
                         uint32_t server_id,
                         const uint8_t cmd_id[CAS_ID_BYTES],
                         uint64_t ack_seq)
{
    struct rollout_action *action = add_action(turn, ACTION_SEND_ACK);
    if (action == NULL)
        return;
    action->server_id = server_id;
    memcpy(action->cmd_id, cmd_id, CAS_ID_BYTES);
    action->ack_seq = ack_seq;
}

void rollout_tell(struct rollout_turn *turn,
                  const struct rollout_entry *entry,
                  size_t step,
                  enum rollout_note note,
                  enum rollout_reason reason,
                  const char *fmt,
                  ...)
{
    struct rollout_action *action = add_step_action(turn, entry, step, ACTION_NOTE);
    if (action == NULL)
        return;
    action->note = note;
    action->reason = reason;
    va_list arguments;
    va_start(arguments, fmt);
    int size = vsnprintf(action->words, sizeof action->words, fmt, arguments);
    va_end(arguments);
    if (size < (int)sizeof action->words)
        return;
    size_t end = sizeof action->words - sizeof "...";
    while (end > 0 && ((unsigned char)action->words[end] & 0xC0) == 0x80)
        end--;
    memcpy(action->words + end, "...", sizeof "...");
}
