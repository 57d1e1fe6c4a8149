#include "agent/agent_words.h"

#include <string.h>

enum {
    WORD_COLUMNS = 11
};

#define ANYWHERE false
#define MANAGED  true
static const struct agent_word_row words_table[] = {
#define WORD(name, place, arguments, words, details) {#name, place, arguments, words, details},
#include "agent/agent_words.def"
#undef WORD
};

const struct agent_word_row *agent_word_row(enum agent_word word)
{
    CAS_ASSERT((size_t)word < CAS_COUNT(words_table));
    return &words_table[word];
}

bool agent_word_find(const char *name, enum agent_word *ret_word)
{
    for (size_t i = 0; i < CAS_COUNT(words_table); i++) {
        if (strcmp(words_table[i].name, name) == 0) {
            *ret_word = (enum agent_word)i;
            return true;
        }
    }
    return false;
}

static enum cas_err unknown_word(const char *name, struct cas_why *why)
{
    char known[128];
    struct cas_text text = CAS_TEXT(known);
    cas_text_clear(&text);
    for (size_t i = 0; i < CAS_COUNT(words_table); i++)
        cas_text_add(&text, "%s%s", i > 0 ? ", " : "", words_table[i].name);
    return cas_fail(why, CAS_ERR_CONFIG, "%.60s: no such word; there are %s", name, known);
}

enum cas_err agent_word_of(const struct options_ask *ask,
                           bool has_manager,
                           enum agent_word *ret_word,
                           struct cas_why *why)
{
    enum agent_word word = AGENT_WORD_run;
    if (ask->word_n > 0 && !agent_word_find(ask->word[0], &word))
        return unknown_word(ask->word[0], why);
    if (ask->word_n > 1)
        return cas_fail(why,
                        CAS_ERR_CONFIG,
                        "%.60s: %s takes options only; see casfleet-agent %s --help",
                        ask->word[1],
                        words_table[word].name,
                        words_table[word].name);
    if (words_table[word].is_managed && !has_manager)
        return cas_fail(why,
                        CAS_ERR_UNSUPPORTED,
                        "%s: is for Windows; here systemd is the service manager, use systemctl",
                        words_table[word].name);
    *ret_word = word;
    return CAS_OK;
}

void agent_word_help(enum agent_word word, struct cas_text *out)
{
    const struct agent_word_row *row = agent_word_row(word);
    cas_text_add(out,
                 "casfleet-agent %s: %s\n\nuse: casfleet-agent %s %s\n\n%s",
                 row->name,
                 row->words,
                 row->name,
                 row->arguments,
                 row->details);
    cas_text_add(out, "\nAll options: casfleet-agent --help\n");
}

void agent_words_help(struct cas_text *out)
{
    for (size_t i = 0; i < CAS_COUNT(words_table); i++)
        cas_text_add(out,
                     "  %-*s%s%s\n",
                     WORD_COLUMNS,
                     words_table[i].name,
                     words_table[i].words,
                     words_table[i].is_managed ? " (Windows)" : "");
    cas_text_add(out, "\nMore on one: casfleet-agent WORD --help\n\n");
}
