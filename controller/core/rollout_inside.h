/* rollout_inside.h - what do the files of the rollout room share? For them only.
 *
 * An event is one struct rollout_turn: the book it changes, what it may look at, and where its
 * actions go. Errors stick in it, so that the rules read as rules. */
#ifndef CONTROLLER_CORE_ROLLOUT_INSIDE_H
#define CONTROLLER_CORE_ROLLOUT_INSIDE_H

#include "controller/core/rollout.h"

enum {
    ROLLOUT_ASK_MS = 30 * 1000,              /* REVOKE as a question what came of a command */
    ROLLOUT_GRACE_MS = 60 * 1000,            /* after drain and act: I10's 60 s */
    ROLLOUT_LATE_MS = 5 * 60 * 1000,         /* a start missed by more is missed for good */
    ROLLOUT_CREDIT_MS = 12 * 60 * 60 * 1000, /* an older worker is no recycle for this plan */
    ROLLOUT_ATTEMPTS = 5,                    /* automatic ones, each after a durable REVOKED */
    ROLLOUT_EVIDENCE = 64,                   /* servers in a dossier; the rest are counted */
    ROLLOUT_BUILD_BYTES = ROLLOUT_WORDS_BYTES + 4, /* what is cut here is told as cut */
    ROLLOUT_BUCKETS = 16384,
    ROLLOUT_GROUP_BUCKETS = 1024,
    ROLLOUT_NONE = UINT32_MAX,
};

/* One rollout and what is worked out from it. */
struct rollout_entry {
    struct rollout open;
    uint32_t *active; /* [active_n] steps that have a timer, hold a slot or may still be resolved */
    size_t active_n;
    bool *is_active;  /* [step_n] */
    size_t open_from; /* all steps before are through */
};
/* Every step of every rollout in memory, by server. */
struct rollout_ref {
    struct rollout_entry *entry;
    uint32_t step;
    uint32_t server_id;
    uint32_t next; /* ROLLOUT_NONE: last of its bucket */
};
/* A group (site) as the floor sees it at one instant. */
struct rollout_group {
    const char *site; /* borrowed from the inventory */
    uint32_t server_n;
    uint32_t out;
    uint32_t floor_pct; /* the strictest of the rollouts that have someone out here */
    uint32_t next;
};
struct rollout_budget {
    struct rollout_group *group;
    size_t n, cap;
    uint32_t bucket[ROLLOUT_GROUP_BUCKETS];
};
struct rollout_book {
    rollout_derive *derive;
    struct rollout_entry **entry; /* oldest first */
    size_t n, cap;
    struct rollout_ref *ref;
    size_t ref_n, ref_cap;
    uint32_t bucket[ROLLOUT_BUCKETS];
    struct rollout_budget budget;
    bool is_frozen;      /* what is scheduled does not begin */
    bool is_torn;        /* an event ended half-way: only the store can mend it */
    uint64_t turn_after; /* the rollout that took a slot last: the next tick begins behind it */
};

struct rollout_turn {
    struct rollout_book *book;
    const struct inventory *inventory;
    struct cas_now now;
    struct rollout_actions *actions;
    size_t from;  /* actions that were there before */
    bool is_tick; /* many steps are looked at: count all groups at once */
    bool has_budget;
    enum cas_err err;
};
struct rollout_turn rollout_turn_begin(struct rollout_book *book,
                                       const struct inventory *inventory,
                                       struct cas_now now,
                                       struct rollout_actions *actions);
/* What is to be saved is put before what is to be sent (R4). */
CAS_CHECK enum cas_err rollout_turn_end(struct rollout_turn *turn);

/* rollout.c: the book */
struct rollout_entry *rollout_entry_find(const struct rollout_book *book, uint64_t seq);
CAS_CHECK enum cas_err
rollout_entry_add(struct rollout_book *book, struct rollout_entry *entry, struct cas_why *why);
/* Copies plan and steps; owns them. */
CAS_CHECK enum cas_err rollout_entry_open(const struct rollout *saved,
                                          struct rollout_entry **ret_entry,
                                          struct cas_why *why);
void rollout_entry_free(struct rollout_entry *entry);
CAS_AUTO_DEFINE(rollout_entry);
/* Its command's id: by the plan's hash and never by its number, which a restored database gives
 * again. */
void rollout_step_name(const struct rollout_book *book, struct rollout *open, size_t step);
const struct rollout_ref *rollout_refs_of(const struct rollout_book *book, uint32_t server_id);
const struct rollout_ref *rollout_refs_next(const struct rollout_book *book,
                                            const struct rollout_ref *ref);

void rollout_save(struct rollout_turn *turn, const struct rollout_entry *entry);
void rollout_save_step(struct rollout_turn *turn, const struct rollout_entry *entry, size_t step);
void rollout_send(struct rollout_turn *turn,
                  struct rollout_entry *entry,
                  size_t step,
                  enum rollout_action_kind kind);
/* Numbers up to this one's and ROLLOUT_LEAP more are not given again. */
void rollout_leap(struct rollout_turn *turn, const struct rollout_entry *entry);
void rollout_acknowledge(struct rollout_turn *turn,
                         uint32_t server_id,
                         const uint8_t cmd_id[CAS_ID_BYTES],
                         uint64_t ack_seq);
/* step SIZE_MAX: of the rollout itself */
void rollout_tell(struct rollout_turn *turn,
                  const struct rollout_entry *entry,
                  size_t step,
                  enum rollout_note note,
                  enum rollout_reason reason,
                  const char *fmt,
                  ...) CAS_PRINTF(6, 7);

