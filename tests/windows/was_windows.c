/* was.exe POOL MEGABYTES SOCKETS SHUTDOWN_MS NAME: the owner of the pool's worker process.
 *
 * Starts w3wp.exe beside it with a leak, answers appcmd.exe, recycles with overlap (the new worker
 * first, the old one ends SHUTDOWN_MS later), follows the component states in the registry, and
 * keeps the effect log of server NAME. C:\doubles\was.mode: ok; refuse (pool not started);
 * unchanged (says done, keeps the worker); sick (the new worker never answers well); slow (the new
 * worker comes 3 s after the answer). Ends when C:\doubles\stop is there, and its workers with it.
 */
#include "tests/windows/double_windows.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKERS = 4,
    REQUESTERS = 8,
    TICK_MS = 50,
    READY_MS = 20000,
    SLOW_MS = 3000,
    FRESH_MEGABYTES = 4,
};
#define STATES_KEY \
    "SOFTWARE\\Microsoft\\ExchangeServer\\v15\\ServerComponentStates\\ActiveSyncProxy"

struct worker {
    HANDLE process;
    DWORD pid;
    ULONGLONG end_ms; /* 0: not told to end */
};
struct requester {
    char name[64];
    bool is_active;
};
struct was {
    const char *pool, *name;
    unsigned long shutdown_ms, sockets;
    struct worker worker[WORKERS]; /* oldest first */
    size_t worker_n;
    struct requester requester[REQUESTERS];
    size_t requester_n;
    HANDLE job, ready, log;
    unsigned seq;
    bool is_sick, has_states;
    ULONGLONG slow_ms; /* 0: no recycle waits */
    char said[128];    /* what pool.health holds */
};

static int64_t wall_ms(void)
{
    FILETIME time;
    GetSystemTimeAsFileTime(&time);
    int64_t ticks = (int64_t)(((uint64_t)time.dwHighDateTime << 32) | time.dwLowDateTime);
    return ticks / 10000 - 11644473600000;
}

static void
effect(struct was *was, const char *kind, DWORD before, DWORD after, const char *outcome)
{
    char line[512];
    DWORD written = 0;
    int size = snprintf(line,
                        sizeof line,
                        "{\"at_ms\":%" PRId64 ",\"mono_ms\":%" PRIu64
                        ",\"server\":\"%s\",\"effect\":\"%s\",\"cmd_id\":\"%032x\","
                        "\"pid_before\":%lu,\"pid_after\":%lu,\"outcome\":\"%s\",\"seq\":%u,"
                        "\"model_ms\":%" PRIu64 "}\n",
                        wall_ms(),
                        (uint64_t)GetTickCount64(),
                        was->name,
                        kind,
                        was->seq + 1,
                        before,
                        after,
                        outcome,
                        was->seq + 1,
                        (uint64_t)GetTickCount64());
    was->seq++;
    if (size > 0)
        (void)WriteFile(was->log, line, (DWORD)size, &written, NULL);
    (void)FlushFileBuffers(was->log);
}

/* ---- workers ---- */

static bool worker_start(struct was *was, unsigned long megabytes, unsigned long sockets)
{
    char line[512];
    char number[32];
    STARTUPINFOA start = {.cb = sizeof start};
    PROCESS_INFORMATION made;
    if (was->worker_n == WORKERS)
        return false;
    (void)snprintf(number, sizeof number, "%lu", megabytes);
    (void)SetEnvironmentVariableA("DOUBLE_MEGABYTES", number);
    (void)snprintf(number, sizeof number, "%lu", sockets);
    (void)SetEnvironmentVariableA("DOUBLE_SOCKETS", number);
    (void)snprintf(line,
                   sizeof line,
                   "c:\\windows\\system32\\inetsrv\\w3wp.exe -ap \"%s\" -v \"v4.0\" -a "
                   "\\\\.\\pipe\\iisipm-double -h \"C:\\inetpub\\temp\\%s.config\" -w \"\" -m 0",
                   was->pool,
                   was->pool);
    (void)ResetEvent(was->ready);
    if (!CreateProcessA(NULL, line, NULL, NULL, FALSE, CREATE_SUSPENDED, NULL, NULL, &start, &made))
        return false;
    (void)AssignProcessToJobObject(was->job, made.hProcess);
    (void)ResumeThread(made.hThread);
    (void)CloseHandle(made.hThread);
    HANDLE either[] = {was->ready, made.hProcess};
    if (WaitForMultipleObjects(2, either, FALSE, READY_MS) != WAIT_OBJECT_0)
        return false;
    was->worker[was->worker_n++] =
        (struct worker){.process = made.hProcess, .pid = made.dwProcessId};
    was->sockets = sockets;
    return true;
}

