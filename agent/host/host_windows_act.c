#include "agent/host/host_windows.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "agent/host/act.h"
#include "proto/base/wide_windows.h"

/* The instant of our own drain is kept beside the agent's other settings, as .NET ticks like the
 * state itself, and is on disk before the state is: after a crash between the two nothing is held,
 * after one later we still know what is ours. It is never proof that we drain, only that a state
 * with this instant is ours. */
static const wchar_t memory_key[] = L"SOFTWARE\\casfleet\\Agent";
static const wchar_t memory_value[] = L"DrainTicks";
static const char *const memory_words = "HKLM\\SOFTWARE\\casfleet\\Agent, DrainTicks";

enum {
    TICKS_PER_MS = 10000
};
static const int64_t ticks_epoch_ms = 62135596800000; /* 0001-01-01 to 1970-01-01 */

struct windows_act {
    enum verb verb;
    char pool[POOL_BYTES];
    int64_t limit_ms;
    int64_t end_ms;            /* the same as an instant, monotonic */
    struct cas_why written;    /* drain, undrain: what went wrong while the state was written */
    struct windows_tool *tool; /* recycle */
    bool is_ended;
    struct host_act end;
};

/* ---- what we remember ---- */

static enum cas_err memory_fail(LSTATUS code, const char *call, struct cas_why *why)
{
    return windows_fail(why,
                        wide_err_of((unsigned long)code),
                        (uint32_t)code,
                        "%s %s",
                        call,
                        memory_words);
}

/* 0: nothing remembered. */
static enum cas_err memory_read(int64_t *ret_drain_ms, struct cas_why *why)
{
    int64_t ticks = 0;
    DWORD size = sizeof ticks;
    HKEY key = NULL;
    LSTATUS code =
        RegOpenKeyExW(HKEY_LOCAL_MACHINE, memory_key, 0, KEY_QUERY_VALUE | KEY_WOW64_64KEY, &key);
    if (code == ERROR_SUCCESS) {
        code = RegGetValueW(key, NULL, memory_value, RRF_RT_REG_QWORD, NULL, &ticks, &size);
        RegCloseKey(key);
    }
    if (code != ERROR_SUCCESS && code != ERROR_FILE_NOT_FOUND)
        return memory_fail(code, "RegGetValue", why);
    bool is_known = code == ERROR_SUCCESS && ticks > 0;
    *ret_drain_ms = is_known ? ticks / TICKS_PER_MS - ticks_epoch_ms : 0;
    return CAS_OK;
}

static enum cas_err memory_write(int64_t drain_ms, struct cas_why *why)
{
    int64_t ticks = (drain_ms + ticks_epoch_ms) * TICKS_PER_MS;
    HKEY key = NULL;
    LSTATUS code = RegCreateKeyExW(HKEY_LOCAL_MACHINE,
                                   memory_key,
                                   0,
                                   NULL,
                                   0,
                                   KEY_SET_VALUE | KEY_QUERY_VALUE | KEY_WOW64_64KEY,
                                   NULL,
                                   &key,
                                   NULL);
    if (code != ERROR_SUCCESS)
        return memory_fail(code, "RegCreateKeyEx", why);
    code = RegSetValueExW(key, memory_value, 0, REG_QWORD, (const BYTE *)&ticks, sizeof ticks);
    if (code == ERROR_SUCCESS)
        code = RegFlushKey(key);
    RegCloseKey(key);
    return code == ERROR_SUCCESS ? CAS_OK : memory_fail(code, "RegSetValueEx", why);
}

/* One left behind does no harm: it fits no state any more. */
static void memory_forget(void)
{
    HKEY key = NULL;
    if (RegOpenKeyExW(HKEY_LOCAL_MACHINE, memory_key, 0, KEY_SET_VALUE | KEY_WOW64_64KEY, &key) !=
        ERROR_SUCCESS)
        return;
    (void)RegDeleteValueW(key, memory_value);
    RegCloseKey(key);
}

/* ---- drained by whom ---- */

/* states is large: the caller's, or from the heap. */
static enum cas_err
hold_look(struct scene_states *states, struct act_hold *ret_hold, struct cas_why *why)
{
    int64_t drain_ms = 0;
    enum cas_err err = windows_states(states, why);
    if (err == CAS_OK)
        err = memory_read(&drain_ms, why);
    if (err == CAS_OK)
        act_hold_of(states, drain_ms, ret_hold);
    return err;
}

