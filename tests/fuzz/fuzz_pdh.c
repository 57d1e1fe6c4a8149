/* Any bytes as a counter file: decoded as a program would, then every row, every worker. */
#include <stdlib.h>

#include "agent/host/capture.h"
#include "tests/fuzz/fuzz.h"

enum {
    CAP_BYTES = 1024 * 1024
};

static void read_rows(struct capture_pdh *pdh)
{
    struct capture_row row;
    struct capture_worker worker[CAPTURE_WORKERS];
    struct cas_why why = {""};
    size_t worker_n = 0;
    for (;;) {
        enum cas_err err = capture_pdh_next(pdh, &row, &why);
        if (err == CAS_ERR_NOT_FOUND)
            return;
        if (err != CAS_OK)
            continue;
        CAS_ASSERT(row.missing_n <= capture_pdh_head(pdh)->column_n);
        capture_pdh_workers(pdh, &row, "MSExchangeSyncAppPool", worker, &worker_n);
        CAS_ASSERT(worker_n <= CAPTURE_WORKERS);
        (void)capture_pdh_value(pdh, &row, CAPTURE_CPU, "_Total");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capture_input raw = {"fuzz", {(const char *)data, size}};
    struct cas_why why = {""};
    char *text = NULL;
    size_t text_size = 0;
    if (capture_decode(raw, CAP_BYTES, &text, &text_size, &why) != CAS_OK)
        return 0;
    struct capture_input input = {"fuzz", {text, text_size}};
    CAS_AUTO(capture_pdh) pdh = NULL;
    if (capture_pdh_open(input, 0, &pdh, &why) == CAS_OK)
        read_rows(pdh);
    free(text);
    return 0;
}
