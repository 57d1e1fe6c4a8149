/* store_rollout_stage.h - what tests of stored rollouts share. */
#ifndef TESTS_UNIT_STORE_ROLLOUT_STAGE_H
#define TESTS_UNIT_STORE_ROLLOUT_STAGE_H

#include "controller/core/rollout.h"

/* A book that is only read names no command. */
void stage_derive_none(const uint8_t plan_hash[CAS_HASH_BYTES],
                       uint64_t step,
                       uint64_t server_id,
                       uint64_t attempt,
                       uint8_t ret_cmd_id[CAS_ID_BYTES]);
/* A plan's bytes, in the buffer. steps as "LON-CAS01;LON-CAS02". */
struct cas_slice stage_plan_bytes(uint8_t *buffer, size_t cap, uint64_t seq, const char *steps);

#endif