static void worker_drop(struct was *was, size_t at)
{
    (void)CloseHandle(was->worker[at].process);
    was->worker_n--;
    memmove(&was->worker[at], &was->worker[at + 1], (was->worker_n - at) * sizeof was->worker[0]);
}

static DWORD newest(const struct was *was)
{
    return was->worker_n == 0 ? 0 : was->worker[was->worker_n - 1].pid;
}

static void workers_look(struct was *was)
{
    for (size_t i = 0; i < was->worker_n; i++) {
        struct worker *worker = &was->worker[i];
        if (worker->end_ms != 0 && GetTickCount64() >= worker->end_ms)
            (void)TerminateProcess(worker->process, 0);
        if (WaitForSingleObject(worker->process, 0) == WAIT_OBJECT_0)
            worker_drop(was, i--);
    }
    if (was->worker_n == 0)
        (void)worker_start(was, FRESH_MEGABYTES, 0);
}

static bool recycle_overlapped(struct was *was)
{
    DWORD before = newest(was);
    size_t old_n = was->worker_n;
    if (!worker_start(was, FRESH_MEGABYTES, 0))
        return false;
    for (size_t i = 0; i < old_n; i++) {
        if (was->worker[i].end_ms == 0)
            was->worker[i].end_ms = GetTickCount64() + was->shutdown_ms;
    }
    effect(was, "recycle", before, newest(was), was->is_sick ? "sick" : "ok");
    return true;
}

/* ---- what appcmd asks ---- */

static void answer_recycle(struct was *was, struct double_answer *answer)
{
    char mode[DOUBLE_MODE_BYTES];
    double_mode("was.mode", mode);
    was->is_sick = strcmp(mode, "sick") == 0;
    if (strcmp(mode, "refuse") == 0) {
        effect(was, "recycle", newest(was), newest(was), "refused");
        answer->code = 1062;
        (void)snprintf(answer->text, sizeof answer->text, "The application pool is not started.");
    } else if (strcmp(mode, "unchanged") == 0) {
        effect(was, "recycle", newest(was), newest(was), "unchanged");
    } else if (strcmp(mode, "slow") == 0) {
        was->slow_ms = GetTickCount64() + SLOW_MS;
    } else if (!recycle_overlapped(was)) {
        answer->code = 1;
        (void)snprintf(answer->text, sizeof answer->text, "No new worker process.");
    }
}

static void answer_make(struct was *was, const struct double_ask *ask, struct double_answer *answer)
{
    bool is_ours = ask->pool[0] == '\0' || _stricmp(ask->pool, was->pool) == 0;
    memset(answer, 0, sizeof *answer);
    if (!is_ours) {
        answer->code = 1168;
        (void)snprintf(answer->text,
                       sizeof answer->text,
                       "Cannot find APPPOOL object with identifier \"%s\".",
                       ask->pool);
        if (strcmp(ask->verb, "recycle") != 0)
            answer->text[0] = '\0';
    } else if (strcmp(ask->verb, "list") == 0) {
        size_t used = 0;
        for (size_t i = 0; i < was->worker_n && used < sizeof answer->text - 256; i++)
            used += (size_t)snprintf(answer->text + used,
                                     sizeof answer->text - used,
                                     "WP \"%lu\" (applicationPool:%s)\r\n",
                                     was->worker[i].pid,
                                     was->pool);
    } else if (strcmp(ask->verb, "state") == 0) {
        (void)snprintf(answer->text, sizeof answer->text, "%s\nStarted", was->pool);
    } else if (strcmp(ask->verb, "requests") == 0) {
        (void)snprintf(answer->text, sizeof answer->text, "%lu", was->sockets);
    } else if (strcmp(ask->verb, "recycle") == 0) {
        answer_recycle(was, answer);
    }
}

