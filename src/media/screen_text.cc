#include "media/screen_text.h"

#include <algorithm>
#include <cctype>
#include <opencv2/imgproc.hpp>
#include <string_view>
#include <utility>

#include "media/price_text.h"

namespace heed::media {
namespace {

// Of two pictures of one line, in grey levels: an encoder's noise is below, another digit above.
constexpr double kChanged = 6;
constexpr int kBelieved = 2;

// Pixels that a line is looked for around where it was: what a hand's tremor moves it in two seconds, and more.
constexpr int kReach = 24;

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

// Of three values side by side, the middle one the largest: where between -0.5 and 0.5 the peak of their parabola is.
float PeakOf(float left, float middle, float right) {
  const float bend = left + right - 2 * middle;
  return bend < -1e-6f ? std::clamp((left - right) / (2 * bend), -0.5f, 0.5f) : 0;
}

int Letters(std::string_view text) {
  return static_cast<int>(std::count_if(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return std::isalnum(byte) != 0 || byte >= 0xC0;  // a character's first byte
  }));
}

// Whether so much text can be what fills the box: letters are at least a third as wide as high. What stripes and
// edges are read as is a letter or two in a long box.
bool Fills(std::string_view text, const cv::Rect& box) {
  const int letters = Letters(text);
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

// Whether `proposal` is this line or a part of it. By a letter longer it is more, and is tried as a line of its own.
bool ScreenReader::Line::Has(const cv::Rect& proposal) const {
  if (text.empty()) return SamePlace(box, proposal);
  const int letter = box.height;
  const cv::Rect grown(box.x - letter, box.y - letter / 3, box.width + 2 * letter,
                       box.height + 2 * (letter / 3));
  return (grown & proposal).area() * 10 >= proposal.area() * 9;
}

void ScreenReader::Reset() {
  lines_.clear();
  looked_us_.reset();
  now_ = {};
}

// Where the line stands now, when it looks as it did. A camera in a hand moves it by some pixels, and the box that is
// proposed for it is another one each time: read anew there, one line would give two texts.
std::optional<cv::Rect> ScreenReader::Follow(const Line& line, const cv::Mat& luma) {
  const cv::Rect around = cv::Rect(line.box.x - kReach, line.box.y - kReach,
                                   line.box.width + 2 * kReach, line.box.height + 2 * kReach) &
                          cv::Rect({0, 0}, luma.size());
  cv::Mat alike, moved;
  cv::matchTemplate(luma(around), line.picture, alike, cv::TM_CCOEFF_NORMED);
  cv::Point best;
  cv::minMaxLoc(alike, nullptr, nullptr, nullptr, &best);
  const auto at = [&](int dx, int dy) {
    const cv::Point p = best + cv::Point(dx, dy);
    return cv::Rect({0, 0}, alike.size()).contains(p) ? alike.at<float>(p) : alike.at<float>(best);
  };
  const cv::Rect box(around.tl() + best, line.box.size());
  // Half a pixel is as much of a change to thin strokes as another digit.
  const cv::Point2f middle(static_cast<float>(box.x) + static_cast<float>(box.width - 1) / 2 +
                               PeakOf(at(-1, 0), at(0, 0), at(1, 0)),
                           static_cast<float>(box.y) + static_cast<float>(box.height - 1) / 2 +
                               PeakOf(at(0, -1), at(0, 0), at(0, 1)));
  cv::getRectSubPix(luma, box.size(), middle, moved);
  if (Change(Thumb(line.picture), Thumb(moved)) >= kChanged) return std::nullopt;
  return box;
}

void ScreenReader::Read(const cv::Mat& luma, Line* line) {
  const LineReading reading = reader_->Read(luma(WithMargin(line->box, luma.size())));
  const std::string text = Fills(reading.text, line->box) ? reading.text : "";
  line->same = text.empty() ? 0 : text == line->text ? line->same + 1 : 1;
  line->text = text;
  line->confidence = reading.confidence;
  line->picture = luma(line->box).clone();
  ++line->reads;
  ++lines_read_;
}

bool ScreenReader::Update(const cv::Mat& luma, int64_t pts_us) {
  if (looked_us_ && pts_us >= *looked_us_ && pts_us - *looked_us_ < config_.every_us) return false;
  looked_us_ = pts_us;
  const std::vector<cv::Rect> boxes = FindTextLines(luma, config_.lines);
  const auto proposed = [&](const cv::Rect& place) {
    return std::any_of(boxes.begin(), boxes.end(),
                       [&](const cv::Rect& box) { return SamePlace(box, place); });
  };
  if (size_ != luma.size()) lines_.clear();
  size_ = luma.size();
  size_t left = config_.max_lines;
  std::vector<Line> seen, gone;
  for (Line& line : lines_) {
    const std::optional<cv::Rect> place = Follow(line, luma);
    if (!place) {
      gone.push_back(std::move(line));
      continue;
    }
    line.box = *place;
    if (line.text.empty() && !proposed(*place)) continue;
    if (line.same == 1 && left > 0) {
      --left;
      Read(luma, &line);
    }
    seen.push_back(std::move(line));
  }
  const size_t followed = seen.size();
  for (const cv::Rect& box : boxes) {
    if (left == 0) break;
    if (std::any_of(seen.begin(), seen.end(), [&](const Line& line) { return line.Has(box); })) {
      continue;
    }
    const auto before = std::find_if(gone.begin(), gone.end(),
                                     [&](const Line& line) { return SamePlace(line.box, box); });
    Line line = before == gone.end() ? Line{} : *before;
    line.box = box;
    --left;
    Read(luma, &line);
    seen.push_back(std::move(line));
  }
  // Where nothing was read, once more, when there is nothing better to do.
  for (size_t i = 0; i < followed && left > 0; ++i) {
    if (!seen[i].text.empty() || seen[i].reads >= kBelieved) continue;
    --left;
    Read(luma, &seen[i]);
  }
  lines_ = std::move(seen);
  now_ = Believed();
  return true;
}

ScreenText ScreenReader::Believed() const {
  std::vector<const Line*> lines;
  // Of two that overlap, a part of a line and the whole, the one with more letters.
  const auto better = [](const Line& other, const Line& line) {
    return &other != &line && other.same >= kBelieved &&
           (other.box & line.box).area() * 2 > std::min(other.box.area(), line.box.area()) &&
           std::pair(Letters(other.text), other.confidence) >
               std::pair(Letters(line.text), line.confidence);
  };
  for (const Line& line : lines_) {
    if (line.same >= kBelieved &&
        std::none_of(lines_.begin(), lines_.end(),
                     [&](const Line& other) { return better(other, line); })) {
      lines.push_back(&line);
    }
  }
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
