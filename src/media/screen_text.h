// What is written on the screen, kept while it stands there: lines are looked for every two seconds, followed where a
// camera moves them, read when they are new or changed, and believed when two readings of two pictures are the same.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "media/line_reader.h"
#include "media/text_lines.h"

namespace heed::media {

struct ScreenTextConfig {
  LineReaderConfig reader;
  TextLineConfig lines;
  int64_t every_us = 2'000'000;  // a pass costs up to max_lines * 25 ms
  size_t max_lines = 4;          // read in one pass; the likeliest, the rest waits
};

struct ScreenText {
  std::string text;      // believed lines from top to bottom, separated by '\n'
  float confidence = 0;  // mean of the believed lines; of no meaning without one
  std::optional<double> price_cny;
  std::optional<int64_t> stock;
};

// Not thread-safe.
class ScreenReader {
 public:
  static Result<std::unique_ptr<ScreenReader>> Open(const ScreenTextConfig& config);

  // True when this picture was looked at: none was for `every_us`. luma: 8 bits, as large as it can be had.
  bool Update(const cv::Mat& luma, int64_t pts_us);
  void Reset();

  const ScreenText& now() const { return now_; }
  std::optional<int64_t> looked_us() const { return looked_us_; }  // the last pass
  uint64_t lines_read() const { return lines_read_; }

 private:
  struct Line {
    cv::Rect box;
    cv::Mat picture;  // of the box, when it was read
    std::string text;
    float confidence = 0;
    int reads = 0, same = 0;  // `same`: readings alike, one after the other

    bool Has(const cv::Rect& proposal) const;
  };

  explicit ScreenReader(const ScreenTextConfig& config) : config_(config) {}
  static std::optional<cv::Rect> Follow(const Line& line, const cv::Mat& luma);
  void Read(const cv::Mat& luma, Line* line);
  ScreenText Believed() const;

  const ScreenTextConfig config_;
  std::unique_ptr<LineReader> reader_;
  cv::Size size_;  // of the pictures that lines_ are pixels of
  std::vector<Line> lines_;
  std::optional<int64_t> looked_us_;
  ScreenText now_;
  uint64_t lines_read_ = 0;
};

}  // namespace heed::media
