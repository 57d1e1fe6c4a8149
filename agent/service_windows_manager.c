#include "agent/service.h"

#include <stdio.h>
#include <string.h>

#include "agent/host/host_windows.h"
#include "agent/rights_windows.h"
#include "agent/service_image.h"
#include "agent/service_windows.h"
#include "proto/base/log_source.h"
#include "proto/base/wide_windows.h"

enum {
    PRESHUTDOWN_MS =
        20000,           /* 15063 and later give 10 s otherwise: an act under way may need more */
    RESET_S = 24 * 3600, /* a day without a failure, and the pauses begin anew */
    STEP_MS = 250,
    PROCESS_WAIT_MS = 10000, /* the process ends a little after its service */
    IMAGE_CHARS = 2048,
    CONFIG_QUERY_BYTES = 8192, /* Windows gives no more */
    ANSWER_BYTES = 32
};

static const char run_as_administrator[] =
    "; open a command prompt with \"Run as administrator\" and try again";

static wchar_t display_name[] = L"casfleet agent";
static wchar_t description[] =
    L"Watches the Exchange ActiveSync pool of this server for casfleet's controller, and recycles "
    L"it when the controller grants it. Keeps its journal in %ProgramData%\\casfleet\\agent.";

/* ---- handles ---- */

static void handles_close(SC_HANDLE manager, SC_HANDLE service)
{
    if (service != NULL)
        (void)CloseServiceHandle(service);
    if (manager != NULL)
        (void)CloseServiceHandle(manager);
}

static enum cas_err manager_open(DWORD access, SC_HANDLE *ret_manager, struct cas_why *why)
{
    *ret_manager = OpenSCManagerW(NULL, NULL, access);
    if (*ret_manager != NULL)
        return CAS_OK;
    DWORD number = GetLastError();
    return service_api_fail(why,
                            number,
                            "OpenSCManager",
                            number == ERROR_ACCESS_DENIED ? run_as_administrator : "");
}

static enum cas_err
service_open(DWORD access, SC_HANDLE *ret_manager, SC_HANDLE *ret_service, struct cas_why *why)
{
    enum cas_err err = manager_open(SC_MANAGER_CONNECT, ret_manager, why);
    if (err != CAS_OK)
        return err;
    *ret_service = OpenServiceW(*ret_manager, SERVICE_NAME, access);
    if (*ret_service != NULL)
        return CAS_OK;
    DWORD number = GetLastError();
    handles_close(*ret_manager, NULL);
    *ret_manager = NULL;
    err = service_api_fail(why,
                           number,
                           "OpenService " SERVICE_NAME_UTF8,
                           number == ERROR_ACCESS_DENIED ? run_as_administrator
                           : number == ERROR_SERVICE_DOES_NOT_EXIST
                               ? "; casfleet-agent install makes it"
                               : "");
    return number == ERROR_SERVICE_DOES_NOT_EXIST ? CAS_ERR_NOT_FOUND : err;
}

enum cas_err service_may_manage(struct cas_why *why)
{
    SC_HANDLE manager = NULL;
    enum cas_err err = manager_open(SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE, &manager, why);
    handles_close(manager, NULL);
    return err;
}

/* The place is looked at before anything is made: what is installed runs as LocalSystem. */
enum cas_err service_may_install(service_tell *tell, void *context, struct cas_why *why)
{
    wchar_t own[OPTIONS_PATH_BYTES];
    struct cas_why loose = {.text = ""};
    DWORD size = GetModuleFileNameW(NULL, own, CAS_COUNT(own));
    if (size == 0 || size >= CAS_COUNT(own))
        return service_api_fail(why, GetLastError(), "GetModuleFileName", "");
    enum cas_err err = rights_check(own, RIGHTS_FILE, &loose);
    if (err == CAS_OK)
        return CAS_OK;
    if (!windows_is_wine())
        return cas_fail(why,
                        err,
                        "%s; the service would run as LocalSystem what others put there: copy the "
                        "program to C:\\Program Files\\casfleet, or take their rights away, and "
                        "install it from there",
                        loose.text);
    char line[CAS_WHY_BYTES + 64];
    (void)snprintf(line, sizeof line, "warning     %s (as Wine has it)", loose.text);
    tell(context, line);
    return CAS_OK;
}

