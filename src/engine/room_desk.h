// What operators ask of rooms and tell about them: questions with the facts that answer them, the comments'
// statistics, transcripts, what has been answered; and what single texts mean.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "heed/engine.h"

#include "engine/comment_reader.h"
#include "engine/shelf.h"
#include "engine/text_tools.h"

namespace heed::engine {

struct JudgedText {
  text::CommentAnalysis analysis;
  std::vector<text::LintHit> hits;
};

// A product that a question is about.
struct QuestionProduct {
  ShelfProduct facts;
  bool named = false;    // by the question; else it was being shown when it was asked
  std::string document;  // of the catalog, JSON; empty: none
};

struct RoomQuestion {
  text::QuestionCluster cluster;
  std::optional<QuestionProduct> product;
};

struct RoomQuestions {
  std::string session;
  int64_t ts = 0;  // the room's time: of its newest event, and what has passed since
  std::vector<RoomQuestion> questions;
};

struct RoomCommentView {
  std::string session;
  int64_t ts = 0;
  text::LiveSnapshot now;
  std::vector<text::Burst> bursts;
  std::optional<text::Lag> lag;
  std::vector<RoomLint> hits;                     // the newest first
  std::vector<text::TranscriptSegment> said;      // the last ones; times are event times
  std::optional<text::TranscriptSegment> saying;  // partial
};

// Of a room whose mutex is held, or that nobody else has.
RoomCommentView ViewOf(text::RoomComments* comments, int64_t now_ms, size_t words);

struct TranscriptPost {
  std::string tenant, room;
  std::string session;                // empty: the live one
  std::optional<int64_t> started_ts;  // zero of the segments' times; absent: the broadcast's start
  std::vector<text::TranscriptSegment> segments;
};

struct TranscriptAnswer {
  size_t stored = 0, duplicates = 0;  // final ones
  size_t partial = 0;
};

// Thread-safe.
class RoomDesk {
 public:
  // Data: {"question": "<cluster id>", "text": "<the question>"}.
  static constexpr const char* kAnswered = "x.heed.question.answered";

  static Result<std::unique_ptr<RoomDesk>> Open(const EngineOptions& options,
                                                const state::State& state,
                                                const decide::Catalog& catalog);

  CommentReader& reader() { return reader_; }
  // Begins reading; `log` outlives the next Stop of the reader.
  void Start(store::EventLog* log);

  JudgedText Judge(const std::string& text, std::span<const text::LintEvidence> evidence) const;
  // kNotFound for a room that no event named. One without comments is empty.
  Result<RoomQuestions> Questions(std::string_view tenant, std::string_view room,
                                  size_t limit) const;
  Result<RoomCommentView> Comments(std::string_view tenant, std::string_view room,
                                   size_t words) const;
  // Both return when what they say is durable, and read. `by`: who says so; may be empty.
  // kNotFound: no such room or question.
  Status MarkAnswered(const std::string& tenant, const std::string& room, uint64_t question,
                      const std::string& by);
  // All of a request's final segments, or none. A segment sent again is a duplicate.
  Result<TranscriptAnswer> AddTranscript(const TranscriptPost& post);
  CommentStats Stats() const { return reader_.Stats(); }

 private:
  RoomDesk(const EngineOptions& options, std::unique_ptr<TextTools> tools,
           const state::State& state, const decide::Catalog& catalog);
  Status KnowsRoom(std::string_view tenant, std::string_view room) const;
  std::optional<QuestionProduct> ProductOf(const text::QuestionCluster& cluster,
                                           const std::vector<ShelfProduct>& shelf,
                                           std::optional<size_t> named,
                                           std::string_view tenant) const;

  const int64_t max_future_ms_;
  const std::unique_ptr<TextTools> tools_;
  const state::State& state_;
  const decide::Catalog& catalog_;
  store::EventLog* log_ = nullptr;
  CommentReader reader_;
};

}  // namespace heed::engine
