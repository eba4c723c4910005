/* Manifests: both layouts, and every kind of mistake with its file and line. */
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/memory.h"
#include "io/pack/manifest.h"
#include "tests/unit/check.h"

static char folder[] = "/tmp/test-io-manifest-XXXXXX";

static void put(const char *name, const char *text)
{
    struct error err = {0};
    char *path = path_join(folder, name);
    EXPECT(file_write_atomic(path, text, strlen(text), &err) == 0, "%s", err.message);
    mem_free(path);
}

/* ---- one CSV ---- */

#define HEADER "file,patient,split,covid,GGO,Csld,CrPa,AirBr,InSepThi\n"

static int read_csv(struct manifest *m, const char *text, struct error *err)
{
    char *path = path_join(folder, "m.csv");
    put("m.csv", text);
    int status = manifest_read_csv(m, path, folder, err);
    mem_free(path);
    return status;
}

static void refuse_csv(const char *text, const char *want)
{
    struct error err = {0};
    struct manifest m;
    int status = read_csv(&m, text, &err);
    if (!status) status = manifest_check_leakage(&m, true, &err);
    EXPECT(status == -1, "was taken: %s", text);
    EXPECT_TEXT(err.message, want);
    manifest_free(&m);
}

/* The CSV of a user who names a phantom's pictures from elsewhere. */
static void test_synthetic_elsewhere(void)
{
    struct error err = {0};
    struct manifest m;
    char *classes = path_join(folder, "drawn/CT_COVID");
    EXPECT(folder_create(classes, &err) == 0, "%s", err.message);
    put("a.png", "x"), put("drawn/CT_COVID/p.png", "x");
    char *relative = mem_format("%sa.png,P1,train,1,1,,0,,1\ndrawn/CT_COVID/p.png,P2,val,0,,,,,\n", HEADER);
    char *absolute = mem_format("%s%s/p.png,P2,val,0,,,,,\n", HEADER, classes);
    EXPECT(read_csv(&m, relative, &err) == 0 && m.count == 2 && !m.synthetic, "%s", err.message);
    manifest_free(&m);
    put("drawn/SYNTHETIC", "yes");
    EXPECT(read_csv(&m, relative, &err) == 0 && m.synthetic, "%s", err.message);
    manifest_free(&m);
    EXPECT(read_csv(&m, absolute, &err) == 0 && m.synthetic, "%s", err.message);
    manifest_free(&m);
    mem_free(classes), mem_free(relative), mem_free(absolute);
}

static void test_csv(void)
{
    struct error err = {0};
    struct manifest m;
    put("a.png", "x"), put("b.png", "x"), put("c.jpg", "x"), put("other.txt", "x");
    EXPECT(read_csv(&m, HEADER "a.png,P1,train,1,1,,0,,1\nb.png,P2,val,0,,,,,\n", &err) == 0, "%s", err.message);
    EXPECT(m.count == 2 && m.matched == 2 && m.missing_files == 0 && m.unlisted_files == 1, "%d %d", m.count, m.unlisted_files);
    EXPECT(m.rows[0].covid == 1 && m.rows[0].lesion[0] == 1 && m.rows[0].lesion[1] == 0 && m.rows[0].lesion[4] == 1, " ");
    EXPECT(m.rows[0].split == SPLIT_TRAIN && m.rows[1].split == SPLIT_VAL && m.rows[1].line == 3, " ");
    EXPECT_TEXT(m.report.data, "c.jpg");
    EXPECT(!m.synthetic && manifest_check_leakage(&m, true, &err) == 0, "%s", err.message);
    manifest_free(&m);
    EXPECT(read_csv(&m, "covid,InSepThi,AirBr,CrPa,Csld,GGO,split,figure,patient,file\n1,1,0,0,0,0,test,f,P,a.png\n", &err) == 0, "%s", err.message);
    EXPECT(m.rows[0].lesion[4] == 1 && !strcmp(m.rows[0].figure, "f"), "columns in any order");
    manifest_free(&m);
    EXPECT(read_csv(&m, HEADER "gone.png,P1,train,1,1,,0,,1\nb.png,P2,val,0,,,,,\n", &err) == 0, "%s", err.message);
    EXPECT(m.count == 1 && m.missing_files == 1, "a missing file is listed");
    EXPECT_TEXT(m.report.data, "gone.png (line 2)");
    manifest_free(&m);
}

