/* Settings: which source wins, what is refused and how it is told, and the copy that reads back the same. */
#include "base/file.h"
#include "base/memory.h"
#include "base/settings.h"
#include "tests/unit/check.h"

#include <stdlib.h>

static const struct command train = {
    .name = "train", .groups = "train model optim", .summary = "train", .usage = "--data DIR"};
static const struct command inspect = {
    .name = "inspect", .groups = "inspect", .summary = "look", .usage = "PATH", .positional = "inspect.path"};

static char folder[] = "/tmp/ladnn-settings-XXXXXX";
static struct error err;

/* Writes FOLDER/NAME. The caller frees the path. */
static char *config_file(const char *name, const char *content)
{
    char *path = path_join(folder, name);
    EXPECT(file_write_atomic(path, content, strlen(content), &err) == 0, "%s", err.message);
    return path;
}

/* Reads blank-separated words as a command line. */
static int read_line(struct settings *s, const char *line)
{
    char *copy = mem_string(line), *words[32] = {(char *)"x"}, *state = NULL;
    int count = 1;
    bool help;
    for (char *w = strtok_r(copy, " ", &state); w; w = strtok_r(NULL, " ", &state)) words[count++] = w;
    err = (struct error){0};
    int status = settings_read_arguments(s, count, words, &help, &err);
    mem_free(copy);
    return status;
}

static void precedence(void)
{
    char *one = config_file("one.cfg", "train = {\n  batch = 64;\n  epochs = 3;\n};\noptim: { lr = 1; };\n");
    char *two = config_file("two.cfg", "train = { epochs = 4 };");
    char *line = mem_format("--epochs 9 --config %s --config=%s --deterministic --resume=false --set train.seed=7", one, two);
    struct settings *s = settings_open(&train);
    EXPECT(settings_int(s, "train.batch") == 32 && !strcmp(settings_origin(s, "train.batch"), "default"), "default");
    EXPECT(read_line(s, line) == 0, "%s", err.message);
    EXPECT(settings_int(s, "train.batch") == 64, "the file beats the default");
    EXPECT_TEXT(settings_origin(s, "train.batch"), "one.cfg:2");
    EXPECT(settings_int(s, "train.epochs") == 9, "the command line beats files, also before --config");
    EXPECT(!strcmp(settings_origin(s, "train.epochs"), "--epochs"), "%s", settings_origin(s, "train.epochs"));
    EXPECT(settings_float(s, "optim.lr") == 1.0, "a whole number is a float");
    EXPECT(settings_bool(s, "train.deterministic") && !settings_bool(s, "train.resume"), "bools");
    EXPECT(settings_int(s, "train.seed") == 7, "--set");
    EXPECT(read_line(s, "--resume --checkpoint-keep 5 --out --resume --epochs 1") == -1, "--out took an option as its value");
    EXPECT(read_line(s, "--resume --out=--odd --checkpoint-keep 5 --epochs 1 --epochs 2") == 0, "%s", err.message);
    EXPECT(!strcmp(settings_string(s, "train.out"), "--odd") && settings_int(s, "train.epochs") == 2, "later words win");
    settings_close(s);
    mem_free(line);
    mem_free(one);
    mem_free(two);
}

static void refused_on_the_line(void)
{
    static const struct {
        const char *line, *message, *hint;
    } bad[] = {
        {"--bach 3", "unknown option '--bach' of command 'train'", "'--batch'"},
        {"--checkpoint-evry-s 3", "unknown option", "'--checkpoint-every-s'"},
        {"--lr 3", "unknown option '--lr'", "--set optim.lr="},
        {"--zzzzzz 3", "unknown option '--zzzzzz'", "--help"},
        {"--batch", "option '--batch' needs a value", ""},
        {"--batch 0", "--batch: train.batch = 0 is out of range: 1 to 65536", ""},
        {"--batch 65537", "out of range", ""},
        {"--batch -4", "out of range", ""},
        {"--batch 3x", "'3x' is not a whole number", ""},
        {"--batch 2.5", "is not a whole number", ""},
        {"--batch=", "is not a whole number", ""},
        {"--max-steps 99999999999999999999", "does not fit 64 bits", ""},
        {"--covid-weight nan", "not a finite number", ""},
        {"--covid-weight inf", "not a finite number", ""},
        {"--covid-weight -1", "out of range", ""},
        {"--resume=maybe", "neither true nor false", ""},
        {"--loss bcee", "is not one of bce|softmax", "'bce'"},
        {"--set optim.lrr=3", "--set: unknown key 'optim.lrr'", "'optim.lr'"},
        {"--set model.lr=3", "unknown key 'model.lr'", "'optim.lr'"},
        {"--set pack.size=3", "command 'train' does not take 'pack.size'", ""},
        {"--set batch", "expected KEY=VALUE", ""},
        {"word", "unexpected word 'word'", "usage"},
        {"-b 3", "unknown option '-b'", "--name VALUE"},
        {"--config /tmp/ladnn-no-such-file", "cannot open", ""},
        {"--config /tmp", "Is a directory", ""},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct settings *s = settings_open(&train);
        EXPECT(read_line(s, bad[i].line) == -1, "'%s' was accepted", bad[i].line);
        EXPECT_TEXT(err.message, bad[i].message);
        EXPECT_TEXT(err.hint, bad[i].hint);
        settings_close(s);
    }
}

