#include "text/labelled_comments.h"

#include <algorithm>

#include "base/file.h"

namespace heed::text {

Result<std::vector<LabelledComment>> ReadLabelledComments(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const std::string bytes, ReadWholeFile(path));
  return ParseLabelledComments(bytes, path);
}

Result<std::vector<LabelledComment>> ParseLabelledComments(std::string_view bytes,
                                                           const std::string& name) {
  constexpr std::string_view kHeader = "room\tcategory\tintent\tsentiment\toffence\tcluster\ttext";
  std::vector<LabelledComment> comments;
  size_t number = 0;
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = std::min(bytes.find('\n', at), bytes.size());
    const std::string_view line = bytes.substr(at, end - at);
    at = end + 1;
    const std::string where = name + ":" + std::to_string(++number) + ": ";
    if (number == 1) {
      if (line != kHeader) return InvalidArgument(where + "another header");
      continue;
    }
    std::vector<std::string> fields(1);
    for (const char c : line) {
      if (c == '\t') {
        fields.emplace_back();
      } else {
        fields.back() += c;
      }
    }
    if (fields.size() != 7) {
      return InvalidArgument(where + std::to_string(fields.size()) + " fields, not 7");
    }
    comments.push_back({.room = fields[0],
                        .intent = fields[2],
                        .sentiment = fields[3],
                        .offence = fields[4] == "1",
                        .cluster = fields[5] == "-" ? "" : fields[5],
                        .text = fields[6]});
  }
  return comments;
}

}  // namespace heed::text