enum cas_err service_config_find(char ret_config[OPTIONS_PATH_BYTES], struct cas_why *why)
{
    union {
        QUERY_SERVICE_CONFIGW config;
        char bytes[CONFIG_QUERY_BYTES];
    } told;
    char command[CONFIG_QUERY_BYTES * 2];
    SC_HANDLE manager = NULL;
    SC_HANDLE service = NULL;
    DWORD size = 0;
    enum cas_err err = service_open(SERVICE_QUERY_CONFIG, &manager, &service, why);
    if (err == CAS_OK && QueryServiceConfigW(service, &told.config, sizeof told, &size) == 0)
        err = service_api_fail(why, GetLastError(), "QueryServiceConfig", "");
    handles_close(manager, service);
    if (err == CAS_OK)
        err = wide_to_utf8(told.config.lpBinaryPathName, command, sizeof command);
    return err == CAS_OK ? service_image_config(command, ret_config) : err;
}

enum cas_err
service_full_path(const char *path, char ret_path[OPTIONS_PATH_BYTES], struct cas_why *why)
{
    wchar_t wide[OPTIONS_PATH_BYTES];
    wchar_t full[OPTIONS_PATH_BYTES];
    enum cas_err err = wide_from_utf8(path, wide, OPTIONS_PATH_BYTES);
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: cannot be used as a path", path);
    DWORD size = GetFullPathNameW(wide, OPTIONS_PATH_BYTES, full, NULL);
    if (size == 0)
        return service_api_fail(why, GetLastError(), "GetFullPathName", "");
    if (size >= OPTIONS_PATH_BYTES || wide_to_utf8(full, ret_path, OPTIONS_PATH_BYTES) != CAS_OK)
        return cas_fail(why,
                        CAS_ERR_TOO_LONG,
                        "%s: longer than %d bytes",
                        path,
                        OPTIONS_PATH_BYTES - 1);
    return CAS_OK;
}

/* ---- install ---- */

/* Quoted: a path with a blank would let Windows look for C:\Program.exe first. */
static enum cas_err
image_path(const char *config, wchar_t ret_image[IMAGE_CHARS], struct cas_why *why)
{
    wchar_t wide[OPTIONS_PATH_BYTES];
    wchar_t own[OPTIONS_PATH_BYTES];
    DWORD size = GetModuleFileNameW(NULL, own, OPTIONS_PATH_BYTES);
    if (size == 0 || size >= OPTIONS_PATH_BYTES)
        return service_api_fail(why, GetLastError(), "GetModuleFileName", "");
    enum cas_err err = wide_from_utf8(config, wide, OPTIONS_PATH_BYTES);
    int used = 0;
    if (err == CAS_OK)
        used = _snwprintf(ret_image, IMAGE_CHARS, L"\"%ls\" run --config \"%ls\"", own, wide);
    if (err != CAS_OK || used < 0 || used >= IMAGE_CHARS || wcschr(wide, L'"') != NULL)
        return cas_fail(why, CAS_ERR_CONFIG, "%s: cannot stand in a service's command", config);
    return CAS_OK;
}

/* LocalSystem: to see the command lines of other accounts' processes, who owns a TCP connection,
 * and to recycle a pool through appcmd, less is not enough. */
