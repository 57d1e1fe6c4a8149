/* order.h - a GRANT: made and signed by the controller, opened by the agent over the bytes as
 * received. */
#ifndef PROTO_TRUST_ORDER_H
#define PROTO_TRUST_ORDER_H

#include "proto/trust/sign.h"
#include "proto/wire/message.h"

/* A whole GRANT frame. ret_frame[cap], cap >= 2048. */
CAS_CHECK enum cas_err order_seal(const struct record_order *order,
                                  const struct keys *command_keys,
                                  uint8_t *ret_frame,
                                  size_t cap,
                                  size_t *ret_size,
                                  struct cas_why *why);
/* Checks the signature over the received bytes first, then decodes them. CAS_ERR_SIGNATURE, or as
 * record_decode. Audience, nonce, epoch and age are the agent's to check. */
CAS_CHECK enum cas_err order_open(const struct message_grant *grant,
                                  const struct keys_public *command_key,
                                  struct cas_arena *arena,
                                  struct record_order *ret_order,
                                  struct cas_why *why);

#endif
