#include "text/lint.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <set>

#include "base/file.h"
#include "base/toml_table.h"
#include "text/terms.h"

namespace heed::text {
namespace {

constexpr size_t kMaxCharacters = 1'000'000;
constexpr uint32_t kBefore = 6;  // characters that `unless_before` reaches back

// 00:00 of a day in China, or nothing.
bool ParseDay(const std::string& text, int64_t* ms) {
  int year = 0;
  unsigned month = 0, day = 0;
  char end = 0;
  if (std::sscanf(text.c_str(), "%4d-%2u-%2u%c", &year, &month, &day, &end) != 3) return false;
  const std::chrono::year_month_day date{std::chrono::year(year), std::chrono::month(month),
                                         std::chrono::day(day)};
  if (!date.ok()) return false;
  const auto days = std::chrono::sys_days(date).time_since_epoch();
  *ms = std::chrono::duration_cast<std::chrono::milliseconds>(days - std::chrono::hours(8)).count();
  return true;
}

enum class Kind : uint8_t { kTerm, kUnless, kUnlessBefore, kNeeds };

struct Use {  // of a term by a rule
  uint32_t rule;
  Kind kind;
};

struct Span {
  uint32_t begin, end;
};

// Is there a span that begins at or after `low` and at or before `high`? Sorted by begin.
bool AnyBegins(const std::vector<Span>& spans, uint32_t low, uint32_t high) {
  const auto at = std::lower_bound(spans.begin(), spans.end(), low,
                                   [](const Span& s, uint32_t place) { return s.begin < place; });
  return at != spans.end() && at->begin <= high;
}

}  // namespace

struct Linter::Rules {
  struct Pack {
    std::string name, version;
    int64_t from_ms = 0, until_ms = 0;
  };
  struct Rule {
    size_t pack = 0;
    std::string id, severity, basis, evidence;
    uint32_t within = 0;  // characters, of `needs`
    bool has_needs = false;
  };
  // Of one rule in one text, by begin.
  struct Found {
    std::vector<Span> of[4];
  };

  std::vector<Pack> packs;
  std::vector<Rule> rules;
  TermSet terms;
  std::vector<std::vector<Use>> uses;  // by term

  void AddTerms(const TomlTable& table, const char* key, Kind kind, uint32_t rule);
  Status ReadPack(const Source& source, std::set<std::string>* ids);
  // The bytes of the terms that stand, by begin.
  static std::vector<Span> Judge(const Rule& rule, const Reading& reading, Found* found);
};

void Linter::Rules::AddTerms(const TomlTable& table, const char* key, Kind kind, uint32_t rule) {
  for (const std::string& words : table.Strings(key)) {
    const uint32_t term = terms.Add(words);
    if (term == TermSet::kNone) {
      table.Fail(key, std::string("'") + key + "' has a term without letters");
      continue;
    }
    uses.resize(terms.size());
    uses[term].push_back({rule, kind});
  }
}

Status Linter::Rules::ReadPack(const Source& source, std::set<std::string>* ids) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(source.toml, source.name));
  Pack pack;
  pack.name = root.RequiredString("name");
  pack.version = root.RequiredString("version");
  root.String("jurisdiction", "");
  root.Strings("sources");
  pack.until_ms = std::numeric_limits<int64_t>::max();
  if (!ParseDay(root.String("effective_from", ""), &pack.from_ms)) {
    root.Fail("effective_from", "'effective_from' is no date such as 2026-02-01");
  }
  if (root.Has("effective_until") &&
      !ParseDay(root.String("effective_until", ""), &pack.until_ms)) {
    root.Fail("effective_until", "'effective_until' is no date such as 2026-02-01");
  }
  const std::vector<std::string> severities = {"block", "warn"};
  for (const TomlTable& table : root.Tables("rule")) {
    Rule rule;
    rule.pack = packs.size();
    rule.id = table.RequiredString("id");
    if (!ids->insert(pack.name + "/" + rule.id).second) {
      table.Fail("id", "rule '" + rule.id + "' comes twice");
    }
    rule.severity = severities[table.Choice("severity", severities, 0)];
    rule.basis = table.String("basis", "");
    rule.evidence = table.String("evidence", "");
    rule.within = table.Count("within", 12, 1, 200);
    rule.has_needs = table.Has("needs");
    const auto number = static_cast<uint32_t>(rules.size());
    if (table.Strings("terms").empty()) table.Fail("terms", "a rule has terms");
    AddTerms(table, "terms", Kind::kTerm, number);
    AddTerms(table, "unless", Kind::kUnless, number);
    AddTerms(table, "unless_before", Kind::kUnlessBefore, number);
    AddTerms(root, "unless_before", Kind::kUnlessBefore, number);
    AddTerms(table, "needs", Kind::kNeeds, number);
    rules.push_back(std::move(rule));
  }
  packs.push_back(std::move(pack));
  return root.Finish();
}

