// The block of hidden layers: linear, batch norm, activation, dropout, as often as there are widths.
// In a header so that infer/ can compile it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "model/block.h"

namespace heed::model {

// The first layer's share of the request is multiplied once a request. Without hidden layers the
// input itself.
class MlpBlock final : public Block {
 public:
  MlpBlock(const std::string& name, const BlockConfig& config, const BlockShape& shape,
           Random& random);

  std::unique_ptr<Block> Clone() const override { return std::make_unique<MlpBlock>(*this); }
  size_t outputs() const override {
    return config_.hidden.empty() ? inputs_ : config_.hidden.back();
  }
  void Forward(const BlockInput& in, const Pass& pass, BlockTape* tape, nn::Mat y) const override;
  void Backward(const BlockInput& in, BlockTape* tape, nn::ConstMat y, nn::Mat d_y,
                const BlockGradient& d) override;
  void Track(const BlockTape& tape) override;
  std::vector<nn::Parameter*> Parameters() override;
  std::vector<nn::Buffer> Buffers() override;
  const MlpBlock* AsMlp() const override { return this; }

  // Layer i computes bends[i](norms[i](x W + b)). The first reads [request's part, candidate's part].
  const BlockConfig& config() const { return config_; }
  const std::vector<nn::Linear>& layers() const { return layers_; }
  const std::vector<nn::BatchNorm>& norms() const { return norms_; }  // none without batch norm
  const std::vector<nn::Activation>& bends() const { return bends_; }

 private:
  BlockConfig config_;
  size_t inputs_;
  std::vector<nn::Linear> layers_;
  std::vector<nn::BatchNorm> norms_;
  std::vector<nn::Activation> bends_;
};

}  // namespace heed::model
