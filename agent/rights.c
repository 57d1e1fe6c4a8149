#include "agent/rights.h"

#include <string.h>

/* Windows' numbers; a folder's and a file's share their bits. */
#define WRITE_DATA   0x00000002U /* of a folder: to make files */
#define APPEND_DATA  0x00000004U /* of a folder: to make folders */
#define DELETE_CHILD 0x00000040U
#define DELETE_SELF  0x00010000U
#define WRITE_RIGHTS 0x00040000U
#define WRITE_OWNER  0x00080000U
#define ALL_GENERIC  0x10000000U
#define GENERIC_PUT  0x40000000U

/* Who may make something new further up makes nothing of ours anew: it is there already. */
static uint32_t mask_of(enum rights_place place)
{
    uint32_t away = DELETE_SELF | WRITE_RIGHTS | WRITE_OWNER | ALL_GENERIC;
    switch (place) {
    case RIGHTS_FILE:
        return away | WRITE_DATA | APPEND_DATA | GENERIC_PUT;
    case RIGHTS_FOLDER:
        return away | DELETE_CHILD | WRITE_DATA | APPEND_DATA | GENERIC_PUT;
    case RIGHTS_ABOVE:
        break;
    }
    return away | DELETE_CHILD;
}

bool rights_is_trusted(const char *sid)
{
    static const char *const trusted[] = {
        "S-1-5-18",
        "S-1-5-32-544",
        "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",
    };
    for (size_t i = 0; i < CAS_COUNT(trusted); i++) {
        if (strcmp(sid, trusted[i]) == 0)
            return true;
    }
    return false;
}

/* Denials are no help: one that comes behind a grant, or is for others, takes nothing away. CREATOR
 * OWNER stands for whoever makes a thing later, thus with heirs only; "owner rights" for the owner,
 * who is looked at too. */
bool rights_row_is_loose(enum rights_place place, const struct rights_row *row)
{
    if (row->is_for_heirs || row->kind == RIGHTS_DENIAL)
        return false;
    if (row->kind == RIGHTS_UNKNOWN)
        return true;
    bool is_fine = rights_is_trusted(row->sid) || strcmp(row->sid, "S-1-3-4") == 0;
    return !is_fine && (row->mask & mask_of(place)) != 0;
}
