#include "train/moment_trainer.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "kernels/denormals.h"

namespace heed::train {
namespace {

using Clock = std::chrono::steady_clock;
using model::MomentView;

struct Segment {
  uint32_t room = 0;
  size_t first = 0, count = 0;
};

// A rest of less than half a segment joins the one before it.
std::vector<Segment> SegmentsOf(std::span<const MomentRoom> rooms, std::span<const uint32_t> which,
                                size_t length) {
  std::vector<Segment> segments;
  for (const uint32_t room : which) {
    const size_t T = rooms[room].series.seconds();
    const size_t pieces = std::max<size_t>(1, (T + length / 2) / length);
    for (size_t i = 0; i < pieces && T > 0; ++i) {
      const size_t first = i * length, end = i + 1 == pieces ? T : first + length;
      segments.push_back({room, first, end - first});
    }
  }
  return segments;
}

}  // namespace

nn::Matrix MomentLogRates(const model::MomentAttention& model, const MomentRoom& room,
                          MomentView view, size_t omit) {
  model::MomentAnswer answer;
  model.Answer(room.series, &answer, omit);
  return std::move(answer.views[static_cast<size_t>(view)].log_rates);
}

double MomentGain(std::span<const MomentRoom> rooms, std::span<const uint32_t> which,
                  MomentView view, uint32_t horizon_s, uint32_t segment_s,
                  const std::function<nn::Matrix(uint32_t room)>& log_rates) {
  double loss = 0, seconds = 0;
  for (const uint32_t room : which) {
    const auto targets =
        model::MakeMomentTargets(rooms[room].counts, rooms[room].viewers, horizon_s);
    const nn::Matrix rates = log_rates(room);
    for (const Segment& segment : SegmentsOf(rooms, std::span(&room, 1), segment_s)) {
      loss += model::MomentAttention::Loss(rates, targets[static_cast<size_t>(view)], segment.first,
                                           segment.count);
      seconds += static_cast<double>(segment.count);
    }
  }
  const double overlap = view == MomentView::kNow ? 1 : horizon_s;
  return seconds > 0 ? -loss / seconds / overlap : std::numeric_limits<double>::quiet_NaN();
}

Result<MomentTrainResult> TrainMoments(std::span<const MomentRoom> rooms,
                                       std::span<const uint32_t> train,
                                       std::span<const uint32_t> valid,
                                       const model::MomentAttentionConfig& config,
                                       const MomentTrainOptions& options,
                                       const ProgressCallback& progress,
                                       const std::atomic<bool>* stop) {
  const kernels::FlushDenormals flush;
  HEED_ASSIGN_OR_RETURN(std::shared_ptr<model::MomentAttention> model,
                        model::MomentAttention::Create(config, options.seed));
  std::vector<model::MomentTargetsByView> targets(rooms.size());
  bool any = false;
  for (const uint32_t room : train) {
    targets[room] =
        model::MakeMomentTargets(rooms[room].counts, rooms[room].viewers, config.horizon_s);
    for (const float viewers : rooms[room].viewers) any |= viewers > 0;
  }
  if (!any) return InvalidArgument("no second of the train rooms says how many viewers there were");

  std::vector<Segment> order = SegmentsOf(rooms, train, options.segment_s);
  Random random(options.seed);
  MomentTrainResult result{.model = model, .valid = std::numeric_limits<double>::quiet_NaN()};
  const auto planned = static_cast<double>(order.size()) * options.epochs;
  const auto started = Clock::now();
  std::string best;
  uint32_t since_best = 0;
  double loss = 0, seconds_done = 0;
  const auto report = [&](double value) {
    if (!progress) return;
    const double spent = std::chrono::duration<double>(Clock::now() - started).count();
    TrainProgress now;
    now.phase = "fit";
    now.step = result.steps;
    now.steps = static_cast<uint64_t>(planned);
    now.rows_per_s = seconds_done / spent;
    now.eta_s =
        spent / static_cast<double>(result.steps) * (planned - static_cast<double>(result.steps));
    now.loss = loss;
    now.valid = value;
    progress(now);
  };
  for (uint32_t epoch = 1; epoch <= options.epochs && !result.stopped; ++epoch) {
    random.Shuffle(order);
    for (const Segment& segment : order) {
      result.stopped = stop != nullptr && stop->load();
      if (result.stopped) break;
      model->SetRateScale(static_cast<float>(1 - static_cast<double>(result.steps) / planned));
      HEED_ASSIGN_OR_RETURN(const double step,
                            model->TrainStep(rooms[segment.room].series, targets[segment.room],
                                             segment.first, segment.count, options.step));
      loss = result.steps == 0 ? step : 0.98 * loss + 0.02 * step;
      seconds_done += static_cast<double>(segment.count);
      if (++result.steps % 50 == 0) report(std::numeric_limits<double>::quiet_NaN());
    }
    result.epochs = epoch;
    if (valid.empty()) continue;
    const double gain =
        MomentGain(
            rooms, valid, MomentView::kNow, config.horizon_s, options.segment_s,
            [&](uint32_t room) { return MomentLogRates(*model, rooms[room], MomentView::kNow); }) +
        MomentGain(
            rooms, valid, MomentView::kNext, config.horizon_s, options.segment_s,
            [&](uint32_t room) { return MomentLogRates(*model, rooms[room], MomentView::kNext); });
    report(gain);
    if (best.empty() || gain > result.valid) {
      result.valid = gain;
      best = model->Serialize();
      since_best = 0;
    } else if (++since_best >= options.patience) {
      break;
    }
  }
  if (since_best > 0) {
    result.epochs -= since_best;
    HEED_ASSIGN_OR_RETURN(result.model, model::MomentAttention::Parse(best));
  }
  std::vector<model::MomentSeries> series;
  std::vector<model::MomentTargetsByView> of_train;
  for (const uint32_t room : train) {
    series.push_back(rooms[room].series);
    of_train.push_back(std::move(targets[room]));
  }
  result.model->FitBase(series, of_train);
  return result;
}

}  // namespace heed::train