enum cas_err windows_is_drained_by_us(const struct scene_states *states,
                                      bool *ret_is_ours,
                                      char ret_others[REASON_BYTES],
                                      struct cas_why *why)
{
    int64_t drain_ms = 0;
    struct act_hold hold;
    enum cas_err err = memory_read(&drain_ms, why);
    if (err != CAS_OK)
        return err;
    act_hold_of(states, drain_ms, &hold);
    *ret_is_ours = hold.is_ours;
    memcpy(ret_others, hold.who, sizeof hold.who);
    return CAS_OK;
}

static void
act_end(struct windows_act *act, enum host_act_state state, const char *words, const char *who)
{
    struct cas_text text = CAS_TEXT(act->end.text);
    cas_text_clear(&text);
    cas_text_add(&text, "%s%s", words, who);
    act->end.state = state;
    act->end.code = state == HOST_ACT_DONE ? 0 : ACT_CODE_NONE;
    act->is_ended = true;
}

/* Once it was tried the state may be written, whatever came back (the flush alone can fail): what
 * is seen afterwards decides. */
static void state_write(struct windows_act *act, bool is_active, int64_t instant_ms)
{
    if (windows_state_set(SCENE_COMPONENT, SCENE_REQUESTER, is_active, instant_ms, &act->written) ==
        CAS_OK)
        act->written.text[0] = '\0';
}

/* ---- drain ---- */

static enum cas_err drain_begin(struct windows_act *act,
                                struct scene_states *states,
                                struct cas_now now,
                                struct cas_why *why)
{
    struct act_hold hold;
    enum cas_err err = hold_look(states, &hold, why);
    if (err != CAS_OK)
        return err;
    if (hold.is_theirs)
        return cas_fail(why, CAS_ERR_DENIED, "not drained, another holds it: %s", hold.who);
    if (hold.is_unknown)
        return cas_fail(why, CAS_ERR_DENIED, "not drained, a state cannot be read: %s", hold.who);
    if (hold.is_ours) {
        act_end(act, HOST_ACT_DONE, SCENE_COMPONENT " is Inactive by this agent already", "");
        return CAS_OK;
    }
    int64_t instant_ms = act_instant(states, now.wall_ms);
    err = memory_write(instant_ms, why);
    if (err != CAS_OK)
        return err;
    state_write(act, false, instant_ms);
    return CAS_OK;
}

static void drain_judge(struct windows_act *act, const struct act_hold *hold)
{
    const char *who = act->written.text[0] != '\0' ? act->written.text : hold->who;
    if (hold->is_ours)
        act_end(act, HOST_ACT_DONE, SCENE_COMPONENT " is Inactive, requester " SCENE_REQUESTER, "");
    else
        act_end(act,
                HOST_ACT_FAILED,
                SCENE_COMPONENT " is not seen Inactive by this agent; ",
                who[0] == '\0' ? "nobody holds it" : who);
}

/* ---- undrain ---- */

/* Only what is ours is cleared. */
static enum cas_err undrain_begin(struct windows_act *act,
                                  struct scene_states *states,
                                  struct cas_now now,
                                  struct cas_why *why)
{
    struct act_hold hold;
    enum cas_err err = hold_look(states, &hold, why);
    if (err != CAS_OK)
        return err;
    switch (act_clear_of(&hold)) {
    case ACT_CLEAR_OURS:
        state_write(act, true, act_instant(states, now.wall_ms));
        return CAS_OK;
    case ACT_CLEAR_UNKNOWN:
        return cas_fail(why, CAS_ERR_DENIED, "not undrained, a state cannot be read: %s", hold.who);
    case ACT_CLEAR_THEIRS:
        return cas_fail(why, CAS_ERR_DENIED, "not this agent's to undrain: %s", hold.who);
    case ACT_CLEAR_NOTHING:
        break;
    }
    act_end(act, HOST_ACT_DONE, SCENE_COMPONENT " is not held by this agent, nothing to clear", "");
    memory_forget();
    return CAS_OK;
}

