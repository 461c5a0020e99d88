// What reading comments does, at /metrics. The engine counts; a scrape adds what has come since the last.
#include <memory>
#include <vector>

#include "engine/room_desk.h"
#include "server/api.h"

namespace heed::server {

void AddCommentMetrics(Engine& engine, Metrics& metrics) {
  if (engine.desk() == nullptr) return;
  using engine::CommentStats;
  const Counter read = metrics.AddCounter("heed_comments_total", "Comments, by what became of them",
                                          {{"result", "read"}});
  const Counter skipped = metrics.AddCounter(
      "heed_comments_total", "Comments, by what became of them", {{"result", "skipped"}});
  const Counter segments =
      metrics.AddCounter("heed_speech_segments_total", "Segments of speech read");
  const Counter hits = metrics.AddCounter("heed_lint_hits_total",
                                          "Found by compliance packs or the model beside them");
  const Histogram latency = metrics.AddHistogram(
      "heed_comment_seconds", "From an acknowledged comment to the statistics that count it",
      {CommentStats::kLatencyBounds.begin(), CommentStats::kLatencyBounds.end()});
  const Gauge queued = metrics.AddGauge("heed_comments_queued", "Waiting to be read");
  const Gauge rooms = metrics.AddGauge("heed_comment_rooms", "Rooms whose comments are kept");
  metrics.BeforeScrape([=, &desk = *engine.desk(), before = std::make_shared<CommentStats>()] {
    const CommentStats now = desk.Stats();
    read.Add(now.comments - before->comments);
    skipped.Add(now.skipped - before->skipped);
    segments.Add(now.segments - before->segments);
    hits.Add(now.hits - before->hits);
    std::vector<double> more;
    for (size_t i = 0; i < now.latency.size(); ++i) {
      more.push_back(static_cast<double>(now.latency[i] - before->latency[i]));
    }
    latency.Add(more, now.latency_s - before->latency_s);
    queued.Set(static_cast<double>(now.queued));
    rooms.Set(static_cast<double>(now.rooms));
    *before = now;
  });
}

}  // namespace heed::server
