#include "agent/service.h"

#include <stdio.h>
#include <string.h>

#include "agent/host/host_windows.h"
#include "agent/place.h"
#include "agent/service_windows.h"
#include "proto/base/wide_windows.h"

#include <tlhelp32.h>

enum {
    EXIT_FAILED = 1,
    START_HINT_MS = 30000, /* to open journal and outbox on a slow disk */
    STOP_HINT_MS = 15000,  /* until the next checkpoint at the latest */
    CHECKPOINT_MS = 1000,
    CLOSE_WAIT_MS = 4500, /* Windows gives a console window that is closed 5 s */
    STEP_MS = 100
};

static volatile LONG is_ending;
static volatile LONG is_over; /* body has returned */
static volatile LONG checkpoint;
static bool is_managed;
static SERVICE_STATUS_HANDLE status_handle;
static ULONGLONG told_at_ms;
static service_body *service_work;
static void *service_context;
static int service_code;

enum cas_err service_api_fail(struct cas_why *why, DWORD number, const char *api, const char *next)
{
    char words[320];
    struct cas_text text = CAS_TEXT(words);
    cas_text_clear(&text);
    wide_err_words(number, &text);
    return cas_fail(why, wide_err_of(number), "%s: %s%s", api, words, next);
}

/* ---- the service manager ---- */

/* From the service's thread and from Windows' own: nothing here is shared but the counter. */
static void status_tell(DWORD state, DWORD hint_ms, int code)
{
    bool is_pending = state == SERVICE_START_PENDING || state == SERVICE_STOP_PENDING;
    SERVICE_STATUS status = {
        .dwServiceType = SERVICE_WIN32_OWN_PROCESS,
        .dwCurrentState = state,
        .dwControlsAccepted =
            state == SERVICE_RUNNING
                ? SERVICE_ACCEPT_STOP | SERVICE_ACCEPT_SHUTDOWN | SERVICE_ACCEPT_PRESHUTDOWN
                : 0,
        .dwWin32ExitCode = code == 0 ? NO_ERROR : ERROR_SERVICE_SPECIFIC_ERROR,
        .dwServiceSpecificExitCode = (DWORD)code,
        .dwCheckPoint = is_pending ? (DWORD)InterlockedIncrement(&checkpoint) : 0,
        .dwWaitHint = hint_ms};
    (void)SetServiceStatus(status_handle, &status);
}

/* On a thread of Windows' own: says that it was heard, and leaves the work to the loop. */
static DWORD WINAPI control_take(DWORD control, DWORD type, void *data, void *context)
{
    (void)type;
    (void)data;
    (void)context;
    switch (control) {
    case SERVICE_CONTROL_STOP:
    case SERVICE_CONTROL_SHUTDOWN:
    case SERVICE_CONTROL_PRESHUTDOWN:
        status_tell(SERVICE_STOP_PENDING, STOP_HINT_MS, 0);
        (void)InterlockedExchange(&is_ending, 1);
        return NO_ERROR;
    case SERVICE_CONTROL_INTERROGATE:
        return NO_ERROR;
    default:
        return ERROR_CALL_NOT_IMPLEMENTED;
    }
}

/* Not in Windows' own folder, where a service begins: relative names would land there. But sooner
 * there than in a folder that somebody else made for us; why it is none is said by the start. */
static void folder_set(void)
{
    wchar_t wide[OPTIONS_PATH_BYTES];
    const char *state = place_here()->state;
    if (place_state_make(state, NULL) != CAS_OK ||
        wide_from_utf8(state, wide, OPTIONS_PATH_BYTES) != CAS_OK ||
        SetCurrentDirectoryW(wide) == 0) {
        UINT used = GetSystemDirectoryW(wide, OPTIONS_PATH_BYTES);
        if (used > 0 && used < OPTIONS_PATH_BYTES)
            (void)SetCurrentDirectoryW(wide);
    }
}

static void WINAPI service_main(DWORD argument_n, wchar_t **arguments)
{
    (void)argument_n;
    (void)arguments;
    is_managed = true;
    status_handle = RegisterServiceCtrlHandlerExW(SERVICE_NAME, control_take, NULL);
    if (status_handle == NULL) {
        service_code = EXIT_FAILED;
        return;
    }
    status_tell(SERVICE_START_PENDING, START_HINT_MS, 0);
    folder_set();
    service_code = service_work(service_context);
    status_tell(SERVICE_STOPPED, 0, service_code);
}

void service_started(void)
{
    if (is_managed && !service_is_ending())
        status_tell(SERVICE_RUNNING, 0, 0);
}

