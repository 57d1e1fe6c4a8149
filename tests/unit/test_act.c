#include "agent/host/act.h"

#include "tests/unit/test.h"

static const char *const pool = "MSExchangeSyncAppPool";

static struct host_act judge(uint32_t code, const char *output)
{
    struct host_act act;
    struct act_end end = {.code = code, .limit_ms = 30000, .output = cas_slice_of(output)};
    memset(&act, 'x', sizeof act);
    act_judge(&end, pool, &act);
    EXPECT_TRUE(cas_is_clean_text(cas_slice_of(act.text)));
    return act;
}

TEST(act, a_recycle_that_appcmd_confirms_is_done_by_its_word)
{
    struct host_act act = judge(0, "\"MSExchangeSyncAppPool\" successfully recycled\r\n");
    EXPECT_INT_EQ(HOST_ACT_DONE, act.state);
    EXPECT_INT_EQ(0, act.code);
    EXPECT_TEXT_EQ("\"MSExchangeSyncAppPool\" successfully recycled", act.text);
}

/* Why: a German server's appcmd says the same in German, with characters of its console's code
 * page; an agent that knew English words alone could never recycle there. */
TEST(act, a_translated_answer_with_code_0_is_done)
{
    struct host_act act =
        judge(0, "\"MSExchangeSyncAppPool\" wurde erfolgreich wiederverwendet (\xC3\xBC).\r\n");
    EXPECT_INT_EQ(HOST_ACT_DONE, act.state);
    EXPECT_TEXT_EQ("appcmd ended with code 0 and said: \"MSExchangeSyncAppPool\" wurde erfolgreich "
                   "wiederverwendet (\xC3\xBC).",
                   act.text);
    act = judge(0, "wiederverwendet \x81\r\n");
    EXPECT_INT_EQ(HOST_ACT_DONE, act.state);
    EXPECT_TEXT_HAS("wiederverwendet ?", act.text);
}

TEST(act, code_0_and_nothing_said_is_done)
{
    struct host_act act = judge(0, "");
    EXPECT_INT_EQ(HOST_ACT_DONE, act.state);
    EXPECT_TEXT_EQ("appcmd ended with code 0 and said nothing", act.text);
    EXPECT_INT_EQ(HOST_ACT_DONE, judge(0, "\r\n  \r\n").state);
}

TEST(act, an_error_is_failed_with_its_message_whatever_the_code)
{
    struct host_act act =
        judge(1168, "ERROR ( message:Cannot find APPPOOL object with identifier \"X\". )\r\n");
    EXPECT_INT_EQ(HOST_ACT_FAILED, act.state);
    EXPECT_INT_EQ(1168, act.code);
    EXPECT_TEXT_EQ("appcmd (code 1168): Cannot find APPPOOL object with identifier \"X\".",
                   act.text);
    act = judge(0, "ERROR ( message:Configuration error\r\nFilename: redirection.config\r\n. )");
    EXPECT_INT_EQ(HOST_ACT_FAILED, act.state);
    EXPECT_TEXT_HAS("Configuration error Filename: redirection.config", act.text);
}

TEST(act, a_code_that_is_not_0_is_failed_with_what_was_said)
{
    struct host_act act = judge(1168, "");
    EXPECT_INT_EQ(HOST_ACT_FAILED, act.state);
    EXPECT_TEXT_EQ("appcmd ended with code 1168 and said nothing", act.text);
    act = judge(5, "FEHLER ( Meldung:Zugriff verweigert. )");
    EXPECT_INT_EQ(HOST_ACT_FAILED, act.state);
    EXPECT_TEXT_EQ("appcmd ended with code 5 and said: FEHLER ( Meldung:Zugriff verweigert. )",
                   act.text);
    act = judge(1, "\"MSExchangeSyncAppPool\" successfully recycled");
    EXPECT_INT_EQ(HOST_ACT_FAILED, act.state);
    act = judge(0x80070005U, "");
    EXPECT_INT_EQ(-2147024891, act.code);
    EXPECT_TEXT_HAS("code -2147024891", act.text);
}