static enum cas_err service_make(SC_HANDLE manager,
                                 const wchar_t *image,
                                 SC_HANDLE *ret_service,
                                 bool *ret_is_new,
                                 struct cas_why *why)
{
    /* SERVICE_START: a restart as recovery action is granted to those only who may start it. */
    DWORD access =
        SERVICE_CHANGE_CONFIG | SERVICE_QUERY_CONFIG | SERVICE_QUERY_STATUS | SERVICE_START;
    *ret_service = CreateServiceW(manager,
                                  SERVICE_NAME,
                                  display_name,
                                  access,
                                  SERVICE_WIN32_OWN_PROCESS,
                                  SERVICE_AUTO_START,
                                  SERVICE_ERROR_NORMAL,
                                  image,
                                  NULL,
                                  NULL,
                                  NULL,
                                  NULL,
                                  NULL);
    *ret_is_new = *ret_service != NULL;
    if (*ret_service != NULL)
        return CAS_OK;
    DWORD number = GetLastError();
    if (number == ERROR_SERVICE_MARKED_FOR_DELETE)
        return service_api_fail(why,
                                number,
                                "CreateService",
                                "; the old one goes once nobody looks at it: close services.msc "
                                "and its like, then try again");
    if (number != ERROR_SERVICE_EXISTS)
        return service_api_fail(why, number, "CreateService", "");
    *ret_service = OpenServiceW(manager, SERVICE_NAME, access);
    if (*ret_service == NULL)
        return service_api_fail(why, GetLastError(), "OpenService", "");
    if (ChangeServiceConfigW(*ret_service,
                             SERVICE_WIN32_OWN_PROCESS,
                             SERVICE_NO_CHANGE, /* an administrator may have disabled it */
                             SERVICE_ERROR_NORMAL,
                             image,
                             NULL,
                             NULL,
                             NULL,
                             L"LocalSystem",
                             NULL,
                             display_name) == 0)
        return service_api_fail(why, GetLastError(), "ChangeServiceConfig", "");
    return CAS_OK;
}

/* What makes it a better service; refused, it is one all the same. */
static void extras_set(SC_HANDLE service, bool is_new, service_tell *tell, void *context)
{
    SC_ACTION actions[] = {{SC_ACTION_RESTART, 5000},
                           {SC_ACTION_RESTART, 30000},
                           {SC_ACTION_RESTART, 60000}};
    SERVICE_DESCRIPTIONW words = {.lpDescription = description};
    SERVICE_DELAYED_AUTO_START_INFO delayed = {.fDelayedAutostart = TRUE};
    SERVICE_FAILURE_ACTIONSW failure = {.dwResetPeriod = RESET_S,
                                        .cActions = CAS_COUNT(actions),
                                        .lpsaActions = actions};
    SERVICE_FAILURE_ACTIONS_FLAG flag = {.fFailureActionsOnNonCrashFailures = TRUE};
    SERVICE_PRESHUTDOWN_INFO preshutdown = {.dwPreshutdownTimeout = PRESHUTDOWN_MS};
    const struct {
        DWORD level;
        void *info;
        const char *words;
    } extras[] = {
        {SERVICE_CONFIG_DELAYED_AUTO_START_INFO, &delayed, "delayed start"},
        {SERVICE_CONFIG_DESCRIPTION, &words, "description"},
        {SERVICE_CONFIG_FAILURE_ACTIONS, &failure, "restart after a failure (5 s, 30 s, 60 s)"},
        {SERVICE_CONFIG_FAILURE_ACTIONS_FLAG, &flag, "restart after an exit code above 0"},
        {SERVICE_CONFIG_PRESHUTDOWN_INFO, &preshutdown, "20 s before the server shuts down"},
    };
    for (size_t i = is_new ? 0 : 1; i < CAS_COUNT(extras); i++) { /* 0: how it starts */
        struct cas_why why = {.text = ""};
        char line[CAS_WHY_BYTES + 64];
        if (ChangeServiceConfig2W(service, extras[i].level, extras[i].info) != 0)
            continue;
        (void)service_api_fail(&why, GetLastError(), "ChangeServiceConfig2", "");
        (void)snprintf(line, sizeof line, "warning     no %s: %s", extras[i].words, why.text);
        tell(context, line);
    }
}

