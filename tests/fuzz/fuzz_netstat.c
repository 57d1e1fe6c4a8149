/* Any bytes as a netstat listing, and as netsh's port ranges. */
#include "agent/host/capture.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct capture_input input = {"fuzz", {(const char *)data, size}};
    struct capture_ports ports = {.first = 1024, .number = 64512};
    struct capture_excluded range[CAPTURE_PORT_RANGES];
    struct capture_netstat_sum sum;
    struct cas_why why = {""};
    size_t range_n = 0;
    if (capture_netsh_dynamic(input, &ports, &why) == CAS_OK)
        CAS_ASSERT(ports.number > 0);
    if (capture_netsh_excluded(input, range, &range_n, &why) == CAS_OK)
        CAS_ASSERT(range_n <= CAPTURE_PORT_RANGES);
    if (capture_netstat_sum(input, ports, 4, &sum, &why) != CAS_OK)
        return 0;
    CAS_ASSERT(sum.ports_used <= ports.number);
    CAS_ASSERT(sum.ports_peer_most <= sum.row_n);
    CAS_ASSERT(sum.owner_n <= CAPTURE_OWNERS);
    return 0;
}
