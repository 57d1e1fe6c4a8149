/* capture.h - what do the files that Windows tools write say?
 *
 * Counter files of typeperf, logman and relog, netstat listings, event XML, appcmd's answers,
 * Exchange versions and netsh port ranges: bytes in, values out. Pure: memory only, so that all of
 * it is tested from real captures on any system. Used by host_replay, host_record and the windows
 * host.
 *
 * A reader goes from piece to piece (row, event, item). CAS_ERR_NOT_FOUND means that no further
 * piece comes; any other error is about one piece, whose reason begins with file:line:column, and
 * the next call goes on behind it. Columns count bytes from 1. Slices are borrowed from the input
 * unless a comment says otherwise. Every reader costs O(bytes) over the whole input; limits are in
 * limits.h. */
#ifndef AGENT_HOST_CAPTURE_H
#define AGENT_HOST_CAPTURE_H

#include "proto/base/cas.h"

struct capture_input {
    const char *file; /* as reasons name it */
    struct cas_slice bytes;
};

/* PowerShell's > writes UTF-16, cmd's the console's code page: UTF-16 with its mark becomes UTF-8,
 * a UTF-8 mark is dropped, other bytes stay. Terminated; caller frees. CAS_ERR_TOO_LONG above
 * cap_bytes (before or after), CAS_ERR_FORMAT half a UTF-16 unit, CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err capture_decode(struct capture_input raw,
                                      size_t cap_bytes,
                                      char **ret_text,
                                      size_t *ret_size,
                                      struct cas_why *why);

/* Lines, ended by LF, CR LF or CR CR LF, without those bytes. */
struct capture_lines {
    struct capture_input input;
    size_t at;             /* where the next line begins */
    size_t line_n;         /* number of the current line, from 1 */
    struct cas_slice line; /* the current one */
};
void capture_lines_init(struct capture_lines *lines, struct capture_input input);
bool capture_lines_next(struct capture_lines *lines); /* false: no further line */
/* "file:line:column: ..." with the column of where, a place in the current line. Returns err. */
enum cas_err capture_refuse(const struct capture_lines *lines,
                            const char *where,
                            enum cas_err err,
                            struct cas_why *why,
                            const char *fmt,
                            ...) CAS_PRINTF(5, 6);
/* Takes the next token between blanks off the front; empty when there is none. */
struct cas_slice capture_token(struct cas_slice *rest);
struct cas_slice capture_trim(struct cas_slice text);        /* without blanks at both ends */
bool capture_same(struct cas_slice slice, const char *text); /* without regard to ASCII case */
bool capture_starts(struct cas_slice slice, const char *text);
/* The part up to the first or last byte `mark`; false when there is none. *ret_tail is behind it.
 */
bool capture_cut(struct cas_slice text,
                 char mark,
                 struct cas_slice *ret_head,
                 struct cas_slice *ret_tail);
bool capture_cut_last(struct cas_slice text,
                      char mark,
                      struct cas_slice *ret_head,
                      struct cas_slice *ret_tail);
/* Decimal digits alone, up to most; false otherwise. */
bool capture_digits(struct cas_slice text, uint64_t most, uint64_t *ret_value);

/* A moment of the Gregorian calendar, checked (day of its month, no leap second), in ms UTC less
 * the offset. */
struct capture_moment {
    uint32_t year, month, day, hour, minute, second, ms;
};
bool capture_moment_ms(const struct capture_moment *moment,
                       int64_t *ret_ms); /* false: no such moment */

/* ---- counters: typeperf, logman, relog
 * ------------------------------------------------------------------ */

enum capture_counter {
    CAPTURE_OTHER = 0,
#define COUNTER(name, object, counter) CAPTURE_##name,
#include "agent/host/capture_counters.def"
#undef COUNTER
    CAPTURE_COUNTER_N
};
/* \\host\object(instance)\counter taken apart; host and instance may be empty. */
struct capture_path {
    struct cas_slice host, object, instance, counter;
    enum capture_counter kind; /* CAPTURE_OTHER: not one of ours, perhaps a translated name */
};
/* CAS_ERR_FORMAT not a counter path. Without host too; parentheses in names are fine. */
CAS_CHECK enum cas_err capture_path_parse(struct cas_slice text, struct capture_path *ret_path);
/* The W3SVC_W3WP instance "<pid>_<pool>", split at its first underscore; false for _Total and
 * others. */
