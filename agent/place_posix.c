#include "agent/place.h"

#include <pwd.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/base/file.h"

const struct place *place_here(void)
{
    static const struct place here = {.config = "/etc/casfleet/agent.ini",
                                      .state = "/var/lib/casfleet-agent",
                                      .host = "sim",
                                      .separator = '/'};
    return &here;
}

enum cas_err place_state_make(const char *path, struct cas_why *why)
{
    return file_folder(path, why);
}

void place_user(char ret_user[CAS_NAME_BYTES])
{
    struct cas_text text = {.data = ret_user, .cap = CAS_NAME_BYTES};
    const struct passwd *user = getpwuid(geteuid());
    cas_text_clear(&text);
    if (user != NULL && user->pw_name[0] != '\0' && cas_is_clean_text(cas_slice_of(user->pw_name)))
        cas_text_add(&text, "%s", user->pw_name);
    else
        cas_text_add(&text, "user %lu", (unsigned long)geteuid());
    /* Who is root can say anything; it is told for people, beside the name that is sure. */
    const char *by = geteuid() == 0 ? getenv("SUDO_USER") : NULL;
    if (by != NULL && cas_is_name(cas_slice_of(by)))
        cas_text_add(&text, " (sudo by %s)", by);
}
