// The bullet comments of $HEED_DATA/danmaku, for tests and benchmarks.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <string>
#include <vector>

namespace heed::text {

struct Danmaku {
  std::string video;
  double t_s = 0;  // within the recording
  std::string user, text;
};

// By video and time. Empty when the file is not there.
inline std::vector<Danmaku> ReadDanmaku(const std::string& data) {
  std::ifstream in(data + "/danmaku/edg_lpl2021.csv");
  std::vector<Danmaku> all;
  std::string line;
  std::getline(in, line);  // video,t_sec,mode,font,color,unix_ts,user,text
  while (std::getline(in, line)) {
    std::vector<std::string> fields(1);
    for (const char c : line) {
      if (c == ',' && fields.size() < 8) {
        fields.emplace_back();
      } else {
        fields.back() += c;
      }
    }
    if (fields.size() < 8) continue;  // the rest of a quoted text with a line break
    std::string& text = fields[7];
    if (!text.empty() && text.back() == '\r') text.pop_back();
    if (text.size() > 1 && text.front() == '"') text = text.substr(1, text.size() - 2);
    all.push_back({fields[0], std::atof(fields[1].c_str()), fields[6], text});
  }
  std::stable_sort(all.begin(), all.end(), [](const Danmaku& a, const Danmaku& b) {
    return a.video != b.video ? a.video < b.video : a.t_s < b.t_s;
  });
  return all;
}

}  // namespace heed::text