bool service_is_managed(void)
{
    return is_managed;
}

bool service_is_ending(void)
{
    bool is_asked = InterlockedCompareExchange(&is_ending, 0, 0) != 0;
    ULONGLONG now_ms = GetTickCount64();
    if (is_asked && is_managed && now_ms - told_at_ms >= CHECKPOINT_MS) {
        told_at_ms = now_ms;
        status_tell(SERVICE_STOP_PENDING, STOP_HINT_MS, 0);
    }
    return is_asked;
}

/* ---- a console ---- */

/* On a thread of Windows' own. A closed window ends the process as soon as this returns. */
static BOOL WINAPI console_take(DWORD event)
{
    (void)InterlockedExchange(&is_ending, 1);
    if (event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT)
        return TRUE;
    for (int waited_ms = 0; waited_ms < CLOSE_WAIT_MS; waited_ms += STEP_MS) {
        if (InterlockedCompareExchange(&is_over, 0, 0) != 0)
            break;
        Sleep(STEP_MS);
    }
    return TRUE;
}

static DWORD parent_process(void)
{
    DWORD parent = 0;
    HANDLE list = CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0);
    if (list == INVALID_HANDLE_VALUE)
        return 0;
    PROCESSENTRY32W entry = {.dwSize = sizeof entry};
    for (BOOL is_there = Process32FirstW(list, &entry); is_there != 0 && parent == 0;
         is_there = Process32NextW(list, &entry)) {
        if (entry.th32ProcessID == GetCurrentProcessId())
            parent = entry.th32ParentProcessID;
    }
    (void)CloseHandle(list);
    return parent;
}

/* By its whole path: a process may have any name. */
static bool is_manager(DWORD process)
{
    static const wchar_t name[] = L"\\services.exe";
    wchar_t manager[MAX_PATH + CAS_COUNT(name)];
    wchar_t image[OPTIONS_PATH_BYTES];
    DWORD size = CAS_COUNT(image);
    UINT used = GetSystemDirectoryW(manager, MAX_PATH);
    HANDLE handle = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, process);
    if (handle == NULL)
        return false;
    bool is_told = QueryFullProcessImageNameW(handle, 0, image, &size) != 0;
    (void)CloseHandle(handle);
    if (!is_told || used == 0 || used >= MAX_PATH)
        return false;
    memcpy(manager + used, name, sizeof name);
    return _wcsicmp(image, manager) == 0;
}

/* Windows' own manager is always asked: it says no at once to whom it did not start. Wine's does
 * so after 10 s, which at a console is spared. */
static bool may_be_service(void)
{
    return !windows_is_wine() || is_manager(parent_process());
}

static int console_run(service_body *body, void *context)
{
    (void)SetConsoleCtrlHandler(console_take, TRUE);
    int code = body(context);
    (void)InterlockedExchange(&is_over, 1);
    return code;
}

int service_run(service_body *body, void *context)
{
    if (!may_be_service())
        return console_run(body, context);
    service_work = body;
    service_context = context;
    wchar_t name[] = SERVICE_NAME;
    SERVICE_TABLE_ENTRYW table[] = {{name, service_main}, {NULL, NULL}};
    if (StartServiceCtrlDispatcherW(table) != 0)
        return service_code;
    DWORD number = GetLastError();
    if (number != ERROR_FAILED_SERVICE_CONTROLLER_CONNECT) {
        struct cas_why why = {.text = ""};
        (void)service_api_fail(&why, number, "StartServiceCtrlDispatcher", "");
        (void)fprintf(stderr, "casfleet-agent: %s\n", why.text);
        return EXIT_FAILED;
    }
    return console_run(body, context);
}

void service_wait(int64_t wait_ms)
{
    ULONGLONG end_ms = GetTickCount64() + (ULONGLONG)(wait_ms > 0 ? wait_ms : 0);
    for (ULONGLONG now_ms = GetTickCount64();
         now_ms < end_ms && InterlockedCompareExchange(&is_ending, 0, 0) == 0;
         now_ms = GetTickCount64())
        Sleep(end_ms - now_ms < STEP_MS ? (DWORD)(end_ms - now_ms) : STEP_MS);
}

/* ---- once, at the start ---- */

void service_prepare(void)
{
    (void)SetDefaultDllDirectories(LOAD_LIBRARY_SEARCH_SYSTEM32);
    (void)SetDllDirectoryW(L"");
}

bool service_has_manager(void)
{
    return true;
}
