#include "tests/unit/test.h"

#include <winsock2.h>

#include <windows.h>

#include "agent/host/host_windows.h"

/* The server is this thread: WinHTTP asks on its own ones meanwhile. */
struct served {
    SOCKET listener;
    SOCKET peer;
    char url[64];
};

static struct cas_now now_of(void)
{
    return (struct cas_now){.mono_ms = (int64_t)GetTickCount64()};
}

static void serve_open(struct served *served, const char *scheme)
{
    WSADATA data;
    struct sockaddr_in address = {.sin_family = AF_INET};
    int size = sizeof address;
    struct cas_text url = CAS_TEXT(served->url);
    EXPECT_INT_EQ(0, WSAStartup(MAKEWORD(2, 2), &data));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    served->peer = INVALID_SOCKET;
    served->listener = socket(AF_INET, SOCK_STREAM, IPPROTO_TCP);
    EXPECT_TRUE(served->listener != INVALID_SOCKET);
    EXPECT_INT_EQ(0, bind(served->listener, (struct sockaddr *)&address, sizeof address));
    EXPECT_INT_EQ(0, listen(served->listener, 4));
    EXPECT_INT_EQ(0, getsockname(served->listener, (struct sockaddr *)&address, &size));
    cas_text_clear(&url);
    cas_text_add(&url, "%s://127.0.0.1:%u/page", scheme, (unsigned)ntohs(address.sin_port));
}

/* Takes the request and answers so; NULL takes it and says nothing. */
static void serve(struct served *served, const char *answer)
{
    char request[2048];
    served->peer = accept(served->listener, NULL, NULL);
    EXPECT_TRUE(served->peer != INVALID_SOCKET);
    EXPECT_TRUE(recv(served->peer, request, sizeof request, 0) > 0);
    if (answer == NULL)
        return;
    (void)send(served->peer, answer, (int)strlen(answer), 0);
    closesocket(served->peer);
    served->peer = INVALID_SOCKET;
}

static void serve_close(struct served *served)
{
    if (served->peer != INVALID_SOCKET)
        closesocket(served->peer);
    closesocket(served->listener);
}

static struct scene_probe probe(const char *scheme, const char *answer, int64_t limit_ms)
{
    struct served served;
    struct windows_probe *asked = NULL;
    struct scene_probe found = {.status = 0};
    struct cas_why why = {.text = ""};
    bool is_over = false;
    serve_open(&served, scheme);
    EXPECT_OK(windows_probe_start(served.url, now_of().mono_ms + limit_ms, &asked, &why), &why);
    serve(&served, answer);
    while (!is_over) {
        EXPECT_OK(windows_probe_poll(asked, now_of(), &is_over, &found, &why), &why);
        SwitchToThread();
    }
    windows_probe_free(asked);
    serve_close(&served);
    return found;
}

TEST(windows_http, a_page_comes_with_status_and_body)
{
    struct scene_probe found =
        probe("http", "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n200 OK<br/>LON-CAS", 60000);
    EXPECT_UINT_EQ(200, found.status);
    EXPECT_TEXT_EQ("200 OK<br/>LON-CAS", found.body);
    EXPECT_TEXT_EQ("", found.reason.text);
}

/* Why: behind a redirect or a password there may be another server's page. */
TEST(windows_http, other_answers_are_taken_as_they_are)
{
    struct scene_probe found =
        probe("http", "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", 60000);
    EXPECT_UINT_EQ(503, found.status);
    EXPECT_TEXT_EQ("HTTP 503", found.reason.text);
    found = probe("http",
                  "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1/\r\nContent-Length: 0\r\n\r\n",
                  60000);
    EXPECT_UINT_EQ(302, found.status);
    found = probe("http",
                  "HTTP/1.1 401 No\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n",
                  60000);
    EXPECT_UINT_EQ(401, found.status);
}

TEST(windows_http, a_page_cut_off_is_no_page)
{
    struct scene_probe found =
        probe("http", "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\n200 OK<br/>LON", 60000);
    EXPECT_TEXT_EQ("", found.body);
    EXPECT_TRUE(found.reason.text[0] != '\0');
}

/* Why: receive timeouts of WinHTTP are not to be relied on. */
TEST(windows_http, silence_ends_at_the_deadline)
{
    int64_t begun_ms = now_of().mono_ms;
    struct scene_probe found = probe("http", NULL, 300);
    EXPECT_UINT_EQ(0, found.status);
    EXPECT_TEXT_HAS("timed out after", found.reason.text);
    EXPECT_TRUE(now_of().mono_ms - begun_ms >= 300);
}

TEST(windows_http, a_server_without_tls_is_a_tls_error)
{
    struct scene_probe found = probe("https", "HTTP/1.1 400 Bad Request\r\n\r\n", 60000);
    EXPECT_UINT_EQ(0, found.status);
    EXPECT_TRUE(found.reason.text[0] != '\0');
}

TEST(windows_http, a_port_nobody_listens_on_refuses)
{
    struct served served;
    struct windows_probe *asked = NULL;
    struct scene_probe found = {.status = 0};
    struct cas_why why = {.text = ""};
    bool is_over = false;
    serve_open(&served, "https");
    serve_close(&served);
    EXPECT_OK(windows_probe_start(served.url, now_of().mono_ms + 60000, &asked, &why), &why);
    while (!is_over) {
        EXPECT_OK(windows_probe_poll(asked, now_of(), &is_over, &found, &why), &why);
        SwitchToThread();
    }
    windows_probe_free(asked);
    EXPECT_TEXT_EQ("connection refused (12029)", found.reason.text);
}

/* Why: an end of the agent, or a look given up, may come at any point of a request. */
TEST(windows_http, a_probe_can_be_dropped_at_any_point)
{
    for (int i = 0; i < 16; i++) {
        struct served served;
        struct windows_probe *asked = NULL;
        struct cas_why why = {.text = ""};
        serve_open(&served, "http");
        EXPECT_OK(windows_probe_start(served.url, now_of().mono_ms + 60000, &asked, &why), &why);
        if (i % 2 == 0)
            serve(&served, i % 4 == 0 ? NULL : "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n2");
        windows_probe_free(asked);
        serve_close(&served);
    }
}
