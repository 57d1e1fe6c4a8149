#include "agent/host/host_windows.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <winternl.h>

#include "proto/base/wide_windows.h"

/* ntdll's; the headers have it for drivers only. */
NTSTATUS NTAPI RtlGetVersion(RTL_OSVERSIONINFOW *version);

enum {
    PATH_UNITS = 512,
    NAME_UNITS = 256,  /* Windows' own limit for a key's name; enough for a requester's */
    VALUE_UNITS = 512, /* of a text we read */
    COMPONENTS_MOST = 256
};

#define EXCHANGE_KEY "SOFTWARE\\Microsoft\\ExchangeServer\\v15"
#define STATES_KEY   EXCHANGE_KEY "\\ServerComponentStates"
#define CURRENT_KEY  "SOFTWARE\\Microsoft\\Windows\\CurrentVersion"

/* ---- the registry, 64-bit view ---- */

struct key {
    HKEY handle;
    char path[PATH_UNITS]; /* for reasons */
};

static void key_free(struct key *key)
{
    if (key == NULL)
        return;
    (void)RegCloseKey(key->handle);
    free(key);
}
CAS_AUTO_DEFINE(key);

static enum cas_err
key_open(const char *path, REGSAM access, struct key **ret_key, struct cas_why *why)
{
    wchar_t wide[PATH_UNITS];
    enum cas_err err = wide_from_utf8(path, wide, PATH_UNITS);
    if (err != CAS_OK)
        return cas_fail(why, err, "registry: HKLM\\%.200s: not a key's name", path);
    struct key *key = calloc(1, sizeof *key);
    if (key == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "registry: no memory for HKLM\\%.200s", path);
    struct cas_text text = CAS_TEXT(key->path);
    cas_text_add(&text, "%s", path);
    LSTATUS status =
        RegOpenKeyExW(HKEY_LOCAL_MACHINE, wide, 0, access | KEY_WOW64_64KEY, &key->handle);
    if (status == ERROR_SUCCESS) {
        *ret_key = key;
        return CAS_OK;
    }
    free(key);
    return windows_fail(why,
                        wide_err_of((unsigned long)status),
                        (uint32_t)status,
                        "RegOpenKeyExW HKLM\\%.200s",
                        path);
}

static bool key_is_there(const char *path)
{
    CAS_AUTO(key) key = NULL;
    return key_open(path, KEY_QUERY_VALUE, &key, NULL) == CAS_OK;
}

static enum cas_err
value_fail(const struct key *key, const wchar_t *name, LSTATUS status, struct cas_why *why)
{
    return windows_fail(why,
                        wide_err_of((unsigned long)status),
                        (uint32_t)status,
                        "RegGetValueW %ls of HKLM\\%.200s",
                        name,
                        key->path);
}

static enum cas_err key_text(const struct key *key,
                             const wchar_t *name,
                             char *ret_text,
                             size_t cap,
                             struct cas_why *why)
{
    wchar_t wide[VALUE_UNITS];
    DWORD size = sizeof wide;
    LSTATUS status =
        RegGetValueW(key->handle, NULL, name, RRF_RT_REG_SZ, NULL, (BYTE *)wide, &size);
    if (status != ERROR_SUCCESS)
        return value_fail(key, name, status, why);
    enum cas_err err = wide_to_utf8(wide, ret_text, cap);
    return err == CAS_OK ? err
                         : cas_fail(why,
                                    err,
                                    "registry: %ls of HKLM\\%.200s: longer than %zu",
                                    name,
                                    key->path,
                                    cap - 1);
}

static enum cas_err
key_number(const struct key *key, const wchar_t *name, uint32_t *ret_number, struct cas_why *why)
{
    DWORD number = 0;
    DWORD size = sizeof number;
    LSTATUS status = RegGetValueW(key->handle, NULL, name, RRF_RT_REG_DWORD, NULL, &number, &size);
    if (status != ERROR_SUCCESS)
        return value_fail(key, name, status, why);
    *ret_number = number;
    return CAS_OK;
}

/* ---- versions ---- */

