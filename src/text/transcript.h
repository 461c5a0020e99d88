// What was said, as any speech recogniser tells it: segments that are partial until a final one takes their
// place, and the files such programs write.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::text {

struct TranscriptSegment {
  int64_t begin_ms = 0, end_ms = 0;  // of the broadcast
  std::string text;                  // valid UTF-8
  std::string speaker;               // may be empty
  // A partial one may still change: the next segment that overlaps it takes its place.
  bool final = true;
};

// kInvalidArgument: ends before it begins, lies outside of ±100 years, or is longer than 10,000 bytes.
Status ValidateSegment(const TranscriptSegment& segment);

// Segments by begin, whatever order the file has. Errors are "name:line: ...". Texts lose markup and entities,
// and lines of one cue are joined by a blank; bytes that are no UTF-8 become U+FFFD.
Result<std::vector<TranscriptSegment>> ReadWebVtt(std::string_view bytes, const std::string& name);
Result<std::vector<TranscriptSegment>> ReadSrt(std::string_view bytes, const std::string& name);
// A line: {"begin_ms": 0, "end_ms": 1200, "text": "...", "speaker": "...", "final": true}; the last two may be
// missing, others are refused.
Result<std::vector<TranscriptSegment>> ReadTranscriptJsonl(std::string_view bytes,
                                                           const std::string& name);
// By the file's ending: .vtt, .srt, .jsonl.
Result<std::vector<TranscriptSegment>> ReadTranscriptFile(const std::string& path);

// The last minutes of a room's speech. Not thread-safe.
class Transcript {
 public:
  explicit Transcript(int64_t keep_ms = 600'000) : keep_ms_(keep_ms) {}

  // A final segment, and a partial one that takes the place of the partial one before it. True: it is final
  // and new, so whoever waits for words (lint, answered questions) may read it.
  Result<bool> Add(TranscriptSegment segment);
  // Final ones that overlap [begin_ms, end_ms), joined.
  std::string TextBetween(int64_t begin_ms, int64_t end_ms) const;
  const std::deque<TranscriptSegment>& segments() const { return segments_; }  // final, by begin
  const std::optional<TranscriptSegment>& partial() const { return partial_; }

 private:
  int64_t keep_ms_;
  std::deque<TranscriptSegment> segments_;
  std::optional<TranscriptSegment> partial_;
  int64_t newest_ms_ = 0;
};

}  // namespace heed::text
