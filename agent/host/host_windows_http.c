#include "agent/host/host_windows.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include <winhttp.h>

#include "agent/host/probe.h"
#include "proto/base/wide_windows.h"

/* Which address is right.
 *
 * Exchange's setup binds the Default Web Site (front end) to *:443 and to 127.0.0.1:443, neither
 * with a host name nor with SNI, and the Exchange Back End site to *:444. So 127.0.0.1 reaches this
 * very server whatever name clients and balancers use. Source: the default of
 * AutoCertBasedAuthHttpsBindings in Microsoft's xExchange DSC module ("0.0.0.0:443",
 * "127.0.0.1:443"; MSFT_xExchActiveSyncVirtualDirectory.schema.mof, read 2026-11).
 *
 * healthcheck.htm is a page of the front end alone. The back end's is exhealth.check, asked by
 * Exchange's own self test probes as https://localhost:444/<directory>/exhealth.check: 200 says
 * that the pool answers, without a look at anything beyond it (OfficeDocs-Exchange, OWA.Protocol
 * health set, read 2026-11). It is for callers on the server that name it localhost.
 *
 * Why a certificate is not looked at: the address is this machine's own, so nobody can stand in
 * between, the certificate is Exchange's self-signed one or made out to the clients' name, and who
 * answered is seen by the host name in the page. probe_url_parse refuses every other address.
 *
 * Threads: WinHTTP calls probe_status from its own. All it touches is struct probe_shared, under
 * its lock; it goes on with the request itself, as the agent's loop may look seldom. The loop calls
 * WinHTTP without the lock, so neither waits for the other. The shared part lives until both have
 * let go: the loop by windows_probe_free, WinHTTP by its last word, HANDLE_CLOSING, which may come
 * after WinHttpCloseHandle has returned (its documentation, read 2026-11). */

enum {
    PROBES_OPEN = 32, /* WinHTTP may let go of a request late: Wine does when the server hangs up */
};

struct probe_shared {
    CRITICAL_SECTION lock;
    int holder_n;
    bool is_closed; /* the loop has given up: nothing further is asked */
    bool is_over;
    uint32_t status;
    uint32_t error;
    uint32_t tls;
    bool has_length;
    uint32_t length;
    int64_t over_ms; /* tick of the end */
    struct probe_body body;
    char piece[SCENE_BODY_BYTES]; /* WinHTTP writes here between a read and its completion */
};

struct windows_probe {
    HINTERNET connect;
    HINTERNET request;
    struct probe_shared *shared;
    int64_t deadline_ms; /* monotonic, as the loop's clock says */
    int64_t start_ms;    /* tick */
    bool is_late;
};

/* One for the process, never closed: a session costs threads and a look into the registry. */
static HINTERNET probe_session;
/* Shared parts not yet let go of by both: a page that hangs for days must not pile them up. */
static LONG volatile probe_open_n;

static int64_t tick_ms(void)
{
    return (int64_t)GetTickCount64();
}

static void shared_release(struct probe_shared *shared)
{
    EnterCriticalSection(&shared->lock);
    bool is_last = --shared->holder_n == 0;
    LeaveCriticalSection(&shared->lock);
    if (!is_last)
        return;
    DeleteCriticalSection(&shared->lock);
    free(shared);
    InterlockedDecrement(&probe_open_n);
}

/* ---- on WinHTTP's threads ---- */

static void shared_end(struct probe_shared *shared, uint32_t error)
{
    if (shared->is_over)
        return;
    shared->is_over = true;
    shared->error = error;
    shared->over_ms = tick_ms();
}

static void piece_read(HINTERNET request, struct probe_shared *shared)
{
    size_t room = probe_body_room(&shared->body);
    if (room == 0)
        shared_end(shared, 0);
    else if (!WinHttpReadData(request, shared->piece, (DWORD)room, NULL))
        shared_end(shared, GetLastError());
}

