#include "train/voice_experiment.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cmath>
#include <filesystem>
#include <map>

#include "kernels/denormals.h"
#include "media/decoder.h"
#include "media/voice.h"
#include "media/voice_statistics.h"
#include "train/voice_model.h"

namespace heed::train {
namespace {

// Emo-DB's letters; arousal as the literature groups them, disgust in neither group.
struct Emotion {
  char letter;
  int arousal;  // 1 high, 0 low, -1 not judged
};
constexpr std::array<Emotion, 7> kEmotions = {
    {{'W', 1}, {'A', 1}, {'F', 1}, {'L', 0}, {'T', 0}, {'N', 0}, {'E', -1}}};
constexpr size_t kClasses = kEmotions.size();

constexpr const char* kMetrics[] = {"accuracy",
                                    "arousal accuracy",
                                    "accuracy, linear model",
                                    "arousal accuracy, linear model",
                                    "accuracy, as heard",
                                    "accuracy, as heard, linear model"};

constexpr size_t kPart = 100, kPartHop = 25, kShortestPart = 50;  // frames

struct Utterance {
  std::string speaker;
  uint32_t label = 0;
  std::vector<float> whole;
  std::vector<std::vector<float>> parts;
};

struct VoiceRecipe {
  RecipeHead head;
  bool per_voice = true;
  VoiceModelConfig model;
  uint32_t members = 5, epochs = 40, batch_size = 32;
  float linear_rate = 0.01f, linear_l2 = 0.02f;
  uint64_t seed = 1;
};

Result<Utterance> ReadUtterance(const std::filesystem::path& path, const std::atomic<bool>& stop) {
  const std::string name = path.stem().string();  // "03a01Fa"
  const auto emotion = std::find_if(kEmotions.begin(), kEmotions.end(), [&](const Emotion& e) {
    return name.size() == 7 && e.letter == name[5];
  });
  if (emotion == kEmotions.end()) {
    return InvalidArgument(path.string() + ": the name is not speaker, text, emotion (03a01Fa)");
  }
  media::VoiceExtractor voice(true);
  std::vector<media::VoiceSecond> seconds;
  const media::MediaSink sink{.audio = [&](const media::AudioChunk& chunk) {
    media::AudioChunk sound = chunk;
    sound.stereo48k = {};  // loudness is not among the statistics
    voice.Add(sound, &seconds);
  }};
  HEED_RETURN_IF_ERROR(media::Decode({.input = path.string(), .picture = false}, sink, stop));
  voice.Finish(&seconds);
  const std::vector<media::VoiceFrame> frames = voice.TakeFrames();
  Utterance utterance{.speaker = name.substr(0, 2),
                      .label = static_cast<uint32_t>(emotion - kEmotions.begin()),
                      .whole = media::VoiceStatistics(frames)};
  for (size_t at = 0; at == 0 || at + kShortestPart <= frames.size(); at += kPartHop) {
    utterance.parts.push_back(
        media::VoiceStatistics(std::span(frames).subspan(at, std::min(kPart, frames.size() - at))));
  }
  return utterance;
}

// Mean and deviation of the numbers that are there; what is not becomes the mean.
class Scale {
 public:
  void Add(const std::vector<float>& row) {
    sum_.resize(row.size()), squares_.resize(row.size()), n_.resize(row.size());
    for (size_t d = 0; d < row.size(); ++d) {
      if (!std::isfinite(row[d])) continue;
      const auto x = static_cast<double>(row[d]);
      n_[d] += 1, sum_[d] += x, squares_[d] += x * x;
    }
  }
  void Apply(std::vector<float>* row, bool fill) const {
    for (size_t d = 0; d < row->size(); ++d) {
      float& x = (*row)[d];
      if (!std::isfinite(x)) {
        if (fill) x = 0;
        continue;
      }
      const double n = std::max(n_[d], 1.0), mean = sum_[d] / n;
      const double deviation = std::sqrt(std::max(squares_[d] / n - mean * mean, 1e-12));
      const double z = (static_cast<double>(x) - mean) / deviation;
      x = static_cast<float>(fill ? std::clamp(z, -4.0, 4.0) : z);
    }
  }

 private:
  std::vector<double> n_, sum_, squares_;
};

// Two scales for the rows that `in` accepts (whole, parts), applied to the rows that `on` accepts.
template <typename In, typename On>
void Normalize(std::vector<Utterance>* all, const In& in, const On& on, bool fill) {
  Scale whole, parts;
  for (const Utterance& utterance : *all) {
    if (!in(utterance)) continue;
    whole.Add(utterance.whole);
    for (const auto& part : utterance.parts) parts.Add(part);
  }
  for (Utterance& utterance : *all) {
    if (!on(utterance)) continue;
    whole.Apply(&utterance.whole, fill);
    for (auto& part : utterance.parts) parts.Apply(&part, fill);
  }
}

VoiceBatch Gather(const std::vector<Utterance>& all, std::span<const uint32_t> rows) {
  VoiceBatch batch;
  const size_t width = all[rows[0]].whole.size();
  size_t parts = 0;
  for (const uint32_t i : rows) parts += all[i].parts.size();
  batch.whole.Resize(rows.size(), width);
  batch.parts.Resize(parts, width);
  size_t t = 0;
  for (size_t b = 0; b < rows.size(); ++b) {
    const Utterance& utterance = all[rows[b]];
    std::copy(utterance.whole.begin(), utterance.whole.end(), batch.whole.Row(b));
    for (const auto& part : utterance.parts) {
      std::copy(part.begin(), part.end(), batch.parts.Row(t++));
    }
    batch.offsets.push_back(static_cast<uint32_t>(t));
    batch.labels.push_back(utterance.label);
  }
  return batch;
}

struct Hits {
  size_t right = 0, all = 0, arousal_right = 0, arousal_all = 0;

