#include "proto/trust/sign.h"

#include <stdlib.h>
#include <string.h>

#include <sodium.h>

/* Domain, its zero byte, bytes: what is really signed. Caller frees. */
static enum cas_err
join(const char *domain, struct cas_slice bytes, uint8_t **ret_joined, size_t *ret_size)
{
    size_t domain_size = strlen(domain) + 1;
    if (bytes.size > SIZE_MAX - domain_size)
        return CAS_ERR_NOMEM;
    uint8_t *joined = malloc(domain_size + bytes.size);
    if (joined == NULL)
        return CAS_ERR_NOMEM;
    memcpy(joined, domain, domain_size);
    if (bytes.size > 0)
        memcpy(joined + domain_size, bytes.data, bytes.size);
    *ret_joined = joined;
    *ret_size = domain_size + bytes.size;
    return CAS_OK;
}

enum cas_err sign_make(const struct keys *keys,
                       const char *domain,
                       struct cas_slice bytes,
                       uint8_t ret_sign[CAS_SIGN_BYTES])
{
    CAS_ASSERT(keys_kind_of(keys) == KEYS_SIGN);
    uint8_t *joined = NULL;
    size_t size = 0;
    enum cas_err err = join(domain, bytes, &joined, &size);
    if (err != CAS_OK)
        return err;
    int rc = crypto_sign_detached(ret_sign, NULL, joined, size, keys_secret_of(keys));
    free(joined);
    CAS_ASSERT(rc == 0);
    return CAS_OK;
}

enum cas_err sign_check(const struct keys_public *key,
                        const char *domain,
                        struct cas_slice bytes,
                        const uint8_t sign[CAS_SIGN_BYTES])
{
    uint8_t *joined = NULL;
    size_t size = 0;
    enum cas_err err = join(domain, bytes, &joined, &size);
    if (err != CAS_OK)
        return err;
    int rc = crypto_sign_verify_detached(sign, joined, size, key->byte);
    free(joined);
    return rc == 0 ? CAS_OK : CAS_ERR_SIGNATURE;
}

void sign_plan_hash(struct cas_slice plan, uint8_t ret_hash[CAS_HASH_BYTES])
{
    const unsigned char *bytes = (const unsigned char *)plan.data;
    int rc = crypto_generichash(ret_hash, CAS_HASH_BYTES, bytes, plan.size, NULL, 0);
    CAS_ASSERT(rc == 0);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    for (int i = 7; i >= 0; i--) {
        at[i] = (uint8_t)(value & 0xff);
        value >>= 8;
    }
}

void sign_command_id(const struct sign_command *command, uint8_t ret_cmd_id[CAS_ID_BYTES])
{
    uint8_t bytes[CAS_HASH_BYTES + 24];
    memcpy(bytes, command->plan_hash, CAS_HASH_BYTES);
    put_u64(bytes + CAS_HASH_BYTES, command->step);
    put_u64(bytes + CAS_HASH_BYTES + 8, command->server_id);
    put_u64(bytes + CAS_HASH_BYTES + 16, command->attempt);
    int rc = crypto_generichash(ret_cmd_id, CAS_ID_BYTES, bytes, sizeof bytes, NULL, 0);
    CAS_ASSERT(rc == 0);
}