bool capture_worker_instance(struct cas_slice instance,
                             uint32_t *ret_pid,
                             struct cas_slice *ret_pool);

/* "w3wp_p1234_r5": with ProcessNameFormat set, .NET names its instances so. */
bool capture_clr_instance(struct cas_slice instance, uint32_t *ret_pid);

struct capture_pdh;
struct capture_row {
    int64_t time_ms;     /* UTC */
    const double *value; /* [column_n], NAN = missing; borrowed until the next call */
    size_t missing_n;
    size_t line_n;
};
struct capture_pdh_head {
    const struct capture_path
        *column; /* [column_n], borrowed from the reader; without the time column */
    size_t column_n;
    size_t other_n;   /* columns whose name is not one of ours: told, never guessed */
    bool has_zone;    /* the header carries one; else assumed_west_min is used */
    int32_t west_min; /* minutes west of UTC added to local times */
};
/* Reads the header. assumed_west_min, -900..900, is for files without a zone (typeperf writes
 * none). CAS_ERR_MISSING no header line, CAS_ERR_FORMAT, CAS_ERR_TOO_MANY columns,
 * CAS_ERR_TOO_LONG, CAS_ERR_NOMEM. The bytes must stay until the reader is freed. */
CAS_CHECK enum cas_err capture_pdh_open(struct capture_input input,
                                        int32_t assumed_west_min,
                                        struct capture_pdh **ret_pdh,
                                        struct cas_why *why);
void capture_pdh_free(struct capture_pdh *pdh);
CAS_AUTO_DEFINE(capture_pdh);
const struct capture_pdh_head *capture_pdh_head(const struct capture_pdh *pdh);
/* The next row. A row too short has its last values missing; closing lines of typeperf are passed
 * over. CAS_ERR_NOT_FOUND at the end, CAS_ERR_FORMAT or CAS_ERR_TOO_LONG for one row. A second
 * header that differs from the first ends the file with CAS_ERR_FORMAT. */
CAS_CHECK enum cas_err
capture_pdh_next(struct capture_pdh *pdh, struct capture_row *ret_row, struct cas_why *why);
void capture_pdh_rewind(struct capture_pdh *pdh);
/* The value of a counter without instance, or with the one named; NAN when absent. */
double capture_pdh_value(const struct capture_pdh *pdh,
                         const struct capture_row *row,
                         enum capture_counter kind,
                         const char *instance);
bool capture_pdh_has(const struct capture_pdh *pdh, enum capture_counter kind);

/* One worker process of a pool in one row: w3wp#N of Process and of .NET CLR Memory are two
 * unrelated numberings, so each is found by its own PID counter in the same row. */
struct capture_worker {
    uint32_t pid;
    double value[CAPTURE_COUNTER_N]; /* NAN = no such column, or missing in this row */
};
/* Workers of the pool that have a value in the row, oldest first where Elapsed Time tells (else as
 * in the file); at most CAPTURE_WORKERS. */
void capture_pdh_workers(const struct capture_pdh *pdh,
                         const struct capture_row *row,
                         const char *pool,
                         struct capture_worker ret_worker[CAPTURE_WORKERS],
                         size_t *ret_n);

/* ---- netstat -an, -ano, -anob
 * ---------------------------------------------------------------------------- */

