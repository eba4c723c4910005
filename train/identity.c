/* identity.c - see identity.h. */
#include "train/identity.h"

#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/hash.h"
#include "base/json_read.h"
#include "base/memory.h"
#include "io/shard/shard.h"
#include "train/trainer.h"

/* ---- sums of data and of initial weights: a plan names a handful of them ten thousand times ---- */
struct known_sum {
    char *path, hex[65];
    struct known_sum *next;
};
static struct known_sum *known;

static bool recall(const char *path, char hex[65])
{
    for (const struct known_sum *k = known; k; k = k->next)
        if (!strcmp(k->path, path)) {
            memcpy(hex, k->hex, sizeof k->hex);
            return true;
        }
    return false;
}

static void remember(const char *path, const char hex[65])
{
    struct known_sum *one = NEW(struct known_sum);
    one->path = mem_string(path);
    memcpy(one->hex, hex, sizeof one->hex);
    one->next = known;
    known = one;
}

int run_data_hash(const char *folder, char hex[65], struct error *err)
{
    uint8_t digest[32];
    if (recall(folder, hex)) return 0;
    struct dataset *d = dataset_open(folder, err);
    if (!d) return -1;
    dataset_hash(d, digest);
    dataset_close(d);
    hash_hex(hex, digest);
    remember(folder, hex);
    return 0;
}

/* ---- the text ---- */

/* A run that starts from given weights is another run. */
static int add_initial_weights(const struct settings *s, struct text *out, struct error *err)
{
    const char *path = settings_string(s, "train.init");
    char hex[65];
    if (!*path) return 0;
    if (!recall(path, hex)) {
        if (weights_init_hash(path, hex, err)) return -1;
        remember(path, hex);
    }
    text_add(out, "train.init sha256 = %s\n", hex);
    return 0;
}

int run_identity_of(const struct settings *s, const char *data_sha256, struct text *out, struct error *err)
{
    train_config_identity(s, out);
    if (add_initial_weights(s, out, err)) return -1;
    text_add(out, "data sha256 = %s\n", data_sha256);
    return 0;
}

int run_identity(const struct settings *s, struct text *out, struct error *err)
{
    char hex[65];
    if (run_data_hash(settings_string(s, "train.data"), hex, err)) return -1;
    return run_identity_of(s, hex, out, err);
}

/* ---- what a folder holds ---- */
static int refuse_other(struct error *err, const char *folder, const char *kept, const char *now)
{
    bool trains = strcmp(now, "ladnn eval\n") != 0;
    text_first_difference(&kept, &now);
    error_set(err, "%s: holds another run: '%.*s' there, '%.*s' asked now", folder, (int)strcspn(kept, "\n"), kept,
              (int)strcspn(now, "\n"), now);
    return error_hint(err, "choose another --out%s", trains ? ", or --overwrite to begin anew" : "");
}

int run_identity_compare(const char *folder, const char *identity, bool *there, struct error *err)
{
    char *name = path_join(folder, "identity.txt");
    uint8_t *kept = NULL;
    size_t bytes;
    *there = path_exists(name);
    int rc = *there ? file_read(&kept, &bytes, name, err) : 0;
    if (!rc && *there && strcmp((char *)kept, identity)) rc = refuse_other(err, folder, (char *)kept, identity);
    mem_free(kept);
    mem_free(name);
    return rc;
}

int run_finished(const char *folder, int epochs, bool *finished, struct error *err)
{
    char *name = path_join(folder, "metrics.json");
    uint8_t *text = NULL;
    size_t bytes;
    bool there = path_exists(name);
    int rc = there ? file_read(&text, &bytes, name, err) : 0;
    struct json_value *metrics = text ? json_read((char *)text, bytes, NULL) : NULL;
    int done = (int)json_member_number(metrics, "epochs", -1);
    if (!rc && there && done < 0) rc = error_set(err, "%s: not the result of a run", name);
    if (!rc && there && done != epochs) {
        rc = error_set(err, "%s: finished with %d epochs, train.epochs is %d", folder, done, epochs);
        error_hint(err, "choose another --out, or --overwrite to begin anew");
    }
    *finished = there && !rc;
    json_free(metrics);
    mem_free(text);
    mem_free(name);
    return rc;
}
