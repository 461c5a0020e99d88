#include "train/experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <limits>

#include "base/file.h"
#include "base/suggest.h"
#include "train/embedded.h"
#include "train/moment_experiment.h"
#include "train/next_item_experiment.h"
#include "train/online_replay_experiment.h"
#include "train/online_world_experiment.h"
#include "train/ranker_experiment.h"
#include "train/recovery_experiment.h"
#include "train/text_experiment.h"
#include "train/voice_experiment.h"

namespace heed::train {
namespace {

struct Kind {
  const char* name;
  Result<std::unique_ptr<Experiment>> (*parse)(const RecipeText& recipe);
};
constexpr Kind kKinds[] = {
    {"ranker", ParseRankerExperiment},
    {"recovery", ParseRecoveryExperiment},
    {"text", ParseTextExperiment},
    {"next_item", ParseNextItemExperiment},
    {"online_replay", ParseOnlineReplayExperiment},
    {"online_world", ParseOnlineWorldExperiment},
    {"voice", ParseVoiceExperiment},
    {"moments", ParseMomentExperiment},
};

Result<std::string> EmbeddedText(const std::string& path) {
  for (const EmbeddedFile& file : EmbeddedFiles()) {
    if (file.path == path) return std::string(file.text);
  }
  return NotFound(path + ": is not part of this program");
}

// JSON has no NaN.
std::string Json(double value) {
  return std::isfinite(value) ? fmt::format("{:.5f}", value) : "null";
}

}  // namespace

Result<RecipeText> ReadRecipeFile(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(std::string text, ReadWholeFile(path));
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  return RecipeText{std::move(text), path, [folder](const std::string& relative) {
                      return ReadWholeFile((folder / relative).lexically_normal().string());
                    }};
}

Result<RecipeText> BuiltinRecipeText(const std::string& name) {
  const std::vector<std::string> names = BuiltinExperiments();
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    std::string known;
    for (const std::string& one : names) known += (known.empty() ? "" : ", ") + one;
    return NotFound("there is no recipe '" + name + "'" + Suggestion(name, names) +
                    "; known are: " + known);
  }
  const std::string path = "recipes/" + name + ".toml";
  HEED_ASSIGN_OR_RETURN(std::string text, EmbeddedText(path));
  return RecipeText{
      std::move(text), path, [](const std::string& relative) {
        return EmbeddedText(
            (std::filesystem::path("recipes") / relative).lexically_normal().string());
      }};
}

RecipeHead ReadRecipeHead(const TomlTable& root, const std::vector<std::string>& metrics) {
  RecipeHead head;
  head.name = root.RequiredString("name");
  head.folder = root.String("folder", "");
  for (const TomlTable& table : root.Tables("baseline")) {
    Figure figure{table.RequiredString("metric"), std::numeric_limits<double>::quiet_NaN(), 0};
    table.Choice("metric", metrics, 0);
    figure.published = table.Has("value") ? table.Number("value", 0, 0, 100) : figure.value;
    head.baselines.push_back(figure);
  }
  return head;
}

Result<std::unique_ptr<Experiment>> ParseExperiment(const RecipeText& recipe) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(recipe.text, recipe.file_name));
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.emplace_back(kind.name);
  const size_t kind = root.Choice("kind", names, 0);
  HEED_RETURN_IF_ERROR(root.error());
  return kKinds[kind].parse(recipe);
}

Result<std::unique_ptr<Experiment>> LoadExperiment(const std::string& path) {
  HEED_ASSIGN_OR_RETURN(const RecipeText recipe, ReadRecipeFile(path));
  return ParseExperiment(recipe);
}

std::vector<std::string> BuiltinExperiments() {
  std::vector<std::string> names;
  for (const EmbeddedFile& file : EmbeddedFiles()) {
    const std::filesystem::path path(file.path);
    if (path.parent_path() == "recipes") names.push_back(path.stem().string());
  }
  return names;
}

Result<std::unique_ptr<Experiment>> BuiltinExperiment(const std::string& name) {
  HEED_ASSIGN_OR_RETURN(const RecipeText recipe, BuiltinRecipeText(name));
  return ParseExperiment(recipe);
}

Result<std::string> DataFolder(const Experiment& experiment, const std::string& data) {
  return DataFolder(experiment.folder(), data);
}

Result<std::string> DataFolder(const std::string& usual, const std::string& data) {
  namespace fs = std::filesystem;
  if (!usual.empty() && fs::is_directory(fs::path(data) / usual)) {
    return (fs::path(data) / usual).string();
  }
  if (!fs::is_directory(data)) return NotFound("the data folder '" + data + "' does not exist");
  return data;
}

std::string ToJson(const ExperimentResult& result) {
  std::string others;
  for (size_t i = 1; i < result.figures.size(); ++i) {
    const Figure& figure = result.figures[i];
    others += fmt::format(R"({}{{"metric":"{}","value":{},"published":{}}})", i > 1 ? "," : "",
                          figure.metric, Json(figure.value), Json(figure.published));
  }
  const Figure headline = result.figures.empty() ? Figure{} : result.figures[0];
  return fmt::format(
      R"({{"name":"{}","metric":"{}","value":{},"published":{},"seed":{},"seconds":{:.1f},)"
      R"("stopped":{},"others":[{}]}})",
      result.name, headline.metric, Json(headline.value), Json(headline.published), result.seed,
      result.seconds, result.stopped, others);
}

}  // namespace heed::train
