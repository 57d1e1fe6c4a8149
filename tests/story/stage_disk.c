#include "tests/story/stage_disk.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "tests/story/stage_sql.h"

enum {
    FILES = 1024,
    PATH_BYTES = 640,
    PIECE = 512, /* what a disk writes whole or not at all */
    PAGE = 4096, /* what is kept once while the disk has what the program reads back */
    GROW = 64,   /* pages */
    BLOB_BYTES = 256 * 1024
};

struct page {
    union {
        uint8_t byte[PAGE];
        struct page *next; /* in store */
    } as;
};

struct content {
    char path[PATH_BYTES]; /* "" free */
    uint64_t story;
    size_t disk_size;          /* of the path's part that names the disk */
    struct page **now;         /* what the program reads back; NULL zeroes */
    struct page **safe;        /* what the disk has; the same one where nothing was written since */
    size_t now_n, safe_n, cap; /* bytes, bytes, pages */
    size_t from, to;           /* written since the last sync */
    bool is_full;
};
struct disk_file {
    struct sqlite3_file base;
    struct content *content;
};

static struct {
    struct content *file[FILES];
    size_t file_n;
    struct sqlite3_vfs vfs;
    bool is_on;
    uint64_t story;
    uint64_t dice;
    struct page *room;     /* where pages are taken from while it lasts; NULL the heap */
    size_t room_n, page_n; /* pages, and taken so far */
    size_t kept_n;         /* of these, the first so many stay as they are */
    struct page *spare;
    uint8_t *blob; /* BLOB_BYTES: on the heap, of which only what was written is put back */
} disk;

static uint64_t chance(void)
{
    disk.dice += 0x9e3779b97f4a7c15u;
    uint64_t z = disk.dice;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void chance_fill(uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i += 8) {
        uint64_t z = chance();
        memcpy(bytes + i, &z, size - i < 8 ? size - i : 8);
    }
}

#ifndef __SANITIZE_ADDRESS__ /* which is to see what is given back too soon */
/* ---- memory ----
 *
 * SQLite takes and gives back some ten thousand pieces a story, of few sizes. Each is kept for the
 * next of its size. */

struct piece {
    size_t size; /* as it may be used */
    union {
        struct piece *next;
        max_align_t align;
    } as;
};
enum {
    PIECE_HEAD = offsetof(struct piece, as),
    PIECE_STEP = 64,
    PIECE_SIZES = 80 /* 64 to 5120 bytes: a page of the cache and its head are the largest */
};
static struct piece *pieces[PIECE_SIZES + 1];

static int memory_size(void *bytes)
{
    return bytes == NULL ? 0 : (int)((struct piece *)((char *)bytes - PIECE_HEAD))->size;
}

static int memory_round(int size)
{
    return (size + PIECE_STEP - 1) / PIECE_STEP * PIECE_STEP;
}

static void *memory_take(int size)
{
    size_t room = (size_t)memory_round(size), at = room / PIECE_STEP;
    struct piece *piece = at <= PIECE_SIZES ? pieces[at] : NULL;
    if (piece != NULL)
        pieces[at] = piece->as.next;
    else
        piece = malloc(PIECE_HEAD + room);
    if (piece == NULL)
        return NULL;
    piece->size = room;
    return (char *)piece + PIECE_HEAD;
}

static void memory_drop(void *bytes)
{
    struct piece *piece = (struct piece *)((char *)bytes - PIECE_HEAD);
    size_t at = piece->size / PIECE_STEP;
    if (at > PIECE_SIZES) {
        free(piece);
        return;
    }
    piece->as.next = pieces[at];
    pieces[at] = piece;
}

static void *memory_resize(void *bytes, int size)
{
    size_t had = (size_t)memory_size(bytes), room = (size_t)memory_round(size);
    if (room <= had && had - room < PIECE_STEP)
        return bytes;
    void *other = memory_take(size);
    if (other == NULL)
        return NULL;
    memcpy(other, bytes, had < room ? had : room);
    memory_drop(bytes);
    return other;
}

/* What is kept for the next goes back to the heap. */
static void memory_forget(void)
{
    for (size_t i = 0; i <= PIECE_SIZES; i++) {
        while (pieces[i] != NULL) {
            struct piece *piece = pieces[i];
            pieces[i] = piece->as.next;
            free(piece);
        }
    }
}