static void test_csv_mistakes(void)
{
    refuse_csv("", "an empty file");
    refuse_csv(HEADER, "no row names a file");
    refuse_csv("file,patient,split,covid,GGO,Csld,CrPa,AirBr\n", "m.csv:1: no column 'InSepThi'");
    refuse_csv("file,patient,split,covid,GGO,Csld,CrPa,Aibr,InSepThi\n", "m.csv:1: unknown column 'Aibr' (known: file, patient, split, covid, figure, GGO, Csld, CrPa, AirBr, InSepThi)");
    refuse_csv("file,file,split,covid,GGO,Csld,CrPa,AirBr,InSepThi\n", "m.csv:1: column 'file' stands there twice");
    refuse_csv(HEADER "a.png,P1,train,1,1,,0,,1\nb.png,P2,holdout,0,,,,,\n", "m.csv:3: unknown split 'holdout' (known: train, val, test)");
    refuse_csv(HEADER "a.png,P1,train,2,,,,,\n", "m.csv:2: covid is '2'");
    refuse_csv(HEADER "a.png,P1,train,,,,,,\n", "m.csv:2: covid is ''");
    refuse_csv(HEADER "a.png,P1,train,1,,x,,,\n", "m.csv:2: Csld is 'x'");
    refuse_csv(HEADER "a.png,P1,train,1,,,,\n", "m.csv:2: 8 fields, the header has 9");
    refuse_csv(HEADER "a.png,,train,1,,,,,\n", "m.csv:2: the patient is empty");
    refuse_csv(HEADER ",P1,train,1,,,,,\n", "m.csv:2: the file name is empty");
    refuse_csv(HEADER "a.png,P1,train,1,,,,,\n\na.png,P1,train,1,,,,,\n", "m.csv:4: the file 'a.png' was listed before, in ");
    refuse_csv(HEADER "a.png,P1,train,1,,,,,\nb.png,P1,test,1,,,,,\n", "patient 'P1' is in two splits: a.png (train, ");
    refuse_csv("figure," HEADER "f,a.png,P1,train,1,,,,,\nf,b.png,P2,test,1,,,,,\n", "figure 'f' is in two splits");
}

/* ---- covid-ct ---- */

static const char META[] = ",,C0VID19,GGO,consolidation(Csld),Crazy paving appearance(CrPa),air bronchograms(AirBr),"
                           "interlobular septal thickening(InSepThi),\r\n"
                           "1-p1-2%0.png,Patient 1,CVD19,GGO,,,,,\"['a, b\r\nc']\"\r\n"
                           "1-p1-2%1,Patient 1,CVD19,,,,AirBr,,\xA1\r\n"
                           "2-p3-4_1.jpg,Patient 2,CVD19,,,,,,\r\n";
static const char NEGATIVES[] = ",image name,patient id\r\n0,0.jpg,N0\r\n1,1%0.png,N1\r\n";
#define SPLIT "imgname,CVD19,GGO,Csld,CrPa,AirBr,InSepThi\r\n"
static const char TRAIN[] = SPLIT "1-p1-2%0.png,CVD19,GGO,,,,\r\n1-p1-2%1.png,CVD19,,,,AirBr,\r\n0.jpg,,,,,,\r\n";
static const char VAL[] = SPLIT "2-p3-4_1.jpg,CVD19,,,,,\r\n";
static const char TEST[] = SPLIT "1%0.png,,,,,,\r\n";

static void put_covid_ct(void)
{
    put("COVID-CT-MetaInfo_new.csv", META);
    put("NonCOVID-CT-MetaInfo.csv", NEGATIVES);
    put("train_meta.csv", TRAIN), put("val_meta.csv", VAL), put("test_meta.csv", TEST);
}

static void refuse_covid_ct(const char *file, const char *text, const char *want)
{
    struct error err = {0};
    struct manifest m;
    put_covid_ct();
    put(file, text);
    int status = manifest_read_covid_ct(&m, folder, &err);
    if (!status) status = manifest_check_leakage(&m, true, &err);
    EXPECT(status == -1, "%s was taken: %s", file, text);
    EXPECT_TEXT(err.message, want);
    manifest_free(&m);
}

static void test_covid_ct(void)
{
    struct error err = {0};
    struct manifest m;
    EXPECT(manifest_read_covid_ct(&m, folder, &err) == -1, " ");
    EXPECT_TEXT(err.hint, "CT_NonCOVID");
    char *positives = path_join(folder, "CT_COVID"), *negatives = path_join(folder, "CT_NonCOVID");
    EXPECT(folder_create(positives, &err) == 0 && folder_create(negatives, &err) == 0, "%s", err.message);
    mem_free(positives), mem_free(negatives);
    put("CT_COVID/1-p1-2%0.png", "x"), put("CT_COVID/1-p1-2%1.png", "x"), put("CT_COVID/2-p3-4_1.jpg", "x");
    put("CT_NonCOVID/0.jpg", "x"), put("CT_NonCOVID/1%0.png", "x"), put("CT_NonCOVID/9.png", "x");
    put_covid_ct();
    EXPECT(manifest_read_covid_ct(&m, folder, &err) == 0, "%s", err.message);
    EXPECT(m.count == 5 && m.matched == 5 && m.matched_without_extension == 1 && m.unlisted_files == 1, "%d %d", m.count, m.matched);
    if (m.count == 5) {
        EXPECT(!strcmp(m.rows[1].file, "CT_COVID/1-p1-2%1.png") && !strcmp(m.rows[1].patient, "Patient 1"), " ");
        EXPECT(m.rows[1].lesion[3] == 1 && m.rows[1].lesion[0] == 0 && m.rows[1].line == 3, " ");
        EXPECT(!strcmp(m.rows[0].figure, "1-p1-2") && !strcmp(m.rows[3].figure, "2-p3-4") && !*m.rows[2].figure, "%s", m.rows[3].figure);
        EXPECT(!strcmp(m.rows[4].patient, "N1") && m.rows[4].split == SPLIT_TEST && !m.rows[4].covid, " ");
    }
    EXPECT_TEXT(m.report.data, "Latin-1");
    EXPECT_TEXT(m.report.data, "CT_NonCOVID/9.png");
    manifest_free(&m);
    put("SYNTHETIC", "yes");
    EXPECT(manifest_read_covid_ct(&m, folder, &err) == 0 && m.synthetic, "%s", err.message);
    manifest_free(&m);
}

