#include "agent/host/quote.h"

#include <stdlib.h>

#include "tests/unit/test.h"

enum {
    WORDS = 8,
    WORD_BYTES = 64
};
static const char *const program = "C:\\Windows\\System32\\inetsrv\\appcmd.exe";

/* A second reader of command lines, written from the published rules and not from quote.c: 2n
 * backslashes before a quote are n and the quote counts, 2n+1 are n and the quote is text; others
 * are plain; a doubled quote between quotes is where old and new runtimes differ, so it may not
 * come up at all. */
struct reader {
    const char *at;
    char word[WORDS][WORD_BYTES * 2];
    size_t word_n;
    bool is_doubtful;
};

static void read_first(struct reader *reader)
{
    size_t size = 0;
    bool is_quoted = *reader->at == '"';
    char stop = is_quoted ? '"' : ' ';
    reader->at += is_quoted ? 1 : 0;
    while (*reader->at != '\0' && *reader->at != stop && size + 1 < sizeof reader->word[0])
        reader->word[0][size++] = *reader->at++;
    reader->word[0][size] = '\0';
    reader->at += is_quoted && *reader->at == '"' ? 1 : 0;
    reader->word_n = 1;
}

static void read_word(struct reader *reader)
{
    char *word = reader->word[reader->word_n++];
    size_t size = 0;
    bool is_inside = false;
    while (*reader->at != '\0' && (is_inside || (*reader->at != ' ' && *reader->at != '\t'))) {
        size_t slashes = strspn(reader->at, "\\");
        bool is_before_quote = reader->at[slashes] == '"';
        size_t kept = is_before_quote ? slashes / 2 : slashes;
        memset(word + size, '\\', kept);
        size += kept;
        reader->at += slashes;
        if (is_before_quote && slashes % 2 == 1) {
            word[size++] = '"';
            reader->at++;
        } else if (is_before_quote) {
            reader->is_doubtful = reader->is_doubtful || (is_inside && reader->at[1] == '"');
            is_inside = !is_inside;
            reader->at++;
        } else if (slashes == 0) {
            word[size++] = *reader->at++;
        }
    }
    word[size] = '\0';
    reader->is_doubtful = reader->is_doubtful || is_inside;
}

static void read_line(const char *line, struct reader *ret_reader)
{
    *ret_reader = (struct reader){.at = line};
    read_first(ret_reader);
    for (;;) {
        ret_reader->at += strspn(ret_reader->at, " \t");
        if (*ret_reader->at == '\0' || ret_reader->word_n == WORDS)
            return;
        read_word(ret_reader);
    }
}

static void expect_back(const char *const *argument, size_t n)
{
    char line[WORDS * WORD_BYTES * 4];
    struct reader reader;
    struct cas_why why = {.text = ""};
    EXPECT_OK(quote_line(program, argument, line, sizeof line, &why), &why);
    read_line(line, &reader);
    EXPECT_FALSE(reader.is_doubtful);
    EXPECT_UINT_EQ(n + 1, reader.word_n);
    EXPECT_TEXT_EQ(program, reader.word[0]);
    for (size_t i = 0; i < n; i++)
        EXPECT_TEXT_EQ(argument[i], reader.word[i + 1]);
}

/* Why: a plain argument stays as an administrator would type it, so that a log can be compared. */
TEST(quote, plain_arguments_are_left_as_they_are)
{
    const char *argument[] = {"recycle", "apppool", "/apppool.name:MSExchangeSyncAppPool", NULL};
    char line[256];
    EXPECT_OK(quote_line(program, argument, line, sizeof line, NULL), NULL);
    EXPECT_TEXT_EQ("\"C:\\Windows\\System32\\inetsrv\\appcmd.exe\" recycle apppool "
                   "/apppool.name:MSExchangeSyncAppPool",
                   line);
}

/* Why: each of these has cost somebody an argument. */
TEST(quote, hard_arguments_come_back_as_they_went)
{
    const char *hard[] = {"", "a b", "a\"b", "\\", "a\\ b\\", "\\\"", NULL};
    const char *harder[] = {"\"\"", "a\\\\\"", " ", "\\\\server\\share\\", "\"a b\"\\\\", NULL};
    expect_back(hard, 6);
    expect_back(harder, 5);
}

/* Why: rules with counted backslashes have more cases than a person thinks of. How: random words
 * out of the few characters that matter, read back by a reader of its own. */