static int memory_begin(void *context)
{
    (void)context;
    return SQLITE_OK;
}

static void memory_end(void *context)
{
    (void)context;
}

static void memory_on(void)
{
    static struct sqlite3_mem_methods methods = {.xMalloc = memory_take,
                                                 .xFree = memory_drop,
                                                 .xRealloc = memory_resize,
                                                 .xSize = memory_size,
                                                 .xRoundup = memory_round,
                                                 .xInit = memory_begin,
                                                 .xShutdown = memory_end};
    CAS_ASSERT(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods) == SQLITE_OK);
}
#else
static void memory_forget(void)
{
}
static void memory_on(void)
{
}
#endif

/* ---- files ---- */

static size_t disk_size_of(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot == NULL ? strlen(path) : (size_t)(dot - path);
}

static struct content *content_at(const char *path)
{
    for (size_t i = 0; i < disk.file_n; i++) {
        if (disk.file[i]->story == disk.story && strcmp(disk.file[i]->path, path) == 0)
            return disk.file[i];
    }
    return NULL;
}

static bool is_on_disk(const struct content *content, const char *name)
{
    return content->story == disk.story && strlen(name) == content->disk_size &&
           memcmp(content->path, name, content->disk_size) == 0;
}

static struct content *content_make(const char *path)
{
    CAS_ASSERT(disk.file_n < FILES && strlen(path) < PATH_BYTES);
    struct content *content = calloc(1, sizeof *content);
    CAS_ASSERT(content != NULL);
    memcpy(content->path, path, strlen(path) + 1);
    content->disk_size = disk_size_of(path);
    content->story = disk.story;
    for (size_t i = 0; i < disk.file_n; i++) {
        struct content *other = disk.file[i];
        if (other->story == disk.story && other->disk_size == content->disk_size &&
            memcmp(other->path, path, content->disk_size) == 0)
            content->is_full = content->is_full || other->is_full;
    }
    disk.file[disk.file_n++] = content;
    return content;
}

/* ---- pages ---- */

static struct page *page_take(void)
{
    struct page *page = disk.spare;
    if (page != NULL) {
        disk.spare = page->as.next;
        return page;
    }
    page = disk.page_n < disk.room_n ? &disk.room[disk.page_n++] : malloc(sizeof *page);
    CAS_ASSERT(page != NULL);
    return page;
}

static bool is_kept(const struct page *page)
{
    return disk.kept_n > 0 && page >= disk.room && page < disk.room + disk.kept_n;
}

static void page_drop(struct page *page)
{
    if (page == NULL || is_kept(page))
        return;
    page->as.next = disk.spare;
    disk.spare = page;
}

/* What the disk has stays as it is: the page to be written is another one from now on. */
static uint8_t *page_open(struct content *content, size_t at, bool is_whole)
{
    struct page *old = content->now[at];
    if (old != NULL && old != content->safe[at] && !is_kept(old))
        return old->as.byte;
    struct page *page = page_take();
    content->now[at] = page;
    if (old != NULL && !is_whole)
        memcpy(page->as.byte, old->as.byte, PAGE);
    else if (!is_whole)
        memset(page->as.byte, 0, PAGE);
    return page->as.byte;
}

static void bytes_put(struct content *content, size_t from, const uint8_t *bytes, size_t size)
{
    while (size > 0) {
        size_t in = from % PAGE, n = PAGE - in < size ? PAGE - in : size;
        memcpy(page_open(content, from / PAGE, n == PAGE) + in, bytes, n);
        from += n;
        bytes += n;
        size -= n;
    }
}

static void bytes_get(struct page *const *page, size_t from, uint8_t *ret_bytes, size_t size)
{
    while (size > 0) {
        size_t in = from % PAGE, n = PAGE - in < size ? PAGE - in : size;
        if (page[from / PAGE] == NULL)
            memset(ret_bytes, 0, n);
        else
            memcpy(ret_bytes, page[from / PAGE]->as.byte + in, n);
        from += n;
        ret_bytes += n;
        size -= n;
    }
}

static void zero_put(struct content *content, size_t from, size_t to)
{
    while (from < to) {
        size_t in = from % PAGE, n = PAGE - in < to - from ? PAGE - in : to - from;
        if (content->now[from / PAGE] != NULL)
            memset(page_open(content, from / PAGE, false) + in, 0, n);
        from += n;
    }
}

