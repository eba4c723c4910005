/* test_io_scans.c - TIFF, DICOM and 16-bit PNG with windows, beside Pillow, pydicom and the standard's formula (make_scans.py); and
 * the window's own edges. */
#include <stdlib.h>
#include <sys/wait.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/image/image.h"
#include "tests/unit/check.h"

static char folder[] = "/tmp/ladnn-scans-XXXXXX";

static void test_window(void)
{
    struct image_window w;
    struct error err = {0};
    EXPECT(image_window_parse(&w, "", &err) == 0 && w.width == 0, "none");
    EXPECT(image_window_parse(&w, "Lung", &err) == 0 && w.centre == -600 && w.width == 1500, "lung");
    EXPECT(image_window_parse(&w, "-12.5/300", &err) == 0 && w.centre == -12.5 && w.width == 300, "numbers");
    static const char *const wrong[] = {"lungs", "40", "40/", "40/0.5", "40/-3", "40/400 HU", "nan/400", "40/inf", "/"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) EXPECT(image_window_parse(&w, wrong[i], &err) == -1, "%s", wrong[i]);
    w = (struct image_window){2048, 4096}; /* the standard's own example: 0 to 4095 over all levels */
    EXPECT(image_window_apply(&w, 0) == 0 && image_window_apply(&w, 4095) == 255 && image_window_apply(&w, 2047.5) == 128, "ends");
    w = (struct image_window){0, 1}; /* a step */
    EXPECT(image_window_apply(&w, -0.5) == 0 && image_window_apply(&w, -0.4) == 255, "a step");
}

/* The file's name, its window and what is known of it: "refused WORD" or channels, height, width, tolerance. */
static void check_line(const char *line, int number)
{
    char name[64], text[32], word[32] = "", *path, *raw;
    int channels, height, width, tolerance = 0, worst = 0;
    struct error err = {0};
    struct image_window window;
    struct image got;
    uint8_t *data = NULL, *want = NULL;
    size_t bytes, want_bytes;
    EXPECT(sscanf(line, "%63s %31s", name, text) == 2, "%s", line);
    bool refused = sscanf(line, "%*s %*s refused %31s", word) == 1;
    EXPECT(refused || sscanf(line, "%*s %*s %d %d %d %d", &channels, &height, &width, &tolerance) == 4, "%s", line);
    EXPECT(image_window_parse(&window, strcmp(text, "-") ? text : "", &err) == 0, "%s", err.message);
    path = path_join(folder, name);
    raw = mem_format("%s/%d.raw", folder, number);
    EXPECT(file_read(&data, &bytes, path, &err) == 0, "%s", err.message);
    int status = image_decode(&got, data, bytes, name, &window, &err);
    if (refused) {
        EXPECT(status == -1, "%s was read", name);
        EXPECT_TEXT(err.message, word);
        EXPECT(got.pixels == NULL, "%s: pixels of a refused file", name);
    } else if (status) {
        EXPECT(false, "%s", err.message);
    } else {
        EXPECT(file_read(&want, &want_bytes, raw, &err) == 0, "%s", err.message);
        EXPECT(got.channels == channels && got.height == height && got.width == width, "%s: %dx%dx%d", name, got.height, got.width, got.channels);
        for (size_t i = 0; i < want_bytes && got.channels == channels; i++) worst = abs(got.pixels[i] - want[i]) > worst ? abs(got.pixels[i] - want[i]) : worst;
        EXPECT(worst <= tolerance, "%s, window %s: %d levels away", name, text, worst);
    }
    image_free(&got);
    mem_free(data);
    mem_free(want);
    mem_free(path);
    mem_free(raw);
}

static void test_files(const char *tests)
{
    char *command = mem_format("/usr/bin/python3 '%s/reference/make_scans.py' '%s'", tests, folder), line[256];
    int status = system(command), lines = 0;
    mem_free(command);
    if (status) {
        printf("not tested here: TIFF and DICOM files (make_scans.py: status %d; are Pillow and pydicom installed?)\n", WEXITSTATUS(status));
        EXPECT(WEXITSTATUS(status) == 77, "make_scans.py failed");
        return;
    }
    char *list = path_join(folder, "scans.txt");
    FILE *f = fopen(list, "r");
    for (; f && fgets(line, sizeof line, f); lines++) check_line(line, lines);
    printf("%d readings compared\n", lines);
    EXPECT(lines >= 50, "%d readings", lines);
    if (f) fclose(f);
    mem_free(list);
}

int main(int argc, char **argv)
{
    struct error err = {0};
    EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
    test_window();
#if defined(LADNN_HAVE_TIFF) && defined(LADNN_HAVE_DCMTK)
    if (argc > 1) test_files(argv[1]);
#else
    (void)argc, (void)argv, (void)test_files;
    printf("not tested here: TIFF and DICOM files (built without libtiff or DCMTK)\n");
#endif
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
