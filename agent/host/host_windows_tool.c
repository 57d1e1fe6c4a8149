#include "agent/host/host_windows.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "agent/host/act.h"
#include "agent/host/quote.h"
#include "proto/base/wide_windows.h"

enum {
    PIPE_BYTES = 256 * 1024,
    CHUNK_BYTES = 64 * 1024,
    POLL_BYTES = 2 * 1024 * 1024, /* read in one poll at most: a flood must not keep the loop */
    ENDED_CODE = 1,               /* what a killed process leaves as its exit code */
};

struct windows_tool {
    HANDLE job;
    HANDLE process;
    HANDLE output; /* our end of the pipe */
    int64_t deadline_ms;
    bool is_over;
    bool is_killed;
    uint32_t code;
    uint64_t dropped_bytes;
    size_t used;
    char path[WINDOWS_PATH_BYTES]; /* for reasons */
    char bytes[WINDOWS_OUTPUT_BYTES];
};

/* What the start of a process needs for a moment only. */
struct tool_birth {
    wchar_t path[WINDOWS_PATH_BYTES];
    wchar_t folder[WINDOWS_PATH_BYTES];
    wchar_t line[QUOTE_LINE_UNITS];
    char utf8[QUOTE_LINE_BYTES];
    HANDLE input;  /* NUL */
    HANDLE output; /* the tool's end of the pipe */
    LPPROC_THREAD_ATTRIBUTE_LIST list;
    bool is_list;
};

static void handle_close(HANDLE *handle)
{
    if (*handle != NULL && *handle != INVALID_HANDLE_VALUE)
        CloseHandle(*handle);
    *handle = NULL;
}

static void tool_birth_free(struct tool_birth *birth)
{
    if (birth == NULL)
        return;
    if (birth->is_list)
        DeleteProcThreadAttributeList(birth->list);
    free(birth->list);
    handle_close(&birth->input);
    handle_close(&birth->output);
    free(birth);
}
CAS_AUTO_DEFINE(tool_birth);

static enum cas_err
pipe_open(struct windows_tool *tool, struct tool_birth *birth, struct cas_why *why)
{
    SECURITY_ATTRIBUTES inherited = {.nLength = sizeof inherited, .bInheritHandle = TRUE};
    if (!CreatePipe(&tool->output, &birth->output, NULL, PIPE_BYTES))
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "CreatePipe for %s", tool->path);
    if (!SetHandleInformation(birth->output, HANDLE_FLAG_INHERIT, HANDLE_FLAG_INHERIT))
        return windows_fail(why,
                            CAS_ERR_IO,
                            GetLastError(),
                            "SetHandleInformation for %s",
                            tool->path);
    birth->input = CreateFileW(L"NUL",
                               GENERIC_READ,
                               FILE_SHARE_READ | FILE_SHARE_WRITE,
                               &inherited,
                               OPEN_EXISTING,
                               0,
                               NULL);
    if (birth->input == INVALID_HANDLE_VALUE)
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "CreateFile NUL for %s", tool->path);
    return CAS_OK;
}

/* The two handles named here are all that the tool gets: no socket, ledger or key of ours. */
static enum cas_err
list_make(struct windows_tool *tool, struct tool_birth *birth, HANDLE both[2], struct cas_why *why)
{
    SIZE_T size = 0;
    (void)InitializeProcThreadAttributeList(NULL, 1, 0, &size);
    birth->list = malloc(size);
    if (birth->list == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory to start %s", tool->path);
    birth->is_list = InitializeProcThreadAttributeList(birth->list, 1, 0, &size) != 0;
    if (!birth->is_list || !UpdateProcThreadAttribute(birth->list,
                                                      0,
                                                      PROC_THREAD_ATTRIBUTE_HANDLE_LIST,
                                                      both,
                                                      2 * sizeof both[0],
                                                      NULL,
                                                      NULL))
        return windows_fail(why,
                            CAS_ERR_IO,
                            GetLastError(),
                            "PROC_THREAD_ATTRIBUTE_HANDLE_LIST for %s",
                            tool->path);
    return CAS_OK;
}

/* Whatever runs in the job ends when its last handle is closed, by a crash of ours too. A fault in
 * the tool ends it instead of opening a window that nobody sees. */
static enum cas_err job_make(struct windows_tool *tool, struct cas_why *why)
{
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limits = {0};
    limits.BasicLimitInformation.LimitFlags =
        JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE | JOB_OBJECT_LIMIT_DIE_ON_UNHANDLED_EXCEPTION;
    tool->job = CreateJobObjectW(NULL, NULL);
    if (tool->job == NULL)
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "CreateJobObject for %s", tool->path);
    if (!SetInformationJobObject(tool->job,
                                 JobObjectExtendedLimitInformation,
                                 &limits,
                                 sizeof limits))
        return windows_fail(why,
                            CAS_ERR_IO,
                            GetLastError(),
                            "SetInformationJobObject for %s",
                            tool->path);
    return CAS_OK;
}

