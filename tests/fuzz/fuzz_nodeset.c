/* Any bytes as a node set; what is taken folds, and expands to as many names again. Large sets are
 * not folded: they would take all the time and show nothing new. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "proto/base/nodeset.h"

static void fold_back(const struct nodeset *set)
{
    static char data[FLEET_SERVERS * CAS_NAME_BYTES];
    static const char *names[FLEET_SERVERS];
    struct cas_text out = CAS_TEXT(data);
    cas_text_clear(&out);
    for (size_t i = 0; i < set->name_n; i++)
        names[i] = set->name[i];
    CAS_ASSERT(nodeset_fold(names, set->name_n, &out) == CAS_OK);
    CAS_ASSERT(!out.is_cut);
    if (out.used > NODESET_BYTES)
        return;
    CAS_AUTO(nodeset) again = NULL;
    CAS_ASSERT(nodeset_expand((struct cas_slice){data, out.used}, &again, NULL) == CAS_OK);
    CAS_ASSERT(again->name_n == set->name_n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CAS_AUTO(nodeset) set = NULL;
    struct cas_why why = {""};
    enum cas_err err = nodeset_expand((struct cas_slice){(const char *)data, size}, &set, &why);
    CAS_ASSERT((err == CAS_OK) == (why.text[0] == '\0'));
    if (err == CAS_OK && set->name_n <= 200)
        fold_back(set);
    return 0;
}
