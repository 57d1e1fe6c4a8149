/* store.h - what must survive the controller: servers, reports, rollouts, audit. One home of SQL.
 *
 * SQLite, WAL, synchronous=FULL, one connection writes (a lock file keeps a second controller out),
 * STRICT tables, numbered migrations, SQL kept to what PostgreSQL takes as well. Writes are
 * gathered between store_begin and store_commit; nothing is true, and nothing may be acknowledged
 * or sent, before store_commit returns CAS_OK. Every commit is conditional on (epoch, leader_id,
 * write_version): CAS_ERR_FENCED when another controller took over. Used by the controller's loop
 * (writes) and ask/view (reads). */
#ifndef CONTROLLER_STORE_STORE_H
#define CONTROLLER_STORE_STORE_H

#include "controller/core/rollout.h"
#include "proto/base/clock.h"

/* Paths are files, or URIs as "file:/name?vfs=memdb" (no lock file, no write-ahead log): such a
 * database lives as long as a struct store_memory or store of its name is open, which is how
 * stories let a controller die and come back. */
struct store;
struct store_leader {
    uint64_t epoch; /* max(stored + 1, unix seconds) at each open */
    uint8_t leader_id[CAS_ID_BYTES];
};
/* Opens or makes the database, migrates it, takes the lock, becomes leader. leader_id: fresh random
 * bytes from the caller. CAS_ERR_LOCKED (who holds it), CAS_ERR_CORRUPT, CAS_ERR_VERSION (written
 * by a newer casfleet), CAS_ERR_IO, CAS_ERR_FULL. */
CAS_CHECK enum cas_err store_open(const char *path,
                                  const uint8_t leader_id[CAS_ID_BYTES],
                                  struct cas_now now,
                                  struct store **ret_store,
                                  struct cas_why *why);
void store_free(struct store *store); /* what was not committed is gone */
CAS_AUTO_DEFINE(store);
struct store_leader store_leader_of(const struct store *store);
/* A stale-epoch NACK: a new, higher epoch (max(stored + 1, unix seconds)), committed. */
CAS_CHECK enum cas_err
store_step_epoch(struct store *store, struct cas_now now, struct cas_why *why);

CAS_CHECK enum cas_err store_begin(struct store *store,
                                   struct cas_why *why); /* fine when begun already */
/* CAS_ERR_FULL, CAS_ERR_IO, CAS_ERR_FENCED: all since store_begin is undone. */
CAS_CHECK enum cas_err store_commit(struct store *store, struct cas_why *why);
void store_undo(struct store *store);
bool store_is_begun(const struct store *store);

/* ---- servers ---- */
/* New id, never used before; *server->id is set. */
CAS_CHECK enum cas_err
store_server_add(struct store *store, struct inventory_server *server, struct cas_why *why);
CAS_CHECK enum cas_err
store_server_save(struct store *store, const struct inventory_server *server, struct cas_why *why);
/* Facts and event counts alone: what reports change of a server. */
CAS_CHECK enum cas_err
store_facts_save(struct store *store, const struct inventory_server *server, struct cas_why *why);
CAS_CHECK enum cas_err
store_events_save(struct store *store, const struct inventory_server *server, struct cas_why *why);
/* One server as committed, in place: facts, event counts, latest sample; live stays but for
 * heard_ms. */
CAS_CHECK enum cas_err
store_server_reload(struct store *store, struct inventory_server *server, struct cas_why *why);
/* All servers with facts, event counts, latest sample and last heard; live parts empty. */
CAS_CHECK enum cas_err
store_servers_load(struct store *store, struct inventory *inventory, struct cas_why *why);

/* ---- reports ---- */
struct store_spool {
    uint8_t spool_id[CAS_ID_BYTES];
    uint64_t upto_seq; /* all up to here are kept; 0: none */
};
/* The spool a server's reports came from last, with what is not yet committed; false: none yet.
 * O(1). */
bool store_spool_of(const struct store *store, uint32_t server_id, struct store_spool *ret_spool);
/* What the agent still keeps, from its HELLO: a hole below that is no mistake of the agent's but
 * this database's, as after a restore. Memory only. CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err
store_spool_hello(struct store *store, uint32_t server_id, const struct message_hello *hello);
/* Appends the entries above upto_seq, in one row; doubles are skipped. *ret_upto is what may be
 * acknowledged after the commit. CAS_ERR_FORMAT when a hole is not explained by a gap record (names
 * the positions). */
