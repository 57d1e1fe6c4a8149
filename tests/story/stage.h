/* stage.h - what the files of the virtual fleet share; for stage_*.c alone. */
#ifndef TESTS_STORY_STAGE_H
#define TESTS_STORY_STAGE_H

#include <setjmp.h>

#define STORY_HARNESSLESS
#include "tests/story/check_effects.h"
#include "tests/story/stage_mark.h"
#include "tests/story/story.h"

enum {
    STAGE_LINES = 6000,
    STAGE_COMMANDS = 512,
    STAGE_ROLLOUTS = 64,
    STAGE_PIDS = 64,
    STAGE_STEPS = STAGE_ROLLOUTS * STORY_SERVERS,
    STAGE_TORN_MS = 30000,   /* a cut connection is given up: the socket's own heartbeat */
    STAGE_REDIAL_MS = 1000,  /* a connection that is gone is tried again */
    STAGE_REFUSED_MS = 60000 /* the slow timer after a refused handshake */
};
#define STAGE_POOL "MSExchangeSyncAppPool"

struct stage_clock {
    int64_t wall_off_ms;  /* wall = true + off */
    int64_t mono_base_ms; /* mono = true - base */
};

/* One frame on its way. */
struct stage_frame {
    int64_t at_ms;
    uint64_t order; /* breaks ties */
    bool is_up;
    bool is_held;
    bool is_good;   /* a heartbeat that said healthy, in service */
    size_t server;  /* index */
    uint32_t route; /* connection it was sent on */
    int64_t sent_ms;
    int64_t echo_ms; /* heartbeats: when the TICK it answers was sent */
    uint8_t *bytes;
    size_t size;
};

struct stage_server;
struct stage_host { /* what the agent sees: the model, with places to die in */
    struct host host;
    struct stage_server *server;
};
struct stage_server {
    struct story *story;
    size_t index;
    char name[STORY_NAME_BYTES];
    char site[STORY_NAME_BYTES];
    struct keys *keys;
    struct keys_public key;
    struct stage_clock clock;
    struct host *model;
    struct stage_host host;
    struct agent *agent; /* NULL: its process is dead */
    char disk[512], ledger_path[544], outbox_path[544], hold_path[512];
    uint32_t server_id; /* the controller's; 0 not approved */
    bool is_revoked;

    int64_t due_ms;     /* true time of the next agent_tick */
    int64_t restart_ms; /* true time; 0: none */
    enum story_point dies_at;
    int64_t dies_restart_ms;
    bool is_dying;
    jmp_buf way_out;

    bool is_up; /* connected */
    uint32_t route;
    int64_t dial_ms; /* next try */
    enum story_way cut;
    int64_t cut_ms;
    bool is_holding;
    enum message_type hold_type;

    enum pool_health seen_health; /* by its last look, as the host answered */
    bool seen_in_service;
    int64_t tick_sent_ms; /* of the last TICK that reached it */
    size_t frames_down;
    uint64_t order_up, order_down; /* newest frame delivered */

    size_t effect_n;          /* harvested */
    uint32_t pid[STAGE_PIDS]; /* in order of appearance: w1, w2 ... */
    size_t pid_n;
    int64_t stopped_until_ms; /* true time; its process is stopped, as by SIGSTOP; 0 not */
};

struct stage_command {
    uint8_t cmd_id[CAS_ID_BYTES];
    size_t server;
    bool is_reserved, is_granted;
};
struct stage_rollout {
    uint64_t seq;
    bool is_stopped, is_ordered; /* the checker was told of it */
};
struct stage_acked {
    uint32_t server_id;
    uint8_t spool_id[CAS_ID_BYTES];
    uint64_t upto;
};

struct stage_line {
    bool is_main;
    char text[STORY_LINE_BYTES];
};

/* What operators have said of schedules, as far as they were told to watch: stage_calendar.c. */
enum {
    STAGE_WINDOWS = 16,
    STAGE_BEGUN = 64,
    STAGE_BLACK = 16
};
struct stage_window {
    char name[STORY_NAME_BYTES], site[STORY_NAME_BYTES];
    int64_t start_min, length_ms;
    bool is_off;
};
struct stage_black {
    int64_t from_ms, to_ms;
};
struct stage_begun {
    size_t window;
    int64_t start_ms;
};
struct stage_calendar {
    struct stage_window window[STAGE_WINDOWS];
    struct stage_black black[STAGE_BLACK];
    struct stage_begun begun[STAGE_BEGUN];
    size_t window_n, black_n, begun_n;
    bool is_frozen;
};

