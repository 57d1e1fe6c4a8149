/* sweep_play.h - what the files that play a script share; for sweep_*.c alone. */
#ifndef TESTS_STORY_SWEEP_PLAY_H
#define TESTS_STORY_SWEEP_PLAY_H

#include "tests/story/stage_mark.h"
#include "tests/story/sweep_script.h"

enum {
    SWEEP_ENDS = 64,
    SWEEP_SCHEDULES = 3,
    SWEEP_CALENDARS = 2
};

struct end { /* what lasts, and until when */
    int64_t at_ms;
    enum script_kind kind;
    size_t server;
};
struct play {
    struct story *s;
    const struct script *script;
    uint64_t dice; /* of the event at hand */
    char name[SCRIPT_SERVERS][40];
    size_t name_n;
    struct end end[SWEEP_ENDS];
    size_t end_n;
    uint64_t rollout[8];
    size_t rollout_n;
    bool has_backup, has_restored, has_lost_journals, has_revoked;
    size_t schedule_n, black_n;
    bool is_removed[SWEEP_SCHEDULES];
    bool has_zones;
    int64_t zone_min[2]; /* of LON and NYC: local minus UTC */
    int64_t off_ms[SCRIPT_SERVERS], controller_off_ms;
};

uint64_t sweep_below(struct play *p, uint64_t most);

/* sweep_calendar.c */
/* A schedule is added, or something said of those there are. */
void sweep_calendar(struct play *p, enum script_kind kind);
/* Whether it is so now. */
bool sweep_freeze(struct play *p, bool is_on);

#endif