/* Without it the event viewer shows our lines with a note that their text was not found. */
static void source_set(service_tell *tell, void *context)
{
    wchar_t wide[OPTIONS_PATH_BYTES];
    char own[OPTIONS_PATH_BYTES];
    char line[CAS_WHY_BYTES + 64];
    struct cas_why why = {.text = ""};
    DWORD size = GetModuleFileNameW(NULL, wide, OPTIONS_PATH_BYTES);
    enum cas_err err = size > 0 && size < OPTIONS_PATH_BYTES
                           ? wide_to_utf8(wide, own, sizeof own)
                           : service_api_fail(&why, GetLastError(), "GetModuleFileName", "");
    if (err == CAS_OK)
        err = log_source_register(own, &why);
    if (err == CAS_OK)
        (void)snprintf(line, sizeof line, "events      Application log, source " LOG_SOURCE_NAME);
    else
        (void)snprintf(line, sizeof line, "warning     no event source: %s", why.text);
    tell(context, line);
}

enum cas_err service_install(const struct service_plan *plan,
                             service_tell *tell,
                             void *context,
                             struct cas_why *why)
{
    static wchar_t image[IMAGE_CHARS];
    SC_HANDLE manager = NULL;
    SC_HANDLE service = NULL;
    bool is_new = false;
    enum cas_err err = image_path(plan->config, image, why);
    if (err == CAS_OK)
        err = manager_open(SC_MANAGER_CONNECT | SC_MANAGER_CREATE_SERVICE, &manager, why);
    if (err == CAS_OK)
        err = service_make(manager, image, &service, &is_new, why);
    if (err == CAS_OK) {
        extras_set(service, is_new, tell, context);
        source_set(tell, context);
        tell(context,
             is_new ? "service     casfleet-agent made: starts with the server, as LocalSystem"
                    : "service     casfleet-agent was there and is up to date");
    }
    handles_close(manager, service);
    return err;
}

enum cas_err service_delete(service_tell *tell, void *context, struct cas_why *why)
{
    SC_HANDLE manager = NULL;
    SC_HANDLE service = NULL;
    struct cas_why missing = {.text = ""};
    enum cas_err err = service_open(DELETE, &manager, &service, &missing);
    if (err == CAS_OK && DeleteService(service) == 0) {
        DWORD number = GetLastError();
        if (number != ERROR_SERVICE_MARKED_FOR_DELETE)
            err = service_api_fail(&missing, number, "DeleteService", "");
    }
    handles_close(manager, service);
    if (err != CAS_OK && err != CAS_ERR_NOT_FOUND)
        return cas_fail(why, err, "%s", missing.text);
    tell(context,
         err == CAS_OK ? "service     casfleet-agent deleted" : "service     there is none");
    if (log_source_remove(&missing) != CAS_OK) {
        char line[CAS_WHY_BYTES + 64];
        (void)snprintf(line, sizeof line, "warning     the event source stays: %s", missing.text);
        tell(context, line);
    }
    return CAS_OK;
}

/* ---- start and stop ---- */

static enum cas_err
status_get(SC_HANDLE service, SERVICE_STATUS_PROCESS *ret_status, struct cas_why *why)
{
    DWORD size = 0;
    if (QueryServiceStatusEx(service,
                             SC_STATUS_PROCESS_INFO,
                             (BYTE *)ret_status,
                             sizeof *ret_status,
                             &size) != 0)
        return CAS_OK;
    return service_api_fail(why, GetLastError(), "QueryServiceStatusEx", "");
}

static const char *state_words(DWORD state)
{
    static const struct {
        DWORD state;
        const char *words;
    } rows[] = {{SERVICE_STOPPED, "stopped"},
                {SERVICE_START_PENDING, "starting"},
                {SERVICE_STOP_PENDING, "stopping"},
                {SERVICE_RUNNING, "running"},
                {SERVICE_PAUSED, "paused"}};
    for (size_t i = 0; i < CAS_COUNT(rows); i++) {
        if (rows[i].state == state)
            return rows[i].words;
    }
    return "in a state of its own";
}

