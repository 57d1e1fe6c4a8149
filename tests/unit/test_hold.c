#include "agent/hold/hold.h"

#include <stdio.h>

#include "tests/unit/test.h"

enum {
    SINCE_MS = 1795964405
};

static struct hold held(const char *reason)
{
    struct hold hold = {.is_held = true, .by = "DOMAIN\\alice", .since_ms = SINCE_MS};
    (void)snprintf(hold.reason, sizeof hold.reason, "%s", reason);
    return hold;
}

/* Why: what was said at the server must be there after any restart, word by word. */
TEST(hold, what_was_written_is_read_until_it_is_released)
{
    const char *path = test_path("hold");
    struct cas_why why = {.text = ""};
    struct hold found = {.is_held = true};
    hold_read(path, &found);
    EXPECT_FALSE(found.is_held);

    struct hold hold = held("replacing a fan, \xc3\xbcnder warranty");
    EXPECT_OK(hold_write(path, &hold, &why), &why);
    hold_read(path, &found);
    EXPECT_TRUE(found.is_held);
    EXPECT_TEXT_EQ(hold.reason, found.reason);
    EXPECT_TEXT_EQ("DOMAIN\\alice", found.by);
    EXPECT_INT_EQ(SINCE_MS, found.since_ms);
    char words[256];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    hold_words(&found, &text);
    EXPECT_TEXT_EQ("held by DOMAIN\\alice: replacing a fan, \xc3\xbcnder warranty", words);

    hold.is_held = false;
    EXPECT_OK(hold_write(path, &hold, &why), &why);
    hold_read(path, &found);
    EXPECT_FALSE(found.is_held);
    EXPECT_TEXT_EQ("", found.reason);
    EXPECT_TEXT_EQ("DOMAIN\\alice", found.by);
}

static enum cas_err check(const char *reason, struct cas_why *why)
{
    return hold_check_reason(cas_slice_of(reason), why);
}

/* Why: the operators act on these words; nothing goes into the file that the wire would not take.
 */
TEST(hold, a_reason_is_one_line_of_plain_text)
{
    char longest[REASON_BYTES + 1];
    memset(longest, 'x', sizeof longest);
    longest[REASON_BYTES - 1] = '\0';
    struct cas_why why = {.text = ""};
    EXPECT_OK(check("x", &why), &why);
    EXPECT_OK(check(longest, &why), &why);
    longest[REASON_BYTES - 1] = 'x';
    longest[REASON_BYTES] = '\0';
    EXPECT_ERR(CAS_ERR_TOO_LONG, check(longest, &why));
    EXPECT_TEXT_EQ("reason: 128 bytes, 1 to 127", why.text);
    EXPECT_ERR(CAS_ERR_MISSING, check("", &why));
    EXPECT_TEXT_HAS("--reason", why.text);
    EXPECT_ERR(CAS_ERR_MISSING, check("   ", &why));
    static const char *const bad[] = {"a\nb", "a\tb", "\x1b[31m", "\x7f", "\xff", "\xc3"};
    for (size_t i = 0; i < CAS_COUNT(bad); i++)
        EXPECT_ERR(CAS_ERR_FORMAT, check(bad[i], &why));

    struct hold hold = held("a\nb");
    EXPECT_ERR(CAS_ERR_FORMAT, hold_write(test_path("hold"), &hold, &why));
    struct hold found = {.is_held = true};
    hold_read(test_path("hold"), &found);
    EXPECT_FALSE(found.is_held);
}

/* Why: a veto does not end by an accident. What is there and cannot be understood counts as held,
 * and says what is wrong with it. How: a good file, then each way to spoil it. */
TEST(hold, a_file_that_is_none_counts_as_held)
{
    static const char good[] = "casfleet hold 1\nstate held\nsince 2026-11-29T09:00:05.000Z\n"
                               "by alice\nreason fan\n";
    struct hold found;
    hold_parse("/x/hold", cas_slice_of(good), &found);
    EXPECT_TRUE(found.is_held);
    EXPECT_TEXT_EQ("fan", found.reason);
    for (size_t size = 0; size < sizeof good - 1; size++) {
        hold_parse("/x/hold", (struct cas_slice){good, size}, &found);
        EXPECT_TRUE(found.is_held);
        EXPECT_TEXT_EQ("not a hold file: /x/hold", found.reason);
        EXPECT_TEXT_EQ("casfleet-agent", found.by);
        EXPECT_INT_EQ(0, found.since_ms);
    }
    static const char *const bad[] = {
        "casfleet hold 2\nstate held\nsince 2026-11-29T09:00:05.000Z\nby alice\nreason fan\n",
        "casfleet hold 1\nstate maybe\nsince 2026-11-29T09:00:05.000Z\nby alice\nreason fan\n",
        "casfleet hold 1\nstate released\nsince 2026-11-29T09:00:05.000Z\nby alice\nreason fan\n",
        "casfleet hold 1\nstate held\nsince 2026-11-29T09:00:05.000Z\nby alice\nreason \n",
        "casfleet hold 1\nstate held\nsince yesterday\nby alice\nreason fan\n",
        "casfleet hold 1\nstate held\nsince 2026-11-29T09:00:05.000Z\nby \nreason fan\n",
        "casfleet hold 1\nstate held\nsince 2026-11-29T09:00:05.000Z\nby alice\nreason f\x1b[n\n",
        "casfleet hold 1\nstate held\nsince 2026-11-29T09:00:05.000Z\nby alice\nreason fan\nmore\n",
    };
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        hold_parse("/x/hold", cas_slice_of(bad[i]), &found);
        EXPECT_TRUE(found.is_held);
        EXPECT_TEXT_HAS("not a hold file", found.reason);
    }
}

/* How: a folder where the file should be, and a file longer than any hold. */
TEST(hold, a_file_that_cannot_be_read_counts_as_held)
{
    struct hold found = {.is_held = false};
    hold_read(test_folder(), &found);
    EXPECT_TRUE(found.is_held);
    EXPECT_TRUE(found.reason[0] != '\0');

    static char big[4096];
    memset(big, 'x', sizeof big);
    test_write(test_path("big"), big, sizeof big);
    hold_read(test_path("big"), &found);
    EXPECT_TRUE(found.is_held);
    EXPECT_TRUE(cas_is_clean_text(cas_slice_of(found.reason)));
}