TEST(act, another_pools_name_in_the_answer_is_failed)
{
    struct host_act act = judge(0, "\"DefaultAppPool\" successfully recycled\r\n");
    EXPECT_INT_EQ(HOST_ACT_FAILED, act.state);
    EXPECT_TEXT_HAS("another pool: \"DefaultAppPool\"", act.text);
    act = judge(0,
                "\"MSExchangeSyncAppPool\" successfully recycled\r\n"
                "\"DefaultAppPool\" successfully recycled\r\n");
    EXPECT_INT_EQ(HOST_ACT_FAILED, act.state);
}

/* Why: appcmd asks WAS and WAS recycles: a killed appcmd may have asked already. */
TEST(act, a_killed_tool_leaves_open_what_came_of_it)
{
    struct host_act act;
    struct act_end end = {.is_killed = true, .limit_ms = 30000, .code = 1};
    act_judge(&end, pool, &act);
    EXPECT_INT_EQ(HOST_ACT_UNKNOWN, act.state);
    EXPECT_INT_EQ(ACT_CODE_NONE, act.code);
    EXPECT_TEXT_EQ("appcmd had not ended after 30 s and was killed; the recycle may still have "
                   "happened",
                   act.text);
    end.output = cas_slice_of("\"MSExchangeSyncAppPool\" successfully recycled\r\n");
    act_judge(&end, pool, &act);
    EXPECT_INT_EQ(HOST_ACT_UNKNOWN, act.state);
    EXPECT_TEXT_HAS("it said: \"MSExchangeSyncAppPool\" successfully", act.text);
}

/* Why: a flood must end in a short text, not in a long one or in none. */
TEST(act, a_flood_is_cut_to_a_clean_text)
{
    static char flood[65536];
    struct host_act act;
    memset(flood, 'y', sizeof flood);
    struct act_end end = {.output = {flood, sizeof flood}, .dropped_bytes = 52428800};
    act_judge(&end, pool, &act);
    EXPECT_INT_EQ(HOST_ACT_DONE, act.state);
    EXPECT_TEXT_HAS("said 52428800 bytes too many: yyy", act.text);
    for (size_t i = 0; i + 1 < sizeof flood; i += 2)
        memcpy(flood + i, "\xC3\xA4", 2);
    for (end.dropped_bytes = 1; end.dropped_bytes < 100; end.dropped_bytes *= 10) {
        act_judge(&end, pool, &act);
        EXPECT_TRUE(cas_is_clean_text(cas_slice_of(act.text)));
        EXPECT_TRUE(strlen(act.text) >= sizeof act.text - 4);
    }
}

TEST(act, bytes_of_any_kind_become_clean_text)
{
    struct test_dice dice = {7};
    for (int turn = 0; turn < 5000; turn++) {
        char bytes[96];
        struct host_act act;
        size_t size = (size_t)test_below(&dice, sizeof bytes);
        for (size_t i = 0; i < size; i++)
            bytes[i] = (char)test_below(&dice, 256);
        struct act_end end = {.code = (uint32_t)test_below(&dice, 3), .output = {bytes, size}};
        act_judge(&end, pool, &act);
        EXPECT_TRUE(act.state != HOST_ACT_RUNNING);
        EXPECT_TRUE(cas_is_clean_text(cas_slice_of(act.text)));
    }
}

/* ---- coding ---- */

static enum act_coding coding(const char *bytes, size_t size)
{
    return act_coding_of((struct cas_slice){bytes, size});
}

TEST(act, the_coding_of_a_tools_bytes_is_found)
{
    EXPECT_INT_EQ(ACT_CODING_UTF8, coding("", 0));
    EXPECT_INT_EQ(ACT_CODING_UTF8, coding("APPPOOL \"X\"\r\n", 13));
    EXPECT_INT_EQ(ACT_CODING_UTF8, coding("f\xC3\xBCr", 4));
    EXPECT_INT_EQ(ACT_CODING_UTF8,
                  coding("\xEF\xBB\xBF"
                         "a",
                         4));
    EXPECT_INT_EQ(ACT_CODING_OEM, coding("f\x81r", 3));
    EXPECT_INT_EQ(ACT_CODING_OEM, coding("f\xFCr", 3));
    EXPECT_INT_EQ(ACT_CODING_UTF16,
                  coding("\xFF\xFE"
                         "a\0",
                         4));
    EXPECT_INT_EQ(ACT_CODING_UTF16, coding("\xFE\xFF\0a", 4));
    EXPECT_INT_EQ(ACT_CODING_UTF16, coding("A\0P\0P\0", 6));
}

