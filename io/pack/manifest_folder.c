/* manifest_folder.c - a folder per class, as torchvision's ImageFolder has it: [train|val|test/]CLASS/.../picture. Which class is
 * COVID, who is whose picture, and that no lesions are known is decided here and said in the report.
 *
 * Folders are walked in the order of their names. A folder that leads back to one above it (a symbolic link) and one that cannot be
 * read are listed and passed over; so are files that hold no picture. */
#include <dirent.h>
#include <fcntl.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/image/image.h"
#include "io/pack/manifest_private.h"

enum { DEPTH_MAX = 64 };
struct walk {
    struct manifest *m;
    const char *folder;
    const char *classes[2]; /* names; [1] is COVID */
    regex_t patient;
    bool has_patient;
    int unmatched, named;   /* files that the expression does not match; DICOM files that name their patient */
    struct text skipped, beside;
    int skipped_count, beside_count;
    struct stat above[DEPTH_MAX]; /* the folder itself, the split's, the class's ... */
    int tops;                     /* of them above a class */
    char *real_root, *real_class; /* without links: the folder itself, and the class that is walked */
    int unread;                   /* skipped though they may hold pictures */
    struct error *err;
};

static void skip(struct walk *w, const char *path, const char *why)
{
    w->skipped_count++;
    text_add(&w->skipped, "  ");
    text_add_name(&w->skipped, path);
    text_add(&w->skipped, ": %s\n", why);
}

static void skip_unread(struct walk *w, const char *path, const char *why)
{
    w->unread++;
    skip(w, path, why);
}

/* ---- one file ---- */

/* By name, else by its first bytes. */
static enum image_format format_of(const char *path)
{
    uint8_t head[IMAGE_HEAD_BYTES];
    enum image_format named = image_format_of_name(path);
    if (named != IMAGE_UNKNOWN) return named;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    ssize_t got = fd < 0 ? 0 : read(fd, head, sizeof head);
    if (fd >= 0) close(fd);
    return got > 0 ? image_format_of(head, (size_t)got) : IMAGE_UNKNOWN;
}

static char *encode(char *raw)
{
    char *name = text_name_encode(raw);
    mem_free(raw);
    return name;
}

/* The expression's first group in the file's name, or what a DICOM file says of itself; else the whole name: a patient of its own. */
static char *patient_of(struct walk *w, const char *file, const char *path, enum image_format format)
{
    regmatch_t match[2];
    const char *base = path_base(file);
    if (w->has_patient && !regexec(&w->patient, base, 2, match, 0) && match[1].rm_so >= 0 && match[1].rm_eo > match[1].rm_so)
        return encode(mem_format("%.*s", (int)(match[1].rm_eo - match[1].rm_so), base + match[1].rm_so));
    char *named = !w->has_patient && format == IMAGE_DICOM ? image_patient(path) : NULL;
    if (named) {
        w->named++;
        return encode(named);
    }
    w->unmatched++;
    return text_name_encode(file);
}

static void add_file(struct walk *w, const char *file, const char *path, int class, int split)
{
    enum image_format format = format_of(path);
    if (format == IMAGE_UNKNOWN) {
        if (image_name_is_foreign(file)) skip_unread(w, file, "a format that is not read (PNG, JPEG, TIFF and DICOM are)");
        else skip(w, file, "no picture");
        return;
    }
    struct manifest_row *row = manifest_add(w->m);
    row->file = text_name_encode(file);
    row->patient = patient_of(w, file, path, format);
    row->figure = mem_string("");
    row->covid = class;
    row->split = split < 0 ? SPLIT_TRAIN : (enum split)split;
    w->m->matched++;
}

/* ---- folders ---- */

static bool lies_in(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    return !strncmp(path, folder, length) && (!path[length] || path[length] == '/');
}

/* A link to another class, or to the same class of another split: its pictures would come in under a wrong label, or twice. */
static bool leads_astray(const struct walk *w, const char *path)
{
    struct stat link;
    if (!w->real_root || !w->real_class || lstat(path, &link) || !S_ISLNK(link.st_mode)) return false;
    char *real = realpath(path, NULL);
    bool astray = real && lies_in(real, w->real_root) && !lies_in(real, w->real_class);
    mem_free(real); /* from malloc, as everything is */
    return astray;
}

