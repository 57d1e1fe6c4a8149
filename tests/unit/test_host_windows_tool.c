#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <windows.h>

#include <shellapi.h>

#include "agent/host/host_windows.h"

/* The tool that is run is this very program: with CASFLEET_TEST_TOOL set it plays a tool instead of
 * testing one, before its main begins. */
static const char *const play_variable = "CASFLEET_TEST_TOOL";

enum {
    FLOOD_PIECES = 800,
    FLOOD_BYTES = 65536,
    LONG_MS = 60000,
};

static void say(const void *bytes, size_t size)
{
    DWORD written = 0;
    (void)WriteFile(GetStdHandle(STD_OUTPUT_HANDLE), bytes, (DWORD)size, &written, NULL);
}

static void play_words(void)
{
    int word_n = 0;
    LPWSTR *word = CommandLineToArgvW(GetCommandLineW(), &word_n);
    for (int i = 1; i < word_n && word != NULL; i++) {
        /* Both readers of a command line, Windows' and the C runtime's. */
        char text[512];
        int size = WideCharToMultiByte(CP_UTF8, 0, word[i], -1, text, sizeof text, NULL, NULL);
        bool is_same = __argc == word_n && strcmp(__argv[i], text) == 0;
        say(is_same ? "=" : "!", 1);
        say(text, (size_t)(size > 0 ? size - 1 : 0));
        say("\n", 1);
    }
}

static void play_flood(void)
{
    static char flood[FLOOD_BYTES];
    memset(flood, 'y', sizeof flood);
    for (int i = 0; i < FLOOD_PIECES; i++)
        say(flood, sizeof flood);
}

static void play_child(void)
{
    char path[MAX_PATH];
    STARTUPINFOA start = {.cb = sizeof start};
    PROCESS_INFORMATION child;
    (void)SetEnvironmentVariableA(play_variable, "hang");
    (void)GetModuleFileNameA(NULL, path, sizeof path);
    if (CreateProcessA(path, NULL, NULL, NULL, TRUE, 0, NULL, NULL, &start, &child))
        say(&child.dwProcessId, sizeof child.dwProcessId);
}

__attribute__((constructor)) static void play(void)
{
    char part[32] = "";
    char byte = 0;
    DWORD got = 1;
    UINT code = 0;
    if (GetEnvironmentVariableA(play_variable, part, sizeof part) == 0)
        return;
    if (strcmp(part, "words") == 0)
        play_words();
    else if (strcmp(part, "flood") == 0)
        play_flood();
    else if (strcmp(part, "child") == 0)
        play_child();
    else if (strcmp(part, "oem") == 0)
        say("f\x81r", 3);
    else if (strcmp(part, "utf16") == 0)
        say(L"f\x00fcr", 6);
    else if (strcmp(part, "hang") == 0)
        Sleep(INFINITE);
    else if (strcmp(part, "input") == 0)
        code = ReadFile(GetStdHandle(STD_INPUT_HANDLE), &byte, 1, &got, NULL) ? got : 9;
    else
        code = (UINT)strtoul(part, NULL, 10);
    ExitProcess(code);
}

static struct cas_now now_of(void)
{
    return (struct cas_now){.mono_ms = (int64_t)GetTickCount64()};
}

/* Plays a tool to its end; it stays for the caller to free. */
static struct windows_tool *
run(const char *part, const char *const *argument, int64_t limit_ms, struct windows_tool_end *end)
{
    char path[MAX_PATH];
    struct windows_tool *tool = NULL;
    struct cas_why why = {.text = ""};
    (void)GetModuleFileNameA(NULL, path, sizeof path);
    (void)SetEnvironmentVariableA(play_variable, part);
    enum cas_err err = windows_tool_start(path, argument, now_of().mono_ms + limit_ms, &tool, &why);
    (void)SetEnvironmentVariableA(play_variable, NULL);
    EXPECT_OK(err, &why);
    *end = (struct windows_tool_end){.is_over = false};
    while (!end->is_over) {
        EXPECT_OK(windows_tool_poll(tool, now_of(), end, &why), &why);
        SwitchToThread();
    }
    return tool;
}

static const char *const no_words[] = {NULL};

TEST(windows_tool, exit_codes_come_back_whole)
{
    static const char *const codes[] = {"0", "1", "1168", "2147942405"};
    for (size_t i = 0; i < CAS_COUNT(codes); i++) {
        struct windows_tool_end end;
        windows_tool_free(run(codes[i], no_words, LONG_MS, &end));
        EXPECT_FALSE(end.is_killed);
        EXPECT_UINT_EQ(strtoul(codes[i], NULL, 10), end.code);
    }
}

