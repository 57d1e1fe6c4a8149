/* options_parts.h - what the files of the options share. Included by options*.c only. */
#ifndef PROTO_BASE_OPTIONS_PARTS_H
#define PROTO_BASE_OPTIONS_PARTS_H

#include "proto/base/options.h"

/* A file's bytes as UTF-8 without a mark, terminated; caller frees. CAS_ERR_CONFIG where they are
 * no text, CAS_ERR_TOO_LONG above CONFIG_BYTES, CAS_ERR_NOMEM. */
CAS_CHECK enum cas_err options_text(const char *name,
                                    struct cas_slice bytes,
                                    char **ret_text,
                                    size_t *ret_size,
                                    struct cas_why *why);
/* A key fits a row in either spelling: at_once or at-once. */
bool options_is_key(struct cas_slice key, const char *name);
struct cas_slice options_trimmed(struct cas_slice text);
/* "name = value", without an end of line. */
void options_show_row(const struct options_row *row, const void *values, struct cas_text *out);

#endif
