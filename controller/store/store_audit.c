#include "controller/store/store_sql.h"

enum cas_err
store_audit_add(struct store *store, const struct store_audit *audit, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_audit_add);
    sql_i64(&sql, audit->at_ms);
    sql_text(&sql, audit->who);
    sql_text(&sql, audit->verb);
    sql_text(&sql, audit->subject);
    sql_text(&sql, audit->about);
    sql_text(&sql, audit->words);
    return sql_run(&sql, why);
}

enum cas_err store_audit_read(struct store *store,
                              const char *subject,
                              size_t cap,
                              store_on_audit *on_audit,
                              void *context,
                              struct cas_why *why)
{
    bool is_any = subject[0] == '\0';
    struct sql sql = sql_use(store, is_any ? SQL_audit_read : SQL_audit_of);
    if (!is_any)
        sql_text(&sql, subject);
    sql_u64(&sql, cap < INT64_MAX ? cap : INT64_MAX);
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has) {
        struct store_audit audit = {.at_ms = sql_get_i64(&sql, 1)};
        sql_get_text(&sql, 2, audit.who, sizeof audit.who);
        sql_get_text(&sql, 3, audit.verb, sizeof audit.verb);
        sql_get_text(&sql, 4, audit.subject, sizeof audit.subject);
        sql_get_text(&sql, 5, audit.about, sizeof audit.about);
        sql_get_text(&sql, 6, audit.words, sizeof audit.words);
        on_audit(context, sql_get_u64(&sql, 0), &audit);
        err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    return err;
}
