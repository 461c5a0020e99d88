#include "media/saliency.h"

#include <array>
#include <opencv2/imgproc.hpp>

namespace heed::media {

cv::Mat Saliency(const cv::Mat& luma) {
  cv::Mat small;
  cv::resize(luma, small, cv::Size(kSaliencySide, kSaliencySide), 0, 0, cv::INTER_AREA);
  cv::Scalar mean, deviation;
  cv::meanStdDev(small, mean, deviation);
  if (deviation[0] < 1) return {};

  cv::Mat image, spectrum;
  small.convertTo(image, CV_32F);
  cv::dft(image, spectrum, cv::DFT_COMPLEX_OUTPUT);
  std::array<cv::Mat, 2> parts;
  cv::split(spectrum, parts.data());
  cv::Mat amplitude, phase, log_amplitude, usual;
  cv::cartToPolar(parts[0], parts[1], amplitude, phase);
  cv::log(amplitude + 1e-3f, log_amplitude);  // an amplitude may be 0
  cv::blur(log_amplitude, usual, cv::Size(3, 3));
  cv::exp(log_amplitude - usual, amplitude);
  cv::polarToCart(amplitude, phase, parts[0], parts[1]);
  cv::merge(parts.data(), parts.size(), spectrum);
  cv::idft(spectrum, spectrum, cv::DFT_SCALE);
  cv::split(spectrum, parts.data());
  cv::Mat saliency = parts[0].mul(parts[0]) + parts[1].mul(parts[1]);
  cv::GaussianBlur(saliency, saliency, cv::Size(9, 9), 2.5);
  const double sum = cv::sum(saliency)[0];
  if (!(sum > 0)) return {};
  return saliency / sum;
}

}  // namespace heed::media
