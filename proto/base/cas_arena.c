#include "proto/base/cas.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

struct cas_arena {
    size_t cap_bytes;
    size_t used_bytes;
    alignas(max_align_t) unsigned char data[];
};

enum cas_err cas_arena_open(size_t cap_bytes, struct cas_arena **ret_arena)
{
    if (cap_bytes > SIZE_MAX - sizeof(struct cas_arena))
        return CAS_ERR_NOMEM;
    struct cas_arena *arena = malloc(sizeof *arena + cap_bytes);
    if (arena == NULL)
        return CAS_ERR_NOMEM;
    arena->cap_bytes = cap_bytes;
    arena->used_bytes = 0;
    *ret_arena = arena;
    return CAS_OK;
}

void cas_arena_free(struct cas_arena *arena)
{
    free(arena);
}

void cas_arena_clear(struct cas_arena *arena)
{
    arena->used_bytes = 0;
}

void *cas_arena_take(struct cas_arena *arena, size_t count, size_t item_bytes)
{
    size_t left = arena->cap_bytes - arena->used_bytes;
    if (item_bytes > 0 && count > left / item_bytes)
        return NULL;
    size_t size = count * item_bytes;
    size_t odd = size % alignof(max_align_t);
    size_t step = odd == 0 ? size : size - odd + alignof(max_align_t);
    unsigned char *taken = arena->data + arena->used_bytes;
    /* The last piece need not leave room for its padding. */
    arena->used_bytes += step < left ? step : left;
    memset(taken, 0, size);
    return taken;
}

size_t cas_arena_used(const struct cas_arena *arena)
{
    return arena->used_bytes;
}
