/* story.h - what happens to a farm, told in a few lines and checked against every promise?
 *
 *     STORY(rollout, a_promise_in_present_tense, "Tue 00:50", 7)
 *     {
 *         story_site(s, "LON", "LON-CAS01 LON-CAS02");
 *         ...
 *     }
 *
 * A story runs the real controller, the real agents and the real codec on a virtual clock and a
 * virtual network: no socket, no sleep. It is played twice with the same seed and must give the
 * same journal. At its end the promises are checked on what the servers really did (stage_check.c).
 * The stage itself knows no test harness: sweeps use it as well. */
#ifndef TESTS_STORY_STORY_H
#define TESTS_STORY_STORY_H

#include "agent/agent_loop.h"
#include "controller/controller_loop.h"
#include "proto/wire/message.h"

enum {
    STORY_SERVERS = 32,
    STORY_NAME_BYTES = 64,
    STORY_LINE_BYTES = 256,
    STORY_ARGS = 16
};

struct story;

/* ---- begin and end ---- */

struct story_settings {
    const char *folder; /* for journals; in RAM where there is one */
    const char *start;  /* "Tue 00:50", in the week of Mon 2026-11-23, UTC */
    uint64_t seed;
    int64_t commit_ms;    /* of the controller; 0: 100 */
    int64_t sample_ms;    /* of the agents; 0: SAMPLE_MS */
    int64_t outbox_bytes; /* 0: OUTBOX_BYTES */
    bool has_no_holds;    /* story_veto is never called: agents look for no hold file */
};
/* Ends the program when the stage cannot be set up. */
struct story *story_begin(const struct story_settings *settings);
void story_free(struct story *story);
CAS_AUTO_DEFINE(story);

/* Servers with labels, agents running, approved by the operator; names parted by blanks. The clock
 * goes on for some seconds until all have been heard. */
void story_site(struct story *s, const char *site, const char *names);
/* One server whose agent runs and is not approved. */
void story_stranger(struct story *s, const char *name);

/* ---- time ---- */
void story_pass(struct story *s, int64_t span_ms);
void story_until(struct story *s, const char *clock); /* the next "01:11" or "01:11:30" */
int64_t story_utc(const char *text);                  /* "2027-03-28T01:00Z" */
/* To an instant of a wall clock that was set and stands at *wall_now_ms. */
void story_wall_until(struct story *s, const char *text, int64_t *wall_now_ms);
int64_t story_now(const struct story *s); /* true time, ms UTC */
uint64_t story_throw(struct story *s, uint64_t below);

/* ---- the operator ---- */
/* Arguments "key=value" or "key", NULL at the end; at and until take "01:00". Returns the exit code
 * of the contract, -1 when there was no answer (no controller). */
int story_ask(struct story *s, const char *verb, ...) __attribute__((sentinel));
/* The same by one who may only look: whatever is allowed then breaks a promise. */
int story_intrude(struct story *s, const char *verb, ...) __attribute__((sentinel));
const char *story_document(const struct story *s); /* of the last answer; "" none */
const char *story_error(const struct story *s);
/* Plans and runs: its number, 0 when it was refused. Target as "LON-CAS01" or "" with selector=...
 */
uint64_t story_recycle(struct story *s, const char *target, ...) __attribute__((sentinel));
/* Runs what recycle.plan has made: seq, 0 when it was refused. */
uint64_t story_run(struct story *s, uint64_t seq);

/* ---- the calendar, as operators were answered ---- */
/* From the first window told, whatever a schedule begins is held against these words: once a window
 * and site, in it, and not while a word stands against it. What allows is told before it is asked,
 * what forbids once it is answered with success. */
struct story_window {
    const char *name, *site; /* "": everywhere */
    int64_t start_min;       /* daily; UTC, 0..1439 */
    int64_t length_ms;
};
void story_told_window(struct story *s, const struct story_window *window);
void story_told_off(struct story *s, const char *name, bool is_off); /* paused, removed */
void story_told_frozen(struct story *s, bool is_frozen);
void story_told_black(struct story *s, int64_t from_ms, int64_t to_ms);

