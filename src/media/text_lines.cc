#include "media/text_lines.h"

#include <algorithm>
#include <opencv2/imgproc.hpp>

#include "media/frame_view.h"

namespace heed::media {
namespace {

struct Candidate {
  cv::Rect box;
  double likely = 0;
};

// Lines of letters about 12 to 48 pixels high.
void FindAt(const cv::Mat& luma, double scale, std::vector<Candidate>* out) {
  cv::Mat gradient, edges, joined;
  static const cv::Mat cross = cv::getStructuringElement(cv::MORPH_ELLIPSE, {3, 3});
  cv::morphologyEx(luma, gradient, cv::MORPH_GRADIENT, cross);
  const double level = cv::threshold(gradient, edges, 0, 255, cv::THRESH_BINARY | cv::THRESH_OTSU);
  if (level < 30) cv::threshold(gradient, edges, 30, 255, cv::THRESH_BINARY);
  cv::morphologyEx(edges, joined, cv::MORPH_CLOSE, cv::Mat::ones(3, 17, CV_8U));
  // Cuts the thin bridges between a line and the border or picture beside it.
  cv::morphologyEx(joined, joined, cv::MORPH_OPEN, cv::Mat::ones(5, 5, CV_8U));
  cv::Mat labels, stats, centres;
  const int parts = cv::connectedComponentsWithStats(joined, labels, stats, centres, 8, CV_32S);
  for (int i = 1; i < parts; ++i) {
    const cv::Rect box(stats.at<int>(i, cv::CC_STAT_LEFT), stats.at<int>(i, cv::CC_STAT_TOP),
                       stats.at<int>(i, cv::CC_STAT_WIDTH), stats.at<int>(i, cv::CC_STAT_HEIGHT));
    const double fill = static_cast<double>(stats.at<int>(i, cv::CC_STAT_AREA)) / box.area();
    if (box.height < 8 || box.width * 5 < box.height * 6 || fill < 0.45) continue;
    const double dense = cv::countNonZero(edges(box)) / static_cast<double>(box.area());
    if (dense < 0.25) continue;
    const cv::Rect whole(cvFloor(box.x * scale), cvFloor(box.y * scale), cvCeil(box.width * scale),
                         cvCeil(box.height * scale));
    out->push_back(
        {whole, dense * fill * std::min(8.0, box.width / static_cast<double>(box.height))});
  }
}

}  // namespace

std::vector<cv::Rect> FindTextLines(const cv::Mat& luma, const TextLineConfig& config) {
  std::vector<Candidate> found;
  FindAt(luma, 1, &found);
  const cv::Mat small = ShrinkTo(luma, luma.cols / 3);  // for large letters
  FindAt(small, luma.cols / static_cast<double>(small.cols), &found);
  std::erase_if(found, [&](const Candidate& c) {
    return c.box.height < config.min_height || c.box.height > config.max_height * luma.rows;
  });
  std::stable_sort(found.begin(), found.end(),
                   [](const Candidate& a, const Candidate& b) { return a.likely > b.likely; });
  std::vector<cv::Rect> out;
  for (const Candidate& c : found) {
    const cv::Rect box = c.box & cv::Rect({0, 0}, luma.size());
    const bool known = std::any_of(out.begin(), out.end(), [&](const cv::Rect& other) {
      return (other & box).area() * 2 > std::min(other.area(), box.area());
    });
    if (!known) out.push_back(box);
  }
  return out;
}

}  // namespace heed::media