enum capture_state {
    CAPTURE_STATE_NONE = 0, /* UDP has none */
    CAPTURE_STATE_UNKNOWN,  /* a word that is not in capture_states.def */
    CAPTURE_STATE_LISTENING,
    CAPTURE_STATE_SYN_SENT,
    CAPTURE_STATE_SYN_RECEIVED,
    CAPTURE_STATE_ESTABLISHED,
    CAPTURE_STATE_FIN_WAIT_1,
    CAPTURE_STATE_FIN_WAIT_2,
    CAPTURE_STATE_CLOSE_WAIT,
    CAPTURE_STATE_CLOSING,
    CAPTURE_STATE_LAST_ACK,
    CAPTURE_STATE_TIME_WAIT,
    CAPTURE_STATE_CLOSED,
    CAPTURE_STATE_BOUND,
    CAPTURE_STATE_N
};
struct capture_socket {
    bool is_udp;
    bool is_ipv6;
    struct cas_slice local,
        remote; /* addresses; IPv6 without brackets, with %scope; UDP's remote is "*" */
    uint16_t local_port, remote_port;
    enum capture_state state;
    struct cas_slice word; /* the state's word as printed */
    bool has_pid;
    uint32_t pid;
    struct cas_slice owner; /* w3wp.exe; empty when the listing does not tell */
    size_t line_n;
};
struct capture_netstat {
    struct capture_lines lines;
    struct capture_socket held; /* its owner may stand in the lines to come */
    bool is_held;
};
void capture_netstat_init(struct capture_netstat *netstat, struct capture_input input);
/* CAS_ERR_NOT_FOUND at the end; CAS_ERR_FORMAT, CAS_ERR_RANGE, CAS_ERR_TOO_LONG for one row. */
CAS_CHECK enum cas_err capture_netstat_next(struct capture_netstat *netstat,
                                            struct capture_socket *ret_socket,
                                            struct cas_why *why);

struct capture_ports {
    uint16_t first;
    uint32_t number; /* 0: the range is not known */
};
struct capture_owner {
    uint32_t pid;
    size_t close_wait_n;
};
struct capture_netstat_sum {
    size_t row_n;
    size_t refused_n; /* rows that could not be read; the first reason is in refused */
    struct cas_why refused;
    bool has_pid;                               /* the listing has a PID column */
    size_t state_n[CAPTURE_STATE_N];            /* TCP, both IP versions */
    struct capture_owner owner[CAPTURE_OWNERS]; /* of CLOSE_WAIT, most first */
    size_t owner_n;
    size_t ports_used;      /* distinct local TCP IPv4 ports inside the range */
    size_t ports_peer_most; /* TCP IPv4 rows from dynamic ports to the busiest remote endpoint */
    struct cas_slice peer;  /* that endpoint */
    uint16_t peer_port;
};
/* Sums a whole listing. leave_out_pid: a program's own sockets (libzmq's loopback pairs) say
 * nothing about the server; 0 leaves out none. Cost: O(rows log rows). CAS_ERR_TOO_MANY above
 * CAPTURE_SOCKETS rows, CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err capture_netstat_sum(struct capture_input input,
                                           struct capture_ports ports,
                                           uint32_t leave_out_pid,
                                           struct capture_netstat_sum *ret_sum,
                                           struct cas_why *why);

/* The same summing row by row, for tables that were never text: remote may be the address's bytes,
 * as long as equal peers have equal bytes; they are borrowed until the end, and by the sum's peer.
 * CAS_ERR_TOO_MANY above CAPTURE_SOCKETS rows, CAS_ERR_NOMEM. */
struct capture_summing;
CAS_CHECK enum cas_err capture_summing_open(struct capture_ports ports,
                                            uint32_t leave_out_pid,
                                            struct capture_summing **ret_summing,
                                            struct cas_why *why);
CAS_CHECK enum cas_err capture_summing_add(struct capture_summing *summing,
                                           const struct capture_socket *socket,
                                           struct cas_why *why);
/* Once, at the end. */
CAS_CHECK enum cas_err capture_summing_end(struct capture_summing *summing,
                                           struct capture_netstat_sum *ret_sum,
                                           struct cas_why *why);
void capture_summing_free(struct capture_summing *summing);
CAS_AUTO_DEFINE(capture_summing);

/* ---- event XML of wevtutil, Event Viewer, Get-WinEvent, libevtx
 * ------------------------------------------ */

