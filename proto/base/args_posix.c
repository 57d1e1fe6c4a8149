#include "proto/base/args.h"

#include <stdlib.h>

/* A POSIX system hands over bytes, which are UTF-8 where they are more than ASCII. */
enum cas_err args_utf8(int *argc, char ***argv, struct cas_why *why)
{
    (void)argc;
    (void)argv;
    (void)why;
    return CAS_OK;
}

const char *args_environment(const char *name)
{
    return getenv(name);
}
