#include "agent/host/host_windows.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <windows.h>

enum {
    WORDS_BYTES = 256,
    CODE_PLAIN = 65536,    /* below: Win32, written as a number; else as its bits */
    CODE_HTTP = 12000,     /* WinHTTP's own, CODE_LONG of them */
    CODE_PDH = 3000,       /* of PDH errors, behind 0xC0000000 */
    CODE_PDH_WARNS = 2000, /* of PDH warnings, behind 0x80000000 */
    CODE_LONG = 200,
};

static bool is_within(uint32_t code, uint32_t first)
{
    return code >= first && code - first < CODE_LONG;
}

/* Whose message table has the words of this code; NULL: the system's own. Whoever got the code has
 * that module loaded. */
static const wchar_t *module_of(uint32_t code)
{
    uint32_t low = code & 0xFFFFFFFU;

    if (is_within(code, CODE_HTTP))
        return L"winhttp.dll";
    if (code >> 28 == 0xCU && is_within(low, CODE_PDH))
        return L"pdh.dll";
    if (code >> 28 == 0x8U && is_within(low, CODE_PDH_WARNS))
        return L"pdh.dll";
    return code >> 28 == 0xCU ? L"ntdll.dll" : NULL;
}

/* English words: logs and reports of servers in many languages are read by one team. Empty where
 * the system has no English ones. */
static void find_words(uint32_t code, char ret_words[WORDS_BYTES])
{
    /* An HRESULT around a Win32 error says what that error says. */
    uint32_t id = code >> 16 == 0x8007U ? code & 0xFFFFU : code;
    const wchar_t *name = module_of(id);
    HMODULE module = name != NULL ? GetModuleHandleW(name) : NULL;
    DWORD from = module != NULL ? FORMAT_MESSAGE_FROM_HMODULE : FORMAT_MESSAGE_FROM_SYSTEM;
    DWORD language = MAKELANGID(LANG_ENGLISH, SUBLANG_ENGLISH_US);

    DWORD size =
        FormatMessageA(from | FORMAT_MESSAGE_IGNORE_INSERTS | FORMAT_MESSAGE_MAX_WIDTH_MASK,
                       module,
                       id,
                       language,
                       ret_words,
                       WORDS_BYTES,
                       NULL);
    while (size > 0 && strchr(" .\r\n", ret_words[size - 1]) != NULL)
        size--;
    ret_words[size] = '\0';
}

enum cas_err
windows_fail(struct cas_why *why, enum cas_err err, uint32_t code, const char *fmt, ...)
{
    char head[CAS_WHY_BYTES];
    char words[WORDS_BYTES];
    va_list args;

    va_start(args, fmt);
    int size = vsnprintf(head, sizeof head, fmt, args);
    va_end(args);
    if (size < 0)
        head[0] = '\0';

    find_words(code, words);
    const char *open = words[0] != '\0' ? " (" : "";
    const char *close = words[0] != '\0' ? ")" : "";
    if (code < CODE_PLAIN)
        return cas_fail(why,
                        err,
                        "%s: error %lu%s%s%s",
                        head,
                        (unsigned long)code,
                        open,
                        words,
                        close);
    return cas_fail(why,
                    err,
                    "%s: error 0x%08lX%s%s%s",
                    head,
                    (unsigned long)code,
                    open,
                    words,
                    close);
}

bool windows_is_wine(void)
{
    HMODULE ntdll = GetModuleHandleW(L"ntdll.dll");

    return ntdll != NULL && GetProcAddress(ntdll, "wine_get_version") != NULL;
}