  // probabilities [kClasses] of an utterance of class `label`.
  void Count(const double* probabilities, uint32_t label) {
    right += static_cast<size_t>(std::max_element(probabilities, probabilities + kClasses) -
                                 probabilities) == label;
    ++all;
    if (kEmotions[label].arousal < 0) return;
    std::array<double, 2> mass{};
    for (size_t c = 0; c < kClasses; ++c) {
      if (kEmotions[c].arousal >= 0) {
        mass[static_cast<size_t>(kEmotions[c].arousal)] += probabilities[c];
      }
    }
    arousal_right += (mass[1] > mass[0]) == (kEmotions[label].arousal == 1);
    ++arousal_all;
  }
  double accuracy() const { return static_cast<double>(right) / static_cast<double>(all); }
  double arousal() const {
    return static_cast<double>(arousal_right) / static_cast<double>(arousal_all);
  }
};

class VoiceExperiment final : public Experiment {
 public:
  explicit VoiceExperiment(VoiceRecipe recipe)
      : Experiment(recipe.head.name, recipe.head.folder), recipe_(std::move(recipe)) {}

  Result<TrainSummary> Train(const ExperimentRun&, const std::string&) const override {
    return InvalidArgument("recipe '" + name() +
                           "' is judged by leaving speakers out and leaves no model; use heed "
                           "reproduce");
  }

  Result<ExperimentResult> Reproduce(const ExperimentRun& run) const override {
    const auto start = std::chrono::steady_clock::now();
    ExperimentResult result{.name = name(),
                            .figures = recipe_.head.baselines,
                            .seed = run.seed != 0 ? run.seed : recipe_.seed};
    HEED_ASSIGN_OR_RETURN(const std::vector<Utterance> heard, ReadAll(run, &result.stopped));
    std::map<std::pair<bool, bool>, Hits> judged;  // by linear, as heard
    for (Figure& figure : result.figures) {
      const bool linear = figure.metric.find("linear") != std::string::npos;
      const bool as_heard = figure.metric.find("as heard") != std::string::npos;
      const Hits& hits =
          Judge(heard, linear, recipe_.per_voice && !as_heard, result.seed, run, &result.stopped);
      if (result.stopped) break;
      figure.value = figure.metric.find("arousal") == 0 ? hits.arousal() : hits.accuracy();
    }
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return result;
  }

 private:
  static bool Stopped(const ExperimentRun& run) { return run.stop != nullptr && *run.stop; }

  Result<std::vector<Utterance>> ReadAll(const ExperimentRun& run, bool* stopped) const {
    namespace fs = std::filesystem;
    const fs::path folder = fs::path(run.folder) / "flac";
    std::vector<fs::path> files;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (entry.path().extension() == ".flac") files.push_back(entry.path());
    }
    if (files.empty()) return NotFound(folder.string() + ": no .flac files");
    std::sort(files.begin(), files.end());
    const std::atomic<bool> never{false};
    std::vector<Utterance> all;
    for (const fs::path& file : files) {
      if (Stopped(run)) {
        *stopped = true;
        break;
      }
      HEED_ASSIGN_OR_RETURN(Utterance utterance,
                            ReadUtterance(file, run.stop != nullptr ? *run.stop : never));
      all.push_back(std::move(utterance));
      Report(run, "listen", all.size(), files.size(), 0);
    }
    return all;
  }

  static void Report(const ExperimentRun& run, const char* phase, size_t step, size_t steps,
                     double loss) {
    if (run.progress) {
      run.progress({.phase = phase, .step = step, .steps = steps, .loss = loss, .valid = NAN});
    }
  }

