#include "tests/unit/test.h"

#include <stdlib.h>

#include "proto/base/file.h"
#include "proto/trust/keys.h"
#include "proto/trust/keys_seal.h"

static const char secret[] = "casfleet-key curve\npublic = 00\nsecret = 11\n";

static struct keys_seal seal_of(uint8_t first)
{
    struct keys_seal seal;
    struct cas_why why = {""};
    EXPECT_OK(keys_start(&why), &why);
    for (size_t i = 0; i < sizeof seal.byte; i++)
        seal.byte[i] = (uint8_t)(first + i);
    return seal;
}

static struct cas_slice slice_of(const struct keys_rest *rest)
{
    return (struct cas_slice){(const char *)rest->byte, rest->size};
}

static struct keys_seal_head head_of(const struct keys_seal *seal)
{
    struct keys_seal_head head = {.scope = KEYS_SCOPE_MACHINE, .host = "LON-CAS01"};
    keys_seal_id(seal, head.id);
    return head;
}

/* A file as Windows writes it, but for the system's own encryption. */
static struct keys_rest sealed_with(const struct keys_seal *seal)
{
    struct keys_rest box;
    struct keys_rest file;
    struct keys_seal_head head = head_of(seal);
    EXPECT_OK(keys_seal_close(seal, cas_slice_of(secret), &box, NULL), NULL);
    EXPECT_OK(keys_seal_join(seal, &head, slice_of(&box), &file, NULL), NULL);
    return file;
}

static enum cas_err unseal(struct cas_slice data,
                           const struct keys_seal *seal,
                           struct keys_rest *ret_text,
                           struct cas_why *why)
{
    struct keys_seal_head head;
    struct cas_slice inner;
    enum cas_err err = keys_seal_part("agent.key", data, &head, &inner, why);
    if (err == CAS_OK)
        err = keys_seal_check("agent.key", data, &head, seal, "LON-CAS01", why);
    return err == CAS_OK ? keys_seal_open("agent.key", seal, inner, ret_text, why) : err;
}

TEST(keys_seal, what_was_sealed_opens_with_its_seal)
{
    struct keys_seal seal = seal_of(1);
    struct keys_rest file = sealed_with(&seal);
    struct keys_rest text;
    struct cas_why why = {""};
    EXPECT_TRUE(keys_seal_is_sealed(slice_of(&file)));
    EXPECT_OK(unseal(slice_of(&file), &seal, &text, &why), &why);
    EXPECT_SLICE_EQ(secret, slice_of(&text));
}

TEST(keys_seal, the_secret_does_not_show_and_no_two_files_are_alike)
{
    struct keys_seal seal = seal_of(1);
    struct keys_rest a = sealed_with(&seal);
    struct keys_rest b = sealed_with(&seal);
    EXPECT_UINT_EQ(a.size, b.size);
    EXPECT_TRUE(memcmp(a.byte, b.byte, a.size) != 0);
    for (size_t i = 0; i + 8 <= a.size; i++)
        EXPECT_FALSE(memcmp(a.byte + i, secret, 8) == 0 || memcmp(a.byte + i, seal.byte, 8) == 0);
}

/* Why: the system's own encryption need not notice (Wine's does not). How: each bit of the file
 * turned, one at a time. */
TEST(keys_seal, no_changed_bit_goes_unseen)
{
    struct keys_seal seal = seal_of(1);
    struct keys_rest file = sealed_with(&seal);
    for (size_t bit = 0; bit < file.size * 8; bit++) {
        struct keys_rest text = {.size = 77};
        struct cas_why why = {""};
        file.byte[bit / 8] ^= (uint8_t)(1u << bit % 8);
        enum cas_err err = unseal(slice_of(&file), &seal, &text, &why);
        file.byte[bit / 8] ^= (uint8_t)(1u << bit % 8);
        EXPECT_TRUE(err != CAS_OK);
        EXPECT_UINT_EQ(77, text.size);
        EXPECT_INT_EQ(0, strncmp(why.text, "agent.key: ", 11));
        if (bit / 8 >= 11 + sizeof "LON-CAS01" - 1 + KEYS_SEAL_ID_BYTES)
            EXPECT_INT_EQ(CAS_ERR_CORRUPT, err);
    }
}

/* Why: the tag is over the whole file, the box is what the system's decryption gave back. */
TEST(keys_seal, a_changed_box_is_found_without_the_tag_too)
{
    struct keys_seal seal = seal_of(1);
    struct keys_rest box;
    struct keys_rest text;
    struct cas_why why = {""};
    EXPECT_OK(keys_seal_close(&seal, cas_slice_of(secret), &box, &why), &why);
    for (size_t i = 0; i < box.size; i++) {
        box.byte[i] ^= 1;
        EXPECT_ERR(CAS_ERR_CORRUPT,
                   keys_seal_open("agent.key", &seal, slice_of(&box), &text, &why));
        box.byte[i] ^= 1;
    }
    EXPECT_ERR(CAS_ERR_CORRUPT,
               keys_seal_open("agent.key", &seal, (struct cas_slice){"", 0}, &text, &why));
    EXPECT_TEXT_HAS("agent.key: was changed or damaged", why.text);
}

