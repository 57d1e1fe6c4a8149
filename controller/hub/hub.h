/* hub.h - which agents and operators are connected now, under which key, and how fast may they
 * speak?
 *
 * Memory only, no sockets: the controller's loop asks it at every handshake, every message in and
 * every message out, so that a revoked key is out at its next frame. Used by the controller's loop.
 */
#ifndef CONTROLLER_HUB_HUB_H
#define CONTROLLER_HUB_HUB_H

#include "controller/ask/ask.h"
#include "controller/core/inventory.h"
#include "proto/base/clock.h"
#include "proto/channel/channel.h"

enum hub_verdict {
    HUB_PASS,
    HUB_DROP_UNKNOWN,    /* key not approved (any more) */
    HUB_DROP_WRONG_PORT, /* an agent's key on the operators' port, or the reverse */
    HUB_DROP_RATE,       /* above PEER_RATE_PER_S */
    HUB_DROP_QUARANTINE,
};
struct hub_peer {
    bool is_operator;
    uint32_t server_id;            /* agents */
    struct ask_operator operator_; /* operators */
    struct channel_route route;    /* of its last accepted message */
    bool has_route;
    uint64_t dropped_n; /* by rate */
};
struct hub;
CAS_CHECK enum cas_err hub_open(struct hub **ret_hub);
void hub_free(struct hub *hub);
CAS_AUTO_DEFINE(hub);
/* The live table of keys. */
/* Takes the place of the server's earlier key, which is revoked. CAS_ERR_EXISTS another's key,
 * CAS_ERR_TOO_MANY, CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err
hub_admit_server(struct hub *hub, uint32_t server_id, const uint8_t key[CAS_KEY_BYTES]);
void hub_revoke_server(struct hub *hub,
                       uint32_t server_id); /* its key is remembered as revoked: ZAP 400 */
/* Replaces all operators: lines "NAME ROLE KEY", # comments; errors name file:line. */
CAS_CHECK enum cas_err hub_operators_load(struct hub *hub, const char *path, struct cas_why *why);
/* The same from text that is or will be in the file called path. */
CAS_CHECK enum cas_err
hub_operators_take(struct hub *hub, const char *path, struct cas_slice text, struct cas_why *why);
bool hub_is_operator(const struct hub *hub, const uint8_t key[CAS_KEY_BYTES]);
/* One such line, without hub. CAS_ERR_CONFIG with what is wrong. */
CAS_CHECK enum cas_err hub_operator_parse(struct cas_slice line,
                                          struct ask_operator *ret_who,
                                          struct keys_public *ret_key,
                                          struct cas_why *why);

/* At a handshake; unknown keys are remembered as waiting, at most PEER_PENDING_MAX, oldest
 * forgotten first. */
enum channel_admission hub_handshake(struct hub *hub,
                                     const struct keys_public *key,
                                     const char *address,
                                     struct cas_now now);
/* Whether a key is in the table at all, revoked ones too. */
bool hub_is_known(const struct hub *hub, const struct keys_public *key);
const struct view_waiting *hub_waiting(const struct hub *hub, size_t *ret_n);
uint64_t hub_refused_n(const struct hub *hub);
/* At a message; *ret_peer, with HUB_PASS and HUB_DROP_WRONG_PORT only, is borrowed until the hub is
 * freed. */
enum hub_verdict hub_receive(struct hub *hub,
                             const struct channel_frame *frame,
                             struct cas_now now,
                             struct hub_peer **ret_peer);
/* A peer broke the protocol: PEER_VIOLATIONS_PER_MIN of these and it is in quarantine. Returns true
 * when that begins now. */
bool hub_violation(struct hub *hub, struct hub_peer *peer, struct cas_now now);
/* At a send: the route of an approved, connected agent; NULL when it has none or may have nothing.
 */
const struct channel_route *hub_route(const struct hub *hub, uint32_t server_id);
void hub_forget_route(struct hub *hub, uint32_t server_id);
/* Walks approved agents with a route, for TICK. next = 0 first; returns false at the end. */
bool hub_next(const struct hub *hub,
              size_t *next,
              uint32_t *ret_server_id,
              struct channel_route *ret_route);

#endif
