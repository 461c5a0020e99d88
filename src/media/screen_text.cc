#include "media/screen_text.h"

#include <algorithm>
#include <cctype>
#include <opencv2/imgproc.hpp>
#include <string_view>

#include "media/price_text.h"

namespace heed::media {
namespace {

// Of two pictures of one line, in grey levels: an encoder's noise is below, another digit above.
constexpr double kChanged = 6;
constexpr int kBelieved = 2;

cv::Mat Thumb(const cv::Mat& line) {
  cv::Mat out;
  cv::resize(line, out, {96, 16}, 0, 0, cv::INTER_AREA);
  return out;
}

bool SamePlace(const cv::Rect& a, const cv::Rect& b) {
  const int both = (a & b).area();
  return both * 2 > a.area() + b.area() - both;
}

// The greatest change anywhere in the line: the mean over it would hide one digit of ten.
double Change(const cv::Mat& a, const cv::Mat& b) {
  cv::Mat difference;
  cv::absdiff(a, b, difference);
  cv::resize(difference, difference, {12, 2}, 0, 0, cv::INTER_AREA);
  double largest = 0;
  cv::minMaxLoc(difference, nullptr, &largest);
  return largest;
}

// Whether so much text can be what fills the box: letters are at least a third as wide as high. What stripes and
// edges are read as is a letter or two in a long box.
bool Fills(std::string_view text, const cv::Rect& box) {
  int letters = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    letters += std::isalnum(byte) != 0 || byte >= 0xC0 ? 1 : 0;  // a character's first byte
  }
  return letters >= 2 && letters * 2.5 * box.height >= box.width;
}

// Sideways more: the proposal's smoothing eats thin strokes at a line's ends.
cv::Rect WithMargin(const cv::Rect& box, const cv::Size& limits) {
  const int x = box.height / 2, y = std::max(2, box.height / 6);
  return cv::Rect(box.x - x, box.y - y, box.width + 2 * x, box.height + 2 * y) &
         cv::Rect({0, 0}, limits);
}

}  // namespace

Result<std::unique_ptr<ScreenReader>> ScreenReader::Open(const ScreenTextConfig& config) {
  std::unique_ptr<ScreenReader> out(new ScreenReader(config));
  HEED_ASSIGN_OR_RETURN(out->reader_, LineReader::Open(config.reader));
  return out;
}

void ScreenReader::Reset() {
  lines_.clear();
  looked_us_.reset();
  now_ = {};
}

bool ScreenReader::Update(const cv::Mat& luma, int64_t pts_us) {
  if (looked_us_ && pts_us >= *looked_us_ && pts_us - *looked_us_ < config_.every_us) return false;
  looked_us_ = pts_us;
  std::vector<Line> seen;
  size_t read = 0;
  for (const cv::Rect& box : FindTextLines(luma, config_.lines)) {
    const cv::Mat picture = luma(WithMargin(box, luma.size()));
    Line line{.box = box, .thumb = Thumb(picture)};
    const auto before = std::find_if(lines_.begin(), lines_.end(),
                                     [&](const Line& l) { return SamePlace(l.box, box); });
    const bool known = before != lines_.end();
    if (known && before->reads >= kBelieved && before->same != 1 &&
        Change(before->thumb, line.thumb) < kChanged) {
      line = *before;  // as it was, and decided
    } else {
      if (read == config_.max_lines) continue;
      ++read;
      const LineReading reading = reader_->Read(picture);
      if (Fills(reading.text, box)) {
        line.text = reading.text;
        line.confidence = reading.confidence;
      }
      line.reads = known ? before->reads + 1 : 1;
      if (!line.text.empty()) line.same = known && before->text == line.text ? before->same + 1 : 1;
    }
    seen.push_back(std::move(line));
  }
  lines_read_ += read;
  lines_ = std::move(seen);
  now_ = Believed();
  return true;
}

ScreenText ScreenReader::Believed() const {
  std::vector<const Line*> lines;
  for (const Line& line : lines_)
    if (line.same >= kBelieved) lines.push_back(&line);
  std::stable_sort(lines.begin(), lines.end(), [](const Line* a, const Line* b) {
    return a->box.y + a->box.height / 2 < b->box.y + b->box.height / 2;
  });
  ScreenText out;
  float sum = 0;
  for (const Line* line : lines) {
    if (!out.text.empty()) out.text += '\n';
    out.text += line->text;
    sum += line->confidence;
  }
  // Of all lines together: the price often stands below its name, and one to pay below a list price.
  const Offer offer = ReadOffer(out.text);
  out.price_cny = offer.price_cny;
  out.stock = offer.stock;
  if (!lines.empty()) out.confidence = sum / static_cast<float>(lines.size());
  return out;
}

}  // namespace heed::media
