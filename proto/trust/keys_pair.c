#include "proto/trust/keys.h"

#include <string.h>

#include <sodium.h>

enum {
    SECRET_BYTES = 64 /* CURVE uses the first 32; Ed25519 keeps seed and public key together */
};

struct keys {
    enum keys_kind kind;
    struct keys_public open;
    uint8_t secret[SECRET_BYTES];
};

enum cas_err keys_start(struct cas_why *why)
{
    if (sodium_init() < 0)
        return cas_fail(why, CAS_ERR_BUG, "libsodium cannot start: no source of random bytes");
    return CAS_OK;
}

enum cas_err
keys_make_from(enum keys_kind kind, const uint8_t seed[CAS_KEY_BYTES], struct keys **ret_keys)
{
    /* Guarded pages, kept out of swap and core dumps where the system allows it; zeroed when freed.
     */
    CAS_AUTO(keys) keys = sodium_malloc(sizeof *keys);
    if (keys == NULL)
        return CAS_ERR_NOMEM;
    memset(keys, 0, sizeof *keys);
    keys->kind = kind;
    int rc = 0;
    switch (kind) {
    case KEYS_CURVE:
        memcpy(keys->secret, seed, CAS_KEY_BYTES);
        rc = crypto_scalarmult_base(keys->open.byte, keys->secret);
        break;
    case KEYS_SIGN:
        rc = crypto_sign_seed_keypair(keys->open.byte, keys->secret, seed);
        break;
    }
    CAS_ASSERT(rc == 0);
    *ret_keys = CAS_TAKE(keys);
    return CAS_OK;
}

enum cas_err keys_make(enum keys_kind kind, struct keys **ret_keys)
{
    uint8_t seed[CAS_KEY_BYTES];
    randombytes_buf(seed, sizeof seed);
    enum cas_err err = keys_make_from(kind, seed, ret_keys);
    sodium_memzero(seed, sizeof seed);
    return err;
}

void keys_free(struct keys *keys)
{
    sodium_free(keys);
}

enum keys_kind keys_kind_of(const struct keys *keys)
{
    return keys->kind;
}

struct keys_public keys_public_of(const struct keys *keys)
{
    return keys->open;
}

const uint8_t *keys_secret_of(const struct keys *keys)
{
    return keys->secret;
}

void keys_text(const struct keys_public *key, char ret_text[KEYS_TEXT_BYTES])
{
    cas_hex(key->byte, sizeof key->byte, ret_text);
}

enum cas_err keys_parse(struct cas_slice text, struct keys_public *ret_key, struct cas_why *why)
{
    struct keys_public key;
    if (text.size != KEYS_TEXT_BYTES - 1)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "a key is %d hexadecimal digits, not %zu characters",
                        KEYS_TEXT_BYTES - 1,
                        text.size);
    if (cas_unhex(text, key.byte, sizeof key.byte) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "\"%.*s\" is no key: it is not all hexadecimal digits",
                        (int)text.size,
                        text.data);
    *ret_key = key;
    return CAS_OK;
}

void keys_fingerprint(const struct keys_public *key, char ret_text[KEYS_FINGERPRINT_BYTES])
{
    uint8_t hash[CAS_ID_BYTES];
    int rc = crypto_generichash(hash, sizeof hash, key->byte, sizeof key->byte, NULL, 0);
    CAS_ASSERT(rc == 0);
    char *next = ret_text;
    for (size_t i = 0; i < sizeof hash; i += 2) {
        cas_hex(hash + i, 2, next);
        next += 4;
        *next++ = '-';
    }
    next[-1] = '\0';
}

bool keys_same(const struct keys_public *a, const struct keys_public *b)
{
    return sodium_memcmp(a->byte, b->byte, sizeof a->byte) == 0;
}

void keys_random(uint8_t *ret_bytes, size_t size)
{
    randombytes_buf(ret_bytes, size);
}