/* Until it is in that state, or stopped; CAS_ERR_AGAIN when time is up. */
static enum cas_err state_wait(SC_HANDLE service,
                               DWORD wanted,
                               int64_t wait_ms,
                               SERVICE_STATUS_PROCESS *ret_status,
                               struct cas_why *why)
{
    ULONGLONG begin_ms = GetTickCount64();
    for (;;) {
        enum cas_err err = status_get(service, ret_status, why);
        if (err != CAS_OK)
            return err;
        DWORD state = ret_status->dwCurrentState;
        if (state == wanted || state == SERVICE_STOPPED)
            return CAS_OK;
        if ((int64_t)(GetTickCount64() - begin_ms) >= wait_ms)
            return cas_fail(why,
                            CAS_ERR_AGAIN,
                            "the service is still %s after %lld s, checkpoint %lu",
                            state_words(state),
                            (long long)(wait_ms / 1000),
                            ret_status->dwCheckPoint);
        service_wait(STEP_MS);
    }
}

static enum cas_err ended_again(const SERVICE_STATUS_PROCESS *status, struct cas_why *why)
{
    if (status->dwWin32ExitCode == ERROR_SERVICE_SPECIFIC_ERROR)
        return cas_fail(why,
                        CAS_ERR_IO,
                        "the service ended again with code %lu: casfleet-agent check says what is "
                        "wrong, else its log and the Application event log",
                        status->dwServiceSpecificExitCode);
    return service_api_fail(why,
                            status->dwWin32ExitCode,
                            "the service ended again",
                            "; casfleet-agent run shows why");
}

static void state_tell(const SERVICE_STATUS_PROCESS *status, service_tell *tell, void *context)
{
    char line[128];
    if (status->dwProcessId != 0)
        (void)snprintf(line,
                       sizeof line,
                       "service     %s, process %lu",
                       state_words(status->dwCurrentState),
                       status->dwProcessId);
    else
        (void)snprintf(line, sizeof line, "service     %s", state_words(status->dwCurrentState));
    tell(context, line);
}

/* The manager starts one service at a time and refuses the others meanwhile
 * (ERROR_SERVICE_DATABASE_LOCKED); a package laid on a busy server must not end with a stopped
 * service. */
static enum cas_err start_ask(SC_HANDLE service, int64_t wait_ms, struct cas_why *why)
{
    ULONGLONG begin_ms = GetTickCount64();
    while (StartServiceW(service, 0, NULL) == 0) {
        DWORD number = GetLastError();
        if (number == ERROR_SERVICE_ALREADY_RUNNING)
            return CAS_OK;
        bool is_passing =
            number == ERROR_SERVICE_DATABASE_LOCKED || number == ERROR_SERVICE_REQUEST_TIMEOUT;
        if (!is_passing || (int64_t)(GetTickCount64() - begin_ms) >= wait_ms)
            return service_api_fail(
                why,
                number,
                "StartService",
                number == ERROR_SERVICE_DISABLED ? "; casfleet-agent install enables it" : "");
        service_wait(STEP_MS);
    }
    return CAS_OK;
}

enum cas_err service_start(int64_t wait_ms, service_tell *tell, void *context, struct cas_why *why)
{
    SC_HANDLE manager = NULL;
    SC_HANDLE service = NULL;
    SERVICE_STATUS_PROCESS status = {0};
    enum cas_err err = service_open(SERVICE_START | SERVICE_QUERY_STATUS, &manager, &service, why);
    if (err != CAS_OK)
        return err;
    err = start_ask(service, wait_ms, why);
    if (err == CAS_OK)
        err = state_wait(service, SERVICE_RUNNING, wait_ms, &status, why);
    handles_close(manager, service);
    if (err != CAS_OK)
        return err;
    if (status.dwCurrentState != SERVICE_RUNNING)
        return ended_again(&status, why);
    state_tell(&status, tell, context);
    return CAS_OK;
}

