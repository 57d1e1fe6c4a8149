/* agent_words.h - which word of the command line means what?
 *
 * The table of agent_words.def, and help from it. Touches nothing. Used by agent_main.c. */
#ifndef AGENT_AGENT_WORDS_H
#define AGENT_AGENT_WORDS_H

#include "proto/base/options.h"

enum agent_word {
#define WORD(name, place, arguments, words, details) AGENT_WORD_##name,
#include "agent/agent_words.def"
#undef WORD
    AGENT_WORD_N
};

struct agent_word_row {
    const char *name;
    bool is_managed; /* needs a service manager that this program talks to */
    const char *arguments;
    const char *words;
    const char *details;
};
const struct agent_word_row *agent_word_row(enum agent_word word);
/* False: no such word. */
bool agent_word_find(const char *name, enum agent_word *ret_word);
/* The word among what is no option; none is run. has_manager: this system's service manager is one
 * this program talks to. CAS_ERR_CONFIG no such word, or more than one; CAS_ERR_UNSUPPORTED a word
 * that works elsewhere only. */
CAS_CHECK enum cas_err agent_word_of(const struct options_ask *ask,
                                     bool has_manager,
                                     enum agent_word *ret_word,
                                     struct cas_why *why);
/* Of one word. */
void agent_word_help(enum agent_word word, struct cas_text *out);
/* All of them, a line each, for --help. */
void agent_words_help(struct cas_text *out);

#endif
