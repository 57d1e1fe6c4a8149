#include "tests/unit/test.h"

#include <windows.h>

#include "agent/host/host_windows.h"

/* The registry these tests see is a key of their own, put in the place of HKEY_LOCAL_MACHINE for
 * this process alone: nothing of a real server's is read or written. */
static const wchar_t stage_key[] = L"SOFTWARE\\casfleet-test-act";
#define EXCHANGE_KEY  L"SOFTWARE\\Microsoft\\ExchangeServer\\v15"
#define STATES_KEY    EXCHANGE_KEY L"\\ServerComponentStates"
#define COMPONENT_KEY STATES_KEY L"\\ActiveSyncProxy"
#define MEMORY_KEY    L"SOFTWARE\\casfleet\\Agent"
static const char *const pool = "MSExchangeSyncAppPool";

enum {
    LIMIT_MS = 5000
};

static void stage_end(void)
{
    (void)RegOverridePredefKey(HKEY_LOCAL_MACHINE, NULL);
    (void)RegDeleteTreeW(HKEY_CURRENT_USER, stage_key);
}

/* A server on which nobody ever set a state. */
static void stage_begin(void)
{
    HKEY stage = NULL;
    HKEY key = NULL;
    stage_end();
    EXPECT_INT_EQ(ERROR_SUCCESS, RegCreateKeyW(HKEY_CURRENT_USER, stage_key, &stage));
    EXPECT_INT_EQ(ERROR_SUCCESS, RegOverridePredefKey(HKEY_LOCAL_MACHINE, stage));
    (void)RegCloseKey(stage);
    EXPECT_INT_EQ(ERROR_SUCCESS, RegCreateKeyW(HKEY_LOCAL_MACHINE, EXCHANGE_KEY, &key));
    (void)RegCloseKey(key);
}

static void state_put(const wchar_t *value)
{
    DWORD size = (DWORD)((wcslen(value) + 1) * sizeof *value);
    EXPECT_INT_EQ(
        ERROR_SUCCESS,
        RegSetKeyValueW(HKEY_LOCAL_MACHINE, COMPONENT_KEY, L"Sidelined", REG_SZ, value, size));
}

static void state_get(wchar_t ret_value[64])
{
    DWORD size = 64 * sizeof(wchar_t);
    EXPECT_INT_EQ(ERROR_SUCCESS,
                  RegGetValueW(HKEY_LOCAL_MACHINE,
                               COMPONENT_KEY,
                               L"Sidelined",
                               RRF_RT_REG_SZ,
                               NULL,
                               ret_value,
                               &size));
}

static bool state_is_active(void)
{
    wchar_t value[64];
    state_get(value);
    return wcsncmp(value, L"1:1:", 4) == 0;
}

static bool is_remembered(void)
{
    return RegGetValueW(HKEY_LOCAL_MACHINE,
                        MEMORY_KEY,
                        L"DrainTicks",
                        RRF_RT_REG_QWORD,
                        NULL,
                        NULL,
                        NULL) == ERROR_SUCCESS;
}

static struct cas_now at(int64_t ms)
{
    return (struct cas_now){.wall_ms = 1700000000000 + ms, .mono_ms = 1000000 + ms};
}

static struct host_act act_of(enum verb verb, int64_t ms)
{
    struct windows_act *act = NULL;
    struct host_act seen = {.text = ""};
    struct cas_why why = {.text = ""};
    EXPECT_OK(windows_act_begin(verb, pool, at(ms), LIMIT_MS, &act, &why), &why);
    EXPECT_OK(windows_act_poll(act, at(ms), &seen, &why), &why);
    windows_act_free(act);
    return seen;
}

TEST(host_windows_act, a_drain_is_written_seen_and_cleared)
{
    stage_begin();
    EXPECT_INT_EQ(HOST_ACT_DONE, act_of(VERB_drain, 0).state);
    EXPECT_TRUE(is_remembered() && !state_is_active());
    EXPECT_INT_EQ(HOST_ACT_DONE, act_of(VERB_undrain, 10).state);
    EXPECT_TRUE(!is_remembered() && state_is_active());
    EXPECT_TEXT_HAS("nothing to clear", act_of(VERB_undrain, 20).text);
    stage_end();
}

/* Why: the value that cannot be read may be our own. Forgotten, it would be somebody else's for
 * good, and the server out of service for good. */
TEST(host_windows_act, what_cannot_be_read_is_neither_undrained_nor_forgotten)
{
    wchar_t ours[64];
    struct windows_act *act = NULL;
    struct cas_why why = {.text = ""};
    stage_begin();
    EXPECT_INT_EQ(HOST_ACT_DONE, act_of(VERB_drain, 0).state);
    state_get(ours);
    state_put(L"1:0:garbled");
    EXPECT_ERR(CAS_ERR_DENIED, windows_act_begin(VERB_undrain, pool, at(10), LIMIT_MS, &act, &why));
    EXPECT_TEXT_HAS("a state cannot be read: ActiveSyncProxy by Sidelined: \"1:0:garbled\"",
                    why.text);
    EXPECT_TRUE(is_remembered());
    state_put(ours);
    EXPECT_INT_EQ(HOST_ACT_DONE, act_of(VERB_undrain, 20).state);
    EXPECT_TRUE(!is_remembered() && state_is_active());
    stage_end();
}