static bool number_query(HINTERNET request, DWORD what, uint32_t *ret_number)
{
    DWORD number = 0;
    DWORD size = sizeof number;
    if (!WinHttpQueryHeaders(request,
                             what | WINHTTP_QUERY_FLAG_NUMBER,
                             WINHTTP_HEADER_NAME_BY_INDEX,
                             &number,
                             &size,
                             WINHTTP_NO_HEADER_INDEX))
        return false;
    *ret_number = number;
    return true;
}

static void headers_read(HINTERNET request, struct probe_shared *shared)
{
    if (!number_query(request, WINHTTP_QUERY_STATUS_CODE, &shared->status)) {
        shared_end(shared, GetLastError());
        return;
    }
    shared->has_length = number_query(request, WINHTTP_QUERY_CONTENT_LENGTH, &shared->length);
    piece_read(request, shared);
}

static void shared_step(HINTERNET request,
                        struct probe_shared *shared,
                        DWORD status,
                        const void *info,
                        DWORD size)
{
    switch (status) {
    case WINHTTP_CALLBACK_STATUS_SECURE_FAILURE:
        shared->tls = *(const DWORD *)info;
        break;
    case WINHTTP_CALLBACK_STATUS_SENDREQUEST_COMPLETE:
        if (!WinHttpReceiveResponse(request, NULL))
            shared_end(shared, GetLastError());
        break;
    case WINHTTP_CALLBACK_STATUS_HEADERS_AVAILABLE:
        headers_read(request, shared);
        break;
    case WINHTTP_CALLBACK_STATUS_READ_COMPLETE:
        if (size == 0) {
            shared_end(shared, 0);
            break;
        }
        probe_body_add(&shared->body, shared->piece, size);
        piece_read(request, shared);
        break;
    case WINHTTP_CALLBACK_STATUS_REQUEST_ERROR:
        shared_end(shared, ((const WINHTTP_ASYNC_RESULT *)info)->dwError);
        break;
    default:
        break;
    }
}

static void CALLBACK
probe_status(HINTERNET request, DWORD_PTR context, DWORD status, void *info, DWORD size)
{
    struct probe_shared *shared = (struct probe_shared *)context;
    if (shared == NULL)
        return;
    if (status == WINHTTP_CALLBACK_STATUS_HANDLE_CLOSING) {
        shared_release(shared);
        return;
    }
    EnterCriticalSection(&shared->lock);
    if (!shared->is_closed && !shared->is_over)
        shared_step(request, shared, status, info, size);
    LeaveCriticalSection(&shared->lock);
}

/* ---- on the loop's thread ---- */

static enum cas_err session_open(struct cas_why *why)
{
    if (probe_session != NULL)
        return CAS_OK;
    HINTERNET session = WinHttpOpen(L"casfleet-agent",
                                    WINHTTP_ACCESS_TYPE_NO_PROXY,
                                    WINHTTP_NO_PROXY_NAME,
                                    WINHTTP_NO_PROXY_BYPASS,
                                    WINHTTP_FLAG_ASYNC);
    if (session == NULL)
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "WinHttpOpen");
    /* What is offered by default is older on older Windows; where Windows knows no TLS 1.3, the
     * first list is refused as a whole. */
    DWORD newest = WINHTTP_FLAG_SECURE_PROTOCOL_TLS1 | WINHTTP_FLAG_SECURE_PROTOCOL_TLS1_1 |
                   WINHTTP_FLAG_SECURE_PROTOCOL_TLS1_2 | 0x2000 /* TLS 1.3 */;
    DWORD known = newest & ~(DWORD)0x2000;
    if (!WinHttpSetOption(session, WINHTTP_OPTION_SECURE_PROTOCOLS, &newest, sizeof newest))
        (void)WinHttpSetOption(session, WINHTTP_OPTION_SECURE_PROTOCOLS, &known, sizeof known);
    probe_session = session;
    return CAS_OK;
}

