#include "media/picture.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "media/face_tracker.h"
#include "media/frame_view.h"
#include "media/picture_stats.h"
#include "media/screen_text.h"

namespace heed::media {
namespace {

constexpr int kAnalysisWidth = 640, kTextWidth = 960;
constexpr int64_t kSecondUs = 1'000'000;
// A hole of more seconds than this is not filled with empty ones: the decoder calls it another epoch.
constexpr int64_t kMaxHoleS = 600;

int64_t SecondOf(int64_t pts_us) {
  return pts_us >= 0 ? pts_us / kSecondUs : -((-pts_us + kSecondUs - 1) / kSecondUs);
}

class Mean {
 public:
  void Add(double value) { sum_ += value, ++count_; }
  void Add(const std::optional<double>& value) {
    if (value) Add(*value);
  }
  std::optional<double> value() const {
    return count_ > 0 ? std::optional<double>(sum_ / count_) : std::nullopt;
  }
  int count() const { return count_; }

 private:
  double sum_ = 0;
  int count_ = 0;
};

// What is summed up within one second.
struct Open {
  Mean brightness, contrast, saturation, sharpness, colourful, centre_sharpness, centre_saturation,
      saliency;
  Mean motion, frozen, flow, flow_centre;
  int cuts = 0, pairs = 0;
  Mean present, faces, area, x, y, face_motion, mouth_motion, smile;
  double dwell_s = 0;
  uint32_t frames = 0;
  bool text_looked = false;
};

template <typename T, typename Config>
std::unique_ptr<T> OpenOrAbsent(const char* what, const Config& config) {
  Result<std::unique_ptr<T>> opened = T::Open(config);
  if (opened.ok()) return std::move(opened).value();
  LogWarn("no {} in this broadcast's records: {}", what, opened.status().ToString());
  return nullptr;
}

void Put(MomentValues* values, Feature feature, const std::optional<double>& value) {
  if (value) values->Set(feature, *value);
}

}  // namespace

void AddTo(const PictureSecond& second, Moment* moment) {
  for (const MomentFeatureInfo& info : Features())
    if (const auto value = second.values.Get(info.feature))
      moment->values.Set(info.feature, *value);
  moment->of(Modality::kPicture) = second.picture;
  moment->of(Modality::kFace) = second.face;
  moment->of(Modality::kOcr) = second.ocr;
  moment->frames = second.frames;
  moment->screen_text = second.screen_text;
}

struct PictureExtractor::Impl {
  PictureConfig config;
  PictureMotion motion;
  std::unique_ptr<FaceTracker> faces;
  std::unique_ptr<ScreenReader> text;

  bool started = false;
  uint32_t epoch = 0;
  int64_t second = 0;  // the open one
  int64_t last_us = 0;
  Open open;
  uint64_t late = 0;