/* Why: what was tried is judged by what is seen, also where writing told an error; and that error
 * is the reason a person needs. How: below a volatile key no lasting one can be made. */
TEST(host_windows_act, a_state_that_cannot_be_written_is_told_by_the_next_look)
{
    HKEY states = NULL;
    stage_begin();
    EXPECT_INT_EQ(ERROR_SUCCESS,
                  RegCreateKeyExW(HKEY_LOCAL_MACHINE,
                                  STATES_KEY,
                                  0,
                                  NULL,
                                  REG_OPTION_VOLATILE,
                                  KEY_ALL_ACCESS,
                                  NULL,
                                  &states,
                                  NULL));
    (void)RegCloseKey(states);
    struct host_act seen = act_of(VERB_drain, 0);
    EXPECT_INT_EQ(HOST_ACT_FAILED, seen.state);
    EXPECT_TEXT_HAS("not seen Inactive by this agent; RegCreateKeyExW", seen.text);
    stage_end();
}

/* Why: one server that cannot be read for a while must not answer "busy" until its agent is started
 * again. How: Exchange's keys vanish behind the begin and come back after the deadline. */
TEST(host_windows_act, an_act_ends_at_its_deadline_whatever_keeps_its_end_from_being_seen)
{
    static const struct host_windows_settings settings = {.pool = "MSExchangeSyncAppPool"};
    static const uint8_t id[CAS_ID_BYTES] = {1};
    struct host *host = NULL;
    struct host_act seen = {.text = ""};
    struct cas_why why = {.text = ""};
    stage_begin();
    EXPECT_OK(host_windows_open(&settings, at(0), &host, &why), &why);
    const struct host_ops *ops = host->ops;
    EXPECT_OK(ops->begin(host, at(0), VERB_drain, pool, id, LIMIT_MS, &why), &why);
    EXPECT_INT_EQ(ERROR_SUCCESS, RegDeleteTreeW(HKEY_LOCAL_MACHINE, EXCHANGE_KEY));
    EXPECT_ERR(CAS_ERR_MISSING, ops->poll(host, at(LIMIT_MS - 1), &seen, &why));
    EXPECT_ERR(CAS_ERR_BUSY,
               ops->begin(host, at(LIMIT_MS - 1), VERB_drain, pool, id, LIMIT_MS, &why));
    EXPECT_OK(ops->poll(host, at(LIMIT_MS), &seen, &why), &why);
    EXPECT_INT_EQ(HOST_ACT_UNKNOWN, seen.state);
    EXPECT_TEXT_HAS("not known after 5 s: no Exchange 2013 or later", seen.text);
    stage_begin();
    EXPECT_OK(ops->begin(host, at(LIMIT_MS), VERB_drain, pool, id, LIMIT_MS, &why), &why);
    /* Nobody polls this one any more. */
    EXPECT_OK(ops->begin(host, at(2 * LIMIT_MS), VERB_undrain, pool, id, LIMIT_MS, &why), &why);
    EXPECT_OK(ops->poll(host, at(2 * LIMIT_MS), &seen, &why), &why);
    EXPECT_INT_EQ(HOST_ACT_DONE, seen.state);
    host_free(host);
    stage_end();
}

/* Why: after the agent is gone nobody ends its drain; and nobody else's is its to end. */
TEST(host_windows_act, who_leaves_clears_what_is_ours_or_says_the_command)
{
    wchar_t ours[64];
    char said[REASON_BYTES] = "";
    struct cas_why why = {.text = ""};
    stage_begin();
    state_put(L"1:0:638000000000000000");
    EXPECT_OK(host_windows_release(at(0), said, &why), &why);
    EXPECT_TEXT_EQ("", said);
    EXPECT_FALSE(state_is_active());

    state_put(L"1:1:638000000000000000");
    EXPECT_INT_EQ(HOST_ACT_DONE, act_of(VERB_drain, 0).state);
    state_get(ours);
    state_put(L"1:0:garbled");
    EXPECT_ERR(CAS_ERR_DENIED, host_windows_release(at(10), said, &why));
    EXPECT_TEXT_HAS("Set-ServerComponentState ", why.text);
    EXPECT_TEXT_HAS(" -Component ActiveSyncProxy -Requester Sidelined -State Active (a state",
                    why.text);
    EXPECT_TRUE(is_remembered());

    state_put(ours);
    EXPECT_OK(host_windows_release(at(20), said, &why), &why);
    EXPECT_TEXT_EQ("ActiveSyncProxy was Inactive by this agent and is cleared", said);
    EXPECT_TRUE(state_is_active() && !is_remembered());
    stage_end();
}
