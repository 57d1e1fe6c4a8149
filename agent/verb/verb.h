/* verb.h - may this server do what is asked, and what came of it?
 *
 * The desk takes one command at a time: OFFER is answered by CLAIM with a nonce, GRANT by INTENT in
 * the ledger, the act, its outcome in the ledger and RESULT until acknowledged. Time comes in as a
 * value; host, ledger and random are the caller's; messages go out by a callback, facts for the log
 * likewise. Used by the agent's loop. */
#ifndef AGENT_VERB_VERB_H
#define AGENT_VERB_VERB_H

#include "agent/host/host.h"
#include "agent/journal/ledger.h"
#include "proto/trust/keys.h"

/* What a person may want to know; the loop logs it. */
enum verb_news {
    VERB_NEWS_CLAIMED,
    VERB_NEWS_REFUSED, /* a GRANT; the text says why */
    VERB_NEWS_INTENT,  /* written; the act begins */
    VERB_NEWS_DONE,
    VERB_NEWS_FAILED,
    VERB_NEWS_UNKNOWN,
    VERB_NEWS_REVOKED,
    VERB_NEWS_JOURNAL, /* cannot be written: the text says why */
    VERB_NEWS_EPOCH,   /* a higher one is obeyed from now on */
    VERB_NEWS_STALE,   /* something came from a lower one */
};
struct verb_told {
    enum verb_news news;
    const uint8_t *cmd_id; /* [CAS_ID_BYTES]; NULL when it is about none */
    enum verb verb;
    const char *text;
};

/* The message is borrowed during the call. */
typedef void verb_send(void *context, const struct message *message);
typedef void verb_random(void *context, uint8_t *ret_bytes, size_t size);
typedef void verb_tell(void *context, const struct verb_told *told);
/* The veto of the server's own people, as it is now; the reason says by whom and why. */
typedef bool verb_held(void *context, struct cas_why *why);

struct verb_settings {
    struct ledger *ledger; /* borrowed, as is the host */
    struct host *host;
    struct keys_public self;           /* the audience of our orders */
    struct keys_public command;        /* who may sign them */
    uint64_t keyset_ver;               /* in force; 0 none yet */
    const char (*allowed)[POOL_BYTES]; /* [allowed_n], borrowed */
    size_t allowed_n;
    verb_send *send;
    verb_random *random;
    verb_tell *tell;
    verb_held *held; /* NULL: nobody ever holds it */
    void *context;
};

struct verb_desk;
/* A command with INTENT alone is looked at for RECOVER_MS from now: a worker younger than the
 * INTENT makes it DONE, otherwise it becomes UNKNOWN; it is never carried out again. CAS_ERR_NOMEM,
 * and the ledger's. */
CAS_CHECK enum cas_err verb_desk_open(const struct verb_settings *settings,
                                      struct cas_now now,
                                      struct verb_desk **ret_desk,
                                      struct cas_why *why);
void verb_desk_free(struct verb_desk *desk);
CAS_AUTO_DEFINE(verb_desk);

/* Keeps the last VERB_PLANS plans by their hash. A plan that does not decode is dropped. */
void verb_on_plan(struct verb_desk *desk, const struct message_plan *plan);
void verb_on_offer(struct verb_desk *desk, const struct message_offer *offer, struct cas_now now);
/* Refused, with a NACK that says why, unless all of this holds, in this order: signed by the
 * command key and decodable; for us; not in the journal (else its RESULT is the answer); our last
 * nonce for it, at most GRANT_LIFE_MS old on the wall clock and on the monotonic one; epoch not
 * below verb_epoch, made durable first; rollout above the floor; keyset in force; the plan was
 * received and says this verb and pool; inside the window; pool allowed here; not held by the
 * server's own people, a command already begun excepted; no other command; journal writable. The
 * act begins at the next tick, if the nonce is then still young enough. The signature comes first
 * so that nothing unsigned is believed, not even an epoch. */
void verb_on_grant(struct verb_desk *desk, const struct message_grant *grant, struct cas_now now);
void verb_on_revoke(struct verb_desk *desk,
                    const struct message_revoke *revoke,
                    struct cas_now now);
/* Takes the ACK of a RESULT or REVOKED; others are ignored. */
void verb_on_ack(struct verb_desk *desk, const struct message_ack *ack);
/* The epoch of a TICK; false: below the highest obeyed, the TICK is not to be obeyed. A higher one
 * holds until verb_epoch_forget and no longer: it is not signed, and whoever holds the controller's
 * CURVE key alone must not be able to deafen an agent for good. What a verified GRANT says is
 * durable. */
bool verb_on_epoch(struct verb_desk *desk, uint64_t epoch);
/* The highest obeyed: durable, or heard since verb_epoch_forget. */
uint64_t verb_epoch(const struct verb_desk *desk);
/* A new connection, or nobody obeyed for long: only the durable epoch counts. */
void verb_epoch_forget(struct verb_desk *desk);
/* Goes on with the act; repeats what is not acknowledged. Returns the monotonic instant by which it
 * wants to be called again. */
int64_t verb_on_tick(struct verb_desk *desk, struct cas_now now);
/* A new connection: repeats at the next tick instead of RESEND_MS after the last time. */
void verb_resend(struct verb_desk *desk);

/* The agent is told to end: a recycle that only waits for requests to fall is given up and its
 * drain undone. Anything further is left to go on. */
void verb_stop(struct verb_desk *desk, struct cas_now now);
/* INTENT is written and the outcome is not. */
bool verb_is_acting(const struct verb_desk *desk);
uint64_t verb_acts(const struct verb_desk *desk); /* INTENTs since verb_desk_open */

#endif
