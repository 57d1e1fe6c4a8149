#include "proto/trust/keys_seal.h"

#include <string.h>

#include <sodium.h>

enum {
    MAGIC_BYTES = 8,
    VERSION = 1,
    VERSION_AT = MAGIC_BYTES,
    SCOPE_AT = VERSION_AT + 1,
    HOST_N_AT = SCOPE_AT + 1,
    HOST_AT = HOST_N_AT + 1
};
static const char magic[MAGIC_BYTES + 1] = "CASSEAL\x1a";
static const char tag_purpose[] = "casfleet sealed file";

_Static_assert(KEYS_SEAL_BYTES == crypto_secretbox_KEYBYTES, "the seal is the box's key");
_Static_assert(KEYS_SEAL_BOX_BYTES == crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES,
               "nonce and tag");

void keys_rest_clear(struct keys_rest *rest)
{
    sodium_memzero(rest, sizeof *rest);
}

/* One hash for each purpose, keyed with the seal. */
static void keyed_hash(const struct keys_seal *seal,
                       const char *purpose,
                       struct cas_slice data,
                       uint8_t ret_hash[KEYS_SEAL_TAG_BYTES])
{
    crypto_generichash_state state;
    bool is_ok =
        crypto_generichash_init(&state, seal->byte, sizeof seal->byte, KEYS_SEAL_TAG_BYTES) == 0 &&
        crypto_generichash_update(&state, (const uint8_t *)purpose, strlen(purpose) + 1) == 0 &&
        crypto_generichash_update(&state, (const uint8_t *)data.data, data.size) == 0 &&
        crypto_generichash_final(&state, ret_hash, KEYS_SEAL_TAG_BYTES) == 0;
    CAS_ASSERT(is_ok);
    sodium_memzero(&state, sizeof state);
}

void keys_seal_id(const struct keys_seal *seal, uint8_t ret_id[KEYS_SEAL_ID_BYTES])
{
    uint8_t hash[KEYS_SEAL_TAG_BYTES];
    keyed_hash(seal, "casfleet seal id", (struct cas_slice){"", 0}, hash);
    memcpy(ret_id, hash, KEYS_SEAL_ID_BYTES);
}

static enum cas_err fail_changed(const char *path, struct cas_why *why)
{
    return cas_fail(why,
                    CAS_ERR_CORRUPT,
                    "%s: was changed or damaged since it was sealed; take it back from a backup of "
                    "this machine, or remove it, and a new key is made",
                    path);
}

enum cas_err keys_seal_close(const struct keys_seal *seal,
                             struct cas_slice text,
                             struct keys_rest *ret_box,
                             struct cas_why *why)
{
    if (text.size > sizeof ret_box->byte - KEYS_SEAL_BOX_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "a key of %zu bytes, at most %zu can be sealed",
                        text.size,
                        sizeof ret_box->byte - KEYS_SEAL_BOX_BYTES);
    randombytes_buf(ret_box->byte, crypto_secretbox_NONCEBYTES);
    CAS_ASSERT(crypto_secretbox_easy(ret_box->byte + crypto_secretbox_NONCEBYTES,
                                     (const uint8_t *)text.data,
                                     text.size,
                                     ret_box->byte,
                                     seal->byte) == 0);
    ret_box->size = text.size + KEYS_SEAL_BOX_BYTES;
    return CAS_OK;
}

enum cas_err keys_seal_open(const char *path,
                            const struct keys_seal *seal,
                            struct cas_slice box,
                            struct keys_rest *ret_text,
                            struct cas_why *why)
{
    const uint8_t *byte = (const uint8_t *)box.data;
    if (box.size < KEYS_SEAL_BOX_BYTES || box.size > sizeof ret_text->byte ||
        crypto_secretbox_open_easy(ret_text->byte,
                                   byte + crypto_secretbox_NONCEBYTES,
                                   box.size - crypto_secretbox_NONCEBYTES,
                                   byte,
                                   seal->byte) != 0)
        return fail_changed(path, why);
    ret_text->size = box.size - KEYS_SEAL_BOX_BYTES;
    return CAS_OK;
}

bool keys_seal_is_sealed(struct cas_slice data)
{
    return data.size >= MAGIC_BYTES && memcmp(data.data, magic, MAGIC_BYTES) == 0;
}