/* Why: output is cut at its limit, within a character too; the whole text is not to be read as
 * another coding for that. */
TEST(act, a_character_cut_off_at_the_end_does_not_change_the_coding)
{
    EXPECT_INT_EQ(ACT_CODING_UTF8, coding("abc\xC3", 4));
    EXPECT_INT_EQ(ACT_CODING_UTF8, coding("abc\xE2\x82", 5));
    EXPECT_INT_EQ(ACT_CODING_UTF8, coding("abc\xF0\x9F\x93", 6));
    EXPECT_INT_EQ(ACT_CODING_OEM, coding("abc\xE2\x82x", 6));
    EXPECT_INT_EQ(ACT_CODING_OEM, coding("abc\x82", 4));
    EXPECT_INT_EQ(ACT_CODING_OEM,
                  coding("\xC3"
                         "abc",
                         4));
}

/* ---- pools ---- */

TEST(act, names_iis_cannot_have_are_no_pools)
{
    static const char *const refused[] =
        {"", " ", "a\nb", "a\rb", "a\tb", "a\"b", "a|b", "a<b", "a>b", "a&b", "\xFF"};
    struct cas_why why = {.text = ""};
    for (size_t i = 0; i < CAS_COUNT(refused); i++)
        EXPECT_ERR(CAS_ERR_FORMAT, act_pool_check(refused[i], &why));
    EXPECT_OK(act_pool_check("Pool (2) $x %PATH% ^ ' ; \\", &why), &why);
    EXPECT_OK(act_pool_check(pool, &why), &why);
}

TEST(act, a_pools_name_has_64_characters_at_most)
{
    char name[2 * (ACT_POOL_CHARACTERS + 1) + 1] = "";
    struct cas_text text = CAS_TEXT(name);
    struct cas_why why = {.text = ""};
    cas_text_clear(&text);
    for (int i = 0; i < ACT_POOL_CHARACTERS; i++)
        cas_text_add(&text, "\xC3\xA4");
    EXPECT_OK(act_pool_check(name, &why), &why);
    cas_text_add(&text, "\xC3\xA4");
    EXPECT_ERR(CAS_ERR_TOO_LONG, act_pool_check(name, &why));
    EXPECT_TEXT_HAS("65 characters, at most 64", why.text);
}

/* ---- drained by whom ---- */

enum {
    OURS_MS = 1700000000
};

static void hold_add(struct scene_states *states,
                     const char *component,
                     const char *requester,
                     bool is_active,
                     int64_t at_ms)
{
    struct scene_state *row = &states->row[states->row_n++];
    EXPECT_OK(cas_slice_copy(cas_slice_of(component), row->component, sizeof row->component), NULL);
    EXPECT_OK(cas_slice_copy(cas_slice_of(requester), row->requester, sizeof row->requester), NULL);
    row->is_active = is_active;
    row->at_ms = at_ms;
}

static struct act_hold hold_of(const struct scene_states *states, int64_t drain_ms)
{
    struct act_hold hold;
    memset(&hold, 'x', sizeof hold);
    act_hold_of(states, drain_ms, &hold);
    return hold;
}

TEST(act, the_state_we_wrote_is_ours)
{
    struct scene_states states = {.row_n = 0};
    hold_add(&states, SCENE_COMPONENT, SCENE_REQUESTER, false, OURS_MS);
    struct act_hold hold = hold_of(&states, OURS_MS);
    EXPECT_TRUE(hold.is_ours);
    EXPECT_FALSE(hold.is_theirs);
    EXPECT_TEXT_EQ("", hold.who);
}

/* Why: an administrator may use the same requester; what he set is never cleared for him. */
TEST(act, the_same_requester_at_another_instant_is_somebody_else)
{
    struct scene_states states = {.row_n = 0};
    hold_add(&states, SCENE_COMPONENT, SCENE_REQUESTER, false, OURS_MS + 1);
    struct act_hold hold = hold_of(&states, OURS_MS);
    EXPECT_FALSE(hold.is_ours);
    EXPECT_TRUE(hold.is_theirs);
    EXPECT_TEXT_EQ("ActiveSyncProxy inactive by " SCENE_REQUESTER " since 1970-01-20T16:13:20.001Z",
                   hold.who);
    EXPECT_FALSE(hold_of(&states, 0).is_ours);
    states.row[0].at_ms = 0;
    EXPECT_FALSE(hold_of(&states, 0).is_ours);
}