static void pipe_serve(struct was *was, HANDLE pipe)
{
    struct double_ask ask;
    struct double_answer answer;
    DWORD size = 0;
    OVERLAPPED over = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    bool is_read = ReadFile(pipe, &ask, sizeof ask, &size, &over) ||
                   (GetLastError() == ERROR_IO_PENDING &&
                    WaitForSingleObject(over.hEvent, 2000) == WAIT_OBJECT_0);
    is_read = is_read && GetOverlappedResult(pipe, &over, &size, FALSE) && size == sizeof ask;
    if (is_read) {
        ask.verb[sizeof ask.verb - 1] = '\0';
        ask.pool[sizeof ask.pool - 1] = '\0';
        answer_make(was, &ask, &answer);
        (void)ResetEvent(over.hEvent);
        if (!WriteFile(pipe, &answer, sizeof answer, &size, &over) &&
            GetLastError() == ERROR_IO_PENDING)
            (void)GetOverlappedResult(pipe, &over, &size, TRUE);
        (void)FlushFileBuffers(pipe);
    } else {
        (void)CancelIo(pipe);
    }
    (void)DisconnectNamedPipe(pipe);
    (void)CloseHandle(over.hEvent);
}

/* ---- component states ---- */

static bool state_read(HKEY key, DWORD at, struct requester *ret_requester)
{
    char text[64] = "";
    DWORD name_size = sizeof ret_requester->name;
    DWORD text_size = sizeof text - 1;
    if (RegEnumValueA(key,
                      at,
                      ret_requester->name,
                      &name_size,
                      NULL,
                      NULL,
                      (BYTE *)text,
                      &text_size) != ERROR_SUCCESS)
        return false;
    const char *state = strchr(text, ':');
    ret_requester->is_active = state == NULL || state[1] != '0';
    return true;
}

/* A requester's change is an effect: drain and undrain, by whom in its outcome. */
static void states_look(struct was *was)
{
    struct requester found[REQUESTERS];
    size_t found_n = 0;
    HKEY key;
    if (RegOpenKeyExA(HKEY_LOCAL_MACHINE, STATES_KEY, 0, KEY_READ, &key) == ERROR_SUCCESS) {
        while (found_n < REQUESTERS && state_read(key, (DWORD)found_n, &found[found_n]))
            found_n++;
        (void)RegCloseKey(key);
    }
    for (size_t i = 0; i < found_n && was->has_states; i++) {
        bool was_active = true;
        for (size_t j = 0; j < was->requester_n; j++) {
            if (strcmp(was->requester[j].name, found[i].name) == 0)
                was_active = was->requester[j].is_active;
        }
        if (was_active != found[i].is_active)
            effect(was,
                   found[i].is_active ? "undrain" : "drain",
                   newest(was),
                   newest(was),
                   found[i].name);
    }
    memcpy(was->requester, found, sizeof found);
    was->requester_n = found_n;
    was->has_states = true;
}

static void health_tell(struct was *was)
{
    const char *words = "good";
    if (was->is_sick)
        words = "bad the worker answers nothing";
    if (was->worker_n == 0)
        words = "bad no worker";
    for (size_t i = 0; i < was->requester_n; i++) {
        if (!was->requester[i].is_active)
            words = "bad ActiveSyncProxy is inactive";
    }
    if (strcmp(words, was->said) != 0 && double_put("pool.health", words))
        (void)snprintf(was->said, sizeof was->said, "%s", words);
}

