// Cases for the PyTorch judge: a layer run forward and backward on random numbers, with everything
// that went in and came out, by name. cases.h lists the families; docs/attention.md tells how the
// comparison is made.
#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "nn/parameter.h"
#include "nn/tensor_file.h"

namespace heed::nn {

class CaseWriter {
 public:
  // What is put from now on belongs to this case. The judge's function is found by the part of the
  // name before the first '.'.
  void Case(const std::string& name) { prefix_ = name + "/"; }

  void Put(const std::string& name, const Matrix& m) {
    Keep(name, {m.data(), m.data() + m.size()}, {m.rows(), m.cols()});
  }
  void Put(const std::string& name, const std::vector<float>& v) { Keep(name, v, {v.size()}); }
  void Put(const std::string& name, const nn::Floats& v) {
    Keep(name, {v.begin(), v.end()}, {v.size()});
  }
  void Put(const std::string& name, const std::vector<uint32_t>& v) {
    out_.Uint32s(prefix_ + name, v);
  }
  void Put(const std::string& name, double number) {
    Keep(name, {static_cast<float>(number)}, {1});
  }
  // The value under the parameter's name and the gradient under "d " and that name.
  void Put(const Parameter& p) {
    Put(p.name, p.value);
    Put("d " + p.name, p.grad);
  }

  std::string Finish() { return out_.Finish(); }
  // "case/name" → numbers, of everything put as floats.
  const std::map<std::string, std::vector<float>>& floats() const { return floats_; }

 private:
  void Keep(const std::string& name, std::vector<float> v, const std::vector<uint64_t>& dims) {
    out_.Floats(prefix_ + name, v, dims);
    floats_[prefix_ + name] = std::move(v);
  }

  TensorWriter out_;
  std::map<std::string, std::vector<float>> floats_;
  std::string prefix_;
};

}  // namespace heed::nn
