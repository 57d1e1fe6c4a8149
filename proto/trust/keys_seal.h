/* keys_seal.h - how is a secret sealed to the machine it was made on?
 *
 * The text of the key goes into a libsodium secretbox, whose key, the seal, lies in a second place
 * (Windows: the registry, open to SYSTEM and Administrators alone); what comes out goes through the
 * system's own encryption (DPAPI), and the file says in clear who can open it:
 *
 *     "CASSEAL" 0x1A | version 1 | scope | host n, 1 .. 63 | host | id of the seal, 8 | inner |
 *     tag, 32
 *
 * The tag is BLAKE2b of all before it, keyed with the seal: what was changed never gets as far as
 * the system's decryption.
 *
 * What that protects: a copy of the file, from a backup or a share, opens nowhere without the seal
 * of the machine; a user of the same machine, whom DPAPI's machine scope would let in, lacks the
 * seal; a changed byte is found, whether or not the system's encryption looks for it. What it does
 * not: an administrator of the machine can open it, and a copy of the whole machine is the machine
 * (the controller tells two hosts with one key). Were the seal inside the file, beside the box, any
 * user of the machine could open it and make another that is accepted.
 *
 * Pure but for libsodium's dice. Inside trust only; keys_start first. */
#ifndef PROTO_TRUST_KEYS_SEAL_H
#define PROTO_TRUST_KEYS_SEAL_H

#include "proto/trust/keys_rest.h"

enum {
    KEYS_SEAL_BYTES = 32,
    KEYS_SEAL_ID_BYTES = 8,
    KEYS_SEAL_TAG_BYTES = 32,
    KEYS_SEAL_BOX_BYTES = 24 + 16 /* nonce and tag, more than the text */
};
enum keys_scope {
    KEYS_SCOPE_MACHINE = 'M', /* whoever may read the machine's seal */
    KEYS_SCOPE_USER = 'U'     /* one user, who had no right to the machine's */
};
struct keys_seal {
    uint8_t byte[KEYS_SEAL_BYTES];
};
struct keys_seal_head {
    enum keys_scope scope;
    char host[CAS_NAME_BYTES]; /* where it was sealed; for people */
    uint8_t id[KEYS_SEAL_ID_BYTES];
};

/* Tells seals apart without saying anything about them. */
void keys_seal_id(const struct keys_seal *seal, uint8_t ret_id[KEYS_SEAL_ID_BYTES]);

/* CAS_ERR_TOO_LONG above KEY_FILE_BYTES - KEYS_SEAL_BOX_BYTES. */
CAS_CHECK enum cas_err keys_seal_close(const struct keys_seal *seal,
                                       struct cas_slice text,
                                       struct keys_rest *ret_box,
                                       struct cas_why *why);
/* CAS_ERR_CORRUPT: not what was closed with this seal. */
CAS_CHECK enum cas_err keys_seal_open(const char *path,
                                      const struct keys_seal *seal,
                                      struct cas_slice box,
                                      struct keys_rest *ret_text,
                                      struct cas_why *why);

bool keys_seal_is_sealed(struct cas_slice data); /* begins as a sealed file does */
/* The head's id is the seal's. */
CAS_CHECK enum cas_err keys_seal_join(const struct keys_seal *seal,
                                      const struct keys_seal_head *head,
                                      struct cas_slice inner,
                                      struct keys_rest *ret_file,
                                      struct cas_why *why);
/* *ret_inner is borrowed from data. CAS_ERR_FORMAT (a plain key file is named as such),
 * CAS_ERR_VERSION. */
CAS_CHECK enum cas_err keys_seal_part(const char *path,
                                      struct cas_slice data,
                                      struct keys_seal_head *ret_head,
                                      struct cas_slice *ret_inner,
                                      struct cas_why *why);
/* Does this seal belong to that file, and is the file as it was written? seal NULL: this machine or
 * user has none. CAS_ERR_CONFIG names where the file was sealed and what to do; CAS_ERR_CORRUPT. */
CAS_CHECK enum cas_err keys_seal_check(const char *path,
                                       struct cas_slice data,
                                       const struct keys_seal_head *head,
                                       const struct keys_seal *seal,
                                       const char *host,
                                       struct cas_why *why);

#endif