struct story {
    struct story_settings settings;
    uint64_t dice;
    uint64_t number; /* of this story in its program */
    char files[512]; /* what the names of its files begin with */
    int64_t now_ms;
    struct stage_server *server[STORY_SERVERS];
    size_t server_n;

    struct stage_frame **frame; /* a heap by (at_ms, order) */
    size_t frame_n, frame_cap;
    uint64_t frame_order;
    uint32_t route_last;
    struct story_net net;
    enum message_type echo_type;
    int64_t echo_after_ms;

    char uri[128];
    struct store_memory *memory;
    struct controller *controller;
    struct stage_clock controller_clock;
    struct keys *command_keys;
    int64_t controller_due_ms, controller_restart_ms, controller_stopped_until_ms;
    uint64_t commits_before; /* of earlier runs */
    uint64_t dies_after;     /* commit, over all runs; 0 none */
    int64_t dies_restart_ms;
    bool is_controller_dying, is_disk_full;

    struct keys_public operator_key, viewer_key;
    uint64_t ask_id;
    uint64_t run_seq;  /* being run, and the checker not told yet; 0 none */
    bool has_schedule; /* one was added, by an operator's words */
    int answer_exit;
    bool has_answer;
    char *document;
    size_t document_n;
    char error[512];

    struct stage_line *line;
    size_t line_n, line_cap;
    struct stage_command command[STAGE_COMMANDS];
    size_t command_n;
    struct stage_rollout rollout[STAGE_ROLLOUTS];
    size_t rollout_n;
    struct stage_acked acked[4 * STORY_SERVERS];
    size_t acked_n;
    bool has_clock_fault, has_restore, is_usurped;
    struct check *check;
    struct stage_calendar calendar;
    struct stage_marks marks;
    uint8_t edge[STAGE_STEPS]; /* state of each step when it was looked at last */
    uint64_t trace;
    char broken[512];
};

struct cas_now stage_now(const struct story *s, const struct stage_clock *clock);
struct stage_server *stage_find(struct story *s, const char *name);
/* Ends the program: the stage itself cannot go on. */
void stage_need(enum cas_err err, const struct cas_why *why, const char *what);

/* The next such time of day, UTC. */
int64_t stage_clock_next(const struct story *s, const char *clock);

/* stage_fleet.c */
void stage_agent_frame(struct stage_server *server, struct cas_slice bytes);
void stage_agent_connected(struct stage_server *server);
void stage_agent_end(struct stage_server *server);
void stage_controller_frame(struct story *s, const struct channel_frame *frame);
void stage_operator_frame(struct story *s, struct cas_slice bytes);

/* stage_ask.c: who is admitted, as the operators have said. */
void stage_admissions(struct story *s);
/* The checker is told of this rollout as it was run. */
void stage_run_check(struct story *s, uint64_t seq);

/* stage_net.c */
void stage_send_up(struct stage_server *server, struct cas_slice bytes);
CAS_CHECK enum cas_err
stage_send_down(void *context, struct channel_route route, struct cas_slice bytes);
void stage_net_pass(struct story *s);             /* all that is due now */
int64_t stage_net_due(const struct story *s);     /* true time; INT64_MAX none */
void stage_net_lost(struct stage_server *server); /* its connection is gone */
void stage_net_free(struct story *s);
enum message_type stage_type(struct cas_slice bytes);

/* stage_calendar.c */
void stage_calendar_noted(struct story *s, const struct rollout_action *note);

/* stage_check.c */
void stage_line_add(struct story *s, bool is_main, const char *fmt, ...) CAS_PRINTF(3, 4);
void stage_break(struct story *s, const char *fmt, ...) CAS_PRINTF(2, 3);
void stage_noted(void *context,
                 const struct rollout_action *note,
                 const char *server_name,
                 struct cas_now now);
void stage_effects(struct stage_server *server);
void stage_saw_up(struct stage_server *server, struct cas_slice bytes);
void stage_saw_down(struct stage_server *server, struct cas_slice bytes); /* sent */
/* To the agent. */
void stage_saw_delivered(struct stage_server *server, struct cas_slice bytes, int64_t sent_ms);
void stage_saw_heartbeat(struct stage_server *server, const struct stage_frame *frame);
struct stage_rollout *stage_rollout_of(struct story *s, uint64_t seq);

#endif
