/* act.h - may this act be done, and what came of it?
 *
 * Pure: a pool's name, a tool's end and the component states in, a judgement out. A tool's word is
 * never proof: that is a new worker process, looked for elsewhere. Used by host_windows_act.c;
 * tested on any system. */
#ifndef AGENT_HOST_ACT_H
#define AGENT_HOST_ACT_H

#include "agent/host/scene.h"

enum {
    ACT_POOL_CHARACTERS = 64,
    ACT_CODE_NONE = -1, /* of an act whose tool was ended or never told a code */
};

/* A name IIS can have given a pool: 1..64 characters, none of them a control character or one of
 * "|<>& (applicationPoolName in IIS_schema.xml; learn.microsoft.com, IAppHostPropertySchema
 * ValidationType, read 2026-11: the least of its two lists). CAS_ERR_FORMAT, CAS_ERR_TOO_LONG. */
CAS_CHECK enum cas_err act_pool_check(const char *pool, struct cas_why *why);

/* ---- what a tool said ---- */

enum act_coding {
    ACT_CODING_UTF8, /* plain ASCII too */
    ACT_CODING_UTF16,
    ACT_CODING_OEM, /* the console's code page, which only Windows knows */
};
/* How the bytes of a tool are to be read: by their mark, by zero bytes in every other place, by
 * being UTF-8 (a character cut off at the end does not count against it). */
enum act_coding act_coding_of(struct cas_slice bytes);

struct act_end {
    bool is_killed;          /* at its deadline */
    int64_t limit_ms;        /* that deadline, from its start */
    uint32_t code;           /* its exit code, when it ended by itself */
    struct cas_slice output; /* UTF-8 as far as it could be decoded; any bytes are fine */
    uint64_t dropped_bytes;  /* that it said beyond */
};
/* What came of appcmd recycle apppool, by exit code and by text: never HOST_ACT_RUNNING.
 *   killed                  failed, and the recycle may still have happened
 *   an ERROR, any code      failed with its message
 *   a code that is not 0    failed with what it said
 *   0, another pool's name  failed
 *   0, anything else        done, as far as appcmd's word goes: it is translated, and may say
 *                           nothing
 * The text is clean UTF-8, with the tool's words last. */
void act_judge(const struct act_end *end, const char *pool, struct host_act *ret_act);

/* ---- drained by whom ---- */

struct act_hold {
    bool is_ours;           /* SCENE_COMPONENT is inactive by this very agent */
    bool is_theirs;         /* it, or the whole server, is held inactive by somebody else */
    bool is_unknown;        /* a state could not be read */
    char who[REASON_BYTES]; /* who else, or what could not be read; "" nobody */
};
/* drain_ms: the instant this agent wrote into the state and remembered (0: none). The state is ours
 * when requester and instant are: whoever sets it again, under the same requester too, sets another
 * instant, and it is theirs from then on. */
void act_hold_of(const struct scene_states *states, int64_t drain_ms, struct act_hold *ret_hold);

/* What may be done about our own hold. Others' are never cleared. */
enum act_clear {
    ACT_CLEAR_OURS,    /* it is there, and may be cleared */
    ACT_CLEAR_UNKNOWN, /* it may be there: what could not be read may be ours */
    ACT_CLEAR_THEIRS,  /* it is not there; others hold the component, or the whole server */
    ACT_CLEAR_NOTHING, /* it is not there, nor anybody else's */
};
enum act_clear act_clear_of(const struct act_hold *hold);

/* The instant to write: now, but later than anything our requester wrote before, as the newer state
 * wins and a clock may have been set back. */
int64_t act_instant(const struct scene_states *states, int64_t wall_ms);

#endif
