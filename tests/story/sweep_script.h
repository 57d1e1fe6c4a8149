/* sweep_script.h - what happens to a farm under one seed: a list that can be cut down and told.
 *
 * A seed makes the whole list before anything is played, and each row has chance of its own, so
 * that a row left out changes nothing in the others. */
#ifndef TESTS_STORY_SWEEP_SCRIPT_H
#define TESTS_STORY_SWEEP_SCRIPT_H

#define STORY_HARNESSLESS
#include "tests/story/story.h"

enum {
    SCRIPT_EVENTS = 96,
    SCRIPT_SERVERS = 6,
    SCRIPT_FARMS = 10 /* kinds of farm: 2 to 6 servers at 1 or 2 sites */
};

enum script_kind {
    SCRIPT_NETWORK = 1,
    SCRIPT_RUN,
    SCRIPT_OPERATE,
    SCRIPT_INTRUDE,
    SCRIPT_REVOKE,
    SCRIPT_CUT,
    SCRIPT_HOLD,
    SCRIPT_AGENT_DIES,
    SCRIPT_POWER,
    SCRIPT_JOURNALS,
    SCRIPT_AGENT_STOPS,
    SCRIPT_HOST_FAILS,
    SCRIPT_SELF,
    SCRIPT_AGENT_DISK,
    SCRIPT_CONTROLLER_DIES,
    SCRIPT_CONTROLLER_COMMIT,
    SCRIPT_CONTROLLER_STOPS,
    SCRIPT_CONTROLLER_DISK,
    SCRIPT_BACKUP,
    SCRIPT_RESTORE,
    SCRIPT_USURP,
    SCRIPT_WALL,
    SCRIPT_MONO,
    SCRIPT_SCHEDULE,
    SCRIPT_CALENDAR,
};
struct script_event {
    enum script_kind kind;
    int64_t at_ms; /* since the farm stood */
    uint64_t dice;
};
struct script {
    uint64_t seed;
    size_t farm;
    bool is_long;
    int64_t span_ms; /* of trouble; what follows is calm */
    struct script_event event[SCRIPT_EVENTS];
    size_t event_n;
};

/* Before the first farm, where stories go back to a heap as it stood: what the calendar library
 * keeps for the whole process, hung up where a heap's owner does not see it, is made. */
CAS_CHECK enum cas_err sweep_calendar_warm(void);
/* Pure. */
void script_make(uint64_t seed, struct script *ret_script);
/* A farm of that kind, up and approved, on which any script of that kind may be played. */
struct story *script_farm(const char *folder, size_t farm);
/* Plays it to its end: trouble, calm, the last checks. */
void script_play(const struct script *script, struct story *s);
/* Drops every row that a failure does not need. still_fails plays a candidate. Returns how many
 * were played. */
typedef bool script_fails(void *context, const struct script *script);
size_t script_shrink(struct script *script, script_fails *still_fails, void *context);

#endif
