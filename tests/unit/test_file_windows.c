#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>

#include <windows.h>

#include <sddl.h>

#include "proto/base/args.h"
#include "proto/base/clock.h"
#include "proto/base/file.h"
#include "proto/base/log.h"
#include "proto/base/wide_windows.h"

static struct cas_why why;

static const wchar_t *wide_of(const char *path)
{
    static wchar_t wide[FILE_PATH_BYTES];
    CAS_ASSERT(wide_path(path, wide, FILE_PATH_BYTES) == CAS_OK);
    return wide;
}

/* A file with these rights, written past the door. */
static void make_with_rights(const char *path, const wchar_t *sddl)
{
    SECURITY_ATTRIBUTES rights = {.nLength = sizeof rights};
    CAS_ASSERT(ConvertStringSecurityDescriptorToSecurityDescriptorW(sddl,
                                                                    SDDL_REVISION_1,
                                                                    &rights.lpSecurityDescriptor,
                                                                    NULL) != 0);
    HANDLE file = CreateFileW(wide_of(path), GENERIC_WRITE, 0, &rights, CREATE_NEW, 0, NULL);
    CAS_ASSERT(file != INVALID_HANDLE_VALUE);
    DWORD put = 0;
    CAS_ASSERT(WriteFile(file, "secret", 6, &put, NULL) != 0);
    CAS_ASSERT(CloseHandle(file) != 0);
    (void)LocalFree(rights.lpSecurityDescriptor);
}

TEST(file, what_is_written_is_read_back)
{
    char *data = NULL;
    size_t size = 0;
    const char *path = test_path("a");
    EXPECT_OK(file_write(path, (struct cas_slice){"a\0b", 3}, FILE_PUBLIC, &why), &why);
    EXPECT_OK(file_write(path, (struct cas_slice){"c\0\r\n", 4}, FILE_PUBLIC, &why), &why);
    EXPECT_OK(file_read(path, 4, FILE_PUBLIC, &data, &size, &why), &why);
    EXPECT_UINT_EQ(4, size);
    EXPECT_BYTES_EQ("c\0\r\n", data, 5);
    free(data);
    EXPECT_TRUE(file_exists(path));
    EXPECT_FALSE(file_exists(test_path("b")));
}

/* Why: a service account's folder may be called anything, and be deep. */
TEST(file, paths_are_utf8_and_may_be_long)
{
    char *data = NULL;
    size_t size = 0;
    char name[700] = "";
    struct cas_text text = CAS_TEXT(name);
    for (int i = 0; i < 3; i++) {
        cas_text_add(&text, "%s", i == 0 ? "" : "/");
        for (int k = 0; k < 40; k++)
            cas_text_add(&text, "Grö");
        EXPECT_OK(file_folder(test_path(name), &why), &why);
    }
    cas_text_add(&text, "/日本.key");
    const char *path = test_path(name);
    EXPECT_OK(file_create(path, cas_slice_of("secret"), FILE_SECRET, &why), &why);
    EXPECT_OK(file_read(path, 100, FILE_SECRET, &data, &size, &why), &why);
    EXPECT_TEXT_EQ("secret", data);
    free(data);
    EXPECT_ERR(CAS_ERR_FORMAT, file_folder(test_path("\xff"), &why));
    EXPECT_TEXT_HAS("cannot be used as a path", why.text);
}

TEST(file, reasons_name_the_path_and_what_windows_said)
{
    char *data = NULL;
    size_t size = 0;
    const char *path = test_path("a");
    test_write(path, "12345", 5);
    EXPECT_ERR(CAS_ERR_TOO_LONG, file_read(path, 4, FILE_PUBLIC, &data, &size, &why));
    EXPECT_TEXT_HAS("/a: has 5 bytes, at most 4 are read", why.text);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, file_read(test_path("b"), 4, FILE_PUBLIC, &data, &size, &why));
    EXPECT_TEXT_HAS("/b: cannot open: error 2 (", why.text);
    EXPECT_ERR(CAS_ERR_FORMAT, file_read(test_folder(), 4, FILE_PUBLIC, &data, &size, &why));
    EXPECT_ERR(CAS_ERR_NOT_FOUND, file_folder(test_path("none/data"), &why));
    EXPECT_ERR(CAS_ERR_EXISTS, file_folder(path, &why));
    EXPECT_NULL(data);
}

/* Why: a key others can read is no key. How: Wine keeps no list of rights, only what Unix has room
 * for, so everyone is tried, and nobody else. */
