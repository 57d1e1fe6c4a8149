/* w3wp.exe -ap "POOL" -v "v4.0": a worker process that leaks.
 *
 * Holds DOUBLE_MEGABYTES of touched memory and DOUBLE_SOCKETS connections whose other end has
 * closed; sets the event DOUBLE_READY; then waits to be ended by was.exe, its owner. Every socket
 * has been read from: only then does the TCP table know whose it is. */
#include <winsock2.h>

#include "tests/windows/double_windows.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PAGE_BYTES = 4096,
    MEGABYTE = 1024 * 1024
};

static unsigned long number(const char *name)
{
    char text[32] = "";
    return GetEnvironmentVariableA(name, text, sizeof text) == 0 ? 0 : strtoul(text, NULL, 10);
}

static bool memory_hold(unsigned long megabytes)
{
    size_t size = (size_t)megabytes * MEGABYTE;
    if (size == 0)
        return true;
    volatile char *held = VirtualAlloc(NULL, size, MEM_COMMIT | MEM_RESERVE, PAGE_READWRITE);
    for (size_t at = 0; held != NULL && at < size; at += PAGE_BYTES)
        held[at] = 1;
    return held != NULL;
}

/* A connection in use, both ends ours: a worker without any socket is nobody the table knows. */
static bool socket_keep(SOCKET listener, const struct sockaddr_in *address)
{
    SOCKET near_end = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (near_end == INVALID_SOCKET ||
        connect(near_end, (const struct sockaddr *)address, sizeof *address) != 0)
        return false;
    SOCKET far_end = accept(listener, NULL, NULL);
    char byte = 0;
    return far_end != INVALID_SOCKET && send(far_end, &byte, 1, 0) == 1 &&
           recv(near_end, &byte, 1, 0) == 1;
}

/* A connection whose far end has said goodbye: CLOSE_WAIT until this process ends. */
static bool socket_strand(SOCKET listener, const struct sockaddr_in *address)
{
    SOCKET near_end = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (near_end == INVALID_SOCKET ||
        connect(near_end, (const struct sockaddr *)address, sizeof *address) != 0)
        return false;
    SOCKET far_end = accept(listener, NULL, NULL);
    if (far_end == INVALID_SOCKET)
        return false;
    (void)closesocket(far_end);
    char byte;
    return recv(near_end, &byte, 1, 0) == 0;
}

static bool sockets_hold(unsigned long count)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    SOCKET listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    if (listener == INVALID_SOCKET ||
        bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 8) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &size) != 0 ||
        !socket_keep(listener, &address))
        return false;
    for (unsigned long i = 0; i < count; i++) {
        if (!socket_strand(listener, &address))
            return false;
    }
    (void)closesocket(listener);
    return true;
}

int main(void)
{
    WSADATA data;
    char ready[64] = "";
    (void)GetEnvironmentVariableA("DOUBLE_READY", ready, sizeof ready);
    if (WSAStartup(MAKEWORD(2, 2), &data) != 0 || !memory_hold(number("DOUBLE_MEGABYTES")) ||
        !sockets_hold(number("DOUBLE_SOCKETS"))) {
        (void)fprintf(stderr, "w3wp: %d\n", WSAGetLastError());
        return 1;
    }
    HANDLE event = OpenEventA(EVENT_MODIFY_STATE, FALSE, ready);
    if (event != NULL)
        (void)SetEvent(event);
    Sleep(INFINITE);
    return 0;
}
