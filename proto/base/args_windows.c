#include "proto/base/args.h"

#include <fcntl.h>
#include <io.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <windows.h>

#include "proto/base/wide_windows.h"

enum {
    OUTPUT_BYTES = 8192
};

/* The C library's own parsing of the command line, as its main would get it, in UTF-16. The other
 * way, CommandLineToArgvW, lives in shell32.dll, which costs a service memory it has no use for. */
struct start_info {
    int new_mode;
};
__declspec(dllimport) int __cdecl __wgetmainargs(int *argc,
                                                 wchar_t ***argv,
                                                 wchar_t ***environment,
                                                 int wildcards,
                                                 struct start_info *info);

static UINT code_page_before;

static void code_page_back(void)
{
    (void)fflush(stdout);
    (void)SetConsoleOutputCP(code_page_before);
}

/* Bytes go out as they are: no carriage returns, and a console takes them as UTF-8. A console is
 * buffered too: else each byte of a character would be a write of its own, and none of them text.
 */
static void streams_set_up(void)
{
    (void)_setmode(_fileno(stdout), _O_BINARY);
    (void)_setmode(_fileno(stderr), _O_BINARY);
    (void)setvbuf(stdout, NULL, _IOFBF, OUTPUT_BYTES);
    code_page_before = GetConsoleOutputCP(); /* 0: no console */
    if (code_page_before != 0 && code_page_before != CP_UTF8 && SetConsoleOutputCP(CP_UTF8) != 0)
        (void)atexit(code_page_back);
}

enum cas_err args_utf8(int *argc, char ***argv, struct cas_why *why)
{
    int count = 0;
    wchar_t **wide = NULL, **environment = NULL;
    struct start_info info = {0};
    streams_set_up();
    if (__wgetmainargs(&count, &wide, &environment, 0, &info) != 0 || wide == NULL || count < 0)
        return cas_fail(why, CAS_ERR_IO, "the system does not hand over the command line");
    size_t bytes = ((size_t)count + 1) * sizeof(char *);
    for (int i = 0; i < count; i++)
        bytes += 3 * wcslen(wide[i]) + 1; /* UTF-16 to UTF-8: three bytes for two at most */
    char **made = malloc(bytes);
    if (made == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for the command line");
    char *at = (char *)(made + count + 1);
    for (int i = 0; i < count; i++) {
        size_t cap = 3 * wcslen(wide[i]) + 1;
        enum cas_err err = wide_to_utf8(wide[i], at, cap);
        if (err != CAS_OK) {
            free(made);
            return cas_fail(why, err, "argument %d cannot be read as text", i);
        }
        made[i] = at;
        at += strlen(at) + 1;
    }
    made[count] = NULL;
    *argc = count;
    *argv = made;
    return CAS_OK;
}

const char *args_environment(const char *name)
{
    static char value[ARGS_VALUE_BYTES];
    wchar_t wide_name[CAS_NAME_BYTES];
    wchar_t wide[ARGS_VALUE_BYTES / 2];
    if (wide_from_utf8(name, wide_name, CAS_COUNT(wide_name)) != CAS_OK)
        return NULL;
    SetLastError(ERROR_SUCCESS);
    DWORD size = GetEnvironmentVariableW(wide_name, wide, CAS_COUNT(wide));
    if (size >= CAS_COUNT(wide) || (size == 0 && GetLastError() != ERROR_SUCCESS))
        return NULL;
    if (size == 0)
        wide[0] = L'\0';
    return wide_to_utf8(wide, value, sizeof value) == CAS_OK ? value : NULL;
}