struct capture_data {
    struct cas_slice name; /* empty when unnamed */
    struct cas_slice text;
};
struct capture_event {
    size_t line_n; /* where it begins */
    char provider[128];
    uint32_t id;
    bool has_qualifiers;
    uint16_t qualifiers;
    uint8_t level; /* 0: not told; 1 critical .. 5 verbose */
    int64_t time_ms;
    uint64_t record_id; /* 0: not told */
    char computer[256];
    char channel[64];
    struct capture_data data[CAPTURE_EVENT_DATA]; /* borrowed until the next call */
    size_t data_n;
    uint8_t binary[CAPTURE_EVENT_BINARY];
    size_t binary_n;
    bool is_cut; /* more data than the limits keep */
};
struct capture_events;
/* Root element or none, text around events, `- ` marks and either quotes are fine. Text that is no
 * UTF-8 is read as Latin-1. CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err capture_events_open(struct capture_input input,
                                           struct capture_events **ret_events,
                                           struct cas_why *why);
void capture_events_free(struct capture_events *events);
CAS_AUTO_DEFINE(capture_events);
/* CAS_ERR_NOT_FOUND at the end; CAS_ERR_FORMAT, CAS_ERR_MISSING, CAS_ERR_RANGE, CAS_ERR_TOO_LONG or
 * CAS_ERR_TOO_MANY (depth) for one event; CAS_ERR_DENIED a DOCTYPE, which ends the file;
 * CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err capture_events_next(struct capture_events *events,
                                           struct capture_event *ret_event,
                                           struct cas_why *why);

enum capture_meaning {
    CAPTURE_MEANING_NONE = 0, /* an event of no interest here */
    CAPTURE_MEANING_PORT_REUSED,
    CAPTURE_MEANING_TCP_PORTS_GONE,
    CAPTURE_MEANING_UDP_PORTS_GONE,
    CAPTURE_MEANING_POOL_RECYCLED,
    CAPTURE_MEANING_POOL_IDLE,
    CAPTURE_MEANING_POOL_DISABLED,
    CAPTURE_MEANING_WORKER_KILLED,
    CAPTURE_MEANING_WORKER_ENDED,
    CAPTURE_MEANING_WORKER_SILENT,
};
struct capture_told {
    enum capture_meaning meaning;
    const char *words; /* of capture_events.def; "" for NONE */
    char pool[POOL_BYTES];
    uint32_t pid; /* 0: not told */
};
/* What an event of Tcpip or WAS means. CAS_ERR_FORMAT: its Binary names another event (bytes 12 to
 * 15 hold the event's full id, low byte first), or a pool's PID is no number; CAS_ERR_TOO_LONG a
 * pool's name. */
CAS_CHECK enum cas_err capture_event_meaning(const struct capture_event *event,
                                             struct capture_told *ret_told,
                                             struct cas_why *why);

/* ---- appcmd
 * ---------------------------------------------------------------------------------------------- */

enum capture_item_kind {
    CAPTURE_ITEM_WORKER,   /* WP: pool, pid */
    CAPTURE_ITEM_POOL,     /* APPPOOL: pool, version, mode, state */
    CAPTURE_ITEM_REQUEST,  /* REQUEST: method, url, age_ms, client; stage, module from newer IIS */
    CAPTURE_ITEM_SETTING,  /* a line of /text:*: pool, path, value */
    CAPTURE_ITEM_RECYCLED, /* "X" successfully recycled */
    CAPTURE_ITEM_ERROR,    /* ERROR ( message:... ): value */
};
struct capture_item {
    enum capture_item_kind kind;
    size_t line_n;
    struct cas_slice pool;
    uint32_t pid;
    struct cas_slice version, mode, state;
    struct cas_slice id, method, url, client, stage, module;
    int64_t age_ms;
    char path[CAPTURE_PATH_BYTES]; /* recycling.periodicRestart.time */
    struct cas_slice value;
};
struct capture_appcmd {
    struct capture_lines lines;
    struct cas_slice pool; /* whose /text:* tree is being read */
    bool is_tree;
    size_t indent[CAPTURE_SECTIONS];
    struct cas_slice section[CAPTURE_SECTIONS];
    size_t section_n;
};
void capture_appcmd_init(struct capture_appcmd *appcmd, struct capture_input input);
/* Prompts, echoes and objects of no interest are passed over. CAS_ERR_NOT_FOUND at the end;
 * CAS_ERR_FORMAT, CAS_ERR_RANGE, CAS_ERR_TOO_LONG, CAS_ERR_TOO_MANY for one item. */
CAS_CHECK enum cas_err capture_appcmd_next(struct capture_appcmd *appcmd,
                                           struct capture_item *ret_item,
                                           struct cas_why *why);

struct capture_stranded {
    size_t request_n;  /* of all requests listed */
    size_t stranded_n; /* ActiveSync requests older than the longest heartbeat, 59 min */
    size_t refused_n;  /* lines that could not be read */
    size_t error_n;    /* ERROR lines */
    char words[128];   /* of the first error, else of the first refusal */
};
void capture_appcmd_stranded(struct capture_input input, struct capture_stranded *ret_stranded);

