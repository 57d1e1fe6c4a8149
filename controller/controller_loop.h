/* controller_loop.h - what happens at each frame, each handshake and each tick of the controller?
 *
 * Everything that ends in a socket or comes from a clock is handed in, so that the same loop runs
 * in the program and, on a virtual clock and network, in stories. It owns store, inventory, book
 * and hub. The order that keeps the promises: the core decides, its rows and audit rows are
 * committed, and only then is anything sent or acknowledged. What agents say is gathered and
 * committed as a group; what an operator changes is committed at once. Used by controller_main and
 * tests/story. */
#ifndef CONTROLLER_CONTROLLER_LOOP_H
#define CONTROLLER_CONTROLLER_LOOP_H

#include "controller/hub/hub.h"
#include "controller/store/store.h"
#include "proto/channel/channel.h"

/* One frame to one connection. Never blocks and never calls back into the controller.
 * CAS_ERR_UNREACHABLE: gone, its route is forgotten; CAS_ERR_AGAIN: its queue is full. */
typedef enum cas_err
controller_send(void *context, struct channel_route route, struct cas_slice bytes);
/* What the core decided, after its commit: for the journal of stories. server_name is "" for a
 * rollout's own notes. */
typedef void controller_noted(void *context,
                              const struct rollout_action *note,
                              const char *server_name,
                              struct cas_now now);

struct controller_settings {
    const char *store_path;     /* a file, or a URI as "file:/name?vfs=memdb" (no lock file then) */
    const char *operators_path; /* lines "NAME ROLE KEY"; NULL: nobody may ask */
    const struct keys *command_keys; /* KEYS_SIGN; borrowed for the controller's life */
    uint8_t leader_id[CAS_ID_BYTES]; /* fresh random bytes for this run */
    int64_t tick_ms;                 /* 0: TICK_MS; every agent gets a TICK so often */
    int64_t commit_ms;               /* 0: CONTROLLER_COMMIT_MS */
    int64_t keep_ms;                 /* raw reports older than that go; 0: 14 days */
    controller_send *send;
    controller_noted *noted; /* NULL: nobody listens */
    void *context;           /* of the two above */
};
enum {
    CONTROLLER_COMMIT_MS = 10,        /* a decision waits at most so long for its commit */
    CONTROLLER_REPORTS_MS = 100,      /* reports alone: more of them share one */
    CONTROLLER_IDLE_MS = 500,         /* between ticks when nothing came in */
    CONTROLLER_ANSWER_MS = 20,        /* while an answer waits for its operator's queue */
    CONTROLLER_COMMIT_REPORTS = 2000, /* or until there are so many */
    CONTROLLER_RETRY_MS = 1000, /* after a commit that failed, nothing is taken in for so long */
    CONTROLLER_ANSWERS = 32,    /* answers on their way to operators with a full queue */
    CONTROLLER_ANSWERS_BYTES = 4 * WIRE_DOCUMENT_TOTAL,
    CONTROLLER_ENDED_KEPT = 64,           /* ended rollouts kept in memory */
    CONTROLLER_AUDIT_DENIED_PER_MIN = 30, /* denials audited a minute; the rest are counted */
    CONTROLLER_AUDIT_HELD =
        10, /* holds and releases of one server audited within the hour after the
               first; the rest are counted, and the last of them is told then */
    CONTROLLER_AUDIT_HELD_MS = 60 * 60 * 1000,
};

struct controller;
/* Opens the store (becoming leader), loads servers, rollouts and operators; sends nothing. Errors
 * as store_open and hub_operators_load. */
CAS_CHECK enum cas_err controller_open(const struct controller_settings *settings,
                                       struct cas_now now,
                                       struct controller **ret_controller,
                                       struct cas_why *why);
/* What was not committed is gone, as in a crash. */
void controller_free(struct controller *controller);
CAS_AUTO_DEFINE(controller);

/* For channel's admit. */
enum channel_admission controller_handshake(struct controller *controller,
                                            enum channel_port port,
                                            const struct keys_public *key,
                                            const char *address,
                                            struct cas_now now);
/* One frame that came in. Never fails: what a peer does wrong is counted and ends in quarantine. */
void controller_frame(struct controller *controller,
                      const struct channel_frame *frame,
                      struct cas_now now);
/* Call at least every controller_wait_ms: rollouts, TICKs, group commit, what is sent after it,
 * expiry. A full disk is not an error here: nothing is acknowledged or sent until it has room
 * again. CAS_ERR_FENCED: another controller has taken over; the program must end and has sent
 * nothing since. */
CAS_CHECK enum cas_err
controller_tick(struct controller *controller, struct cas_now now, struct cas_why *why);
/* How long the caller may wait for frames before the next tick; 0..CONTROLLER_IDLE_MS. */
int64_t controller_wait_ms(const struct controller *controller, struct cas_now now);
/* Commits and sends what has been gathered: before an orderly end. */
CAS_CHECK enum cas_err
controller_flush(struct controller *controller, struct cas_now now, struct cas_why *why);
/* Reads the operators file again; on an error those in force stay. */
CAS_CHECK enum cas_err controller_reload_operators(struct controller *controller,
                                                   struct cas_why *why);

struct controller_counts { /* since the start */
    uint64_t frames;
    uint64_t dropped_unknown, dropped_port, dropped_rate, dropped_quarantine;
    uint64_t violations, quarantines;
    uint64_t reports, report_entries, reports_refused,
        reports_not_now; /* not_now: the disk could not take them */
    uint64_t commits, commits_failed;
    uint64_t acks, ticks, offers, grants, sends_failed;
    uint64_t asks, denied;
};
struct controller_counts controller_counts_of(const struct controller *controller);
/* Borrowed, for tests, stories and metrics; the book and its rollouts until the next call of
 * anything above. */
struct inventory *controller_inventory(struct controller *controller);
const struct rollout_book *controller_book(const struct controller *controller);
struct store *controller_store(struct controller *controller);
struct hub *controller_hub(struct controller *controller);
uint64_t controller_epoch(const struct controller *controller);
/* The last commit failed and none has succeeded since. */
bool controller_is_stuck(const struct controller *controller);

#endif
