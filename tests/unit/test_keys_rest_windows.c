#include "tests/unit/test.h"

#include <stdlib.h>

#include <windows.h>

#include "proto/base/file.h"
#include "proto/trust/keys.h"

static enum cas_err
load_bytes(const char *path, struct cas_slice bytes, struct keys **ret_keys, struct cas_why *why)
{
    (void)remove(path);
    EXPECT_OK(file_create(path, bytes, FILE_SECRET, why), why);
    return keys_load(path, KEYS_CURVE, ret_keys, why);
}

TEST(keys_rest_windows, a_key_reads_back_and_does_not_lie_in_clear)
{
    const char *path = test_path("agent.key");
    struct keys *made = NULL;
    struct keys *read = NULL;
    struct cas_why why = {""};
    bool is_new = false;
    EXPECT_OK(keys_start(&why), &why);
    EXPECT_OK(keys_load_or_make(path, KEYS_CURVE, &made, &is_new, &why), &why);
    EXPECT_TRUE(is_new);
    EXPECT_OK(keys_load_or_make(path, KEYS_CURVE, &read, &is_new, &why), &why);
    EXPECT_FALSE(is_new);
    EXPECT_BYTES_EQ(keys_secret_of(made), keys_secret_of(read), CAS_KEY_BYTES);
    size_t size = 0;
    char *data = test_read(path, &size);
    EXPECT_BYTES_EQ("CASSEAL\x1a", data, 8);
    for (size_t i = 0; i + 8 <= size; i++)
        EXPECT_FALSE(memcmp(data + i, "casfleet", 8) == 0 || memcmp(data + i, "secret =", 8) == 0);
    free(data);
    keys_free(made);
    keys_free(read);
}

/* Why: Wine's DPAPI does not notice a changed byte, and what goes into Windows' own should be ours.
 * How: every byte of the file, one at a time. */
TEST(keys_rest_windows, a_file_with_a_changed_byte_is_refused)
{
    const char *path = test_path("agent.key");
    struct keys *keys = NULL;
    struct cas_why why = {""};
    bool is_new = false;
    EXPECT_OK(keys_start(&why), &why);
    EXPECT_OK(keys_load_or_make(path, KEYS_CURVE, &keys, &is_new, &why), &why);
    keys_free(keys);
    size_t size = 0;
    char *data = test_read(path, &size);
    for (size_t i = 0; i < size; i++) {
        data[i] = (char)(data[i] ^ 1);
        enum cas_err err = load_bytes(path, (struct cas_slice){data, size}, &keys, &why);
        EXPECT_TRUE(err == CAS_ERR_CORRUPT || err == CAS_ERR_CONFIG || err == CAS_ERR_FORMAT ||
                    err == CAS_ERR_VERSION);
        data[i] = (char)(data[i] ^ 1);
    }
    EXPECT_ERR(CAS_ERR_CORRUPT, load_bytes(path, (struct cas_slice){data, size - 1}, &keys, &why));
    EXPECT_TEXT_HAS("was changed or damaged since it was sealed", why.text);
    EXPECT_OK(load_bytes(path, (struct cas_slice){data, size}, &keys, &why), &why);
    keys_free(keys);
    free(data);
}

TEST(keys_rest_windows, a_file_in_clear_or_of_another_machine_is_refused)
{
    const char *path = test_path("agent.key");
    static char other[120] = "CASSEAL\x1a\x01M\tLON-CAS01";
    struct keys *keys = NULL;
    struct cas_why why = {""};
    EXPECT_OK(keys_start(&why), &why);
    EXPECT_ERR(CAS_ERR_FORMAT, load_bytes(path, cas_slice_of("casfleet-key curve\n"), &keys, &why));
    EXPECT_TEXT_HAS("is a key file in clear", why.text);
    EXPECT_ERR(CAS_ERR_CONFIG,
               load_bytes(path, (struct cas_slice){other, sizeof other}, &keys, &why));
    EXPECT_TEXT_HAS("was sealed on another machine, LON-CAS01, and this is", why.text);
}

enum {
    MAKERS = 6,
    ROUNDS = 20
};
struct maker {
    const char *path;
    HANDLE go;
    struct keys *keys;
    bool is_new;
    enum cas_err err;
    struct cas_why why;
};

static DWORD WINAPI make(void *context)
{
    struct maker *maker = context;
    (void)WaitForSingleObject(maker->go, INFINITE);
    maker->err =
        keys_load_or_make(maker->path, KEYS_CURVE, &maker->keys, &maker->is_new, &maker->why);
    return 0;
}

/* Why: the service and a person's first call make the machine's seal and the agent's key at the
 * same time; the one whose seal is replaced has a key file that nothing opens any more.
 * How: no seal, then six at once, two for each of three files. */
TEST(keys_rest_windows, makers_at_once_end_with_one_seal_and_one_key_a_file)
{
    static const wchar_t place[] = L"SOFTWARE\\casfleet\\Agent";
    const char *paths[] = {test_path("a.key"), test_path("b.key"), test_path("c.key")};
    struct cas_why why = {""};
    EXPECT_OK(keys_start(&why), &why);
    for (int round = 0; round < ROUNDS; round++) {
        struct maker maker[MAKERS];
        HANDLE thread[MAKERS];
        HANDLE go = CreateEventW(NULL, TRUE, FALSE, NULL);
        (void)RegDeleteKeyValueW(HKEY_LOCAL_MACHINE, place, L"KeySeal");
        for (size_t i = 0; i < MAKERS; i++) {
            maker[i] = (struct maker){.path = paths[i % CAS_COUNT(paths)], .go = go};
            (void)remove(maker[i].path);
            thread[i] = CreateThread(NULL, 0, make, &maker[i], 0, NULL);
            EXPECT_NOT_NULL(thread[i]);
        }
        EXPECT_TRUE(SetEvent(go));
        EXPECT_INT_EQ(WAIT_OBJECT_0, WaitForMultipleObjects(MAKERS, thread, TRUE, 60000));
        for (size_t i = 0; i < MAKERS; i++) {
            const struct maker *twin = &maker[(i + CAS_COUNT(paths)) % MAKERS];
            struct keys *read = NULL;
            EXPECT_OK(maker[i].err, &maker[i].why);
            EXPECT_TRUE(maker[i].is_new != twin->is_new);
            EXPECT_OK(keys_load(maker[i].path, KEYS_CURVE, &read, &why), &why);
            EXPECT_BYTES_EQ(keys_secret_of(read), keys_secret_of(maker[i].keys), CAS_KEY_BYTES);
            keys_free(read);
            (void)CloseHandle(thread[i]);
        }
        for (size_t i = 0; i < MAKERS; i++)
            keys_free(maker[i].keys);
        (void)CloseHandle(go);
    }
}
