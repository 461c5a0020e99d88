// WebVTT (W3C, 2019), SubRip, and lines of JSON.
#include <simdjson.h>

#include <algorithm>
#include <array>

#include "text/normalize.h"
#include "text/transcript.h"

namespace heed::text {
namespace {

class Lines {
 public:
  Lines(std::string_view bytes, const std::string& name) : bytes_(bytes), name_(name) {
    if (bytes_.starts_with("\xEF\xBB\xBF")) bytes_.remove_prefix(3);
  }

  bool Next(std::string_view* line) {
    if (at_ >= bytes_.size()) return false;
    const size_t end = std::min(bytes_.find('\n', at_), bytes_.size());
    *line = bytes_.substr(at_, end - at_);
    if (!line->empty() && line->back() == '\r') line->remove_suffix(1);
    at_ = end + 1;
    ++number_;
    return true;
  }
  Status Error(const std::string& what) const {
    return InvalidArgument(name_ + ":" + std::to_string(number_) + ": " + what);
  }
  size_t number() const { return number_; }

 private:
  std::string_view bytes_;
  const std::string& name_;
  size_t at_ = 0, number_ = 0;
};

bool IsBlank(std::string_view line) {
  return line.find_first_not_of(" \t") == std::string_view::npos;
}

// "01:02:03.004", "02:03,004": hours may be missing and have more than two digits. Moves `text` on.
bool ReadTime(std::string_view* text, int64_t* ms) {
  std::array<int64_t, 3> parts{};
  size_t n = 0;
  const auto digits = [&](size_t least, size_t most, int64_t* value) {
    size_t i = 0;
    *value = 0;
    for (; i < text->size() && i < most && (*text)[i] >= '0' && (*text)[i] <= '9'; ++i) {
      *value = *value * 10 + ((*text)[i] - '0');
    }
    if (i < least) return false;
    text->remove_prefix(i);
    return true;
  };
  while (n < 3) {
    if (!digits(n == 0 ? 1 : 2, n == 0 ? 6 : 2, &parts[n])) return false;
    ++n;
    if (text->empty() || text->front() != ':') break;
    text->remove_prefix(1);
  }
  if (n < 2 || text->empty() || (text->front() != '.' && text->front() != ',')) return false;
  text->remove_prefix(1);
  int64_t fraction = 0;
  if (!digits(3, 3, &fraction)) return false;
  const int64_t seconds = parts[n - 1], minutes = parts[n - 2], hours = n == 3 ? parts[0] : 0;
  if (seconds > 59 || (n == 3 && minutes > 59)) return false;
  *ms = ((hours * 60 + minutes) * 60 + seconds) * 1000 + fraction;
  return true;
}

// "begin --> end settings"; false: no such line.
bool ReadTiming(std::string_view line, TranscriptSegment* segment) {
  const auto skip = [&] {
    line.remove_prefix(std::min(line.find_first_not_of(" \t"), line.size()));
  };
  skip();
  if (!ReadTime(&line, &segment->begin_ms)) return false;
  skip();
  if (!line.starts_with("-->")) return false;
  line.remove_prefix(3);
  skip();
  if (!ReadTime(&line, &segment->end_ms)) return false;
  return line.empty() || line.front() == ' ' || line.front() == '\t';
}

// Without <b> and the like; <v Name> names the speaker.
std::string WithoutMarkup(std::string_view line, std::string* speaker) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 6> kEntities = {
      {{"&amp;", "&"},
       {"&lt;", "<"},
       {"&gt;", ">"},
       {"&nbsp;", " "},
       {"&lrm;", ""},
       {"&rlm;", ""}}};
  std::string out;
  while (!line.empty()) {
    if (line.front() == '<') {
      const size_t close = line.find('>');
      if (close != std::string_view::npos) {
        const std::string_view tag = line.substr(1, close - 1);
        const size_t blank = tag.find(' ');
        if (blank != std::string_view::npos && (tag[0] == 'v') && (blank == 1 || tag[1] == '.')) {
          *speaker = ValidUtf8(tag.substr(blank + 1));
        }
        line.remove_prefix(close + 1);
        continue;
      }
    }
    const auto entity = std::find_if(kEntities.begin(), kEntities.end(), [&](const auto& pair) {
      return line.starts_with(pair.first);
    });
    if (entity != kEntities.end()) {
      out += entity->second;
      line.remove_prefix(entity->first.size());
    } else {
      out += line.front();
      line.remove_prefix(1);
    }
  }
  return ValidUtf8(out);
}

void SortByBegin(std::vector<TranscriptSegment>* segments) {
  std::stable_sort(segments->begin(), segments->end(),
                   [](const auto& a, const auto& b) { return a.begin_ms < b.begin_ms; });
}

// After a timing line: its text up to a blank line.
Status ReadCue(Lines* lines, TranscriptSegment segment, std::vector<TranscriptSegment>* segments) {
  if (const Status valid = ValidateSegment(segment); !valid.ok()) {
    return lines->Error(valid.message());
  }
  std::string_view line;
  while (lines->Next(&line) && !IsBlank(line)) {
    if (line.find("-->") != std::string_view::npos) {
      return lines->Error("a cue begins before a blank line has ended the one before");
    }
    if (!segment.text.empty()) segment.text += ' ';
    segment.text += WithoutMarkup(line, &segment.speaker);
    if (segment.text.size() > 10'000) return lines->Error("a cue is longer than 10,000 bytes");
  }
  if (!segment.text.empty()) segments->push_back(std::move(segment));
  return {};
}

}  // namespace

Result<std::vector<TranscriptSegment>> ReadWebVtt(std::string_view bytes, const std::string& name) {
  Lines lines(bytes, name);
  std::string_view line;
  const bool any = lines.Next(&line);
  if (!any || !line.starts_with("WEBVTT") ||
      (line.size() > 6 && line[6] != ' ' && line[6] != '\t')) {
    return InvalidArgument(name + ":1: no WebVTT: the first line is not 'WEBVTT'");
  }
  while (lines.Next(&line) && !IsBlank(line)) {  // header metadata
    if (line.find("-->") != std::string_view::npos) {
      return lines.Error("a blank line is missing after the header");
    }
  }
  std::vector<TranscriptSegment> segments;
  while (lines.Next(&line)) {
    if (IsBlank(line)) continue;
    const bool block =
        line.starts_with("NOTE") || line.starts_with("STYLE") || line.starts_with("REGION");
    if (block && line.find("-->") == std::string_view::npos) {
      while (lines.Next(&line) && !IsBlank(line)) {
      }
      continue;
    }
    TranscriptSegment segment;
    if (line.find("-->") == std::string_view::npos) {  // the cue's name
      if (!lines.Next(&line)) return lines.Error("a cue without times");
    }
    if (!ReadTiming(line, &segment)) {
      return lines.Error("no 'begin --> end' in '" + ValidUtf8(line.substr(0, 60)) + "'");
    }
    HEED_RETURN_IF_ERROR(ReadCue(&lines, std::move(segment), &segments));
  }
  SortByBegin(&segments);
  return segments;
}

Result<std::vector<TranscriptSegment>> ReadSrt(std::string_view bytes, const std::string& name) {
  Lines lines(bytes, name);
  std::string_view line;
  std::vector<TranscriptSegment> segments;
  while (lines.Next(&line)) {
    if (IsBlank(line)) continue;
    if (line.find_first_not_of("0123456789 ") != std::string_view::npos) {
      return lines.Error("no number of a subtitle: '" + ValidUtf8(line.substr(0, 60)) + "'");
    }
    TranscriptSegment segment;
    if (!lines.Next(&line) || !ReadTiming(line, &segment)) {
      return lines.Error("no 'begin --> end' after the number");
    }
    HEED_RETURN_IF_ERROR(ReadCue(&lines, std::move(segment), &segments));
  }
  SortByBegin(&segments);
  return segments;
}

Result<std::vector<TranscriptSegment>> ReadTranscriptJsonl(std::string_view bytes,
                                                           const std::string& name) {
  Lines lines(bytes, name);
  std::string_view line;
  std::vector<TranscriptSegment> segments;
  simdjson::dom::parser parser;
  while (lines.Next(&line)) {
    if (IsBlank(line)) continue;
    simdjson::dom::object object;
    if (const auto error = parser.parse(simdjson::padded_string(line)).get(object)) {
      return lines.Error(std::string("no JSON object: ") + simdjson::error_message(error));
    }
    TranscriptSegment segment;
    bool begins = false, ends = false, says = false;
    for (const auto& [key, value] : object) {
      std::string_view text;
      simdjson::error_code error = simdjson::SUCCESS;
      if (key == "begin_ms") {
        error = value.get(segment.begin_ms);
        begins = true;
      } else if (key == "end_ms") {
        error = value.get(segment.end_ms);
        ends = true;
      } else if (key == "final") {
        error = value.get(segment.final);
      } else if (key == "text" || key == "speaker") {
        error = value.get(text);
        (key == "text" ? segment.text : segment.speaker) = ValidUtf8(text);
        says = says || key == "text";
      } else {
        return lines.Error("unknown member '" + ValidUtf8(key) + "'");
      }
      if (error) {
        return lines.Error("'" + std::string(key) + "': " + simdjson::error_message(error));
      }
    }
    if (!begins || !ends || !says) return lines.Error("begin_ms, end_ms and text are needed");
    if (const Status valid = ValidateSegment(segment); !valid.ok()) {
      return lines.Error(valid.message());
    }
    segments.push_back(std::move(segment));
  }
  SortByBegin(&segments);
  return segments;
}

}  // namespace heed::text