TEST(quote, any_words_come_back_as_they_went)
{
    static const char *const letters[] = {"\\", "\"", " ", "a", "\xC3\xA4", "\\\\", "\\\"", "/"};
    struct test_dice dice = {42};
    for (int turn = 0; turn < 20000; turn++) {
        char word[WORDS - 2][WORD_BYTES];
        const char *argument[WORDS - 1];
        size_t n = (size_t)test_below(&dice, WORDS - 1);
        for (size_t i = 0; i < n; i++) {
            struct cas_text text = CAS_TEXT(word[i]);
            cas_text_clear(&text);
            for (uint64_t left = test_below(&dice, 12); left > 0; left--)
                cas_text_add(&text, "%s", letters[test_below(&dice, CAS_COUNT(letters))]);
            argument[i] = word[i];
        }
        argument[n] = NULL;
        expect_back(argument, n);
    }
}

/* Why: a name found along a search path, or a batch file, would be somebody else's program or a
 * command shell. */
TEST(quote, only_a_full_path_of_an_exe_is_a_program)
{
    static const char *const refused[] = {
        "appcmd.exe",
        "",
        "C:appcmd.exe",
        "\\appcmd.exe",
        "\\\\server\\share\\appcmd.exe",
        "C:/Windows/appcmd.exe",
        "C:\\Windows\\a.cmd",
        "C:\\Windows\\a.bat",
        "C:\\Windows\\appcmd",
        "C:\\Win\"dows\\appcmd.exe",
        "C:\\Win\ndows\\appcmd.exe",
    };
    const char *none[] = {NULL};
    char line[256];
    struct cas_why why = {.text = ""};
    for (size_t i = 0; i < CAS_COUNT(refused); i++)
        EXPECT_ERR(CAS_ERR_FORMAT, quote_line(refused[i], none, line, sizeof line, &why));
    EXPECT_TEXT_HAS("full path", why.text);
    EXPECT_OK(quote_line("c:\\A.EXE", none, line, sizeof line, &why), &why);
}

TEST(quote, control_characters_and_broken_text_are_refused)
{
    static const char *const refused[] = {"a\nb", "a\rb", "a\tb", "\x01", "\x7F", "\xC3", "\xFF"};
    char line[256];
    for (size_t i = 0; i < CAS_COUNT(refused); i++) {
        struct cas_why why = {.text = ""};
        const char *argument[] = {"list", refused[i], NULL};
        EXPECT_ERR(CAS_ERR_FORMAT, quote_line(program, argument, line, sizeof line, &why));
        EXPECT_TEXT_HAS("argument 2", why.text);
    }
}

/* Why: CreateProcess counts UTF-16 units with the ending one; a character beyond the first plane is
 * two of them and four bytes. */
TEST(quote, the_longest_line_fits_and_one_unit_more_does_not)
{
    size_t head = strlen(program) + 3; /* quotes and the blank */
    size_t room = QUOTE_LINE_UNITS - 1 - head;
    char *word = calloc(1, QUOTE_LINE_BYTES + 8);
    char *line = malloc(QUOTE_LINE_BYTES);
    EXPECT_NOT_NULL(word);
    EXPECT_NOT_NULL(line);
    const char *argument[] = {word, NULL};
    for (size_t i = 0; i + 1 < room; i += 2)
        memcpy(word + 2 * i, "\xF0\x9F\x93\xA7", 4);
    size_t size = strlen(word);
    if (room % 2 == 1)
        word[size++] = 'a';
    enum cas_err fits = quote_line(program, argument, line, QUOTE_LINE_BYTES, NULL);
    size_t line_size = strlen(line);
    word[size] = 'b';
    struct cas_why why = {.text = ""};
    enum cas_err over = quote_line(program, argument, line, QUOTE_LINE_BYTES, &why);
    word[size] = '\0';
    enum cas_err tight = quote_line(program, argument, line, line_size + 1, NULL);
    enum cas_err small = quote_line(program, argument, line, line_size, NULL);
    free(word);
    free(line);
    EXPECT_OK(fits, NULL);
    EXPECT_UINT_EQ(head + size, line_size);
    EXPECT_ERR(CAS_ERR_TOO_LONG, over);
    EXPECT_TEXT_HAS("32766", why.text);
    EXPECT_OK(tight, NULL);
    EXPECT_ERR(CAS_ERR_TOO_LONG, small);
}
