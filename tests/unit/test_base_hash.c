/* SHA-256 against FIPS 180-4's example vectors, CRC-32C against RFC 3720's; both fed in pieces and from files. */
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/random.h"
#include "tests/unit/check.h"

#include <stdlib.h>
#include <unistd.h>

static void expect_sha(const char *data, size_t bytes, const char *want)
{
    uint8_t digest[32];
    char hex[65];
    sha256_of(digest, data, bytes);
    hash_hex(hex, digest);
    EXPECT(!strcmp(hex, want), "got %s, want %s", hex, want);
}

static void sha_vectors(void)
{
    expect_sha("", 0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    expect_sha("abc", 3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    expect_sha("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq", 56,
               "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *million = mem_alloc(1000000);
    memset(million, 'a', 1000000);
    expect_sha(million, 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    mem_free(million);
}

/* Every length around a block's end, cut at every place, gives the hash of the whole. */
static void sha_pieces(void)
{
    uint8_t data[200], whole[32], pieces[32];
    int wrong = 0;
    for (int i = 0; i < 200; i++) data[i] = (uint8_t)(i * 7);
    for (size_t length = 0; length <= 200; length++)
        for (size_t cut = 0; cut <= length; cut++) {
            struct sha256 s;
            sha256_plain(whole, data, length);
            sha256_start(&s);
            sha256_add(&s, data, cut);
            sha256_add(&s, data + cut, length - cut);
            sha256_end(&s, pieces);
            wrong += memcmp(whole, pieces, 32) != 0;
        }
    EXPECT(wrong == 0, "%d of the cuts differ", wrong);
}

static void sha_of_file(void)
{
    char path[] = "/tmp/ladnn-hash-XXXXXX";
    int fd = mkstemp(path);
    EXPECT(fd >= 0 && write(fd, "abc", 3) == 3, "cannot make %s", path);
    close(fd);
    struct error err = {0};
    uint8_t digest[32], want[32];
    sha256_of(want, "abc", 3);
    EXPECT(sha256_file(digest, path, &err) == 0 && !memcmp(digest, want, 32), "%s", err.message);
    unlink(path);
    EXPECT(sha256_file(digest, path, &err) == -1, "a missing file has a hash");
    EXPECT_TEXT(err.message, path);
}

static void crc(void)
{
    uint8_t zeros[32] = {0}, data[300];
    EXPECT(crc32c(0, "123456789", 9) == 0xe3069283, "%08x", crc32c(0, "123456789", 9));
    EXPECT(crc32c(0, zeros, 32) == 0x8a9136aa, "%08x", crc32c(0, zeros, 32)); /* RFC 3720 B.4 */
    EXPECT(crc32c(crc32c(0, "1234", 4), "56789", 5) == 0xe3069283, "continued");
    EXPECT(crc32c(0, "", 0) == 0, "empty");
    struct random r = random_stream(1, RANDOM_TEST, 0, 0);
    for (int i = 0; i < 300; i++) data[i] = (uint8_t)random_u32(&r);
    int wrong = 0;
    for (size_t start = 0; start < 9; start++) /* every alignment and tail length */
        for (size_t length = 0; length + start <= 300; length++)
            wrong += crc32c(7, data + start, length) != crc32c_table(7, data + start, length);
    uint8_t *rows = mem_alloc(60000); /* long enough for several streams at once */
    for (int i = 0; i < 60000; i++) rows[i] = (uint8_t)random_u32(&r);
    for (size_t length = 12286; length <= 60000 - 40; length += 1193)
        wrong += crc32c(7, rows + length % 37, length) != crc32c_table(7, rows + length % 37, length);
    mem_free(rows);
    EXPECT(wrong == 0, "hardware and table differ %d times", wrong);
}

int main(void)
{
    sha_vectors();
    sha_pieces();
    sha_of_file();
    crc();
    return check_verdict();
}
