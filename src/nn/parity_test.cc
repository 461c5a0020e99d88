// Our layers beside what PyTorch computed from the same cases: testdata/<family>.tensors, written by
// torch_judge.py --write (seed 1). PyTorch itself, with fresh seeds, is asked in ./run check torch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <set>

#include "nn/cases.h"

namespace heed::nn {
namespace {

constexpr double kLimit = 1e-5;  // of the largest number of a tensor

std::string CaseOf(const std::string& tensor) { return tensor.substr(0, tensor.find('/')); }

std::string Read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

class Parity : public testing::TestWithParam<CaseFamily> {};

TEST_P(Parity, EveryOutputAndGradientIsPyTorchs) {
  CaseWriter cases;
  WriteCases(GetParam(), 1, &cases);
  const std::string bytes = Read(std::string(std::getenv("HEED_SOURCE_DIR")) + "/src/nn/testdata/" +
                                 GetParam().name + ".tensors");
  const auto file = TensorReader::Open(bytes);
  ASSERT_TRUE(file.ok()) << file.status().message();
  std::set<std::string> judged, present;
  size_t compared = 0;
  for (const auto& [name, ours] : cases.floats()) {
    present.insert(CaseOf(name));
    const auto length = file.value().Length(name, TensorType::kFloat32);
    if (!length.ok()) continue;  // an input
    ASSERT_EQ(length.value(), ours.size()) << name;
    std::vector<float> theirs(ours.size());
    ASSERT_TRUE(file.value().Floats(name, {ours.size()}, theirs).ok()) << name;
    double largest = 1e-3, off = 0;
    for (size_t i = 0; i < ours.size(); ++i) {
      largest = std::max(largest, std::abs(static_cast<double>(theirs[i])));
      const double difference = std::abs(static_cast<double>(ours[i]) - theirs[i]);
      off = std::isnan(difference) ? INFINITY : std::max(off, difference);
    }
    EXPECT_LE(off, kLimit * largest) << name;
    judged.insert(CaseOf(name));
    ++compared;
  }
  EXPECT_EQ(judged, present) << "a case without PyTorch's numbers: run torch_judge.py --write";
  EXPECT_EQ(compared, file.value().count()) << "PyTorch's numbers of a case that is gone";
}

INSTANTIATE_TEST_SUITE_P(Layers, Parity, testing::ValuesIn(kCaseFamilies),
                         [](const auto& family) { return std::string(family.param.name); });

}  // namespace
}  // namespace heed::nn