/* Suspended until it is in its job: it runs not one instruction outside of it. */
static enum cas_err
process_start(struct windows_tool *tool, struct tool_birth *birth, struct cas_why *why)
{
    HANDLE both[2] = {birth->input, birth->output};
    PROCESS_INFORMATION made = {0};
    STARTUPINFOEXW start = {.StartupInfo = {.cb = sizeof start,
                                            .dwFlags = STARTF_USESTDHANDLES,
                                            .hStdInput = birth->input,
                                            .hStdOutput = birth->output,
                                            .hStdError = birth->output}};
    enum cas_err err = list_make(tool, birth, both, why);
    if (err != CAS_OK)
        return err;
    start.lpAttributeList = birth->list;
    if (!CreateProcessW(birth->path,
                        birth->line,
                        NULL,
                        NULL,
                        TRUE,
                        CREATE_SUSPENDED | CREATE_NO_WINDOW | EXTENDED_STARTUPINFO_PRESENT,
                        NULL,
                        birth->folder,
                        &start.StartupInfo,
                        &made)) {
        DWORD code = GetLastError();
        return windows_fail(why, wide_err_of(code), code, "CreateProcess %s", tool->path);
    }
    tool->process = made.hProcess;
    bool is_in = AssignProcessToJobObject(tool->job, made.hProcess) != 0;
    DWORD code = is_in ? 0 : GetLastError();
    bool is_running = is_in && ResumeThread(made.hThread) != (DWORD)-1;
    if (is_in && !is_running)
        code = GetLastError();
    CloseHandle(made.hThread);
    if (is_running)
        return CAS_OK;
    TerminateProcess(made.hProcess, ENDED_CODE);
    return windows_fail(why,
                        CAS_ERR_IO,
                        code,
                        "%s %s",
                        is_in ? "ResumeThread" : "AssignProcessToJobObject",
                        tool->path);
}

static enum cas_err birth_words(struct windows_tool *tool,
                                struct tool_birth *birth,
                                const char *path,
                                const char *const *argument,
                                struct cas_why *why)
{
    enum cas_err err = quote_line(path, argument, birth->utf8, sizeof birth->utf8, why);
    if (err != CAS_OK)
        return err;
    if (wide_from_utf8(birth->utf8, birth->line, CAS_COUNT(birth->line)) != CAS_OK ||
        wide_from_utf8(path, birth->path, CAS_COUNT(birth->path)) != CAS_OK ||
        cas_slice_copy(cas_slice_of(path), tool->path, sizeof tool->path) != CAS_OK)
        return cas_fail(why, CAS_ERR_TOO_LONG, "%.200s: the path is too long", path);
    DWORD kind = GetFileAttributesW(birth->path);
    if (kind == INVALID_FILE_ATTRIBUTES || (kind & FILE_ATTRIBUTE_DIRECTORY) != 0)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "%s: no such program on this server", path);
    /* Libraries are looked for in the current folder too: it is Windows' own. */
    UINT size = GetSystemDirectoryW(birth->folder, CAS_COUNT(birth->folder));
    if (size == 0 || size >= CAS_COUNT(birth->folder))
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "GetSystemDirectory");
    return CAS_OK;
}