TEST(windows_tool, one_that_hangs_is_killed_at_its_deadline)
{
    struct windows_tool_end end;
    int64_t begun_ms = now_of().mono_ms;
    windows_tool_free(run("hang", no_words, 300, &end));
    EXPECT_TRUE(end.is_killed);
    EXPECT_TRUE(now_of().mono_ms - begun_ms >= 300);
}

/* Why: a tool whose output nobody reads waits for ever, one whose output is all kept eats memory.
 */
TEST(windows_tool, a_flood_is_drained_counted_and_dropped)
{
    struct windows_tool_end end;
    windows_tool_free(run("flood", no_words, LONG_MS, &end));
    EXPECT_FALSE(end.is_killed);
    EXPECT_UINT_EQ(WINDOWS_OUTPUT_BYTES, end.output.size);
    EXPECT_UINT_EQ((uint64_t)FLOOD_PIECES * FLOOD_BYTES - WINDOWS_OUTPUT_BYTES, end.dropped_bytes);
}

TEST(windows_tool, its_input_has_ended_before_it_begins)
{
    struct windows_tool_end end;
    windows_tool_free(run("input", no_words, LONG_MS, &end));
    EXPECT_UINT_EQ(0, end.code);
}

/* Why: what a tool leaves running holds the pipe open; it must neither hold us nor outlive us. */
TEST(windows_tool, its_children_hold_nothing_up_and_end_with_it)
{
    struct windows_tool_end end;
    struct windows_tool *tool = run("child", no_words, LONG_MS, &end);
    DWORD pid = 0;
    EXPECT_FALSE(end.is_killed);
    EXPECT_UINT_EQ(sizeof pid, end.output.size);
    memcpy(&pid, end.output.data, sizeof pid);
    HANDLE child = OpenProcess(SYNCHRONIZE, FALSE, pid);
    EXPECT_NOT_NULL(child);
    windows_tool_free(tool);
    DWORD state = WaitForSingleObject(child, LONG_MS);
    CloseHandle(child);
    EXPECT_UINT_EQ(WAIT_OBJECT_0, state);
}

TEST(windows_tool, words_reach_both_readers_of_command_lines_as_they_were)
{
    static const char *const words[] = {"",
                                        "a b",
                                        "a\"b",
                                        "\\",
                                        "a\\ b\\",
                                        "\\\"",
                                        "\"\"",
                                        "a\\\\\"",
                                        " ",
                                        "\\\\s\\x y\\",
                                        "/apppool.name:My Pool",
                                        "%PATH% ^ &",
                                        NULL};
    char expected[512];
    struct cas_text text = CAS_TEXT(expected);
    struct windows_tool_end end;
    cas_text_clear(&text);
    for (size_t i = 0; words[i] != NULL; i++)
        cas_text_add(&text, "=%s\n", words[i]);
    struct windows_tool *tool = run("words", words, LONG_MS, &end);
    EXPECT_SLICE_EQ(expected, end.output);
    windows_tool_free(tool);
}

TEST(windows_tool, its_words_become_utf8_whatever_it_writes)
{
    static const char *const parts[] = {"utf16", "oem"};
    for (size_t i = 0; i < CAS_COUNT(parts); i++) {
        struct windows_tool_end end;
        char *text = NULL;
        size_t size = 0;
        struct windows_tool *tool = run(parts[i], no_words, LONG_MS, &end);
        EXPECT_OK(windows_tool_text(end.output, &text, &size, NULL), NULL);
        bool is_right = strcmp(text, "f\xC3\xBCr") == 0;
        free(text);
        windows_tool_free(tool);
        EXPECT_TRUE(is_right);
    }
}

TEST(windows_tool, a_program_that_is_not_there_is_named)
{
    struct windows_tool *tool = NULL;
    struct cas_why why = {.text = ""};
    char path[WINDOWS_PATH_BYTES];
    EXPECT_ERR(CAS_ERR_NOT_FOUND,
               windows_tool_start("C:\\windows\\none.exe", no_words, 0, &tool, &why));
    EXPECT_TEXT_HAS("C:\\windows\\none.exe", why.text);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, windows_system_path("none.exe", path, &why));
    EXPECT_TEXT_HAS("none.exe", why.text);
}
