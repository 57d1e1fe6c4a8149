/* host_sim.h - inside the sim host: its memory, its model and its effect log. Not a door:
 * host_sim*.c only.
 *
 * Model time runs at settings.speed against the agent's monotonic clock and starts at the wall
 * clock of the first opening, so that days and weeks have their rhythm. All *_ms without wall or
 * mono in their name are model time. */
#ifndef AGENT_HOST_HOST_SIM_H
#define AGENT_HOST_HOST_SIM_H

#include "agent/host/host.h"
#include "proto/base/file.h"

#define SIM_POOL "MSExchangeSyncAppPool"

enum {
    SIM_WORKERS = 8, /* the newest ones are remembered */
    SIM_PORTS_START = 6005,
    SIM_PORTS_TOTAL = 59530,
    SIM_OVERLAP_MS = 90000, /* shutdownTimeLimit */
    SIM_DAY_MS = 86400000,
    SIM_HEARTBEAT_MS = 59 * 60 * 1000, /* the longest one a device may ask for */
    SIM_EFFECTS = 4096,
    SIM_LOG_BYTES = 64 * 1024 * 1024,
    SIM_STATE_BYTES = 8192,
};

struct sim_worker {
    uint32_t pid;
    int64_t start_wall_ms;
    int64_t since_ms;
    int64_t until_ms; /* when its successor took over; INT64_MAX while it is the newest */
    bool is_sick;     /* its probe never turns good */
};

/* What the server itself remembers; outlives the agent. */
struct sim_memory {
    int64_t origin_ms;                     /* model time when the model was first opened */
    struct sim_worker worker[SIM_WORKERS]; /* newest last */
    size_t worker_n;
    uint64_t recycle_n;
    bool is_drained;
    int64_t turned_ms;   /* when is_drained changed last */
    double front_turned; /* share of the front end's requests still there at that time, 0..1 */
    bool is_out;         /* an act took it out of service and no good probe was seen since */
    bool is_out_told;    /* and the effect log says so */
    uint8_t out_id[CAS_ID_BYTES];
    bool is_silent;
    uint64_t seq; /* effects so far; all up to here are in this memory */
};

/* The server at one instant of model time. */
struct sim_load {
    double held;     /* requests of healthy devices at the newest worker */
    double held_old; /* at the one before, while both run */
    double stranded; /* Pings of the newest worker that nobody will ever answer */
    double stranded_old;
    double stranded_aged; /* of stranded: older than the longest heartbeat */
    double day;           /* 0..1: how much of the day's work is going on */
    double storm_per_s;   /* requests of devices that come back */
    double requests_per_s;
    double syncs_per_s;
    double time_wait;
    double rejected; /* since the newest worker started */
    double ports;    /* wanted; above SIM_PORTS_TOTAL there are none left */
    bool is_overlapped;
};

struct sim_event {
    int64_t at_ms;
    uint32_t id;
    uint32_t pid;
};

/* host_sim_model.c: pure. */
uint64_t sim_hash(uint64_t seed, uint64_t a, uint64_t b);
double sim_leak_per_day(const struct host_sim_settings *settings); /* 0 for a build with the fix */
int64_t sim_overlap_ms(const struct host_sim_settings *settings, const struct sim_worker *old);
double sim_front(const struct sim_memory *memory, int64_t at_ms);
void sim_load(const struct host_sim_settings *settings,
              const struct sim_memory *memory,
              int64_t at_ms,
              struct sim_load *ret_load);
/* value by symptom's number, [SYMPTOM_END]; workers, worker_age and the events are the host's. */
void sim_values(const struct host_sim_settings *settings,
                const struct sim_load *load,
                int64_t at_ms,
                double *ret_value);
/* Whether the healthcheck page answers 200 now; the reason why not. */
bool sim_is_healthy(const struct host_sim_settings *settings,
                    const struct sim_memory *memory,
                    int64_t at_ms,
                    char ret_reason[REASON_BYTES]);
/* The earliest Tcpip event of the slot, if it has one and the server was known by then. */
bool sim_port_event(const struct host_sim_settings *settings,
                    const struct sim_memory *memory,
                    int64_t slot,
                    struct sim_event *ret_event);
int64_t sim_slot(int64_t at_ms);