  Hits Judge(std::vector<Utterance> all, bool linear, bool per_voice, uint64_t seed,
             const ExperimentRun& run, bool* stopped) const {
    std::map<std::string, std::vector<uint32_t>> speakers;
    for (uint32_t i = 0; i < all.size(); ++i) speakers[all[i].speaker].push_back(i);
    if (per_voice) {
      for (const auto& voice : speakers) {
        const auto own = [&](const Utterance& u) { return u.speaker == voice.first; };
        Normalize(&all, own, own, false);
      }
    }
    Hits hits;
    size_t fold = 0;
    for (const auto& fold_rows : speakers) {
      const std::string& speaker = fold_rows.first;
      const std::vector<uint32_t>& test = fold_rows.second;
      if (*stopped || Stopped(run)) {
        *stopped = true;
        return hits;
      }
      std::vector<Utterance> scaled = all;
      const auto others = [&](const Utterance& u) { return u.speaker != speaker; };
      Normalize(
          &scaled, others, [](const Utterance&) { return true; }, true);
      const std::vector<double> probabilities =
          Predict(scaled, speaker, test, linear, seed * 100 + fold);
      for (size_t i = 0; i < test.size(); ++i) {
        hits.Count(probabilities.data() + i * kClasses, scaled[test[i]].label);
      }
      Report(run, linear ? "linear" : "attention", ++fold, speakers.size(), 0);
    }
    return hits;
  }

  // [test.size(), kClasses], the mean over the members.
  std::vector<double> Predict(const std::vector<Utterance>& all, const std::string& left_out,
                              const std::vector<uint32_t>& test, bool linear, uint64_t seed) const {
    const kernels::FlushDenormals flush;
    std::vector<uint32_t> train;
    for (uint32_t i = 0; i < all.size(); ++i) {
      if (all[i].speaker != left_out) train.push_back(i);
    }
    VoiceModelConfig config = recipe_.model;
    if (linear) {
      config.linear = true;
      config.rate = recipe_.linear_rate, config.l2 = recipe_.linear_l2;
      config.input_dropout = 0, config.smoothing = 0;
    }
    const VoiceBatch judged = Gather(all, test);
    std::vector<double> probabilities(test.size() * kClasses);
    const uint32_t members = linear ? 1 : recipe_.members;
    for (uint32_t m = 0; m < members; ++m) {
      Random random(seed * 1000 + m);
      VoiceModel model(config, all[0].whole.size(), kClasses, random.Next());
      for (uint32_t epoch = 0; epoch < recipe_.epochs; ++epoch) {
        random.Shuffle(train);
        for (size_t at = 0; at < train.size(); at += recipe_.batch_size) {
          const size_t n = std::min<size_t>(recipe_.batch_size, train.size() - at);
          model.TrainStep(Gather(all, std::span(train).subspan(at, n)));
        }
      }
      nn::Matrix logits(test.size(), kClasses);
      model.Score(judged, logits.view());
      for (size_t i = 0; i < test.size(); ++i) {
        const float top = *std::max_element(logits.Row(i), logits.Row(i) + kClasses);
        std::array<double, kClasses> e{};
        double sum = 0;
        for (size_t c = 0; c < kClasses; ++c) {
          sum += e[c] = std::exp(static_cast<double>(logits.Row(i)[c] - top));
        }
        for (size_t c = 0; c < kClasses; ++c) probabilities[i * kClasses + c] += e[c] / sum;
      }
    }
    return probabilities;
  }

  VoiceRecipe recipe_;
};

}  // namespace

Result<std::unique_ptr<Experiment>> ParseVoiceExperiment(const RecipeText& recipe) {
  HEED_ASSIGN_OR_RETURN(const TomlTable root, TomlTable::Parse(recipe.text, recipe.file_name));
  VoiceRecipe parsed;
  root.String("kind", "");
  parsed.head = ReadRecipeHead(root, {std::begin(kMetrics), std::end(kMetrics)});
  parsed.per_voice = root.Table("data").Flag("per_voice", parsed.per_voice);
  const TomlTable model = root.Table("model"), train = root.Table("train");
  const auto number = [](const TomlTable& table, const char* key, float otherwise, double high) {
    return static_cast<float>(table.Number(key, static_cast<double>(otherwise), 0, high));
  };
  VoiceModelConfig& config = parsed.model;
  config.part_width = model.Count("part_width", config.part_width, 1, 4096);
  config.heads = model.Count("heads", config.heads, 1, 64);
  config.hidden = model.Count("hidden", config.hidden, 1, 4096);
  config.dropout = number(model, "dropout", config.dropout, 0.95);
  config.input_dropout = number(model, "input_dropout", config.input_dropout, 0.95);
  parsed.members = train.Count("members", parsed.members, 1, 100);
  parsed.epochs = train.Count("epochs", parsed.epochs, 1, 10000);
  parsed.batch_size = train.Count("batch_size", parsed.batch_size, 1, 1u << 20);
  config.rate = number(train, "rate", config.rate, 10);
  config.l2 = number(train, "l2", config.l2, 10);
  config.smoothing = number(train, "smoothing", config.smoothing, 0.9);
  parsed.linear_rate = number(train, "linear_rate", parsed.linear_rate, 10);
  parsed.linear_l2 = number(train, "linear_l2", parsed.linear_l2, 10);
  parsed.seed = train.Count64("seed", parsed.seed);
  HEED_RETURN_IF_ERROR(root.Finish());
  return std::unique_ptr<Experiment>(std::make_unique<VoiceExperiment>(std::move(parsed)));
}

}  // namespace heed::train
