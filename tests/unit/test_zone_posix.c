#include "tests/unit/test_zone.h"

#include <stdlib.h>
#include <time.h>

#include "proto/base/cas.h"

void test_zone(const char *rule)
{
    int result = setenv("TZ", rule, 1);
    CAS_ASSERT(result == 0);
    tzset();
}
