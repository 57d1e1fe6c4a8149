#include "controller/controller_loop_room.h"

#include <stdlib.h>
#include <string.h>

#include "controller/store/store_schedule.h"
#include "proto/trust/sign.h"

static const int64_t keep_ms_usual = INT64_C(14) * 24 * 3600 * 1000;

enum cas_err loop_peer_room(struct controller *c, uint32_t server_id)
{
    if (server_id >= c->peer_cap) {
        size_t cap = c->peer_cap > 0 ? c->peer_cap : 64;
        while (cap <= server_id)
            cap *= 2;
        struct loop_peer *grown = realloc(c->peer, cap * sizeof *grown);
        if (grown == NULL)
            return CAS_ERR_NOMEM;
        memset(grown + c->peer_cap, 0, (cap - c->peer_cap) * sizeof *grown);
        c->peer = grown;
        c->peer_cap = cap;
    }
    if (server_id >= c->server_end)
        c->server_end = server_id + 1;
    return CAS_OK;
}

enum cas_err loop_list_add(struct loop_list *list, uint32_t id)
{
    if (list->n == list->cap) {
        size_t cap = list->cap > 0 ? list->cap * 2 : 64;
        uint32_t *grown = realloc(list->id, cap * sizeof *grown);
        if (grown == NULL)
            return CAS_ERR_NOMEM;
        list->id = grown;
        list->cap = cap;
    }
    list->id[list->n++] = id;
    return CAS_OK;
}

bool loop_is_taking(const struct controller *c, int64_t mono_ms)
{
    return !c->is_fenced && c->spoiled == CAS_OK && (!c->is_stuck || mono_ms >= c->retry_ms);
}

void loop_gather(struct controller *c, struct cas_now now)
{
    if (c->is_gathering)
        return;
    c->is_gathering = true;
    c->gathered_ms = now.mono_ms;
}

static enum cas_err hub_fill(struct controller *c, struct cas_why *why)
{
    for (size_t i = 0; i < inventory_size(c->inventory); i++) {
        const struct inventory_server *server = inventory_at(c->inventory, i);
        enum cas_err err = loop_peer_room(c, server->id);
        if (err == CAS_OK)
            err = hub_admit_server(c->hub, server->id, server->key);
        if (err != CAS_OK)
            return cas_fail(why, err, "server %s: %s", server->name, cas_err_words(err));
        /* Admitted first, so that the key is known and refused for good. */
        if (server->admission != ADMISSION_APPROVED)
            hub_revoke_server(c->hub, server->id);
    }
    return CAS_OK;
}

static enum cas_err parts_open(struct controller *c, struct cas_why *why)
{
    enum cas_err err = cas_arena_open(WIRE_ARENA_BYTES, &c->arena);
    if (err == CAS_OK)
        err = cas_arena_open(LOOP_BODY_BYTES, &c->body_arena);
    if (err == CAS_OK)
        err = inventory_open(&c->inventory);
    if (err == CAS_OK)
        err = hub_open(&c->hub);
    if (err == CAS_OK)
        err = store_open(c->settings.store_path, c->settings.leader_id, c->started, &c->store, why);
    if (err == CAS_OK)
        err = store_servers_load(c->store, c->inventory, why);
    if (err == CAS_OK)
        err = loop_book_load(c, why);
    if (err == CAS_OK)
        err = hub_fill(c, why);
    if (err == CAS_OK && c->settings.operators_path != NULL)
        err = hub_operators_load(c->hub, c->settings.operators_path, why);
    return err;
}

enum cas_err controller_open(const struct controller_settings *settings,
                             struct cas_now now,
                             struct controller **ret_controller,
                             struct cas_why *why)
{
    CAS_AUTO(controller) c = calloc(1, sizeof *c);
    if (c == NULL)
        return CAS_ERR_NOMEM;
    c->settings = *settings;
    if (c->settings.tick_ms <= 0)
        c->settings.tick_ms = TICK_MS;
    if (c->settings.commit_ms <= 0)
        c->settings.commit_ms = CONTROLLER_COMMIT_MS;
    if (c->settings.keep_ms <= 0)
        c->settings.keep_ms = keep_ms_usual;
    c->started = now;
    c->round_ms = now.mono_ms;
    c->expire_ms = now.mono_ms;
    c->tell_ms = now.mono_ms;
    c->core_ms = now.mono_ms - LOOP_CORE_MS;
    c->frame = malloc(WIRE_FRAME_BYTES);
    if (c->frame == NULL)
        return CAS_ERR_NOMEM;
    enum cas_err err = parts_open(c, why);
    if (err != CAS_OK)
        return err;
    loop_scene_fill(c, now);
    *ret_controller = CAS_TAKE(c);
    return CAS_OK;
}