enum cas_err service_stop(int64_t wait_ms, service_tell *tell, void *context, struct cas_why *why)
{
    SC_HANDLE manager = NULL;
    SC_HANDLE service = NULL;
    SERVICE_STATUS_PROCESS status = {0};
    SERVICE_STATUS answer;
    enum cas_err err = service_open(SERVICE_STOP | SERVICE_QUERY_STATUS, &manager, &service, why);
    if (err == CAS_OK)
        err = status_get(service, &status, why);
    if (err != CAS_OK) {
        handles_close(manager, service);
        return err;
    }
    HANDLE process = NULL;
    if (status.dwProcessId != 0)
        process = OpenProcess(SYNCHRONIZE, FALSE, status.dwProcessId);
    /* One that is just starting takes no control yet: it is told as soon as it does. */
    bool is_starting = status.dwCurrentState == SERVICE_START_PENDING;
    if (is_starting)
        err = state_wait(service, SERVICE_RUNNING, wait_ms, &status, why);
    if (err == CAS_OK && ControlService(service, SERVICE_CONTROL_STOP, &answer) == 0) {
        DWORD number = GetLastError();
        bool is_stopping = number == ERROR_SERVICE_CANNOT_ACCEPT_CTRL &&
                           answer.dwCurrentState == SERVICE_STOP_PENDING;
        if (number != ERROR_SERVICE_NOT_ACTIVE && !is_stopping)
            err = service_api_fail(why, number, "ControlService stop", "");
    }
    if (err == CAS_OK)
        err = state_wait(service, SERVICE_STOPPED, wait_ms, &status, why);
    if (process != NULL) {
        if (err == CAS_OK)
            (void)WaitForSingleObject(process, PROCESS_WAIT_MS);
        (void)CloseHandle(process);
    }
    handles_close(manager, service);
    if (err != CAS_OK)
        return err;
    state_tell(&status, tell, context);
    return CAS_OK;
}

/* ---- for uninstall ---- */

bool service_ask(const char *question)
{
    DWORD mode = 0;
    if (GetConsoleMode(GetStdHandle(STD_INPUT_HANDLE), &mode) == 0)
        return false;
    char answer[ANSWER_BYTES] = "";
    (void)printf("%s [y/N] ", question);
    (void)fflush(stdout);
    return fgets(answer, sizeof answer, stdin) != NULL && (answer[0] == 'y' || answer[0] == 'Y');
}

static enum cas_err file_remove(const char *folder, const char *name, struct cas_why *why)
{
    char path[OPTIONS_PATH_BYTES + 64];
    wchar_t wide[OPTIONS_PATH_BYTES + 64];
    (void)snprintf(path, sizeof path, "%s\\%s", folder, name);
    enum cas_err err = wide_path(path, wide, CAS_COUNT(wide));
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: cannot be used as a path", path);
    if (DeleteFileW(wide) != 0)
        return CAS_OK;
    DWORD number = GetLastError();
    if (number == ERROR_FILE_NOT_FOUND || number == ERROR_PATH_NOT_FOUND)
        return CAS_OK;
    char words[OPTIONS_PATH_BYTES + 96];
    (void)snprintf(words, sizeof words, "DeleteFile %s", path);
    return service_api_fail(why, number, words, "");
}

enum cas_err service_remove_files(const char *folder,
                                  const char *const *name,
                                  size_t name_n,
                                  struct cas_why *why)
{
    wchar_t wide[OPTIONS_PATH_BYTES];
    for (size_t i = 0; i < name_n; i++) {
        enum cas_err err = file_remove(folder, name[i], why);
        if (err != CAS_OK)
            return err;
    }
    enum cas_err err = wide_path(folder, wide, CAS_COUNT(wide));
    if (err != CAS_OK)
        return cas_fail(why, err, "%s: cannot be used as a path", folder);
    /* What is not ours stays, and with it the folder. */
    DWORD number = RemoveDirectoryW(wide) != 0 ? ERROR_SUCCESS : GetLastError();
    bool is_fine = number == ERROR_SUCCESS || number == ERROR_DIR_NOT_EMPTY ||
                   number == ERROR_FILE_NOT_FOUND || number == ERROR_PATH_NOT_FOUND;
    return is_fine ? CAS_OK : service_api_fail(why, number, "RemoveDirectory", "");
}