static void page_settle(struct content *content, size_t at)
{
    if (content->safe[at] == content->now[at])
        return;
    page_drop(content->safe[at]);
    content->safe[at] = content->now[at];
}

static void content_free(size_t at)
{
    struct content *content = disk.file[at];
    for (size_t i = 0; i < content->cap; i++) {
        if (content->safe[i] != content->now[i])
            page_drop(content->safe[i]);
        page_drop(content->now[i]);
    }
    free(content->now);
    free(content->safe);
    free(content);
    disk.file[at] = disk.file[--disk.file_n];
}

static void room_make(struct content *content, size_t size)
{
    size_t need = (size + PAGE - 1) / PAGE, old = content->cap;
    if (need <= old)
        return;
    size_t cap = 2 * old > need ? 2 * old : (need + GROW - 1) / GROW * GROW;
    content->now = realloc(content->now, cap * sizeof(*content->now));
    content->safe = realloc(content->safe, cap * sizeof(*content->safe));
    CAS_ASSERT(content->now != NULL && content->safe != NULL);
    for (size_t i = old; i < cap; i++)
        content->now[i] = content->safe[i] = NULL;
    content->cap = cap;
}

static void written(struct content *content, size_t from, size_t to)
{
    if (content->from == content->to) {
        content->from = from;
        content->to = to;
        return;
    }
    content->from = from < content->from ? from : content->from;
    content->to = to > content->to ? to : content->to;
}

/* ---- what SQLite calls ---- */

static struct content *of(struct sqlite3_file *file)
{
    return ((struct disk_file *)file)->content;
}

static int disk_close(struct sqlite3_file *file)
{
    (void)file;
    return SQLITE_OK;
}

