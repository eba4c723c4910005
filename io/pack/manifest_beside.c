/* manifest_beside.c - what lies beside the folders that a layout knows, and would else be missed without a word. */
#include <string.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/pack/manifest_private.h"

static bool is_known(const char *name, const char *const *known, int count)
{
    for (int i = 0; i < count; i++)
        if (!strcmp(name, known[i])) return true;
    return *name == '.'; /* hidden: an editor's, or the system's */
}

int manifest_list_beside(struct text *list, const char *folder, const char *relative, const char *const *known, int count)
{
    char *path = path_join(folder, relative), **names;
    int total, found = 0;
    if (folder_list(&names, &total, path, NULL)) total = 0;
    for (int i = 0; i < total; i++) {
        char *inside = path_join(path, names[i]);
        bool below = path_is_folder(inside);
        if (!is_known(names[i], known, count) && (below || manifest_is_image_name(names[i]))) {
            found++;
            text_add(list, "  %s", relative);
            text_add_name(list, names[i]);
            text_add(list, below ? "/: a folder beside the classes\n" : ": a picture outside the classes\n");
        }
        mem_free(inside);
    }
    if (total) folder_list_free(names, total);
    mem_free(path);
    return found;
}