TEST(file, a_secret_others_can_read_is_refused)
{
    char *data = NULL;
    size_t size = 0;
    EXPECT_OK(file_create(test_path("made"), cas_slice_of("secret"), FILE_SECRET, &why), &why);
    EXPECT_OK(file_read(test_path("made"), 100, FILE_SECRET, &data, &size, &why), &why);
    free(data);
    data = NULL;
    make_with_rights(test_path("open"), L"D:P(A;;FA;;;SY)(A;;FA;;;BA)(A;;FR;;;WD)");
    EXPECT_ERR(CAS_ERR_MODE, file_read(test_path("open"), 100, FILE_SECRET, &data, &size, &why));
    EXPECT_TEXT_HAS("/open: holds a secret and is open to S-1-1-0", why.text);
    EXPECT_NULL(data);
    EXPECT_OK(file_read(test_path("open"), 100, FILE_PUBLIC, &data, &size, &why), &why);
    free(data);
}

/* Why: overwriting a key locks an agent out for good. */
TEST(file, create_never_replaces_and_leaves_nothing_beside)
{
    const char *path = test_path("only/agent.key");
    EXPECT_OK(file_folder(test_path("only"), &why), &why);
    EXPECT_OK(file_create(path, cas_slice_of("first"), FILE_SECRET, &why), &why);
    EXPECT_ERR(CAS_ERR_EXISTS, file_create(path, cas_slice_of("second"), FILE_SECRET, &why));
    EXPECT_TEXT_HAS("agent.key: cannot create", why.text);
    char *text = test_read(path, NULL);
    EXPECT_TEXT_EQ("first", text);
    free(text);
    EXPECT_TRUE(DeleteFileW(wide_of(path)) != 0);
    EXPECT_TRUE(RemoveDirectoryW(wide_of(test_path("only"))) != 0);
}

/* Why: a file somebody holds cannot be replaced on Windows; the old content must stay whole. */
TEST(file, a_held_file_is_not_replaced_and_says_so)
{
    const char *path = test_path("plan");
    EXPECT_OK(file_write(path, cas_slice_of("old"), FILE_PUBLIC, &why), &why);
    HANDLE held =
        CreateFileW(wide_of(path), GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, 0, NULL);
    CAS_ASSERT(held != INVALID_HANDLE_VALUE);
    enum cas_err err = file_write(path, cas_slice_of("new"), FILE_PUBLIC, &why);
    CAS_ASSERT(CloseHandle(held) != 0);
    EXPECT_TRUE(err == CAS_ERR_IO || err == CAS_ERR_DENIED);
    EXPECT_TEXT_HAS("plan: cannot write: error ", why.text);
    char *text = test_read(path, NULL);
    EXPECT_TEXT_EQ("old", text);
    free(text);
}

TEST(file, a_log_ends_a_torn_line_and_can_be_moved_away)
{
    const char *path = test_path("effects");
    test_write(path, "one\ntor", 7);
    CAS_AUTO(file_log) log = NULL;
    EXPECT_OK(file_log_open(path, &log, &why), &why);
    EXPECT_OK(file_log_append(log, cas_slice_of("two"), &why), &why);
    EXPECT_OK(file_log_append(log, cas_slice_of("four\n"), &why), &why);
    char *text = test_read(path, NULL);
    EXPECT_TEXT_EQ("one\ntor\ntwo\nfour\n", text);
    free(text);
    wchar_t from[FILE_PATH_BYTES];
    (void)memcpy(from, wide_of(path), sizeof from);
    EXPECT_TRUE(MoveFileExW(from, wide_of(test_path("effects.1")), 0) != 0);
}

TEST(log, the_file_of_a_running_program_can_be_moved_away)
{
    const char *path = test_path("agent.log");
    EXPECT_OK(log_open(path, &why), &why);
    log_event(EVENT_STOP, "first");
    wchar_t from[FILE_PATH_BYTES];
    (void)memcpy(from, wide_of(path), sizeof from);
    EXPECT_TRUE(MoveFileExW(from, wide_of(test_path("agent.log.1")), 0) != 0);
    EXPECT_OK(log_open(path, &why), &why);
    log_event(EVENT_STOP, "second");
    log_close();
    char *text = test_read(path, NULL);
    EXPECT_TEXT_HAS(" stop second\n", text);
    EXPECT_NULL(strchr(text, '\r'));
    free(text);
    text = test_read(test_path("agent.log.1"), NULL);
    EXPECT_TEXT_HAS(" stop first\n", text);
    free(text);
}

TEST(file, a_lock_is_held_by_one_and_names_its_holder)
{
    const char *path = test_path("lock");
    struct file_lock *lock = NULL;
    struct file_lock *second = NULL;
    char expected[64];
    EXPECT_OK(file_lock_take(path, &lock, &why), &why);
    EXPECT_ERR(CAS_ERR_LOCKED, file_lock_take(path, &second, &why));
    (void)snprintf(expected,
                   sizeof expected,
                   "lock: process %lu holds this lock",
                   GetCurrentProcessId());
    EXPECT_TEXT_HAS(expected, why.text);
    EXPECT_FALSE(DeleteFileW(wide_of(path)) != 0);
    file_lock_free(lock);
    EXPECT_OK(file_lock_take(path, &second, &why), &why);
    file_lock_free(second);
}

