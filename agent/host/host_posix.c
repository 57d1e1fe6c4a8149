#include "agent/host/host.h"

enum cas_err host_windows_open(const struct host_windows_settings *settings,
                               struct cas_now now,
                               struct host **ret_host,
                               struct cas_why *why)
{
    (void)settings;
    (void)now;
    (void)ret_host;
    return cas_fail(why,
                    CAS_ERR_UNSUPPORTED,
                    "host: windows: this program was not built for Windows; sim and replay work "
                    "on every system");
}

enum cas_err
host_windows_release(struct cas_now now, char ret_said[REASON_BYTES], struct cas_why *why)
{
    (void)now;
    (void)why;
    ret_said[0] = '\0';
    return CAS_OK;
}
