#include "event/json.h"

#include <simdjson.h>

#include <algorithm>
#include <bit>
#include <cstring>

#include "event/check.h"
#include "event/json_event.h"
#include "event/json_scan.h"

namespace heed::event {
namespace {

namespace dom = simdjson::dom;

constexpr std::string_view kSpaces = " \t\r\n";
constexpr size_t kMaxIdBytes = 128 * 4;

std::string_view Trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kSpaces);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpaces) - first + 1);
}

struct Line {
  std::string_view text;  // trimmed, not empty
  size_t number = 0;      // in the body, from 1
};

// The lines of a body that are not blank.
class Lines {
 public:
  explicit Lines(std::string_view rest) : rest_(rest) {}

  bool Next(Line& line) {
    while (!rest_.empty()) {
      const size_t end = std::min(rest_.find('\n'), rest_.size());
      line = {Trim(rest_.substr(0, end)), ++number_};
      rest_.remove_prefix(std::min(end + 1, rest_.size()));
      if (!line.text.empty()) return true;
    }
    return false;
  }

 private:
  std::string_view rest_;
  size_t number_ = 0;
};

Status FromScan(const ScanFault& fault, size_t first_line) {
  const size_t line = first_line + fault.line - 1;
  return InvalidArgument(fault.message + " (line " + std::to_string(line) + ", byte " +
                             std::to_string(fault.column) + ")",
                         fault.pointer);
}

// Why the parser refused `text`, whose first line is `first_line` of the body.
Status Explain(std::string_view text, simdjson::error_code error, size_t first_line = 1) {
  const Scan scan = ScanJson(text);
  if (scan.syntax) return FromScan(*scan.syntax, first_line);
  if (scan.limit) return FromScan(*scan.limit, first_line);
  // The scan knows every reason but the parser's own limits: memory, and 4 GiB of text.
  return {Code::kTooLarge,
          std::string("the JSON could not be read: ") + simdjson::error_message(error)};
}

Status TooMany(size_t max_events) {
  return {Code::kTooLarge, "more than " + std::to_string(max_events) + " events in one body"};
}

// The event's id if it can be told, to name the rejected one.
std::string IdOf(dom::element value) {
  std::string_view id;
  if (!value.is_object() || value["id"].get(id) != simdjson::SUCCESS) return {};
  return id.size() <= kMaxIdBytes ? std::string(id) : std::string();
}

}  // namespace

struct JsonReader::Impl {
  dom::parser parser;
  std::vector<char> buffer;  // the body and the padding the parser may read beyond it

  // The body without the blanks at its end, moved to where the parser may read beyond it; empty when
  // all is blank.
  std::string_view Hold(std::string_view body) {
    const std::string_view trimmed = Trim(body);
    const size_t lead = trimmed.empty() ? 0 : static_cast<size_t>(trimmed.data() - body.data());
    const size_t size = lead + trimmed.size();  // leading lines stay, for line numbers
    if (buffer.size() < size + simdjson::SIMDJSON_PADDING) {
      buffer.resize(std::bit_ceil(size + simdjson::SIMDJSON_PADDING));
    }
    if (size > 0) std::memcpy(buffer.data(), body.data(), size);
    return {buffer.data(), size};
  }

  // `text` lies within the buffer. The value is good until the next call.
  simdjson::error_code Parse(std::string_view text, dom::element& value) {
    if (text.size() > parser.capacity()) {
      const auto error = parser.allocate(std::bit_ceil(std::max<size_t>(text.size(), 1024)));
      if (error != simdjson::SUCCESS) return error;
    }
    return parser.parse(text.data(), text.size(), false).get(value);
  }

  static void Take(dom::element value, size_t position, ReadResult& result) {
    Fault fault;
    if (ReadEvent(value, result.events.emplace_back(), fault)) {
      result.positions.push_back(position);
      return;
    }
    result.events.pop_back();
    result.rejected.push_back({position, IdOf(value), fault.ToStatus(Code::kInvalidArgument)});
  }

  // A piece of a body that stands or falls alone.
  void TakeText(std::string_view text, size_t position, size_t line, ReadResult& result) {
    dom::element value;
    if (const auto error = Parse(text, value); error != simdjson::SUCCESS) {
      result.rejected.push_back({position, {}, Explain(text, error, line)});
    } else {
      Take(value, position, result);
    }
  }