/* host_sim_memory.c: the memory's changes, and how it is kept. */
const char *sim_kind_name(enum host_sim_kind kind);
/* The one change of memory an effect makes; also used to read the effect log back. */
void sim_apply(struct sim_memory *memory, const struct host_sim_effect *effect);
uint32_t sim_next_pid(const struct host_sim_settings *settings, const struct sim_memory *memory);
void sim_effect_print(const char *server,
                      const struct host_sim_effect *effect,
                      struct cas_text *text);
/* CAS_ERR_FORMAT: not a whole line of an effect log. CAS_ERR_NOT_FOUND: another server's. */
CAS_CHECK enum cas_err
sim_effect_parse(struct cas_slice line, const char *server, struct host_sim_effect *ret_effect);

/* What a state file holds. */
struct sim_state {
    struct sim_memory memory;
    int64_t anchor_wall_ms; /* these two are the same instant */
    int64_t anchor_ms;
};
CAS_CHECK enum cas_err
sim_state_write(const char *path, const struct sim_state *state, struct cas_why *why);
/* CAS_ERR_NOT_FOUND, CAS_ERR_CORRUPT with the line. */
CAS_CHECK enum cas_err
sim_state_read(const char *path, struct sim_state *ret_state, struct cas_why *why);
/* Brings state up to the end of the effect log; lines torn by a crash and other servers' are
 * skipped. */
CAS_CHECK enum cas_err sim_state_replay(const struct host_sim_settings *settings,
                                        struct sim_state *state,
                                        struct cas_why *why);

struct host_sim {
    struct host host; /* first */
    struct host_sim_settings settings;
    struct sim_memory memory;
    struct file_log *log; /* NULL: effects in memory */
    int64_t open_mono_ms; /* these two are the same instant */
    int64_t open_ms;
    int64_t last_ms;
    uint64_t probe_seq;
    bool has_rates; /* a rate needs two samples */
    bool is_dead;

    bool is_begun;
    bool is_ended;
    bool is_hanging;
    int64_t act_ms;          /* when the tool answers */
    int64_t act_end_mono_ms; /* its deadline */
    int64_t act_deadline_ms; /* the span, for the reason */
    struct host_act act;     /* its answer */

    struct host_sim_effect *effect; /* [effect_cap] */
    size_t effect_n;
    size_t effect_cap;

    struct sim_event scan_mark; /* after this event nothing was logged up to scan_until_ms */
    int64_t scan_until_ms;
    bool has_counts;
    int64_t count_minute; /* the counts hold for it */
    double count_4227, count_4231;
};

/* host_sim.c */
int64_t sim_now_ms(struct host_sim *sim, struct cas_now now);
/* The wall clock at an instant of the model that has passed. */
int64_t sim_wall_ms(struct host_sim *sim, struct cas_now now, int64_t at_ms);
/* CAS_ERR_UNREACHABLE while the server is silent, CAS_ERR_NOT_FOUND for a pool it does not have. */
CAS_CHECK enum cas_err sim_reach(const struct host_sim *sim, const char *pool, struct cas_why *why);

/* host_sim_act.c */
CAS_CHECK enum cas_err sim_begin(struct host *host,
                                 struct cas_now now,
                                 enum verb verb,
                                 const char *pool,
                                 const uint8_t cmd_id[CAS_ID_BYTES],
                                 int64_t deadline_ms,
                                 struct cas_why *why);
CAS_CHECK enum cas_err
sim_poll(struct host *host, struct cas_now now, struct host_act *ret_act, struct cas_why *why);
/* Writes IN when the probe is good and an act had taken the server out; OUT when a crash left it
 * out. */
CAS_CHECK enum cas_err
sim_observe(struct host_sim *sim, struct cas_now now, bool is_good, struct cas_why *why);
CAS_CHECK enum cas_err sim_save(struct host_sim *sim, struct cas_now now, struct cas_why *why);

/* host_sim_events.c */
CAS_CHECK enum cas_err sim_events(struct host *host,
                                  struct cas_now now,
                                  const char *bookmark,
                                  struct host_event *ret_event,
                                  size_t cap,
                                  size_t *ret_n,
                                  char ret_bookmark[REASON_BYTES],
                                  struct cas_why *why);
/* Tcpip events of the last 24 h. */
void sim_event_counts(struct host_sim *sim, int64_t now_ms, double *ret_4227, double *ret_4231);

/* host_sim_settings.c */
bool sim_is_failure(const char *text);
CAS_CHECK enum cas_err sim_settings_check(const struct host_sim_settings *settings,
                                          struct cas_why *why);

#endif
