#include "tests/unit/store_rollout_stage.h"

#include <string.h>

#include "proto/wire/message.h"
#include "tests/unit/test.h"

void stage_derive_none(const uint8_t plan_hash[CAS_HASH_BYTES],
                       uint64_t step,
                       uint64_t server_id,
                       uint64_t attempt,
                       uint8_t ret_cmd_id[CAS_ID_BYTES])
{
    (void)plan_hash, (void)step, (void)server_id, (void)attempt;
    memset(ret_cmd_id, 0, CAS_ID_BYTES);
}

struct cas_slice stage_plan_bytes(uint8_t *buffer, size_t cap, uint64_t seq, const char *steps)
{
    struct record_plan_body body = {.rollout_seq = seq,
                                    .verb = VERB_recycle,
                                    .pool = cas_slice_of("MSExchangeSyncAppPool"),
                                    .until_ms = 1000,
                                    .at_once = 1,
                                    .act_ms = 1000,
                                    .proof_ms = 1000,
                                    .healthy_n = 1,
                                    .stop_after = 1,
                                    .by = cas_slice_of("ops.a"),
                                    .steps = cas_slice_of(steps)};
    size_t size = 0;
    struct cas_why why = {0};
    EXPECT_OK(record_encode(RECORD_plan_body, &body, buffer, cap, &size, &why), &why);
    return (struct cas_slice){(const char *)buffer, size};
}
