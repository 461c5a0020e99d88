#include "media/picture_stats.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <opencv2/imgproc.hpp>
#include <utility>

#include "media/frame_view.h"
#include "media/saliency.h"

namespace heed::media {
namespace {

constexpr int kThumbWidth = 160, kThumbHeight = 90;
// A pause this long between two pictures is a gap: what moved in it is not known.
constexpr int64_t kGapUs = 1'000'000;

// centre / (centre + border), of means over the two, from the sums of the whole and its middle.
std::optional<double> CentreShare(double all, double inside, const cv::Size& size) {
  const double inner = CentreOf(size).area();
  const double a = inside / inner, b = (all - inside) / (size.area() - inner);
  if (!(a + b > 1e-6)) return std::nullopt;
  return a / (a + b);
}

// In one pass over the picture: OpenCV's own, which writes 16 bits and reads them three times, takes thrice as long.
void MeasureSharpness(const cv::Mat& luma, PictureStats* out) {
  const cv::Rect centre = CentreOf(luma.size());
  int64_t sum = 0, squares = 0, all = 0, inside = 0;
  for (int y = 1; y + 1 < luma.rows; ++y) {
    const uint8_t *above = luma.ptr<uint8_t>(y - 1), *row = luma.ptr<uint8_t>(y),
                  *below = luma.ptr<uint8_t>(y + 1);
    const auto edges = [&](int from, int to) {
      int row_sum = 0, row_squares = 0, row_sizes = 0;
      for (int x = from; x < to; ++x) {
        const int edge = above[x] + below[x] + row[x - 1] + row[x + 1] - 4 * row[x];
        row_sum += edge;
        row_squares += edge * edge;  // at most 1020^2 * 640 = 7e8
        row_sizes += std::abs(edge);
      }
      sum += row_sum, squares += row_squares, all += row_sizes;
      return row_sizes;
    };
    const bool middle = y >= centre.y && y < centre.y + centre.height;
    edges(1, centre.x);
    const int sizes = edges(centre.x, centre.x + centre.width);
    edges(centre.x + centre.width, luma.cols - 1);
    if (middle) inside += sizes;
  }
  const double count = static_cast<double>(luma.rows - 2) * (luma.cols - 2);
  const double mean = static_cast<double>(sum) / count;
  out->sharpness = std::sqrt(std::max(0.0, static_cast<double>(squares) / count - mean * mean));
  out->centre_sharpness =
      CentreShare(static_cast<double>(all), static_cast<double>(inside), luma.size());
}

// Correlation of two pictures, which light alone leaves near 1; 0 when one of them is flat.
double Correlation(const cv::Mat& a, const cv::Mat& b) {
  cv::Scalar mean_a, mean_b, deviation_a, deviation_b;
  cv::meanStdDev(a, mean_a, deviation_a);
  cv::meanStdDev(b, mean_b, deviation_b);
  if (deviation_a[0] < 1 || deviation_b[0] < 1) return 0;
  const double product = a.dot(b) / static_cast<double>(a.total());
  return (product - mean_a[0] * mean_b[0]) / (deviation_a[0] * deviation_b[0]);
}

// 16 x 8 x 8 bins, sum 1.
cv::Mat ColoursOf(const Thumb& thumb) {
  const std::array<cv::Mat, 3> planes = {thumb.luma, thumb.blue, thumb.red};
  constexpr std::array<int, 3> kChannels = {0, 1, 2}, kBins = {16, 8, 8};
  constexpr float kRange[] = {0, 256};
  const float* ranges[] = {kRange, kRange, kRange};
  cv::Mat out;
  cv::calcHist(planes.data(), planes.size(), kChannels.data(), cv::Mat(), out, 3, kBins.data(),
               ranges);
  return out / (kThumbWidth * kThumbHeight);
}

}  // namespace

Thumb MakeThumb(const cv::Mat& luma, const cv::Mat& blue, const cv::Mat& red) {
  const cv::Size size(kThumbWidth, kThumbHeight);
  Thumb out;
  cv::resize(luma, out.luma, size, 0, 0, cv::INTER_AREA);
  // Colours are smooth: samples of them do.
  cv::resize(blue, out.blue, size, 0, 0, cv::INTER_LINEAR);
  cv::resize(red, out.red, size, 0, 0, cv::INTER_LINEAR);
  return out;
}

PictureStats MeasurePicture(const cv::Mat& luma, const Thumb& thumb) {
  PictureStats out;
  cv::Scalar mean, deviation;
  cv::meanStdDev(luma, mean, deviation);
  out.brightness = mean[0];
  out.contrast = deviation[0];

  MeasureSharpness(luma, &out);

  cv::Mat cb, cr, saturation;
  thumb.blue.convertTo(cb, CV_32F, 1, -128);
  thumb.red.convertTo(cr, CV_32F, 1, -128);
  cv::magnitude(cb, cr, saturation);
  out.saturation = cv::mean(saturation)[0];
  out.centre_saturation =
      CentreShare(cv::sum(saturation)[0], cv::sum(saturation(CentreOf(saturation.size())))[0],
                  saturation.size());
  // R - G and (R + G) / 2 - B of BT.601: luma cancels.
  const cv::Mat red_green = 2.409 * cr + 0.392 * cb, yellow_blue = 0.392 * cr - 2.213 * cb;
  cv::Scalar mean_rg, mean_yb, deviation_rg, deviation_yb;
  cv::meanStdDev(red_green, mean_rg, deviation_rg);
  cv::meanStdDev(yellow_blue, mean_yb, deviation_yb);
  out.colourful =
      std::hypot(deviation_rg[0], deviation_yb[0]) + 0.3 * std::hypot(mean_rg[0], mean_yb[0]);

  if (const cv::Mat saliency = Saliency(thumb.luma); !saliency.empty())
    out.saliency_centre = cv::sum(saliency(CentreOf(saliency.size())))[0];
  return out;
}

PictureMotion::PictureMotion()
    : flow_(cv::DISOpticalFlow::create(cv::DISOpticalFlow::PRESET_ULTRAFAST)) {}

void PictureMotion::Reset() { started_ = suspect_ = false; }

// Both must change: light alone leaves the layout, movement leaves the colours. Pans and zooms of packaged
// photographs by up to a quarter gave at most 0.14 of colours, cuts between them at least 0.32.
bool PictureMotion::Different(const Look& a, const Look& b) {
  const double colours = 0.5 * cv::norm(a.colours, b.colours, cv::NORM_L1);  // 0 to 1
  return colours > 0.25 && Correlation(a.thumb.luma, b.thumb.luma) < 0.6;
}

PictureMotion::Change PictureMotion::Add(const Thumb& thumb, int64_t pts_us) {
  Change out;
  Look look{.thumb = thumb, .colours = ColoursOf(thumb)};
  const int64_t gap_us = pts_us - last_us_;
  bool suspect = false;
  out.compared = started_ && gap_us > 0 && gap_us <= kGapUs;
  if (out.compared) {
    // The old picture is back: what looked like a cut was a flash, and coming back from it is none.
    const bool flash = suspect_ && !Different(before_, look);
    out.earlier_cut = suspect_ && !flash;
    suspect = !flash && Different(last_, look);
    if (!suspect && !flash) {
      PictureStep step;
      cv::Mat difference, flow;
      cv::absdiff(last_.thumb.luma, look.thumb.luma, difference);
      step.motion = cv::mean(difference)[0];
      double largest = 0;
      cv::minMaxLoc(difference, nullptr, &largest);
      step.frozen = largest <= 1;  // one grey level: what an encoder's rounding does to a still
      if (!step.frozen) {
        flow_->calc(last_.thumb.luma, look.thumb.luma, flow);
        std::array<cv::Mat, 2> parts;
        cv::split(flow, parts.data());
        cv::Mat length;
        cv::magnitude(parts[0], parts[1], length);
        const double sum = cv::sum(length)[0];
        const double mean = sum / (kThumbWidth * kThumbHeight);
        step.flow = mean / kThumbWidth * 1e6 / static_cast<double>(gap_us);
        if (mean > 0.02)  // pixels: below that the flow is the search's own noise
          step.centre_share = cv::sum(length(CentreOf(length.size())))[0] / sum;
      }
      out.step = step;
    }
  } else {
    out.earlier_cut = suspect_;
  }
  if (suspect) before_ = last_;
  suspect_ = suspect;
  last_ = std::move(look);
  last_us_ = pts_us;
  started_ = true;
  return out;
}

bool PictureMotion::TakePendingCut() { return std::exchange(suspect_, false); }

}  // namespace heed::media
