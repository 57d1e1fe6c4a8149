#include "tests/unit/test.h"

#include "agent/agent_program.h"
#include "agent/agent_reach.h"
#include "agent/agent_words.h"

static struct cas_why why;

static struct options_ask asked(const char *first, const char *second)
{
    struct options_ask ask = {.wish = OPTIONS_RUN};
    if (first != NULL)
        ask.word[ask.word_n++] = first;
    if (second != NULL)
        ask.word[ask.word_n++] = second;
    return ask;
}

static enum cas_err word_of(const char *first, const char *second, bool has_manager)
{
    struct options_ask ask = asked(first, second);
    enum agent_word word = AGENT_WORD_N;
    why.text[0] = '\0';
    enum cas_err err = agent_word_of(&ask, has_manager, &word, &why);
    EXPECT_TRUE((err == CAS_OK) == (word != AGENT_WORD_N));
    return err;
}

/* Why: services and scripts made before there were words start the program without one. */
TEST(words, no_word_is_run)
{
    struct options_ask ask = asked(NULL, NULL);
    enum agent_word word = AGENT_WORD_N;
    EXPECT_OK(agent_word_of(&ask, false, &word, &why), &why);
    EXPECT_INT_EQ(AGENT_WORD_run, word);
}

TEST(words, each_word_is_found_by_its_name)
{
    for (int i = 0; i < AGENT_WORD_N; i++) {
        enum agent_word word = AGENT_WORD_N;
        EXPECT_TRUE(agent_word_find(agent_word_row((enum agent_word)i)->name, &word));
        EXPECT_INT_EQ(i, word);
    }
    enum agent_word word = AGENT_WORD_N;
    EXPECT_FALSE(agent_word_find("", &word));
    EXPECT_FALSE(agent_word_find("Run", &word));
}

/* Why: a person on Linux who reads the manual of Windows must be told what to use instead. */
TEST(words, what_needs_windows_is_refused_elsewhere_in_one_sentence)
{
    static const char *const managed[] = {"install", "uninstall", "start", "stop"};
    for (size_t i = 0; i < CAS_COUNT(managed); i++) {
        EXPECT_ERR(CAS_ERR_UNSUPPORTED, word_of(managed[i], NULL, false));
        EXPECT_TEXT_HAS(managed[i], why.text);
        EXPECT_TEXT_HAS("systemctl", why.text);
        EXPECT_OK(word_of(managed[i], NULL, true), &why);
    }
    EXPECT_OK(word_of("check", NULL, false), &why);
    EXPECT_OK(word_of("selftest", NULL, false), &why);
}

TEST(words, unknown_and_further_words_are_refused)
{
    EXPECT_ERR(CAS_ERR_CONFIG, word_of("instal", NULL, true));
    EXPECT_TEXT_EQ(
        "instal: no such word; there are run, check, selftest, hold, release, install, uninstall, "
        "start, stop",
        why.text);
    EXPECT_ERR(CAS_ERR_CONFIG, word_of("run", "it", true));
    EXPECT_TEXT_EQ("it: run takes options only; see casfleet-agent run --help", why.text);
}

TEST(words, help_of_all_fits_and_names_each)
{
    char data[AGENT_SHOW_BYTES];
    struct cas_text all = CAS_TEXT(data);
    cas_text_clear(&all);
    agent_words_help(&all);
    EXPECT_FALSE(all.is_cut);
    EXPECT_TEXT_HAS("  uninstall  stop and delete the service (Windows)\n", data);
    for (int i = 0; i < AGENT_WORD_N; i++) {
        char one[AGENT_SHOW_BYTES];
        struct cas_text help = CAS_TEXT(one);
        cas_text_clear(&help);
        agent_word_help((enum agent_word)i, &help);
        EXPECT_TEXT_HAS("use: casfleet-agent ", one);
        EXPECT_TEXT_HAS(agent_word_row((enum agent_word)i)->words, one);
    }
}

/* ---- reach ---- */

static struct reach_seen seen_from(enum channel_state state, bool has_key)
{
    return (struct reach_seen){.state = state, .has_key = has_key};
}

