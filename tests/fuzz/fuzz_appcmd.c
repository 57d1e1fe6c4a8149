/* Any bytes as appcmd's answers, as the end of a recycle, and as a text with Exchange versions. */
#include "agent/host/act.h"
#include "tests/fuzz/fuzz.h"

static void read_items(struct capture_input input)
{
    struct capture_appcmd appcmd;
    capture_appcmd_init(&appcmd, input);
    for (;;) {
        struct capture_item item;
        struct cas_why why = {""};
        enum cas_err err = capture_appcmd_next(&appcmd, &item, &why);
        if (err == CAS_ERR_NOT_FOUND)
            return;
        if (err == CAS_OK)
            CAS_ASSERT(item.pool.size <= input.bytes.size);
    }
}

/* The first byte is the exit code: 0 in half of all inputs. */
static void judge_end(struct cas_slice bytes)
{
    struct host_act act;
    uint32_t code = bytes.size == 0 ? 0 : (uint32_t)(uint8_t)bytes.data[0];
    struct act_end end = {.code = code < 128 ? 0 : code,
                          .is_killed = code == 255,
                          .output = bytes,
                          .dropped_bytes = code & 1U};
    act_judge(&end, "MSExchangeOWAAppPool", &act);
    CAS_ASSERT(act.state != HOST_ACT_RUNNING);
    CAS_ASSERT(act.state != HOST_ACT_DONE || end.code == 0);
    CAS_ASSERT((act.state == HOST_ACT_UNKNOWN) == end.is_killed);
    CAS_ASSERT(cas_is_clean_text(cas_slice_of(act.text)));
    (void)act_coding_of(bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capture_input input = {"fuzz", {(const char *)data, size}};
    struct capture_settings settings;
    struct capture_exchange exchange;
    struct cas_why why = {""};
    char words[128];
    read_items(input);
    judge_end(input.bytes);
    (void)capture_appcmd_answer(input, "MSExchangeOWAAppPool", words, sizeof words);
    if (capture_appcmd_settings(input, "MyAppPool", &settings, &why) == CAS_OK)
        CAS_ASSERT(settings.schedule_n <= size);
    if (capture_exchange_read(input, &exchange, &why) == CAS_OK)
        CAS_ASSERT(exchange.has_file || exchange.has_directory);
    return 0;
}