/* ---- running ---- */

static bool open_all(struct was *was)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {
        .BasicLimitInformation = {.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE}};
    char host[256] = "";
    DWORD size = sizeof host;
    was->job = CreateJobObjectA(NULL, NULL);
    was->ready = CreateEventA(NULL, TRUE, FALSE, "casfleet-double-ready");
    (void)SetEnvironmentVariableA("DOUBLE_READY", "casfleet-double-ready");
    was->log = CreateFileA(DOUBLE_FOLDER "effects.log",
                           FILE_APPEND_DATA,
                           FILE_SHARE_READ | FILE_SHARE_WRITE,
                           NULL,
                           OPEN_ALWAYS,
                           0,
                           NULL);
    return was->job != NULL && was->ready != NULL && was->log != INVALID_HANDLE_VALUE &&
           SetInformationJobObject(was->job,
                                   JobObjectExtendedLimitInformation,
                                   &limits,
                                   sizeof limits) &&
           GetComputerNameExA(ComputerNameDnsFullyQualified, host, &size) &&
           double_put("host", host);
}

static void tick(struct was *was)
{
    states_look(was);
    if (was->slow_ms != 0 && GetTickCount64() >= was->slow_ms) {
        was->slow_ms = 0;
        (void)recycle_overlapped(was);
    }
    workers_look(was);
    health_tell(was);
}

static int serve(struct was *was)
{
    OVERLAPPED over = {.hEvent = CreateEventA(NULL, TRUE, FALSE, NULL)};
    HANDLE pipe = CreateNamedPipeA(DOUBLE_PIPE,
                                   PIPE_ACCESS_DUPLEX | FILE_FLAG_OVERLAPPED,
                                   PIPE_TYPE_MESSAGE | PIPE_READMODE_MESSAGE | PIPE_WAIT,
                                   1,
                                   sizeof(struct double_answer),
                                   sizeof(struct double_ask),
                                   0,
                                   NULL);
    if (pipe == INVALID_HANDLE_VALUE)
        return 1;
    while (GetFileAttributesA(DOUBLE_FOLDER "stop") == INVALID_FILE_ATTRIBUTES) {
        (void)ResetEvent(over.hEvent);
        bool is_there = ConnectNamedPipe(pipe, &over) || GetLastError() == ERROR_PIPE_CONNECTED;
        bool is_pending = !is_there && GetLastError() == ERROR_IO_PENDING;
        while (is_pending && !is_there &&
               GetFileAttributesA(DOUBLE_FOLDER "stop") == INVALID_FILE_ATTRIBUTES) {
            is_there = WaitForSingleObject(over.hEvent, TICK_MS) == WAIT_OBJECT_0;
            tick(was);
        }
        if (is_there)
            pipe_serve(was, pipe);
        tick(was);
    }
    return 0;
}

int main(int argc, char **argv)
{
    static struct was was;
    if (argc != 6) {
        (void)fprintf(stderr, "usage: was.exe POOL MEGABYTES SOCKETS SHUTDOWN_MS NAME\n");
        return 2;
    }
    was.pool = argv[1];
    was.name = argv[5];
    was.shutdown_ms = strtoul(argv[4], NULL, 10);
    if (!open_all(&was) ||
        !worker_start(&was, strtoul(argv[2], NULL, 10), strtoul(argv[3], NULL, 10))) {
        (void)fprintf(stderr, "was: %lu\n", GetLastError());
        return 1;
    }
    tick(&was);
    (void)printf("was: worker %lu of %s is ready\n", newest(&was), was.pool);
    (void)fflush(stdout);
    int code = serve(&was);
    (void)printf("was: ended\n");
    return code;
}
