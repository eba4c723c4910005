/* lettering.h - short lines of text in a picture: labels of contact sheets. */
#ifndef IO_IMAGE_LETTERING_H
#define IO_IMAGE_LETTERING_H
#include "io/image/image.h"

enum { LETTER_WIDTH = 6, LETTER_LINE = 10 }; /* pixels from a letter, or line, to the next */
/* Black, the first letter's upper left corner at (y, x); at most `columns` letters. Upper case; what has no glyph stays blank, and so does
 * what lies outside. */
void image_write_text(struct image *image, int y, int x, const char *text, int columns);
/* The same, with the end of a text that is too long. */
void image_write_text_end(struct image *image, int y, int x, const char *text, int columns);
#endif
