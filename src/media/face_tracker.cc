#include "media/face_tracker.h"

#include <algorithm>
#include <filesystem>
#include <opencv2/imgproc.hpp>
#include <opencv2/objdetect.hpp>

#include "media/frame_view.h"

namespace heed::media {
namespace {

constexpr int kWindow = 24;  // the cascade's own
// A face is hit at many near places and sizes; chance hits stand alone. On a packaged portrait at 33
// sizes and on product scenes, in steps of 1.1, chance had at most two hits. To begin a track asks for
// four, which a face in plain view has, to go on with it for three.
constexpr double kSearchStep = 1.1, kFollowStep = 1.05;
constexpr int kSearchNeighbours = 3, kFollowNeighbours = 2;  // OpenCV asks for more than these
constexpr int kFollowSide = 36;    // pixels to which a followed face is brought: 1 ms
constexpr float kSameFace = 0.3f;  // of boxes' intersection over union
constexpr int kSmileWidth = 120, kSmileNeighbours = 6;

float Overlap(const cv::Rect& a, const cv::Rect& b) {
  const float both = static_cast<float>((a & b).area());
  return both / (static_cast<float>(a.area()) + static_cast<float>(b.area()) - both);
}

cv::Rect Grown(const cv::Rect& box, double share, const cv::Size& limits) {
  const int dx = cvRound(box.width * share), dy = cvRound(box.height * share);
  return cv::Rect(box.x - dx, box.y - dy, box.width + 2 * dx, box.height + 2 * dy) &
         cv::Rect({0, 0}, limits);
}

// Of a frontal cascade's box: the middle of its lowest third.
cv::Rect MouthOf(const cv::Rect& face) {
  return {face.x + face.width / 4, face.y + face.height * 2 / 3, std::max(1, face.width / 2),
          std::max(1, face.height / 3)};
}

Status Load(const std::string& path, cv::CascadeClassifier* cascade) {
  std::error_code ignored;
  if (!std::filesystem::exists(path, ignored)) return NotFound(path + ": no such file");
  try {
    if (cascade->load(path)) return {};
  } catch (const cv::Exception&) {  // its text is of OpenCV's insides
  }
  return Corruption(path + ": not a cascade that OpenCV can read");
}

struct Track {
  uint64_t id = 0;
  cv::Rect box;  // pixels of the searched picture
  int64_t first_us = 0, seen_us = 0;
  int found = 0;
};

}  // namespace

struct FaceTracker::Impl {
  FaceConfig config;
  cv::CascadeClassifier faces, smiles;

  std::vector<Track> tracks;
  uint64_t next_track = 1;
  bool started = false;
  int64_t searched_us = 0;
  cv::Mat before;  // the luma before, for motion

