#include "tests/unit/test.h"

#include <stdlib.h>

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
