#include "controller/cli/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/ioctl.h>

static volatile sig_atomic_t is_interrupted;

bool cli_term_is_terminal(FILE *file)
{
    return isatty(fileno(file)) == 1;
}

bool cli_term_has_colour(FILE *file)
{
    const char *no_colour = getenv("NO_COLOR");
    return cli_term_is_terminal(file) && (no_colour == NULL || no_colour[0] == '\0');
}

int cli_term_width(FILE *file)
{
    struct winsize size;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

void cli_term_zone(time_t seconds, struct cas_text *text)
{
    char shown[32];
    const struct tm *local = localtime(&seconds);
    size_t size = local == NULL ? 0 : strftime(shown, sizeof shown, "%Z", local);
    cas_text_add(text, "%.*s", (int)size, shown);
}

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    is_interrupted = 1;
}

void cli_term_catch_interrupt(void)
{
    struct sigaction action = {.sa_handler = on_interrupt};
    sigaction(SIGINT, &action, NULL);
}

bool cli_term_is_interrupted(void)
{
    return is_interrupted != 0;
}
