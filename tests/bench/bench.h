/* bench.h - what do the programs cost, beside bare libzmq doing the same?
 *
 * The programs measured are the real ones, each its own process; their peers are simulated here.
 * Loopback only. Nothing here judges: a figure is printed beside its target. Used by bench*.c. */
#ifndef TESTS_BENCH_BENCH_H
#define TESTS_BENCH_BENCH_H

#include "proto/base/clock.h"
#include "proto/trust/keys.h"
#include "proto/wire/message.h"

enum {
    BENCH_PATH_BYTES = 1024,
    BENCH_FRAME_BYTES = 4096,
    /* Above 65535 a position takes five bytes on the wire, below 2^32 always: it can be written
     * into a finished frame. */
    BENCH_SEQ_FIRST = 70000,
    /* What peers say to a bare server only: send one OFFER to each of you. */
    BENCH_TYPE_FAN = 127,
};

/* Prints what went wrong, ends what was started here and leaves with 1. */
void bench_die(const char *fmt, ...) CAS_PRINTF(1, 2) __attribute__((noreturn));
void bench_check(enum cas_err err, const struct cas_why *why);

/* ---- bench_posix.c: processes, and what the system knows of them ---- */

struct bench_process {
    int pid; /* 0: none */
};
int64_t bench_now_us(void);
void bench_wait_us(int64_t wait_us);
/* As many descriptors as the system allows; returns how many. */
uint64_t bench_files_raise(void);
/* argv ends with NULL; what it says goes to the file log. */
struct bench_process bench_start(const char *const *argv, const char *log);
/* False while it runs; *ret_code when it has ended. */
bool bench_has_ended(struct bench_process *process, int *ret_code);
void bench_kill(struct bench_process *process); /* SIGKILL, and waits for its end */
/* CPU time of all its threads; main_us of the first one alone. */
struct bench_cpu {
    int64_t all_us, main_us;
};
struct bench_cpu bench_cpu_of(const struct bench_process *process);
int64_t bench_rss_kib(const struct bench_process *process);
/* VmHWM, RssAnon, RssFile and so on of /proc/PID/status; -1 when it is not there. */
int64_t bench_status_kib(const struct bench_process *process, const char *name);
void bench_machine(char *ret_text, size_t cap);
/* A new folder, and its end with all that is in it. */
void bench_folder_make(char ret_path[BENCH_PATH_BYTES]);
void bench_folder_free(const char *path);
void bench_self(char ret_path[BENCH_PATH_BYTES]); /* this program */

/* ---- bench_frames.c: what peers say ---- */

struct bench_frame {
    uint8_t byte[BENCH_FRAME_BYTES];
    size_t size;
    size_t seq_at[2]; /* where its position stands; 0: nowhere */
};
void bench_frame_make(const struct message *message, struct bench_frame *ret_frame);
/* A report of one sample with every symptom; bench_frame_seq says its position. */
void bench_report_make(const uint8_t spool_id[CAS_ID_BYTES], struct bench_frame *ret_frame);
void bench_frame_seq(struct bench_frame *frame, uint32_t seq);
void bench_ack_make(const uint8_t spool_id[CAS_ID_BYTES], struct bench_frame *ret_frame);
void bench_done_make(struct bench_frame *ret_frame); /* a RESULT's ACK */
void bench_tick_make(struct bench_frame *ret_frame);
void bench_offer_make(struct bench_frame *ret_frame);
void bench_grant_make(const struct keys *sign, struct bench_frame *ret_frame);
unsigned bench_type_of(const uint8_t *bytes, size_t size); /* 0: not a frame of ours */

/* ---- bench_peers.c: N peers, each with its own key and connection ---- */

struct bench_peer {
    struct keys_public public;
    uint8_t secret[CAS_KEY_BYTES];
    uint32_t seq, acked; /* position sent last, position acknowledged */
    int64_t sent_us;
    bool is_welcome;
    uint64_t tick, epoch, probe_seq, journal_head;
    struct record_tail tail; /* its last command */
    bool has_tail;
};
struct bench_peers {
    void *context, *socket, *watch;
    struct bench_peer *peer; /* [n] */
    size_t n;
    bool is_bare;  /* the server is: no heartbeats, and every ACK is for what was sent last */
    bool is_chain; /* each ACK is followed by the next report */
    struct bench_frame report;
    struct cas_arena *arena;
    size_t next; /* whose turn it is at a fixed rate */
    size_t welcome_n;
    uint64_t report_n, ack_n, hb_n, lost_n, again_n;
    size_t offer_n, grant_n, done_n;
    int64_t welcome_us, offer_us, claim_us, grant_us, done_us; /* offer: first; others: last */
};
void bench_peers_open(struct bench_peers *peers, size_t n);
void bench_peers_close(struct bench_peers *peers);
/* All of them, at most a thousand handshakes at a time, until each has its WELCOME. */
void bench_peers_connect(struct bench_peers *peers,
                         const char *endpoint,
                         const struct keys_public *server);
/* Takes what has come, waiting at most wait_ms for it, and answers as an agent does. */
void bench_peers_serve(struct bench_peers *peers, int64_t wait_ms);
void bench_peers_for(struct bench_peers *peers, int64_t span_us);
/* Reports at this rate, in turns. */
void bench_peers_rate(struct bench_peers *peers, double rate_per_s, int64_t span_us);
void bench_report_send(struct bench_peers *peers, size_t at);
/* One report of each that has none under way; with is_chain that begins the chain. */
void bench_peers_kick(struct bench_peers *peers);
/* The server was killed: waits until all have noticed, and leaves each a HELLO to send first. */
void bench_peers_lost(struct bench_peers *peers);
/* Until each has its WELCOME again. */
void bench_peers_back(struct bench_peers *peers, int64_t until_us);
void bench_peers_fan(struct bench_peers *peers); /* asks a bare server for its OFFERs */

/* ---- bench_bare.c: a ROUTER with CURVE that answers and does nothing else ---- */

/* endpoint_path is written with where it listens, once it does. Never returns. */
void bench_bare_run(const char *endpoint, const char *endpoint_path, const char *key_path)
    __attribute__((noreturn));

/* ---- bench_farm.c: the programs ---- */

struct bench_farm {
    char bin[BENCH_PATH_BYTES];
    char folder[BENCH_PATH_BYTES];
    char endpoint[256];  /* of agents */
    char operators[256]; /* of operators */
    struct keys_public server;
    struct bench_process process;
    bool is_bare;
    int start_n;
};
/* A state folder with an operator, and these peers approved in its database. */
void bench_farm_make(struct bench_farm *farm, const char *bin, const struct bench_peers *peers);
void bench_bare_make(struct bench_farm *farm);
/* The controller or the bare server; from the second start on at the same ports. Returns when it
 * listens. */
void bench_farm_start(struct bench_farm *farm);
void bench_farm_launch(struct bench_farm *farm); /* the same, and returns at once */
void bench_farm_end(struct bench_farm *farm);
/* casfleet with these arguments, while the peers go on; its output to ret_text. */
void bench_farm_ask(struct bench_farm *farm,
                    struct bench_peers *peers,
                    const char *const *arguments,
                    char *ret_text,
                    size_t cap);

struct bench_agent {
    int64_t rss_kib, anon_kib, file_kib, peak_kib;
    double sample_us;
    uint64_t sample_n;
};
void bench_agent_run(const char *bin, int64_t span_us, struct bench_agent *ret_agent);

#endif
