/* One snapshot of the kernel (SystemProcessInformation) gives every process's name, start, memory
 * and handles without opening any; only worker processes are opened, for their command line. */
#include "agent/host/host_windows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <winternl.h>

#include "proto/base/wide_windows.h"

enum {
    CLASS_PROCESSES = 5,
    CLASS_COMMAND_LINE = 60, /* Windows 8.1, 2012 R2 and later */
    SNAPSHOT_BYTES = 512 * 1024,
    SNAPSHOT_BYTES_MOST = 32 * 1024 * 1024,
    COMMAND_UNITS = 32768,
    NAME_UNITS = 64,
    TICKS_PER_MS = 10000
};
static const int64_t filetime_epoch_ms = 11644473600000; /* 1601 to 1970 */
static const NTSTATUS status_too_short = (NTSTATUS)0xC0000004L;

/* winternl.h's own keeps most of it unnamed. Source of the layout: the same since Windows 7, x64;
 * Geoff Chappell, "SYSTEM_PROCESS_INFORMATION", read 2026-11. */
struct process_row {
    ULONG next;
    ULONG thread_n;
    LARGE_INTEGER working_set_private;
    ULONG hard_faults, thread_peak;
    ULONGLONG cycles;
    LARGE_INTEGER start, user, kernel;
    UNICODE_STRING name;
    LONG priority;
    HANDLE pid, parent;
    ULONG handle_n, session;
    ULONG_PTR key;
    SIZE_T virtual_peak, virtual_now;
    ULONG page_faults;
    SIZE_T working_set_peak, working_set;
    SIZE_T quota[4];
    SIZE_T pagefile, pagefile_peak, private_bytes;
};

struct snapshot {
    BYTE *data;
    ULONG size;
    wchar_t wide[COMMAND_UNITS + sizeof(UNICODE_STRING)];
    char text[3 * COMMAND_UNITS];
};

static void snapshot_free(struct snapshot *snapshot)
{
    if (snapshot == NULL)
        return;
    free(snapshot->data);
    free(snapshot);
}
CAS_AUTO_DEFINE(snapshot);

