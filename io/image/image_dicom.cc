// image_dicom.cc - see image_dicom.h.
//
// DESIGN: the file is parsed from memory; DicomImage does what the standard says of a grey picture (bits stored, sign, MONOCHROME1,
// rescale slope and intercept, window). JPEG and RLE compressed files are decompressed by DCMTK's codecs, registered once.
#include "io/image/image_dicom.h"

#include <dcmtk/config/osconfig.h>
#include <dcmtk/dcmdata/dcfilefo.h>
#include <dcmtk/dcmdata/dcistrmb.h>
#include <dcmtk/dcmdata/dcrledrg.h>
#include <dcmtk/dcmdata/dctk.h>
#include <dcmtk/dcmimgle/dcmimage.h>
#include <dcmtk/dcmjpeg/djdecode.h>
#include <dcmtk/oflog/oflog.h>

#include <mutex>

static void start_codecs()
{
    OFLog::configure(OFLogger::OFF_LOG_LEVEL); // errors come back as values
    DJDecoderRegistration::registerCodecs();
    DcmRLEDecoderRegistration::registerCodecs();
}

static const char *decode(const uint8_t *data, size_t bytes, double centre, double width, int64_t pixels_max, void *(*allocate)(size_t),
                          uint8_t **pixels, int *height_out, int *width_out)
{
    DcmInputBufferStream stream;
    stream.setBuffer(data, (offile_off_t)bytes);
    stream.setEos();
    DcmFileFormat file;
    file.transferInit();
    OFCondition read = file.read(stream);
    file.transferEnd();
    if (read.bad()) return "damaged";
    DcmDataset *set = file.getDataset();
    Uint16 rows = 0, columns = 0, samples = 1;
    Sint32 frames = 1;
    set->findAndGetUint16(DCM_Rows, rows);
    set->findAndGetUint16(DCM_Columns, columns);
    set->findAndGetUint16(DCM_SamplesPerPixel, samples);
    set->findAndGetSint32(DCM_NumberOfFrames, frames);
    Float64 slope = 1;
    if (set->findAndGetFloat64(DCM_RescaleSlope, slope).good() && slope == 0) return "whose rescale slope is 0: all its values would be one";
    if (!rows || !columns) return "without a picture";
    if ((int64_t)rows * columns > pixels_max) return "with too many pixels";
    if (samples != 1) return "in colour; a grey slice is needed";
    if (frames > 1) return "of several frames; a file must hold one slice";
    if (set->chooseRepresentation(EXS_LittleEndianExplicit, nullptr).bad()) return "in a compression that DCMTK cannot undo (JPEG 2000?)";
    DcmElement *stored = nullptr;
    Uint16 allocated = 16;
    set->findAndGetUint16(DCM_BitsAllocated, allocated);
    if (set->findAndGetElement(DCM_PixelData, stored).bad() || !stored) return "without a picture";
    if ((int64_t)stored->getLength(EXS_LittleEndianExplicit) < (int64_t)rows * columns * allocated / 8) return "damaged: fewer pixels than it says";
    DicomImage image(set, EXS_LittleEndianExplicit);
    if (image.getStatus() != EIS_Normal) return "damaged, or without a picture that can be shown";
    if (!image.isMonochrome()) return "in colour; a grey slice is needed";
    if (image.getHeight() != rows || image.getWidth() != columns) return "damaged: its sizes disagree";
    if (width <= 0 && image.getWindowCount() == 0) return "without a window of its own (--window lung sets one)";
    if (!(width > 0 ? image.setWindow(centre, width) : image.setWindow(0ul))) return "whose window cannot be used";
    size_t count = (size_t)rows * columns;
    if (image.getOutputDataSize(8) < count) return "damaged: fewer pixels than it says";
    *pixels = static_cast<uint8_t *>(allocate(count));
    if (!image.getOutputData(*pixels, count, 8)) return "damaged: its pixels cannot be shown";
    *height_out = rows;
    *width_out = columns;
    return nullptr;
}

const char *dicom_decode(const uint8_t *data, size_t bytes, double centre, double width, int64_t pixels_max, void *(*allocate)(size_t),
                         uint8_t **pixels, int *height_out, int *width_out)
{
    static std::once_flag started;
    try {
        std::call_once(started, start_codecs);
        return decode(data, bytes, centre, width, pixels_max, allocate, pixels, height_out, width_out);
    } catch (...) {
        return "damaged, or too large for the memory";
    }
}

bool dicom_patient(const char *path, char *patient, size_t bytes)
{
    static std::once_flag started;
    try {
        std::call_once(started, start_codecs);
        DcmFileFormat file;
        OFString id;
        patient[0] = 0;
        if (file.loadFileUntilTag(path, EXS_Unknown, EGL_noChange, DCM_MaxReadLength, ERM_fileOnly, DCM_PatientBirthDate).bad()) return false;
        if (file.getDataset()->findAndGetOFString(DCM_PatientID, id).bad()) return true;
        while (!id.empty() && id[id.length() - 1] == ' ') id.erase(id.length() - 1); // padded to an even length
        OFStandard::strlcpy(patient, id.c_str(), bytes);
        return true;
    } catch (...) {
        return false;
    }
}
