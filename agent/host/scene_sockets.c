#include "agent/host/scene_raw.h"

/* MIB_TCP_STATE; a TCB being deleted (12) has no connection any more. Source: Microsoft,
 * "MIB_TCPROW_OWNER_PID structure (tcpmib.h)"; 100: state Bound of MSFT_NetTCPConnection. */
static const struct {
    uint32_t number;
    enum capture_state state;
} states[] = {
    {1, CAPTURE_STATE_CLOSED},
    {2, CAPTURE_STATE_LISTENING},
    {3, CAPTURE_STATE_SYN_SENT},
    {4, CAPTURE_STATE_SYN_RECEIVED},
    {5, CAPTURE_STATE_ESTABLISHED},
    {6, CAPTURE_STATE_FIN_WAIT_1},
    {7, CAPTURE_STATE_FIN_WAIT_2},
    {8, CAPTURE_STATE_CLOSE_WAIT},
    {9, CAPTURE_STATE_CLOSING},
    {10, CAPTURE_STATE_LAST_ACK},
    {11, CAPTURE_STATE_TIME_WAIT},
    {12, CAPTURE_STATE_CLOSED},
    {100, CAPTURE_STATE_BOUND},
};

enum capture_state scene_socket_state(uint32_t mib_state)
{
    for (size_t i = 0; i < CAS_COUNT(states); i++)
        if (states[i].number == mib_state)
            return states[i].state;
    return CAPTURE_STATE_UNKNOWN;
}

uint16_t scene_socket_port(uint32_t mib_port)
{
    return (uint16_t)((mib_port & 0xFFU) << 8 | (mib_port >> 8 & 0xFFU));
}
