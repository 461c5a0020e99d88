// The head made ready for serving, in fp32: what reads the same input lies side by side in one product.
// Letters: N candidates, Z inputs, T tasks, O outputs of an expert.
#pragma once

#include <cstddef>
#include <vector>

#include "infer/arena.h"
#include "infer/layer.h"
#include "model/head.h"

namespace heed::infer {

class CompiledHead {
 public:
  CompiledHead() = default;
  explicit CompiledHead(const model::Head& head);

  // z [n, Z], rows `stride` apart, finite up to the next multiple of 16 -> logits [n, T], set.
  void Run(const float* z, size_t stride, size_t n, float* logits, Arena* arena) const;
  size_t bytes() const;  // of weights

 private:
  // Which columns of which product.
  struct Place {
    size_t reader = 0, column = 0;
  };
  // One input of a level, and all that reads it.
  struct Reader {
    Layer experts, gates;
  };
  struct Gate {
    Place logits;
    std::vector<size_t> choice;  // of experts
  };
  struct Level {
    explicit Level(const nn::ExpertLayer& layer, bool first);

    size_t width = 0;             // O
    std::vector<Reader> readers;  // the first level's sides all read z; later ones one each
    std::vector<Place> experts;
    std::vector<Gate> gates;
  };
  void Mix(const Level& level, const std::vector<Rows>& experts, const std::vector<Rows>& gates,
           size_t n, const Rows* y) const;

  size_t tasks_ = 0;
  Layer shared_;  // without experts
  std::vector<Level> levels_;
  std::vector<PlainLayer> out_;  // [O, 1] of each task
};

}  // namespace heed::infer
