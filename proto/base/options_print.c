#include "proto/base/options_parts.h"

#include <string.h>

static const char *const kind_words[] = {"TEXT", "FILE", "SPAN", "N", "", "A,B", ""};

/* A name as a flag: at_once is --at-once. Returns how many columns it took. */
static int add_flag(struct cas_text *out, const char *name, const char *value)
{
    size_t start = out->used;
    cas_text_add(out, "  --");
    for (const char *at = name; *at != '\0'; at++)
        cas_text_add(out, "%c", *at == '_' ? '-' : *at);
    cas_text_add(out, "%s%s", value[0] != '\0' ? " " : "", value);
    return (int)(out->used - start);
}

static void add_entry(struct cas_text *out, const char *name, const char *value, const char *words)
{
    int used = add_flag(out, name, value);
    cas_text_add(out, "%*s%s", used < 28 ? 28 - used : 2, "", words);
}

/* "(preset 15 s; 1 s .. 1 h)" */
static void add_limits(struct cas_text *out, const struct options_row *row)
{
    bool has_limits = row->kind == OPTIONS_SPAN || row->kind == OPTIONS_COUNT;
    bool is_required = row->preset[0] == '\0' && row->least > 0;
    if (!has_limits && !is_required && row->preset[0] == '\0')
        return;
    cas_text_add(out, " (%s%s", is_required ? "required" : "preset ", row->preset);
    if (row->kind == OPTIONS_SPAN) {
        cas_text_add(out, "; ");
        cas_text_span(out, row->least);
        cas_text_add(out, " .. ");
        cas_text_span(out, row->most);
    }
    if (row->kind == OPTIONS_COUNT)
        cas_text_add(out, "; %lld .. %lld", (long long)row->least, (long long)row->most);
    cas_text_add(out, ")");
}

void options_help(const struct options_program *program, struct cas_text *out)
{
    cas_text_add(out,
                 "%s: %s\n\nuse: %s %s\n\n",
                 program->name,
                 program->words,
                 program->name,
                 program->usage);
    cas_text_add(out,
                 "Every option may also stand in the file, as \"name = value\"; flags win.\n\n");
    for (size_t i = 0; i < program->row_n; i++) {
        const struct options_row *row = &program->row[i];
        add_entry(out, row->name, kind_words[row->kind], row->words);
        add_limits(out, row);
        cas_text_add(out, "\n");
    }
    add_entry(out, "config", "FILE", "read this file");
    if (program->config[0] != '\0')
        cas_text_add(out, " (preset %s, where it exists)", program->config);
    cas_text_add(out, "\n");
    add_entry(out, "check", "", "read everything, say whether it is good, and end\n");
    add_entry(out, "help", "", "print this and end\n");
    add_entry(out, "version", "", "print the version and end\n");
}

/* The shortest form cas_parse_span reads back. */
static void add_span(struct cas_text *out, int64_t span_ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
    if (span_ms == 0)
        cas_text_add(out, "0s");
    for (size_t i = 0; i < CAS_COUNT(units); i++) {
        if (span_ms / units[i].ms > 0)
            cas_text_add(out, "%lld%s", (long long)(span_ms / units[i].ms), units[i].name);
        span_ms %= units[i].ms;
    }
}

static void add_list(struct cas_text *out, const struct options_list *list)
{
    for (size_t i = 0; i < list->item_n; i++)
        cas_text_add(out, "%s%s", i > 0 ? ", " : "", list->item[i]);
}

void options_show_row(const struct options_row *row, const void *values, struct cas_text *out)
{
    const void *member = (const char *)values + row->offset;
    cas_text_add(out, "%s = ", row->name);
    switch (row->kind) {
    case OPTIONS_TEXT:
    case OPTIONS_PATH:
        cas_text_add(out, "%s", (const char *)member);
        break;
    case OPTIONS_SPAN:
        add_span(out, *(const int64_t *)member);
        break;
    case OPTIONS_COUNT:
        cas_text_add(out, "%lld", (long long)*(const int64_t *)member);
        break;
    case OPTIONS_FLAG:
    case OPTIONS_ONCE:
        cas_text_add(out, "%s", *(const bool *)member ? "on" : "off");
        break;
    case OPTIONS_LIST:
        add_list(out, member);
        break;
    }
}

void options_show(const struct options_program *program, const void *values, struct cas_text *out)
{
    for (size_t i = 0; i < program->row_n; i++) {
        const struct options_row *row = &program->row[i];
        const void *member = (const char *)values + row->offset;
        bool is_text = row->kind == OPTIONS_TEXT || row->kind == OPTIONS_PATH;
        if ((is_text && *(const char *)member == '\0') || row->kind == OPTIONS_ONCE ||
            (row->kind == OPTIONS_LIST && ((const struct options_list *)member)->item_n == 0))
            continue;
        options_show_row(row, values, out);
        cas_text_add(out, "\n");
    }
}