static void test_covid_ct_mistakes(void)
{
    refuse_covid_ct("train_meta.csv", SPLIT "1-p1-2%0.png,CVD19,GGO,,,,\r\n1-p1-2%1.png,CVD19,,,,Aibr,\r\n",
                    "train_meta.csv:3: unknown lesion 'Aibr' (known: GGO, Csld, CrPa, AirBr, InSepThi)");
    refuse_covid_ct("train_meta.csv", "imgname,CVD19,GGO,Csld,CrPa,AirBr,InSep\r\n", "train_meta.csv:1: unknown lesion 'InSep'");
    refuse_covid_ct("train_meta.csv", "imgname,CVD19,GGO,GGO,CrPa,AirBr,InSepThi\r\n", "train_meta.csv:1: the lesion 'GGO' has two columns");
    refuse_covid_ct("train_meta.csv", "name,CVD19,GGO,Csld,CrPa,AirBr,InSepThi\r\n", "train_meta.csv:1: the header must be");
    refuse_covid_ct("val_meta.csv", SPLIT "2-p3-4_1.jpg,CVD19,Csld,,,,\r\n", "val_meta.csv:2: 'Csld' in the column of 'GGO'");
    refuse_covid_ct("val_meta.csv", SPLIT "2-p3-4_1.jpg,COVID,,,,,\r\n", "val_meta.csv:2: unknown label 'COVID'");
    refuse_covid_ct("val_meta.csv", SPLIT "2-p3-4_1.jpg,CVD19,GGO,,,,\r\n", "val_meta.csv:2: '2-p3-4_1.jpg' has GGO, but");
    refuse_covid_ct("val_meta.csv", SPLIT "2-p3-4_1.jpg,,,,,,\r\n", "val_meta.csv:2: '2-p3-4_1.jpg' is labelled without CVD19 but lies in CT_COVID");
    refuse_covid_ct("val_meta.csv", SPLIT "0.jpg,,,,,,\r\n", "val_meta.csv:2: the file 'CT_NonCOVID/0.jpg' was listed before, in ");
    refuse_covid_ct("val_meta.csv", SPLIT "9.png,,,,,,\r\n", "val_meta.csv:2: '9.png' has no row, so no patient, in ");
    refuse_covid_ct("val_meta.csv", SPLIT "2-p3-4_1.jpg,CVD19,,,,\r\n", "val_meta.csv:2: 6 fields, the header has 7");
    refuse_covid_ct("NonCOVID-CT-MetaInfo.csv", ",image name,patient id\r\n0,0.jpg,\r\n", "NonCOVID-CT-MetaInfo.csv:2: '0.jpg' has no patient");
    refuse_covid_ct("NonCOVID-CT-MetaInfo.csv", ",image name,patient id\r\n0,0.jpg,A\r\n0,0.jpg,A\r\n", "MetaInfo.csv:3: '0.jpg' was listed before, in line 2");
    refuse_covid_ct("NonCOVID-CT-MetaInfo.csv", ",image name,patient id\r\n0,0.jpg,N1\r\n1,1%0.png,N1\r\n", "patient 'N1' is in two splits");
    refuse_covid_ct("val_meta.csv", "", "val_meta.csv:1: the header must be");
    put_covid_ct();
    put("CT_COVID/1-p1-2%1.jpg", "x");
    struct error err = {0};
    struct manifest m;
    EXPECT(manifest_read_covid_ct(&m, folder, &err) == -1, "two files for a name without extension");
    EXPECT_TEXT(err.message, "COVID-CT-MetaInfo_new.csv:4: '1-p1-2%1' lacks its extension and may be");
}

int main(void)
{
    struct error err = {0};
    EXPECT(mkdtemp(folder) != NULL, "no temporary folder");
    test_csv();
    test_synthetic_elsewhere();
    test_csv_mistakes();
    test_covid_ct();
    test_covid_ct_mistakes();
    EXPECT(folder_remove(folder, &err) == 0, "%s", err.message);
    return check_verdict();
}
