/* symptom.h - what is to be read from this server, when, and how is it told?
 *
 * The plan is pure: it says what is due. The sampler turns what a host reads into encoded records:
 * each symptom with a value or the reason why there is none, never a wrong number. Neither keeps
 * anything on disk. Used by the agent's loop. */
#ifndef AGENT_SYMPTOM_SYMPTOM_H
#define AGENT_SYMPTOM_SYMPTOM_H

#include "agent/host/host.h"

/* What is due, to be or-ed. */
enum {
    SYMPTOM_DUE_SAMPLE = 1, /* read and keep all symptoms */
    SYMPTOM_DUE_EVENTS = 2, /* look at the event log */
    SYMPTOM_DUE_FACTS = 4,
    SYMPTOM_DUE_REPORT = 8 /* send what is kept */
};

struct symptom_pace {
    int64_t sample_ms; /* 1 s .. 1 h */
    int64_t events_ms;
    int64_t facts_ms;
    int64_t report_ms;
};
/* sample SAMPLE_MS, events TICK_MS, facts every 10 min, report REPORT_MS. */
struct symptom_pace symptom_pace_usual(void);

/* Members are the room's own; keep one for each pool. All times monotonic. */
struct symptom_plan {
    struct symptom_pace pace;
    int64_t next_sample_ms;
    int64_t next_events_ms;
    int64_t next_facts_ms;
    int64_t next_report_ms;
    bool is_sample_urgent;
    bool is_urgent; /* report at once */
    bool has_pool;
    uint32_t pid; /* the pool as it was last */
    int64_t start_ms;
    enum pool_health health;
    bool is_drained;
    char maintenance[REASON_BYTES];
};
/* All is due at once; from then on at the plan's own phase (any number, as a hash of the server's
 * name), so that the servers of a farm do not all report in the same second. A span outside
 * 1 s .. 24 h counts as its nearest bound. */
void symptom_plan_init(struct symptom_plan *plan,
                       const struct symptom_pace *pace,
                       struct cas_now now,
                       uint64_t phase);
/* SYMPTOM_DUE_... now; 0: nothing. Changes nothing. */
unsigned symptom_plan_due(const struct symptom_plan *plan, struct cas_now now);
/* These were done (or tried): next at the plan's phase, missed ones are skipped. */
void symptom_plan_done(struct symptom_plan *plan, unsigned due, struct cas_now now);
/* ms until something is due; 0: now. For the loop's wait. */
int64_t symptom_plan_wait_ms(const struct symptom_plan *plan, struct cas_now now);
/* What the last probe found. True when the worker, health, drained or maintenance changed: then a
 * sample and a report are due at once. The first call is such a change. */
bool symptom_plan_pool(struct symptom_plan *plan, const struct host_pool *pool);
/* An event was seen; 4227 and 4231 make a report due at once. True if so. */
bool symptom_plan_event(struct symptom_plan *plan, uint32_t id);

/* Takes one encoded record, as outbox_add does. An error ends the call that gave it. */
typedef enum cas_err symptom_sink(void *context,
                                  enum entry_kind kind,
                                  int64_t at_ms,
                                  struct cas_slice body,
                                  struct cas_why *why);

/* Reads all symptoms of a pool and gives the sink one sample: one reading for each of symptoms.def,
 * in its order. A value that is no number, negative or beyond what its unit can be is told as a
 * reason; so is a symptom the host leaves out; when the host cannot be read at all every symptom
 * has the host's reason, and *ret_is_read is false. *ret_known_n: how many had a value.
 * Errors are the sink's, or CAS_ERR_TOO_LONG for a pool name above POOL_BYTES. */
CAS_CHECK enum cas_err symptom_sample(struct host *host,
                                      struct cas_now now,
                                      const char *pool,
                                      symptom_sink *sink,
                                      void *context,
                                      bool *ret_is_read,
                                      size_t *ret_known_n,
                                      struct cas_why *why);

/* Gives the sink what was logged since the bookmark, alike ones (id, provider, pid, pool) as one
 * with their count and the last one's time and text, oldest last-time first, and tells the plan.
 * The bookmark moves only when the sink has taken them all; call again while *ret_is_more.
 * Errors are the host's or the sink's. */
CAS_CHECK enum cas_err symptom_events(struct host *host,
                                      struct cas_now now,
                                      struct symptom_plan *plan,
                                      symptom_sink *sink,
                                      void *context,
                                      char bookmark[REASON_BYTES],
                                      bool *ret_is_more,
                                      struct cas_why *why);

/* What was told about the facts; zero-initialise, one for each host. Facts are told again a day
 * later, so that a controller that lost them has them. */
struct symptom_facts {
    struct {
        char key[CAS_NAME_BYTES];
        uint64_t hash;
        int64_t told_ms; /* monotonic */
        bool is_gone;
    } row[HOST_FACTS];
    size_t row_n;
};
/* Gives the sink the facts that changed, are new, were told a day ago, or are no longer there (with
 * that reason). *ret_n of them. Errors are the host's or the sink's; what the sink did not take is
 * told next time. */
CAS_CHECK enum cas_err symptom_facts(struct host *host,
                                     struct cas_now now,
                                     struct symptom_facts *facts,
                                     symptom_sink *sink,
                                     void *context,
                                     size_t *ret_n,
                                     struct cas_why *why);

/* The reason why a value cannot be one of its symptom; false when it can. */
bool symptom_is_absurd(enum symptom symptom, double value, char ret_reason[REASON_BYTES]);

#endif
