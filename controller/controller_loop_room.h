/* controller_loop_room.h - what the loop keeps between two calls. Private to controller_loop_*.c.
 */
#ifndef CONTROLLER_CONTROLLER_LOOP_ROOM_H
#define CONTROLLER_CONTROLLER_LOOP_ROOM_H

#include "controller/controller_loop.h"
#include "proto/base/log.h"
#include "proto/wire/message.h"

enum {
    LOOP_CORE_MS = 50,      /* rollout_tick so often, while something comes in */
    LOOP_EXPIRE_MS = 60000, /* old reports go so often */
    LOOP_EPOCH_MS = 60000,  /* at most one step of the epoch in so long */
    LOOP_TELL_MS = 60000,   /* floods are told so often */
    LOOP_ANSWER_MS = 60000, /* an answer its operator does not take is dropped after so long */
    LOOP_ANSWER_PARTS = 8,  /* of one answer in one tick */
    LOOP_BODY_BYTES = 512 * 1024, /* what decoding the bodies of one report may take */
};

enum peer_dirt {
    PEER_CLEAN = 0,
    PEER_FACTS = 1,
    PEER_EVENTS = 2,
    PEER_HELD = 4,  /* its own people held or released it */
    PEER_BEHIND = 8 /* it was acknowledged more than the store has */
};

/* By server id, beside what inventory and hub keep. */
struct loop_peer {
    uint64_t tick_sent; /* value of the last TICK; 0 none in this epoch */
    unsigned dirt;      /* enum peer_dirt: what the group must save of it */
    bool has_ack;       /* an ACK waits for the commit */
    bool is_up;         /* told as up in the log */
    bool is_skewed;     /* told as skewed */
    bool has_head;      /* its HELLO or heartbeat has told how far its journal is */
    bool is_replaced;   /* its data folder is another or an older one; until that is committed */
    bool is_held;       /* as heard last, with the next */
    int64_t held_since_ms;
    uint32_t held_change_n;          /* holds and releases heard and not yet audited */
    uint32_t held_row_n;             /* audited since held_from_ms */
    int64_t held_from_ms;            /* mono */
    bool is_behind_told;             /* in this run: audited, and logged */
    uint64_t theirs_upto, ours_upto; /* records acknowledged to it, and of them in the store */
    bool has_spool;
    uint8_t spool_id[CAS_ID_BYTES]; /* of its last HELLO */
    uint8_t ack_spool[CAS_ID_BYTES];
    uint64_t ack_upto;
};

struct loop_list { /* server ids */
    uint32_t *id;
    size_t n, cap;
};

struct loop_body { /* one decoded entry of a report */
    enum entry_kind kind;
    int64_t at_ms;
    union {
        struct record_event event;
        struct record_fact fact;
        struct record_gap gap;
    } as;
};

struct loop_answer {
    struct channel_route route;
    struct keys_public key; /* an operator's whose role is taken away gets no more of it */
    uint64_t id;
    struct ask_reply reply;
    size_t at;     /* bytes of the document sent */
    uint32_t part; /* next one */
    int64_t since_ms;
};

struct loop_leap { /* of the wall clock, the last one */
    bool is_seen;
    struct cas_now seen; /* at the last turn */
    int64_t from_ms;     /* wall, before it */
    int64_t span_ms;     /* below 0: back; 0: none yet */
};

struct controller {
    struct controller_settings settings;
    struct cas_now started;
    struct store *store;
    struct hub *hub;
    struct inventory *inventory;
    struct rollout_book *book;
    struct rollout_book *retired; /* one that a handler may still look at */
    struct ask_scene scene;
    struct cas_arena *arena;      /* of one message */
    struct cas_arena *body_arena; /* of one report's bodies */
    uint8_t *frame;               /* [WIRE_FRAME_BYTES] going out */
    struct loop_body body[WIRE_REPORT_RECORDS];
    struct loop_peer *peer;
    size_t peer_cap;
    uint32_t server_end; /* one more than the highest id */

    /* the group: what is decided and not yet committed */
    struct rollout_actions actions;
    struct loop_list dirty, acks;
    size_t report_n;
    bool is_gathering;
    int64_t gathered_ms;  /* mono, of its first part */
    enum cas_err spoiled; /* a part failed in memory: the group can only be dropped */

    bool is_stuck, is_told_stuck;
    int64_t retry_ms; /* mono */
    int64_t stuck_ms; /* wall, when it was told */
    char stuck_words[CAS_WHY_BYTES];
    bool is_behind_told; /* by the first of them */
    bool is_book_stale;  /* could not be read back after a commit that failed */
    bool is_fenced;

