/* stored_form.h - what becomes of a decoded picture before it lies in a shard. Packing does this, and whoever wants a picture file to give
 * the network the very pixels that it would have given from a shard. */
#ifndef IO_IMAGE_STORED_FORM_H
#define IO_IMAGE_STORED_FORM_H
#include <stdbool.h>
#include "io/image/image.h"

struct stored_form {
    int size;  /* height = width; 0: its own */
    bool grey; /* also of coloured pictures, with the weights of Pillow's convert("L") */
    struct image_window window; /* for image_decode */
};
/* In place: grey first, then resized. */
void image_store(struct image *image, const struct stored_form *form);
#endif
