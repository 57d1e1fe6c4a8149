/* sign.h - hashes and signatures, each with a domain so that none can stand for another.
 * Ed25519 and BLAKE2b by libsodium. Pure. Used by order, controller (plans), agent. */
#ifndef PROTO_TRUST_SIGN_H
#define PROTO_TRUST_SIGN_H

#include "proto/trust/keys.h"

#define SIGN_DOMAIN_GRANT  "casfleet/grant/v1"
#define SIGN_DOMAIN_PLAN   "casfleet/plan/v1"
#define SIGN_DOMAIN_KEYSET "casfleet/keyset/v1"

/* Over domain, its zero byte, and the bytes as given. keys: KEYS_SIGN. CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err sign_make(const struct keys *keys,
                                 const char *domain,
                                 struct cas_slice bytes,
                                 uint8_t ret_sign[CAS_SIGN_BYTES]);
/* CAS_ERR_SIGNATURE when it does not fit. */
CAS_CHECK enum cas_err sign_check(const struct keys_public *key,
                                  const char *domain,
                                  struct cas_slice bytes,
                                  const uint8_t sign[CAS_SIGN_BYTES]);
void sign_plan_hash(struct cas_slice plan, uint8_t ret_hash[CAS_HASH_BYTES]); /* BLAKE2b-256 */

/* cmd_id = BLAKE2b-128(plan_hash | step | server_id | attempt), numbers big-endian 8 bytes:
 * derived, never random, so that a controller that lost its last minutes asks for the same command
 * again. By the plan's bytes, which hold its number, who made it and when, and not by the number
 * alone: a database that has gone back gives numbers again, and another plan's commands must be
 * others. */
struct sign_command {
    uint8_t plan_hash[CAS_HASH_BYTES];
    uint64_t step; /* position in the plan, 1 first */
    uint64_t server_id;
    uint64_t attempt;
};
void sign_command_id(const struct sign_command *command, uint8_t ret_cmd_id[CAS_ID_BYTES]);

#endif
