// heed explain: why a model answers what it answers.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <iostream>
#include <numeric>
#include <string>
#include <vector>

#include "cli/command.h"
#include "engine/builtin_text.h"
#include "event/json_text.h"
#include "text/classifier.h"
#include "text/normalize.h"
#include "text/word_lists.h"

namespace heed::cli {
namespace {

struct Options {
  std::string model, word_lists;
  std::vector<std::string> texts;
  size_t top = 12;
  bool json = false;
};

std::string Quoted(const std::string& text) {
  std::string out;
  event::AppendString(text::ValidUtf8(text), out);
  return out;
}

// An n-gram as it reads, tokens of word lists by their names.
std::string Piece(const text::Token& token, const text::WordLists* lists) {
  std::string piece = text::NgramText(token.key);
  const auto replace = [&](char32_t code, const std::string& by) {
    std::string bytes;
    text::AppendUtf8(code, &bytes);
    for (size_t at = piece.find(bytes); at != std::string::npos; at = piece.find(bytes)) {
      piece.replace(at, bytes.size(), by);
    }
  };
  if (lists == nullptr) return piece;
  for (const text::WordList& list : lists->all()) replace(list.token, "[" + list.name + "]");
  replace(text::WordLists::kTextBegins, "|");
  return piece;
}

// With the bytes of the text before the prefix that a model with word lists reads.
text::Explanation Explain(const text::Classifier& classifier, const text::WordLists* lists,
                          const std::string& text) {
  if (lists == nullptr) return classifier.Explain(text);
  size_t prefix = 0;
  text::Explanation answer = classifier.Explain(lists->WithTokens(text, &prefix));
  for (text::Token& token : answer.tokens) {
    token.begin -= std::min(token.begin, static_cast<uint32_t>(prefix));
    token.end -= std::min(token.end, static_cast<uint32_t>(prefix));
  }
  return answer;
}

void PrintJson(const text::Classifier& classifier, const text::WordLists* lists,
               const std::string& text, const text::Explanation& answer) {
  const std::vector<std::string>& labels = classifier.config().labels;
  const auto numbers = [](const std::vector<float>& values) {
    std::string out;
    for (const float v : values) out += fmt::format("{}{:.6g}", out.empty() ? "" : ",", v);
    return "[" + out + "]";
  };
  std::string names, tokens;
  for (const std::string& label : labels) {
    names += (names.empty() ? "" : ",") + Quoted(label);
  }
  for (const text::Token& token : answer.tokens) {
    tokens +=
        fmt::format(R"({}{{"text":{},"begin":{},"end":{},"weight":{:.6g},"contributions":{}}})",
                    tokens.empty() ? "" : ",", Quoted(Piece(token, lists)), token.begin, token.end,
                    token.weight, numbers(token.contributions));
  }
  fmt::print(R"({{"text":{},"label":{},"probability":{:.6g},"labels":[{}],"probabilities":{},)"
             R"("bias":{},"tokens":[{}]}})"
             "\n",
             Quoted(text), Quoted(labels[answer.label]), answer.probabilities[answer.label], names,
             numbers(answer.probabilities), numbers(answer.bias), tokens);
}

// Columns a terminal needs for `text`: East Asian wide characters take two.
size_t Columns(const std::string& text) {
  size_t columns = 0;
  for (const char byte : text) {
    const auto b = static_cast<uint8_t>(byte);
    if (b < 0x80) ++columns;
    if (b >= 0xE0) columns += 2;           // three bytes and more: almost all of them wide
    if (b >= 0xC0 && b < 0xE0) ++columns;  // two bytes: Latin, Greek, Cyrillic
  }
  return columns;
}

void PrintTable(const text::Classifier& classifier, const text::WordLists* lists,
                const std::string& text, const text::Explanation& answer, size_t top) {
  const std::vector<std::string>& labels = classifier.config().labels;
  fmt::print("{}\n{}  {:.3f}", text::ValidUtf8(text), labels[answer.label],
             answer.probabilities[answer.label]);
  for (size_t c = 0; c < labels.size(); ++c) {
    if (c != answer.label) fmt::print("   {} {:.3f}", labels[c], answer.probabilities[c]);
  }
  fmt::print("\n");
  if (answer.tokens.empty()) {
    fmt::print("  no part of this text was seen in training: the answer is the average one\n");
    return;
  }
  std::vector<size_t> order(answer.tokens.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return answer.tokens[a].weight > answer.tokens[b].weight;
  });
  if (order.size() > top) order.resize(top);
  const bool bars = isatty(STDOUT_FILENO) != 0;
  const float largest = answer.tokens[order[0]].weight;
  fmt::print("  weight  for {}\n", labels[answer.label]);
  for (const size_t i : order) {
    const text::Token& token = answer.tokens[i];
    const std::string piece = Piece(token, lists);
    // What speaks for the class is what it adds beyond the other classes' mean.
    float others = 0.0f;
    for (const float one : token.contributions) others += one;
    const float own = token.contributions[answer.label];
    others = (others - own) / static_cast<float>(labels.size() - 1);
    std::string bar;
    const auto length = static_cast<size_t>(24.0f * token.weight / std::max(largest, 1e-9f));
    for (size_t n = 0; bars && n < length; ++n) bar += "█";
    fmt::print("  {:6.3f}  {:+7.3f}  {}{}{}\n", token.weight, own - others, piece,
               std::string(Columns(piece) < 10 && bars ? 10 - Columns(piece) : 0, ' '), bar);
  }
  if (answer.tokens.size() > order.size()) {
    fmt::print("  and {} more (--top)\n", answer.tokens.size() - order.size());
  }
}

int ExplainText(const Options& options) {
  const bool builtin = options.model.empty();
  const auto classifier = builtin ? text::Classifier::Parse(engine::Builtin().intent_model)
                                  : text::Classifier::Load(options.model);
  if (!classifier.ok()) return Fail(classifier.status());
  std::shared_ptr<const text::WordLists> lists;
  if (builtin || !options.word_lists.empty()) {
    auto read = builtin ? text::WordLists::Parse(engine::Builtin().word_lists, "word_lists.toml")
                        : text::WordLists::ReadFile(options.word_lists);
    if (!read.ok()) return Fail(read.status());
    lists = std::move(read).value();
  }
  std::string mark;
  text::AppendUtf8(text::WordLists::kTextBegins, &mark);
  if (lists == nullptr && !classifier.value()->Explain(mark).tokens.empty()) {
    return Fail(InvalidArgument(options.model +
                                " was trained with word lists: name them with --word-lists"));
  }
  const auto explain = [&](const std::string& text) {
    const text::Explanation answer = Explain(*classifier.value(), lists.get(), text);
    if (options.json) {
      PrintJson(*classifier.value(), lists.get(), text, answer);
    } else {
      PrintTable(*classifier.value(), lists.get(), text, answer, options.top);
    }
  };
  for (const std::string& text : options.texts) explain(text);
  std::string line;
  while (options.texts.empty() && !StopRequested() && std::getline(std::cin, line)) {
    if (line.ends_with('\r')) line.pop_back();
    if (!line.empty()) explain(line);
  }
  std::fflush(stdout);
  return std::ferror(stdout) != 0 ? Fail(IoError("standard output cannot be written")) : 0;
}

}  // namespace