/* ---- what goes wrong ---- */
enum story_way {
    WAY_UP = 1,   /* agent to controller */
    WAY_DOWN = 2, /* controller to agent */
    WAY_BOTH = 3
};
/* Frames of a cut way are lost; after 30 s the connection is gone. */
void story_cut_cable(struct story *s, const char *server, enum story_way way);
void story_mend_cable(struct story *s, const char *server);
/* Frames of this type (MESSAGE_NONE: any) wait until released, while others pass them. */
void story_hold(struct story *s, const char *server, enum message_type type);
void story_release(struct story *s, const char *server);
/* Frames of this type are also delivered once more, after so long: 0 ends it. */
void story_echo(struct story *s, enum message_type type, int64_t after_ms);

struct story_net {
    int64_t delay_ms, spread_ms;         /* each frame: delay + 0..spread; frames may overtake */
    unsigned drop_pm, twice_pm, late_pm; /* per thousand frames */
    int64_t late_ms;                     /* at most so much later */
};
void story_net(struct story *s, const struct story_net *net);

enum story_point {
    POINT_NONE,
    POINT_GRANT,   /* as the GRANT arrives, before INTENT */
    POINT_INTENT,  /* after INTENT, before the act */
    POINT_ACT,     /* after the act, before its outcome */
    POINT_OUTCOME, /* after the outcome is written, before RESULT is sent */
    POINT_NOW
};
/* The agent's process ends there, once, and is started again after restart_ms; -1: not by itself.
 */
void story_agent_dies(struct story *s, const char *server, enum story_point at, int64_t restart_ms);
void story_agent_starts(struct story *s, const char *server);
/* While its agent is down: its journal is full, and has forgotten all rollouts up to that one. */
void story_old_journal(struct story *s, const char *server, uint64_t rollout);
/* A text of host_sim_settings.failure; "" cures. */
void story_fails(struct story *s, const char *server, const char *failure);
void story_kill_worker(struct story *s, const char *server); /* Exchange recycles it by itself */
/* server NULL: the controller's clock. */
/* Its own people hold it, by the file the agent reads; reason NULL releases it. */
void story_veto(struct story *s, const char *server, const char *reason);
void story_jump_wall(struct story *s, const char *server, int64_t span_ms);
/* A disk that takes nothing more: of the controller, of all agents. That of agents needs
 * CASFLEET_FAILPOINTS; without, it takes everything. */
void story_controller_disk(struct story *s, bool is_full);
void story_agents_disk(bool is_full);

/* The disk of one server takes nothing that grows; its power fails, and with it all that is not
 * synced; its agent ends and both journals are moved away (restart_ms < 0: it stays down); its
 * process, or the controller's (NULL), does nothing for so long; a monotonic clock
 * jumps ahead. */
void story_disk(struct story *s, const char *server, bool is_full);
void story_power_fails(struct story *s, const char *server, int64_t restart_ms);
void story_journals_lost(struct story *s, const char *server, int64_t restart_ms);
void story_stops(struct story *s, const char *server, int64_t span_ms);
void story_jump_mono(struct story *s, const char *server, int64_t span_ms);

void story_controller_dies(struct story *s, int64_t restart_ms);
/* After its commit number n from now has reached the disk, and before anything of it is sent; 0:
 * not any more. */
void story_controller_dies_after(struct story *s, uint64_t commit_n, int64_t restart_ms);
void story_controller_starts(struct story *s);
bool story_controller_is_dead(const struct story *s);
bool story_controller_is_stopped(const struct story *s);
uint64_t story_commits(const struct story *s); /* of all its runs */
/* Another controller leads from now on, and is gone again: this one must find out by itself. */
void story_usurp(struct story *s);
/* The database as it is now comes back at story_restore, while the controller is dead. */
void story_backup(struct story *s);
void story_restore(struct story *s);