    bool wants_epoch, has_stepped;
    int64_t stepped_ms, core_ms, expire_ms, tell_ms;
    bool is_asking; /* inside ask_answer */

    bool is_schedule_known; /* since the last change of a schedule */
    int64_t schedule_ms;    /* wall: when the next window of any begins */
    int64_t armed_ms;       /* wall: up to here the windows of one are dealt with */
    struct loop_leap leap;
    bool is_freeze_known, is_frozen; /* since the last word of an operator */
    bool is_core_due; /* something came in, or was decided, since the core looked last */

    size_t tick_next; /* server id the round has come to */
    int64_t round_ms; /* mono, when it began */

    struct loop_answer *answer[CONTROLLER_ANSWERS];
    size_t answer_n, answer_bytes;
    int64_t denied_ms;
    uint32_t denied_n; /* audited in the minute since */
    uint64_t told_rate;
    struct controller_counts counts;
};

/* controller_loop.c */
CAS_CHECK enum cas_err loop_peer_room(struct controller *c, uint32_t server_id);
bool loop_is_taking(const struct controller *c,
                    int64_t mono_ms);                       /* may something be gathered now? */
void loop_gather(struct controller *c, struct cas_now now); /* the group has begun */
CAS_CHECK enum cas_err loop_list_add(struct loop_list *list, uint32_t id);

/* Its row of events and positions is saved with the group. */
void loop_events_dirty(struct controller *c, uint32_t server_id, struct cas_now now);

/* controller_loop_commit.c */
/* Commits the group and sends what waited for it; on an error nothing of it was sent and the book
 * is as committed. */
CAS_CHECK enum cas_err
loop_commit_group(struct controller *c, struct cas_now now, struct cas_why *why);
/* The same for one change of an operator's; audit may be NULL. */
CAS_CHECK enum cas_err loop_commit_change(struct controller *c,
                                          const struct rollout_actions *actions,
                                          const struct store_audit *audit,
                                          struct cas_now now,
                                          struct cas_why *why);
CAS_CHECK enum cas_err loop_book_load(struct controller *c, struct cas_why *why);
/* After any commit that failed: tells it once, waits before the next try. */
void loop_stuck(struct controller *c,
                enum cas_err err,
                struct cas_now now,
                const struct cas_why *why);

/* controller_loop_send.c */
enum cas_err
loop_send(struct controller *c, struct channel_route route, const struct message *message);
void loop_send_to(struct controller *c, uint32_t server_id, const struct message *message);
void loop_send_actions(struct controller *c,
                       const struct rollout_actions *actions,
                       struct cas_now now);
void loop_send_acks(struct controller *c);
void loop_send_tick(struct controller *c, uint32_t server_id, bool is_welcome, struct cas_now now);
void loop_send_ticks(struct controller *c, struct cas_now now);
/* When the TICK with this value was sent, in our mono; 0 when it was not sent to this server in
 * this run and epoch. */
int64_t
loop_tick_mono(const struct controller *c, uint32_t server_id, uint64_t echo, uint64_t epoch);

/* controller_loop_note.c */
void loop_note_audit(const struct controller *c,
                     const struct rollout_action *action,
                     struct cas_now now,
                     struct store_audit *ret_audit);
void loop_note_tell(struct controller *c, const struct rollout_action *action, struct cas_now now);

/* controller_loop_schedule.c */
/* The window that has come, if any: its plan is made and runs, or it is skipped, in one commit. */
void loop_schedules(struct controller *c, struct cas_now now);

/* controller_loop_report.c */
void loop_on_report(struct controller *c,
                    struct inventory_server *server,
                    struct hub_peer *peer,
                    const struct message_report *report,
                    struct cas_now now);
/* controller_loop_frame.c */
void loop_violation(struct controller *c,
                    struct hub_peer *peer,
                    struct cas_now now,
                    const struct cas_why *why);

/* controller_loop_ask.c */
void loop_on_ask(struct controller *c,
                 struct hub_peer *peer,
                 const struct channel_frame *frame,
                 const struct message_ask *ask,
                 struct cas_now now);
/* A known key that speaks where it may not: answered where it can be, audited within bounds. */
void loop_deny(struct controller *c,
               const char *who,
               const struct channel_frame *frame,
               const char *words,
               struct cas_now now);
void loop_send_answers(struct controller *c, struct cas_now now);
void loop_scene_fill(struct controller *c, struct cas_now now);
void loop_answers_free(struct controller *c);

#endif