static int reach_now(struct reach_seen seen)
{
    enum reach reach = REACH_N;
    return reach_of(&seen, &reach) ? (int)reach : -1;
}

TEST(reach, the_channels_word_decides_at_once)
{
    EXPECT_INT_EQ(REACH_APPROVED, reach_now(seen_from(CHANNEL_UP, true)));
    EXPECT_INT_EQ(REACH_WAITING, reach_now(seen_from(CHANNEL_WAITING, true)));
    EXPECT_INT_EQ(REACH_WRONG_KEY, reach_now(seen_from(CHANNEL_WRONG_KEY, true)));
    struct reach_seen refused = seen_from(CHANNEL_WAITING, true);
    refused.progress.is_refused = true;
    EXPECT_INT_EQ(REACH_REFUSED, reach_now(refused));
}

/* Why: "cannot connect" sends people to the wrong place; a name, a port and a silence are three
 * different faults. */
TEST(reach, how_far_the_tries_came_tells_name_port_and_silence_apart)
{
    struct reach_seen seen = seen_from(CHANNEL_CONNECTING, true);
    EXPECT_INT_EQ(-1, reach_now(seen));
    seen.progress.failed_n = 2;
    EXPECT_INT_EQ(-1, reach_now(seen));
    seen.progress.failed_n = 3;
    EXPECT_INT_EQ(REACH_NO_NAME, reach_now(seen));
    seen.progress.is_named = true;
    EXPECT_INT_EQ(REACH_NO_TCP, reach_now(seen));
    seen.progress.is_connected = true;
    EXPECT_INT_EQ(-1, reach_now(seen));
    seen.is_over = true;
    EXPECT_INT_EQ(REACH_SILENT, reach_now(seen));
}

TEST(reach, the_deadline_always_decides)
{
    for (int i = 0; i < 16; i++) {
        struct reach_seen seen = {.state = CHANNEL_CONNECTING,
                                  .has_key = (i & 1) != 0,
                                  .is_over = true,
                                  .progress = {.failed_n = (i & 2) != 0 ? 1 : 0,
                                               .is_named = (i & 4) != 0,
                                               .is_connected = (i & 8) != 0}};
        EXPECT_TRUE(reach_now(seen) >= 0);
    }
}

/* Why: without a key of its own an agent must say nothing to the controller, so TCP is the end. */
TEST(reach, without_a_key_tcp_is_as_far_as_it_goes)
{
    struct reach_seen seen = seen_from(CHANNEL_WRONG_KEY, false);
    EXPECT_INT_EQ(-1, reach_now(seen));
    seen.progress.is_connected = true;
    EXPECT_INT_EQ(REACH_NO_KEY, reach_now(seen));
}

/* Why: exit codes are a contract of both programs. */
TEST(reach, each_finding_has_its_exit_code)
{
    EXPECT_INT_EQ(AGENT_EXIT_FINE, reach_row(REACH_APPROVED)->exit);
    EXPECT_INT_EQ(AGENT_EXIT_FAILED, reach_row(REACH_WAITING)->exit);
    EXPECT_INT_EQ(AGENT_EXIT_DENIED, reach_row(REACH_REFUSED)->exit);
    EXPECT_INT_EQ(AGENT_EXIT_REFUSED, reach_row(REACH_WRONG_KEY)->exit);
    EXPECT_INT_EQ(AGENT_EXIT_UNREACHABLE, reach_row(REACH_NO_TCP)->exit);
}

/* Why: the running service holds its fixed source port; a look beside it must use another. */
TEST(reach, a_fixed_source_port_is_left_out)
{
    char endpoint[OPTIONS_TEXT_BYTES];
    reach_endpoint("tcp://0.0.0.0:5671;ctl.example:5670", endpoint);
    EXPECT_TEXT_EQ("tcp://ctl.example:5670", endpoint);
    reach_endpoint("tcp://10.0.0.5:5670", endpoint);
    EXPECT_TEXT_EQ("tcp://10.0.0.5:5670", endpoint);
}
