/* Any bytes as appcmd's answers, and as a text with Exchange versions. */
#include "agent/host/capture.h"
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capture_input input = {"fuzz", {(const char *)data, size}};
    struct capture_settings settings;
    struct capture_exchange exchange;
    struct cas_why why = {""};
    char words[128];
    read_items(input);
    (void)capture_appcmd_answer(input, "MSExchangeOWAAppPool", words, sizeof words);
    if (capture_appcmd_settings(input, "MyAppPool", &settings, &why) == CAS_OK)
        CAS_ASSERT(settings.schedule_n <= size);
    if (capture_exchange_read(input, &exchange, &why) == CAS_OK)
        CAS_ASSERT(exchange.has_file || exchange.has_directory);
    return 0;
}
