/* keys.h - who are we, and how do we show a key to a person?
 *
 * CURVE (X25519) key pairs for the channel and Ed25519 pairs for signatures, made and kept by
 * libsodium. A secret has its own type that no print or log function takes; keys_free zeroes it.
 * Files: keys_file.c (text, one file a pair); how a secret rests on disk is the system's matter
 * (file.h: mode 0600; Windows: sealed to its machine, keys_seal.h). Used by programs, channel,
 * order. */
#ifndef PROTO_TRUST_KEYS_H
#define PROTO_TRUST_KEYS_H

#include "proto/base/cas.h"

enum keys_kind {
    KEYS_CURVE,
    KEYS_SIGN
};

struct keys_public {
    uint8_t byte[CAS_KEY_BYTES];
};
struct keys; /* one pair with its secret */

/* Call once before anything else of trust or channel. CAS_ERR_BUG when libsodium cannot start. */
CAS_CHECK enum cas_err keys_start(struct cas_why *why);

CAS_CHECK enum cas_err keys_make(enum keys_kind kind, struct keys **ret_keys);
/* Deterministic pair from 32 bytes, for tests. */
CAS_CHECK enum cas_err
keys_make_from(enum keys_kind kind, const uint8_t seed[CAS_KEY_BYTES], struct keys **ret_keys);
void keys_free(struct keys *keys);
CAS_AUTO_DEFINE(keys);
enum keys_kind keys_kind_of(const struct keys *keys);
struct keys_public keys_public_of(const struct keys *keys);
/* For channel and sign only. Borrowed; 32 bytes for CURVE, 64 for SIGN. */
const uint8_t *keys_secret_of(const struct keys *keys);

/* Reads a secret key file; CAS_ERR_MODE, CAS_ERR_NOT_FOUND, CAS_ERR_FORMAT (file, line, what),
 * CAS_ERR_CONFIG for the wrong kind, a public part that does not belong to the secret, or a file
 * sealed on another machine; CAS_ERR_CORRUPT for a sealed file that was changed. */
CAS_CHECK enum cas_err
keys_load(const char *path, enum keys_kind kind, struct keys **ret_keys, struct cas_why *why);
/* Writes a new secret key file, mode 0600; CAS_ERR_EXISTS rather than overwrite. */
CAS_CHECK enum cas_err keys_save(const struct keys *keys, const char *path, struct cas_why *why);
/* keys_load, or keys_make and keys_save when there is no such file; *ret_is_new says which. */
CAS_CHECK enum cas_err keys_load_or_make(const char *path,
                                         enum keys_kind kind,
                                         struct keys **ret_keys,
                                         bool *ret_is_new,
                                         struct cas_why *why);

/* What a controller hands to agents and operators: its CURVE and its command key, in one public
 * text file. */
struct keys_controller {
    struct keys_public curve;
    struct keys_public command;
};
CAS_CHECK enum cas_err
keys_controller_load(const char *path, struct keys_controller *ret_keys, struct cas_why *why);
CAS_CHECK enum cas_err
keys_controller_save(const char *path, const struct keys_controller *keys, struct cas_why *why);

enum {
    KEYS_TEXT_BYTES = 65,
    KEYS_FINGERPRINT_BYTES = 40
};
/* 64 hex digits. */
void keys_text(const struct keys_public *key, char ret_text[KEYS_TEXT_BYTES]);
CAS_CHECK enum cas_err
keys_parse(struct cas_slice text, struct keys_public *ret_key, struct cas_why *why);
/* For people: 8 groups of 4 hex digits of BLAKE2b-128 over the key, "8c1e-02d4-...". */
void keys_fingerprint(const struct keys_public *key, char ret_text[KEYS_FINGERPRINT_BYTES]);
bool keys_same(const struct keys_public *a, const struct keys_public *b); /* constant time */

/* Fresh random bytes (nonce, boot_id, spool_id, leader_id). */
void keys_random(uint8_t *ret_bytes, size_t size);

#endif
