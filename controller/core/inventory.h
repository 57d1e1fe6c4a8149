/* inventory.h - which servers are there, and what is known of each at this instant?
 *
 * Pure: values in, values out; memory only. The controller's loop feeds it from the store at start
 * and from messages since; every value has the time it was true. Used by rollout, view, ask, hub.
 */
#ifndef CONTROLLER_CORE_INVENTORY_H
#define CONTROLLER_CORE_INVENTORY_H

#include "controller/core/compliance.h"
#include "proto/base/clock.h"
#include "proto/wire/message.h"

enum inventory_label {
    LABEL_SITE,
    LABEL_ROLE,
    LABEL_DAG,
    LABEL_POOL,
    LABEL_N
};
const char *inventory_label_name(enum inventory_label label); /* "site" ... */
enum inventory_admission {
    ADMISSION_APPROVED,
    ADMISSION_REVOKED
};

struct inventory_value { /* one symptom's latest reading */
    bool is_known;
    double value;
    char *reason;  /* why not known, below REASON_BYTES; NULL: not told, or known */
    int64_t at_ms; /* agent's wall clock; 0: never reported */
};
struct inventory_fact {
    char key[32];
    bool is_known;
    char value[96];
    char reason[64];
    int64_t at_ms;
};
enum {
    INVENTORY_FACTS = 64 /* an agent tells 48 at most; keys that are gone keep their row */
};

/* What the last heartbeats said. All false/0 until the first one of this connection. */
struct inventory_live {
    bool is_connected; /* HELLO seen on the connection now in use */
    int64_t hello_ms;  /* wall, 0 never */
    int64_t heard_ms;  /* wall clock of the last message, for people only; survives restarts */
    int64_t
        proof_mono_ms; /* controller's mono at the TICK the last HB echoed; 0: none in this run */
    enum pool_health health;
    char health_reason[REASON_BYTES];
    uint64_t probe_seq;
    uint64_t journal_head;
    uint32_t pid; /* newest worker; 0: none */
    int64_t start_ms;
    int64_t renewed_mono_ms; /* controller's mono when its worker was first seen changed; 0: not in
                                this run */
    uint32_t worker_n;
    bool is_drained;
    bool is_journal_writable;
    char maintenance[REASON_BYTES];
    /* The veto of the server's own people: it serves, and may not be touched. */
    char held_reason[REASON_BYTES]; /* "": not held, as far as was told */
    char held_by[CAS_NAME_BYTES];
    int64_t held_since_ms; /* the server's wall clock; 0 not known */
    bool has_requests;
    double active_requests;
    double requests_low,
        requests_high; /* over the last settle window, kept by inventory_heartbeat */
    int64_t requests_since_mono_ms;
    int64_t skew_ms; /* agent's wall minus ours at the last message */
    char agent_ver[32];
    uint8_t boot_id[CAS_ID_BYTES];
    uint8_t spool_id[CAS_ID_BYTES];
};
struct inventory_server {
    uint32_t id; /* never reused */
    char name[CAS_NAME_BYTES];
    uint8_t key[CAS_KEY_BYTES];
    enum inventory_admission admission;
    char label[LABEL_N][LABEL_BYTES];
    int64_t approved_ms;
    char approved_by[CAS_NAME_BYTES];
    bool has_build;
    struct compliance_build build; /* from fact exchange.build */
    struct inventory_fact *fact;   /* [fact_n], grown as facts come: few servers have the most */
    size_t fact_n, fact_cap;       /* at most INVENTORY_FACTS */
    struct inventory_value value[SYMPTOM_END];
    uint64_t event_4227_n, event_4231_n;  /* seen since the controller keeps records */
    int64_t event_4227_ms, event_4231_ms; /* last one; 0 never */
    int64_t recycled_ms;   /* last time a new worker was seen, ordered or not; 0 never */
    uint64_t journal_high; /* position its journal is known to have reached; kept by the store */
    struct inventory_live live;
};

struct inventory;
CAS_CHECK enum cas_err inventory_open(struct inventory **ret_inventory);
void inventory_free(struct inventory *inventory);
CAS_AUTO_DEFINE(inventory);
size_t inventory_size(const struct inventory *inventory);
/* By position 0..size-1, in order of name (natural: CAS2 before CAS10). Borrowed until a server is
 * added. */