  // The whole body is one value: an event or an array of them.
  Result<ReadResult> ReadDocument(std::string_view body, size_t max_events) {
    ReadResult result;
    dom::element value;
    if (const auto error = Parse(body, value); error != simdjson::SUCCESS) {
      return ReadRefused(body, error, max_events);
    }
    dom::array array;
    if (value.get(array) != simdjson::SUCCESS) {
      if (max_events == 0) return TooMany(max_events);
      Take(value, 0, result);
      return result;
    }
    size_t position = 0;
    for (const dom::element item : array) {
      if (position == max_events) return TooMany(max_events);
      Take(item, position++, result);
    }
    return result;
  }

  // The parser refused the body. If it is JSON all the same, only the events at fault are rejected.
  Result<ReadResult> ReadRefused(std::string_view body, simdjson::error_code error,
                                 size_t max_events) {
    const Scan scan = ScanJson(body);
    if (scan.syntax || !scan.limit) return Explain(body, error);
    ReadResult result;
    if (body[body.find_first_not_of(kSpaces)] != '[') {
      result.rejected.push_back({0, {}, FromScan(*scan.limit, 1)});
      return result;
    }
    if (scan.elements.size() > max_events) return TooMany(max_events);
    for (size_t i = 0; i < scan.elements.size(); ++i) {
      TakeText(scan.elements[i], i, 1, result);
    }
    return result;
  }

  Result<ReadResult> ReadLines(std::string_view body, size_t max_events) {
    ReadResult result;
    Lines lines(body);
    Line line;
    for (size_t position = 0; lines.Next(line); ++position) {
      if (position == max_events) return TooMany(max_events);
      TakeText(line.text, position, line.number, result);
    }
    return result;
  }

  // Several lines: one object over several of them, or one a line?
  bool IsNdjson(std::string_view body, const Line& first, const Line& second) {
    dom::element value;
    if (Parse(first.text, value) == simdjson::SUCCESS) return true;
    if (!ScanJson(body).syntax) return false;
    // Neither reads. It is taken for lines when they look like objects, so that one wrong line
    // does not cost the others.
    return first.text.back() == '}' || second.text.front() == '{';
  }
};

JsonReader::JsonReader() : impl_(std::make_unique<Impl>()) {}
JsonReader::~JsonReader() = default;

Result<Event> JsonReader::ReadOne(std::string_view json) {
  const std::string_view text = impl_->Hold(json);
  dom::element value;
  if (const auto error = impl_->Parse(text, value); error != simdjson::SUCCESS) {
    return Explain(text, error);
  }
  Event event;
  Fault fault;
  if (!ReadEvent(value, event, fault)) return fault.ToStatus(Code::kInvalidArgument);
  return event;
}

Result<ReadResult> JsonReader::ReadBody(std::string_view body, size_t max_events) {
  const std::string_view text = impl_->Hold(body);
  if (text.empty()) return InvalidArgument("the body is empty; expected one event or more as JSON");
  Lines lines(text);
  Line first, second;
  const bool several = lines.Next(first) && lines.Next(second);
  const bool ndjson = several && first.text.front() != '[' && impl_->IsNdjson(text, first, second);
  return ndjson ? impl_->ReadLines(text, max_events) : impl_->ReadDocument(text, max_events);
}

std::string TextOf(const Extra& extra, std::string_view member) {
  if (extra.text.empty()) return {};
  dom::parser parser;
  dom::element object;
  std::string_view text;
  if (parser.parse(extra.text).get(object) != simdjson::SUCCESS ||
      object[member].get(text) != simdjson::SUCCESS) {
    return {};
  }
  return std::string(text);
}

std::optional<double> NumberOf(const RawJson& object, std::string_view member) {
  dom::parser parser;
  dom::element members;
  double number = 0;
  if (parser.parse(object.text).get(members) != simdjson::SUCCESS ||
      members[member].get(number) != simdjson::SUCCESS) {
    return std::nullopt;
  }
  return number;
}

}  // namespace heed::event
