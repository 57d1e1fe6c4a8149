/* hub_room.h - how does the hub keep its keys? Private to this room.
 *
 * One entry a key, found by an open hash over the key; entries stay where they are, so that a
 * borrowed peer stays good until the table changes. Revoked and replaced keys keep their entry, to
 * be refused for good. */
#ifndef CONTROLLER_HUB_HUB_ROOM_H
#define CONTROLLER_HUB_HUB_ROOM_H

#include "controller/hub/hub.h"

enum hub_standing {
    HUB_APPROVED,
    HUB_REVOKED,
    HUB_GONE /* an operator no longer in the file */
};

struct hub_entry {
    struct hub_peer peer;
    struct keys_public key;
    enum hub_standing standing;
    uint32_t tokens_milli; /* thousandths of a message that may still come */
    int64_t filled_ms;     /* mono */
    bool is_filled;        /* the two above are set */
    uint32_t violation_n;  /* in the minute that began at */
    int64_t violation_ms;
    bool is_quarantined;
    int64_t quarantine_until_ms;
};

struct hub {
    struct hub_entry **entry; /* [entry_n] */
    size_t entry_n, entry_cap;
    uint32_t *slot; /* [slot_n], a power of 2: position + 1 into entry, 0 empty */
    size_t slot_n;
    uint32_t
        *by_server; /* [server_cap]: position + 1 of the approved entry of a server id, 0 none */
    size_t server_cap;
    struct view_waiting waiting[PEER_PENDING_MAX];
    size_t waiting_n;
    uint64_t refused_n;
};

struct hub_entry *hub_find(const struct hub *hub, const uint8_t key[CAS_KEY_BYTES]); /* NULL */
/* A new entry for a key that has none. CAS_ERR_TOO_MANY, CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err
hub_add(struct hub *hub, const uint8_t key[CAS_KEY_BYTES], struct hub_entry **ret_entry);

#endif