std::vector<Span> Linter::Rules::Judge(const Rule& rule, const Reading& reading, Found* found) {
  std::vector<Span> spans;
  const auto of = [&](Kind kind) -> std::vector<Span>& {
    return found->of[static_cast<size_t>(kind)];
  };
  for (auto& list : found->of) {
    std::sort(list.begin(), list.end(), [](const Span& a, const Span& b) {
      return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
    });
  }
  // An `unless` excuses the terms inside it, not a longer one: "第一," does not excuse "销量第一,".
  const std::vector<Span>& unless = of(Kind::kUnless);
  std::vector<Span>& before = of(Kind::kUnlessBefore);
  for (Span& span : before) span = {span.end, span.end};  // looked up by where they end
  std::sort(before.begin(), before.end(),
            [](const Span& a, const Span& b) { return a.begin < b.begin; });
  size_t next = 0;
  uint32_t reach = 0;
  for (const Span& term : of(Kind::kTerm)) {
    while (next < unless.size() && unless[next].begin <= term.begin) {
      reach = std::max(reach, unless[next++].end);
    }
    if (reach >= term.end) continue;
    uint32_t low = term.begin;
    while (low > 0 && term.begin - low < kBefore && reading.codes[low - 1] != kStop) --low;
    if (AnyBegins(before, low + 1, term.begin)) continue;
    if (rule.has_needs &&
        !AnyBegins(of(Kind::kNeeds), term.begin - std::min(term.begin, rule.within),
                   term.end + rule.within)) {
      continue;
    }
    spans.push_back({reading.begins[term.begin], reading.ends[term.end - 1]});
  }
  return spans;
}

Linter::Linter(std::unique_ptr<const Rules> rules) : rules_(std::move(rules)) {}
Linter::~Linter() = default;

size_t Linter::rules() const { return rules_->rules.size(); }

Result<std::shared_ptr<const Linter>> Linter::Parse(std::span<const Source> packs) {
  auto rules = std::make_unique<Rules>();
  std::set<std::string> ids;
  for (const Source& source : packs) HEED_RETURN_IF_ERROR(rules->ReadPack(source, &ids));
  rules->terms.Build();
  return std::shared_ptr<const Linter>(new Linter(std::move(rules)));
}

std::vector<LintHit> Linter::Check(std::string_view text, int64_t now_ms,
                                   std::span<const LintEvidence> evidence) const {
  const Reading reading = Read(text, kMaxCharacters);
  std::vector<TermSet::Match> matches;
  rules_->terms.Find(reading, &matches);
  std::vector<Rules::Found> found(rules_->rules.size());
  for (const TermSet::Match& match : matches) {
    for (const Use& use : rules_->uses[match.term]) {
      found[use.rule].of[static_cast<size_t>(use.kind)].push_back({match.begin, match.end});
    }
  }
  std::vector<LintHit> hits;
  for (size_t r = 0; r < found.size(); ++r) {
    const Rules::Rule& rule = rules_->rules[r];
    const Rules::Pack& pack = rules_->packs[rule.pack];
    if (found[r].of[static_cast<size_t>(Kind::kTerm)].empty()) continue;
    if (now_ms < pack.from_ms || now_ms >= pack.until_ms) continue;
    const std::vector<Span> spans = Rules::Judge(rule, reading, &found[r]);
    std::string allowed_by;
    for (const LintEvidence& fact : evidence) {
      if (!rule.evidence.empty() && fact.kind == rule.evidence) allowed_by = fact.id;
    }
    const size_t first = hits.size();
    for (const Span& span : spans) {
      if (hits.size() > first && span.begin < hits.back().end) {
        hits.back().end = std::max(hits.back().end, span.end);
      } else {
        hits.push_back({pack.name, pack.version, rule.id, rule.severity, rule.basis, span.begin,
                        span.end, allowed_by});
      }
    }
  }
  std::stable_sort(hits.begin(), hits.end(),
                   [](const LintHit& a, const LintHit& b) { return a.begin < b.begin; });
  return hits;
}

Result<std::unique_ptr<LintPacks>> LintPacks::Open(const std::string& folder) {
  auto packs = std::unique_ptr<LintPacks>(new LintPacks(folder));
  HEED_RETURN_IF_ERROR(packs->Reload());
  return packs;
}

std::shared_ptr<const Linter> LintPacks::current() const {
  const std::lock_guard lock(mutex_);
  return current_;
}

Result<std::unique_ptr<LintPacks>> LintPacks::Of(std::span<const Linter::Source> sources) {
  auto packs = std::unique_ptr<LintPacks>(new LintPacks(""));
  HEED_ASSIGN_OR_RETURN(packs->current_, Linter::Parse(sources));
  return packs;
}

Result<std::vector<std::string>> LintPacks::Paths() const {
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    if (entry.path().extension() == ".toml") paths.push_back(entry.path().string());
  }
  if (error) return NotFound(folder_ + ": " + error.message());
  if (paths.empty()) return NotFound(folder_ + ": no pack (*.toml) in it");
  std::sort(paths.begin(), paths.end());
  return paths;
}

Status LintPacks::Reload() {
  if (folder_.empty()) return {};
  HEED_ASSIGN_OR_RETURN(const std::vector<std::string> paths, Paths());
  std::vector<Linter::Source> sources;
  for (const std::string& path : paths) {
    HEED_ASSIGN_OR_RETURN(std::string toml, ReadWholeFile(path));
    sources.push_back({path, std::move(toml)});
  }
  HEED_ASSIGN_OR_RETURN(auto linter, Linter::Parse(sources));
  const std::lock_guard lock(mutex_);
  current_ = std::move(linter);
  return {};
}

Result<bool> LintPacks::Refresh() {
  if (folder_.empty()) return false;
  HEED_ASSIGN_OR_RETURN(const std::vector<std::string> paths, Paths());
  std::string stamp;
  for (const std::string& path : paths) {
    std::error_code error;
    const auto changed = std::filesystem::last_write_time(path, error).time_since_epoch().count();
    stamp += path + '\n' + std::to_string(std::filesystem::file_size(path, error)) + ' ' +
             std::to_string(changed) + '\n';
  }
  {
    const std::lock_guard lock(mutex_);
    if (stamp == stamp_) return false;
    // Before reading: what changes meanwhile is seen next time, and a broken pack is told once.
    stamp_ = std::move(stamp);
  }
  HEED_RETURN_IF_ERROR(Reload());
  return true;
}

}  // namespace heed::text
