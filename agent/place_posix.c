#include "agent/place.h"

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
