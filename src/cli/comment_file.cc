#include "cli/comment_file.h"

#include <algorithm>
#include <boost/json.hpp>
#include <filesystem>
#include <utility>

#include "base/file.h"
#include "base/hash.h"
#include "engine/comment_reader.h"
#include "event/event.h"
#include "event/json.h"
#include "text/normalize.h"
#include "text/transcript.h"

namespace heed::cli {
namespace {

namespace json = boost::json;

std::optional<RoomLine> OfEvent(const event::Event& event) {
  RoomLine line;
  line.t_ms = event.ts;
  if (event.actor) line.viewer = HashBytes(event.actor->id);
  if (const auto* comment = std::get_if<event::CommentPost>(&event.data)) {
    line.text = comment->text;
    return line;
  }
  if (const auto* speech = std::get_if<event::HostSpeech>(&event.data)) {
    line.kind = RoomLine::Kind::kSpeech;
    line.text = speech->text;
    line.end_ms = event.ts + speech->dur_ms;
    return line;
  }
  if (const auto interest = engine::InterestOf(event)) {
    line.kind = RoomLine::Kind::kInterest;
    line.how = *interest;
    return line;
  }
  return std::nullopt;
}

// None: an event that bears on no comment.
Result<std::optional<RoomLine>> ReadJsonLine(const std::string& text, event::JsonReader* reader) {
  json::error_code error;
  const json::value value = json::parse(text, error);
  if (error) return InvalidArgument("not JSON: " + error.message());
  if (!value.is_object()) return InvalidArgument("must be an object");
  const json::object& object = value.get_object();
  if (object.contains("type")) {
    HEED_ASSIGN_OR_RETURN(const event::Event event, reader->ReadOne(text));
    return OfEvent(event);
  }
  RoomLine line;
  for (const auto& [name, member] : object) {
    if (name == "t_ms" && member.is_int64()) {
      line.t_ms = member.get_int64();
    } else if (name == "text" && member.is_string()) {
      line.text = std::string(std::string_view(member.get_string()));
    } else if (name == "viewer" && member.is_string()) {
      line.viewer = HashBytes(std::string_view(member.get_string()));
    } else {
      return InvalidArgument("'" + std::string(name) +
                             "': a line is an event, or has t_ms (a whole number), text and viewer "
                             "(texts)");
    }
  }
  if (!object.contains("t_ms") || !object.contains("text")) {
    return InvalidArgument("t_ms and text are needed");
  }
  return std::optional<RoomLine>(std::move(line));
}

Status ReadLines(const std::string& path, bool is_json, int64_t every_ms,
                 std::vector<RoomLine>* out) {
  HEED_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  event::JsonReader reader;
  size_t number = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    std::string text = bytes.substr(at, end - at);
    at = end + 1;
    ++number;
    if (text.ends_with('\r')) text.pop_back();
    if (text.empty()) continue;
    if (!is_json) {
      RoomLine line;
      line.t_ms = static_cast<int64_t>(out->size()) * every_ms;
      line.text = text::ValidUtf8(text);
      line.viewer = out->size() + 1;  // nothing says who: each is another
      out->push_back(std::move(line));
      continue;
    }
    Result<std::optional<RoomLine>> line = ReadJsonLine(text, &reader);
    if (!line.ok()) return line.status().Within(path + ":" + std::to_string(number));
    if (line.value()) out->push_back(std::move(*line.value()));
  }
  return {};
}

}  // namespace

Result<std::vector<RoomLine>> ReadCommentFile(const std::string& path, int64_t every_ms) {
  const std::string ending = std::filesystem::path(path).extension().string();
  std::vector<RoomLine> lines;
  if (ending == ".vtt" || ending == ".srt") {
    HEED_ASSIGN_OR_RETURN(const std::vector<text::TranscriptSegment> cues,
                          text::ReadTranscriptFile(path));
    for (const text::TranscriptSegment& cue : cues) {
      RoomLine line;
      line.t_ms = cue.begin_ms;
      line.text = cue.text;
      line.viewer = cue.speaker.empty() ? lines.size() + 1 : HashBytes(cue.speaker);
      lines.push_back(std::move(line));
    }
  } else {
    const bool is_json = ending == ".jsonl" || ending == ".ndjson";
    HEED_RETURN_IF_ERROR(ReadLines(path, is_json, every_ms, &lines));
  }
  std::stable_sort(lines.begin(), lines.end(),
                   [](const RoomLine& a, const RoomLine& b) { return a.t_ms < b.t_ms; });
  return lines;
}

}  // namespace heed::cli
