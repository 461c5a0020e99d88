// One reader of the input among several side by side (families.h): an MLP, a cross network, field
// attention. A block adds its own gradient to the input's; the ranker concatenates the outputs.
//
// Letters: R requests, N candidates, F fields of d numbers each (the request's first), I = Ir + Ic
// inputs.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "model/families.h"
#include "nn/activation.h"
#include "nn/cross.h"
#include "nn/feature_gate.h"
#include "nn/field_attention.h"
#include "nn/linear.h"

namespace heed::model {

struct BlockShape {
  size_t request_width = 0, candidate_width = 0;    // Ir, Ic
  size_t request_fields = 0, candidate_fields = 0;  // the first columns of each part
  size_t field_width = 0;                           // d

  size_t inputs() const { return request_width + candidate_width; }
  size_t fields() const { return request_fields + candidate_fields; }
};

// The same numbers in three arrangements; the last two are laid out only when a block asks.
struct BlockInput {
  nn::ConstMat request, candidate;                    // [R, Ir], [N, Ic]
  const std::vector<uint32_t>* request_of = nullptr;  // [N]
  nn::ConstMat joined;                                // [N, I]
  nn::ConstMat fields;                                // [N, F d]
};
struct BlockGradient {  // blocks add to what they read
  nn::Mat request, candidate, joined, fields;
};

// How a forward pass is meant: batch statistics and dropout belong to training.
struct Pass {
  nn::Phase phase = nn::Phase::kServe;
  Random* dropout = nullptr;  // none: nothing is dropped
};

// What any block keeps of a pass, reused from batch to batch; each kind uses its own part.
struct BlockTape {
  nn::Matrix products, d_products;        // mlp: [R, first layer]
  std::vector<nn::Matrix> y, d_y, masks;  // mlp: of each layer but the last; autoint: likewise
  std::vector<nn::NormTape> norms;
  std::vector<nn::ActivationTape> bends;
  bool dropped = false;
  nn::CrossTape cross;
  nn::PairAttentionTape pairs;
  std::vector<nn::FieldSelfAttentionTape> fields;
  nn::Matrix d_input;

  nn::FeatureGateTape gate;
  nn::Matrix gated_fields, gated, d_gated, d_gated_fields;
  std::unique_ptr<BlockTape> inner;
};

class MlpBlock;

class Block {
 public:
  virtual ~Block() = default;
  virtual std::unique_ptr<Block> Clone() const = 0;
  virtual size_t outputs() const = 0;
  virtual bool reads_joined() const { return false; }
  virtual bool reads_fields() const { return false; }
  // y [N, outputs] is set.
  virtual void Forward(const BlockInput& in, const Pass& pass, BlockTape* tape,
                       nn::Mat y) const = 0;
  // `y` as Forward left it; d_y may be overwritten.
  virtual void Backward(const BlockInput& in, BlockTape* tape, nn::ConstMat y, nn::Mat d_y,
                        const BlockGradient& d) = 0;
  virtual void Track(const BlockTape&) {}  // after a step that counts: running statistics
  virtual std::vector<nn::Parameter*> Parameters() = 0;
  virtual std::vector<nn::Buffer> Buffers() { return {}; }
  // The block itself where it is an MLP without a gate (model/mlp_block.h), or none.
  virtual const MlpBlock* AsMlp() const { return nullptr; }
};

std::unique_ptr<Block> MakeBlock(const std::string& name, const BlockConfig& config,
                                 const BlockShape& shape, Random& random);
// Of the block MakeBlock would make, without making it.
size_t BlockOutputs(const BlockConfig& config, const BlockShape& shape);
uint64_t BlockCount(const BlockConfig& config, const BlockShape& shape);  // of dense numbers

}  // namespace heed::model
