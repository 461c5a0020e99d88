#include "text/lint.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <set>

#include "base/file.h"
#include "base/toml_table.h"
#include "text/aho_corasick.h"
#include "text/normalize.h"
#include "text/simplified.h"

namespace heed::text {
namespace {

constexpr size_t kMaxCharacters = 1'000'000;
constexpr char32_t kNumber = 0xE000;  // stands for a number; private use, kept out of texts
constexpr uint32_t kBefore = 6;       // characters that `unless_before` reaches back

bool IsLeftOut(char32_t c) {
  switch (c) {
    case U' ':
    case U'*':
    case U'.':
    case U'-':
    case U'_':
    case U'~':
    case U'·':
    case U'|':
    case kNumber: return true;
    default: return false;
  }
}
bool IsNumeral(char32_t c) {
  return (c >= U'0' && c <= U'9') ||
         std::u32string_view(U"一二三四五六七八九十百千两零几半").find(c) !=
             std::u32string_view::npos;
}
// All stops are one, so that a rule needs to spell out only U','.
constexpr char32_t kStop = U',';
bool IsStop(char32_t c) {
  return std::u32string_view(U",。!?;:、…").find(c) != std::u32string_view::npos;
}

// A text as rules see it, and the bytes each character came from.
struct Reading {
  std::u32string codes;
  std::vector<uint32_t> begins, ends;

  void Add(char32_t code, uint32_t begin, uint32_t end) {
    codes += code;
    begins.push_back(begin);
    ends.push_back(end);
  }
};

Reading Read(std::string_view text) {
  std::vector<Character> characters;
  Normalize(text, kMaxCharacters, &characters);
  Reading reading;
  for (const Character& c : characters) {
    if (IsLeftOut(c.code)) continue;
    reading.Add(IsStop(c.code) ? kStop : Simplified(c.code), c.begin, c.end);
  }
  return reading;
}

// With a stop of no bytes at both ends.
Reading ReadSentence(std::string_view text) {
  const Reading inner = Read(text);
  Reading reading;
  const auto size = static_cast<uint32_t>(std::min<size_t>(text.size(), 0xFFFFFFFFu));
  reading.Add(kStop, 0, 0);
  for (size_t i = 0; i < inner.codes.size(); ++i) {
    reading.Add(inner.codes[i], inner.begins[i], inner.ends[i]);
  }
  const uint32_t last = inner.ends.empty() ? size : inner.ends.back();
  reading.Add(kStop, last, last);
  return reading;
}

// 一 and 几 alone stay: they begin 一般, 一定, 一直, 几乎.
Reading NumbersAsOne(const Reading& reading) {
  Reading out;
  const std::u32string& codes = reading.codes;
  for (size_t i = 0; i < codes.size();) {
    size_t end = i;
    while (end < codes.size() && IsNumeral(codes[end])) ++end;
    const bool alone = end == i + 1 && (codes[i] == U'一' || codes[i] == U'几') &&
                       (end == codes.size() || codes[end] != U'万');
    if (end == i || alone) {
      out.Add(codes[i], reading.begins[i], reading.ends[i]);
      ++i;
    } else {
      out.Add(kNumber, reading.begins[i], reading.ends[end - 1]);
      i = end;
    }
  }
  return out;
}

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

struct Use {  // of a pattern by a rule
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
  // Terms with a number are looked for in NumbersAsOne, the others in the plain reading.
  struct Patterns {
    AhoCorasick automaton;
    std::vector<std::vector<Use>> uses;  // by pattern
    uint32_t longest = 0;
  };
  // Of one rule in one text, by begin.
  struct Found {
    std::vector<Span> of[4];
  };

  std::vector<Pack> packs;
  std::vector<Rule> rules;
  Patterns plain, numbers;

