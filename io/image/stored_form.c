/* stored_form.c - see stored_form.h. */
#include "io/image/stored_form.h"

static void to_grey(struct image *image)
{
    size_t count = (size_t)image->height * (size_t)image->width;
    const uint8_t *p = image->pixels;
    if (image->channels == 1) return;
    for (size_t i = 0; i < count; i++)
        image->pixels[i] = (uint8_t)((19595u * p[3 * i] + 38470u * p[3 * i + 1] + 7471u * p[3 * i + 2] + 0x8000) >> 16);
    image->channels = 1;
}

void image_store(struct image *image, const struct stored_form *form)
{
    if (form->grey) to_grey(image);
    if (!form->size || (image->height == form->size && image->width == form->size)) return;
    struct image whole = *image;
    image_resize(image, &whole, form->size, form->size);
    image_free(&whole);
}
