#include "agent/host/host.h"

void host_free(struct host *host)
{
    if (host != NULL)
        host->ops->free(host);
}
