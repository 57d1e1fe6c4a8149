/* agent_loop.h - how does an agent live: heartbeats, reports, commands, from one instant to the
 * next?
 *
 * Everything is injected: time comes in as a value, frames go out by a callback, host, keys and
 * random are the caller's. No socket, no clock, no sleep: a virtual fleet runs hundreds of these in
 * one process. agent_free writes nothing, so freeing an agent and opening it again on the same two
 * paths is a crash and a restart. Used by agent_main.c and the story stage. */
#ifndef AGENT_AGENT_LOOP_H
#define AGENT_AGENT_LOOP_H

#include "agent/host/host.h"
#include "proto/trust/keys.h"

/* One frame to the controller. It may be lost: all that matters is repeated until answered. */
typedef void agent_send(void *context, struct cas_slice frame);
/* Random bytes for nonce and boot_id. */
typedef void agent_random(void *context, uint8_t *ret_bytes, size_t size);

struct agent_settings {
    struct host *host;               /* borrowed for the agent's life */
    struct keys_public self;         /* the agent's own CURVE key: the audience of its orders */
    struct keys_public command;      /* the controller's command key, pinned */
    const char *ledger_path;         /* borrowed during agent_open */
    const char *outbox_path;         /* likewise */
    const char *hold_path;           /* likewise; NULL: nobody can hold this server */
    int64_t outbox_bytes;            /* cap; 0: OUTBOX_BYTES */
    int64_t sample_ms;               /* 0: SAMPLE_MS */
    int64_t report_ms;               /* 0: REPORT_MS */
    const char *pool[POOLS_ALLOWED]; /* local allow-list; the first is the one sampled and told in
                                        heartbeats */
    size_t pool_n;                   /* 1 .. POOLS_ALLOWED; borrowed during agent_open */
    uint64_t seed;                   /* of the jitter before the first sample and report */
    agent_send *send;
    agent_random *random; /* NULL: keys_random */
    void *context;        /* of both */
};

/* Since agent_open. */
struct agent_counts {
    uint64_t heartbeats, reports, records_acked;
    uint64_t samples_dropped; /* could not be written */
    uint64_t frames_bad;      /* did not decode, or not meant for an agent */
    uint64_t ticks_stale;     /* of an older epoch than obeyed before */
    uint64_t acts;            /* commands whose INTENT was written */
};

struct agent;
/* Opens ledger and outbox and settles what a restart left open. Errors as ledger_open and
 * outbox_open; CAS_ERR_TOO_LONG a path; CAS_ERR_CONFIG no pool, CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err agent_open(const struct agent_settings *settings,
                                  struct cas_now now,
                                  struct agent **ret_agent,
                                  struct cas_why *why);
void agent_free(struct agent *agent);
CAS_AUTO_DEFINE(agent);

/* A new connection is up: HELLO is sent (and again every RESEND_MS until WELCOME), the report in
 * flight and unanswered results are sent again. */
void agent_on_connected(struct agent *agent, struct cas_now now);
/* One frame from the authenticated controller; borrowed during the call. agent_tick follows, with
 * the time as it is then: an act begins there. */
void agent_on_frame(struct agent *agent, struct cas_slice frame, struct cas_now now);
/* Does what is due. Returns the monotonic instant by which it wants to be called again; calling
 * earlier or later is harmless. */
int64_t agent_tick(struct agent *agent, struct cas_now now);

/* An act has its INTENT and not yet its outcome: stopping now would leave it to be settled after
 * the restart. */
bool agent_is_acting(const struct agent *agent);
/* The program is told to end: a command that only waits is given up, others go on while it ticks.
 */
void agent_give_up_waiting(struct agent *agent, struct cas_now now);
struct agent_counts agent_counts(const struct agent *agent);

#endif