/* Why: a crash between what we remember and the state itself leaves a memory of nothing. */
TEST(act, an_instant_remembered_and_never_written_holds_nothing)
{
    struct scene_states states = {.row_n = 0};
    struct act_hold hold = hold_of(&states, OURS_MS);
    EXPECT_FALSE(hold.is_ours || hold.is_theirs || hold.is_unknown);
    hold_add(&states, SCENE_COMPONENT, SCENE_REQUESTER, true, OURS_MS);
    hold_add(&states, "HubTransport", "Maintenance", false, 5);
    hold = hold_of(&states, OURS_MS);
    EXPECT_FALSE(hold.is_ours || hold.is_theirs || hold.is_unknown);
    hold_add(&states, "ServerWideOffline", SCENE_REQUESTER, false, OURS_MS);
    hold = hold_of(&states, OURS_MS);
    EXPECT_TRUE(hold.is_theirs && !hold.is_ours);
}

TEST(act, others_beside_us_are_named)
{
    struct scene_states states = {.row_n = 0};
    hold_add(&states, "activesyncproxy", SCENE_REQUESTER, false, OURS_MS);
    hold_add(&states, SCENE_COMPONENT, "HealthApi", false, 0);
    hold_add(&states, "ServerWideOffline", "Maintenance", false, 0);
    struct act_hold hold = hold_of(&states, OURS_MS);
    EXPECT_TRUE(hold.is_ours);
    EXPECT_TRUE(hold.is_theirs);
    EXPECT_TEXT_EQ("ActiveSyncProxy inactive by HealthApi; ServerWideOffline inactive by "
                   "Maintenance",
                   hold.who);
}

TEST(act, a_state_that_cannot_be_read_is_unknown_and_not_free)
{
    struct scene_states states = {.refused_n = 1, .refused = {"HubTransport: 1:x:5"}};
    struct act_hold hold = hold_of(&states, 0);
    EXPECT_TRUE(hold.is_unknown);
    EXPECT_TEXT_EQ("HubTransport: 1:x:5", hold.who);
    hold_add(&states, SCENE_WIDE, "Maintenance", false, 0);
    EXPECT_TEXT_EQ("ServerWideOffline inactive by Maintenance; HubTransport: 1:x:5",
                   hold_of(&states, 0).who);
}

/* Why: the row that could not be read may be ours, and must then not be forgotten, not even where
 * somebody else holds the server too. */
TEST(act, a_hold_is_cleared_when_it_is_ours_and_gone_only_when_all_was_read)
{
    struct act_hold hold = {.who = ""};
    EXPECT_INT_EQ(ACT_CLEAR_NOTHING, act_clear_of(&hold));
    hold.is_theirs = true;
    EXPECT_INT_EQ(ACT_CLEAR_THEIRS, act_clear_of(&hold));
    hold.is_unknown = true;
    EXPECT_INT_EQ(ACT_CLEAR_UNKNOWN, act_clear_of(&hold));
    hold.is_theirs = false;
    EXPECT_INT_EQ(ACT_CLEAR_UNKNOWN, act_clear_of(&hold));
    hold.is_ours = true;
    EXPECT_INT_EQ(ACT_CLEAR_OURS, act_clear_of(&hold));
}

/* Why: the newer of two copies wins, so a state with an old instant would be none. */
TEST(act, what_we_write_is_newer_than_what_we_wrote)
{
    struct scene_states states = {.row_n = 0};
    EXPECT_INT_EQ(OURS_MS, act_instant(&states, OURS_MS));
    hold_add(&states, SCENE_COMPONENT, SCENE_REQUESTER, true, OURS_MS);
    hold_add(&states, SCENE_COMPONENT, "Functional", true, OURS_MS + 500);
    EXPECT_INT_EQ(OURS_MS + 1, act_instant(&states, OURS_MS));
    EXPECT_INT_EQ(OURS_MS + 1, act_instant(&states, OURS_MS - 3600000));
    EXPECT_INT_EQ(OURS_MS + 60000, act_instant(&states, OURS_MS + 60000));
}