  void Begin(const VideoFrame& frame);
  void Measure(const cv::Mat& whole, const cv::Mat& luma, const Thumb& thumb, int64_t pts_us);
  void MeasureFaces(const cv::Mat& luma, int64_t pts_us);
  PictureSecond Close() const;
  void CloseUntil(int64_t next, std::vector<PictureSecond>* seconds);
};

PictureExtractor::PictureExtractor(const PictureConfig& config) : impl_(std::make_unique<Impl>()) {
  UseOneThread();
  impl_->config = config;
  if (config.faces) {
    FaceConfig faces{.cascade = config.face_cascade,
                     .smile_cascade = config.smile ? config.smile_cascade : "",
                     .min_side = static_cast<float>(config.min_face)};
    impl_->faces = OpenOrAbsent<FaceTracker>("faces", faces);
  }
  if (config.text) {
    ScreenTextConfig text;
    text.reader = {.data = config.ocr_data,
                   .language = config.ocr_language,
                   .min_confidence = static_cast<float>(config.ocr_min_confidence)};
    text.every_us = std::llround(config.ocr_every_s * 1e6);
    text.max_lines = config.ocr_max_lines;
    impl_->text = OpenOrAbsent<ScreenReader>("text on the screen", text);
  }
}

PictureExtractor::~PictureExtractor() = default;

bool PictureExtractor::has_faces() const { return impl_->faces != nullptr; }
bool PictureExtractor::has_text() const { return impl_->text != nullptr; }
uint64_t PictureExtractor::late() const { return impl_->late; }

void PictureExtractor::Impl::Begin(const VideoFrame& frame) {
  started = true;
  epoch = frame.epoch;
  second = SecondOf(frame.pts_us);
  open = {};
  motion.Reset();
  if (faces) faces->Reset();
  if (text) text->Reset();
}

void PictureExtractor::Impl::MeasureFaces(const cv::Mat& luma, int64_t pts_us) {
  const std::vector<Face> found = faces->Update(luma, pts_us);
  open.present.Add(found.empty() ? 0 : 1);
  open.faces.Add(static_cast<double>(found.size()));
  open.dwell_s = found.empty() ? 0 : found.front().dwell_s;
  if (found.empty()) return;
  const Face& largest = found.front();
  open.area.Add(largest.box.area());
  open.x.Add(largest.box.x + largest.box.width / 2);
  open.y.Add(largest.box.y + largest.box.height / 2);
  open.face_motion.Add(largest.motion);
  open.mouth_motion.Add(largest.mouth_motion);
  open.smile.Add(largest.smile_proxy);
}

void PictureExtractor::Impl::Measure(const cv::Mat& whole, const cv::Mat& luma, const Thumb& thumb,
                                     int64_t pts_us) {
  const PictureStats stats = MeasurePicture(luma, thumb);
  ++open.frames;
  open.brightness.Add(stats.brightness);
  open.contrast.Add(stats.contrast);
  open.saturation.Add(stats.saturation);
  open.sharpness.Add(stats.sharpness);
  open.colourful.Add(stats.colourful);
  open.centre_sharpness.Add(stats.centre_sharpness);
  open.centre_saturation.Add(stats.centre_saturation);
  open.saliency.Add(stats.saliency_centre);
  if (faces) MeasureFaces(luma, pts_us);
  if (text && text->Update(ShrinkTo(whole, kTextWidth), pts_us)) open.text_looked = true;
}

// Close-up of a product: no face or a small one, the middle sharper and more colourful than the border, and little
// movement. A proxy: nobody measured how often it is right.
std::optional<double> Closeup(const Open& open) {
  const auto sharp = open.centre_sharpness.value(), colour = open.centre_saturation.value(),
             flow = open.flow.value(), present = open.present.value();
  if (!sharp || !colour || !flow || !present) return std::nullopt;
  const double face = *present * std::min(1.0, open.area.value().value_or(0) / 0.05);
  const double still = 1 / (1 + *flow / 0.1);
  return (1 - face) * still * std::sqrt(*sharp * *colour);
}

PictureSecond PictureExtractor::Impl::Close() const {
  PictureSecond out{.second = second, .epoch = epoch, .frames = open.frames};
  const bool seen = open.frames > 0;
  const auto covered = static_cast<float>(std::min(1.0, open.frames / config.fps));
  const int64_t end_us = (second + 1) * kSecondUs;
  const int64_t age_ms = std::max<int64_t>(0, (end_us - last_us) / 1000);
  out.picture = {.ok = seen, .cover = covered, .age_ms = age_ms};
  if (faces) out.face = out.picture;
  MomentValues& v = out.values;
  if (seen) {
    Put(&v, Feature::kBrightness, open.brightness.value());
    Put(&v, Feature::kContrast, open.contrast.value());
    Put(&v, Feature::kSaturation, open.saturation.value());
    Put(&v, Feature::kSharpness, open.sharpness.value());
    Put(&v, Feature::kColourful, open.colourful.value());
    Put(&v, Feature::kSaliencyCentre, open.saliency.value());
    Put(&v, Feature::kMotion, open.motion.value());
    Put(&v, Feature::kFreeze, open.frozen.value());
    Put(&v, Feature::kFlowMean, open.flow.value());
    Put(&v, Feature::kFlowCentreRatio, open.flow_centre.value());
    if (open.pairs > 0) v.Set(Feature::kCut, open.cuts);
    Put(&v, Feature::kCloseupProxy, Closeup(open));
    Put(&v, Feature::kFacePresent, open.present.value());
    Put(&v, Feature::kFaceCount, open.faces.value());
    Put(&v, Feature::kFaceArea, open.area.value());
    Put(&v, Feature::kFaceX, open.x.value());
    Put(&v, Feature::kFaceY, open.y.value());
    if (open.present.count() > 0) v.Set(Feature::kFaceDwell, open.dwell_s);
    Put(&v, Feature::kFaceMotion, open.face_motion.value());
    Put(&v, Feature::kMouthMotion, open.mouth_motion.value());
    Put(&v, Feature::kSmileProxy, open.smile.value());
  }
  if (text && text->looked_us()) {
    out.ocr = {.ok = open.text_looked,
               .cover = open.text_looked ? 1.0f : 0.0f,
               .age_ms = std::max<int64_t>(0, (end_us - *text->looked_us()) / 1000)};
    // What was read stands until it is looked at again; its age says how old it is.
    const ScreenText& now = text->now();
    Put(&v, Feature::kOcrPrice, now.price_cny);
    if (now.stock) v.Set(Feature::kOcrStock, static_cast<double>(*now.stock));
    if (!now.text.empty()) v.Set(Feature::kOcrConfidence, now.confidence);
    out.screen_text = now.text;
  }
  return out;
}

void PictureExtractor::Impl::CloseUntil(int64_t next, std::vector<PictureSecond>* seconds) {
  if (next - second > kMaxHoleS) {
    seconds->push_back(Close());
    second = next;
    open = {};
  }
  for (; second < next; ++second) {
    seconds->push_back(Close());
    open = {};
  }
}

Status PictureExtractor::Add(const VideoFrame& frame, std::vector<PictureSecond>* seconds) {
  HEED_RETURN_IF_ERROR(CheckFrame(frame));
  Impl& self = *impl_;
  if (!self.started || frame.epoch != self.epoch) {
    Finish(seconds);
    self.Begin(frame);
  } else if (frame.pts_us <= self.last_us || SecondOf(frame.pts_us) < self.second) {
    ++self.late;
    return {};
  }
  const cv::Mat whole = LumaOf(frame), luma = ShrinkTo(whole, kAnalysisWidth);
  const Thumb thumb = MakeThumb(luma, BlueOf(frame), RedOf(frame));
  const PictureMotion::Change change = self.motion.Add(thumb, frame.pts_us);
  if (change.earlier_cut) {
    ++self.open.cuts;
    // Nobody is followed across a cut.
    if (self.faces) self.faces->Reset();
  }
  self.CloseUntil(SecondOf(frame.pts_us), seconds);
  if (change.compared) ++self.open.pairs;
  if (change.step) {
    self.open.motion.Add(change.step->motion);
    self.open.frozen.Add(change.step->frozen ? 1 : 0);
    self.open.flow.Add(change.step->flow);
    self.open.flow_centre.Add(change.step->centre_share);
  }
  self.Measure(whole, luma, thumb, frame.pts_us);
  self.last_us = frame.pts_us;
  return {};
}

void PictureExtractor::AdvanceTo(int64_t pts_us, std::vector<PictureSecond>* seconds) {
  if (!impl_->started || SecondOf(pts_us) <= impl_->second) return;
  if (impl_->motion.TakePendingCut()) ++impl_->open.cuts;
  impl_->CloseUntil(SecondOf(pts_us), seconds);
}

void PictureExtractor::Finish(std::vector<PictureSecond>* seconds) {
  if (!impl_->started) return;
  if (impl_->motion.TakePendingCut()) ++impl_->open.cuts;
  seconds->push_back(impl_->Close());
  impl_->started = false;
}

}  // namespace heed::media
