#include "tests/unit/test.h"

/* Why: an error that travels over the wire must keep its name for people on the other side. */
TEST(base, errors_have_names_words_and_reactions)
{
    EXPECT_TEXT_EQ("NOMEM", cas_err_name(CAS_ERR_NOMEM));
    EXPECT_TEXT_EQ("no space left", cas_err_words(CAS_ERR_FULL));
    EXPECT_INT_EQ(CAS_REACTION_OPERATOR, cas_err_reaction(CAS_ERR_MODE));
}