static bool leads_back(const struct walk *w, const struct stat *s, int depth)
{
    for (int d = 0; d < depth; d++)
        if (w->above[d].st_dev == s->st_dev && w->above[d].st_ino == s->st_ino) return true;
    return false;
}

static void walk_class(struct walk *w, const char *relative, int class, int split, int depth)
{
    char *path = path_join(w->folder, relative), **names;
    int count;
    struct error err;
    if (depth == DEPTH_MAX || stat(path, &w->above[depth]) || leads_back(w, &w->above[depth], depth)) {
        skip(w, relative, depth == DEPTH_MAX ? "too deep" : "cannot be entered, or leads back to a folder above it");
    } else if (folder_list(&names, &count, path, &err)) {
        skip_unread(w, relative, "cannot be read");
    } else {
        for (int i = 0; i < count; i++) {
            char *file = mem_format("%s/%s", relative, names[i]), *whole = path_join(w->folder, file);
            struct stat s;
            if (stat(whole, &s)) skip_unread(w, file, "cannot be opened");
            else if (leads_astray(w, whole)) skip(w, file, "a link that leads back, or into another class or split");
            else if (S_ISDIR(s.st_mode)) walk_class(w, file, class, split, depth + 1);
            else if (S_ISREG(s.st_mode)) add_file(w, file, whole, class, split);
            else skip(w, file, "neither a file nor a folder");
            mem_free(file);
            mem_free(whole);
        }
        folder_list_free(names, count);
    }
    mem_free(path);
}

/* Names of the folders in `path` (folder_list_free). */
static int list_folders(char ***names, int *count, const char *path, struct error *err)
{
    if (folder_list(names, count, path, err)) return -1;
    int kept = 0;
    for (int i = 0; i < *count; i++) {
        char *inside = path_join(path, (*names)[i]);
        bool keep = path_is_folder(inside);
        mem_free(inside);
        if (keep) (*names)[kept++] = (*names)[i];
        else mem_free((*names)[i]);
    }
    *count = kept;
    return 0;
}

