#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "proto/trust/order.h"

/* Twice: as received, 64 bytes of signature before the order, which must not pass; and with the
 * bytes signed by the right key, so that the decoder behind the signature is reached. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct keys *keys;
    static struct cas_arena *arena;
    static const uint8_t seed[CAS_KEY_BYTES] = {7};
    if (keys == NULL && (keys_start(NULL) != CAS_OK || cas_arena_open(65536, &arena) != CAS_OK ||
                         keys_make_from(KEYS_SIGN, seed, &keys) != CAS_OK))
        abort();
    struct keys_public key = keys_public_of(keys);
    struct record_order order;
    if (size >= CAS_SIGN_BYTES) {
        struct message_grant grant = {0};
        memcpy(grant.sign, data, CAS_SIGN_BYTES);
        grant.order.data = (const char *)data + CAS_SIGN_BYTES;
        grant.order.size = size - CAS_SIGN_BYTES;
        cas_arena_clear(arena);
        if (order_open(&grant, &key, arena, &order, NULL) == CAS_OK)
            abort(); /* nobody but us can sign */
    }
    struct message_grant grant = {.order = {(const char *)data, size}};
    cas_arena_clear(arena);
    if (sign_make(keys, SIGN_DOMAIN_GRANT, grant.order, grant.sign) != CAS_OK)
        return 0;
    if (order_open(&grant, &key, arena, &order, NULL) == CAS_ERR_SIGNATURE)
        abort(); /* our own signature */
    return 0;
}