static enum cas_err snapshot_take(struct snapshot **ret_snapshot, struct cas_why *why)
{
    CAS_AUTO(snapshot) snapshot = malloc(sizeof *snapshot);
    if (snapshot == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the list of processes");
    snapshot->data = NULL;
    NTSTATUS status = status_too_short;
    for (ULONG room = SNAPSHOT_BYTES; room <= SNAPSHOT_BYTES_MOST && status == status_too_short;
         room *= 2) {
        free(snapshot->data);
        snapshot->data = malloc(room);
        if (snapshot->data == NULL)
            return cas_fail(why, CAS_ERR_NOMEM, "no memory for %lu bytes of processes", room);
        ULONG size = 0;
        status = NtQuerySystemInformation((SYSTEM_INFORMATION_CLASS)CLASS_PROCESSES,
                                          snapshot->data,
                                          room,
                                          &size);
        snapshot->size = size < room ? size : room;
    }
    if (status < 0)
        return windows_fail(why,
                            CAS_ERR_IO,
                            (uint32_t)status,
                            "NtQuerySystemInformation of all processes");
    *ret_snapshot = CAS_TAKE(snapshot);
    return CAS_OK;
}

/* The row behind this one, NULL at the end; row NULL: the first. */
static const struct process_row *snapshot_next(const struct snapshot *snapshot,
                                               const struct process_row *row)
{
    size_t at = 0;
    if (row != NULL) {
        if (row->next == 0)
            return NULL;
        at = (size_t)((const BYTE *)row - snapshot->data) + row->next;
    }
    if (at + sizeof *row > snapshot->size)
        return NULL;
    return (const struct process_row *)(const void *)(snapshot->data + at);
}

static bool name_of(const struct process_row *row, char *ret_name, size_t cap)
{
    wchar_t wide[NAME_UNITS];
    size_t unit_n = row->name.Length / sizeof(wchar_t);
    if (row->name.Buffer == NULL || unit_n >= NAME_UNITS)
        return false;
    memcpy(wide, row->name.Buffer, unit_n * sizeof(wchar_t));
    wide[unit_n] = L'\0';
    return wide_to_utf8(wide, ret_name, cap) == CAS_OK;
}

/* ---- command lines ---- */

static bool command_of_kernel(HANDLE process, struct snapshot *snapshot)
{
    ULONG size = 0;
    UNICODE_STRING *told = (UNICODE_STRING *)(void *)snapshot->wide;
    NTSTATUS status = NtQueryInformationProcess(process,
                                                (PROCESSINFOCLASS)CLASS_COMMAND_LINE,
                                                snapshot->wide,
                                                sizeof snapshot->wide,
                                                &size);
    if (status < 0 || told->Buffer == NULL)
        return false;
    size_t unit_n = told->Length / sizeof(wchar_t);
    if (unit_n >= COMMAND_UNITS)
        return false;
    memmove(snapshot->wide, told->Buffer, unit_n * sizeof(wchar_t));
    snapshot->wide[unit_n] = L'\0';
    return true;
}

static bool read_at(HANDLE process, const void *at, void *ret_data, size_t size)
{
    SIZE_T done = 0;
    return ReadProcessMemory(process, at, ret_data, size, &done) && done == size;
}

/* Where the kernel does not tell it: out of the process's own parameters. */
static bool command_of_memory(HANDLE process, struct snapshot *snapshot)
{
    PROCESS_BASIC_INFORMATION basic;
    ULONG size = 0;
    RTL_USER_PROCESS_PARAMETERS *parameters = NULL;
    UNICODE_STRING line;
    NTSTATUS status =
        NtQueryInformationProcess(process, ProcessBasicInformation, &basic, sizeof basic, &size);
    if (status < 0 || basic.PebBaseAddress == NULL)
        return false;
    const BYTE *peb = (const BYTE *)basic.PebBaseAddress;
    if (!read_at(process, peb + offsetof(PEB, ProcessParameters), &parameters, sizeof parameters) ||
        parameters == NULL)
        return false;
    const BYTE *at = (const BYTE *)parameters + offsetof(RTL_USER_PROCESS_PARAMETERS, CommandLine);
    if (!read_at(process, at, &line, sizeof line) || line.Buffer == NULL ||
        line.Length / sizeof(wchar_t) >= COMMAND_UNITS)
        return false;
    if (!read_at(process, line.Buffer, snapshot->wide, line.Length))
        return false;
    snapshot->wide[line.Length / sizeof(wchar_t)] = L'\0';
    return true;
}

enum told {
    TOLD_GONE, /* it ended meanwhile */
    TOLD_UNREAD,
    TOLD_LINE
};

static enum told command_of(DWORD pid, struct snapshot *snapshot)
{
    DWORD most = PROCESS_QUERY_INFORMATION | PROCESS_VM_READ;
    HANDLE process = OpenProcess(most, FALSE, pid);
    if (process == NULL)
        process = OpenProcess(PROCESS_QUERY_LIMITED_INFORMATION, FALSE, pid);
    if (process == NULL)
        return GetLastError() == ERROR_INVALID_PARAMETER ? TOLD_GONE : TOLD_UNREAD;
    bool is_told = command_of_kernel(process, snapshot) || command_of_memory(process, snapshot);
    is_told = is_told &&
              wide_to_utf8(snapshot->wide, snapshot->text, sizeof snapshot->text) == CAS_OK &&
              snapshot->text[0] != '\0';
    bool is_gone = WaitForSingleObject(process, 0) == WAIT_OBJECT_0;
    (void)CloseHandle(process);
    return is_told ? TOLD_LINE : is_gone ? TOLD_GONE : TOLD_UNREAD;
}

/* ---- the pool's workers ---- */

static struct scene_worker worker_of(const struct process_row *row)
{
    struct scene_worker worker = {
        .pid = (uint32_t)(uintptr_t)row->pid,
        .start_ms = row->start.QuadPart / TICKS_PER_MS - filetime_epoch_ms,
        .private_bytes = (double)row->private_bytes,
        .working_set_bytes = (double)row->working_set,
        .handles = (double)row->handle_n,
    };
    /* Wine knows the page file's share only. */
    if (row->private_bytes == 0)
        worker.private_bytes = (double)row->pagefile;
    return worker;
}

/* Newest start last; of more than fit the oldest goes. */
static void worker_add(struct scene_worker *worker, size_t *n, const struct scene_worker *one)
{
    if (*n == HOST_WORKERS) {
        if (one->start_ms < worker[0].start_ms)
            return;
        memmove(worker, worker + 1, (HOST_WORKERS - 1) * sizeof *worker);
        (*n)--;
    }
    size_t at = (*n)++;
    for (; at > 0 && worker[at - 1].start_ms > one->start_ms; at--)
        worker[at] = worker[at - 1];
    worker[at] = *one;
}

enum cas_err windows_workers(const char *pool,
                             struct scene_worker ret_worker[HOST_WORKERS],
                             size_t *ret_n,
                             size_t *ret_unread_n,
                             struct cas_why *why)
{
    CAS_AUTO(snapshot) snapshot = NULL;
    enum cas_err err = snapshot_take(&snapshot, why);
    if (err != CAS_OK)
        return err;
    size_t n = 0;
    size_t unread_n = 0;
    for (const struct process_row *row = snapshot_next(snapshot, NULL); row != NULL;
         row = snapshot_next(snapshot, row)) {
        char name[3 * NAME_UNITS];
        char its_pool[POOL_BYTES];
        if (!name_of(row, name, sizeof name) || !capture_same(cas_slice_of(name), "w3wp.exe"))
            continue;
        struct scene_worker worker = worker_of(row);
        enum told told = command_of(worker.pid, snapshot);
        if (told == TOLD_GONE)
            continue;
        if (told == TOLD_UNREAD) {
            unread_n++;
            continue;
        }
        /* A w3wp.exe without a pool is none of IIS's. */
        err = scene_command_pool(cas_slice_of(snapshot->text), its_pool, NULL);
        if (err == CAS_OK && capture_same(cas_slice_of(its_pool), pool))
            worker_add(ret_worker, &n, &worker);
    }
    *ret_n = n;
    *ret_unread_n = unread_n;
    return CAS_OK;
}

uint32_t windows_self_pid(void)
{
    return (uint32_t)GetCurrentProcessId();
}

enum cas_err windows_memory(struct scene_memory *ret_memory, struct cas_why *why)
{
    MEMORYSTATUSEX status = {.dwLength = sizeof status};
    if (!GlobalMemoryStatusEx(&status))
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "GlobalMemoryStatusEx");
    *ret_memory = (struct scene_memory){.available_bytes = (double)status.ullAvailPhys,
                                        .total_bytes = (double)status.ullTotalPhys};
    return CAS_OK;
}

static bool is_meant(const char *process, const char *wanted)
{
    size_t size = strlen(wanted);
    if (size == 0 || wanted[size - 1] != '*')
        return capture_same(cas_slice_of(process), wanted);
    char head[NAME_UNITS];
    struct cas_slice begin = {.data = process, .size = size - 1};
    if (strlen(process) < size - 1 || size > sizeof head)
        return false;
    memcpy(head, wanted, size - 1);
    head[size - 1] = '\0';
    return capture_same(begin, head);
}

enum cas_err windows_is_running(const char *const *name,
                                size_t name_n,
                                bool *ret_is_running,
                                struct cas_why *why)
{
    CAS_AUTO(snapshot) snapshot = NULL;
    enum cas_err err = snapshot_take(&snapshot, why);
    if (err != CAS_OK)
        return err;
    bool is_running = false;
    for (const struct process_row *row = snapshot_next(snapshot, NULL); row != NULL && !is_running;
         row = snapshot_next(snapshot, row)) {
        char process[3 * NAME_UNITS];
        if (!name_of(row, process, sizeof process))
            continue;
        for (size_t i = 0; i < name_n; i++)
            is_running = is_running || is_meant(process, name[i]);
    }
    *ret_is_running = is_running;
    return CAS_OK;
}
