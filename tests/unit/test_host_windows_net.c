#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <winsock2.h>

#include <ws2tcpip.h>

#include "agent/host/host_windows.h"

static void sockets_start(void)
{
    WSADATA data;
    CAS_ASSERT(WSAStartup(MAKEWORD(2, 2), &data) == 0);
}

/* A listener on a port of the system's choice. */
static SOCKET listen_at(int family, uint16_t *ret_port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr.s6_addr[15] = 1};
    struct sockaddr_in four = {.sin_family = AF_INET};
    struct sockaddr_storage bound;
    int size = sizeof bound;
    SOCKET made = socket(family, SOCK_STREAM, 0);

    four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CAS_ASSERT(made != INVALID_SOCKET);
    if (family == AF_INET)
        CAS_ASSERT(bind(made, (struct sockaddr *)&four, sizeof four) == 0);
    else
        CAS_ASSERT(bind(made, (struct sockaddr *)&six, sizeof six) == 0);
    CAS_ASSERT(listen(made, 8) == 0);
    CAS_ASSERT(getsockname(made, (struct sockaddr *)&bound, &size) == 0);
    /* The port stands at the same place for both. */
    *ret_port = ntohs(((struct sockaddr_in *)&bound)->sin_port);
    return made;
}

/* A connection to the listener; ret_near is the side that called. */
static void connect_to(SOCKET listener, SOCKET *ret_near, SOCKET *ret_far)
{
    struct sockaddr_storage address;
    int size = sizeof address;

    CAS_ASSERT(getsockname(listener, (struct sockaddr *)&address, &size) == 0);
    *ret_near = socket(address.ss_family, SOCK_STREAM, 0);
    CAS_ASSERT(connect(*ret_near, (struct sockaddr *)&address, size) == 0);
    *ret_far = accept(listener, NULL, NULL);
    CAS_ASSERT(*ret_far != INVALID_SOCKET);
}

struct seen {
    size_t listening_n, to_port_n, close_wait_n, ours_n;
    uint8_t remote[16];
    bool is_ipv6;
};

/* What the table says of one port. */
static struct seen look(uint16_t port)
{
    struct cas_why why = {""};
    struct scene_socket *row = NULL;
    size_t row_n = 0;
    struct seen seen = {0};

    EXPECT_OK(windows_sockets(&row, &row_n, &why), &why);
    for (size_t i = 0; i < row_n; i++) {
        seen.listening_n +=
            row[i].local_port == port && row[i].state == CAPTURE_STATE_LISTENING ? 1 : 0;
        if (row[i].remote_port != port)
            continue;
        seen.to_port_n++;
        memcpy(seen.remote, row[i].remote, sizeof seen.remote);
        seen.is_ipv6 = row[i].is_ipv6;
        if (row[i].state == CAPTURE_STATE_CLOSE_WAIT) {
            seen.close_wait_n++;
            seen.ours_n += row[i].pid == GetCurrentProcessId() ? 1 : 0;
        }
    }
    free(row);
    return seen;
}

/* Why: CLOSE_WAIT and who owns it is what the leak is seen by.
 * How: three connections to ourselves, two closed by the far side and not by us. */
TEST(host_windows_net, close_wait_is_told_with_its_owner)
{
    static const uint8_t loopback[16] = {127, 0, 0, 1};
    SOCKET near_side[3];
    SOCKET far_side[3];
    uint16_t port = 0;

    sockets_start();
    SOCKET listener = listen_at(AF_INET, &port);
    for (size_t i = 0; i < CAS_COUNT(near_side); i++)
        connect_to(listener, &near_side[i], &far_side[i]);
    for (size_t i = 0; i < 2; i++) {
        char byte;
        (void)closesocket(far_side[i]);
        EXPECT_INT_EQ(0, recv(near_side[i], &byte, 1, 0));
    }
    struct seen seen = look(port);
    EXPECT_UINT_EQ(1, seen.listening_n);
    EXPECT_UINT_EQ(3, seen.to_port_n);
    EXPECT_UINT_EQ(2, seen.close_wait_n);
    EXPECT_UINT_EQ(2, seen.ours_n);
    EXPECT_FALSE(seen.is_ipv6);
    EXPECT_BYTES_EQ(loopback, seen.remote, sizeof loopback);
    for (size_t i = 0; i < CAS_COUNT(near_side); i++)
        (void)closesocket(near_side[i]);
    EXPECT_UINT_EQ(0, look(port).close_wait_n);
    (void)closesocket(far_side[2]);
    (void)closesocket(listener);
}

TEST(host_windows_net, ipv6_is_told_with_its_addresses)
{
    static const uint8_t loopback[16] = {[15] = 1};
    SOCKET near_side;
    SOCKET far_side;
    uint16_t port = 0;

    sockets_start();
    SOCKET listener = listen_at(AF_INET6, &port);
    connect_to(listener, &near_side, &far_side);
    struct seen seen = look(port);
    EXPECT_UINT_EQ(1, seen.listening_n);
    EXPECT_UINT_EQ(1, seen.to_port_n);
    EXPECT_TRUE(seen.is_ipv6);
    EXPECT_BYTES_EQ(loopback, seen.remote, sizeof loopback);
    (void)closesocket(near_side);
    (void)closesocket(far_side);
    (void)closesocket(listener);
}

/* Why: a number alone has to be looked up, at night. */
TEST(host_windows_error, number_comes_with_english_words)
{
    struct cas_why why = {""};

    EXPECT_ERR(CAS_ERR_DENIED, windows_fail(&why, CAS_ERR_DENIED, 5, "Call %s", "thing"));
    EXPECT_TEXT_HAS("Call thing: error 5 (Access ", why.text);
    EXPECT_TRUE(why.text[strlen(why.text) - 1] == ')' && why.text[strlen(why.text) - 2] != '.');
    EXPECT_ERR(CAS_ERR_IO, windows_fail(&why, CAS_ERR_IO, 0x80070005, "Call"));
    EXPECT_TEXT_HAS("Call: error 0x80070005 (Access ", why.text);
    EXPECT_ERR(CAS_ERR_IO, windows_fail(&why, CAS_ERR_IO, 65535, "Call"));
    EXPECT_TEXT_HAS("Call: error 65535", why.text);
    EXPECT_ERR(CAS_ERR_IO, windows_fail(&why, CAS_ERR_IO, 0xC0000BB8, "Call"));
    EXPECT_TEXT_HAS("Call: error 0xC0000BB8", why.text);
}

/* Why: under Wine the calls for arrays end the process; a counter that could be added would lead
 * there. */
TEST(host_windows_pdh, under_wine_every_counter_says_why_and_none_is_asked)
{
    struct cas_why why = {""};
    struct windows_pdh *pdh = NULL;
    struct scene_counters *counters = calloc(1, sizeof *counters);

    CAS_ASSERT(counters != NULL);
    EXPECT_TRUE(windows_is_wine());
    EXPECT_OK(windows_pdh_open("MSExchangeSyncAppPool", &pdh, &why), &why);
    for (int64_t round = 0; round < 3; round++) {
        struct cas_now now = {0, round * 3600000};
        EXPECT_OK(windows_pdh_read(pdh, now, counters, &why), &why);
        EXPECT_UINT_EQ(0, counters->row_n);
        for (size_t kind = CAPTURE_OTHER + 1; kind < CAPTURE_COUNTER_N; kind++)
            EXPECT_TEXT_HAS("Wine", counters->absent[kind].text);
        windows_pdh_again(pdh);
    }
    windows_pdh_free(pdh);
    free(counters);
}