/* No connection outlives its probe: each is a new one, as a balancer's is. */
static bool request_set(HINTERNET request, bool is_tls, DWORD *ret_code)
{
    DWORD off = WINHTTP_DISABLE_COOKIES | WINHTTP_DISABLE_REDIRECTS |
                WINHTTP_DISABLE_AUTHENTICATION | WINHTTP_DISABLE_KEEP_ALIVE;
    DWORD never = WINHTTP_OPTION_REDIRECT_POLICY_NEVER;
    DWORD ignored = SECURITY_FLAG_IGNORE_UNKNOWN_CA | SECURITY_FLAG_IGNORE_CERT_CN_INVALID |
                    SECURITY_FLAG_IGNORE_CERT_DATE_INVALID | SECURITY_FLAG_IGNORE_CERT_WRONG_USAGE;
    bool is_set =
        WinHttpSetOption(request, WINHTTP_OPTION_DISABLE_FEATURE, &off, sizeof off) &&
        WinHttpSetOption(request, WINHTTP_OPTION_REDIRECT_POLICY, &never, sizeof never) &&
        (!is_tls ||
         WinHttpSetOption(request, WINHTTP_OPTION_SECURITY_FLAGS, &ignored, sizeof ignored));
    *ret_code = is_set ? 0 : GetLastError();
    /* Client certificates are asked for where ActiveSync takes them; the health page needs none. */
    if (is_set && is_tls)
        (void)WinHttpSetOption(request,
                               WINHTTP_OPTION_CLIENT_CERT_CONTEXT,
                               WINHTTP_NO_CLIENT_CERT_CONTEXT,
                               0);
    return is_set;
}

static enum cas_err request_open(struct windows_probe *probe,
                                 const struct probe_url *url,
                                 const char *words,
                                 struct cas_why *why)
{
    wchar_t host[PROBE_HOST_BYTES];
    wchar_t path[PROBE_PATH_BYTES];
    DWORD code = 0;
    if (wide_from_utf8(url->host, host, CAS_COUNT(host)) != CAS_OK ||
        wide_from_utf8(url->path, path, CAS_COUNT(path)) != CAS_OK)
        return cas_fail(why, CAS_ERR_TOO_LONG, "%.200s: too long an address", words);
    probe->connect = WinHttpConnect(probe_session, host, url->port, 0);
    if (probe->connect == NULL)
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "WinHttpConnect %.200s", words);
    probe->request = WinHttpOpenRequest(probe->connect,
                                        L"GET",
                                        path,
                                        NULL,
                                        WINHTTP_NO_REFERER,
                                        WINHTTP_DEFAULT_ACCEPT_TYPES,
                                        url->is_tls ? WINHTTP_FLAG_SECURE : 0);
    if (probe->request == NULL)
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "WinHttpOpenRequest %.200s", words);
    if (!request_set(probe->request, url->is_tls, &code))
        return windows_fail(why, CAS_ERR_IO, code, "WinHttpSetOption for %.200s", words);
    return CAS_OK;
}

/* From here on WinHTTP holds the shared part too, until HANDLE_CLOSING. The context is an option of
 * the handle and not an argument of the send: a handle that is closed without ever having been sent
 * says HANDLE_CLOSING as well. */
static enum cas_err
request_send(struct windows_probe *probe, const char *words, struct cas_why *why)
{
    struct probe_shared *shared = probe->shared;
    DWORD wanted = WINHTTP_CALLBACK_FLAG_ALL_COMPLETIONS | WINHTTP_CALLBACK_FLAG_HANDLES |
                   WINHTTP_CALLBACK_FLAG_SECURE_FAILURE;
    if (WinHttpSetStatusCallback(probe->request, probe_status, wanted, 0) ==
        WINHTTP_INVALID_STATUS_CALLBACK)
        return windows_fail(why,
                            CAS_ERR_IO,
                            GetLastError(),
                            "WinHttpSetStatusCallback for %.200s",
                            words);
    shared->holder_n++; /* nobody else knows it yet */
    DWORD_PTR context = (DWORD_PTR)shared;
    if (!WinHttpSetOption(probe->request, WINHTTP_OPTION_CONTEXT_VALUE, &context, sizeof context)) {
        DWORD code = GetLastError();
        shared->holder_n--;
        return windows_fail(why, CAS_ERR_IO, code, "WinHttpSetOption for %.200s", words);
    }
    if (!WinHttpSendRequest(probe->request,
                            WINHTTP_NO_ADDITIONAL_HEADERS,
                            0,
                            WINHTTP_NO_REQUEST_DATA,
                            0,
                            0,
                            context)) {
        /* An end like another: poll tells it. */
        DWORD code = GetLastError();
        EnterCriticalSection(&shared->lock);
        shared_end(shared, code);
        LeaveCriticalSection(&shared->lock);
    }
    return CAS_OK;
}

