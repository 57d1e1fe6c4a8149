#include "controller/store/store_schedule.h"
#include "controller/store/store_sql.h"

enum cas_err store_sites_read(struct store *store,
                              size_t cap,
                              struct window_site *ret_site,
                              size_t *ret_n,
                              struct cas_why *why)
{
    struct sql sql = sql_use(store, SQL_site_list);
    sql_u64(&sql, cap);
    size_t n = 0;
    bool has = false;
    enum cas_err err = sql_row(&sql, &has, why);
    while (err == CAS_OK && has && n < cap) {
        struct window_site *site = &ret_site[n++];
        *site = (struct window_site){.name = ""};
        sql_get_text(&sql, 0, site->name, sizeof site->name);
        sql_get_text(&sql, 1, site->zone, sizeof site->zone);
        err = sql_row(&sql, &has, why);
    }
    sql_end(&sql);
    if (err == CAS_OK)
        *ret_n = n;
    return err;
}

enum cas_err
store_site_save(struct store *store, const struct window_site *site, struct cas_why *why)
{
    enum cas_err err = store_begin(store, why);
    if (err != CAS_OK)
        return err;
    struct sql sql = sql_use(store, SQL_site_save);
    sql_text(&sql, site->name);
    sql_text(&sql, site->zone);
    return sql_run(&sql, why);
}
