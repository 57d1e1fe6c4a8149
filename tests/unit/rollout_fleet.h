/* rollout_fleet.h - does the rollout core keep its promises towards servers that misbehave?
 *
 * A farm in memory: the real inventory and book, a store that keeps only what was saved, letters
 * that can be late, lost or doubled, and agents that follow the protocol to the letter. Every act
 * is checked against I1, I2 and I3 when it happens, on what the servers did and not on what the
 * book believes. Used by test_rollout*.c. */
#ifndef TESTS_UNIT_ROLLOUT_FLEET_H
#define TESTS_UNIT_ROLLOUT_FLEET_H

#include "controller/core/rollout.h"
#include "tests/unit/test.h"

enum {
    FLEET_SERVERS_MOST = 24,
    FLEET_ROLLOUTS_MOST = 16,
    FLEET_COMMANDS_MOST = 64,
    FLEET_JOURNAL_BYTES = 262144,
};

struct fleet_command { /* a row of an agent's ledger */
    uint8_t cmd_id[CAS_ID_BYTES];
    enum command_state state;
    uint64_t seq;
    uint64_t nonce;
    int64_t claimed_ms;
    int64_t acted_ms;
    uint32_t pid_before, pid_after;
    int64_t start_before_ms, start_after_ms;
    uint32_t effect_n;
    bool is_acknowledged;
    int64_t told_ms;
};
struct fleet_agent {
    uint32_t id;
    char site[8];
    char name[24];
    uint8_t boot;
    uint32_t pid;
    int64_t start_ms;
    uint64_t head;
    uint64_t probe_seq;
    uint64_t nonce;
    uint64_t epoch_max;
    bool is_drained;
    struct fleet_command command[FLEET_COMMANDS_MOST];
    size_t command_n;
    int64_t done_at_ms; /* of the command at INTENT */
    int64_t warm_at_ms;
    /* what a test may set */
    bool is_cut;  /* nothing goes in or out */
    bool is_sick; /* probes fail */
    bool is_journal_full;
    bool is_slow_to_answer; /* no RESULT is sent */
    bool keeps_worker;      /* the recycle changes nothing */
    bool is_sick_after;     /* never healthy after the act */
    bool is_in_maintenance;
    enum command_state outcome; /* COMMAND_NONE: DONE */
    int64_t skew_ms;
    int64_t act_ms;
    int64_t warm_ms; /* after the act, until probes are good */
    /* the truth that promises are checked on */
    int64_t bad_since_ms; /* cut, sick, drained or in maintenance without a pause; -1: not */
    bool is_out;          /* acted, and no good heartbeat made since */
};

struct fleet_letter;
struct fleet {
    struct inventory *inventory;
    struct rollout_book *book;
    struct rollout_actions actions; /* of the last event */
    struct fleet_agent agent[FLEET_SERVERS_MOST];
    size_t agent_n;
    int64_t at_ms;        /* the fleet's own clock, from 0 */
    int64_t wall_from_ms; /* controller's wall = at + wall_from */
    int64_t mono_from_ms; /* controller's mono = at + mono_from */
    uint64_t epoch;
    int64_t tick_ms;
    uint64_t next_seq;
    struct rollout stored[FLEET_ROLLOUTS_MOST]; /* only what was saved */
    size_t stored_n;
    struct fleet_letter *letter;
    size_t letter_n, letter_cap;
    uint64_t letter_seq;
    struct test_dice dice;
    uint32_t drop_pct, double_pct;
    int64_t delay_most_ms;
    uint32_t floor_pct; /* for the check */
    size_t effect_n;
    size_t out_most; /* the most that were out at once, of all groups */
    char *journal;   /* "00:05 granted A-CAS1 attempt 1" a line */
    size_t journal_used;
};

/* server_n over site_n sites A, B, ... named A-CAS1 ...; all up and known to the controller. */
struct fleet *fleet_open(size_t server_n, size_t site_n);
void fleet_free(struct fleet *fleet);
CAS_AUTO_DEFINE(fleet);
struct cas_now fleet_now(const struct fleet *fleet);
/* One at a time, gap and settle 60 s, no drain, act 30 s, proof 60 s, healthy 3, floor 50 %. */
struct rollout_wish fleet_wish(const struct fleet *fleet);
/* Makes the plan and runs it; returns its number. */
uint64_t fleet_run(struct fleet *fleet, const char *targets, const struct rollout_wish *wish);
/* The same for given steps, as "A-CAS1;A-CAS[2-3]". */
CAS_CHECK enum cas_err fleet_run_steps(struct fleet *fleet,
                                       const char *steps,
                                       const struct rollout_wish *wish,
                                       uint64_t *ret_seq,
                                       struct cas_why *why);
/* In steps of a second. */
void fleet_pass(struct fleet *fleet, int64_t span_ms);
/* Until the step is in that state; fails after most_ms. */
void fleet_until(struct fleet *fleet,
                 uint64_t seq,
                 const char *server,
                 enum rollout_step_state state,
                 int64_t most_ms);
void fleet_until_state(struct fleet *fleet,
                       uint64_t seq,
                       enum rollout_state state,
                       int64_t most_ms);
/* Saves and sends what the last event decided: call after each direct call of the core. */
void fleet_take(struct fleet *fleet);
/* The controller dies and comes back with what was saved. */
void fleet_restart(struct fleet *fleet);
void fleet_restart_agent(struct fleet *fleet, struct fleet_agent *agent);
struct fleet_agent *fleet_agent(struct fleet *fleet, const char *server);
uint32_t fleet_id(struct fleet *fleet, const char *server);
const struct rollout *fleet_rollout(const struct fleet *fleet, uint64_t seq);
const struct rollout_step *fleet_step(struct fleet *fleet, uint64_t seq, const char *server);
/* Between the files of the fleet. */
void fleet_journal(struct fleet *fleet, const char *what, const char *who, const char *words);
void fleet_send(struct fleet *fleet, const struct rollout_action *action);
/* A heartbeat by hand: how old the echoed tick is, journal position, health. Delivered at once. */
void fleet_heartbeat(struct fleet *fleet,
                     const char *server,
                     int64_t tick_age_ms,
                     uint64_t head,
                     enum pool_health health);
size_t fleet_count(const struct fleet *fleet, const char *words); /* how often in the journal */
void fleet_operator(struct fleet *fleet, enum cas_err err, const struct cas_why *why);
/* Copies of what is stored now, and back: a store that loses its last minutes. */
struct rollout *fleet_snapshot(const struct fleet *fleet, size_t *ret_n);
void fleet_snapshot_free(struct rollout *snapshot, size_t n);
void fleet_restore(struct fleet *fleet, const struct rollout *snapshot, size_t n);

#define EXPECT_STEP(fleet, seq, server, expected) \
    EXPECT_TEXT_EQ(rollout_step_words(expected),  \
                   rollout_step_words(fleet_step((fleet), (seq), (server))->state))
#define EXPECT_STATE(fleet, seq, expected)        \
    EXPECT_TEXT_EQ(rollout_state_words(expected), \
                   rollout_state_words(fleet_rollout((fleet), (seq))->state))
#define EXPECT_REASON(expected, reason) \
    EXPECT_TEXT_EQ(rollout_reason_words(expected), rollout_reason_words(reason))

#endif
