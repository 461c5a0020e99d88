#include "server/router.h"

#include <utility>

namespace heed::server {
namespace {

// "/a/b" → a, b. The views point into `path`.
template <typename Text>
std::vector<Text> Split(std::string_view path) {
  std::vector<Text> out;
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    const size_t end = std::min(path.find('/'), path.size());
    out.emplace_back(path.substr(0, end));
    path.remove_prefix(end);
  }
  return out;
}

}  // namespace

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (const Route& route : routes_) segments_.push_back(Split<std::string>(route.pattern));
}

// A scan over some twenty short patterns: well under a microsecond, and their order never matters
// because no two of them match the same path.
Router::Match Router::Find(Method method, std::string_view path) const {
  Match match;
  if (!path.starts_with('/')) return match;
  const auto parts = Split<std::string_view>(path);
  const Method wanted = method == Method::kHead ? Method::kGet : method;
  for (size_t r = 0; r < routes_.size(); ++r) {
    const auto& segments = segments_[r];
    if (segments.size() != parts.size()) continue;
    std::vector<std::string> params;
    bool equal = true;
    for (size_t i = 0; i < parts.size() && equal; ++i) {
      if (segments[i].starts_with('{')) {
        equal = !parts[i].empty();
        params.emplace_back(parts[i]);
      } else {
        equal = segments[i] == parts[i];
      }
    }
    if (!equal) continue;
    if (routes_[r].method == wanted) {
      match.route = &routes_[r];
      match.params = std::move(params);
      return match;
    }
    if (!match.allow.empty()) match.allow += ", ";
    match.allow += MethodName(routes_[r].method);
    if (routes_[r].method == Method::kGet) match.allow += ", HEAD";
  }
  return match;
}

}  // namespace heed::server
