#include "text/analyzer.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/suggest.h"
#include "text/normalize.h"

namespace heed::text {
namespace {

// Where several lists are found, the first of these decides: what is dangerous to miss, then what can be
// answered, then the rest. Only without a model.
constexpr std::array<std::string_view, 10> kIntents = {
    "spam",     "complaint", "size",   "price",    "stock",
    "shipping", "purchase",  "praise", "question", "chat"};
constexpr std::array<std::string_view, 5> kAskingIntents = {"question", "price", "size", "stock",
                                                            "shipping"};
bool Contains(std::span<const std::string_view> names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

// A rule's answer: the share of the hits that speak for it, held back from certainty.
TextLabel ByLists(std::string_view name, const std::vector<WordLists::Hit>& hits,
                  const WordLists& lists, std::string_view text,
                  bool (*speaks)(const WordList&, std::string_view)) {
  TextLabel label{std::string(name), 0, {}};
  for (const WordLists::Hit& hit : hits) {
    if (!speaks(lists.all()[hit.list], name)) continue;
    label.reasons.push_back(
        {std::string(text.substr(hit.begin, hit.end - hit.begin)), hit.begin, hit.end, 0, 1});
  }
  for (Reason& reason : label.reasons) {
    reason.weight = 1.0f / static_cast<float>(label.reasons.size());
  }
  const auto n = static_cast<float>(label.reasons.size());
  label.probability = (n + 0.5f) / (static_cast<float>(hits.size()) + 1.0f);
  return label;
}

}  // namespace

bool Asks(std::string_view intent) { return Contains(kAskingIntents, intent); }

struct Analyzer::Model {
  std::unique_ptr<Classifier> classifier;
  bool with_tokens = false;