enum cas_err windows_tool_start(const char *path,
                                const char *const *argument,
                                int64_t deadline_ms,
                                struct windows_tool **ret_tool,
                                struct cas_why *why)
{
    CAS_AUTO(windows_tool) tool = calloc(1, sizeof *tool);
    CAS_AUTO(tool_birth) birth = calloc(1, sizeof *birth);
    if (tool == NULL || birth == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory to start %.200s", path);
    tool->deadline_ms = deadline_ms;
    enum cas_err err = birth_words(tool, birth, path, argument, why);
    if (err == CAS_OK)
        err = pipe_open(tool, birth, why);
    if (err == CAS_OK)
        err = job_make(tool, why);
    if (err == CAS_OK)
        err = process_start(tool, birth, why);
    if (err != CAS_OK)
        return err;
    *ret_tool = CAS_TAKE(tool);
    return CAS_OK;
}

/* Only what is there already is read, so that nothing waits; what does not fit is read all the
 * same, so that the tool does not wait either. The pipe's end is no sign of anything: a child of
 * the tool may hold it open. */
static void output_read(struct windows_tool *tool)
{
    static char spill[CHUNK_BYTES]; /* read and forgotten */
    size_t total = 0;
    while (total < POLL_BYTES) {
        DWORD ready = 0;
        DWORD got = 0;
        size_t room = sizeof tool->bytes - tool->used;
        char *into = room > 0 ? tool->bytes + tool->used : spill;
        size_t most = room > 0 ? room : sizeof spill;
        if (!PeekNamedPipe(tool->output, NULL, 0, NULL, &ready, NULL) || ready == 0)
            return;
        DWORD want = ready < most ? ready : (DWORD)most;
        if (!ReadFile(tool->output, into, want, &got, NULL) || got == 0)
            return;
        if (room > 0)
            tool->used += got;
        else
            tool->dropped_bytes += got;
        total += got;
    }
}

enum cas_err windows_tool_poll(struct windows_tool *tool,
                               struct cas_now now,
                               struct windows_tool_end *ret_end,
                               struct cas_why *why)
{
    if (!tool->is_over) {
        DWORD code = 0;
        DWORD state = WaitForSingleObject(tool->process, 0);
        if (state == WAIT_FAILED)
            return windows_fail(why,
                                CAS_ERR_IO,
                                GetLastError(),
                                "WaitForSingleObject %s",
                                tool->path);
        if (state == WAIT_OBJECT_0) {
            if (!GetExitCodeProcess(tool->process, &code))
                return windows_fail(why,
                                    CAS_ERR_IO,
                                    GetLastError(),
                                    "GetExitCodeProcess %s",
                                    tool->path);
            tool->is_over = true;
            tool->code = code;
        } else if (now.mono_ms >= tool->deadline_ms) {
            TerminateJobObject(tool->job, ENDED_CODE);
            tool->is_over = true;
            tool->is_killed = true;
            tool->code = ENDED_CODE;
        }
        output_read(tool);
    }
    *ret_end = (struct windows_tool_end){.is_over = tool->is_over,
                                         .is_killed = tool->is_killed,
                                         .code = tool->code,
                                         .output = {tool->bytes, tool->used},
                                         .dropped_bytes = tool->dropped_bytes};
    return CAS_OK;
}

void windows_tool_free(struct windows_tool *tool)
{
    if (tool == NULL)
        return;
    if (tool->job != NULL && tool->process != NULL)
        TerminateJobObject(tool->job, ENDED_CODE);
    handle_close(&tool->process);
    handle_close(&tool->output);
    handle_close(&tool->job);
    free(tool);
}

/* ---- text ---- */

static enum cas_err
text_from_oem(struct cas_slice output, char **ret_text, size_t *ret_size, struct cas_why *why)
{
    int size = (int)output.size; /* WINDOWS_OUTPUT_BYTES at most */
    int wide_n = MultiByteToWideChar(GetOEMCP(), 0, output.data, size, NULL, 0);
    if (wide_n <= 0)
        return windows_fail(why, CAS_ERR_FORMAT, GetLastError(), "MultiByteToWideChar");
    wchar_t *wide = calloc((size_t)wide_n, sizeof *wide);
    size_t cap = 3 * (size_t)wide_n + 1;
    char *text = malloc(cap);
    int text_n = 0;
    if (wide != NULL && text != NULL) {
        wide_n = MultiByteToWideChar(GetOEMCP(), 0, output.data, size, wide, wide_n);
        text_n = WideCharToMultiByte(CP_UTF8, 0, wide, wide_n, text, (int)cap - 1, NULL, NULL);
    }
    free(wide);
    if (text_n <= 0) {
        free(text);
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for %zu bytes of output", output.size);
    }
    text[text_n] = '\0';
    *ret_text = text;
    *ret_size = (size_t)text_n;
    return CAS_OK;
}

static enum cas_err
text_from_utf16(struct cas_slice output, char **ret_text, size_t *ret_size, struct cas_why *why)
{
    /* The mark in front where there is none; half a character at the end goes. */
    bool is_marked = output.size >= 2 && (memcmp(output.data, "\xFF\xFE", 2) == 0 ||
                                          memcmp(output.data, "\xFE\xFF", 2) == 0);
    size_t mark = is_marked ? 0 : 2;
    size_t size = output.size - output.size % 2;
    char *bytes = malloc(size + 2);
    if (bytes == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for %zu bytes of output", size);
    memcpy(bytes, "\xFF\xFE", 2);
    memcpy(bytes + mark, output.data, size);
    struct capture_input raw = {.file = "output", .bytes = {bytes, size + mark}};
    enum cas_err err = capture_decode(raw, 3 * WINDOWS_OUTPUT_BYTES, ret_text, ret_size, why);
    free(bytes);
    return err;
}

enum cas_err
windows_tool_text(struct cas_slice output, char **ret_text, size_t *ret_size, struct cas_why *why)
{
    struct capture_input raw = {.file = "output", .bytes = output};
    if (output.size > WINDOWS_OUTPUT_BYTES)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "output of %zu bytes, at most %d",
                        output.size,
                        WINDOWS_OUTPUT_BYTES);
    switch (act_coding_of(output)) {
    case ACT_CODING_UTF16:
        return text_from_utf16(output, ret_text, ret_size, why);
    case ACT_CODING_OEM:
        return text_from_oem(output, ret_text, ret_size, why);
    case ACT_CODING_UTF8:
        break;
    }
    return capture_decode(raw, WINDOWS_OUTPUT_BYTES, ret_text, ret_size, why);
}

enum cas_err
windows_system_path(const char *tail, char ret_path[WINDOWS_PATH_BYTES], struct cas_why *why)
{
    wchar_t wide[WINDOWS_PATH_BYTES];
    char folder[WINDOWS_PATH_BYTES];
    char path[WINDOWS_PATH_BYTES];
    struct cas_text text = CAS_TEXT(path);
    UINT size = GetSystemDirectoryW(wide, CAS_COUNT(wide));
    if (size == 0 || size >= CAS_COUNT(wide))
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "GetSystemDirectory");
    if (wide_to_utf8(wide, folder, sizeof folder) != CAS_OK)
        return cas_fail(why, CAS_ERR_TOO_LONG, "Windows' system folder has too long a name");
    cas_text_clear(&text);
    cas_text_add(&text, "%s\\%s", folder, tail);
    if (text.is_cut || wide_from_utf8(path, wide, CAS_COUNT(wide)) != CAS_OK)
        return cas_fail(why, CAS_ERR_TOO_LONG, "%.200s\\%.200s: too long", folder, tail);
    if (GetFileAttributesW(wide) == INVALID_FILE_ATTRIBUTES)
        return cas_fail(why, CAS_ERR_NOT_FOUND, "%s: no such program on this server", path);
    memcpy(ret_path, path, text.used + 1);
    return CAS_OK;
}