/* ---- what is seen ---- */
struct controller *story_controller(struct story *s); /* NULL while it is dead */
struct agent *story_agent(struct story *s, const char *server);
struct host *story_host(struct story *s, const char *server);
const struct rollout *story_rollout(struct story *s, uint64_t seq);
const struct rollout_step *story_step(struct story *s, uint64_t seq, const char *server);
const char *story_server_name(const struct story *s, uint32_t server_id); /* "" none */
size_t story_recycles(struct story *s, const char *server);               /* effects, not belief */
bool story_is_out(struct story *s, const char *server);                   /* by its effects */
/* Frames delivered to this agent so far, heartbeats' TICKs included. */
size_t story_frames_down(struct story *s, const char *server);
/* Records of this server in the controller's store. */
size_t story_kept(struct story *s, const char *server);

/* ---- the journal ---- */
size_t story_lines(const struct story *s);
const char *story_line(const struct story *s, size_t i);
bool story_line_is_main(const struct story *s, size_t i); /* what EXPECT_JOURNAL compares */
void story_say(struct story *s, const char *fmt, ...) CAS_PRINTF(2, 3);

/* Checks the promises; true when all were kept. Otherwise story_broken says which. */
bool story_check(struct story *s);
const char *story_broken(const struct story *s); /* "" */
uint64_t story_seed(const struct story *s);
/* The program will go back to here, many times: what can be made now is, see stage_disk.h. */
void story_keep(struct story *s);
/* All chance from here on comes from this seed: a farm that stands may be used for many. */
void story_reseed(struct story *s, uint64_t seed);
/* Of all that has happened: lines, effects, frames. The same for one seed, wherever built. */
uint64_t story_trace(const struct story *s);
struct stage_marks;
const struct stage_marks *story_marks(const struct story *s);
/* Every open step is resolved or stands with a reason: for the end of stories without faults. */
bool story_is_settled(struct story *s);

/* ---- for tests (story_play.c) ---- */
typedef void story_body(struct story *s);
struct story_title {
    const char *name;
    const char *start;
    uint64_t seed;
};
void story_play(const struct story_title *title, story_body *body);
void story_expect_journal(struct story *s,
                          const char *const *line,
                          size_t n,
                          const char *file,
                          int at);
void story_expect_line(struct story *s, const char *part, bool is_there, const char *file, int at);
void story_expect_true(struct story *s, bool is_true, const char *words, const char *file, int at);

#ifndef STORY_HARNESSLESS
#include "tests/unit/test.h"

#define STORY(subject, promise, start, seed)                                      \
    static void story_body_##subject##_##promise(struct story *s);                \
    TEST(subject, promise)                                                        \
    {                                                                             \
        story_play(&(struct story_title){#subject "." #promise, (start), (seed)}, \
                   story_body_##subject##_##promise);                             \
    }                                                                             \
    static void story_body_##subject##_##promise(struct story *s)

#define EXPECT_JOURNAL(s, ...)                                                        \
    do {                                                                              \
        static const char *const journal_[] = {__VA_ARGS__};                          \
        story_expect_journal((s), journal_, CAS_COUNT(journal_), __FILE__, __LINE__); \
    } while (0)
#define EXPECT_HAS(s, part)   story_expect_line((s), (part), true, __FILE__, __LINE__)
#define EXPECT_LACKS(s, part) story_expect_line((s), (part), false, __FILE__, __LINE__)
/* As EXPECT_TRUE, and tells seed and journal. */
#define EXPECT_THAT(s, claim) story_expect_true((s), (claim), #claim, __FILE__, __LINE__)
#define EXPECT_STEP(s, seq, server, wanted) \
    EXPECT_THAT((s), story_step((s), (seq), (server))->state == (wanted))
#define EXPECT_STATE(s, seq, wanted) EXPECT_THAT((s), story_rollout((s), (seq))->state == (wanted))
#define EXPECT_SLOT_HELD(s, seq, server) \
    EXPECT_THAT((s), story_step((s), (seq), (server))->holds_slot)
#define EXPECT_UNTOUCHED(s, server)       EXPECT_THAT((s), story_recycles((s), (server)) == 0)
#define EXPECT_RECYCLED(s, server, times) EXPECT_INT_EQ((times), story_recycles((s), (server)))
#endif

#endif
