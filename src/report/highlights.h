// The moments of a broadcast that a person should look at, and what made them so.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "model/moment_attention.h"

namespace heed::report {

struct MovedFeature {
  size_t column = 0;  // of the series
  size_t second = 0;  // row of the series where it was furthest from usual
  float z = 0;        // there
  double change =
      0;  // of the score, were the feature not known in the look-back; 0 without a model
};

struct Reason {
  size_t modality = 0;
  double share =
      0;  // of the score: what is lost without the modality; without a model: how unusual
  double weight = 0;                   // of attention, 0 without a model
  std::vector<MovedFeature> features;  // at most three, what moved most first
};

struct Highlight {
  size_t second = 0;  // row of the series
  double score = 0;
  std::vector<Reason> reasons;  // at most three, largest first
};

// Rows where `score` [T] is highest (not a number: no score), at least `apart` rows from one another, highest first. Only above `least`.
std::vector<size_t> Peaks(std::span<const double> score, size_t count, size_t apart, double least);

// How far the measured features of every second are from the room's usual: root mean square of z, by modality [T, M], 0
// where nothing is measured.
nn::Matrix Unusual(const model::MomentAttentionConfig& config, const model::MomentSeries& series);

// How a model judges every second of a broadcast, against the broadcast's own usual: a room's level is not learned
// (MomentAttention::TrainStep), so neither is what a modality brings all the time.
struct Judgement {
  model::MomentAnswer answer;
  std::vector<double> score;  // [T], highlight scores less their median
  std::vector<std::vector<double>>
      shares;  // [M][T]: what is lost without the modality, less its median
};
Judgement Judge(const model::MomentAttention& model, const model::MomentSeries& series);
double Median(std::vector<double> of);  // 0 of none

// By the model, leaving out the features of the modalities that brought most, one at a time.
Highlight ExplainByModel(const model::MomentAttention& model, const model::MomentSeries& series,
                         const Judgement& judgement, size_t second);
// By what was far from usual in that very second.
Highlight ExplainByMeasure(const model::MomentAttentionConfig& config,
                           const model::MomentSeries& series, const nn::Matrix& unusual,
                           size_t second, double score);

}  // namespace heed::report
