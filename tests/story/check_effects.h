/* check_effects.h - did every server do only what was promised?
 *
 * It believes nobody: it is told what servers really did (their effect logs, with the stage's own
 * clock), what operators asked and were answered, and what reached a door of the controller. What
 * the controller thinks or stores does not enter: whose command an effect was follows from the
 * rule by which commands are named. Each promise stands in code beside its number:
 *
 *   I1  budget at every effect                      I2  known-bad servers count as out
 *   I3  at most one effect a command, and no more commands than operators asked for
 *   I4  fresh, within the window, not taken back    I7  a revoked server does nothing
 *   I8  who may not act changes nothing             I9  waves in order, the rest between them kept
 *   I10 after pause and end nothing new begins      I11 I1 and I3 hold over a database gone back
 *   I12 all of this under jumps of every clock      I13 done needs another worker, and health after
 *   I15 nobody acts on what was never ordered
 * I5 (acknowledged reports are kept, once) and I6 (audit rows) are read from the store at the end:
 * stage_check.c. L1 (all under way comes to an end) is asked of the book: story_is_settled. */
#ifndef TESTS_STORY_CHECK_EFFECTS_H
#define TESTS_STORY_CHECK_EFFECTS_H

#include "agent/host/host.h"

enum {
    CHECK_SERVERS = 32,
    CHECK_PLANS = 64,
    CHECK_NONCES = 64
};

struct check;
/* The first promise broken, as one line; more may follow. */
typedef void check_broken(void *context, const char *words);
struct check *check_make(check_broken *broken, void *context);
void check_free(struct check *check);

/* ---- the farm, by operators' words ---- */
/* Approved: a member of its group; id as the controller numbers it (commands are named by it). */
void check_approved(struct check *check,
                    size_t server,
                    const char *name,
                    const char *group,
                    uint32_t id);
void check_revoked(struct check *check, size_t server, bool is_revoked, int64_t at_ms);

/* ---- plans, as operators read and ran them ---- */
struct check_step {
    size_t server;
    uint32_t wave;
};
struct check_plan {
    uint64_t seq;                 /* which a database that has gone back may give again */
    uint8_t hash[CAS_HASH_BYTES]; /* of its bytes: commands are named by it */
    enum verb verb;
    uint32_t floor_pct;
    int64_t start_ms, until_ms, gap_ms;
    size_t step_n;
    struct check_step step[CHECK_SERVERS]; /* in plan order */
};
void check_run(struct check *check, const struct check_plan *plan);
void check_retried(struct check *check, uint64_t seq, size_t server);
/* An operator's pause or end was answered with success; or a resume or retry was asked. */
void check_stopped(struct check *check, uint64_t seq, bool is_stopped, int64_t at_ms);
/* The controller's database has gone back: words since then are lost with it. */
void check_restored(struct check *check);
/* The controller's own clock has jumped ahead: it has rested for as long. */
void check_slept(struct check *check);
/* Somebody who may not was answered with this exit code. */
void check_intruded(struct check *check, const char *who, const char *verb, int exit_code);

/* ---- what passes the doors ---- */
struct check_nonce {
    size_t server;
    uint8_t cmd_id[CAS_ID_BYTES], nonce[CAS_ID_BYTES];
    int64_t at_ms, wall_ms; /* the stage's, the server's */
};
void check_claimed(struct check *check, const struct check_nonce *nonce);
/* A GRANT reached the agent; sent_ms: when it left the controller, which cannot call it back. */
void check_granted(struct check *check,
                   size_t server,
                   const uint8_t *cmd_id,
                   const uint8_t *nonce,
                   int64_t sent_ms);
/* The agent has put down for good that it will never do this. */
void check_gave_back(struct check *check, size_t server, const uint8_t *cmd_id);
/* A heartbeat reached the controller; echo_ms: when the TICK it answers was sent. */
void check_heard(struct check *check, size_t server, int64_t echo_ms, bool is_good, int64_t now_ms);
/* An operator is told that this command is proved. */
void check_proved(struct check *check, size_t server, const uint8_t *cmd_id);

/* ---- what servers did ---- */
struct check_time {
    int64_t at_ms, wall_ms; /* the stage's, the server's */
};
void check_effect(struct check *check,
                  size_t server,
                  const struct host_sim_effect *effect,
                  const struct check_time *time);
/* Out by an act, and no good probe of its own since. */
bool check_is_out(const struct check *check, size_t server);
size_t check_recycles(const struct check *check, size_t server);

#endif