struct capture_settings {
#define SETTING(member, kind, path) \
    bool has_##member;              \
    int64_t member;
#include "agent/host/capture_settings.def"
#undef SETTING
    size_t schedule_n; /* fixed times of the day set by somebody */
};
/* The recycling and process settings of a pool out of its `list apppool X /text:*`.
 * CAS_ERR_NOT_FOUND the pool's tree is not there; CAS_ERR_FORMAT a value that is no span, number or
 * flag. */
CAS_CHECK enum cas_err capture_appcmd_settings(struct capture_input input,
                                               const char *pool,
                                               struct capture_settings *ret_settings,
                                               struct cas_why *why);

enum capture_answer {
    CAPTURE_ANSWER_UNKNOWN, /* neither said (a translated Windows, no output): judge by the worker
                             */
    CAPTURE_ANSWER_DONE,    /* said for this pool */
    CAPTURE_ANSWER_REFUSED,
};
/* What appcmd said to a recycle of the pool; ret_words gets the error's message, or "". */
enum capture_answer
capture_appcmd_answer(struct capture_input input, const char *pool, char *ret_words, size_t cap);

/* ---- Exchange versions
 * ----------------------------------------------------------------------------------- */

struct capture_build {
    uint32_t part[4]; /* 15, 1, 2507, 39 */
};
enum capture_build_form {
    CAPTURE_BUILD_FILE,
    CAPTURE_BUILD_DIRECTORY
};
/* One version in any of its forms: 15.01.2507.039, 15.1.2507.39, Version 15.1 (Build 2507.39), and
 * the directory's, whose third part is 30000 higher. CAS_ERR_FORMAT, CAS_ERR_RANGE. */
CAS_CHECK enum cas_err capture_build_parse(struct cas_slice text,
                                           struct capture_build *ret_build,
                                           enum capture_build_form *ret_form,
                                           struct cas_why *why);
void capture_build_text(const struct capture_build *build,
                        struct cas_text *text); /* 15.1.2507.39 */

/* "Exchange 2016"; NULL for a version that is none of them. */
const char *capture_product(const struct capture_build *build);

/* Every Exchange version in a text, in order. */
struct capture_builds {
    struct capture_lines lines;
    size_t column; /* bytes of the current line already searched */
    bool is_line;
};
struct capture_found_build {
    struct capture_build build;
    enum capture_build_form form;
    size_t line_n;
    size_t column;
};
void capture_builds_init(struct capture_builds *builds, struct capture_input input);
CAS_CHECK enum cas_err capture_builds_next(struct capture_builds *builds,
                                           struct capture_found_build *ret_found,
                                           struct cas_why *why);

struct capture_exchange {
    bool has_file; /* ExSetup's file version: the update that is installed */
    struct capture_build file;
    bool has_directory; /* AdminDisplayVersion: the cumulative update */
    struct capture_build directory;
};
/* The versions of one server. CAS_ERR_NOT_FOUND none in the text; CAS_ERR_FORMAT two that differ.
 */
CAS_CHECK enum cas_err capture_exchange_read(struct capture_input input,
                                             struct capture_exchange *ret_exchange,
                                             struct cas_why *why);

/* ---- netsh int ipv4 show dynamicport tcp, show excludedportrange
 * ------------------------------------------ */

/* The first range that is not headed as UDP: two numbers behind colons, start and count in this
 * order, as labels are translated. CAS_ERR_NOT_FOUND, CAS_ERR_FORMAT, CAS_ERR_RANGE ends above
 * 65535. */
CAS_CHECK enum cas_err capture_netsh_dynamic(struct capture_input input,
                                             struct capture_ports *ret_ports,
                                             struct cas_why *why);
struct capture_excluded {
    uint16_t first, last;
    bool is_managed; /* marked *: by an administrator */
};
/* CAS_ERR_TOO_MANY above CAPTURE_PORT_RANGES, CAS_ERR_RANGE last below first. None is CAS_OK and 0.
 */
CAS_CHECK enum cas_err
capture_netsh_excluded(struct capture_input input,
                       struct capture_excluded ret_range[CAPTURE_PORT_RANGES],
                       size_t *ret_n,
                       struct cas_why *why);

#endif