static void refused_in_a_file(void)
{
    static const struct {
        const char *content, *message, *hint;
    } bad[] = {
        {"\ntrain = {\n  bach = 3;\n};", "bad.cfg:3: unknown key 'train.bach'", "train.batch"},
        {"trian = {};", "bad.cfg:1: unknown group 'trian'", "'train'"},
        {"zzzzzz = {};", "bad.cfg:1: unknown group", "train model optim"},
        {"pack = { size = 1; };", "bad.cfg:1: command 'train' does not take the group 'pack'", ""},
        {"\ntrain = 3;", "bad.cfg:2: 'train' must be a group", ""},
        {"train = {\n batch = 2.5; };", "bad.cfg:2: train.batch must be a whole number", ""},
        {"train = { batch = \"2\"; };", "must be a whole number", ""},
        {"train = { batch = [1, 2]; };", "must be a whole number", ""},
        {"train = { data = 3; };", "must be a \"string\"", "in quotes: data = \"3\";"},
        {"train = { data = 0.4; };", "must be a \"string\"", "in quotes: data = \"0.4\";"},
        {"train = { data = [0.4]; };", "must be a \"string\"", ""},
        {"train = { resume = 1; };", "train.resume must be true or false", ""},
        {"train = { batch = 0; };", "bad.cfg:1: train.batch = 0 is out of range", ""},
        {"train = { batch = 5000000000; };", "train.batch = 5000000000 is out of range", ""},
        {"train = { batch = -5000000000; };", "train.batch = -5000000000 is out of range", ""},
        {"train = { seed = 99999999999999999999; };", "bad.cfg:1: 99999999999999999999 does not fit 64 bits", ""},
        {"train = { batch = 2;\n batch = 3; };", "bad.cfg:2: duplicate", ""},
        {"train = {\n\n batch = ; };", "bad.cfg:3: syntax error", ""},
        {"train = {};\ntrain = { data = \"abc", "bad.cfg:2: this string has no end", ""},
        {"train = { data = \"\\\"", "bad.cfg:1: this string has no end", ""},
        {"train = {};\n/* abc", "bad.cfg:2: this comment has no end", ""},
        {"\n@include \"x.cfg\"", "bad.cfg:2: @include is not supported", "--config several times"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char *path = config_file("bad.cfg", bad[i].content);
        struct settings *s = settings_open(&train);
        err = (struct error){0};
        EXPECT(settings_read_file(s, path, &err) == -1, "accepted: %s", bad[i].content);
        EXPECT_TEXT(err.message, bad[i].message);
        EXPECT_TEXT(err.hint, bad[i].hint);
        settings_close(s);
        mem_free(path);
    }
}

static void round_trip(void)
{
    char *given = config_file("given.cfg", "/* 5000000000 \" */ # and 5000000000 @include\n"
                                           "train = { seed = 5000000000; batch = 0x40; data = \"a \\\" 5000000000 // \" \"b\"; }; # end");
    struct settings *s = settings_open(&train), *again = settings_open(&train);
    struct text first = {0}, second = {0};
    EXPECT(settings_read_file(s, given, &err) == 0, "%s", err.message);
    EXPECT(settings_int(s, "train.seed") == 5000000000, "%lld", (long long)settings_int(s, "train.seed"));
    EXPECT(settings_int(s, "train.batch") == 64, "hexadecimal");
    EXPECT(!strcmp(settings_string(s, "train.data"), "a \" 5000000000 // b"), "%s", settings_string(s, "train.data"));
    EXPECT(settings_set(s, "train.out", "odd \"name\"\\ \t\n\x01 \xc3\xa4", "line\nbreak", &err) == 0, "%s", err.message);
    EXPECT(settings_set(s, "optim.lr", "0.1", "x", &err) == 0, "%s", err.message);
    EXPECT(settings_set(s, "optim.eps", "3.0000000000000004e-7", "x", &err) == 0, "%s", err.message);
    settings_write(s, &first);

    char *copy = config_file("copy.cfg", first.data);
    EXPECT(settings_read_file(again, copy, &err) == 0, "%s", err.message);
    for (const struct setting_row *row = settings_table; row->key; row++) {
        if (strncmp(row->key, "train.", 6) && strncmp(row->key, "model.", 6) && strncmp(row->key, "optim.", 6)) continue;
        if (row->type == SETTING_INT) EXPECT(settings_int(s, row->key) == settings_int(again, row->key), "%s", row->key);
        if (row->type == SETTING_FLOAT) EXPECT(settings_float(s, row->key) == settings_float(again, row->key), "%s", row->key);
        if (row->type == SETTING_BOOL) EXPECT(settings_bool(s, row->key) == settings_bool(again, row->key), "%s", row->key);
        if (row->type == SETTING_STRING || row->type == SETTING_CHOICE)
            EXPECT(!strcmp(settings_string(s, row->key), settings_string(again, row->key)), "%s", row->key);
        EXPECT_TEXT(settings_origin(again, row->key), "copy.cfg:");
    }
    settings_write(again, &second);
    EXPECT(first.length > 500 && second.length > 500, "nothing written");
    text_free(&first);
    text_free(&second);
    settings_close(s);
    settings_close(again);
    mem_free(given);
    mem_free(copy);
}

static void positional(void)
{
    struct settings *s = settings_open(&inspect);
    EXPECT(read_line(s, "--verify d0-test.h5 --json") == 0, "%s", err.message);
    EXPECT(!strcmp(settings_string(s, "inspect.path"), "d0-test.h5"), "%s", settings_string(s, "inspect.path"));
    EXPECT(settings_bool(s, "inspect.verify") && settings_bool(s, "inspect.json"), "bool options without a value");
    EXPECT(read_line(s, "one two") == -1, "two words were accepted");
    EXPECT_TEXT(err.message, "unexpected word 'two'");
    settings_close(s);
    settings_close(NULL);
}

/* Rows that others add must keep to the rules: key form, a default that passes its own bounds, help. */
static void table_is_sound(void)
{
    settings_close(settings_open(&train)); /* stops at a default that is out of its bounds */
    for (const struct setting_row *row = settings_table; row->key; row++) {
        const char *dot = strchr(row->key, '.');
        EXPECT(dot && dot > row->key && dot[1] && !strchr(row->key, '-'), "key '%s'", row->key);
        EXPECT(row->help && *row->help && !strchr(row->help, '\n'), "help of %s", row->key);
        EXPECT((row->type == SETTING_CHOICE) == (row->choices != NULL), "choices of %s", row->key);
        EXPECT(row->min <= row->max, "bounds of %s", row->key);
        for (const struct setting_row *other = row + 1; other->key; other++)
            EXPECT(strcmp(row->key, other->key) != 0, "%s stands twice", row->key);
    }
}

static void help_page(void)
{
    struct text page = {0};
    settings_help(&train, &page);
    EXPECT_TEXT(page.data, "usage: ladnn train --data DIR");
    EXPECT_TEXT(page.data, "--checkpoint-every-s FLOAT");
    EXPECT_TEXT(page.data, "optim.lr=FLOAT");
    EXPECT_TEXT(page.data, "default 32, 1 to 65536");
    EXPECT(!strstr(page.data, "pack.size"), "another command's key is listed");
    text_free(&page);
}

int main(void)
{
    if (!mkdtemp(folder)) return 1;
    table_is_sound();
    precedence();
    refused_on_the_line();
    refused_in_a_file();
    round_trip();
    positional();
    help_page();
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