/* rollout_words.c */
bool rollout_is_open(const struct rollout *rollout);   /* may still begin something */
bool rollout_takes_out(const struct rollout *rollout); /* its verb takes servers out of service */
bool rollout_is_under_way(const struct rollout_step *step); /* RESERVED to PROVING, CANCELLING */
bool rollout_is_through(const struct rollout_step *step);   /* the next wave need not wait */
/* An attempt before this one was granted and never proved: only proof or force frees the slot. */
bool rollout_is_owed(const struct rollout_step *step);
/* The agent may still take the GRANT; not after a restart, when nobody knows since when. */
bool rollout_is_grant_alive(const struct rollout_step *step, int64_t mono_ms);
/* Its failure has been counted already. */
bool rollout_is_late(const struct rollout_step *step);
bool rollout_may_ask(const struct rollout_step *step);   /* REVOKE can still settle it */
bool rollout_may_prove(const struct rollout_step *step); /* proof can still close it */

/* rollout_budget.c */
void rollout_budget_make(struct rollout_turn *turn,
                         const char *site,
                         const struct rollout_entry *asking);
struct rollout_group *rollout_budget_group(struct rollout_budget *budget, const char *site);
/* A GRANT that was sent cannot be called back; one that is sent again may be the first to arrive.
 * So only while what it rests on holds, and nobody has stopped the rollout. */
bool rollout_may_grant_again(struct rollout_turn *turn,
                             const struct rollout_entry *entry,
                             size_t step);
/* May this step act now? The order of the reasons is the order of telling. */
enum rollout_reason rollout_check(struct rollout_turn *turn,
                                  const struct rollout_entry *entry,
                                  size_t step,
                                  struct cas_text *words);
/* Its parts, one rule each. is_told: the floor's numbers also when it holds. */
enum rollout_reason rollout_check_server(const struct rollout_turn *turn,
                                         const struct rollout_entry *entry,
                                         size_t step);
const struct rollout_ref *rollout_other_holder(const struct rollout_book *book,
                                               const struct rollout_entry *entry,
                                               size_t step);
enum rollout_reason rollout_check_ram(const struct rollout_turn *turn,
                                      const struct rollout_entry *entry,
                                      size_t step,
                                      struct cas_text *words);
enum rollout_reason rollout_check_floor(struct rollout_turn *turn,
                                        const struct rollout_entry *entry,
                                        size_t step,
                                        bool is_told,
                                        struct cas_text *words);
/* Counted as out of the group already, by its state or a held slot. */
bool rollout_is_out(const struct rollout_book *book,
                    const struct inventory_server *server,
                    int64_t mono_ms);

/* Its worker is the one that an order of ours left, or one that an order under way may be making.
 */
bool rollout_is_ours(const struct rollout_book *book, const struct inventory_server *server);

/* rollout_tick.c: what may begin */
uint32_t rollout_under_way_n(const struct rollout_entry *entry);
/* Between the wave that is through and the next: GAP, SETTLING or NONE. */
enum rollout_reason rollout_rest(const struct rollout_turn *turn,
                                 const struct rollout_entry *entry);
/* Whom the gap before that wave runs from, recycled without an order of ours; NULL nobody. */
const struct inventory_server *
rollout_renewed(const struct rollout_turn *turn, const struct rollout_entry *entry, uint32_t wave);
void rollout_renewed_words(const struct rollout_turn *turn,
                           const struct inventory_server *server,
                           struct cas_text *words);

/* rollout_step.c: the transitions */
void rollout_step_set(struct rollout_entry *entry, size_t step, enum rollout_step_state state);
void rollout_step_reserve(struct rollout_turn *turn, struct rollout_entry *entry, size_t step);
void rollout_step_grant(struct rollout_turn *turn,
                        struct rollout_entry *entry,
                        size_t step,
                        const uint8_t nonce[CAS_ID_BYTES]);
/* Takes a reserved or granted step back; it is free on the agent's REVOKED only. */
void rollout_step_withdraw(struct rollout_turn *turn,
                           struct rollout_entry *entry,
                           size_t step,
                           enum rollout_reason reason,
                           const char *words);
void rollout_step_revoked(struct rollout_turn *turn, struct rollout_entry *entry, size_t step);
void rollout_step_fail(struct rollout_turn *turn,
                       struct rollout_entry *entry,
                       size_t step,
                       enum rollout_step_state state,
                       enum rollout_reason reason,
                       const char *words);
void rollout_step_prove(struct rollout_turn *turn, struct rollout_entry *entry, size_t step);
void rollout_step_close(struct rollout_turn *turn, struct rollout_entry *entry, size_t step);
/* What the step was for has happened without us. */
void rollout_step_credit(struct rollout_turn *turn,
                         struct rollout_entry *entry,
                         size_t step,
                         const char *words);
void rollout_step_skip(struct rollout_turn *turn, struct rollout_entry *entry, size_t step);
/* PENDING again under a new command id. */
void rollout_step_again(struct rollout_turn *turn, struct rollout_entry *entry, size_t step);
/* Halts, pauses: nothing new begins, RESERVED steps are taken back. */
void rollout_stop(struct rollout_turn *turn,
                  struct rollout_entry *entry,
                  enum rollout_state state,
                  enum rollout_reason reason);
/* Does one of these waves, numbers both included, have somebody there? */
bool rollout_has_site(const struct rollout_turn *turn,
                      const struct rollout_entry *entry,
                      uint32_t first_wave,
                      uint32_t last_wave,
                      const char *site);
/* ENDED once nothing is under way. */
void rollout_end_if_quiet(struct rollout_turn *turn, struct rollout_entry *entry);

#endif