TEST(clock, monotonic_time_never_goes_back)
{
    struct cas_now first = clock_now();
    Sleep(50);
    struct cas_now second = clock_now();
    EXPECT_TRUE(second.mono_ms - first.mono_ms >= 20);
    EXPECT_TRUE(second.wall_ms - first.wall_ms >= 20);
    EXPECT_TRUE(first.wall_ms > 1700000000000 && first.wall_ms < 4102444800000);
    EXPECT_TRUE(clock_cpu_us() >= 0);
}

/* Why: text crosses this border with every name Windows has. */
TEST(wide, text_crosses_and_comes_back)
{
    wchar_t wide[8];
    char text[8];
    EXPECT_OK(wide_from_utf8("a\xc3\xa9\xf0\x9f\x98\x80", wide, CAS_COUNT(wide)), NULL);
    EXPECT_TRUE(wcscmp(wide, L"a\x00e9\xd83d\xde00") == 0);
    EXPECT_OK(wide_to_utf8(wide, text, sizeof text), NULL);
    EXPECT_TEXT_EQ("a\xc3\xa9\xf0\x9f\x98\x80", text);
    EXPECT_OK(wide_from_utf8("1234567", wide, CAS_COUNT(wide)), NULL);
    EXPECT_ERR(CAS_ERR_TOO_LONG, wide_from_utf8("12345678", wide, CAS_COUNT(wide)));
    EXPECT_TRUE(wide[0] == L'\0');
    EXPECT_ERR(CAS_ERR_FORMAT, wide_from_utf8("a\xff", wide, CAS_COUNT(wide)));
    EXPECT_OK(wide_to_utf8(L"1234567", text, sizeof text), NULL);
    EXPECT_ERR(CAS_ERR_TOO_LONG, wide_to_utf8(L"12345678", text, sizeof text));
    EXPECT_TEXT_EQ("", text);
    EXPECT_OK(wide_to_utf8(L"\xd83d!", text, sizeof text), NULL);
    EXPECT_TEXT_EQ("\xef\xbf\xbd!", text);
}

TEST(wide, a_path_is_absolute_and_free_of_the_old_length)
{
    wchar_t wide[64];
    EXPECT_OK(wide_path("C:/a/../b\\c", wide, CAS_COUNT(wide)), NULL);
    EXPECT_TRUE(wcscmp(wide, L"\\\\?\\C:\\b\\c") == 0);
    EXPECT_OK(wide_path("//server/share/x", wide, CAS_COUNT(wide)), NULL);
    EXPECT_TRUE(wcscmp(wide, L"\\\\?\\UNC\\server\\share\\x") == 0);
    EXPECT_OK(wide_path("\\\\?\\C:\\b", wide, CAS_COUNT(wide)), NULL);
    EXPECT_TRUE(wcscmp(wide, L"\\\\?\\C:\\b") == 0);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, wide_path("", wide, CAS_COUNT(wide)));
    EXPECT_ERR(CAS_ERR_TOO_LONG, wide_path("C:/a/b", wide, 12));
}

TEST(wide, numbers_of_windows_have_kind_and_words)
{
    char data[320];
    struct cas_text text = CAS_TEXT(data);
    cas_text_clear(&text);
    wide_err_words(ERROR_ACCESS_DENIED, &text);
    EXPECT_TEXT_HAS("error 5 (Access", data);
    cas_text_clear(&text);
    wide_err_words(0x2fffffff, &text);
    EXPECT_TEXT_EQ("error 805306367", data);
    EXPECT_ERR(CAS_ERR_FULL, wide_err_of(ERROR_DISK_FULL));
    EXPECT_ERR(CAS_ERR_DENIED, wide_err_of(ERROR_ACCESS_DENIED));
    EXPECT_ERR(CAS_ERR_NOT_FOUND, wide_err_of(ERROR_PATH_NOT_FOUND));
    EXPECT_ERR(CAS_ERR_IO, wide_err_of(ERROR_CRC));
}

TEST(args, the_environment_is_utf8)
{
    CAS_ASSERT(SetEnvironmentVariableW(L"CASFLEET_TEST", L"Gr\x00f6\x00df!") != 0);
    EXPECT_TEXT_EQ("Gr\xc3\xb6\xc3\x9f!", args_environment("CASFLEET_TEST"));
    EXPECT_NULL(args_environment("CASFLEET_TEST_ABSENT"));
}
