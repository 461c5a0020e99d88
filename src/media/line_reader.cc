#include "media/line_reader.h"

#include <tesseract/baseapi.h>
#include <tesseract/resultiterator.h>

#include <algorithm>
#include <filesystem>
#include <opencv2/imgproc.hpp>

#include "media/frame_view.h"

// Of libgomp, which tesseract runs its network on: <omp.h> comes with a compiler's own OpenMP only.
// NOLINTBEGIN(readability-identifier-naming)
extern "C" int omp_get_max_active_levels(void);
extern "C" void omp_set_max_active_levels(int);
// NOLINTEND(readability-identifier-naming)

namespace heed::media {
namespace {

constexpr int kLineHeight =
    48;  // pixels, margins included: the network was trained on about 36 of letters
constexpr int kMargin = 8;
constexpr int kMaxWidth = 2400;

// Tesseract asks for four threads whatever the machine; without active levels they are this one.
class OneThread {
 public:
  OneThread() : levels_(omp_get_max_active_levels()) { omp_set_max_active_levels(0); }
  ~OneThread() { omp_set_max_active_levels(levels_); }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  int levels_;
};

// What of `letters` touches the border is the edge of the tag or what lies behind it: the crop has a margin.
void DropAtBorder(cv::Mat* letters) {
  for (int x = 0; x < letters->cols; ++x)
    for (const int y : {0, letters->rows - 1})
      if (letters->at<uint8_t>(y, x) != 0) cv::floodFill(*letters, {x, y}, 0);
  for (int y = 0; y < letters->rows; ++y)
    for (const int x : {0, letters->cols - 1})
      if (letters->at<uint8_t>(y, x) != 0) cv::floodFill(*letters, {x, y}, 0);
}

// Dark letters on light, of the height that the network knows, with an even margin.
cv::Mat Prepared(const cv::Mat& line) {
  const double scale = static_cast<double>(kLineHeight - 2 * kMargin) / line.rows;
  const int width = std::clamp(cvRound(line.cols * scale), 1, kMaxWidth);
  cv::Mat even, out;
  cv::resize(line, even, {width, kLineHeight - 2 * kMargin}, 0, 0,
             scale < 1 ? cv::INTER_AREA : cv::INTER_CUBIC);
  cv::Mat letters;
  cv::threshold(even, letters, 0, 255, cv::THRESH_BINARY | cv::THRESH_OTSU);
  if (cv::countNonZero(letters) * 2 > even.rows * even.cols) {
    cv::bitwise_not(letters, letters);  // letters are the smaller part
  } else {
    cv::bitwise_not(even, even);
  }
  const cv::Mat ground = ~letters;
  const double high = cv::mean(even, ground)[0], low = cv::mean(even, letters)[0];
  // Full contrast: the means of letters and ground become 0 and 255.
  if (high - low > 1) even.convertTo(even, CV_8U, 255 / (high - low), -low * 255 / (high - low));
  cv::Mat kept = letters.clone();
  DropAtBorder(&kept);
  cv::Mat gone = letters & ~kept;
  cv::dilate(gone, gone, cv::Mat::ones(3, 3, CV_8U));
  even.setTo(255, gone & ~kept);
  cv::copyMakeBorder(even, out, kMargin, kMargin, kMargin, kMargin, cv::BORDER_CONSTANT, 255);
  return out;
}

}  // namespace

struct LineReader::Impl {
  tesseract::TessBaseAPI api;
  float min_confidence = 0;
};

LineReader::LineReader(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LineReader::~LineReader() { impl_->api.End(); }

Result<std::unique_ptr<LineReader>> LineReader::Open(const LineReaderConfig& config) {
  for (size_t begin = 0; begin <= config.language.size();) {
    const size_t end = std::min(config.language.find('+', begin), config.language.size());
    const std::string path =
        config.data + "/" + config.language.substr(begin, end - begin) + ".traineddata";
    std::error_code ignored;
    if (!std::filesystem::exists(path, ignored)) return NotFound(path + ": no such file");
    begin = end + 1;
  }
  UseOneThread();
  auto impl = std::make_unique<Impl>();
  impl->min_confidence = config.min_confidence;
  if (impl->api.Init(config.data.c_str(), config.language.c_str(), tesseract::OEM_LSTM_ONLY) != 0)
    return Corruption(config.data + ": tesseract cannot read the language " + config.language);
  impl->api.SetPageSegMode(tesseract::PSM_SINGLE_LINE);
  impl->api.SetVariable("debug_file", "/dev/null");
  // Adapting to what was read would make readings depend on each other.
  impl->api.SetVariable("classify_enable_learning", "0");
  // What it reads badly it would read once more as light on dark; it is always given dark on light.
  impl->api.SetVariable("invert_threshold", "0");
  return std::unique_ptr<LineReader>(new LineReader(std::move(impl)));
}

LineReading LineReader::Read(const cv::Mat& line) {
  LineReading out;
  if (line.empty()) return out;
  const OneThread one;
  const cv::Mat prepared = Prepared(line);
  tesseract::TessBaseAPI& api = impl_->api;
  api.SetImage(prepared.data, prepared.cols, prepared.rows, 1, static_cast<int>(prepared.step));
  api.SetSourceResolution(150);
  if (api.Recognize(nullptr) != 0) return out;
  const std::unique_ptr<tesseract::ResultIterator> words(api.GetIterator());
  float sum = 0;
  int kept = 0;
  constexpr auto kWord = tesseract::RIL_WORD;
  if (words) do {
      const std::unique_ptr<char[]> text(words->GetUTF8Text(kWord));
      const float confidence = text ? words->Confidence(kWord) : 0;
      if (confidence < impl_->min_confidence || text[0] == '\0') continue;
      if (!out.text.empty()) out.text += ' ';
      out.text += text.get();
      sum += confidence, ++kept;
    } while (words->Next(kWord));
  if (kept > 0) out.confidence = sum / static_cast<float>(kept);
  api.Clear();
  return out;
}

}  // namespace heed::media
