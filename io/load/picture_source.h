/* picture_source.h - pictures to be looked at one by one: chosen images of a split, a picture file, or a folder of them. Whatever the source,
 * a picture has the pixels that a shard holds of it: files go through what packing does (io/image/stored_form.h). */
#ifndef IO_LOAD_PICTURE_SOURCE_H
#define IO_LOAD_PICTURE_SOURCE_H
#include "io/image/stored_form.h"
#include "io/shard/shard.h"

struct picture_source;
/* Of a split, in its order: the images that `files` names (separated by commas: as in the manifest, or the last part where only one image has
 * it), or with "" all; of these `count`, evenly spread, or with 0 all. Borrows the data set. */
struct picture_source *pictures_of_split(struct dataset *d, enum split split, const char *files, int64_t count, struct error *err);
/* Of a file, or of the files in a folder, in the order of their names. Each is decoded once to see that it can be: a folder's other files are
 * passed over and told in the log, a picture that cannot be read is an error. */
struct picture_source *pictures_of_path(const char *path, const struct stored_form *form, int64_t count, struct error *err);
void pictures_close(struct picture_source *s); /* NULL is fine */
int64_t pictures_count(const struct picture_source *s);
const char *pictures_name(const struct picture_source *s, int64_t i);             /* borrowed */
const struct shard_item *pictures_item(const struct picture_source *s, int64_t i);/* its labels; NULL for a file */
/* Thread safe. image_free. */
int pictures_read(const struct picture_source *s, int64_t i, struct image *image, struct error *err);

/* What packing did to the pictures of these shards, from what they say of themselves. *window_known is false for shards that were united from
 * others. */
int pictures_form_of(struct stored_form *form, bool *window_known, const struct dataset *d, struct error *err);
#endif