void AddExplain(CLI::App& app, int* exit_code) {
  auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("explain", "Show why a model answers what it answers");
  command->require_subcommand(1);
  CLI::App* text = command->add_subcommand(
      "text", "A text's class, with the weight and the contribution of each part of it");
  text->footer(
      "Examples:\n"
      "  heed explain text \"165 120斤穿什么码\"\n"
      "  heed train --config examples/recipes/zh-books.toml --data DIR --out books.heed\n"
      "  heed explain text --model books.heed \"这本书真的很不错，推荐给大家！\"\n"
      "  heed explain text --model books.heed --json < comments.txt      one text a line\n"
      "Weights are attention over all parts and sum to 1; contributions are to the logit, against\n"
      "the other classes; ⟨ and ⟩ are the ends of the text. docs/text.md explains both.");
  text->add_option("text", options->texts, "Texts; none: lines of standard input");
  CLI::Option* model =
      text->add_option("--model", options->model,
                       "A text classifier, from heed train; none: what the program has, which says "
                       "what a comment wants")
          ->check(CLI::ExistingFile);
  text->add_option("--word-lists", options->word_lists, "The lists the model was trained with")
      ->check(CLI::ExistingFile)
      ->needs(model);
  text->add_option("--top", options->top, "Rows of the table")
      ->check(CLI::Range(size_t{1}, size_t{1000000}))
      ->capture_default_str();
  text->add_flag("--json", options->json, "One JSON object a text, with every part");
  text->callback([options, exit_code] { *exit_code = ExplainText(*options); });
}

}  // namespace heed::cli