  // In an even light: faces in the dark are found as those in the light are. `luma` is shrunk to `width` first; boxes
  // are in its own pixels.
  std::vector<cv::Rect> Find(const cv::Mat& luma, int width, double step, int neighbours,
                             const cv::Size& largest);
  void Search(const cv::Mat& luma, int64_t pts_us);
  void Follow(const cv::Mat& luma, int64_t pts_us);
  Face Describe(const Track& track, const cv::Mat& luma, int64_t pts_us);
};

FaceTracker::FaceTracker(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FaceTracker::~FaceTracker() = default;

Result<std::unique_ptr<FaceTracker>> FaceTracker::Open(const FaceConfig& config) {
  UseOneThread();
  auto impl = std::make_unique<Impl>();
  impl->config = config;
  HEED_RETURN_IF_ERROR(Load(config.cascade, &impl->faces));
  if (!config.smile_cascade.empty())
    HEED_RETURN_IF_ERROR(Load(config.smile_cascade, &impl->smiles));
  return std::unique_ptr<FaceTracker>(new FaceTracker(std::move(impl)));
}

void FaceTracker::Reset() {
  impl_->tracks.clear();
  impl_->started = false;
  impl_->before.release();
}

std::vector<cv::Rect> FaceTracker::Impl::Find(const cv::Mat& luma, int width, double step,
                                              int neighbours, const cv::Size& largest) {
  const cv::Mat small = ShrinkTo(luma, width);
  std::vector<cv::Rect> found;
  if (small.cols < kWindow || small.rows < kWindow) return found;
  cv::Mat even;
  cv::equalizeHist(small, even);
  faces.detectMultiScale(even, found, step, neighbours, 0, {kWindow, kWindow}, largest);
  const double scale = luma.cols / static_cast<double>(small.cols);
  for (cv::Rect& box : found)
    box = cv::Rect(cvRound(box.x * scale), cvRound(box.y * scale), cvRound(box.width * scale),
                   cvRound(box.height * scale)) &
          cv::Rect({0, 0}, luma.size());
  return found;
}

// Pairs of the greatest overlap first; what is left over begins a track.
void FaceTracker::Impl::Search(const cv::Mat& luma, int64_t pts_us) {
  // As small as the smallest face allows: the cascade's windows are kWindow pixels whatever it is given.
  const std::vector<cv::Rect> found =
      Find(luma, cvRound(kWindow / config.min_side), kSearchStep, kSearchNeighbours, {});
  struct Pair {
    float overlap;
    size_t track, box;
  };
  std::vector<Pair> pairs;
  for (size_t t = 0; t < tracks.size(); ++t)
    for (size_t b = 0; b < found.size(); ++b)
      if (const float overlap = Overlap(tracks[t].box, found[b]); overlap >= kSameFace)
        pairs.push_back({overlap, t, b});
  std::stable_sort(pairs.begin(), pairs.end(),
                   [](const Pair& a, const Pair& b) { return a.overlap > b.overlap; });
  std::vector<bool> taken(found.size()), matched(tracks.size());
  for (const Pair& pair : pairs) {
    if (matched[pair.track] || taken[pair.box]) continue;
    matched[pair.track] = taken[pair.box] = true;
    Track& track = tracks[pair.track];
    track.box = found[pair.box], track.seen_us = pts_us, ++track.found;
  }
  for (size_t b = 0; b < found.size(); ++b)
    if (!taken[b])
      tracks.push_back(
          {.id = next_track++, .box = found[b], .first_us = pts_us, .seen_us = pts_us, .found = 1});
  searched_us = pts_us;
}

void FaceTracker::Impl::Follow(const cv::Mat& luma, int64_t pts_us) {
  for (Track& track : tracks) {
    const cv::Rect around = Grown(track.box, 0.35, luma.size());
    const int side = track.box.width;
    const std::vector<cv::Rect> found =
        Find(luma(around), around.width * kFollowSide / std::max(1, side), kFollowStep,
             kFollowNeighbours, {kFollowSide * 3 / 2, kFollowSide * 3 / 2});
    float best = 0;
    cv::Rect box;
    for (cv::Rect candidate : found) {
      candidate += around.tl();
      if (const float overlap = Overlap(track.box, candidate); overlap > best)
        best = overlap, box = candidate;
    }
    if (best >= kSameFace) track.box = box, track.seen_us = pts_us, ++track.found;
  }
}

Face FaceTracker::Impl::Describe(const Track& track, const cv::Mat& luma, int64_t pts_us) {
  const auto width = static_cast<float>(luma.cols), height = static_cast<float>(luma.rows);
  Face face{
      .track = track.id,
      .box = {static_cast<float>(track.box.x) / width, static_cast<float>(track.box.y) / height,
              static_cast<float>(track.box.width) / width,
              static_cast<float>(track.box.height) / height},
      .dwell_s = static_cast<double>(pts_us - track.first_us) * 1e-6};
  if (before.size() == luma.size() && track.first_us < pts_us) {
    const auto change = [&](const cv::Rect& box) {
      cv::Mat difference;
      cv::absdiff(luma(box), before(box), difference);
      return cv::mean(difference)[0];
    };
    face.motion = change(track.box);
    face.mouth_motion = change(MouthOf(track.box) & cv::Rect({0, 0}, luma.size()));
  }
  if (!smiles.empty()) {
    const cv::Rect lower(track.box.x, track.box.y + track.box.height / 2, track.box.width,
                         track.box.height / 2);
    cv::Mat mouth;
    cv::resize(luma(lower), mouth, {kSmileWidth, kSmileWidth / 2}, 0, 0, cv::INTER_LINEAR);
    std::vector<cv::Rect> boxes;
    std::vector<int> hits;
    smiles.detectMultiScale(mouth, boxes, hits, 1.1, kSmileNeighbours);
    const int most = hits.empty() ? 0 : *std::max_element(hits.begin(), hits.end());
    face.smile_proxy = std::min(1.0, most / 300.0);
  }
  return face;
}

std::vector<Face> FaceTracker::Update(const cv::Mat& luma, int64_t pts_us) {
  Impl& self = *impl_;
  if (self.before.size() != luma.size()) Reset();  // boxes are pixels of another picture
  const int64_t since_us = pts_us - self.searched_us;
  const bool lost = std::any_of(self.tracks.begin(), self.tracks.end(),
                                [&](const Track& t) { return t.seen_us < self.searched_us; });
  const int64_t every_us =
      self.tracks.empty() || lost ? self.config.search_us : self.config.search_more_us;
  if (!self.started || since_us >= every_us || since_us < 0) {
    self.Search(luma, pts_us);
  } else {
    self.Follow(luma, pts_us);
  }
  self.started = true;
  std::erase_if(self.tracks, [&](const Track& t) {
    // Once is chance: what the next picture does not confirm was no face.
    return pts_us - t.seen_us > self.config.hold_us || (t.found < 2 && t.seen_us < pts_us);
  });
  std::vector<Face> faces;
  for (const Track& track : self.tracks)
    if (track.found >= 2) faces.push_back(self.Describe(track, luma, pts_us));
  std::stable_sort(faces.begin(), faces.end(),
                   [](const Face& a, const Face& b) { return a.box.area() > b.box.area(); });
  luma.copyTo(self.before);
  return faces;
}

}  // namespace heed::media