void controller_free(struct controller *c)
{
    if (c == NULL)
        return;
    loop_answers_free(c);
    rollout_actions_done(&c->actions);
    rollout_book_free(c->book);
    rollout_book_free(c->retired);
    inventory_free(c->inventory);
    hub_free(c->hub);
    store_free(c->store);
    cas_arena_free(c->arena);
    cas_arena_free(c->body_arena);
    free(c->frame);
    free(c->peer);
    free(c->dirty.id);
    free(c->acks.id);
    free(c);
}

enum channel_admission controller_handshake(struct controller *c,
                                            enum channel_port port,
                                            const struct keys_public *key,
                                            const char *address,
                                            struct cas_now now)
{
    /* A known key at the wrong port is told so, and audited, at its first message. An unknown one
     * at the operators' port is no agent that waits for approval. */
    if (port == CHANNEL_OPERATORS && !hub_is_known(c->hub, key))
        return CHANNEL_WAIT;
    return c->is_fenced ? CHANNEL_WAIT : hub_handshake(c->hub, key, address, now);
}

/* Only operators change it. False: it cannot be read. */
static bool freeze_read(struct controller *c, struct cas_now now)
{
    struct cas_why why = {0};
    struct store_freeze freeze = {.is_on = c->is_frozen};
    enum cas_err err = CAS_OK;
    if (!c->is_freeze_known)
        err = store_freeze_load(c->store, &freeze, &why);
    if (err != CAS_OK) {
        loop_stuck(c, err, now, &why);
        return false;
    }
    c->is_freeze_known = true;
    c->is_frozen = freeze.is_on;
    rollout_book_freeze(c->book, c->is_frozen);
    return true;
}

/* What came in, and what the last look began, is looked at soon; what time alone brings may wait a
 * little. */
static int64_t core_left_ms(const struct controller *c, int64_t mono_ms)
{
    int64_t gap_ms = c->is_core_due ? LOOP_CORE_MS : CONTROLLER_IDLE_MS;
    int64_t left_ms = c->core_ms + gap_ms - mono_ms;
    return left_ms > 0 ? left_ms : 0;
}

static void core_tick(struct controller *c, struct cas_now now)
{
    if (core_left_ms(c, now.mono_ms) > 0 || !loop_is_taking(c, now.mono_ms))
        return;
    c->core_ms = now.mono_ms;
    c->is_core_due = false;
    if (c->is_book_stale) {
        c->is_core_due = true;
        struct cas_why why = {0};
        enum cas_err err = loop_book_load(c, &why);
        if (err != CAS_OK)
            loop_stuck(c, err, now, &why);
        return;
    }
    loop_schedules(c, now);
    if (!loop_is_taking(c, now.mono_ms) || c->is_book_stale)
        return;
    if (!freeze_read(c, now))
        return;
    enum cas_err err = rollout_tick(c->book, c->inventory, now, &c->actions);
    if (err != CAS_OK)
        c->spoiled = err;
    if (c->actions.n > 0 || err != CAS_OK) {
        c->is_core_due = true;
        loop_gather(c, now);
    }
}

/* What the core decided is waited for; reports alone are not, and a commit costs much the same for
 * few and many. */
static int64_t commit_left_ms(const struct controller *c, int64_t mono_ms)
{
    bool is_waited_for = c->actions.n > 0 || c->report_n == 0;
    int64_t most_ms = is_waited_for || c->settings.commit_ms > CONTROLLER_REPORTS_MS
                          ? c->settings.commit_ms
                          : CONTROLLER_REPORTS_MS;
    int64_t left_ms = c->gathered_ms + most_ms - mono_ms;
    return left_ms <= 0 || c->report_n >= CONTROLLER_COMMIT_REPORTS || c->spoiled != CAS_OK
               ? 0
               : left_ms;
}

static bool is_commit_due(const struct controller *c, int64_t mono_ms)
{
    return c->is_gathering && commit_left_ms(c, mono_ms) == 0;
}

/* A number lost with a restored database: agents obey a higher one only. Never theirs, and at most
 * once a minute, so that no agent can drive it up. */
