#include "proto/trust/order.h"

#include <string.h>

enum {
    ORDER_BYTES = 1024 /* the largest order field of a GRANT, see messages.def */
};

enum cas_err order_seal(const struct record_order *order,
                        const struct keys *command_keys,
                        uint8_t *ret_frame,
                        size_t cap,
                        size_t *ret_size,
                        struct cas_why *why)
{
    uint8_t bytes[ORDER_BYTES];
    size_t size = 0;
    enum cas_err err = record_encode(RECORD_order, order, bytes, sizeof bytes, &size, why);
    if (err != CAS_OK)
        return err;

    struct message message = {.type = MESSAGE_grant};
    message.as.grant.order = (struct cas_slice){(const char *)bytes, size};
    err = sign_make(command_keys, SIGN_DOMAIN_GRANT, message.as.grant.order, message.as.grant.sign);
    if (err != CAS_OK)
        return cas_fail(why, err, "the grant: no memory to sign %zu bytes", size);
    return message_encode(&message, ret_frame, cap, ret_size, why);
}

enum cas_err order_open(const struct message_grant *grant,
                        const struct keys_public *command_key,
                        struct cas_arena *arena,
                        struct record_order *ret_order,
                        struct cas_why *why)
{
    enum cas_err err = sign_check(command_key, SIGN_DOMAIN_GRANT, grant->order, grant->sign);
    if (err == CAS_ERR_SIGNATURE)
        return cas_fail(why, err, "the grant: its signature is not by the pinned command key");
    if (err != CAS_OK)
        return cas_fail(why, err, "the grant: no memory to check %zu bytes", grant->order.size);

    struct record_order order;
    memset(&order, 0, sizeof order);
    err = record_decode(RECORD_order, grant->order, arena, &order, why);
    if (err != CAS_OK)
        return err;
    *ret_order = order;
    return CAS_OK;
}
