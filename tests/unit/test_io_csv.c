/* CSV: quoting, line ends, encodings, and errors with their lines. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/csv.h"
#include "tests/unit/check.h"

static char path[] = "/tmp/test-io-csv-XXXXXX";

static int read_bytes(struct csv *csv, const char *bytes, size_t count, struct error *err)
{
    EXPECT(file_write_atomic(path, bytes, count, err) == 0, "%s", err->message);
    return csv_read(csv, path, err);
}
#define READ(csv, literal, err) read_bytes(csv, literal, sizeof(literal) - 1, err)

/* The whole file as text: fields in [], rows as line numbers. */
static void expect_rows(const char *bytes, size_t count, const char *want)
{
    struct csv csv;
    struct error err = {0};
    char got[512] = "";
    size_t used = 0;
    EXPECT(read_bytes(&csv, bytes, count, &err) == 0, "%s", err.message);
    for (int r = 0; r < csv.count; r++) {
        used += (size_t)snprintf(got + used, sizeof got - used, "%d", csv.rows[r].line);
        for (int f = 0; f < csv.rows[r].count; f++)
            used += (size_t)snprintf(got + used, sizeof got - used, "[%s]", csv.rows[r].fields[f]);
    }
    EXPECT(strcmp(got, want) == 0, "got %s, want %s", got, want);
    csv_free(&csv);
}
#define ROWS(literal, want) expect_rows(literal, sizeof(literal) - 1, want)

static void expect_error(const char *bytes, size_t count, const char *want)
{
    struct csv csv;
    struct error err = {0};
    EXPECT(read_bytes(&csv, bytes, count, &err) == -1, "'%s' was read", bytes);
    EXPECT_TEXT(err.message, want);
    EXPECT_TEXT(err.message, path);
    EXPECT(csv.count == 0 && csv.rows == NULL, "nothing is left after an error");
}
#define ERROR(literal, want) expect_error(literal, sizeof(literal) - 1, want)

static void test_rows(void)
{
    ROWS("", "");
    ROWS("\n\r\n\n", "");
    ROWS("a", "1[a]");
    ROWS("a,b\nc,d\n", "1[a][b]2[c][d]");
    ROWS("a,b\r\nc,d", "1[a][b]2[c][d]");
    ROWS("a\rb\r", "1[a]2[b]");
    ROWS(",\n,,\n", "1[][]2[][][]");
    ROWS("\n\na\n\nb", "3[a]5[b]");
    ROWS("\"a,b\",\"\"\n", "1[a,b][]");
    ROWS("\"say \"\"hi\"\"\",x", "1[say \"hi\"][x]");
    ROWS("\"two\nlines\",x\ny", "1[two\nlines][x]3[y]");
    ROWS("\"two\r\nlines\"\r\ny", "1[two\r\nlines]3[y]");
    ROWS("a \"quoted\" b, c ", "1[a \"quoted\" b][ c ]");
    ROWS("a,\"\"", "1[a][]");
    ROWS("a,", "1[a][]");
    ROWS(",", "1[][]");
}

/* More rows and fields than there is room for at first, all Latin-1: twice the bytes. */
static void test_many(void)
{
    enum { ROWS_COUNT = 1000 };
    static char bytes[6 * ROWS_COUNT];
    struct csv csv;
    struct error err = {0};
    for (int r = 0; r < ROWS_COUNT; r++) memcpy(bytes + 6 * r, "\xE9\xE9,\xE9,\n", 6);
    EXPECT(read_bytes(&csv, bytes, sizeof bytes, &err) == 0 && csv.count == ROWS_COUNT && csv.latin1, "%s, %d rows", err.message, csv.count);
    for (int r = 0; r < csv.count; r++) {
        char **f = csv.rows[r].fields;
        EXPECT(csv.rows[r].count == 3 && !strcmp(f[0], "\xC3\xA9\xC3\xA9") && !strcmp(f[1], "\xC3\xA9") && !*f[2], "row %d", r);
    }
    csv_free(&csv);
}

static void test_longest_field(void)
{
    static char bytes[5000];
    struct csv csv;
    struct error err = {0};
    memset(bytes, 'x', sizeof bytes);
    bytes[1] = '\n';
    EXPECT(read_bytes(&csv, bytes, 2 + 4096, &err) == 0 && csv.count == 2 && strlen(csv.rows[1].fields[0]) == 4096, "%s", err.message);
    csv_free(&csv);
    expect_error(bytes, 2 + 4097, ":2: a field of 4097 bytes; 4096 are the most");
}

static void test_encodings(void)
{
    struct csv csv;
    struct error err = {0};
    ROWS("\xEF\xBB\xBF" "a,b", "1[a][b]");
    ROWS("M\xC3\xBC,\xE2\x82\xAC", "1[M\xC3\xBC][\xE2\x82\xAC]");
    EXPECT(READ(&csv, "M\xC3\xBC", &err) == 0 && !csv.latin1, "%s", err.message);
    csv_free(&csv);
    EXPECT(READ(&csv, "M\xFC,\xA1", &err) == 0 && csv.latin1, "%s", err.message);
    EXPECT(!strcmp(csv.rows[0].fields[0], "M\xC3\xBC") && !strcmp(csv.rows[0].fields[1], "\xC2\xA1"), " ");
    csv_free(&csv);
    EXPECT(READ(&csv, "\xC3", &err) == 0 && csv.latin1, "a cut character is Latin-1");
    csv_free(&csv);
}

static void test_errors(void)
{
    ERROR("a,b\nc,\"d\ne\nf", ":2: the quote that opens here is never closed");
    ERROR("a\n\"b\"c\n", ":2: text follows a closing quote");
    ERROR("a\nb\nc\0d\n", ":3: a NUL byte");
    ERROR("\"", ":1: the quote");
    struct csv csv;
    struct error err = {0};
    EXPECT(csv_read(&csv, "/nowhere/x.csv", &err) == -1, " ");
    EXPECT_TEXT(err.message, "/nowhere/x.csv");
}

int main(void)
{
    int fd = mkstemp(path);
    EXPECT(fd >= 0, "no temporary file");
    close(fd);
    test_rows();
    test_many();
    test_longest_field();
    test_encodings();
    test_errors();
    unlink(path);
    return check_verdict();
}