static void epoch_step(struct controller *c, struct cas_now now)
{
    if (!c->wants_epoch || c->is_gathering || !loop_is_taking(c, now.mono_ms))
        return;
    if (c->has_stepped && now.mono_ms - c->stepped_ms < LOOP_EPOCH_MS)
        return;
    struct cas_why why = {0};
    enum cas_err err = store_step_epoch(c->store, now, &why);
    if (err != CAS_OK) {
        loop_stuck(c, err, now, &why);
        return;
    }
    c->wants_epoch = false;
    c->has_stepped = true;
    c->stepped_ms = now.mono_ms;
    for (size_t i = 0; i < c->peer_cap; i++)
        c->peer[i].tick_sent = 0;
    c->tick_next = 0;
    c->round_ms = now.mono_ms;
    log_event(EVENT_EPOCH_RAISED, "epoch=%llu", (unsigned long long)controller_epoch(c));
}

static void reports_expire(struct controller *c, struct cas_now now)
{
    if (now.mono_ms - c->expire_ms < LOOP_EXPIRE_MS || c->is_stuck || c->is_fenced)
        return;
    c->expire_ms = now.mono_ms;
    struct cas_why why = {0};
    enum cas_err err = store_reports_expire(c->store, now, c->settings.keep_ms, &why);
    if (err != CAS_OK)
        c->spoiled = err;
    loop_gather(c, now);
}

/* Floods are told now and then, not a line a message. */
static void floods_tell(struct controller *c, struct cas_now now)
{
    if (now.mono_ms - c->tell_ms < LOOP_TELL_MS)
        return;
    c->tell_ms = now.mono_ms;
    uint64_t dropped = c->counts.dropped_rate + c->counts.dropped_quarantine;
    if (dropped != c->told_rate)
        log_event(EVENT_PEER_LIMITED, "dropped=%llu", (unsigned long long)(dropped - c->told_rate));
    c->told_rate = dropped;
}

enum cas_err controller_tick(struct controller *c, struct cas_now now, struct cas_why *why)
{
    core_tick(c, now);
    if (is_commit_due(c, now.mono_ms)) {
        /* A disk that is full is told by loop_stuck; the fence below ends the program. */
        enum cas_err err = loop_commit_group(c, now, why);
        if (err != CAS_OK && c->is_fenced)
            return err;
    }
    if (!c->is_fenced)
        epoch_step(c, now);
    if (c->is_fenced)
        return cas_fail(why, CAS_ERR_FENCED, "another controller has taken over");
    reports_expire(c, now);
    loop_send_ticks(c, now);
    loop_send_answers(c, now);
    floods_tell(c, now);
    return CAS_OK;
}

int64_t controller_wait_ms(const struct controller *c, struct cas_now now)
{
    int64_t wait_ms = c->answer_n > 0 ? CONTROLLER_ANSWER_MS : CONTROLLER_IDLE_MS;
    int64_t commit_ms = c->is_gathering ? commit_left_ms(c, now.mono_ms) : wait_ms;
    int64_t core_ms = loop_is_taking(c, now.mono_ms) ? core_left_ms(c, now.mono_ms) : LOOP_CORE_MS;
    wait_ms = commit_ms < wait_ms ? commit_ms : wait_ms;
    return core_ms < wait_ms ? core_ms : wait_ms;
}

enum cas_err controller_flush(struct controller *c, struct cas_now now, struct cas_why *why)
{
    return c->is_gathering ? loop_commit_group(c, now, why) : CAS_OK;
}

enum cas_err controller_reload_operators(struct controller *c, struct cas_why *why)
{
    return c->settings.operators_path != NULL
               ? hub_operators_load(c->hub, c->settings.operators_path, why)
               : CAS_OK;
}

struct controller_counts controller_counts_of(const struct controller *c)
{
    return c->counts;
}

struct inventory *controller_inventory(struct controller *c)
{
    return c->inventory;
}

const struct rollout_book *controller_book(const struct controller *c)
{
    return c->book;
}

struct store *controller_store(struct controller *c)
{
    return c->store;
}

struct hub *controller_hub(struct controller *c)
{
    return c->hub;
}

uint64_t controller_epoch(const struct controller *c)
{
    return store_leader_of(c->store).epoch;
}

bool controller_is_stuck(const struct controller *c)
{
    return c->is_stuck;
}
