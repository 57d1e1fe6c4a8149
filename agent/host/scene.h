/* scene.h - what do the raw findings on a Windows server say about its pool?
 *
 * Pure: no Windows, no clock, no I/O; the same findings, the same readings. Every finding carries
 * when it was made and, where it is missing, the reason; a number that cannot be (negative, not a
 * number, beyond its bound) becomes a reason too, never a reading. Used by host_windows.c; tested
 * on any system. */
#ifndef AGENT_HOST_SCENE_H
#define AGENT_HOST_SCENE_H

#include "agent/host/capture.h"
#include "agent/host/host.h"

enum {
    SCENE_COUNTERS = 512,
    SCENE_INSTANCE_BYTES = 128,
    SCENE_STATES = 64,
    SCENE_BODY_BYTES = 1024,
};

/* Exchange takes a component as active when no requester holds it inactive, and knows five
 * requesters: people use Maintenance, its setup Functional, managed availability HealthApi, the
 * cloud's deployment Deployment. Sidelined is the one nobody uses on a server of one's own. */
#define SCENE_COMPONENT "ActiveSyncProxy"
#define SCENE_REQUESTER "Sidelined"
/* Takes every protocol out of service, ActiveSync's proxy with them. */
#define SCENE_WIDE "ServerWideOffline"

/* "" is known. */
struct scene_reason {
    char text[REASON_BYTES];
};

struct scene_worker {
    uint32_t pid;
    int64_t start_ms;                                 /* wall clock */
    double private_bytes, working_set_bytes, handles; /* NAN: not known */
    struct scene_reason memory;                       /* why they are not */
};
struct scene_memory {
    double available_bytes, total_bytes;
};

struct scene_socket {
    bool is_ipv6;
    uint8_t local[16], remote[16]; /* network order; IPv4 in the first four */
    uint16_t local_port, remote_port;
    enum capture_state state;
    uint32_t pid; /* 0: not told */
};

/* One value of one instance ("" where the object has none). */
struct scene_counter {
    enum capture_counter kind;
    char instance[SCENE_INSTANCE_BYTES];
    double value; /* NAN: the counter is there and had no value in this sample */
};
struct scene_counters {
    struct scene_counter row[SCENE_COUNTERS];
    size_t row_n;
    size_t dropped_n;                              /* beyond SCENE_COUNTERS */
    struct scene_reason absent[CAPTURE_COUNTER_N]; /* why it has no row, or rows without value */
};

struct scene_exchange {
    char install_path[256]; /* "" none */
    struct scene_reason missing;
    bool has_file;     /* ExSetup.exe's file version */
    char file[32];     /* 15.1.2507.39 */
    bool has_registry; /* MsiProductMajor.. */
    char registry[32];
    bool has_mailbox, has_cas; /* role keys below ExchangeServer\v15 */
    bool is_setup_running;
};
struct scene_system {
    char os_name[128];   /* Windows Server 2016 Standard 10.0.14393 */
    char host_name[256]; /* DNS, fully qualified where known */
    bool is_reboot_pending;
    char reboot_reason[REASON_BYTES];
};
struct scene_state {
    char component[64];
    char requester[64];
    bool is_active;
    int64_t at_ms; /* 0: not told */
};
struct scene_states {
    struct scene_state row[SCENE_STATES];
    size_t row_n;
    size_t refused_n; /* values that could not be read, or kept; the first reason */
    struct scene_reason refused;
};
struct scene_probe {
    uint32_t status; /* 0: no answer; reason says why */
    char body[SCENE_BODY_BYTES];
    struct scene_reason reason;
};

/* ---- findings ---- */

enum {
    SCENE_FRONT = 0, /* https on 443: what clients and balancers see */
    SCENE_BACK,      /* https on 444: the half behind it, on servers with mailboxes */
    SCENE_PROBES
};

/* All that was found, each with the reason why it is not known ("" known). Borrowed pointers stay
 * the caller's. */
struct scene {
    const char *pool;
    int64_t wall_ms;

    struct scene_worker worker[HOST_WORKERS]; /* newest start last */
    size_t worker_n;
    size_t unread_n; /* worker processes whose pool could not be read */
    struct scene_reason no_workers;
    struct scene_memory memory;
    struct scene_reason no_memory;
    const struct scene_counters *counters;
    struct scene_reason no_counters;
    const struct capture_netstat_sum *sockets; /* the agent's own left out */
    struct scene_reason no_sockets;
    struct capture_ports ports;
    struct scene_reason no_ports;
    uint64_t events_4227, events_4231; /* of 24 h */
    struct scene_reason no_events_4227, no_events_4231;
    uint64_t stranded_n;
    struct scene_reason no_stranded;
    struct capture_settings settings; /* of the pool */
    struct scene_reason no_settings;

