/* host_replay.h - the capture folder as it was read, and where its playing stands. For
 * host_replay*.c only.
 *
 * A folder holds what an operator saved from a server; any file may be missing, the symptoms then
 * say so: counters.csv, counters-2.csv .. counters-8.csv   typeperf, logman or relog netstat.txt
 * netstat -ano or -anob           events.xml       wevtutil qe System /f:xml appcmd.txt       list
 * wp, list apppool, list requests, one behind the other exsetup.txt      ExSetup's file version
 * netsh.txt        show dynamicport tcp healthcheck.txt  body of healthcheck.htm ("200
 * OK<br/>NAME") */
#ifndef AGENT_HOST_HOST_REPLAY_H
#define AGENT_HOST_HOST_REPLAY_H

#include "agent/host/capture.h"
#include "agent/host/host.h"

enum {
    REPLAY_TRACKS = 8,
    REPLAY_REFUSED_MOST = 1000, /* events that cannot be read, until the file is given up */
    REPLAY_EVENTS = 16384,      /* events that mean something, the first ones of the file */
    REPLAY_PIDS = 32,           /* workers told apart by their start */
    REPLAY_DAY_MS = 86400000
};

/* One file's text and why it says nothing, "" when it does. */
struct replay_file {
    char *text;
    size_t size;
    char reason[REASON_BYTES];
};
/* One counter file, the row now playing and the one to come. */
struct replay_track {
    struct replay_file file;
    char name[32];
    struct capture_pdh *pdh;
    double *value; /* of the row now playing */
    struct capture_row row;
    bool has_row;
    struct capture_row next; /* its values belong to pdh */
    bool has_next;
    int64_t first_ms, last_ms; /* times of the file */
    int64_t gap_ms;            /* between two rows, on average; 1 s at least */
    size_t row_n, refused_n;
    char refused[REASON_BYTES]; /* the first reason */
};
struct replay_event {
    int64_t at_ms; /* time of the file */
    uint64_t record_id;
    uint32_t id, pid;
    const char *words;
    char provider[64];
    char pool[POOL_BYTES];
};
struct replay_worker_seen {
    uint32_t pid;
    int64_t start_ms; /* time of the file */
};
struct host_replay {
    struct host host;
    struct host_replay_settings settings;
    struct cas_now opened;
    int64_t first_ms, end_ms; /* of the whole capture, times of the file */
    int64_t span_ms;          /* from its begin until it begins again */
    uint64_t loop;            /* in which the tracks and seen stand */
    uint64_t probe_seq;

    struct replay_track track[REPLAY_TRACKS];
    size_t track_n;
    struct replay_file netstat, events_file, appcmd, exsetup, netsh, health;
    struct capture_netstat_sum *sum;
    struct capture_ports ports;
    struct capture_exchange exchange;
    struct replay_event *event; /* oldest first */
    size_t event_n, event_refused_n, event_dropped_n;
    char event_refused[REASON_BYTES];
    char computer[256];
    size_t item_refused_n;
    char item_refused[REASON_BYTES];
    struct replay_worker_seen seen[REPLAY_PIDS];
    size_t seen_n;
};

/* Reads the folder. CAS_ERR_NOT_FOUND none of the files is there; errors of file.h; CAS_ERR_NOMEM.
 */
CAS_CHECK enum cas_err replay_load(struct host_replay *replay, struct cas_why *why);
void replay_unload(struct host_replay *replay);
/* The next row of a track into next, refused ones passed over. */
void replay_track_next(struct replay_track *track);

/* Where the capture stands, in times of the file; *ret_loop counts how often it began again. */
int64_t replay_at_ms(const struct host_replay *replay, struct cas_now now, uint64_t *ret_loop);
/* A time of the file on the wall clock: the same for the same loop, however often it is asked. */
int64_t replay_wall_ms(const struct host_replay *replay, int64_t at_ms, uint64_t loop);
/* Moves all tracks to now. */
int64_t replay_move(struct host_replay *replay, struct cas_now now);
/* Those appcmd.txt names, at the moment it was written; at most CAPTURE_WORKERS. */
size_t replay_appcmd_workers(const struct host_replay *replay,
                             const char *pool,
                             struct capture_worker ret_worker[CAPTURE_WORKERS]);
/* The pool's workers now, newest start last, from counters, else from appcmd; *ret_track is NULL
 * for those. */
size_t replay_workers(struct host_replay *replay,
                      const char *pool,
                      struct capture_worker ret_worker[CAPTURE_WORKERS],
                      const struct replay_track **ret_track);
int64_t
replay_start_ms(struct host_replay *replay, const struct capture_worker *worker, int64_t row_ms);

CAS_CHECK enum cas_err replay_read(struct host *host,
                                   struct cas_now now,
                                   const char *pool,
                                   struct host_reading *ret_reading,
                                   size_t cap,
                                   size_t *ret_n,
                                   struct cas_why *why);
CAS_CHECK enum cas_err replay_facts(struct host *host,
                                    struct cas_now now,
                                    struct host_fact *ret_fact,
                                    size_t cap,
                                    size_t *ret_n,
                                    struct cas_why *why);

#endif