static enum cas_err file_version(const char *path, struct cas_text *version, struct cas_why *why)
{
    wchar_t wide[PATH_UNITS];
    VS_FIXEDFILEINFO *info = NULL;
    UINT info_bytes = 0;
    enum cas_err err = wide_path(path, wide, PATH_UNITS);
    if (err != CAS_OK)
        return cas_fail(why, err, "%.300s: not a path", path);
    DWORD zero = 0;
    DWORD size = GetFileVersionInfoSizeW(wide, &zero);
    DWORD error = GetLastError();
    if (size == 0)
        return windows_fail(why, wide_err_of(error), error, "GetFileVersionInfoSizeW %.300s", path);
    void *data = malloc(size);
    if (data == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the version of %.300s", path);
    if (!GetFileVersionInfoW(wide, 0, size, data) ||
        !VerQueryValueW(data, L"\\", (void **)&info, &info_bytes) || info_bytes < sizeof *info) {
        error = GetLastError();
        err = windows_fail(why, CAS_ERR_FORMAT, error, "GetFileVersionInfoW %.300s", path);
    } else {
        cas_text_add(version,
                     "%u.%u.%u.%u",
                     (unsigned)HIWORD(info->dwFileVersionMS),
                     (unsigned)LOWORD(info->dwFileVersionMS),
                     (unsigned)HIWORD(info->dwFileVersionLS),
                     (unsigned)LOWORD(info->dwFileVersionLS));
    }
    free(data);
    return err;
}

static void read_registry_version(const struct key *key, struct scene_exchange *exchange)
{
    static const wchar_t *const names[] = {L"MsiProductMajor",
                                           L"MsiProductMinor",
                                           L"MsiBuildMajor",
                                           L"MsiBuildMinor"};
    uint32_t part[CAS_COUNT(names)];
    for (size_t i = 0; i < CAS_COUNT(names); i++) {
        if (key_number(key, names[i], &part[i], NULL) != CAS_OK)
            return;
    }
    struct cas_text text = CAS_TEXT(exchange->registry);
    cas_text_add(&text,
                 "%u.%u.%u.%u",
                 (unsigned)part[0],
                 (unsigned)part[1],
                 (unsigned)part[2],
                 (unsigned)part[3]);
    exchange->has_registry = true;
}

static void read_file_version(struct scene_exchange *exchange)
{
    char path[sizeof exchange->install_path + 32];
    struct cas_text text = CAS_TEXT(path);
    struct cas_text version = CAS_TEXT(exchange->file);
    struct cas_text missing = CAS_TEXT(exchange->missing.text);
    struct cas_why why = {""};
    size_t size = strlen(exchange->install_path);
    bool has_slash = size > 0 && exchange->install_path[size - 1] == '\\';
    cas_text_clear(&text);
    cas_text_add(&text, "%s%sbin\\ExSetup.exe", exchange->install_path, has_slash ? "" : "\\");
    exchange->has_file = file_version(path, &version, &why) == CAS_OK;
    if (!exchange->has_file)
        cas_text_add(&missing, "%s", why.text);
}

enum cas_err windows_exchange(struct scene_exchange *ret_exchange, struct cas_why *why)
{
    static const char *const setups[] = {"ExSetup.exe", "ExSetupUI.exe"};
    struct scene_exchange exchange = {.is_setup_running = false};
    CAS_AUTO(key) key = NULL;
    struct cas_why missing = {""};
    enum cas_err err = key_open(EXCHANGE_KEY "\\Setup", KEY_QUERY_VALUE, &key, &missing);
    if (err == CAS_ERR_NOT_FOUND)
        return cas_fail(why, CAS_ERR_MISSING, "no Exchange 2013 or later: %s", missing.text);
    if (err != CAS_OK)
        return cas_fail(why, err, "%s", missing.text);
    err = key_text(key,
                   L"MsiInstallPath",
                   exchange.install_path,
                   sizeof exchange.install_path,
                   &missing);
    if (err == CAS_OK) {
        read_file_version(&exchange);
    } else {
        struct cas_text text = CAS_TEXT(exchange.missing.text);
        cas_text_add(&text, "%s", missing.text);
    }
    read_registry_version(key, &exchange);
    exchange.has_mailbox = key_is_there(EXCHANGE_KEY "\\MailboxRole");
    exchange.has_cas =
        key_is_there(EXCHANGE_KEY "\\ClientAccessRole") || key_is_there(EXCHANGE_KEY "\\CafeRole");
    err = windows_is_running(setups, CAS_COUNT(setups), &exchange.is_setup_running, why);
    if (err != CAS_OK)
        return err;
    *ret_exchange = exchange;
    return CAS_OK;
}

/* ---- the system ---- */

static void read_os(struct scene_system *system)
{
    char product[128] = "Windows";
    RTL_OSVERSIONINFOW version = {.dwOSVersionInfoSize = sizeof version};
    CAS_AUTO(key) key = NULL;
    struct cas_text text = CAS_TEXT(system->os_name);
    if (key_open("SOFTWARE\\Microsoft\\Windows NT\\CurrentVersion", KEY_QUERY_VALUE, &key, NULL) ==
            CAS_OK &&
        key_text(key, L"ProductName", product, sizeof product, NULL) != CAS_OK)
        memcpy(product, "Windows", sizeof "Windows");
    cas_text_add(&text, "%s", product);
    /* GetVersionEx tells a program without a manifest what it wants to hear. */
    if (RtlGetVersion(&version) >= 0)
        cas_text_add(&text,
                     " %lu.%lu.%lu",
                     version.dwMajorVersion,
                     version.dwMinorVersion,
                     version.dwBuildNumber);
}

static void add_reason(struct scene_system *system, const char *words)
{
    struct cas_text text = CAS_TEXT(system->reboot_reason);
    text.used = strlen(system->reboot_reason);
    cas_text_add(&text, "%s%s", text.used > 0 ? ", " : "", words);
    system->is_reboot_pending = true;
}

static void read_reboot(struct scene_system *system)
{
    CAS_AUTO(key) key = NULL;
    if (key_is_there(CURRENT_KEY "\\Component Based Servicing\\RebootPending"))
        add_reason(system, "servicing of components");
    if (key_is_there(CURRENT_KEY "\\WindowsUpdate\\Auto Update\\RebootRequired"))
        add_reason(system, "Windows Update");
    if (key_open("SYSTEM\\CurrentControlSet\\Control\\Session Manager",
                 KEY_QUERY_VALUE,
                 &key,
                 NULL) != CAS_OK)
        return;
    DWORD size = 0;
    LSTATUS status = RegGetValueW(key->handle,
                                  NULL,
                                  L"PendingFileRenameOperations",
                                  RRF_RT_REG_MULTI_SZ,
                                  NULL,
                                  NULL,
                                  &size);
    if (status == ERROR_SUCCESS && size > 2 * sizeof(wchar_t))
        add_reason(system, "files to be renamed");
}

enum cas_err windows_system(struct scene_system *ret_system, struct cas_why *why)
{
    struct scene_system system = {.is_reboot_pending = false};
    wchar_t wide[sizeof system.host_name];
    DWORD unit_n = CAS_COUNT(wide);
    if (!GetComputerNameExW(ComputerNameDnsFullyQualified, wide, &unit_n))
        return windows_fail(why, CAS_ERR_IO, GetLastError(), "GetComputerNameExW");
    enum cas_err err = wide_to_utf8(wide, system.host_name, sizeof system.host_name);
    if (err != CAS_OK)
        return cas_fail(why, err, "this computer's name is longer than %zu", sizeof wide);
    read_os(&system);
    read_reboot(&system);
    *ret_system = system;
    return CAS_OK;
}

/* ---- component states ---- */

static void
read_requesters(const struct key *key, const char *component, struct scene_states *states)
{
    for (DWORD i = 0; i < COMPONENTS_MOST; i++) {
        wchar_t name[NAME_UNITS];
        wchar_t value[VALUE_UNITS + 1];
        DWORD name_n = NAME_UNITS;
        DWORD size = VALUE_UNITS * sizeof(wchar_t);
        DWORD type = 0;
        LSTATUS status =
            RegEnumValueW(key->handle, i, name, &name_n, NULL, &type, (BYTE *)value, &size);
        if (status == ERROR_NO_MORE_ITEMS)
            return;
        char requester[3 * NAME_UNITS] = "";
        char text[3 * VALUE_UNITS] = "";
        if (status == ERROR_SUCCESS && type == REG_SZ) {
            value[size / sizeof(wchar_t)] = L'\0'; /* the registry keeps what it was given */
            if (wide_to_utf8(value, text, sizeof text) != CAS_OK)
                text[0] = '\0';
        }
        if (status != ERROR_SUCCESS || wide_to_utf8(name, requester, sizeof requester) != CAS_OK)
            requester[0] = '\0';
        if (status == ERROR_SUCCESS && name_n == 0)
            continue; /* the key's default value belongs to nobody */
        scene_states_add(states, component, requester, cas_slice_of(text));
    }
    scene_states_add(states, component, "?", cas_slice_of("more requesters than are read"));
}

enum cas_err windows_states(struct scene_states *ret_states, struct cas_why *why)
{
    CAS_AUTO(key) key = NULL;
    struct cas_why missing = {""};
    enum cas_err err = key_open(STATES_KEY, KEY_READ, &key, &missing);
    memset(ret_states, 0, sizeof *ret_states);
    if (err == CAS_ERR_NOT_FOUND && key_is_there(EXCHANGE_KEY))
        return CAS_OK; /* nobody ever set one */
    if (err == CAS_ERR_NOT_FOUND)
        return cas_fail(why, CAS_ERR_MISSING, "no Exchange 2013 or later: %s", missing.text);
    if (err != CAS_OK)
        return cas_fail(why, err, "%s", missing.text);
    for (DWORD i = 0; i < COMPONENTS_MOST; i++) {
        wchar_t name[NAME_UNITS];
        char component[3 * NAME_UNITS];
        char path[PATH_UNITS];
        struct cas_text text = CAS_TEXT(path);
        struct cas_why refused = {""};
        DWORD name_n = NAME_UNITS;
        LSTATUS status = RegEnumKeyExW(key->handle, i, name, &name_n, NULL, NULL, NULL, NULL);
        if (status == ERROR_NO_MORE_ITEMS)
            return CAS_OK;
        if (status != ERROR_SUCCESS)
            return windows_fail(why,
                                CAS_ERR_IO,
                                (uint32_t)status,
                                "RegEnumKeyExW HKLM\\" STATES_KEY);
        if (wide_to_utf8(name, component, sizeof component) != CAS_OK)
            continue;
        cas_text_clear(&text);
        cas_text_add(&text, STATES_KEY "\\%s", component);
        CAS_AUTO(key) its_key = NULL;
        if (key_open(path, KEY_READ, &its_key, &refused) == CAS_OK)
            read_requesters(its_key, component, ret_states);
        else
            scene_states_add(ret_states, component, "?", cas_slice_of(refused.text));
    }
    scene_states_add(ret_states, "?", "?", cas_slice_of("more components than are read"));
    return CAS_OK;
}

static enum cas_err
key_set(HKEY handle, const char *requester, const char *value, LSTATUS *ret_status)
{
    wchar_t name[NAME_UNITS];
    wchar_t wide[VALUE_UNITS];
    enum cas_err err = wide_from_utf8(requester, name, NAME_UNITS);
    if (err == CAS_OK)
        err = wide_from_utf8(value, wide, VALUE_UNITS);
    if (err != CAS_OK)
        return err;
    DWORD size = (DWORD)((wcslen(wide) + 1) * sizeof(wchar_t));
    *ret_status = RegSetValueExW(handle, name, 0, REG_SZ, (const BYTE *)wide, size);
    /* On disk before anybody is told that it is done. */
    if (*ret_status == ERROR_SUCCESS)
        *ret_status = RegFlushKey(handle);
    return CAS_OK;
}

enum cas_err windows_state_set(const char *component,
                               const char *requester,
                               bool is_active,
                               int64_t wall_ms,
                               struct cas_why *why)
{
    char path[PATH_UNITS];
    char value[64];
    wchar_t wide[PATH_UNITS];
    struct cas_text path_text = CAS_TEXT(path);
    struct cas_text value_text = CAS_TEXT(value);
    if (!key_is_there(EXCHANGE_KEY))
        return cas_fail(why, CAS_ERR_MISSING, "no Exchange 2013 or later: no HKLM\\" EXCHANGE_KEY);
    if (!cas_is_name(cas_slice_of(component)) || !cas_is_name(cas_slice_of(requester)))
        return cas_fail(why, CAS_ERR_FORMAT, "component or requester is no name");
    cas_text_clear(&path_text);
    cas_text_clear(&value_text);
    cas_text_add(&path_text, STATES_KEY "\\%s", component);
    scene_state_text(is_active, wall_ms, &value_text);
    enum cas_err err = wide_from_utf8(path, wide, PATH_UNITS);
    if (err != CAS_OK)
        return cas_fail(why, err, "registry: HKLM\\%s", path);
    HKEY handle = NULL;
    LSTATUS status = RegCreateKeyExW(HKEY_LOCAL_MACHINE,
                                     wide,
                                     0,
                                     NULL,
                                     REG_OPTION_NON_VOLATILE,
                                     KEY_SET_VALUE | KEY_WOW64_64KEY,
                                     NULL,
                                     &handle,
                                     NULL);
    if (status != ERROR_SUCCESS)
        return windows_fail(why,
                            wide_err_of((unsigned long)status),
                            (uint32_t)status,
                            "RegCreateKeyExW HKLM\\%s",
                            path);
    err = key_set(handle, requester, value, &status);
    (void)RegCloseKey(handle);
    if (err == CAS_OK && status != ERROR_SUCCESS)
        err = windows_fail(why,
                           wide_err_of((unsigned long)status),
                           (uint32_t)status,
                           "RegSetValueExW %s of HKLM\\%s",
                           requester,
                           path);
    return err;
}
