#include "controller/hub/hub_room.h"

#include <stdio.h>
#include <string.h>

enum {
    TOKEN_MILLI = 1000,
    MINUTE_MS = 60000
};

static void waiting_note(struct hub *hub,
                         const struct keys_public *key,
                         const char *address,
                         struct cas_now now)
{
    for (size_t i = 0; i < hub->waiting_n; i++) {
        struct view_waiting *row = &hub->waiting[i];
        if (memcmp(row->key, key->byte, CAS_KEY_BYTES) != 0)
            continue;
        row->last_ms = now.wall_ms;
        row->tries++;
        (void)snprintf(row->address, sizeof row->address, "%s", address);
        return;
    }
    if (hub->waiting_n == PEER_PENDING_MAX) {
        hub->waiting_n--;
        memmove(&hub->waiting[0], &hub->waiting[1], hub->waiting_n * sizeof hub->waiting[0]);
    }
    struct view_waiting *row = &hub->waiting[hub->waiting_n++];
    *row = (struct view_waiting){.first_ms = now.wall_ms, .last_ms = now.wall_ms, .tries = 1};
    memcpy(row->key, key->byte, CAS_KEY_BYTES);
    (void)snprintf(row->address, sizeof row->address, "%s", address);
}

enum channel_admission hub_handshake(struct hub *hub,
                                     const struct keys_public *key,
                                     const char *address,
                                     struct cas_now now)
{
    const struct hub_entry *entry = hub_find(hub, key->byte);
    if (entry == NULL) {
        waiting_note(hub, key, address, now);
        hub->refused_n++;
        return CHANNEL_WAIT;
    }
    if (entry->standing == HUB_APPROVED)
        return CHANNEL_ADMIT;
    hub->refused_n++;
    return CHANNEL_REFUSE;
}

bool hub_is_known(const struct hub *hub, const struct keys_public *key)
{
    return hub_find(hub, key->byte) != NULL;
}

const struct view_waiting *hub_waiting(const struct hub *hub, size_t *ret_n)
{
    *ret_n = hub->waiting_n;
    return hub->waiting;
}

uint64_t hub_refused_n(const struct hub *hub)
{
    return hub->refused_n;
}

/* A bucket of so many messages, which fills by its rate. */
static bool token_take(struct hub_entry *entry, int64_t mono_ms)
{
    bool is_operator = entry->peer.is_operator;
    const int64_t rate_per_s = is_operator ? OPERATOR_RATE_PER_S : PEER_RATE_PER_S;
    const int64_t full =
        (int64_t)(is_operator ? OPERATOR_RATE_BURST : PEER_RATE_BURST) * TOKEN_MILLI;
    int64_t tokens = entry->tokens_milli;
    int64_t passed_ms = mono_ms - entry->filled_ms;
    if (!entry->is_filled || passed_ms >= full / rate_per_s)
        tokens = full;
    else if (passed_ms > 0)
        tokens += passed_ms * rate_per_s;
    if (tokens > full)
        tokens = full;
    if (!entry->is_filled || passed_ms > 0)
        entry->filled_ms = mono_ms;
    entry->is_filled = true;
    bool is_taken = tokens >= TOKEN_MILLI;
    entry->tokens_milli = (uint32_t)(is_taken ? tokens - TOKEN_MILLI : tokens);
    return is_taken;
}

static bool may_speak(const struct hub_entry *entry)
{
#ifdef CASFLEET_MUTANT_I7
    return entry != NULL;
#else
    return entry != NULL && entry->standing == HUB_APPROVED;
#endif
}

enum hub_verdict hub_receive(struct hub *hub,
                             const struct channel_frame *frame,
                             struct cas_now now,
                             struct hub_peer **ret_peer)
{
    struct hub_entry *entry = hub_find(hub, frame->key.byte);
    if (!may_speak(entry))
        return HUB_DROP_UNKNOWN;
    if (entry->is_quarantined && now.mono_ms < entry->quarantine_until_ms)
        return HUB_DROP_QUARANTINE;
    entry->is_quarantined = false;
    if (!token_take(entry, now.mono_ms)) {
        entry->peer.dropped_n++;
        return HUB_DROP_RATE;
    }
    *ret_peer = &entry->peer;
    if (entry->peer.is_operator != (frame->route.port == CHANNEL_OPERATORS))
        return HUB_DROP_WRONG_PORT;
    entry->peer.route = frame->route;
    entry->peer.has_route = true;
    return HUB_PASS;
}

bool hub_violation(struct hub *hub, struct hub_peer *peer, struct cas_now now)
{
    (void)hub;
    /* The peer is the first member: its entry begins where it does. */
    struct hub_entry *entry = (struct hub_entry *)(void *)peer;
    if (entry->violation_n == 0 || now.mono_ms - entry->violation_ms >= MINUTE_MS) {
        entry->violation_n = 0;
        entry->violation_ms = now.mono_ms;
    }
    entry->violation_n++;
    if (entry->violation_n < PEER_VIOLATIONS_PER_MIN || entry->is_quarantined)
        return false;
    entry->is_quarantined = true;
    entry->quarantine_until_ms = now.mono_ms + PEER_QUARANTINE_MS;
    entry->violation_n = 0;
    return true;
}
