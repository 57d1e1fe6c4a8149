/* nodeset.h - which servers does "LON-CAS[01-16],NYC-CAS[46-48]" mean, and how are names folded
 * back?
 *
 * The form is ClusterShell's: parts separated by commas or blanks; in a part any number of lists in
 * brackets, of numbers and ranges, a range with a step as in [0-8/2]. Zero padding is kept: [08-11]
 * is 08 09 10 11. Pure: memory only. Used by cli, ask, inventory and stories. */
#ifndef PROTO_BASE_NODESET_H
#define PROTO_BASE_NODESET_H

#include "proto/base/cas.h"

struct nodeset {
    char (*name)[CAS_NAME_BYTES]; /* [name_n], each a cas_is_name, no doubles, in order of first
                                     mention */
    size_t name_n;                /* 1 .. FLEET_SERVERS */
};

/* Caller frees with nodeset_free. The reason names the column (from 1), what was found and the
 * limit. CAS_ERR_MISSING   nothing but blanks CAS_ERR_FORMAT    not such a form, or a name that is
 * not a cas_is_name CAS_ERR_RANGE     a range that goes backwards, a step of 0, a number of more
 * than 18 digits CAS_ERR_TOO_LONG  text longer than NODESET_BYTES CAS_ERR_TOO_MANY  more than
 * FLEET_SERVERS names, NODESET_MENTIONS with doubles, NODESET_BRACKETS in a part CAS_ERR_NOMEM */
CAS_CHECK enum cas_err
nodeset_expand(struct cas_slice text, struct nodeset **ret_set, struct cas_why *why);
void nodeset_free(struct nodeset *set);
CAS_AUTO_DEFINE(nodeset);

/* Adds the names as ranges that expand to just them: sorted, numbers by value, doubles
 * dropped. Where a name has several numbers, one of them is folded. Nothing is added on an error;
 * out->is_cut tells of a small cap. CAS_ERR_FORMAT    something that is not a cas_is_name
 * CAS_ERR_TOO_MANY  more than FLEET_SERVERS
 * CAS_ERR_NOMEM
 * Cost: O(n log n). */
CAS_CHECK enum cas_err nodeset_fold(const char *const *names, size_t name_n, struct cas_text *out);

#endif