TEST(keys_seal, a_file_cut_anywhere_is_refused)
{
    struct keys_seal seal = seal_of(1);
    struct keys_rest file = sealed_with(&seal);
    for (size_t size = 0; size < file.size; size++) {
        struct keys_rest text;
        char *part = malloc(size + 1); /* its own block: reading past its end is seen */
        EXPECT_NOT_NULL(part);
        memcpy(part, file.byte, size);
        enum cas_err err = unseal((struct cas_slice){part, size}, &seal, &text, NULL);
        free(part);
        EXPECT_TRUE(err == CAS_ERR_FORMAT || err == CAS_ERR_CORRUPT || err == CAS_ERR_CONFIG);
    }
}

/* Why: a disk image or a restored backup; the operator must not look for a fault in the file. */
TEST(keys_seal, a_file_of_another_machine_says_which)
{
    struct keys_seal seal = seal_of(1);
    struct keys_seal other = seal_of(9);
    struct keys_seal_head head = head_of(&seal);
    struct keys_rest file = sealed_with(&seal);
    struct cas_slice data = slice_of(&file);
    struct cas_why why = {""};
    EXPECT_ERR(CAS_ERR_CONFIG,
               keys_seal_check("agent.key", data, &head, &other, "PAR-CAS01", &why));
    EXPECT_TEXT_HAS("agent.key: was sealed on another machine, LON-CAS01, and this is PAR-CAS01",
                    why.text);
    EXPECT_ERR(CAS_ERR_CONFIG, keys_seal_check("agent.key", data, &head, NULL, "LON-CAS01", &why));
    EXPECT_TEXT_HAS("was sealed on LON-CAS01, which has no seal now", why.text);
    EXPECT_ERR(CAS_ERR_CONFIG,
               keys_seal_check("agent.key", data, &head, &other, "LON-CAS01", &why));
    EXPECT_TEXT_HAS("which has another seal now", why.text);
    head.scope = KEYS_SCOPE_USER;
    EXPECT_ERR(CAS_ERR_CONFIG,
               keys_seal_check("agent.key", data, &head, &other, "LON-CAS01", &why));
    EXPECT_TEXT_HAS("or this is another user", why.text);
    /* A machine that was only given another name has its seal still. */
    EXPECT_OK(keys_seal_check("agent.key", data, &head, &seal, "LON-CAS99", &why), &why);
}

TEST(keys_seal, what_is_no_sealed_file_is_named)
{
    struct keys_seal seal = seal_of(1);
    struct keys_rest file = sealed_with(&seal);
    struct keys_rest text;
    struct cas_why why = {""};
    EXPECT_ERR(CAS_ERR_FORMAT, unseal(cas_slice_of(secret), &seal, &text, &why));
    EXPECT_TEXT_HAS("is a key file in clear", why.text);
    EXPECT_ERR(CAS_ERR_FORMAT, unseal(cas_slice_of("MZ\x90"), &seal, &text, &why));
    EXPECT_TEXT_HAS("is not a sealed key file, has 3 bytes", why.text);
    EXPECT_ERR(CAS_ERR_FORMAT, unseal(cas_slice_of(""), &seal, &text, &why));
    file.byte[8] = 2;
    EXPECT_ERR(CAS_ERR_VERSION, unseal(slice_of(&file), &seal, &text, &why));
    EXPECT_TEXT_HAS("of version 2, known is 1", why.text);
}

TEST(keys_seal, the_longest_text_is_sealed_and_one_byte_more_is_not)
{
    enum {
        MOST = KEY_FILE_BYTES - KEYS_SEAL_BOX_BYTES
    };
    static char text[KEY_FILE_BYTES + 1];
    struct keys_seal seal = seal_of(1);
    struct keys_seal_head head = head_of(&seal);
    struct keys_rest box;
    struct keys_rest file;
    struct cas_why why = {""};
    EXPECT_OK(keys_seal_close(&seal, (struct cas_slice){text, MOST}, &box, &why), &why);
    EXPECT_ERR(CAS_ERR_TOO_LONG,
               keys_seal_close(&seal, (struct cas_slice){text, MOST + 1}, &box, &why));
    EXPECT_TEXT_HAS("a key of 4057 bytes, at most 4056", why.text);
    size_t more_n = 11 + strlen(head.host) + KEYS_SEAL_ID_BYTES + KEYS_SEAL_TAG_BYTES;
    struct cas_slice inner = {text, KEY_FILE_BYTES - more_n};
    EXPECT_OK(keys_seal_join(&seal, &head, inner, &file, &why), &why);
    inner.size++;
    EXPECT_ERR(CAS_ERR_TOO_LONG, keys_seal_join(&seal, &head, inner, &file, &why));
}

/* Why: a state folder carried from a Windows server to a Linux host, or the other way. */
TEST(keys_seal, here_a_sealed_file_is_refused_with_its_origin)
{
    struct keys_seal seal = seal_of(1);
    struct keys_rest file = sealed_with(&seal);
    const char *path = test_path("agent.key");
    struct keys *keys = NULL;
    struct cas_why why = {""};
    EXPECT_OK(file_create(path, slice_of(&file), FILE_SECRET, &why), &why);
    EXPECT_ERR(CAS_ERR_CONFIG, keys_load(path, KEYS_CURVE, &keys, &why));
    EXPECT_TEXT_HAS("agent.key: was sealed on another machine, the Windows host LON-CAS01",
                    why.text);
}
