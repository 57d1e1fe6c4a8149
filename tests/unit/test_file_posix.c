#include "tests/unit/test.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/base/clock.h"
#include "proto/base/failpoint.h"
#include "proto/base/file.h"

static struct cas_why why;

static unsigned mode_of(const char *path)
{
    struct stat state;
    CAS_ASSERT(stat(path, &state) == 0);
    return (unsigned)state.st_mode & 07777u;
}

/* A disk with this many bytes left, for files we write ourselves. */
static void limit_files(rlim_t bytes)
{
    struct rlimit limit;
    CAS_ASSERT(getrlimit(RLIMIT_FSIZE, &limit) == 0);
    limit.rlim_cur = bytes;
    CAS_ASSERT(setrlimit(RLIMIT_FSIZE, &limit) == 0);
    CAS_ASSERT(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
}

TEST(file, what_is_written_is_read_back)
{
    char *data = NULL;
    size_t size = 0;
    const char *path = test_path("a");
    EXPECT_OK(file_write(path, (struct cas_slice){"a\0b", 3}, FILE_PUBLIC, &why), &why);
    EXPECT_OK(file_write(path, (struct cas_slice){"c\0de", 4}, FILE_PUBLIC, &why), &why);
    EXPECT_OK(file_read(path, 4, FILE_PUBLIC, &data, &size, &why), &why);
    EXPECT_UINT_EQ(4, size);
    EXPECT_BYTES_EQ("c\0de", data, 5);
    free(data);
    EXPECT_UINT_EQ(0644, mode_of(path));
    EXPECT_TRUE(file_exists(path));
    EXPECT_FALSE(file_exists(test_path("b")));
}

TEST(file, a_file_beyond_its_cap_is_refused)
{
    char *data = NULL;
    size_t size = 0;
    const char *path = test_path("a");
    test_write(path, "12345", 5);
    EXPECT_ERR(CAS_ERR_TOO_LONG, file_read(path, 4, FILE_PUBLIC, &data, &size, &why));
    EXPECT_TEXT_HAS("/a: has 5 bytes, at most 4 are read", why.text);
    EXPECT_NULL(data);
    EXPECT_ERR(CAS_ERR_NOT_FOUND, file_read(test_path("b"), 4, FILE_PUBLIC, &data, &size, &why));
    EXPECT_TEXT_HAS("/b: cannot open: No such file", why.text);
    EXPECT_ERR(CAS_ERR_FORMAT, file_read(test_folder(), 4, FILE_PUBLIC, &data, &size, &why));
    CAS_ASSERT(mkfifo(test_path("fifo"), 0600) == 0);
    EXPECT_ERR(CAS_ERR_FORMAT, file_read(test_path("fifo"), 4, FILE_PUBLIC, &data, &size, &why));
}

/* Why: a key others can read is no key; nobody looks at modes until a program refuses to start. */
TEST(file, a_secret_others_can_read_is_refused)
{
    char *data = NULL;
    size_t size = 0;
    const char *path = test_path("agent.key");
    EXPECT_OK(file_create(path, cas_slice_of("secret"), FILE_SECRET, &why), &why);
    EXPECT_UINT_EQ(0600, mode_of(path));
    static const unsigned bad[] = {0640, 0604, 0644, 0601, 0700, 0666, 04600};
    for (size_t i = 0; i < CAS_COUNT(bad); i++) {
        CAS_ASSERT(chmod(path, (mode_t)bad[i]) == 0);
        EXPECT_ERR(CAS_ERR_MODE, file_read(path, 100, FILE_SECRET, &data, &size, &why));
    }
    CAS_ASSERT(chmod(path, 0640) == 0);
    EXPECT_ERR(CAS_ERR_MODE, file_read(path, 100, FILE_SECRET, &data, &size, &why));
    EXPECT_TEXT_HAS("agent.key: holds a secret and has mode 0640, must be 0600", why.text);
    EXPECT_OK(file_read(path, 100, FILE_PUBLIC, &data, &size, &why), &why);
    free(data);
    static const unsigned good[] = {0600, 0400};
    for (size_t i = 0; i < CAS_COUNT(good); i++) {
        CAS_ASSERT(chmod(path, (mode_t)good[i]) == 0);
        EXPECT_OK(file_read(path, 100, FILE_SECRET, &data, &size, &why), &why);
        EXPECT_TEXT_EQ("secret", data);
        free(data);
    }
}

/* Why: overwriting a key locks an agent out for good. */
TEST(file, create_never_replaces)
{
    char *data = NULL;
    size_t size = 0;
    const char *path = test_path("agent.key");
    EXPECT_OK(file_create(path, cas_slice_of("first"), FILE_SECRET, &why), &why);
    EXPECT_ERR(CAS_ERR_EXISTS, file_create(path, cas_slice_of("second"), FILE_SECRET, &why));
    EXPECT_TEXT_HAS("agent.key: cannot create", why.text);
    EXPECT_OK(file_read(path, 100, FILE_SECRET, &data, &size, &why), &why);
    EXPECT_TEXT_EQ("first", data);
    free(data);
}

/* Why: a full disk must leave the old content whole and no rubbish beside it. */
TEST(file, a_full_disk_leaves_the_old_content)
{
    char *data = NULL;
    size_t size = 0;
    char big[4096] = {0};
    const char *path = test_path("only/plan");
    EXPECT_OK(file_folder(test_path("only"), &why), &why);
    EXPECT_OK(file_write(path, cas_slice_of("old"), FILE_PUBLIC, &why), &why);
    limit_files(1024);
    EXPECT_ERR(CAS_ERR_FULL,
               file_write(path, (struct cas_slice){big, sizeof big}, FILE_PUBLIC, &why));
    limit_files(RLIM_INFINITY);
    EXPECT_TEXT_HAS("only/plan: cannot write", why.text);
    EXPECT_OK(file_read(path, 100, FILE_PUBLIC, &data, &size, &why), &why);
    EXPECT_TEXT_EQ("old", data);
    free(data);
    EXPECT_INT_EQ(0, unlink(path));
    EXPECT_INT_EQ(0, rmdir(test_path("only")));
}

TEST(file, folders_are_made_private_and_once)
{
    const char *path = test_path("data");
    EXPECT_OK(file_folder(path, &why), &why);
    EXPECT_OK(file_folder(path, &why), &why);
    EXPECT_UINT_EQ(0700, mode_of(path));
    test_write(test_path("data/file"), "", 0);
    EXPECT_ERR(CAS_ERR_EXISTS, file_folder(test_path("data/file"), &why));
    EXPECT_ERR(CAS_ERR_NOT_FOUND, file_folder(test_path("none/data"), &why));
}

/* Why: the effect log is the witness of every test of safety; half a line would be taken for no
 * effect. */
TEST(file, a_log_ends_a_torn_line_and_leaves_none_itself)
{
    const char *path = test_path("effects");
    test_write(path, "one\ntor", 7);
    CAS_AUTO(file_log) log = NULL;
    EXPECT_OK(file_log_open(path, &log, &why), &why);
    EXPECT_OK(file_log_append(log, cas_slice_of("two"), &why), &why);
    limit_files(20);
    EXPECT_ERR(CAS_ERR_FULL, file_log_append(log, cas_slice_of("three, which is too long"), &why));
    EXPECT_TEXT_HAS("effects: cannot append to it", why.text);
    limit_files(RLIM_INFINITY);
    EXPECT_OK(file_log_append(log, cas_slice_of("four\n"), &why), &why);
    char *text = test_read(path, NULL);
    EXPECT_TEXT_EQ("one\ntor\ntwo\nfour\n", text);
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
    (void)snprintf(expected, sizeof expected, "lock: process %d holds this lock", (int)getpid());
    EXPECT_TEXT_HAS(expected, why.text);
    file_lock_free(lock);
    EXPECT_OK(file_lock_take(path, &second, &why), &why);
    file_lock_free(second);
}

TEST(clock, monotonic_time_never_goes_back)
{
    struct cas_now first = clock_now();
    struct cas_now second = clock_now();
    EXPECT_TRUE(second.mono_ms >= first.mono_ms);
    EXPECT_TRUE(first.wall_ms > 1700000000000);
    EXPECT_TRUE(clock_cpu_us() > 0);
}

/* Why: a test that asks for a failure must get it at that passage, and at no other. */
TEST(failpoint, fails_at_the_passage_asked_for)
{
    failpoint_set("ledger.intent:2:eio,outbox.put:2+:enospc");
    EXPECT_OK(failpoint_pass("ledger.intent"), NULL);
    EXPECT_ERR(CAS_ERR_IO, failpoint_pass("ledger.intent"));
    EXPECT_OK(failpoint_pass("ledger.intent"), NULL);
    EXPECT_OK(failpoint_pass("outbox.put"), NULL);
    EXPECT_ERR(CAS_ERR_FULL, failpoint_pass("outbox.put"));
    EXPECT_ERR(CAS_ERR_FULL, failpoint_pass("outbox.put"));
    EXPECT_OK(failpoint_pass("ledger"), NULL);
    failpoint_set(NULL);
    EXPECT_OK(failpoint_pass("outbox.put"), NULL);
}
