#include "server/text_json.h"

#include <cmath>
#include <utility>

namespace heed::server {

namespace json = boost::json;

namespace {

json::value TimeOrNull(int64_t ts) { return ts > 0 ? json::value(ts) : json::value(nullptr); }

template <typename T>
json::value OrNull(const std::optional<T>& value) {
  return value ? json::value(*value) : json::value(nullptr);
}

json::object ProductJson(const engine::QuestionProduct& product) {
  json::object out = {{"id", product.facts.id},
                      {"title", product.facts.title},
                      {"price_cents", OrNull(product.facts.price_cents)},
                      {"stock", OrNull(product.facts.stock)},
                      {"by", product.named ? "name" : "shown"}};
  json::error_code error;
  const json::value document = json::parse(product.document, error);
  if (error || !document.is_object()) return out;
  if (const json::value* attributes = document.get_object().if_contains("attributes")) {
    out["attributes"] = *attributes;
  }
  return out;
}

json::object QuestionJson(const engine::RoomQuestion& question) {
  const text::QuestionCluster& cluster = question.cluster;
  json::object out = {{"id", std::to_string(cluster.id)},
                      {"text", cluster.text},
                      {"comments", cluster.comments},
                      {"viewers", cluster.viewers},
                      {"waiting", cluster.waiting},
                      {"buying", json::object{{"viewers", cluster.buying},
                                              {"clicked", cluster.clicked},
                                              {"carted", cluster.carted},
                                              {"ordered", cluster.ordered}}},
                      {"first_ts", cluster.first_ms},
                      {"last_ts", cluster.last_ms},
                      {"answered_ts", TimeOrNull(cluster.answered_ms)}};
  if (question.product) out["product"] = ProductJson(*question.product);
  return out;
}

json::object SegmentJson(const text::TranscriptSegment& segment) {
  return {{"ts", segment.begin_ms}, {"end_ts", segment.end_ms}, {"text", segment.text}};
}

}  // namespace

double Rounded(double value) { return std::round(value * 1e6) / 1e6; }

json::object LintJson(const text::LintHit& hit, std::string_view text) {
  json::object out = {{"pack", hit.pack},   {"version", hit.version},
                      {"rule", hit.rule},   {"severity", hit.severity},
                      {"basis", hit.basis}, {"begin", hit.begin},
                      {"end", hit.end},     {"words", text.substr(hit.begin, hit.end - hit.begin)}};
  if (!hit.allowed_by.empty()) out["allowed_by"] = hit.allowed_by;
  return out;
}

json::object QuestionsJson(const engine::RoomQuestions& asked) {
  json::array questions;
  for (const engine::RoomQuestion& question : asked.questions) {
    questions.push_back(QuestionJson(question));
  }
  return {{"session", asked.session},
          {"ts", TimeOrNull(asked.ts)},
          {"questions", std::move(questions)}};
}

json::object CommentsJson(const engine::RoomCommentView& view) {
  const text::LiveSnapshot& now = view.now;
  json::object intents;
  for (const auto& [intent, share] : now.intents) intents[intent] = Rounded(share);
  json::array words, bursts, hits, said;
  for (const text::LiveSnapshot::Word& word : now.words) {
    words.push_back(
        {{"text", word.text}, {"heat", Rounded(word.heat)}, {"count", Rounded(word.count)}});
  }
  for (auto burst = view.bursts.rbegin(); burst != view.bursts.rend(); ++burst) {
    bursts.push_back({{"begin_ts", burst->begin_ms},
                      {"end_ts", TimeOrNull(burst->end_ms)},
                      {"peak_z", Rounded(burst->peak_z)},
                      {"peak_comments", burst->peak_comments}});
  }
  for (const engine::RoomLint& lint : view.hits) {
    json::object hit = LintJson(lint.hit, lint.text);
    hit["ts"] = lint.ts;
    hit["source"] = lint.source;
    hit["sequence"] = lint.sequence;
    hit["text"] = lint.text;
    hits.push_back(std::move(hit));
  }
  for (const text::TranscriptSegment& segment : view.said) said.push_back(SegmentJson(segment));
  json::object transcript = {{"final", std::move(said)}};
  if (view.saying) transcript["partial"] = SegmentJson(*view.saying);
  json::value lag = nullptr;
  if (view.lag) {
    lag = json::object{{"lag_ms", view.lag->lag_ms},
                       {"z", Rounded(view.lag->z)},
                       {"pairs", Rounded(view.lag->pairs)}};
  }
  return {{"session", view.session},
          {"ts", TimeOrNull(view.ts)},
          {"comments_per_s", Rounded(now.comments_per_s)},
          {"usual_per_s", Rounded(now.usual_per_s)},
          {"z", Rounded(now.z)},
          {"burst", now.burst},
          {"minute", json::object{{"comments", now.comments},
                                  {"viewers", now.viewers},
                                  {"intents", std::move(intents)},
                                  {"sentiment", Rounded(now.sentiment)}}},
          {"words", std::move(words)},
          {"bursts", std::move(bursts)},
          {"lag", std::move(lag)},
          {"lint", std::move(hits)},
          {"transcript", std::move(transcript)},
          {"late", now.late}};
}

}  // namespace heed::server
