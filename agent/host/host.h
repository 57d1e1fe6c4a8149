/* host.h - what can be read from this server, and what may be done to it?
 *
 * One small interface, several makers: sim (a model of a CAS server), replay (a capture folder),
 * windows (the real one). No call blocks: reads return what is known within the maker's own
 * deadline, acts are begun and polled. Every value that is missing says why. Time comes in as a
 * value. Used by symptom, verb and the agent's loop. */
#ifndef AGENT_HOST_HOST_H
#define AGENT_HOST_HOST_H

#include "proto/base/clock.h"
#include "proto/wire/message.h"

enum {
    HOST_WORKERS = 8,
    HOST_EVENTS = 64,
    HOST_FACTS = 48
};

struct host_reading {
    enum symptom symptom;
    bool is_known;
    double value;              /* unit as symptoms.def; valid when is_known */
    char reason[REASON_BYTES]; /* why not, when not known */
    uint32_t pid;              /* worker it belongs to; 0: the server */
};
struct host_worker {
    uint32_t pid;
    int64_t start_ms; /* server's wall clock */
};
/* The pool as it is now: what a heartbeat says and what proof is made of. */
struct host_pool {
    enum pool_health health;   /* from a probe made during this call or since the one before */
    uint64_t probe_seq;        /* counts probes made */
    char reason[REASON_BYTES]; /* when health is not HEALTH_GOOD */
    struct host_worker worker[HOST_WORKERS]; /* newest start last */
    size_t worker_n;
    bool is_drained;                /* by us: ActiveSyncProxy inactive, our requester */
    bool is_drain_unknown;          /* the states cannot be read; is_drained is false then */
    char maintenance[REASON_BYTES]; /* states set by others, "" none */
    bool has_requests;
    double active_requests; /* of the newest worker */
};
struct host_event {
    int64_t at_ms;
    uint32_t id;
    uint64_t count;
    uint32_t pid; /* 0: none */
    char provider[64];
    char pool[POOL_BYTES];
    char text[256];
};
struct host_fact {
    char key[CAS_NAME_BYTES]; /* exchange.build (dotted, from ExSetup), exchange.product,
                                 exchange.roles, os.name, host.name, ports.start, ports.n,
                                 ram.bytes, host.kind (sim, replay, windows), reboot.pending ... */
    bool is_known;
    char value[256];
    char reason[REASON_BYTES]; /* why not, when not known */
};

enum host_act_state {
    HOST_ACT_RUNNING,
    HOST_ACT_DONE,
    HOST_ACT_FAILED,
    HOST_ACT_UNKNOWN /* no answer within its deadline: it may have happened */
};
struct host_act {
    enum host_act_state state;
    int64_t code;   /* the tool's exit code */
    char text[256]; /* the tool's words, cut */
};

struct host;
struct host_ops {
    /* Fills ret_reading[0..cap) with one reading per symptom, valued or with its reason; *ret_n of
     * them. */
    enum cas_err (*read)(struct host *host,
                         struct cas_now now,
                         const char *pool,
                         struct host_reading *ret_reading,
                         size_t cap,
                         size_t *ret_n,
                         struct cas_why *why);
    enum cas_err (*pool)(struct host *host,
                         struct cas_now now,
                         const char *pool,
                         struct host_pool *ret_pool,
                         struct cas_why *why);
    /* Events since the bookmark (text; "" the first time), oldest first; the new bookmark is kept
     * by the caller once the events are safe. */
    enum cas_err (*events)(struct host *host,
                           struct cas_now now,
                           const char *bookmark,
                           struct host_event *ret_event,
                           size_t cap,
                           size_t *ret_n,
                           char ret_bookmark[REASON_BYTES],
                           struct cas_why *why);
    enum cas_err (*facts)(struct host *host,
                          struct cas_now now,
                          struct host_fact *ret_fact,
                          size_t cap,
                          size_t *ret_n,
                          struct cas_why *why);
    /* Begins VERB_recycle, VERB_drain or VERB_undrain; one at a time (CAS_ERR_BUSY). The act's
     * outcome is the system's word, not yet proof: CAS_ERR_UNSUPPORTED where the host cannot act.
     * deadline_ms from now. */
    enum cas_err (*begin)(struct host *host,
                          struct cas_now now,
                          enum verb verb,
                          const char *pool,
                          const uint8_t cmd_id[CAS_ID_BYTES],
                          int64_t deadline_ms,
                          struct cas_why *why);
    /* The act begun last; HOST_ACT_UNKNOWN with its text when its deadline has passed. */
    enum cas_err (*poll)(struct host *host,
                         struct cas_now now,
                         struct host_act *ret_act,
                         struct cas_why *why);
    void (*free)(struct host *host);
};
/* Makers embed this first. */
struct host {
    const struct host_ops *ops;
};
void host_free(struct host *host);
CAS_AUTO_DEFINE(host);

/* sim: a model of a CAS server with a leaking pool; see host_sim_model.c for the model and its
 * sources. */
