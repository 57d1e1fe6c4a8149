#include "tests/bench/bench.h"

#include <string.h>

#include "proto/trust/order.h"

/* What stands where a position belongs until it is known. */
static const uint32_t mark = 0xa5c3f00d;

void bench_frame_make(const struct message *message, struct bench_frame *ret_frame)
{
    struct cas_why why = {.text = ""};
    bench_check(
        message_encode(message, ret_frame->byte, sizeof ret_frame->byte, &ret_frame->size, &why),
        &why);
    size_t n = 0;
    const uint8_t wanted[] = {0xce,
                              (uint8_t)(mark >> 24),
                              (uint8_t)(mark >> 16 & 0xff),
                              (uint8_t)(mark >> 8 & 0xff),
                              (uint8_t)(mark & 0xff)};
    memset(ret_frame->seq_at, 0, sizeof ret_frame->seq_at);
    for (size_t i = 0; i + sizeof wanted <= ret_frame->size; i++) {
        if (memcmp(&ret_frame->byte[i], wanted, sizeof wanted) == 0 && n < 2)
            ret_frame->seq_at[n++] = i + 1;
    }
}

void bench_frame_seq(struct bench_frame *frame, uint32_t seq)
{
    for (size_t i = 0; i < CAS_COUNT(frame->seq_at); i++) {
        if (frame->seq_at[i] == 0)
            continue;
        uint8_t *byte = &frame->byte[frame->seq_at[i]];
        byte[0] = (uint8_t)(seq >> 24);
        byte[1] = (uint8_t)(seq >> 16 & 0xff);
        byte[2] = (uint8_t)(seq >> 8 & 0xff);
        byte[3] = (uint8_t)(seq & 0xff);
    }
}

/* As an agent samples a busy server: every symptom with its value, the worker's with its pid. */
void bench_report_make(const uint8_t spool_id[CAS_ID_BYTES], struct bench_frame *ret_frame)
{
    uint8_t body[WIRE_BODY_BYTES];
    size_t size = 0;
    struct cas_why why = {.text = ""};
    struct record_reading reading[WIRE_READINGS];
    size_t n = 0;
    for (size_t i = 1; i < SYMPTOM_END; i++) {
        if (symptom_name((enum symptom)i) == NULL)
            continue;
        enum unit unit = symptom_unit((enum symptom)i);
        reading[n++] = (struct record_reading){
            .symptom = i,
            .has_value = true,
            .value = unit == UNIT_BYTES ? 3.7e9 + (double)i : 41.5 + (double)i,
            .has_pid = unit == UNIT_BYTES,
            .pid = 14120,
        };
    }
    struct record_sample sample = {.pool = cas_slice_of("MSExchangeSyncAppPool"),
                                   .readings = reading,
                                   .readings_n = n};
    bench_check(record_encode(RECORD_sample, &sample, body, sizeof body, &size, &why), &why);
    struct record_entry entry = {.seq = mark,
                                 .kind = ENTRY_SAMPLE,
                                 .at_ms = clock_now().wall_ms,
                                 .body = {(const char *)body, size}};
    struct message message = {.type = MESSAGE_report};
    message.as.report =
        (struct message_report){.first_seq = mark, .entries = &entry, .entries_n = 1};
    memcpy(message.as.report.spool_id, spool_id, CAS_ID_BYTES);
    bench_frame_make(&message, ret_frame);
}

void bench_ack_make(const uint8_t spool_id[CAS_ID_BYTES], struct bench_frame *ret_frame)
{
    struct message message = {.type = MESSAGE_ack};
    message.as.ack =
        (struct message_ack){.has_spool_id = true, .has_upto_seq = true, .upto_seq = mark};
    memcpy(message.as.ack.spool_id, spool_id, CAS_ID_BYTES);
    bench_frame_make(&message, ret_frame);
}

void bench_done_make(struct bench_frame *ret_frame)
{
    struct message message = {.type = MESSAGE_ack};
    message.as.ack = (struct message_ack){.has_cmd_id = true, .has_seq = true, .seq = 1};
    bench_frame_make(&message, ret_frame);
}

void bench_tick_make(struct bench_frame *ret_frame)
{
    struct message message = {.type = MESSAGE_tick};
    message.as.tick = (struct message_tick){.epoch = 1790000000,
                                            .tick = 90000,
                                            .is_welcome = true,
                                            .wall_ms = clock_now().wall_ms};
    bench_frame_make(&message, ret_frame);
}

void bench_offer_make(struct bench_frame *ret_frame)
{
    struct message message = {.type = MESSAGE_offer};
    message.as.offer = (struct message_offer){.epoch = 1790000000,
                                              .verb = VERB_probe,
                                              .pool = cas_slice_of("MSExchangeSyncAppPool")};
    bench_frame_make(&message, ret_frame);
}

void bench_grant_make(const struct keys *sign, struct bench_frame *ret_frame)
{
    struct cas_why why = {.text = ""};
    struct record_order order = {.verb = VERB_probe,
                                 .pool = cas_slice_of("MSExchangeSyncAppPool"),
                                 .act_ms = 60000,
                                 .epoch = 1790000000,
                                 .rollout_seq = 1,
                                 .issued_wall_ms = clock_now().wall_ms,
                                 .has_not_after_wall_ms = true,
                                 .not_after_wall_ms = clock_now().wall_ms};
    bench_check(
        order_seal(&order, sign, ret_frame->byte, sizeof ret_frame->byte, &ret_frame->size, &why),
        &why);
}

unsigned bench_type_of(const uint8_t *bytes, size_t size)
{
    return size >= 3 && bytes[0] == 0x93 && bytes[1] == 0x01 && bytes[2] < 0x80 ? bytes[2] : 0;
}
