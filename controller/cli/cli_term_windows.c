#include "controller/cli/cli.h"

#include <io.h>
#include <stdlib.h>
#include <time.h>
#include <windows.h>

#include "proto/base/args.h"

static volatile LONG is_interrupted;

/* The console behind a stream; NULL when it is a file or a pipe. */
static HANDLE console_of(FILE *file)
{
    HANDLE handle = (HANDLE)_get_osfhandle(_fileno(file));
    DWORD mode = 0;
    bool is_console = handle != INVALID_HANDLE_VALUE && GetConsoleMode(handle, &mode) != 0;
    return is_console ? handle : NULL;
}

/* A console that is written to takes the marks for colour and for the cursor once it is asked to;
 * before Windows Server 2016 it has none, and gets lines as a file would. */
bool cli_term_is_terminal(FILE *file)
{
    HANDLE console = console_of(file);
    DWORD mode = 0;
    if (console == NULL || GetConsoleMode(console, &mode) == 0)
        return false;
    return file == stdin || SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING) != 0;
}

bool cli_term_has_colour(FILE *file)
{
    const char *no_colour = args_environment("NO_COLOR");
    return (no_colour == NULL || no_colour[0] == '\0') && cli_term_is_terminal(file);
}

int cli_term_width(FILE *file)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    HANDLE console = console_of(file);
    if (console == NULL || GetConsoleScreenBufferInfo(console, &info) == 0)
        return 80;
    return info.srWindow.Right - info.srWindow.Left + 1;
}

/* Windows' own name of it is long, and in the language of the machine. */
void cli_term_zone(time_t seconds, struct cas_text *text)
{
    const struct tm *shown = localtime(&seconds);
    if (shown == NULL)
        return;
    struct tm local = *shown;
    shown = gmtime(&seconds);
    if (shown == NULL)
        return;
    int days = local.tm_year != shown->tm_year ? local.tm_year - shown->tm_year
                                               : local.tm_yday - shown->tm_yday;
    int east_min = (days * 24 + local.tm_hour - shown->tm_hour) * 60 + local.tm_min - shown->tm_min;
    cas_text_add(text, "UTC");
    if (east_min != 0)
        cas_text_add(text,
                     "%c%02d:%02d",
                     east_min < 0 ? '-' : '+',
                     abs(east_min) / 60,
                     abs(east_min) % 60);
}

/* Called on a thread of the system's. */
static BOOL WINAPI on_interrupt(DWORD what)
{
    if (what != CTRL_C_EVENT && what != CTRL_BREAK_EVENT)
        return FALSE;
    (void)InterlockedExchange(&is_interrupted, 1);
    return TRUE;
}

void cli_term_catch_interrupt(void)
{
    (void)SetConsoleCtrlHandler(on_interrupt, TRUE);
}

bool cli_term_is_interrupted(void)
{
    return InterlockedCompareExchange(&is_interrupted, 0, 0) != 0;
}