static bool means_covid(const char *name)
{
    static const char *const known[] = {"covid", "covid19", "covid-19", "ct_covid", "cvd19", "positive", "1"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (!strcasecmp(name, known[i])) return true;
    return false;
}

/* Exactly two classes, one of them COVID: 0 and 1 into place, else an error that names what was found. */
static int name_classes(struct walk *w, char **names, int count, const char *where, const char *positive)
{
    struct text found = {0};
    for (int i = 0; i < count; i++) text_add(&found, "%s%s", i ? ", " : "", names[i]);
    int covid = -1, status = 0;
    for (int i = 0; i < count; i++)
        if (*positive ? !strcmp(names[i], positive) : means_covid(names[i])) covid = covid < 0 ? i : count;
    if (count != 2) {
        status = error_set(w->err, "%s: %d class folders, not two: %s", where, count, found.length ? found.data : "none");
        error_hint(w->err, "the preset takes exactly two classes, COVID and not; --manifest FILE.csv labels any other tree");
    } else if (covid < 0 || covid == count) {
        status = error_set(w->err, "%s: which class is COVID? There are %s", where, found.data);
        error_hint(w->err, "--positive NAME says which");
    } else if (w->classes[1] && (strcmp(w->classes[1], names[covid]) || strcmp(w->classes[0], names[!covid]))) {
        status = error_set(w->err, "%s: the classes are %s, elsewhere %s and %s", where, found.data, w->classes[0], w->classes[1]);
    } else if (!w->classes[1]) {
        w->classes[0] = mem_string(names[!covid]);
        w->classes[1] = mem_string(names[covid]);
    }
    text_free(&found);
    return status;
}

/* The two class folders of one split (-1: of all). `relative` is "" or "train/". */
static int walk_split(struct walk *w, const char *relative, int split, const char *positive)
{
    char *path = path_join(w->folder, relative), **names;
    int count, status = list_folders(&names, &count, path, w->err);
    w->tops = 0;
    if (!stat(w->folder, &w->above[w->tops])) w->tops++;
    if (*relative && !stat(path, &w->above[w->tops])) w->tops++;
    if (!status) {
        status = name_classes(w, names, count, path, positive);
        for (int c = 0; c < 2 && !status; c++) {
            char *class = mem_format("%s%s", relative, w->classes[c]), *whole = path_join(w->folder, class);
            w->real_root = realpath(w->folder, NULL);
            w->real_class = realpath(whole, NULL);
            walk_class(w, class, c, split, w->tops);
            mem_free(w->real_root);
            mem_free(w->real_class);
            mem_free(whole);
            mem_free(class);
        }
        if (!status) w->beside_count += manifest_list_beside(&w->beside, w->folder, relative, w->classes, 2);
        folder_list_free(names, count);
    }
    mem_free(path);
    return status;
}

/* The folder of each split, or NULL; names are those of the list. */
static int name_splits(struct walk *w, const char *split[SPLIT_COUNT], char *const *names, int count)
{
    for (int i = 0; i < count; i++) {
        int s = split_from_word(names[i]);
        if (s < 0) continue;
        if (split[s]) return error_set(w->err, "%s: both '%s' and '%s' would be the split '%s'", w->folder, split[s], names[i], split_names[s]);
        split[s] = names[i];
    }
    return 0;
}

static int walk_splits(struct walk *w, const char *const split[SPLIT_COUNT], const char *positive)
{
    const char *known[SPLIT_COUNT];
    int count = 0, status = 0;
    for (int s = 0; s < SPLIT_COUNT && !status; s++) {
        char *relative = split[s] ? mem_format("%s/", split[s]) : NULL;
        if (relative) status = walk_split(w, relative, s, positive);
        if (relative) known[count++] = split[s];
        mem_free(relative);
    }
    w->beside_count += manifest_list_beside(&w->beside, w->folder, "", known, count);
    return status;
}

static int walk_all(struct walk *w, const char *positive)
{
    const char *split[SPLIT_COUNT] = {NULL};
    char **names;
    int count;
    if (list_folders(&names, &count, w->folder, w->err)) return -1;
    int status = name_splits(w, split, names, count);
    w->m->unsplit = !split[SPLIT_TRAIN] && !split[SPLIT_VAL] && !split[SPLIT_TEST];
    if (!status) status = w->m->unsplit ? walk_split(w, "", -1, positive) : walk_splits(w, split, positive);
    folder_list_free(names, count);
    return status;
}

static void write_report(struct walk *w)
{
    struct text *t = &w->m->report;
    text_add(t, "pictures found: %d; COVID is class '%s', the other '%s'\n", w->m->matched, w->classes[1], w->classes[0]);
    if (w->unmatched)
        text_add(t, "PATIENTS UNKNOWN for %d pictures: each counts as a patient of its own, so pictures of one person may be in two splits "
                    "(--patient gives a rule)\n", w->unmatched);
    if (w->named) text_add(t, "patients named by their DICOM files (PatientID): of %d pictures\n", w->named);
    text_add(t, "lesions are unknown in a tree of folders: all 0\n");
    if (w->unread) text_add(t, "WARNING: %d files or folders cannot be read, and are left out\n", w->unread);
    w->m->unread = w->unread;
    w->m->beside = w->beside_count;
    text_add(t, "beside the classes, not looked into: %d\n%s", w->beside_count, w->beside.length ? w->beside.data : "");
    text_add(t, "passed over: %d\n%s", w->skipped_count, w->skipped.length ? w->skipped.data : "");
    manifest_finish_report(w->m);
}

int manifest_read_folder(struct manifest *m, const struct folder_rules *rules, const char *folder, struct error *err)
{
    struct walk w = {.m = m, .folder = folder, .err = err, .has_patient = *rules->patient};
    *m = (struct manifest){0};
    if (w.has_patient && (regcomp(&w.patient, rules->patient, REG_EXTENDED) || w.patient.re_nsub < 1))
        return error_set(err, "pack.patient = '%s': not a regular expression with a group, such as '^([^-]+)-'", rules->patient);
    for (int s = 0; s < SPLIT_COUNT; s++) m->source[s] = mem_string(folder);
    m->synthetic = manifest_is_synthetic(folder);
    int status = walk_all(&w, rules->positive);
    if (!status && !m->count) status = error_set(err, "%s: no picture in %s or %s", folder, w.classes[0], w.classes[1]);
    if (!status) write_report(&w);
    if (w.has_patient) regfree(&w.patient);
    text_free(&w.skipped);
    text_free(&w.beside);
    mem_free((char *)w.classes[0]);
    mem_free((char *)w.classes[1]);
    if (status) manifest_free(m);
    return status;
}
