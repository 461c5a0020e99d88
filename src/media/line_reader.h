// Reads one line of text in a picture: tesseract 5 with Chinese and Latin letters, 25 ms a line.
#pragma once

#include <memory>
#include <opencv2/core.hpp>
#include <string>

#include "base/status.h"

namespace heed::media {

struct LineReaderConfig {
  std::string data = "/usr/share/tesseract-ocr/5/tessdata";
  std::string language = "chi_sim+eng";  // eng knows the sign ¥, which chi_sim does not
  float min_confidence = 60;             // of a word; the rest is not text
};

struct LineReading {
  std::string text;      // UTF-8; only words at or above the gate; empty: nothing read
  float confidence = 0;  // mean of those words, 0 to 100
};

// Not thread-safe. Single-threaded inside; the same pixels give the same text. 60 MB.
class LineReader {
 public:
  // kNotFound when the language's data is not there, kCorruption when it is damaged; both name the path.
  static Result<std::unique_ptr<LineReader>> Open(const LineReaderConfig& config);
  ~LineReader();

  // line: 8 bits of luma, one line of text with a little around it; dark on light or light on dark.
  LineReading Read(const cv::Mat& line);

 private:
  struct Impl;
  explicit LineReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace heed::media