static void undrain_judge(struct windows_act *act, const struct act_hold *hold)
{
    if (hold->is_ours) {
        act_end(act,
                HOST_ACT_FAILED,
                SCENE_COMPONENT " is still Inactive by this agent; ",
                act->written.text);
        return;
    }
    if (!hold->is_unknown)
        memory_forget();
    if (hold->is_theirs || hold->is_unknown)
        act_end(act,
                HOST_ACT_FAILED,
                "this agent's state is cleared, but not in service: ",
                hold->who);
    else
        act_end(act, HOST_ACT_DONE, SCENE_COMPONENT " is Active, requester " SCENE_REQUESTER, "");
}

static enum cas_err state_begin(struct windows_act *act, struct cas_now now, struct cas_why *why)
{
    struct scene_states *states = calloc(1, sizeof *states);
    if (states == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the component states");
    enum cas_err err = act->verb == VERB_drain ? drain_begin(act, states, now, why)
                                               : undrain_begin(act, states, now, why);
    free(states);
    return err;
}

static enum cas_err state_poll(struct windows_act *act, struct cas_why *why)
{
    struct scene_states *states = calloc(1, sizeof *states);
    if (states == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the component states");
    struct act_hold hold;
    enum cas_err err = hold_look(states, &hold, why);
    free(states);
    if (err != CAS_OK)
        return err;
    if (act->verb == VERB_drain)
        drain_judge(act, &hold);
    else
        undrain_judge(act, &hold);
    return CAS_OK;
}

/* ---- release ---- */

/* As long as nothing is remembered nothing is ours, and the states are not asked for. */
static enum cas_err release(struct windows_act *act,
                            struct scene_states *states,
                            struct cas_now now,
                            struct cas_text *said,
                            struct cas_why *why)
{
    int64_t drain_ms = 0;
    struct act_hold hold;
    enum cas_err err = memory_read(&drain_ms, why);
    if (err != CAS_OK || drain_ms == 0)
        return err;
    err = hold_look(states, &hold, why);
    if (err != CAS_OK)
        return err == CAS_ERR_MISSING ? CAS_OK : err; /* Exchange is gone, its states with it */
    if (act_clear_of(&hold) == ACT_CLEAR_UNKNOWN)
        return cas_fail(why, CAS_ERR_DENIED, "a state cannot be read: %s", hold.who);
    if (act_clear_of(&hold) == ACT_CLEAR_OURS) {
        state_write(act, true, act_instant(states, now.wall_ms));
        err = hold_look(states, &hold, why);
        if (err != CAS_OK)
            return err;
        if (hold.is_ours)
            return cas_fail(why, CAS_ERR_IO, "it is still Inactive; %s", act->written.text);
        cas_text_add(said, SCENE_COMPONENT " was Inactive by this agent and is cleared");
        cas_text_add(said, "%s%s", hold.who[0] == '\0' ? "" : "; ", hold.who);
    }
    if (!hold.is_unknown)
        memory_forget();
    return CAS_OK;
}

enum cas_err
host_windows_release(struct cas_now now, char ret_said[REASON_BYTES], struct cas_why *why)
{
    char said[REASON_BYTES];
    struct cas_text text = CAS_TEXT(said);
    struct windows_act act = {.verb = VERB_undrain};
    struct cas_why failed = {""};
    struct scene_system system;
    struct scene_states *states = calloc(1, sizeof *states);
    enum cas_err err = CAS_ERR_NOMEM;
    cas_text_clear(&text);
    if (states != NULL)
        err = release(&act, states, now, &text, &failed);
    free(states);
    if (err == CAS_OK) {
        memcpy(ret_said, said, sizeof said);
        return CAS_OK;
    }
    const char *name =
        windows_system(&system, NULL) == CAS_OK ? system.host_name : "$env:COMPUTERNAME";
    return cas_fail(why,
                    err,
                    "Set-ServerComponentState %s -Component " SCENE_COMPONENT
                    " -Requester " SCENE_REQUESTER " -State Active (%s)",
                    name,
                    failed.text[0] != '\0' ? failed.text : cas_err_words(err));
}

/* ---- recycle ---- */

static enum cas_err recycle_begin(struct windows_act *act, struct cas_why *why)
{
    char path[WINDOWS_PATH_BYTES];
    char option[POOL_BYTES + sizeof "/apppool.name:"];
    struct cas_text text = CAS_TEXT(option);
    const char *argument[] = {"recycle", "apppool", option, NULL};
    cas_text_clear(&text);
    cas_text_add(&text, "/apppool.name:%s", act->pool);
    enum cas_err err = windows_system_path("inetsrv\\appcmd.exe", path, why);
    if (err != CAS_OK)
        return err;
    return windows_tool_start(path, argument, act->end_ms, &act->tool, why);
}

static enum cas_err recycle_poll(struct windows_act *act, struct cas_now now, struct cas_why *why)
{
    struct windows_tool_end tool = {.is_over = false};
    enum cas_err err = windows_tool_poll(act->tool, now, &tool, why);
    if (err != CAS_OK || !tool.is_over)
        return err;
    struct act_end end = {.is_killed = tool.is_killed,
                          .limit_ms = act->limit_ms,
                          .code = tool.code,
                          .output = tool.output,
                          .dropped_bytes = tool.dropped_bytes};
    char *words = NULL;
    size_t size = 0;
    /* Text that cannot be decoded is judged as the bytes it is: the code counts, whatever they say.
     */
    if (windows_tool_text(tool.output, &words, &size, NULL) == CAS_OK)
        end.output = (struct cas_slice){words, size};
    act_judge(&end, act->pool, &act->end);
    act->is_ended = true;
    free(words);
    windows_tool_free(act->tool);
    act->tool = NULL;
    return CAS_OK;
}

/* ---- begin and poll ---- */

enum cas_err windows_act_begin(enum verb verb,
                               const char *pool,
                               struct cas_now now,
                               int64_t deadline_ms,
                               struct windows_act **ret_act,
                               struct cas_why *why)
{
    if (verb != VERB_recycle && verb != VERB_drain && verb != VERB_undrain)
        return cas_fail(why,
                        CAS_ERR_UNSUPPORTED,
                        "verb %d changes nothing here: recycle, drain and undrain do",
                        (int)verb);
    enum cas_err err = act_pool_check(pool, why);
    if (err != CAS_OK)
        return err;
    CAS_AUTO(windows_act) act = calloc(1, sizeof *act);
    if (act == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for an act on %s", pool);
    act->verb = verb;
    act->limit_ms = deadline_ms;
    act->end_ms = now.mono_ms + deadline_ms;
    err = cas_slice_copy(cas_slice_of(pool), act->pool, sizeof act->pool);
    if (err != CAS_OK)
        return cas_fail(why, err, "pool \"%.100s\": at most %d bytes", pool, POOL_BYTES - 1);
    err = verb == VERB_recycle ? recycle_begin(act, why) : state_begin(act, now, why);
    if (err != CAS_OK)
        return err;
    *ret_act = CAS_TAKE(act);
    return CAS_OK;
}

/* What cannot be told until the deadline stays unknown: nobody waits longer. */
static void give_up(struct windows_act *act, const char *reason)
{
    char words[sizeof act->end.text];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    cas_text_add(&text, "what came of it is not known after ");
    cas_text_span(&text, act->limit_ms);
    cas_text_add(&text,
                 act->verb == VERB_recycle ? "; the recycle may still have happened: " : ": ");
    windows_tool_free(act->tool);
    act->tool = NULL;
    act_end(act, HOST_ACT_UNKNOWN, words, reason);
}

enum cas_err windows_act_poll(struct windows_act *act,
                              struct cas_now now,
                              struct host_act *ret_act,
                              struct cas_why *why)
{
    struct cas_why seen = {""};
    enum cas_err err = CAS_OK;
    if (!act->is_ended)
        err = act->verb == VERB_recycle ? recycle_poll(act, now, &seen) : state_poll(act, &seen);
    if (!act->is_ended && now.mono_ms >= act->end_ms)
        give_up(act, seen.text[0] != '\0' ? seen.text : cas_err_words(err));
    else if (err != CAS_OK)
        return cas_fail(why, err, "%s", seen.text[0] != '\0' ? seen.text : cas_err_words(err));
    if (act->is_ended)
        *ret_act = act->end;
    else
        *ret_act = (struct host_act){.state = HOST_ACT_RUNNING};
    return CAS_OK;
}

void windows_act_free(struct windows_act *act)
{
    if (act == NULL)
        return;
    windows_tool_free(act->tool);
    free(act);
}
