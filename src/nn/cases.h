// Every family of layers that PyTorch judges. A family draws its shapes and numbers from `random`.
#pragma once

#include "base/hash.h"
#include "nn/parity.h"

namespace heed::nn {

void AttentionCases(Random& random, CaseWriter* cases);
void AttentionPoolingCases(Random& random, CaseWriter* cases);
void EncoderCases(Random& random, CaseWriter* cases);
void FieldsCases(Random& random, CaseWriter* cases);
void FusionCases(Random& random, CaseWriter* cases);
void LagAttentionCases(Random& random, CaseWriter* cases);
void LinearCases(Random& random, CaseWriter* cases);
void SelfAttentionCases(Random& random, CaseWriter* cases);
void UnitCases(Random& random, CaseWriter* cases);

struct CaseFamily {
  const char* name;  // judge_<name>.py, testdata/<name>.tensors
  void (*write)(Random& random, CaseWriter* cases);
};
inline constexpr CaseFamily kCaseFamilies[] = {
    {"attention", AttentionCases}, {"attention_pooling", AttentionPoolingCases},
    {"encoder", EncoderCases},     {"fields", FieldsCases},
    {"fusion", FusionCases},       {"lag_attention", LagAttentionCases},
    {"linear", LinearCases},       {"self_attention", SelfAttentionCases},
    {"unit", UnitCases},
};

// Each family has a stream of its own, so that a new one leaves the others' numbers alone.
inline void WriteCases(const CaseFamily& family, uint64_t seed, CaseWriter* cases) {
  Random random(MixHash(seed + HashBytes(family.name)));
  family.write(random, cases);
}

}  // namespace heed::nn
