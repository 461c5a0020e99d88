// The parts a ranker is composed of, as settings: how a history is pooled, which blocks read the
// input side by side, what turns their outputs into probabilities. docs/model.md spells the published
// families (DIN, DCN-V2, AutoInt, AFM, MMoE, PLE, ESMM) with them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "nn/activation.h"

namespace heed::model {

enum class PoolKind : uint8_t {
  kDot,     // multi-head dot target attention (nn/attention.h)
  kDin,     // DIN's activation unit with a softmax (nn/activation_unit.h)
  kDinSum,  // the same, not normalised, as in the paper
};

// A causal transformer over a history's tokens before they are pooled (nn/encoder.h).
enum class EncoderKind : uint8_t {
  kNone,
  kSasRec,    // places told apart by a learned bias on their distance
  kTiSasRec,  // and by one on the time between them
};

struct PoolConfig {
  PoolKind kind = PoolKind::kDot;
  bool temperature = false;  // kDot: set by the request (nn/temperature.h)
  // Of the activation unit.
  std::vector<uint32_t> hidden = {64, 16};
  nn::ActivationKind activation = nn::ActivationKind::kDice;
  EncoderKind encoder = EncoderKind::kNone;
  uint32_t encoder_layers = 1;
  uint32_t encoder_heads = 2;  // of a token's width, which must be a multiple
  bool operator==(const PoolConfig&) const = default;
};

struct SequencePool {  // the pooling of one history, when it is not the common one
  std::string sequence;
  PoolConfig pool;
  bool operator==(const SequencePool&) const = default;
};

enum class BlockKind : uint8_t {
  kMlp,      // the whole input through hidden layers
  kCross,    // the whole input through DCN-V2's cross network (nn/cross.h)
  kAutoInt,  // the fields through self-attention layers (nn/field_attention.h)
  kAfm,      // the fields' pairs through attention (nn/field_attention.h)
};

// Of one block; what a kind does not use keeps its default.
struct BlockConfig {
  BlockKind kind = BlockKind::kMlp;
  bool gate = false;          // its fields pass a squeeze gate of its own first (nn/feature_gate.h)
  uint32_t gate_hidden = 16;  // of the gate
  std::vector<uint32_t> hidden = {256, 128};                  // mlp
  nn::ActivationKind activation = nn::ActivationKind::kRelu;  // mlp
  bool batch_norm = false;                                    // mlp: after each linear layer
  float dropout = 0.0f;                                       // mlp: after each activation
  uint32_t layers = 2;                                        // cross, autoint
  uint32_t rank = 0;                                          // cross; 0: full matrices
  uint32_t heads = 2;                                         // autoint
  uint32_t width = 16;  // autoint: of all heads together; afm: of the attention network
  bool operator==(const BlockConfig&) const = default;
};

enum class HeadKind : uint8_t {
  kShared,  // one linear layer for all tasks
  kMmoe,    // shared experts, a gate for each task (nn/experts.h)
  kPle,     // and experts of each task's own, in levels
};

struct HeadConfig {
  HeadKind kind = HeadKind::kShared;
  uint32_t experts = 4;      // shared
  uint32_t own_experts = 1;  // of each task; kPle
  uint32_t levels = 1;       // kPle
  uint32_t width = 64;       // of an expert
  bool operator==(const HeadConfig&) const = default;
};

struct LinkConfig {  // ESMM: `task` happens only where `given` does (nn/esmm.h)
  std::string task, given;
  bool operator==(const LinkConfig&) const = default;
};

}  // namespace heed::model
