/* service_image.h - which file was a service told to read?
 *
 * Reads the command line that Windows keeps of a service. Pure. Used by service_windows_manager.c.
 */
#ifndef AGENT_SERVICE_IMAGE_H
#define AGENT_SERVICE_IMAGE_H

#include "proto/base/cas.h"

/* What follows --config, as a C program started with this line would read it. CAS_ERR_NOT_FOUND: it
 * names none; CAS_ERR_TOO_LONG. */
CAS_CHECK enum cas_err service_image_config(const char *command,
                                            char ret_config[OPTIONS_PATH_BYTES]);

#endif
