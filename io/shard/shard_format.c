/* shard_format.c - file names and the checksum of the metadata. */
#include "io/shard/shard_format.h"

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/memory.h"

char *shard_file_name(const char *dataset, enum split split, int index, int count)
{
    return mem_format("%s-%s-%05d-of-%05d.h5", dataset, split_names[split], index, count);
}

bool shard_name_parse(const char *name, int *dataset_length, enum split *split, int *index, int *count)
{
    for (int s = 0; s < SPLIT_COUNT; s++) {
        char middle[16];
        snprintf(middle, sizeof middle, "-%s-", split_names[s]);
        size_t length = strlen(name), tail = strlen(middle) + strlen("00000-of-00001.h5");
        if (length <= tail) continue;
        const char *p = name + length - tail;
        int end = 0;
        if (strncmp(p, middle, strlen(middle))) continue;
        if (sscanf(p + strlen(middle), "%5d-of-%5d.h5%n", index, count, &end) != 2) continue;
        if ((size_t)end != tail - strlen(middle) || *index < 0 || *index >= *count) continue;
        *split = (enum split)s;
        *dataset_length = (int)(p - name);
        return true;
    }
    return false;
}

size_t shard_item_bytes(const struct shard_item *item)
{
    return (size_t)item->height * (size_t)item->width * (size_t)item->channels;
}

static uint32_t add_text(uint32_t crc, const char *text)
{
    return crc32c(crc, text, strlen(text) + 1);
}

static uint32_t add_int(uint32_t crc, int64_t value)
{
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)((uint64_t)value >> (8 * i));
    return crc32c(crc, bytes, sizeof bytes);
}

static uint32_t add_item(uint32_t crc, const struct shard_item *item)
{
    crc = add_text(crc, item->file);
    crc = add_text(crc, item->patient);
    crc = add_text(crc, item->figure);
    crc = add_int(crc, item->covid);
    for (int l = 0; l < LESION_COUNT; l++) crc = add_int(crc, item->lesion[l]);
    crc = add_int(crc, item->height);
    crc = add_int(crc, item->width);
    crc = add_int(crc, item->channels);
    crc = crc32c(crc, item->source_sha256, sizeof item->source_sha256);
    return add_int(crc, item->crc32c);
}

uint32_t shard_metadata_crc(const struct shard_info *info, const struct shard_item *items)
{
    const char *texts[] = {info->dataset, info->set_id, split_names[info->split], info->settings, info->tool};
    int64_t numbers[] = {SHARD_FORMAT_VERSION, info->index, info->count, info->images, info->size, info->channels,
                         info->synthetic, info->by_figure};
    uint32_t crc = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) crc = add_text(crc, texts[i]);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) crc = add_int(crc, numbers[i]);
    for (int l = 0; l < LESION_COUNT; l++) crc = add_text(crc, lesion_names[l]);
    for (int64_t i = 0; i < info->images; i++) crc = add_item(crc, &items[i]);
    return crc;
}
