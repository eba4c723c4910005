/* image_dicom.h - DICOM slices through DCMTK, whose language is C++: image_dicom.cc is this project's one file in it. */
#ifndef IO_IMAGE_IMAGE_DICOM_H
#define IO_IMAGE_IMAGE_DICOM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif
/* What is wanted of a DICOM file with one grey slice: its pixels after rescale slope and intercept (modality LUT) and a window.
 * width 0: the file's own first window. allocate: must give room for height * width bytes. Returns NULL, or what is wrong in a
 * few words (a constant text); *pixels may be allocated then. Never throws. Thread safe. */
const char *dicom_decode(const uint8_t *data, size_t bytes, double centre, double width, int64_t pixels_max, void *(*allocate)(size_t bytes),
                         uint8_t **pixels, int *height_out, int *width_out);
/* The file's PatientID (0010,0020) without blanks, "" when it has none, cut to `bytes`; false when it is no DICOM file. Reads the head of
 * the file only. */
bool dicom_patient(const char *path, char *patient, size_t bytes);
#ifdef __cplusplus
}
#endif
#endif