enum cas_err keys_seal_join(const struct keys_seal *seal,
                            const struct keys_seal_head *head,
                            struct cas_slice inner,
                            struct keys_rest *ret_file,
                            struct cas_why *why)
{
    size_t host_n = strlen(head->host);
    size_t size = HOST_AT + host_n + KEYS_SEAL_ID_BYTES;
    CAS_ASSERT(host_n > 0 && host_n < sizeof head->host);
    if (inner.size > sizeof ret_file->byte - size - KEYS_SEAL_TAG_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "a sealed key of %zu bytes, a key file has at most %d",
                        inner.size + size + KEYS_SEAL_TAG_BYTES,
                        KEY_FILE_BYTES);
    uint8_t *byte = ret_file->byte;
    memcpy(byte, magic, MAGIC_BYTES);
    byte[VERSION_AT] = VERSION;
    byte[SCOPE_AT] = (uint8_t)head->scope;
    byte[HOST_N_AT] = (uint8_t)host_n;
    memcpy(byte + HOST_AT, head->host, host_n);
    memcpy(byte + HOST_AT + host_n, head->id, KEYS_SEAL_ID_BYTES);
    if (inner.size > 0)
        memcpy(byte + size, inner.data, inner.size);
    size += inner.size;
    keyed_hash(seal, tag_purpose, (struct cas_slice){(const char *)byte, size}, byte + size);
    ret_file->size = size + KEYS_SEAL_TAG_BYTES;
    return CAS_OK;
}

enum cas_err keys_seal_part(const char *path,
                            struct cas_slice data,
                            struct keys_seal_head *ret_head,
                            struct cas_slice *ret_inner,
                            struct cas_why *why)
{
    static const char plain[] = "casfleet-key ";
    const uint8_t *byte = (const uint8_t *)data.data;
    if (data.size >= sizeof plain - 1 && memcmp(data.data, plain, sizeof plain - 1) == 0)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s: is a key file in clear, here keys are sealed to their machine; remove "
                        "it, and a new key is made",
                        path);
    if (!keys_seal_is_sealed(data) || data.size <= HOST_AT)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s: is not a sealed key file, has %zu bytes and another beginning",
                        path,
                        data.size);
    if (byte[VERSION_AT] != VERSION)
        return cas_fail(why,
                        CAS_ERR_VERSION,
                        "%s: a sealed key file of version %u, known is %d",
                        path,
                        (unsigned)byte[VERSION_AT],
                        VERSION);
    struct keys_seal_head head = {.scope = KEYS_SCOPE_MACHINE};
    size_t host_n = byte[HOST_N_AT];
    struct cas_slice host = {data.data + HOST_AT, host_n};
    bool is_whole = data.size >= HOST_AT + host_n + KEYS_SEAL_ID_BYTES + KEYS_SEAL_TAG_BYTES;
    if ((byte[SCOPE_AT] != KEYS_SCOPE_MACHINE && byte[SCOPE_AT] != KEYS_SCOPE_USER) || !is_whole ||
        !cas_is_name(host))
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "%s: a damaged sealed key file, %zu bytes, scope 0x%02x, host of %zu bytes",
                        path,
                        data.size,
                        (unsigned)byte[SCOPE_AT],
                        host_n);
    head.scope = (enum keys_scope)byte[SCOPE_AT];
    memcpy(head.host, host.data, host.size);
    memcpy(head.id, byte + HOST_AT + host_n, KEYS_SEAL_ID_BYTES);
    size_t used = HOST_AT + host_n + KEYS_SEAL_ID_BYTES;
    *ret_head = head;
    *ret_inner = (struct cas_slice){data.data + used, data.size - used - KEYS_SEAL_TAG_BYTES};
    return CAS_OK;
}

enum cas_err keys_seal_check(const char *path,
                             struct cas_slice data,
                             const struct keys_seal_head *head,
                             const struct keys_seal *seal,
                             const char *host,
                             struct cas_why *why)
{
    uint8_t id[KEYS_SEAL_ID_BYTES];
    uint8_t tag[KEYS_SEAL_TAG_BYTES];
    if (seal != NULL)
        keys_seal_id(seal, id);
    if (seal != NULL && memcmp(id, head->id, sizeof id) == 0) {
        struct cas_slice tagged = {data.data, data.size - sizeof tag};
        keyed_hash(seal, tag_purpose, tagged, tag);
        if (sodium_memcmp(tag, data.data + tagged.size, sizeof tag) == 0)
            return CAS_OK;
        return fail_changed(path, why);
    }
    bool is_user = head->scope == KEYS_SCOPE_USER;
    const char *whose = is_user ? " for one user" : "";
    const char *here = seal != NULL ? "has another seal" : "has no seal";
    if (strcmp(head->host, host) != 0)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "%s: was sealed on another machine, %s%s, and this is %s; remove it, and a "
                        "new key is made, to be approved",
                        path,
                        head->host,
                        whose,
                        host);
    return cas_fail(why,
                    CAS_ERR_CONFIG,
                    "%s: was sealed on %s%s, which %s now: Windows was set up anew, the seal in "
                    "the registry removed%s; remove the file, and a new key is made, to be "
                    "approved",
                    path,
                    head->host,
                    whose,
                    here,
                    is_user ? ", or this is another user" : "");
}
