/* Any bytes as event XML. */
#include "agent/host/capture.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capture_input input = {"fuzz", {(const char *)data, size}};
    struct cas_why why = {""};
    CAS_AUTO(capture_events) events = NULL;
    if (capture_events_open(input, &events, &why) != CAS_OK)
        return 0;
    /* Each call takes at least one byte. */
    for (size_t i = 0; i <= size; i++) {
        struct capture_event event;
        struct capture_told told;
        enum cas_err err = capture_events_next(events, &event, &why);
        if (err == CAS_ERR_NOT_FOUND)
            return 0;
        if (err != CAS_OK)
            continue;
        CAS_ASSERT(event.data_n <= CAPTURE_EVENT_DATA);
        if (capture_event_meaning(&event, &told, &why) == CAS_OK)
            CAS_ASSERT(told.words != NULL);
    }
    CAS_ASSERT(size == SIZE_MAX); /* no end was found */
    return 0;
}
