#include "text/transcript.h"

#include <algorithm>

#include "base/file.h"
#include "text/normalize.h"

namespace heed::text {
namespace {

constexpr int64_t kFarthest = int64_t{100} * 366 * 86'400'000;
constexpr size_t kLongestText = 10'000;

}  // namespace

Status ValidateSegment(const TranscriptSegment& segment) {
  if (segment.begin_ms < -kFarthest || segment.end_ms > kFarthest) {
    return InvalidArgument("a segment lies outside of any broadcast", "/begin_ms");
  }
  if (segment.end_ms < segment.begin_ms) {
    return InvalidArgument("a segment ends before it begins", "/end_ms");
  }
  if (segment.text.size() > kLongestText || segment.speaker.size() > kLongestText) {
    return InvalidArgument("a segment is longer than 10,000 bytes", "/text");
  }
  return {};
}

Result<bool> Transcript::Add(TranscriptSegment segment) {
  HEED_RETURN_IF_ERROR(ValidateSegment(segment));
  segment.text = ValidUtf8(segment.text);
  if (!segment.final) {
    partial_ = std::move(segment);
    return false;
  }
  if (partial_ && partial_->begin_ms < std::max(segment.end_ms, segment.begin_ms + 1)) {
    partial_.reset();
  }
  // A recogniser that sends its final words twice has said them once.
  const auto place = std::upper_bound(
      segments_.begin(), segments_.end(), segment.begin_ms,
      [](int64_t begin_ms, const TranscriptSegment& s) { return begin_ms < s.begin_ms; });
  for (auto same = place; same != segments_.begin();) {
    --same;
    if (same->begin_ms != segment.begin_ms) break;
    if (same->end_ms == segment.end_ms && same->text == segment.text) return false;
  }
  newest_ms_ = segments_.empty() ? segment.end_ms : std::max(newest_ms_, segment.end_ms);
  if (segment.end_ms < newest_ms_ - keep_ms_) return false;
  segments_.insert(place, std::move(segment));
  while (segments_.front().end_ms < newest_ms_ - keep_ms_) segments_.pop_front();
  return true;
}

std::string Transcript::TextBetween(int64_t begin_ms, int64_t end_ms) const {
  std::string text;
  for (const TranscriptSegment& segment : segments_) {
    if (segment.begin_ms >= end_ms || segment.end_ms <= begin_ms) continue;
    if (!text.empty()) text += ' ';
    text += segment.text;
  }
  return text;
}

Result<std::vector<TranscriptSegment>> ReadTranscriptFile(const std::string& path) {
  const std::string_view ending =
      std::string_view(path).substr(std::min(path.rfind('.'), path.size()));
  HEED_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  if (ending == ".vtt") return ReadWebVtt(bytes, path);
  if (ending == ".srt") return ReadSrt(bytes, path);
  if (ending == ".jsonl") return ReadTranscriptJsonl(bytes, path);
  return InvalidArgument(path + ": a transcript ends in .vtt, .srt or .jsonl");
}

}  // namespace heed::text