  void AddPatterns(const TomlTable& table, const char* key, Kind kind, uint32_t rule);
  Status ReadPack(const Source& source, std::set<std::string>* ids);
  // Which hits of `rule` stand. `spans` gets bytes.
  void Judge(const Rule& rule, const Reading& reading, Found* found,
             std::vector<Span>* spans) const;
};

void Linter::Rules::AddPatterns(const TomlTable& table, const char* key, Kind kind, uint32_t rule) {
  for (const std::string& term : table.Strings(key)) {
    const Reading plain_term = Read(term);
    const bool numeric = plain_term.codes.find(U'#') != std::u32string::npos;
    if (plain_term.codes.empty()) {
      table.Fail(key, std::string("'") + key + "' has a term without letters");
      continue;
    }
    // What a rule's terms are compared with must lie in the same reading: both get the words.
    for (Patterns* patterns : {&plain, &numbers}) {
      if (numeric && patterns == &plain) continue;
      if (kind == Kind::kTerm && !numeric && patterns == &numbers) continue;
      std::u32string codes =
          patterns == &numbers ? NumbersAsOne(plain_term).codes : plain_term.codes;
      std::replace(codes.begin(), codes.end(), U'#', kNumber);
      const uint32_t pattern = patterns->automaton.Add(codes);
      patterns->uses.resize(std::max<size_t>(patterns->uses.size(), pattern + 1));
      patterns->uses[pattern].push_back({rule, kind});
      patterns->longest = std::max(patterns->longest, static_cast<uint32_t>(codes.size()));
    }
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
    AddPatterns(table, "terms", Kind::kTerm, number);
    AddPatterns(table, "unless", Kind::kUnless, number);
    AddPatterns(table, "unless_before", Kind::kUnlessBefore, number);
    AddPatterns(root, "unless_before", Kind::kUnlessBefore, number);
    AddPatterns(table, "needs", Kind::kNeeds, number);
    rules.push_back(std::move(rule));
  }
  packs.push_back(std::move(pack));
  return root.Finish();
}

void Linter::Rules::Judge(const Rule& rule, const Reading& reading, Found* found,
                          std::vector<Span>* spans) const {
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
    spans->push_back({reading.begins[term.begin], reading.ends[term.end - 1]});
  }
}

Linter::Linter(std::unique_ptr<const Rules> rules) : rules_(std::move(rules)) {}
Linter::~Linter() = default;

size_t Linter::rules() const { return rules_->rules.size(); }

Result<std::shared_ptr<const Linter>> Linter::Parse(std::span<const Source> packs) {
  auto rules = std::make_unique<Rules>();
  std::set<std::string> ids;
  for (const Source& source : packs) HEED_RETURN_IF_ERROR(rules->ReadPack(source, &ids));
  rules->plain.automaton.Build();
  rules->numbers.automaton.Build();
  return std::shared_ptr<const Linter>(new Linter(std::move(rules)));
}

std::vector<LintHit> Linter::Check(std::string_view text, int64_t now_ms,
                                   std::span<const LintEvidence> evidence) const {
  std::vector<std::vector<Span>> spans(rules_->rules.size());  // bytes, by rule
  const Reading plain = ReadSentence(text);
  for (const bool numeric : {false, true}) {
    const Rules::Patterns& patterns = numeric ? rules_->numbers : rules_->plain;
    const Reading collapsed = numeric ? NumbersAsOne(plain) : Reading();
    const Reading& reading = numeric ? collapsed : plain;
    std::vector<AhoCorasick::Match> matches;
    patterns.automaton.Find(reading.codes, &matches);
    std::vector<Rules::Found> found(rules_->rules.size());
    for (const AhoCorasick::Match& match : matches) {
      for (const Use& use : patterns.uses[match.pattern]) {
        found[use.rule].of[static_cast<size_t>(use.kind)].push_back({match.begin, match.end});
      }
    }
    for (size_t r = 0; r < found.size(); ++r) {
      if (found[r].of[static_cast<size_t>(Kind::kTerm)].empty()) continue;
      rules_->Judge(rules_->rules[r], reading, &found[r], &spans[r]);
    }
  }
  std::vector<LintHit> hits;
  for (size_t r = 0; r < spans.size(); ++r) {
    const Rules::Rule& rule = rules_->rules[r];
    const Rules::Pack& pack = rules_->packs[rule.pack];
    if (now_ms < pack.from_ms || now_ms >= pack.until_ms) continue;
    std::string allowed_by;
    for (const LintEvidence& fact : evidence) {
      if (!rule.evidence.empty() && fact.kind == rule.evidence) allowed_by = fact.id;
    }
    std::sort(spans[r].begin(), spans[r].end(),
              [](const Span& a, const Span& b) { return a.begin < b.begin; });
    const size_t first = hits.size();
    for (const Span& span : spans[r]) {
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

Status LintPacks::Reload() {
  std::error_code error;
  std::vector<std::string> paths;
  for (const auto& entry : std::filesystem::directory_iterator(folder_, error)) {
    if (entry.path().extension() == ".toml") paths.push_back(entry.path().string());
  }
  if (error) return NotFound(folder_ + ": " + error.message());
  if (paths.empty()) return NotFound(folder_ + ": no pack (*.toml) in it");
  std::sort(paths.begin(), paths.end());
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

}  // namespace heed::text
