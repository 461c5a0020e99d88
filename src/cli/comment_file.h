// Files of comments: what heed watch reads.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "text/questions.h"

namespace heed::cli {

// Something that happened in a room, at `t_ms`: a comment, or what the host said until `end_ms`, or a
// viewer's wish to buy.
struct RoomLine {
  enum class Kind : uint8_t { kComment, kSpeech, kInterest } kind = Kind::kComment;
  int64_t t_ms = 0, end_ms = 0;
  uint64_t viewer = 0;
  std::string text;
  text::Interest how{};
};

// By time. By the file's ending:
//   .jsonl, .ndjson   events (docs/formats/event.md), or {"t_ms", "text", "viewer"} a line, the last may
//                     be missing; an event that is no comment, speech, click, cart or order is left out
//   .vtt, .srt        one comment a cue, from its begin; its speaker is the viewer
//   other             one comment a line, `every_ms` apart
// Errors are "name:line: ...".
Result<std::vector<RoomLine>> ReadCommentFile(const std::string& path, int64_t every_ms);

}  // namespace heed::cli
