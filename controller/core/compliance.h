/* compliance.h - which Exchange is this, and does it have the fix for KB 4456227?
 *
 * Pure. The table exchange_builds.def is made from tests/data's copy of the published build list;
 * see compliance.c for sources. Unknown is a state of its own and never counts as having the fix.
 * Used by rollout, view, ask. */
#ifndef CONTROLLER_CORE_COMPLIANCE_H
#define CONTROLLER_CORE_COMPLIANCE_H

#include "proto/base/cas.h"

struct compliance_build {
    uint32_t part[4]; /* 15.1.1591.10 */
};
enum compliance_fix {
    COMPLIANCE_UNKNOWN,
    COMPLIANCE_HAS,
    COMPLIANCE_LACKS
};

/* One row of the published list. */
struct compliance_row {
    const char *product; /* 2013, 2016, 2019, SE */
    const char *update;  /* RTM, CU11, CU11 Dec18SU */
    const char *kind;    /* RTM, SP, CU, SU, HU */
    struct compliance_build build;
    const char *released; /* 2018-10-16 or 2018-12 */
};

/* "15.1.1591.10", zero padding as in "15.01.1591.010" accepted, and the directory's +30000 form. */
CAS_CHECK enum cas_err
compliance_parse(struct cas_slice text, struct compliance_build *ret_build, struct cas_why *why);
int compliance_compare(const struct compliance_build *a,
                       const struct compliance_build *b); /* <0 0 >0 */
void compliance_text(const struct compliance_build *build, struct cas_text *text);
/* "2016:CU11", "2016:CU23 Nov24SU" (space or '-'), "2016:RTM", or a dotted build, into the build it
 * stands for. CAS_ERR_NOT_FOUND names the nearest rows. */
CAS_CHECK enum cas_err
compliance_named(struct cas_slice text, struct compliance_build *ret_build, struct cas_why *why);
/* "2013" "2016" "2019" "SE", NULL when it is none of them. */
const char *compliance_product(const struct compliance_build *build);
/* The row it is, or NULL; *ret_below and *ret_above (may be NULL) are its neighbours of the same
 * product when it lies between. */
const struct compliance_row *compliance_find(const struct compliance_build *build,
                                             const struct compliance_row **ret_below,
                                             const struct compliance_row **ret_above);
/* For people: "2016 CU11 Dec18SU", "2016 between CU10 and CU11", "not in the list". */
void compliance_name(const struct compliance_build *build, struct cas_text *text);
/* By build, never by date: 2016 from 15.1.1591.10 on; 2013 never; 2019 and SE are not named by the
 * KB and have it. */
enum compliance_fix compliance_has_fix(const struct compliance_build *build);
const struct compliance_row *compliance_rows(size_t *ret_n);

#endif
