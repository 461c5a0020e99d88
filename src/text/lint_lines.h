// Sentences of hosts, with and without violations: src/text/data/lint_*.tsv, for tests.
#pragma once

#include <fstream>
#include <string>
#include <vector>

namespace heed::text {

struct LabelledLine {
  std::string topic, text;
  bool violation = false;
};

// `which`: "train", "valid" or "held_out". Empty when the file is not there.
inline std::vector<LabelledLine> LintLines(const std::string& folder, const std::string& which) {
  std::ifstream in(folder + "/lint_" + which + ".tsv");
  std::vector<LabelledLine> lines;
  std::string topic, violation, text;
  std::getline(in, text);  // topic, violation, text
  while (std::getline(in, topic, '\t') && std::getline(in, violation, '\t') &&
         std::getline(in, text)) {
    lines.push_back({topic, text, violation == "1"});
  }
  return lines;
}

}  // namespace heed::text