CAS_CHECK enum cas_err store_report_add(struct store *store,
                                        uint32_t server_id,
                                        const struct message_report *report,
                                        struct cas_now now,
                                        uint64_t *ret_upto,
                                        struct cas_why *why);
typedef enum cas_err store_on_entry(void *context,
                                    uint32_t server_id,
                                    const uint8_t *spool_id,
                                    const struct record_entry *entry);
/* Reads kept entries of a server (0: all), oldest first, for audits and tests. */
CAS_CHECK enum cas_err store_entries(struct store *store,
                                     uint32_t server_id,
                                     store_on_entry *on_entry,
                                     void *context,
                                     struct cas_why *why);
/* Raw reports older than keep_ms go, a bounded number of rows a call. */
CAS_CHECK enum cas_err
store_reports_expire(struct store *store, struct cas_now now, int64_t keep_ms, struct cas_why *why);

/* ---- rollouts ---- */
CAS_CHECK enum cas_err
store_rollout_next_seq(struct store *store, uint64_t *ret_seq, struct cas_why *why);
/* The next one is above least. */
CAS_CHECK enum cas_err store_rollout_leap(struct store *store, uint64_t least, struct cas_why *why);
/* A plan nobody has run yet; kept PLAN_VALID_MS. */
CAS_CHECK enum cas_err store_draft_save(struct store *store,
                                        uint64_t seq,
                                        struct cas_slice plan,
                                        struct cas_now now,
                                        struct cas_why *why);
/* CAS_ERR_NOT_FOUND, CAS_ERR_STALE (expired). Caller frees *ret_plan. */
CAS_CHECK enum cas_err store_draft_load(struct store *store,
                                        uint64_t seq,
                                        struct cas_now now,
                                        char **ret_plan,
                                        size_t *ret_size,
                                        struct cas_why *why);
CAS_CHECK enum cas_err
store_rollout_save(struct store *store, const struct rollout *rollout, struct cas_why *why);
CAS_CHECK enum cas_err store_step_save(struct store *store,
                                       const struct rollout *rollout,
                                       size_t step,
                                       struct cas_why *why);
/* Open ones and the newest `ended_most` ended ones. */
CAS_CHECK enum cas_err store_rollouts_load(struct store *store,
                                           struct rollout_book *book,
                                           size_t ended_most,
                                           struct cas_why *why);
CAS_CHECK enum cas_err store_rollout_load(struct store *store,
                                          uint64_t seq,
                                          struct rollout_book *book,
                                          struct cas_why *why);

/* ---- audit ---- */
struct store_audit {
    int64_t at_ms;
    char who[CAS_NAME_BYTES];     /* operator, server, or "casfleet" */
    char verb[CAS_NAME_BYTES];    /* agent.approve, step.granted, denied ... */
    char subject[CAS_NAME_BYTES]; /* r-0412, LON-CAS07 */
    char about[CAS_NAME_BYTES];   /* a second subject: the rollout of a server's step; "" none */
    char words[AUDIT_WORDS_BYTES];
};
CAS_CHECK enum cas_err
store_audit_add(struct store *store, const struct store_audit *audit, struct cas_why *why);
typedef void store_on_audit(void *context, uint64_t id, const struct store_audit *audit);
/* Newest first, at most cap; subject "" any, else those with it as subject or about. */
CAS_CHECK enum cas_err store_audit_read(struct store *store,
                                        const char *subject,
                                        size_t cap,
                                        store_on_audit *on_audit,
                                        void *context,
                                        struct cas_why *why);

/* ---- databases in memory, for tests and stories ---- */
struct store_memory;
CAS_CHECK enum cas_err
store_memory_open(const char *uri, struct store_memory **ret_memory, struct cas_why *why);
void store_memory_free(struct store_memory *memory);
CAS_AUTO_DEFINE(store_memory);
/* Remembers the database as it is, and puts it back: a restored backup. No store of it may be open
 * at the latter. CAS_ERR_MISSING: nothing was remembered. */
CAS_CHECK enum cas_err store_memory_mark(struct store_memory *memory, struct cas_why *why);
CAS_CHECK enum cas_err store_memory_back(struct store_memory *memory, struct cas_why *why);
/* From now on no page may be added: a full disk; 0 takes the limit away. Pages already free are
 * still used. */
void store_page_limit(struct store *store, int64_t page_most);

#endif
