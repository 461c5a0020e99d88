// The comments written and labelled for this project: src/text/data/comments_*.tsv,
// docs/comments-guideline.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"

namespace heed::text {

struct LabelledComment {
  std::string room, intent, sentiment;
  bool offence = false;
  std::string cluster;  // of its room; empty: asks nothing
  std::string text;

  bool asks() const { return !cluster.empty(); }
};

// Errors are "path:line: ...".
Result<std::vector<LabelledComment>> ReadLabelledComments(const std::string& path);
// `name` stands for the path in errors.
Result<std::vector<LabelledComment>> ParseLabelledComments(std::string_view bytes,
                                                           const std::string& name);

}  // namespace heed::text