  const std::vector<std::string>& names() const { return classifier->config().labels; }
  // Null for null.
  static Result<std::unique_ptr<const Model>> Make(std::unique_ptr<Classifier> classifier,
                                                   std::span<const std::string_view> names);
  // `probabilities`: may be null.
  TextLabel Ask(std::string_view text, const WordLists& lists, bool with_reasons,
                std::vector<float>* probabilities) const;
};

Result<std::unique_ptr<const Analyzer::Model>> Analyzer::Model::Make(
    std::unique_ptr<Classifier> classifier, std::span<const std::string_view> names) {
  if (classifier == nullptr) return std::unique_ptr<const Model>();
  auto model = std::make_unique<Model>();
  model->classifier = std::move(classifier);
  for (const std::string& name : model->names()) {
    if (Contains(names, name)) continue;
    return InvalidArgument("class '" + name + "' is not one of this model's" +
                           Suggestion(name, {names.begin(), names.end()}));
  }
  // The mark before the text is known to whoever was trained with it.
  std::string mark;
  AppendUtf8(WordLists::kTextBegins, &mark);
  model->with_tokens = !model->classifier->Explain(mark).tokens.empty();
  return std::unique_ptr<const Model>(std::move(model));
}

TextLabel Analyzer::Model::Ask(std::string_view text, const WordLists& lists, bool with_reasons,
                               std::vector<float>* probabilities) const {
  size_t prefix = 0;
  const std::string input = with_tokens ? lists.WithTokens(text, &prefix) : std::string(text);
  if (!with_reasons) {
    thread_local const ScratchPtr scratch = NewScratch();
    TextBatch batch;
    classifier->Append(input, &batch);
    std::vector<float> answers(names().size());
    classifier->Score(batch, scratch.get(), answers);
    classifier->ToProbabilities(answers);
    const auto best = std::max_element(answers.begin(), answers.end());
    TextLabel label{names()[static_cast<size_t>(best - answers.begin())], *best, {}};
    if (probabilities != nullptr) *probabilities = std::move(answers);
    return label;
  }
  Explanation answer = classifier->Explain(input);
  const std::vector<WordLists::Hit> hits =
      with_tokens ? lists.Find(text) : std::vector<WordLists::Hit>();
  TextLabel label{names()[answer.label], answer.probabilities[answer.label], {}};
  for (const Token& token : answer.tokens) {
    Reason reason;
    reason.weight = token.weight;
    const float mean =
        std::accumulate(token.contributions.begin(), token.contributions.end(), 0.0f) /
        static_cast<float>(token.contributions.size());
    reason.contribution = token.contributions[answer.label] - mean;
    reason.begin = token.begin > prefix ? token.begin - static_cast<uint32_t>(prefix) : 0;
    reason.end = token.end > prefix ? token.end - static_cast<uint32_t>(prefix) : 0;
    for (unsigned place = kLongestNgram; place-- > 0;) {
      const auto code = static_cast<char32_t>(token.key >> (21 * place) & 0x1FFFFF);
      if (code == 0 || code == WordLists::kTextBegins) continue;
      const auto list = std::find_if(lists.all().begin(), lists.all().end(),
                                     [&](const WordList& l) { return l.token == code; });
      if (list == lists.all().end()) {
        reason.words += NgramText(code);
        continue;
      }
      reason.words += "[" + list->name + "]";
      const auto number = static_cast<uint32_t>(list - lists.all().begin());
      const auto hit = std::find_if(hits.begin(), hits.end(),
                                    [&](const WordLists::Hit& h) { return h.list == number; });
      if (hit != hits.end() && reason.end == 0) {
        reason.begin = hit->begin;
        reason.end = hit->end;
      }
    }
    label.reasons.push_back(std::move(reason));
  }
  std::stable_sort(
      label.reasons.begin(), label.reasons.end(),
      [](const Reason& a, const Reason& b) { return a.contribution > b.contribution; });
  if (probabilities != nullptr) *probabilities = std::move(answer.probabilities);
  return label;
}

Analyzer::Analyzer(std::shared_ptr<const WordLists> lists, std::unique_ptr<const Model> intent,
                   std::unique_ptr<const Model> sentiment, std::unique_ptr<const Model> offence)
    : lists_(std::move(lists)),
      intent_(std::move(intent)),
      sentiment_(std::move(sentiment)),
      offence_(std::move(offence)) {}
Analyzer::~Analyzer() = default;

Result<std::unique_ptr<Analyzer>> Analyzer::Load(const AnalyzerFiles& files) {
  AnalyzerParts parts;
  HEED_ASSIGN_OR_RETURN(parts.word_lists, WordLists::ReadFile(files.word_lists));
  const auto load = [](const std::string& path, std::unique_ptr<Classifier>* out) -> Status {
    if (path.empty()) return {};
    HEED_ASSIGN_OR_RETURN(*out, Classifier::Load(path));
    return {};
  };
  HEED_RETURN_IF_ERROR(load(files.intent_model, &parts.intent));
  HEED_RETURN_IF_ERROR(load(files.sentiment_model, &parts.sentiment));
  HEED_RETURN_IF_ERROR(load(files.offence_model, &parts.offence));
  return Make(std::move(parts));
}

Result<std::unique_ptr<Analyzer>> Analyzer::Make(AnalyzerParts parts) {
  constexpr std::array<std::string_view, 3> kSentiments = {"negative", "neutral", "positive"};
  constexpr std::array<std::string_view, 2> kOffences = {"clean", "offensive"};
  for (const WordList& list : parts.word_lists->all()) {
    if (!list.intent.empty() && !Contains(kIntents, list.intent)) {
      return InvalidArgument("list '" + list.name + "': no intent '" + list.intent + "'",
                             "word_lists");
    }
  }
  const auto named = [](const char* which, auto model) {
    return model.ok() ? std::move(model)
                      : decltype(model)(InvalidArgument(
                            std::string(which) + ": " + model.status().message(), which));
  };
  HEED_ASSIGN_OR_RETURN(auto intent,
                        named("intent_model", Model::Make(std::move(parts.intent), kIntents)));
  HEED_ASSIGN_OR_RETURN(
      auto sentiment,
      named("sentiment_model", Model::Make(std::move(parts.sentiment), kSentiments)));
  HEED_ASSIGN_OR_RETURN(auto offence,
                        named("offence_model", Model::Make(std::move(parts.offence), kOffences)));
  return std::unique_ptr<Analyzer>(new Analyzer(std::move(parts.word_lists), std::move(intent),
                                                std::move(sentiment), std::move(offence)));
}

CommentAnalysis Analyzer::Analyze(std::string_view text, bool with_reasons) const {
  CommentAnalysis out;
  const std::vector<WordLists::Hit> hits = lists_->Find(text);
  const auto any = [&](auto speaks) {
    return std::any_of(hits.begin(), hits.end(),
                       [&](const WordLists::Hit& hit) { return speaks(lists_->all()[hit.list]); });
  };
  const bool how_to_buy =
      any([](const WordList& list) { return list.intent == "purchase" && list.topic; });
  if (intent_ != nullptr) {
    std::vector<float> probabilities;
    out.intent = intent_->Ask(text, *lists_, with_reasons, &probabilities);
    for (size_t c = 0; c < probabilities.size(); ++c) {
      const std::string& name = intent_->names()[c];
      if (Contains(kAskingIntents, name) || (how_to_buy && name == "purchase")) {
        out.asks += probabilities[c];
      }
    }
  } else {
    const bool asking = any([](const WordList& list) { return list.name == "asking"; });
    std::string_view name = asking ? "question" : "chat";
    for (const std::string_view intent : kIntents) {
      if (any([&](const WordList& list) { return list.intent == intent; })) {
        name = intent;
        break;
      }
    }
    if (asking && (name == "chat" || name == "praise")) name = "question";
    out.intent =
        ByLists(name, hits, *lists_, text, [](const WordList& list, std::string_view intent) {
          return list.intent == intent || (intent == "question" && list.name == "asking");
        });
    if (asking || how_to_buy) out.asks = kAskingPrecision;
  }

  if (sentiment_ != nullptr) {
    out.sentiment = sentiment_->Ask(text, *lists_, with_reasons, nullptr);
  } else {
    int polarity = 0;
    for (const WordLists::Hit& hit : hits) polarity += lists_->all()[hit.list].polarity;
    out.sentiment =
        ByLists(polarity > 0   ? "positive"
                : polarity < 0 ? "negative"
                               : "neutral",
                hits, *lists_, text, [](const WordList& list, std::string_view name) {
                  return list.polarity == (name == "positive" ? 1 : name == "negative" ? -1 : 0);
                });
  }

  const bool insult = any([](const WordList& list) { return list.offence; });
  float offensive = 0;
  if (offence_ != nullptr) {
    std::vector<float> probabilities;
    out.offence = offence_->Ask(text, *lists_, with_reasons, &probabilities);
    const auto& names = offence_->names();
    offensive = probabilities[static_cast<size_t>(
        std::find(names.begin(), names.end(), "offensive") - names.begin())];
  }
  // Either is enough: the model knows what the lists do not, and the other way round.
  if (insult) offensive = 1 - (1 - offensive) * (1 - kInsultPrecision);
  const std::string_view name = offensive >= 0.5f ? "offensive" : "clean";
  if (offence_ == nullptr || name != out.offence.name) {
    out.offence = ByLists(name, hits, *lists_, text, [](const WordList& list, std::string_view n) {
      return list.offence == (n == "offensive");
    });
  }
  out.offence.probability = offensive >= 0.5f ? offensive : 1 - offensive;
  return out;
}

}  // namespace heed::text
