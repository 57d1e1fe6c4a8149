#include "proto/base/log_source.h"

#include <string.h>
#include <wchar.h>

#include <windows.h>

#include "proto/base/wide_windows.h"

static const wchar_t source_name[] = L"" LOG_SOURCE_NAME;
static const wchar_t source_key[] =
    L"SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\" LOG_SOURCE_NAME;
static HANDLE source;

static enum cas_err fail(struct cas_why *why, const char *call, DWORD number)
{
    char data[CAS_WHY_BYTES];
    struct cas_text words = CAS_TEXT(data);
    cas_text_clear(&words);
    wide_err_words(number, &words);
    return cas_fail(why,
                    wide_err_of(number),
                    "event source %s: %s: %s",
                    LOG_SOURCE_NAME,
                    call,
                    data);
}

enum cas_err log_source_start(struct cas_why *why)
{
    if (source == NULL)
        source = RegisterEventSourceW(NULL, source_name);
    return source != NULL ? CAS_OK : fail(why, "RegisterEventSource", GetLastError());
}

void log_source_stop(void)
{
    if (source != NULL)
        (void)DeregisterEventSource(source);
    source = NULL;
}

void log_source_tell(const struct log_event_row *row, const char *words)
{
    static const WORD type[] = {EVENTLOG_ERROR_TYPE,
                                EVENTLOG_WARNING_TYPE,
                                EVENTLOG_INFORMATION_TYPE,
                                EVENTLOG_INFORMATION_TYPE};
    wchar_t wide[LOG_LINE_BYTES];
    const wchar_t *string[] = {wide};
    if (source == NULL || !log_source_is_wanted(row))
        return;
    if (wide_from_utf8(words, wide, CAS_COUNT(wide)) != CAS_OK)
        wide[0] = L'\0';
    (void)ReportEventW(source, type[row->level], 0, log_source_id(row), NULL, 1, 0, string, NULL);
}

static LSTATUS set_values(HKEY key, const wchar_t *program)
{
    DWORD types = EVENTLOG_ERROR_TYPE | EVENTLOG_WARNING_TYPE | EVENTLOG_INFORMATION_TYPE;
    BYTE types_byte[sizeof types];
    memcpy(types_byte, &types, sizeof types);
    LSTATUS status = RegSetValueExW(key,
                                    L"EventMessageFile",
                                    0,
                                    REG_EXPAND_SZ,
                                    (const BYTE *)program,
                                    (DWORD)((wcslen(program) + 1) * sizeof program[0]));
    if (status == ERROR_SUCCESS)
        status = RegSetValueExW(key, L"TypesSupported", 0, REG_DWORD, types_byte, sizeof types);
    return status;
}

enum cas_err log_source_register(const char *program, struct cas_why *why)
{
    wchar_t wide[1024];
    HKEY key = NULL;
    enum cas_err err = wide_from_utf8(program, wide, CAS_COUNT(wide));
    if (err != CAS_OK)
        return cas_fail(why, err, "event source %s: %.80s: not a path", LOG_SOURCE_NAME, program);
    LSTATUS status = RegCreateKeyExW(HKEY_LOCAL_MACHINE,
                                     source_key,
                                     0,
                                     NULL,
                                     0,
                                     KEY_SET_VALUE | KEY_WOW64_64KEY,
                                     NULL,
                                     &key,
                                     NULL);
    if (status == ERROR_SUCCESS) {
        status = set_values(key, wide);
        (void)RegCloseKey(key);
    }
    return status == ERROR_SUCCESS ? CAS_OK : fail(why, "registry", (DWORD)status);
}

enum cas_err log_source_remove(struct cas_why *why)
{
    LSTATUS status = RegDeleteKeyExW(HKEY_LOCAL_MACHINE, source_key, KEY_WOW64_64KEY, 0);
    if (status == ERROR_SUCCESS || status == ERROR_FILE_NOT_FOUND)
        return CAS_OK;
    return fail(why, "registry", (DWORD)status);
}