static int disk_read(struct sqlite3_file *file, void *bytes, int size, sqlite3_int64 at)
{
    const struct content *content = of(file);
    size_t from = (size_t)at, n = (size_t)size;
    size_t have = from >= content->now_n ? 0 : content->now_n - from;
    if (have > n)
        have = n;
    if (have > 0)
        bytes_get(content->now, from, bytes, have);
    memset((uint8_t *)bytes + have, 0, n - have);
    return have == n ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static int disk_write(struct sqlite3_file *file, const void *bytes, int size, sqlite3_int64 at)
{
    struct content *content = of(file);
    size_t from = (size_t)at, end = from + (size_t)size;
    if (content->is_full && end > content->now_n)
        return SQLITE_FULL;
    room_make(content, end);
    if (from > content->now_n)
        zero_put(content, content->now_n, from);
    bytes_put(content, from, bytes, (size_t)size);
    written(content, from < content->now_n ? from : content->now_n, end);
    if (end > content->now_n)
        content->now_n = end;
    return SQLITE_OK;
}

static int disk_truncate(struct sqlite3_file *file, sqlite3_int64 size)
{
    struct content *content = of(file);
    if ((size_t)size >= content->now_n)
        return SQLITE_OK;
    written(content, (size_t)size, content->now_n);
    content->now_n = (size_t)size;
    return SQLITE_OK;
}

static int disk_sync(struct sqlite3_file *file, int flags)
{
    struct content *content = of(file);
    (void)flags;
    for (size_t at = content->from / PAGE; at * PAGE < content->to; at++)
        page_settle(content, at);
    content->from = content->to = 0;
    content->safe_n = content->now_n;
    return SQLITE_OK;
}

static int disk_size(struct sqlite3_file *file, sqlite3_int64 *ret_size)
{
    *ret_size = (sqlite3_int64)of(file)->now_n;
    return SQLITE_OK;
}

static int disk_lock(struct sqlite3_file *file, int level)
{
    (void)file;
    (void)level;
    return SQLITE_OK;
}

static int disk_is_locked(struct sqlite3_file *file, int *ret_is_locked)
{
    (void)file;
    *ret_is_locked = 0;
    return SQLITE_OK;
}

static int disk_control(struct sqlite3_file *file, int what, void *argument)
{
    (void)file;
    (void)what;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int disk_sector(struct sqlite3_file *file)
{
    (void)file;
    return PIECE;
}

static int disk_traits(struct sqlite3_file *file)
{
    (void)file;
    return 0;
}

/* No shared index: whoever opens must lock the file for himself, as the agent's journal does. */
static const struct sqlite3_io_methods methods = {.iVersion = 1,
                                                  .xClose = disk_close,
                                                  .xRead = disk_read,
                                                  .xWrite = disk_write,
                                                  .xTruncate = disk_truncate,
                                                  .xSync = disk_sync,
                                                  .xFileSize = disk_size,
                                                  .xLock = disk_lock,
                                                  .xUnlock = disk_lock,
                                                  .xCheckReservedLock = disk_is_locked,
                                                  .xFileControl = disk_control,
                                                  .xSectorSize = disk_sector,
                                                  .xDeviceCharacteristics = disk_traits};

static int vfs_open(struct sqlite3_vfs *vfs,
                    const char *path,
                    struct sqlite3_file *file,
                    int flags,
                    int *ret_flags)
{
    (void)vfs;
    struct disk_file *opened = (struct disk_file *)file;
    memset(opened, 0, sizeof *opened);
    if (path == NULL)
        return SQLITE_CANTOPEN; /* nothing here spills to a file without a name */
    opened->content = content_at(path);
    if (opened->content == NULL && (flags & SQLITE_OPEN_CREATE) == 0)
        return SQLITE_CANTOPEN;
    if (opened->content == NULL)
        opened->content = content_make(path);
    opened->base.pMethods = &methods;
    if (ret_flags != NULL)
        *ret_flags = flags;
    return SQLITE_OK;
}

static int vfs_delete(struct sqlite3_vfs *vfs, const char *path, int is_folder_synced)
{
    (void)vfs;
    (void)is_folder_synced;
    for (size_t i = 0; i < disk.file_n; i++) {
        if (disk.file[i]->story != disk.story || strcmp(disk.file[i]->path, path) != 0)
            continue;
        content_free(i);
        return SQLITE_OK;
    }
    return SQLITE_IOERR_DELETE_NOENT;
}

static int vfs_access(struct sqlite3_vfs *vfs, const char *path, int flags, int *ret_is_there)
{
    (void)vfs;
    (void)flags;
    const struct content *content = content_at(path);
    *ret_is_there = content != NULL && content->now_n > 0 ? 1 : 0;
    return SQLITE_OK;
}

static int vfs_path(struct sqlite3_vfs *vfs, const char *path, int cap, char *ret_path)
{
    (void)vfs;
    size_t size = strlen(path) + 1;
    if (size > (size_t)cap)
        return SQLITE_CANTOPEN;
    memcpy(ret_path, path, size);
    return SQLITE_OK;
}

static int vfs_random(struct sqlite3_vfs *vfs, int size, char *ret_bytes)
{
    (void)vfs;
    chance_fill((uint8_t *)ret_bytes, (size_t)size);
    return size;
}

static int vfs_sleep(struct sqlite3_vfs *vfs, int micros)
{
    (void)vfs;
    return micros;
}

static int vfs_time(struct sqlite3_vfs *vfs, double *ret_days)
{
    (void)vfs;
    *ret_days = 2461000.5;
    return SQLITE_OK;
}

/* SQLite's own costs a tenth of a story: the agents' reserve is made of it. */
static void random_blob(struct sqlite3_context *context, int n, struct sqlite3_value **value)
{
    (void)n;
    int size = sqlite3_value_int(value[0]);
    CAS_ASSERT(size > 0 && size <= BLOB_BYTES);
    chance_fill(disk.blob, (size_t)size < 16 ? (size_t)size : 16);
    sqlite3_result_blob(context, disk.blob, size, SQLITE_STATIC); /* read before the next */
}

static int on_connection(struct sqlite3 *db, char **ret_error, const void *routines)
{
    (void)ret_error;
    (void)routines;
    return sqlite3_create_function(db, "randomblob", 1, SQLITE_UTF8, NULL, random_blob, NULL, NULL);
}

/* ---- the door ---- */

void stage_disk_on(void)
{
    if (disk.is_on)
        return;
    disk.is_on = true;
    disk.blob = malloc(BLOB_BYTES);
    CAS_ASSERT(disk.blob != NULL);
    memset(disk.blob, 0xa5, BLOB_BYTES);
    disk.vfs = (struct sqlite3_vfs){.iVersion = 1,
                                    .szOsFile = (int)sizeof(struct disk_file),
                                    .mxPathname = PATH_BYTES,
                                    .zName = "stage",
                                    .xOpen = vfs_open,
                                    .xDelete = vfs_delete,
                                    .xAccess = vfs_access,
                                    .xFullPathname = vfs_path,
                                    .xRandomness = vfs_random,
                                    .xSleep = vfs_sleep,
                                    .xCurrentTime = vfs_time};
    /* One thread, and nobody who asks what is in use: the agents' bound on SQLite's memory is for a
     * program of its own, and would here make all of them share it. */
    CAS_ASSERT(sqlite3_config(SQLITE_CONFIG_SINGLETHREAD) == SQLITE_OK);
    CAS_ASSERT(sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0) == SQLITE_OK);
    memory_on();
    CAS_ASSERT(sqlite3_initialize() == SQLITE_OK);
    CAS_ASSERT(sqlite3_vfs_register(&disk.vfs, 1) == SQLITE_OK);
    CAS_ASSERT(sqlite3_auto_extension((void (*)(void))on_connection) == SQLITE_OK);
}

void stage_disk_story(uint64_t number)
{
    disk.story = number;
    stage_sql_story(number);
}

void stage_disk_seed(uint64_t seed)
{
    disk.dice = seed;
    sqlite3_randomness(0, NULL);
}

void stage_disk_room(void *bytes, size_t size)
{
    disk.room = bytes;
    disk.room_n = size / sizeof(*disk.room);
    disk.page_n = disk.kept_n = 0;
    disk.spare = NULL;
}

void stage_disk_keep(void)
{
    disk.kept_n = disk.page_n;
    disk.spare = NULL;
    memory_forget();
}

void stage_disk_fill(const char *name, bool is_full)
{
    for (size_t i = 0; i < disk.file_n; i++) {
        if (is_on_disk(disk.file[i], name))
            disk.file[i]->is_full = is_full;
    }
}

/* Piece by piece the old or the new; where the disk had nothing yet, zeroes. */
static size_t content_cut(struct content *content)
{
    static const uint8_t zeroes[PIECE];
    size_t lost = 0;
    size_t end_n = chance() % 2 == 0 ? content->safe_n : content->now_n;
    size_t both_n = content->safe_n > content->now_n ? content->safe_n : content->now_n;
    if (both_n > content->now_n)
        zero_put(content, content->now_n, both_n);
    for (size_t at = content->from / PIECE * PIECE; at < content->to && at < both_n; at += PIECE) {
        uint8_t old[PIECE];
        size_t size = both_n - at < PIECE ? both_n - at : PIECE;
        size_t had = at >= content->safe_n ? 0 : content->safe_n - at;
        had = had < size ? had : size;
        if (chance() % 2 != 0)
            continue;
        bytes_get(content->safe, at, old, had);
        memcpy(old + had, zeroes, size - had);
        bytes_put(content, at, old, size);
        lost++;
    }
    for (size_t at = content->from / PAGE; at * PAGE < content->to; at++)
        page_settle(content, at);
    content->now_n = content->safe_n = end_n;
    content->from = content->to = 0;
    return lost;
}

/* The database whose file or log it is. */
static void database_drop(const struct content *content)
{
    static const char log[] = "-wal";
    char name[PATH_BYTES];
    size_t size = strlen(content->path), end = sizeof log - 1;
    memcpy(name, content->path, size + 1);
    if (size > end && strcmp(name + size - end, log) == 0)
        name[size - end] = '\0';
    stage_sql_drop(name);
}

size_t stage_disk_cut(const char *name)
{
    size_t lost = 0;
    for (size_t i = 0; i < disk.file_n; i++) {
        if (!is_on_disk(disk.file[i], name) || disk.file[i]->to <= disk.file[i]->from)
            continue;
        database_drop(disk.file[i]);
        lost += content_cut(disk.file[i]);
    }
    return lost;
}

void stage_disk_closed(const char *name)
{
    for (size_t i = 0; i < disk.file_n; i++) {
        if (is_on_disk(disk.file[i], name))
            database_drop(disk.file[i]);
    }
}

void stage_disk_wipe(const char *name)
{
    size_t i = 0;
    while (i < disk.file_n) {
        if (!is_on_disk(disk.file[i], name)) {
            i++;
            continue;
        }
        database_drop(disk.file[i]);
        content_free(i);
    }
}

size_t stage_disk_bytes(void)
{
    size_t bytes = 0;
    for (size_t i = 0; i < disk.file_n; i++)
        bytes += disk.file[i]->now_n;
    return bytes;
}