    struct scene_exchange exchange;
    struct scene_reason no_exchange;
    struct scene_system system;
    struct scene_reason no_system;
    const struct scene_states *states;
    struct scene_reason no_states;
    bool is_drain_ours; /* SCENE_COMPONENT's state under SCENE_REQUESTER is this very agent's */
    struct scene_probe probe[SCENE_PROBES];
    uint64_t probe_seq;
    struct scene_reason no_probe; /* why none of them counts */
};

/* One reading for every symptom of symptoms.def, as far as cap goes. */
void scene_read(const struct scene *scene,
                struct host_reading *ret_reading,
                size_t cap,
                size_t *ret_n);
void scene_pool(const struct scene *scene, struct host_pool *ret_pool);
void scene_facts(const struct scene *scene, struct host_fact *ret_fact, size_t cap, size_t *ret_n);
/* One more fact; value NULL: unknown for this reason. False: no room. */
bool scene_fact_add(struct host_fact *fact,
                    size_t cap,
                    size_t *n,
                    const char *key,
                    const char *value,
                    const char *reason);

/* Makes a text fit to be sent: what is no clean UTF-8 becomes '?', byte by byte. */
void scene_clean(char *text);

/* ---- single findings read ---- */

/* The pool out of a worker's command line: the argument behind -ap, taken apart as the C runtime
 * does (quotes, backslashes before quotes, doubled quotes). CAS_ERR_NOT_FOUND no -ap,
 * CAS_ERR_FORMAT an empty name or a quote left open, CAS_ERR_TOO_LONG. */
CAS_CHECK enum cas_err
scene_command_pool(struct cas_slice command, char ret_pool[POOL_BYTES], struct cas_why *why);

/* "1:0:636123456789012345", a requester's state: version; 1 active, 0 inactive, 2 draining
 * (transport alone), which is not active either; .NET ticks.
 * CAS_ERR_FORMAT, CAS_ERR_VERSION (only 1 is known), CAS_ERR_RANGE. */
CAS_CHECK enum cas_err scene_state_parse(struct cas_slice value,
                                         bool *ret_is_active,
                                         int64_t *ret_at_ms,
                                         struct cas_why *why);
void scene_state_text(bool is_active, int64_t wall_ms, struct cas_text *text);
/* Reads one value of the registry into states, or counts it as refused with its reason. Beyond
 * SCENE_STATES one of SCENE_COMPONENT or SCENE_WIDE takes the place of one that decides nothing. */
void scene_states_add(struct scene_states *states,
                      const char *component,
                      const char *requester,
                      struct cas_slice value);

/* The TCP table summed, as capture_netstat_sum does. CAS_ERR_TOO_MANY, CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err scene_sockets_sum(const struct scene_socket *row,
                                         size_t row_n,
                                         struct capture_ports ports,
                                         uint32_t leave_out_pid,
                                         struct capture_netstat_sum *ret_sum,
                                         struct cas_why *why);

/* ActiveSync requests older than the longest heartbeat, out of appcmd list requests. An empty list
 * is none. CAS_ERR_FORMAT when appcmd told an error, or nothing could be read of what it told. */
CAS_CHECK enum cas_err
scene_stranded(struct capture_input input, uint64_t *ret_stranded_n, struct cas_why *why);

/* A counter of the worker with this pid: W3SVC_W3WP by the instance's name, Process and .NET CLR
 * Memory by the PID counter of the same instance in the same sample. False with the reason when
 * there is none. */
bool scene_counter_of(const struct scene_counters *counters,
                      enum capture_counter kind,
                      uint32_t pid,
                      double *ret_value,
                      struct scene_reason *ret_reason);
/* A counter of the server; instance "" where the object has none. */
bool scene_counter(const struct scene_counters *counters,
                   enum capture_counter kind,
                   const char *instance,
                   double *ret_value,
                   struct scene_reason *ret_reason);

/* What the health page said. Good is 200 and the name of this very server. */
enum pool_health scene_probe_judge(const struct scene_probe *probe,
                                   size_t which,          /* SCENE_FRONT or SCENE_BACK */
                                   const char *host_name, /* "" not known */
                                   struct scene_reason *ret_reason);

#endif