struct host_sim_settings {
    char name[CAS_NAME_BYTES];
    char build[32];        /* 15.1.1466.3 */
    char roles[16];        /* both, cas */
    uint32_t devices;      /* that enter here or whose mailbox is here */
    double leak_per_day;   /* Pings stranded a day; 0: has the fix */
    int64_t worker_age_ms; /* at start: how long the leak has piled up */
    double speed;          /* seconds of the model a second of now; 1 */
    uint64_t seed;
    char effects[512]; /* path of the effect log; every effect fsynced before it counts */
    char failure[32];  /* "", never-healthy, hangs, dies, unchanged, recycle-fails, silent-after */
    char state[512];   /* path of the model's own memory (worker pid, start, drained): survives the
                          agent's death; "" none */
    uint64_t ram_bytes;
    char foreign[64]; /* a component state set by somebody else, "" none */
};
/* A middling 2013 server that leaks: SIM-CAS01, 15.0.1497.2, both roles, 3000 devices, 400 a day,
 * 64 GiB, speed 1. */
void host_sim_settings_init(struct host_sim_settings *ret_settings);
/* INI without sections; the keys are in host_sim.def. What is not named keeps its value of
 * host_sim_settings_init. CAS_ERR_CONFIG with file and line, and the errors of file_read. */
CAS_CHECK enum cas_err host_sim_settings_load(const char *path,
                                              struct host_sim_settings *ret_settings,
                                              struct cas_why *why);
/* CAS_ERR_CONFIG a setting outside its limits, CAS_ERR_CORRUPT a state file or effect log that
 * cannot be read back, errors of file.h. With effects "" the effects are kept in memory, for
 * virtual stories. */
CAS_CHECK enum cas_err host_sim_open(const struct host_sim_settings *settings,
                                     struct cas_now now,
                                     struct host **ret_host,
                                     struct cas_why *why);

/* What really happened to the modelled server; one line each in the effect log:
 *   {"at_ms":..,"mono_ms":..,"server":"LON-CAS01","effect":"recycle","cmd_id":"hex","pid_before":..,"pid_after":..,
 *    "outcome":"ok","seq":..,"model_ms":..}
 * RECYCLE, DRAIN, UNDRAIN: the call of the system, once each; outcome ok, sick (the new worker
 * stays bad), silent (the server answers nothing afterwards), unchanged, refused or hangs (these
 * three leave the server as it was). OUT: an act took the server out of service. IN: the first good
 * probe, not drained, after that act. SELF: Exchange recycled the pool itself; nobody's command. */
enum host_sim_kind {
    HOST_SIM_RECYCLE = 1,
    HOST_SIM_DRAIN,
    HOST_SIM_UNDRAIN,
    HOST_SIM_OUT,
    HOST_SIM_IN,
    HOST_SIM_SELF
};
struct host_sim_effect {
    int64_t at_ms; /* wall */
    int64_t mono_ms;
    int64_t model_ms; /* the model's own time */
    enum host_sim_kind kind;
    uint8_t cmd_id[CAS_ID_BYTES];   /* zero: nobody's */
    uint32_t pid_before, pid_after; /* equal when the worker did not change */
    uint64_t seq;                   /* counts this server's effects, 1 first */
    char outcome[16];
};
/* The effects kept in memory (settings.effects ""), oldest first; 0 when they go to a file.
 * host_sim_effect: i below host_sim_effect_n, borrowed until the next call with this host. All of
 * these take a sim host only. */
size_t host_sim_effect_n(const struct host *host);
const struct host_sim_effect *host_sim_effect(const struct host *host, size_t i);
/* One of the texts of settings.failure; "" also cures a worker that was never healthy and a server
 * gone silent. CAS_ERR_CONFIG for any other text. */
CAS_CHECK enum cas_err
host_sim_set_failure(struct host *host, const char *failure, struct cas_why *why);
/* Exchange's managed availability recycles the pool: a new worker that nobody ordered. */
CAS_CHECK enum cas_err
host_sim_kill_worker(struct host *host, struct cas_now now, struct cas_why *why);
/* Failure "dies": true once the act took place and the agent's process has to end before it learns
 * the outcome. With an effect log file the process ends by itself, in begin; in memory poll says
 * HOST_ACT_RUNNING until host_sim_revive. */
bool host_sim_is_dead(const struct host *host);
/* A new agent on the same server: forgets the act in flight, as the system does not tell it. */
void host_sim_revive(struct host *host);

/* replay: plays a capture folder; cannot act. */
struct host_replay_settings {
    char folder[512];
    char pool[POOL_BYTES];
    double speed; /* seconds of the capture a second of now */
    bool is_held; /* hold the last row at the end; else begin again */
};
CAS_CHECK enum cas_err host_replay_open(const struct host_replay_settings *settings,
                                        struct cas_now now,
                                        struct host **ret_host,
                                        struct cas_why *why);

/* windows: the server this program runs on. */
struct host_windows_settings {
    char pool[POOL_BYTES]; /* whose counters are collected */
};
/* Succeeds on any Windows: what is missing on the server is told by the readings.
 * CAS_ERR_UNSUPPORTED this is no Windows, CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err host_windows_open(const struct host_windows_settings *settings,
                                         struct cas_now now,
                                         struct host **ret_host,
                                         struct cas_why *why);
/* Before this agent leaves the server for good: what it drained and nobody would undrain any more
 * is cleared. ret_said is what was done, for a person; "" nothing was held, as on any system but
 * Windows. When it fails, why begins with the command that a person has to type instead. */
CAS_CHECK enum cas_err
host_windows_release(struct cas_now now, char ret_said[REASON_BYTES], struct cas_why *why);

#endif