enum cas_err windows_probe_start(const char *url,
                                 int64_t deadline_ms,
                                 struct windows_probe **ret_probe,
                                 struct cas_why *why)
{
    struct probe_url parsed;
    enum cas_err err = probe_url_parse(url, &parsed, why);
    if (err == CAS_OK)
        err = session_open(why);
    if (err != CAS_OK)
        return err;
    if (InterlockedCompareExchange(&probe_open_n, 0, 0) >= PROBES_OPEN)
        return cas_fail(why,
                        CAS_ERR_BUSY,
                        "%.200s: %d earlier probes were given up and have not ended yet",
                        url,
                        PROBES_OPEN);
    CAS_AUTO(windows_probe) probe = calloc(1, sizeof *probe);
    struct probe_shared *shared = calloc(1, sizeof *shared);
    if (probe == NULL || shared == NULL) {
        free(shared);
        return cas_fail(why, CAS_ERR_NOMEM, "no memory to ask %.200s", url);
    }
    InitializeCriticalSection(&shared->lock);
    shared->holder_n = 1;
    InterlockedIncrement(&probe_open_n);
    probe->shared = shared;
    probe->deadline_ms = deadline_ms;
    probe->start_ms = tick_ms();
    err = request_open(probe, &parsed, url, why);
    if (err == CAS_OK)
        err = request_send(probe, url, why);
    if (err != CAS_OK)
        return err;
    *ret_probe = CAS_TAKE(probe);
    return CAS_OK;
}

static void probe_close(struct windows_probe *probe)
{
    EnterCriticalSection(&probe->shared->lock);
    probe->shared->is_closed = true;
    LeaveCriticalSection(&probe->shared->lock);
    if (probe->request != NULL)
        WinHttpCloseHandle(probe->request);
    if (probe->connect != NULL)
        WinHttpCloseHandle(probe->connect);
    probe->request = NULL;
    probe->connect = NULL;
}

enum cas_err windows_probe_poll(struct windows_probe *probe,
                                struct cas_now now,
                                bool *ret_is_over,
                                struct scene_probe *ret_probe,
                                struct cas_why *why)
{
    struct probe_shared *shared = probe->shared;
    (void)why;
    EnterCriticalSection(&shared->lock);
    struct probe_end end = {.status = shared->status,
                            .error = shared->error,
                            .tls = shared->tls,
                            .has_length = shared->has_length,
                            .length = shared->length,
                            .spent_ms = shared->over_ms - probe->start_ms};
    struct probe_body body = shared->body;
    bool is_over = shared->is_over;
    LeaveCriticalSection(&shared->lock);

    /* WinHTTP's own receive timeout is not to be relied on: the handle is closed instead. */
    if (!is_over && !probe->is_late && now.mono_ms >= probe->deadline_ms)
        probe->is_late = true;
    if (is_over || probe->is_late)
        probe_close(probe);
    *ret_is_over = is_over || probe->is_late;
    if (!*ret_is_over)
        return CAS_OK;
    end.is_late = probe->is_late;
    if (probe->is_late)
        end.spent_ms = tick_ms() - probe->start_ms;
    end.body = &body;
    char words[REASON_BYTES] = "";
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    if (end.error != 0)
        wide_err_words(end.error, &text);
    probe_judge(&end, words, ret_probe);
    return CAS_OK;
}

void windows_probe_free(struct windows_probe *probe)
{
    if (probe == NULL)
        return;
    if (probe->shared != NULL) {
        probe_close(probe);
        shared_release(probe->shared);
    }
    free(probe);
}