struct inventory_server *inventory_at(const struct inventory *inventory, size_t position);
struct inventory_server *inventory_by_id(const struct inventory *inventory, uint32_t id); /* NULL */
struct inventory_server *inventory_by_name(const struct inventory *inventory,
                                           struct cas_slice name); /* case-blind; NULL */
struct inventory_server *inventory_by_key(const struct inventory *inventory,
                                          const uint8_t key[CAS_KEY_BYTES]);
/* Adds a copy, which takes over facts and reasons; on an error they stay the caller's.
 * CAS_ERR_EXISTS id, name or key, CAS_ERR_TOO_MANY, CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err inventory_add(struct inventory *inventory,
                                     const struct inventory_server *server);
/* Frees facts and reasons of a server that was not added. */
void inventory_server_clear(struct inventory_server *server);
/* A server admitted again under another key, or revoked: keeps its id, forgets live. */
CAS_CHECK enum cas_err inventory_set_key(struct inventory *inventory,
                                         uint32_t id,
                                         const uint8_t key[CAS_KEY_BYTES],
                                         enum inventory_admission admission);

/* A connection begins and ends. After the end the last proof still counts until it is FRESH_MS old.
 */
void inventory_hello(struct inventory_server *server,
                     const struct message_hello *hello,
                     struct cas_now now);
void inventory_lost(struct inventory_server *server);
/* Messages folded in. A heartbeat that echoes an older tick than one before is late and changes
 * nothing. tick_mono_ms: when the echoed TICK was sent in this run, 0 when the echo is not of this
 * run. */
void inventory_heartbeat(struct inventory_server *server,
                         const struct message_hb *hb,
                         int64_t tick_mono_ms,
                         struct cas_now now);
/* Returns true when the facts changed something kept (so the loop stores them). A fact beyond
 * INVENTORY_FACTS, or one there is no memory for, is not kept. */
bool inventory_record_fact(struct inventory_server *server,
                           const struct record_fact *fact,
                           int64_t at_ms);
void inventory_record_sample(struct inventory_server *server,
                             const struct record_sample *sample,
                             int64_t at_ms);
void inventory_record_event(struct inventory_server *server,
                            const struct record_event *event,
                            int64_t at_ms);

/* Can this server be counted as in service? In this order of telling. */
enum inventory_service {
    SERVICE_UP,
    SERVICE_REVOKED,
    SERVICE_SILENT,      /* no proof younger than FRESH_MS by echoed tick */
    SERVICE_DRAINED,     /* by us */
    SERVICE_MAINTENANCE, /* by others */
    SERVICE_SICK,        /* probed, not good */
    SERVICE_UNPROBED,    /* health not known */
};
enum inventory_service inventory_service_of(const struct inventory_server *server, int64_t mono_ms);
const char *inventory_reason(const struct inventory_value *value); /* "" when there is none */
const char *inventory_service_words(enum inventory_service service);
bool inventory_is_held(const struct inventory_server *server);
/* Age of the newest worker by its server's clock; -1 not known, or that clock and ours disagree. */
int64_t inventory_worker_age_ms(const struct inventory_server *server, int64_t wall_ms);
/* "held on the server by alice: replacing a fan" */
void inventory_held_words(const struct inventory_server *server, struct cas_text *text);
/* Requests have stopped changing by more than 10 % for 2 minutes; unknown is not settled. */
bool inventory_is_settled(const struct inventory_server *server, int64_t mono_ms);

/* Choosing servers: names or node sets joined (empty = all), then the selector, then without
 * exclude. Selector: comma = and; label=VALUE, label!=VALUE, build<2016:CU11 (< <= = != >= >),
 * product=2016, state=silent|up|..., fix=lacks|has|unknown. CAS_ERR_NOT_FOUND names what matched
 * nothing; CAS_ERR_FORMAT the column. ret_at[inventory_size] positions, in order. */
struct inventory_choice {
    struct cas_slice targets;
    struct cas_slice selector;
    struct cas_slice exclude;
};
CAS_CHECK enum cas_err inventory_choose(const struct inventory *inventory,
                                        const struct inventory_choice *choice,
                                        int64_t mono_ms,
                                        size_t *ret_at,
                                        size_t *ret_n,
                                        struct cas_why *why);
/* Names folded into one node set: LON-CAS[01-16]. */
void inventory_fold(const struct inventory *inventory,
                    const size_t *at,
                    size_t n,
                    struct cas_text *text);

#endif
